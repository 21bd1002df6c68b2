"""What others wrote, and no reader stumbles over: each kind of fault that hostile files have found, in several forms.

The seeds are of `tests.benchmarks.hostile`, which finds more of them.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pystac
import pytest
import rasterio
import shapely
import xarray
from affine import Affine
from rasterio.crs import CRS

from eotasks.area import read_area, read_patch_grid
from eotasks.catalogue.fields import cloud_cover_of, time_of
from eotasks.catalogue.items import footprint_of
from eotasks.catalogue.request import area_of, interval_of
from eotasks.documents import parse_json, parse_json_object, parse_toml
from eotasks.eopatches.load import LoadSavedEOPatchTask, eopatch_info, is_complete, load_eopatch
from eotasks.eopatches.marker import MARKER, parse_marker
from eotasks.errors import (
    ConfigurationError,
    ImageryError,
    ModelError,
    StorageError,
)
from eotasks.imagery.files.location import checked_name
from eotasks.imagery.files.origin import Origin
from eotasks.imagery.grid import Grid, parse_crs
from eotasks.imagery.pixels.raster import bounds_in
from eotasks.imagery.products.acquisition import Acquisition, checked, parse_sidecar
from eotasks.imagery.products.metadata import parse_product_name, read_product_metadata, read_tile_metadata
from eotasks.imagery.products.open import describe_product
from eotasks.imagery.products.stac import describe_item, read_item
from eotasks.limits import RECORD_BYTES
from eotasks.models.landcover.card import ModelCard, iso
from eotasks.reference.labels import LabelGrid, class_ids, rasterize_polygons, read_polygons, read_raster_labels
from eotasks.sources.sentinelhub.client import milliseconds
from eotasks.sources.sentinelhub.statistics import rows_of
from eotasks.storage.lease import LEASE_FILE, hold_lease
from eotasks.storage.place import Place
from eotasks.text import excerpt, whole_number
from eotasks.times import naive_utc, parse_time
from eotasks.workflows.cloud_mask.files import MaskFiles
from eotasks.workflows.evaluate_clouds.labels import SCENE_FILE, read_scene_facts
from eotasks.workflows.evaluate_clouds.results import METRICS, claim_results
from eotasks.workflows.land_cover.claim import CONFIG_FILE, INPUTS_FILE, check_place
from eotasks.workflows.land_cover.config_file import DEFAULT_CONFIG, parse_config, render_toml
from eotasks.xarray import from_xarray
from eotasks.xarray.notes import META_INFO
from tests.builders.eopatches import make_eopatch
from tests.builders.stac_items import make_item
from tests.builders.tile import _product_metadata, _tile_metadata
from tests.hostile.refusals import OUTSIDE, refuses

AFAR = Origin.of("https://a.example/i.json")
DEEP = 100_000
NESTED = {
    "lists": "[" * DEEP + "]" * DEEP,
    "objects": '{"a":' * DEEP + "1" + "}" * DEEP,
    "cut off": "[" * DEEP,
    "below Python's own limit": "[" * 900 + "]" * 900,
}

EARLY = parse_time("0001-01-01")
NO_DIGITS = ("²", "٣", "①", "9" * 5000, "+1", "1_0", " 1", "")
ITEM: dict[str, Any] = {
    "type": "Feature",
    "id": "S2A_MSIL2A_20240501T100000_N0510_R065_T33UUU_20240501T120000",
    "properties": {"datetime": "2024-05-01T10:00:00Z", "platform": "sentinel-2a", "s2:processing_baseline": "05.10"},
    "assets": {
        band: {"href": f"./{band}.tif", "type": "image/tiff", "raster:scale": 0.0001, "raster:offset": -0.1}
        for band in ("B02", "B03")
    },
}
SIDECAR = {"version": 1, "time": "2024-05-01T10:00:00Z", "satellite": "S2A", "tile": "33UUU"}


def item(**changes: Any) -> dict[str, Any]:
    """The item with other properties."""
    return {**ITEM, "properties": ITEM["properties"] | changes}


def scaled(**changes: Any) -> dict[str, Any]:
    """The item whose bands say something else of their numbers."""
    return ITEM | {"assets": {band: asset | changes for band, asset in ITEM["assets"].items()}}


def test_the_sound_item_is_read() -> None:
    acquisition = describe_item(ITEM, AFAR).acquisition
    assert (acquisition.offset_of("B02"), acquisition.quantification) == (-1000, 10_000)


@pytest.mark.parametrize("text", NESTED.values(), ids=NESTED)
def test_nesting_of_a_hundred_thousand(text: str, tmp_path: Path) -> None:
    """In every document that is read as JSON or TOML."""
    file = tmp_path / "item.json"
    file.write_text(text)
    refuses(lambda: read_item(str(file), Origin.of(file)), "item.json")
    refuses(lambda: ModelCard.from_json(text))
    refuses(lambda: parse_marker(text.encode(), "marker"), "marker")
    refuses(lambda: parse_sidecar(text.encode(), "sidecar"), "sidecar")
    refuses(lambda: parse_config(f"a = {text}"))
    refuses(lambda: from_xarray(xarray.Dataset(attrs={META_INFO: text})))
    (tmp_path / SCENE_FILE).write_text(f"time = {text}")
    refuses(lambda: read_scene_facts(tmp_path), SCENE_FILE)
    (tmp_path / METRICS).write_text(text)
    refuses(lambda: claim_results(tmp_path))
    (tmp_path / LEASE_FILE).write_text(text)
    with pytest.raises(StorageError, match="another version of eotasks"), hold_lease(Place(tmp_path), "test"):
        pass


def test_tables_of_toml_by_a_hundred_thousand_dots() -> None:
    """No bracket in it, and the reader of Python takes it."""
    refuses(lambda: parse_config(".".join("a" * 500) + " = 1"), "levels of nesting")


@pytest.mark.parametrize("name", ["bbox.geojson", "timestamps.json", "meta_info/SIMULATED.json"])
@pytest.mark.parametrize(
    "content", [*NESTED.values(), "null", "{}", "[1]", '["x"]', json.dumps(OUTSIDE[:1] * 2), "NaN", '"\\ud800"']
)
def test_documents_of_an_eopatch_that_are_none(tmp_path: Path, name: str, content: str) -> None:
    """Refused, or an honest value of meta information."""
    make_eopatch().save(str(tmp_path / "p"))
    for packed in (tmp_path / "p").rglob(f"{name}*"):
        packed.unlink()
    file = tmp_path / "p" / name
    file.write_text(content)
    if name.startswith("meta_info") and content not in (*NESTED.values(), '"\\ud800"'):
        assert load_eopatch(Place(tmp_path), "p")
        return
    refuses(lambda: load_eopatch(Place(tmp_path), "p"))


def test_a_generation_that_is_not_there(tmp_path: Path) -> None:
    place = Place(tmp_path)
    for files in ({}, {"bbox.geojson": {"size": 1, "sha256": "0" * 64}}):
        marker = {"version": 1, "generation": ".gen-000000000000", "files": files}
        place.write_bytes(f"p/{MARKER}", json.dumps(marker).encode())
        refuses(lambda: load_eopatch(place, "p"))
        refuses(lambda: eopatch_info(place, "p"))
        refuses(lambda: LoadSavedEOPatchTask(place).execute(name="p"))
        is_complete(place, "p")


@pytest.mark.parametrize("name", ["x" * 300, "é" * 200, "a/" * 600 + "b"], ids=["long", "bytes", "deep"])
def test_files_of_an_eopatch_with_names_that_no_disk_has(tmp_path: Path, name: str) -> None:
    place = Place(tmp_path)
    marker = {"version": 1, "generation": ".gen-000000000000", "files": {name: {"size": 1, "sha256": "0" * 64}}}
    place.write_bytes(f"p/{MARKER}", json.dumps(marker).encode())
    refuses(lambda: load_eopatch(place, "p"), "no name of a file")


@pytest.mark.parametrize(
    "changed",
    [{"generation": name} for name in (".gen-\0", ".gen-" + "x" * 5000, ".gen-a/../b", ".gen-\ud800", ".gen-", 5, None)]
    + [{"files": value} for value in (None, [], {"a": None}, {"a": {"size": 1e400, "sha256": ""}})]
    + [{"version": value} for value in (None, "x", [], 1e400, 10**4000)],
)
def test_markers_of_other_types(changed: dict[str, Any]) -> None:
    sound = {"version": 1, "generation": ".gen-000000000000", "files": {}}
    refuses(lambda: parse_marker(json.dumps(sound | changed).encode(), "marker"), "marker")


@pytest.mark.parametrize("text", OUTSIDE)
def test_years_before_1_and_after_9999(text: str, tmp_path: Path) -> None:
    """Wherever a time with a zone is read."""
    time = dt.datetime.fromisoformat(text)
    for read in (naive_utc, interval_of, iso):
        refuses(lambda read=read: read((time, None) if read is interval_of else time))  # type: ignore[misc]
    with pytest.raises(ValueError, match="no year"):
        parse_time(text)
    refuses(lambda: describe_item(item(datetime=text), AFAR), "no time")
    refuses(lambda: describe_item(item(**{"s2:generation_time": text}), AFAR), "no time")
    refuses(lambda: parse_sidecar(json.dumps(SIDECAR | {"time": text}).encode(), "sidecar"))
    product = _product_metadata((192, 192)).replace("2017-02-16T10:21:01.026Z", text)
    refuses(lambda: read_product_metadata(product.encode(), "product"), "product")
    tile = _tile_metadata((192, 192)).replace("2017-02-16T10:21:01.026Z", text)
    refuses(lambda: read_tile_metadata(tile.encode(), "tile"), "tile")
    found = make_item("a")
    found.datetime = time
    refuses(lambda: time_of(found))
    answer = {"data": [{"interval": {"from": text, "to": text}, "outputs": {}}]}
    refuses(lambda: list(rows_of(answer, "statistics")), "statistics")
    (tmp_path / SCENE_FILE).write_text(f"time = {text}")
    refuses(lambda: naive_utc(read_scene_facts(tmp_path).time or time))


def test_years_in_which_no_satellite_flew() -> None:
    for year in (1, 1900, 9999):
        refuses(lambda year=year: describe_item(item(datetime=f"{year:04}-05-01T10:00:00"), AFAR), "year")  # type: ignore[misc]


@pytest.mark.parametrize("text", NO_DIGITS)
def test_digits_that_are_none(text: str) -> None:
    assert whole_number(text) is None
    product = _product_metadata((192, 192)).replace('band_id="3"', f'band_id="{text}"')
    refuses(lambda: read_product_metadata(product.encode(), "product"), "none of 0 to 12")
    assert milliseconds(text, 7.0) >= 0
    classes = {"classes": {text: "Forest"}, "kind": "raster", "path": "labels.tif"}
    config = DEFAULT_CONFIG.read_text().partition("[reference]")[0]
    lines = [f"{key} = {json.dumps(value)}" for key, value in classes.items() if key != "classes"]
    table = f"[reference.classes]\n{json.dumps(text)} = 'Forest'\n"
    refuses(lambda: parse_config(f"{config}\n[reference]\n" + "\n".join(lines) + f"\n{table}"))


NO_SCALES = (
    float("nan"),
    float("inf"),
    5e-324,
    1e-300,
    1e308,
    1e18,
    10**400,
    0,
    -0.0001,
    True,
    "0.0001",
    "many",
    [],
    1,
)


@pytest.mark.parametrize("value", NO_SCALES, ids=lambda value: str(value)[:10])
def test_scales_that_no_sensor_has(value: Any) -> None:
    """Absurd but finite ones made all values 0 or 65535."""
    for changed in ({"raster:scale": value}, {"raster:bands": [{"scale": value}], "raster:scale": None}):
        refuses(lambda changed=changed: describe_item(scaled(**changed, **{"raster:offset": None}), AFAR))  # type: ignore[misc]


@pytest.mark.parametrize("value", [v for v in NO_SCALES if v not in (0, 5e-324, 1e-300, -0.0001, 1)], ids=str)
def test_offsets_that_no_sensor_has(value: Any) -> None:
    refuses(lambda: describe_item(scaled(**{"raster:offset": value}), AFAR))


@pytest.mark.parametrize(
    "changed",
    [
        {"quantification": 1e-300}, {"quantification": 1e18}, {"quantification": float("nan")},
        {"radio_add_offset": 10**18}, {"offsets": {"B02": -(10**6)}}, {"saturated": 0}, {"saturated": 2**40},
        {"cloud_cover": 101.0}, {"cloud_cover": -1.0}, {"cloud_cover": float("nan")}, {"relative_orbit": 10**9},
        {"sun_zenith": float("inf")}, {"sun_azimuth": 1e300}, {"footprint": ((0.0, 91.0),)},
        {"footprint": ((float("nan"), 0.0),)}, {"time": EARLY}, {"generation_time": EARLY},
    ],
    ids=str,
)  # fmt: skip
def test_what_no_acquisition_says(changed: dict[str, Any]) -> None:
    sound = {"time": parse_time("2024-05-01"), "satellite": "S2A", "tile": "33UUU"}
    edges = {"cloud_cover": 100.0, "offsets": {"B02": -1000, "B03": 0}, "sun_zenith": 0.0, "relative_orbit": 143}
    assert checked(Acquisition(**sound, **edges), "P").cloud_cover == 100.0  # type: ignore[arg-type]
    refuses(lambda: checked(Acquisition(**sound | changed), "P"), "P: ")  # type: ignore[arg-type]


@pytest.mark.parametrize("cover", ["many", "50", 101, -3, float("nan"), float("inf"), 10**400, [], {}, True], ids=repr)
def test_cloud_cover_that_is_none(cover: Any) -> None:
    refuses(lambda: describe_item(item(**{"eo:cloud_cover": cover}), AFAR))
    refuses(lambda: cloud_cover_of(make_item("a", cloud=cover)), "eo:cloud_cover")


BUILDING_SITE = 'LOCAL_CS["building site",UNIT["metre",1]]'
"""A coordinate system that none leads to; rasterio raises an error there that is none of its own kind."""


def test_coordinate_systems_of_no_place(tmp_path: Path) -> None:
    refuses(lambda: parse_crs(BUILDING_SITE), "no place on Earth")
    grid = LabelGrid("EPSG:32633", (0, 0, 100, 100), (10, 10))
    raster, vector = tmp_path / "labels.tif", tmp_path / "labels.gpkg"
    profile = {"driver": "GTiff", "count": 1, "height": 9, "width": 9, "dtype": "uint8", "crs": BUILDING_SITE}
    with rasterio.open(raster, "w", transform=Affine(10, 0, 0, 0, -10, 90), **profile) as target:
        target.write(np.ones((1, 9, 9), np.uint8))
    refuses(lambda: read_raster_labels(raster, grid), "labels.tif")
    refuses(lambda: bounds_in(Grid("EPSG:32633", 0, 0, 10, 9, 9), CRS.from_wkt(BUILDING_SITE)))
    frame = gpd.GeoDataFrame({"class": [1]}, geometry=[shapely.box(0, 0, 10, 10)], crs=BUILDING_SITE)
    frame.to_file(vector, engine="pyogrio")
    refuses(lambda: read_polygons(vector, grid, column="class"), "labels.gpkg")
    refuses(lambda: rasterize_polygons(frame, np.ones(1, np.uint8), grid))


def test_names_of_products_with_a_month_13() -> None:
    assert parse_product_name(ITEM["id"]) is not None
    assert parse_product_name(ITEM["id"].replace("20240501T100000", "20241301T100000")) is None
    assert parse_product_name(ITEM["id"].replace("20240501T120000", "20240501T250000")) is None
    refuses(lambda: describe_item(item(**{"s2:datatake_id": "GS2A_20241301T100000_046000_N05.10"}), AFAR), "no time")


@pytest.mark.parametrize("text", ['"\\ud800"', '{"a": "\\udcff"}', '{"\\u0000": 1}', '["a\\u0000"]', b'"\xed\xa0\x80"'])
def test_characters_that_no_text_has(text: str | bytes) -> None:
    """Halves of characters and NUL fail where a name becomes a file or is printed."""
    with pytest.raises(ImageryError):
        parse_json(text, ImageryError)
    assert parse_json('["\\ud83d\\ude00", "\\\\u0000", "ä"]', ImageryError) == ["😀", "\\u0000", "ä"]


@pytest.mark.parametrize("text", ["", "[1", "1" + "0" * 5000, b"\xff\xfe", "\x00", "{'a': 1}", '{"a": 1} 2'])
def test_documents_that_are_none(text: str | bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    refuses(lambda: parse_json(text, ImageryError), "no JSON")
    refuses(lambda: parse_json_object("[]", ImageryError), "no JSON object")
    refuses(lambda: parse_toml(b"a = " + (text if isinstance(text, bytes) else text.encode()) + b" x", ImageryError))
    monkeypatch.setenv(RECORD_BYTES.variable, "10")
    refuses(lambda: parse_json("[" + "1, " * 5 + "1]", ImageryError), RECORD_BYTES.variable)


@pytest.mark.parametrize("key", ["metrics", "parameters"])
@pytest.mark.parametrize("value", ["NaN", "1e400", "[-Infinity]"])
def test_cards_that_cannot_be_written_again(key: str, value: str) -> None:
    card = {
        "version": 1, "feature_names": ["a"], "dates": ["2019-01-01"], "simulated": False, "seed": 1,
        "classes": [{"id": n, "name": str(n), "color": "#000000"} for n in (1, 2)], "sha256": "0" * 64,
    }  # fmt: skip
    assert ModelCard.from_json(json.dumps(card)).seed == 1
    text = json.dumps(card | {key: {"a": 1}}).replace('{"a": 1}', f'{{"a": {value}}}')
    with pytest.raises(ModelError, match="NaN or infinity"):
        ModelCard.from_json(text)


@pytest.mark.parametrize("content", [b"[]", b"null", b"\xff", b'"x"', b"1e400", b"{"])
def test_checksums_of_inputs_that_are_none(tmp_path: Path, content: bytes) -> None:
    config = parse_config(DEFAULT_CONFIG.read_text())
    (tmp_path / CONFIG_FILE).write_text(render_toml(config))
    (tmp_path / INPUTS_FILE).write_bytes(content)
    with pytest.raises(ConfigurationError, match=INPUTS_FILE):
        check_place(Place(tmp_path), config)
    (tmp_path / CONFIG_FILE).write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match=CONFIG_FILE):
        check_place(Place(tmp_path), config)


def test_names_of_inputs_of_a_hundred_thousand_characters(tmp_path: Path) -> None:
    config = parse_config(DEFAULT_CONFIG.read_text())
    (tmp_path / CONFIG_FILE).write_text(render_toml(config))
    (tmp_path / INPUTS_FILE).write_text(json.dumps({f"{number}{'x' * 100_000}": "0" for number in range(20)}))
    refuses(lambda: check_place(Place(tmp_path), config), "more changed")


@pytest.mark.parametrize("shares", [{}, {"cloud": "x"}, {"other": 1.0}, {"cloud": 1.0, "shadow": None}])
def test_records_of_masks_with_other_shares(tmp_path: Path, shares: dict[str, Any]) -> None:
    record = {"version": 1, "complete": True, "eotasks": "1", "product": "P", "settings": {}, "inputs": {}, "files": {}}
    files = MaskFiles(Place(tmp_path), "P")
    (tmp_path / files.record).write_text(json.dumps(record | {"shares": shares}))
    with pytest.raises(ConfigurationError, match="no complete record"):
        files.shares()


@pytest.mark.parametrize("location", [5, None, 1.5, b"x", ["a"]])
def test_locations_that_are_none(location: Any) -> None:
    """An asset of an item may have any href."""
    if not isinstance(location, bytes):
        refuses(lambda: describe_product(location), "no location")
    found: pystac.Item = make_item("a")
    found.assets["eotasks:product"].href = location
    with pytest.raises((ImageryError, TypeError) if isinstance(location, bytes) else ImageryError):
        describe_product(found.assets["eotasks:product"].href)


def geojson(*coordinates: object, **properties: Any) -> str:
    """Polygons in UTM zone 33."""
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32633"}}
    shapes = [{"type": "Polygon", "coordinates": each} for each in coordinates]
    features = [{"type": "Feature", "properties": properties, "geometry": shape} for shape in shapes]
    return json.dumps({"type": "FeatureCollection", "crs": crs, "features": features})


@pytest.mark.parametrize(
    "coordinates",
    [
        [[[1e300, 5], [1e301, 0], [1, 1], [1e300, 5]]],
        [[[1, 1]]],
        [],
        [[[float("inf"), 1], [2, 1], [2, 2], [float("inf"), 1]]],
    ],
)
def test_areas_that_are_no_places(tmp_path: Path, coordinates: object) -> None:
    file = tmp_path / "area.geojson"
    for text in (geojson(coordinates), geojson(coordinates).replace("32633", "4326")):
        file.write_text(text)
        refuses(lambda: read_area(file=file, buffer=10))
        refuses(lambda: read_patch_grid(file, 10))


@pytest.mark.filterwarnings("ignore:Could not parse column")
@pytest.mark.parametrize("row", ["²", "many", 1e300])
def test_rows_of_a_grid_that_are_no_numbers(tmp_path: Path, row: Any) -> None:
    ring = [[300000, 5800000], [301000, 5800000], [301000, 5801000], [300000, 5801000], [300000, 5800000]]
    file = tmp_path / "grid.geojson"
    file.write_text(geojson([ring], row=0))
    assert len(read_patch_grid(file, 10)) == 1
    file.write_text(geojson([ring], row=row))
    refuses(lambda: read_patch_grid(file, 10))


@pytest.mark.filterwarnings("ignore:invalid value", "ignore:overflow")
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e308], ids=str)
def test_areas_of_searches_that_are_no_places(value: float) -> None:
    for kind, corners in (
        ("Polygon", [[[value, 1], [2, 1], [2, 2], [value, 1]]]),
        ("MultiPolygon", [[[[1, 1], [value, value], [2, 2], [1, 1]]], [[[1, 1], [1, 2], [value, 2], [1, 1]]]]),
    ):
        shape = {"type": kind, "coordinates": corners}
        refuses(lambda shape=shape: area_of(None, shape, "EPSG:4326"))  # type: ignore[misc]


@pytest.mark.parametrize("value", [[1], {"a": 1}, [[]]], ids=str)
def test_labels_that_are_lists_or_objects(value: object) -> None:
    refuses(lambda: class_ids(pd.Series([value, value]), None, "column 'class'"), "column 'class'")


@pytest.mark.parametrize("name", ["x" * 100_000, "y\\n" * 1000])
def test_names_of_a_hundred_thousand_characters_are_not_repeated(name: str) -> None:
    refuses(lambda: ModelCard.from_json(json.dumps({"version": 1, name: 1})))
    refuses(lambda: parse_sidecar(json.dumps(SIDECAR | {name: 1}).encode(), "sidecar"))
    refuses(lambda: parse_config("\n".join(f"{json.dumps(f'{name}{number}')} = 1" for number in range(5))))
    refuses(lambda: parse_config("\n".join(f"key{number} = 1" for number in range(5000))), "and 49")
    refuses(lambda: checked_name(f"../{name}", "P"), "leads out")
    refuses(lambda: class_ids(pd.Series([name, "a"]), {"b": 1}, "labels"), "labels")


def test_footprints_that_are_no_polygon() -> None:
    """GEOS fails on rings that cross themselves where they cross the antimeridian."""
    ring = ((-200.0, 1.0), (170.0, 1e-300), (12.0, 90.0), (-200.0, 89.0), (200.0, -90.0), (-200.0, 1.0))
    sound = Acquisition(parse_time("2024-05-01"), "S2A", "33UUU")
    for corners in (ring, ring[::-1], (ring[0],) * 4, ring[:4] + ring[:1]):
        with contextlib.suppress(ImageryError):
            assert footprint_of(replace(sound, footprint=corners), {}).is_valid


def test_excerpts_of_values_are_short() -> None:
    assert excerpt({"a": 1}) == "{'a': 1}"
    assert excerpt(10**5000) == "a int"
    assert len(excerpt("x" * 10**6)) == 40
