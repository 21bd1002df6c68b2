"""What scripts are told of their scenes, and when."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import shapely
import shapely.geometry

from eotasks.service.errors import TooLargeError
from eotasks.service.evalscript.isolate import Isolate
from eotasks.service.evalscript.planes import Pixels
from eotasks.service.pixels import order
from eotasks.service.pixels.order import with_bounds
from tests.builders.service.evalscripts import dn, scene, source


def script(mosaicking: str, rest: str) -> str:
    return (
        "//VERSION=3\nfunction setup() { return {input: ['B04'], output: {bands: 1},"
        f" mosaicking: '{mosaicking}'}}; }}\nfunction evaluatePixel(s) {{ return [1]; }}\n{rest}"
    )


def told(isolate: Isolate, text: str, **options: Any) -> Any:
    scenes = options.pop("scenes")
    given = source({"B04": dn(1, len(scenes), 1, 1)}, scenes, **options)
    return isolate.evaluate(text, Pixels(1, 1, (given,))).user_data


def test_orbits(isolate: Isolate) -> None:
    text = script(
        "ORBIT", "function updateOutputMetadata(s, i, out) { out.userData = {scenes: s, first: s[0].date, i}; }"
    )

    given = told(isolate, text, scenes=[scene(3, cloud_cover=12.5), scene(5)])

    first, second = given["scenes"]["orbits"]
    assert first["dateFrom"] == "2024-03-05T00:00:00Z"
    assert first["dateTo"] == "2024-03-05T23:59:59Z"
    assert first["tiles"][0]["date"] == "2024-03-05T10:06:07Z"
    assert first["tiles"][0]["cloudCoverage"] == 12.5
    assert first["tiles"][0]["dataPath"] == "S2A_20240305"
    assert isinstance(first["tiles"][0]["shId"], int)
    assert "cloudCoverage" not in second["tiles"][0]
    assert given["first"] == "2024-03-05T10:06:07.000Z"
    assert given["i"] == {"serviceVersion": "1.0.0", "normalizationFactor": 0.0001}


@pytest.mark.parametrize("mosaicking", ["ORBIT", "TILE"])
def test_where_products_have_data(isolate: Isolate, mosaicking: str) -> None:
    text = script(
        mosaicking,
        "var before; function preProcessScenes(c) { before = c.scenes; return c; }"
        "function updateOutputMetadata(s, i, out) { out.userData = {before, after: s}; }",
    ).replace("['B04']", "[{bands: ['B04'], metadata: ['bounds']}]")
    known, unknown = scene(3, mosaicking=mosaicking), scene(5, mosaicking=mosaicking)
    square = shapely.box(12, 52, 13, 53)
    known = replace(known, tiles=(replace(known.tiles[0], footprint=square),))

    given = told(isolate, text, scenes=with_bounds([known, unknown]))

    for each in given.values():
        tiles = each["tiles"] if mosaicking == "TILE" else [orbit["tiles"][0] for orbit in each["orbits"]]
        assert shapely.geometry.shape(tiles[0]["dataGeometry"]).equals(square)
        assert shapely.geometry.shape(tiles[0]["dataEnvelope"]).equals(square)
        assert tiles[0]["dataGeometry"]["crs"]["properties"]["name"].endswith("CRS84")
        assert not {"dataGeometry", "dataEnvelope"} & set(tiles[1])


def test_envelopes_are_cut_at_the_antimeridian() -> None:
    first = scene(3)
    parts = shapely.MultiPolygon([shapely.box(179.5, -17, 180, -16), shapely.box(-180, -17, -179, -16.5)])
    (found,) = with_bounds([replace(first, tiles=(replace(first.tiles[0], footprint=parts),))])
    told_of = json.loads(found.tiles[0].bounds or "")
    assert shapely.geometry.shape(told_of["dataGeometry"]).equals(parts)
    envelope = shapely.geometry.shape(told_of["dataEnvelope"])
    assert envelope.equals(shapely.union_all([shapely.box(179.5, -17, 180, -16), shapely.box(-180, -17, -179, -16)]))


def test_footprints_of_too_many_corners_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order, "MOST_CORNERS", 9)
    first = scene(3)
    square = replace(first, tiles=(replace(first.tiles[0], footprint=shapely.box(12, 52, 13, 53)),))
    assert len(with_bounds([square])) == 1
    with pytest.raises(TooLargeError, match="10 corners"):
        with_bounds([square, square])


def test_tiles(isolate: Isolate) -> None:
    text = script("TILE", "function updateOutputMetadata(s, i, out) { out.userData = [s.tiles, s.length, s.orbits]; }")

    tiles, count, orbits = told(isolate, text, scenes=[scene(3, mosaicking="TILE"), scene(5, mosaicking="TILE")])

    assert [each["date"] for each in tiles] == ["2024-03-05T10:06:07Z", "2024-05-05T10:06:07Z"]
    assert count == 2
    assert orbits is None


def test_hooks_remember_scenes_that_they_left_out(isolate: Isolate) -> None:
    """As the example of the documentation that lists products before and after filtering."""
    text = script(
        "TILE",
        "var before = []; function preProcessScenes(c) { before = c.scenes.tiles;"
        " c.scenes.tiles = c.scenes.tiles.filter(t => t.date > '2024-04'); return c; }"
        "function updateOutputMetadata(s, i, out) {"
        " out.userData = {before: before.map(t => t.date), after: s.tiles.map(t => t.date)}; }",
    )
    scenes = [scene(month, mosaicking="TILE") for month in (3, 4, 5)]
    kept = isolate.describe(text, [source({}, scenes)]).kept[0]

    given = told(isolate, text, scenes=[scenes[i] for i in kept], considered=scenes)

    assert kept == (1, 2)
    assert given["before"] == ["2024-03-05T10:06:07Z", "2024-04-05T10:06:07Z", "2024-05-05T10:06:07Z"]
    assert given["after"] == given["before"][1:]


def test_the_period_of_the_request(isolate: Isolate) -> None:
    text = script(
        "ORBIT",
        "var seen; function preProcessScenes(c) { seen = [c.from, c.to.getTime(), typeof c.scenes.orbits[0].dateFrom];"
        " return c; } function updateOutputMetadata(s, i, out) { out.userData = seen; }",
    )

    assert told(isolate, text, scenes=[scene(1)]) == ["2024-01-01T00:00:00.000Z", 1735689599000, "string"]


def test_update_output_gets_dates(isolate: Isolate) -> None:
    text = script(
        "ORBIT",
        "var seen; function updateOutput(o, c) {"
        " seen = c.scenes.map(s => s.date instanceof Date && s.date.getMonth()); }"
        " function updateOutputMetadata(s, i, out) { out.userData = seen; }",
    )

    assert told(isolate, text, scenes=[scene(2), scene(7)]) == [1, 6]


@pytest.mark.parametrize("hook", ["preProcessScenes", "updateOutput"])
def test_hooks_of_several_sources_get_them_by_id(isolate: Isolate, hook: str) -> None:
    text = (
        "//VERSION=3\nfunction setup() { return {input: [{datasource: 'a', bands: ['B04'], mosaicking: 'ORBIT'},"
        " {datasource: 'b', bands: ['B04'], mosaicking: 'TILE'}], output: {bands: 1}}; }\n"
        "function evaluatePixel(s) { return [s.a.length / 10 + s.b.length / 100]; }\n"
        "function preProcessScenes(c) { c.a.scenes.orbits = c.a.scenes.orbits.slice(1);"
        " c.b.scenes.tiles = c.b.scenes.tiles.slice(0, 1); return c; }\n"
        "function updateOutput(o, c) { o.default.bands = c.a.scenes.length + c.b.scenes.length; }"
    )
    first = [scene(1), scene(2), scene(3)]
    second = [scene(4, mosaicking="TILE"), scene(5, mosaicking="TILE")]
    sources = [source({}, first, datasource="a"), source({}, second, datasource="b")]

    description = isolate.describe(text, sources)

    assert description.kept == ((1, 2), (0,))
    assert len(description.setup.outputs[0].bands) == 3


def test_what_a_pixel_changes_of_its_scenes_stays_in_its_isolate(isolate: Isolate) -> None:
    text = script("ORBIT", "function updateOutputMetadata(s, i, out) { s.length = 0; s.orbits[0].dateFrom = 5; }")
    scenes = [scene(1)]
    given = source({"B04": dn(1, 1, 1, 1)}, scenes)

    for _ in range(2):
        np.testing.assert_array_equal(isolate.evaluate(text, Pixels(1, 1, (given,))).images["default"], [[[255]]])
