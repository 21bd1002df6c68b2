"""What comes from others and means harm: nothing of it runs, opens what it may not, or takes the machine."""

from __future__ import annotations

CANARY = "canary7Zq"
"""Stands in every secret of these tests."""
