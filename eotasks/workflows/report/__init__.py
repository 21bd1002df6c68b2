"""What every report shares: the page, maps, style, units."""

from __future__ import annotations
