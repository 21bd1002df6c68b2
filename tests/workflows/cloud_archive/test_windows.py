"""A source a window of time after the other says what it says whole; the catalogue of an archive says what is done."""

from __future__ import annotations

import datetime as dt
import random
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pystac
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eotasks.catalogue import Catalogue
from eotasks.catalogue.fields import PRODUCT_ASSET
from eotasks.catalogue.items import add_masks
from eotasks.catalogue.request import SearchRequest
from eotasks.sources.frames import Candidate
from eotasks.storage.place import Place
from eotasks.workflows.cloud_archive import done, windows
from eotasks.workflows.cloud_archive.done import ArchiveState
from eotasks.workflows.cloud_archive.layout import catalogue_of_archive
from eotasks.workflows.cloud_archive.settings import ArchiveSettings
from eotasks.workflows.cloud_archive.source import Source, read_source
from eotasks.workflows.cloud_archive.windows import source_windows
from eotasks.workflows.product_masks.options import CloudMaskOptions
from tests.builders.stac_items import footprint, make_item

OPTIONS = CloudMaskOptions(resolution=160)


def items_of(chance: random.Random, number: int) -> list[pystac.Item]:
    """Products of both levels: parts of tiles, products processed anew, siblings, and some that are alone."""
    items = []
    for index in range(number):
        minutes = chance.randrange(3 * 24 * 60)
        time = dt.datetime(2024, 5, 1) + dt.timedelta(minutes=minutes)  # noqa: DTZ001 - of an item
        tile, area = chance.choice(["33UUU", "33UVU"]), footprint(chance.choice([12, 12, 12.5]), 52)
        for copy in range(chance.choice([1, 1, 2, 3])):
            level = chance.choice(["L1C", "L1C", "L2A"])
            moment = time + dt.timedelta(minutes=chance.choice([0, 0, 7, 55]))
            properties: dict[str, Any] = {}
            if chance.random() < 0.2:
                number_of_name = chance.randrange(number) if level == "L1C" else f"{index}-{copy}"
                properties["s2:product_uri"] = f"U{number_of_name}-{level}.SAFE"
            items.append(
                make_item(
                    f"P{index}-{copy}", area, time=moment.isoformat(), tile=tile, level=level,
                    baseline=chance.choice(["04.00", "05.10"]), cloud=chance.choice([5.0, 90.0, None]), **properties,
                )
            )  # fmt: skip
            if chance.random() < 0.1:
                items[-1].properties.pop("processing:level")
                items[-1].properties.pop("s2:product_type")
    return items


def told(source: Source) -> dict[str, Any]:
    """What is said of a source, without an order."""
    return {
        "products": {name: (each.folder, each.digest) for name, each in source.products.items()},
        "siblings": {name: sorted(each.name for each in group) for name, group in source.siblings.items()},
        "replaced": sorted(source.replaced),
        "split": sorted(tuple(sorted(names)) for names in source.split),
        "failed": sorted(source.failed),
        "counts": (source.found, source.paired),
    }


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 10_000))
def test_windows_are_the_whole(seed: int) -> None:
    chance = random.Random(seed)
    with TemporaryDirectory() as where, pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "ROWS", 9)
        catalogue = Catalogue(f"{where}/c.parquet", parts=chance.random() < 0.5)
        catalogue.add(items_of(chance, 45))
        request = SearchRequest.of(
            max_cloud_cover=chance.choice([None, 0.5]),
            time_interval=chance.choice([None, ("2024-05-01T05:00", "2024-05-03T03:00")]),
        )
        whole = read_source(catalogue.location, "L1C", request)
        merged, number = Source(), 0
        for window in source_windows(catalogue.location, "L1C", request):
            assert not merged.products.keys() & window.products.keys()
            siblings = [each for group in window.siblings.values() for each in group]
            expected = {each.name: whole.items[each.name].to_dict() for each in siblings}
            assert {name: item.to_dict() for name, item in window.items_of(siblings).items()} == expected
            merged.add(window)
            number += 1
        assert told(merged) == told(whole)
        assert number > 3


def test_brief_items_make_the_candidates_of_items(tmp_path: Path) -> None:
    chance = random.Random(1)
    items = items_of(chance, 30)
    add_masks(items[0], {"CLM": "/masks/a.tif", "CLP": "/masks/b.tif"})
    catalogue = Catalogue(tmp_path / "c.parquet")
    catalogue.add(items)
    request = SearchRequest()
    brief = [Candidate.of_brief(each) for each in catalogue.brief(request)]
    found = [Candidate.of_item(each) for each in catalogue.find(request)]
    assert brief == found
    assert [each.origin for each in brief] == [each.origin for each in found]
    assert all(a.footprint == b.footprint for a, b in zip(brief, found, strict=True))


def test_items_of_others_are_opened_by_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that name no product, as of a file of a STAC API."""
    monkeypatch.setattr(windows, "ROWS", 2)
    items = [make_item(f"P{day}", time=f"2024-05-0{day}T10:00:00") for day in range(1, 6)]
    for item in items:
        del item.assets[PRODUCT_ASSET]
        item.add_asset("B02", pystac.Asset("s3://bucket/B02.jp2"))
    catalogue = Catalogue(tmp_path / "c.parquet")
    catalogue.add(items)
    found = [
        each
        for window in source_windows(catalogue.location, "L1C", SearchRequest())
        for each in window.products.values()
    ]
    assert [each.name for each in found] == [f"P{day}" for day in range(1, 6)]
    assert all(isinstance(each.candidate.location, pystac.Item) for each in found)
    assert '"s3://bucket/B02.jp2"' in str(found[0].arguments()["location"])


class TestState:
    def test_what_is_done_is_told_by_the_catalogue(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(done, "_SPAN", dt.timedelta(days=2))
        place, made = Place(tmp_path), ArchiveSettings.of(OPTIONS)
        state = ArchiveState(place, made, "L1C")
        source_items = [make_item(f"P{day}", time=f"2024-05-0{day}T10:00:00") for day in range(1, 8)]
        source_items.append(make_item("S3", time="2024-05-03T10:00:00", level="L2A"))
        Catalogue(tmp_path / "s.parquet").add(source_items)
        source = read_source(tmp_path / "s.parquet", "L1C", SearchRequest())
        looked = state.look(source)
        assert (looked.kept, sorted(looked.uncatalogued)) == ([], [f"P{day}" for day in range(1, 8)])
        rows = []
        for name, product in source.products.items():
            row = make_item(name, time=product.candidate.time.isoformat())
            add_masks(row, {"CLM": f"{place}/{product.folder}/{name}_CLM.tif"})
            row.properties["eotasks:made_of"] = state.made_of(product)
            rows.append(row)
        rows[4].properties["eotasks:made_of"] = "other"
        del rows[5].properties["eotasks:made_of"]
        catalogue_of_archive(place).add(rows[:6])
        looked = state.look(source)
        assert looked.kept == ["P1", "P2", "P4"]
        assert looked.todo == ["P3", "P5", "P6", "P7"]  # P3 has a sibling that is not catalogued
        assert looked.uncatalogued == {"P7"}
        other = ArchiveState(place, ArchiveSettings.of(replace(OPTIONS, resolution=60)), "L1C")
        assert other.look(source).kept == []

    def test_masks_that_are_replaced(self, tmp_path: Path) -> None:
        place = Place(tmp_path)
        state = ArchiveState(place, ArchiveSettings.of(OPTIONS), "L1C")
        old = make_item("old", baseline="04.00")
        add_masks(old, {"CLM": f"{place}/masks/33UUU/2024/old/old_CLM.tif"})
        elsewhere = make_item("elsewhere", tile="34UUU", baseline="04.00")
        add_masks(elsewhere, {"CLM": f"{place}/masks/34UUU/2024/elsewhere/elsewhere_CLM.tif"})
        catalogue_of_archive(place).add([old, elsewhere])
        Catalogue(tmp_path / "s.parquet").add([make_item("new")])
        looked = state.look(read_source(tmp_path / "s.parquet", "L1C", SearchRequest()))
        assert looked.superseded == {"new": {"old": "masks/33UUU/2024/old"}}
