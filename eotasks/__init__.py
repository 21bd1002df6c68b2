"""Land cover from Sentinel-2 as composable EOTasks: cloud masks, time series, validated maps.

Everything a workflow needs is importable from here, and nothing is imported before it is used (SPEC 1).
"""

from __future__ import annotations

from typing import Any

import lazy_loader

_getattr, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("eotasks")
    return _getattr(name)
