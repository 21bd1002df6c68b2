"""Detectors beside each other: what the numbers are, and their picture."""

from __future__ import annotations
