"""The packages of the extra ``eotasks[xarray]``, imported when they are needed."""

from __future__ import annotations

from typing import Any

from eotasks.errors import MissingDependencyError
from eotasks.extras import install_line


def xarray_package() -> Any:
    """xarray, with the ``.rio`` of rioxarray.

    :raises MissingDependencyError: one of them is not installed.
    """
    try:
        import rioxarray  # noqa: F401  # adds `.rio` to datasets
        import xarray
    except ImportError as error:
        raise MissingDependencyError(f"xarray or rioxarray is not installed: {install_line('xarray')}") from error
    return xarray


def is_lazy(array: object) -> bool:
    """Whether an array is dask's: known without importing dask, since whoever has one has imported it."""
    return type(array).__module__.partition(".")[0] == "dask"
