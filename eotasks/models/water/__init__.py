"""Surface water in one optical image: index, threshold, extent, level. Arrays and geometries."""

from __future__ import annotations
