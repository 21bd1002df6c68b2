"""Cloud masks of xarray's arrays, lazy on dask's chunks, and EOPatches as datasets and back.

`cloud_probability`, `cloud_mask`, `cloud_shadow` and `valid_data` take bands as odc-stac, stackstac, rioxarray and the
Copernicus Data Space give them (docs/how-to-xarray.md). Needs the extra ``eotasks[xarray]``.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
