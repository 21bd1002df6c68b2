"""Requests as they come: how many, how large, how long; what of them is logged and counted."""
