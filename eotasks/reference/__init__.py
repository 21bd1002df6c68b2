"""Reference labels: from vectors and rasters to samples."""

from __future__ import annotations
