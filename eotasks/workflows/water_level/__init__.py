"""`eotasks water-level`: levels of lakes and reservoirs, from pixels to table, pictures and report."""

from __future__ import annotations
