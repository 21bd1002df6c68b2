"""From an area of interest to patches: boxes of a whole number of pixels, named by row and column."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
