"""Bands of xarray: their names, what their numbers mean, and all of them together."""

from __future__ import annotations
