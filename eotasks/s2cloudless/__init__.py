"""In place of the package s2cloudless 1.7.3: the same names, signatures and numbers, run by the tree engine.

``from eotasks.s2cloudless import S2PixelCloudDetector`` is the only line of a program that changes. The modules here
have the names of those that they stand for. What is answered differently: nothing. What is said besides: input that
s2cloudless answers wrongly and without a word gets a typed warning (``eotasks.s2cloudless.suspect``).
"""

from __future__ import annotations

import lazy_loader

__version__ = "1.7.3"
"""Of s2cloudless, whose interface this is."""

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
