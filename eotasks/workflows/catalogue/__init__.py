"""`eotasks catalogue`: products found, kept in a GeoParquet file, searched."""

from __future__ import annotations
