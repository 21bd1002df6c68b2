"""Colours and words that all pictures share, whatever draws them."""

from __future__ import annotations

from datetime import datetime

INK = "#1d2124"
QUIET = "#6b757c"
RULE = "#dcdfdc"
NO_DATA_COLOR = "#e9ebea"
# Okabe and Ito's palette: safe for the common kinds of colour blindness.
BLUE, ORANGE, GREEN, VERMILION, SKY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9"


def day(time: datetime | None) -> str:
    """A date for captions: ``1 July 2017``."""
    return "" if time is None else f"{time.day} {time:%B %Y}"
