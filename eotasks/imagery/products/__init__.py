"""Products of Sentinel-2: from the files of a layout to rasters and metadata."""

from __future__ import annotations
