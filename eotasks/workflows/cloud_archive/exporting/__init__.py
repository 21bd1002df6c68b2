"""An archive as others read it: a static STAC catalogue, and its items as GeoParquet.

The way of the data: masks of a tile and year -> items as they are shown (`items`, hrefs by `hrefs`) -> their files and
a table (`table`), then the catalogues above them (`tree`), the root last (`export`).
"""

from __future__ import annotations
