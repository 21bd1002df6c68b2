"""EOPatches in a place: complete or absent."""

from __future__ import annotations
