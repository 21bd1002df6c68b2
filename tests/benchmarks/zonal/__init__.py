"""Field statistics against rasterstats, and a run of ten thousand fields."""

from __future__ import annotations
