"""Evalscripts for tests: pixels without files, and scripts of attackers."""
