"""Levels of lakes and reservoirs from optical images: outlines, the task, and the table that comes of it."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
