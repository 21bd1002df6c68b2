"""Evalscripts: what they ask for, and the engine that runs them."""
