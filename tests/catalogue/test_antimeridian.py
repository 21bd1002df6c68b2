"""Items over the antimeridian are found on both sides and nowhere else, whoever wrote them and in whatever form."""

from __future__ import annotations

import datetime as dt
import json
import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pystac
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import box, mapping, shape
from shapely.geometry.base import BaseGeometry

from eotasks.catalogue import Catalogue, StacApi
from eotasks.catalogue.foreign import PlacesReader
from eotasks.errors import ImageryError
from eotasks.workflows.cli import main
from tests.builders.geometry.places import FORMS, Corners
from tests.builders.stac_items import make_item
from tests.servers.stac import StacServer

FIJI = [(179.1, -17.2), (180.3, -17.2), (180.3, -16.2), (179.1, -16.2)]
SEARCHES: Mapping[str, tuple[tuple[float, float, float, float], bool]] = {
    "east of it": ((179.3, -17, 179.5, -16.8), True),
    "west of it": ((-179.9, -17, -179.8, -16.8), True),
    "over it": ((179.9, -17, -179.9, -16.8), True),
    "over it, beyond 180": ((179.9, -17, 180.1, -16.8), True),
    "over it, beyond -180": ((-180.1, -17, -179.9, -16.8), True),
    "from 0 to 360": ((180.1, -17, 180.2, -16.8), True),
    "beside it": ((179.95, -15, -179.95, -14), False),
    "Greenwich": ((0, -17, 1, -16.8), False),
    "Australia": ((130, -17, 131, -16.8), False),
    "all around but there": ((-179, -90, 179, 90), False),
}


def foreign_file(path: Path, places: Mapping[str, BaseGeometry], *, bbox: str | None) -> Catalogue:
    """A GeoParquet file of others; `bbox` as a map has it ("planar"), as RFC 7946 does ("rfc"), or no such column."""
    rows: list[dict[str, Any]] = []
    for name, place in places.items():
        row = {
            "type": "Feature", "stac_version": "1.0.0", "id": name, "geometry": shapely.to_wkb(place),
            "datetime": dt.datetime(2024, 1, 20, tzinfo=dt.UTC), "grid:code": "MGRS-1KAB", "platform": "sentinel-2a",
            "assets": {"B02": {"href": "x.tif"}},
        }  # fmt: skip
        if bbox is not None:
            west, south, east, north = place.bounds
            if bbox == "rfc" and east - west > 180:
                sides = [part.bounds for part in shapely.get_parts(place)]
                west, east = max(side[0] for side in sides), min(side[2] for side in sides)
            row["bbox"] = {"xmin": west, "ymin": south, "xmax": east, "ymax": north}
        rows.append(row)
    geo = {
        "version": "1.1.0",
        "primary_column": "geometry",
        "columns": {"geometry": {"encoding": "WKB", "geometry_types": []}},
    }
    pq.write_table(pa.Table.from_pylist(rows).replace_schema_metadata({b"geo": json.dumps(geo).encode()}), path)
    return Catalogue(path)


def own_file(path: Path, places: Mapping[str, BaseGeometry]) -> Catalogue:
    catalogue = Catalogue(path)
    catalogue.add([make_item(name, place) for name, place in places.items()])
    return catalogue


FILES: Mapping[str, Callable[[Path, Mapping[str, BaseGeometry]], Catalogue]] = {
    "ours": own_file,
    "of others": lambda path, places: foreign_file(path, places, bbox=None),
    "of others, boxes as on a map": lambda path, places: foreign_file(path, places, bbox="planar"),
    "of others, boxes by RFC 7946": lambda path, places: foreign_file(path, places, bbox="rfc"),
}


def found(catalogue: Catalogue | StacApi, extent: tuple[float, float, float, float]) -> list[str]:
    return sorted(item.id for item in catalogue.search(bbox=extent))


@pytest.mark.parametrize("file", FILES)
def test_found_on_both_sides_and_nowhere_else(file: str, tmp_path: Path) -> None:
    catalogue = FILES[file](tmp_path / "c.parquet", {name: form(FIJI) for name, form in FORMS.items()})
    for what, (extent, there) in SEARCHES.items():
        assert found(catalogue, extent) == (sorted(FORMS) if there else []), what


@pytest.mark.parametrize("file", FILES)
def test_items_come_out_in_the_form_of_rfc_7946(file: str, tmp_path: Path) -> None:
    catalogue = FILES[file](tmp_path / "c.parquet", {name: form(FIJI) for name, form in FORMS.items()})
    parts = shapely.MultiPolygon([box(179.1, -17.2, 180, -16.2), box(-180, -17.2, -179.7, -16.2)])
    for item in catalogue.search():
        assert item.bbox == pytest.approx([179.1, -17.2, -179.7, -16.2]), item.id
        assert shape(item.geometry).symmetric_difference(parts).area < 1e-9, item.id


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(sorted(FILES)))
def test_a_search_by_box_equals_looking_at_points(seed: int, file: str) -> None:
    """Items have whole degrees, boxes halves: they meet where they share a quarter."""
    rng = random.Random(seed)
    places, inside = {}, {}
    for index in range(60):
        west, south = rng.choice([rng.randint(-180, 179), rng.randint(170, 179)]), rng.randint(-89, 85)
        east, north = west + rng.randint(1, 12), south + rng.randint(1, 4)
        corners: Corners = [(west, south), (east, south), (east, north), (west, north)]
        name = f"I{index:02}"
        places[name] = FORMS[rng.choice(sorted(FORMS))](corners)
        x, y = np.meshgrid(np.arange(west + 0.25, east, 0.5), np.arange(south + 0.25, north, 0.5))
        inside[name] = x, y
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("eotasks.catalogue.table.ROWS_OF_GROUP", 7)
        catalogue = FILES[file](Path(folder) / "c.parquet", places)
        for _ in range(4):
            west, south = rng.choice([rng.randint(-180, 179), 175]) + 0.5, rng.randint(-90, 60) + 0.5
            wide, high = rng.choice([1, 5, 20, 100, 250]), rng.choice([1, 5, 29])
            expected = [
                name
                for name, (x, y) in inside.items()
                if (((x - west) % 360 < wide) & (y > south) & (y < south + high)).any()
            ]
            east = west + wide if west + wide <= 180 else west + wide - 360
            for extent in ((west, south, east, south + high), (west + 360, south, west + wide + 360, south + high)):
                assert found(catalogue, extent) == expected, extent


def test_one_item_of_a_foreign_file_lies_beyond_the_pole(tmp_path: Path) -> None:
    catalogue = foreign_file(tmp_path / "c.parquet", {"A": box(0, 0, 1, 1), "B": box(0, 119, 1, 120)}, bbox=None)
    with pytest.raises(ImageryError, match=r"row 1: .*latitude 120"):
        catalogue.search(bbox=(0, 0, 1, 1))


def test_the_summary_goes_over_the_antimeridian(tmp_path: Path) -> None:
    for file, make in FILES.items():
        catalogue = make(tmp_path / f"{sorted(FILES).index(file)}.parquet", {"A": FORMS["split"](FIJI)})
        assert catalogue.summary().bounds == pytest.approx((179.1, -17.2, -179.7, -16.2)), file


@pytest.fixture
def server() -> Iterator[StacServer]:
    """Gives all items to every question, as servers do that take a jump for the long way round."""
    items = [_as_served(make_item(name, form(FIJI))) for name, form in FORMS.items()]
    running = StacServer(items)
    running.thread.start()
    yield running
    running.close()


def _as_served(item: pystac.Item) -> dict[str, Any]:
    fields = item.to_dict(include_self_link=False)
    return {**fields, "collection": "sentinel-2-l1c", "bbox": [-180, -17.2, 180, -16.2]}


def test_what_a_stac_api_answers_is_filtered(server: StacServer, monkeypatch: pytest.MonkeyPatch) -> None:
    everything = server.answer
    monkeypatch.setattr(server, "answer", lambda path, query: everything(path, {**query, "intersects": None}))
    api = StacApi(server.url)
    for what, (extent, there) in SEARCHES.items():
        assert found(api, extent) == (sorted(FORMS) if there else []), what
    for item in api.search(bbox=(179.9, -17, -179.9, -16.8)):
        assert item.bbox == pytest.approx([179.1, -17.2, -179.7, -16.2]), item.id
        assert item.geometry["type"] == "MultiPolygon"


def test_the_command_prints_bounding_boxes_of_rfc_7946(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "c.parquet"
    own_file(file, {"A": FORMS["with jumps"](FIJI), "B": box(0, 0, 1, 1)})
    options = ["catalogue", "search", "--catalogue", str(file), "--json"]
    for west, east in (("179.95", "-179.95"), ("179.95", "180.05")):
        assert main([*options, "--bbox", west, "-17", east, "-16.5"]) == 0
        printed = json.loads(capsys.readouterr().out)
        assert [each["bbox"] for each in printed["features"]] == [[179.1, -17.2, -179.7, -16.2]]
        assert mapping(shape(printed["features"][0]["geometry"]))["type"] == "MultiPolygon"


def test_places_that_are_stored_once_for_many_rows(tmp_path: Path) -> None:
    """As columns with dictionaries have them, with rows that have none."""
    places = [shapely.to_wkb(FORMS["with jumps"](FIJI)), shapely.to_wkb(box(0, 0, 1, 1))]
    column = pa.DictionaryArray.from_arrays(pa.array([1, 0, None, 0, 1]), pa.array(places, pa.binary()))
    reader = PlacesReader("c.parquet")
    for _ in range(2):
        reader.add(pa.record_batch([column], ["geometry"]))
    found = reader.places()
    assert sorted(found.foreign) == [1, 3, 6, 8]
    assert found.foreign[1] is found.foreign[3]
    assert found.bounds == pytest.approx((0, -17.2, -179.7, 1))  # the widest gap is that to the east of Fiji


def test_foreign_places_have_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue = foreign_file(tmp_path / "c.parquet", dict.fromkeys("ABC", FORMS["with jumps"](FIJI)), bbox=None)
    size = Path(catalogue.location).stat().st_size
    monkeypatch.setenv("EOTASKS_MAX_CATALOGUE_BYTES", str(size))
    monkeypatch.setattr("eotasks.catalogue.foreign._BYTES", size)
    with pytest.raises(ImageryError, match=r"in a form of others of more than .* catalogue bytes"):
        catalogue.search(bbox=(0, 0, 1, 1))
