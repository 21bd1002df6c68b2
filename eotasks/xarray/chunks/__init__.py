"""Work on blocks of bands, by dask chunk by chunk."""

from __future__ import annotations
