"""The catalogues of an export: which there are, and what a collection says of its items."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from eotasks.storage.place import Place
from eotasks.workflows.cloud_archive.exporting.masks import Group
from eotasks.workflows.cloud_archive.exporting.tree import CATALOG_FILE, CatalogueTree, Extent, Writer, root_catalog
from tests.builders.stac.validation import validate


def item(name: str, day: int = 1, bbox: tuple[float, float, float, float] = (12, 52, 13, 53)) -> dict[str, Any]:
    properties = {"datetime": f"2024-05-{day:02}T10:00:00Z", "platform": "sentinel-2a", "gsd": 10.0}
    return {
        "id": name,
        "bbox": list(bbox),
        "properties": properties,
        "assets": {"CLM": {"href": "a", "title": "Cloud mask", "roles": ["data"]}},
    }


def written(folder: Path, groups: list[tuple[Group, list[str]]]) -> dict[str, dict[str, Any]]:
    """Catalogues of groups of items of these names."""
    writer = Writer(Place(folder), anew=True)
    tree = CatalogueTree(writer, "masks", "L1C", {"resolution": 160})
    for group, names in groups:
        tree.begin(group.parts)
        tree.add([(f"masks/{group.inside}/{name}/{name}.json", item(name)) for name in names])
    tree.end()
    writer.put(CATALOG_FILE, root_catalog([tree]))
    return {str(path.relative_to(folder)): json.loads(path.read_text()) for path in folder.rglob("*.json")}


def links(content: dict[str, Any], *kinds: str) -> list[str]:
    return [link["href"] for link in content["links"] if link["rel"] in kinds]


def test_one_catalogue_a_zone_tile_and_year(tmp_path: Path) -> None:
    groups = [
        (Group("33UUU", "2023"), ["A", "B"]),
        (Group("33UUU", "2024"), ["C"]),
        (Group("33UVU", "2024"), ["D"]),
        (Group("34UCA", "2024"), ["E"]),
        (Group("other", "2024"), ["F"]),
    ]
    found = written(tmp_path, groups)
    assert links(found["catalog.json"], "child") == ["./masks/collection.json"]
    assert links(found["masks/collection.json"], "child") == [
        f"./{name}/catalog.json" for name in ("33U", "34U", "other")
    ]
    assert links(found["masks/33U/catalog.json"], "child") == ["./33UUU/catalog.json", "./33UVU/catalog.json"]
    assert links(found["masks/33U/33UUU/catalog.json"], "child") == ["./2023/catalog.json", "./2024/catalog.json"]
    assert links(found["masks/33U/33UUU/2023/catalog.json"], "item") == ["./A/A.json", "./B/B.json"]
    assert links(found["masks/other/catalog.json"], "child") == ["./2024/catalog.json"]
    assert links(found["masks/33U/33UUU/2023/catalog.json"], "parent") == ["../catalog.json"]
    assert links(found["masks/33U/catalog.json"], "parent", "root") == ["../../catalog.json", "../collection.json"]
    ids = [content["id"] for content in found.values()]
    assert len(ids) == len(set(ids)) == 1 + 1 + 3 + 3 + 1 + 4
    for path, content in found.items():
        validate(content)
        for href in links(content, "child", "parent", "root"):
            assert (tmp_path / path).parent.joinpath(href).is_file()


@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        ([(12, 52, 13, 53), (10, 50, 11, 51)], [10, 50, 13, 53]),
        ([(179, 0, -179, 1)], [179, 0, -179, 1]),
        ([(178, 0, 179, 1), (-179, 2, -178, 3)], [-179, 0, 179, 3]),
        ([(179, 0, -179, 1), (170, 5, 171, 6)], [170, 0, -179, 6]),
    ],
    ids=["plain", "over the antimeridian", "on both sides of it", "over and beside it"],
)
def test_the_box_of_a_collection(boxes: list[tuple[float, float, float, float]], expected: list[float]) -> None:
    """Those of all its items; over the antimeridian where an item is, as the summary of a catalogue has it."""
    extent = Extent()
    for day, box in enumerate(boxes, start=1):
        extent.add([item("A", day, box)])
    assert extent.as_stac()["spatial"]["bbox"] == [expected]


def test_times_of_a_collection_are_compared_as_times() -> None:
    extent = Extent()
    texts = ["2024-05-01T10:00:00.5Z", "2024-05-01T10:00:00Z", "2024-05-01T11:30:00+02:00"]
    extent.add([{**item("A"), "properties": {"datetime": text}} for text in texts])
    assert extent.as_stac()["temporal"]["interval"] == [[texts[2], texts[0]]]
