"""Polygons to begin with: meadows and farmland of the embedded scene, as OpenStreetMap has them."""

from __future__ import annotations

import geopandas as gpd

from eotasks.sources.sample import sample_reference_path
from eotasks.zonal.polygons import Polygons, polygons_of

_MOST = 60
_CLASSES = ("meadow", "farm")


def demo_fields() -> Polygons:
    """The largest fields of the embedded land use, named by what they are: meadow 1, farm 1."""
    frame = gpd.read_file(sample_reference_path(), engine="pyogrio")
    fields = frame[frame["fclass"].isin(_CLASSES)].drop_duplicates("geometry")
    largest = fields.assign(order=-fields.area).sort_values(["order", "osm_id"]).head(_MOST)
    numbers = largest.groupby("fclass").cumcount() + 1
    names = [f"{kind} {number}" for kind, number in zip(largest["fclass"], numbers, strict=True)]
    return polygons_of(largest.assign(field=names), id_column="field", where="the embedded land use")
