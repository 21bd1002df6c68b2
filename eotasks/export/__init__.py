"""Maps as Cloud Optimized GeoTIFF."""

from __future__ import annotations
