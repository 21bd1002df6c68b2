"""Pixels and statistics from Sentinel Hub: the commercial service, the Copernicus Data Space, or one of your own."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
