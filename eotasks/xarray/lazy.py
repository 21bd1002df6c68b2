"""Features of an EOPatch that dask computes when they are first looked at."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
from eolearn.core import EOPatch
from eolearn.core.eodata_io import FeatureIO
from numpy.typing import NDArray

from eotasks.errors import StorageError
from eotasks.features import Feature


class LazyFeature(FeatureIO[NDArray[Any]]):
    """An array of dask in the place of a feature that lies in storage: eo-learn loads both when they are asked for.

    Copies of the EOPatch share it unloaded; what looks at values (most tasks, saving) computes it, once.
    """

    def __init__(self, array: Any):
        self.array = array
        self.loaded_value: NDArray[Any] | None = None

    def __repr__(self) -> str:
        return f"LazyFeature({self.array.dtype} {self.array.shape})"

    @classmethod
    def get_file_extension(cls) -> str:
        """None: it lies in no file."""
        return ""

    def _load_value(self) -> NDArray[Any]:
        return np.ascontiguousarray(self.array.compute())

    @classmethod
    def save(cls, *_: Any, **__: Any) -> NoReturn:
        """Not to be had: features are saved by the values that they give.

        :raises StorageError: always.
        """
        raise StorageError("A lazy feature is saved by its values: save the EOPatch that holds it.")


def unloaded(eopatch: EOPatch, feature: Feature) -> Any | None:
    """The array of dask that a feature is as long as nobody has looked at it; else None."""
    value = eopatch[feature[0]]._get_unloaded(feature[1])
    return value.array if isinstance(value, LazyFeature) and value.loaded_value is None else None
