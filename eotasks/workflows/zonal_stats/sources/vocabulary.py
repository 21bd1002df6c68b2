"""What entries of the command line and the sources that they open both know."""

from __future__ import annotations

MASKS = {"is_data": ("IS_DATA", "--is-data"), "cloud_mask": ("CLM", "--cloud-mask"), "shadow": ("SHADOW", "--shadow")}
"""Masks of EOPatches by argument: their names in the project, and the options that name others."""

ACQUISITIONS = 24
"""Dates of a simulated year."""

RESOLUTION = 20.0
"""Metres of a pixel of its images."""
