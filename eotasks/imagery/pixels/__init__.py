"""Pixels of image files, on any grid."""

from __future__ import annotations
