"""Land cover from Sentinel-2 as composable EOTasks: cloud masks, time series, validated maps.

Everything a workflow needs is importable from here, and nothing is imported before it is used (SPEC 1).
"""

from __future__ import annotations

import sys
import warnings
from typing import Any

import lazy_loader

# Pinned dependencies warn while they are imported, and whoever imports eotasks can do nothing about it. Each filter
# knows one warning by its message and by the module that gives it: the same call in another package shows, and so does
# anything else from these. They are set here because every import of ours, in workers too, passes here first, and set
# for good because the imports that need them run lazily, at any time and in any thread; `catch_warnings` around them
# would swap the list of filters under other threads. Where somebody has taken them out since (pytest does between
# tests), a name that is asked for sets them again, as long as what they are for is not imported.
_KEPT_BACK = (
    # pyfilesystem2 2.4, which eo-learn stands on, twice:
    ("fs", "pkg_resources is deprecated as an API", UserWarning, r"fs$"),
    (
        "fs",
        r"Deprecated call to `pkg_resources\.declare_namespace\('fs\b",
        DeprecationWarning,
        r"(fs|fs\.opener|pkg_resources)$",
    ),
    # geopandas 0.14, which eo-learn pins:
    ("geopandas", r"The 'shapely\.geos' module is deprecated", DeprecationWarning, r"geopandas\._compat$"),
)


def _keep_back_warnings() -> None:
    for package, message, category, module in _KEPT_BACK:
        if package not in sys.modules:
            warnings.filterwarnings("ignore", message, category, module)


_keep_back_warnings()
_getattr, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("eotasks")
    _keep_back_warnings()
    return _getattr(name)
