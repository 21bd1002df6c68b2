"""The tests mirror the package; `builders` and `servers` hold what several of them need."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The checkout."""
