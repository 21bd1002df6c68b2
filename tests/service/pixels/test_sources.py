"""Products of files, archives, folders and items, one or several."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from shapely.geometry import box

from eotasks.catalogue.api import StacApi
from eotasks.catalogue.fields import PRODUCT_ASSET
from eotasks.catalogue.items import item_of
from eotasks.catalogue.request import SearchRequest
from eotasks.catalogue.store import Catalogue
from eotasks.errors import ConfigurationError, ImageryError, StorageError
from eotasks.imagery.files.origin import Origin
from eotasks.imagery.scene import open_scene
from eotasks.service.contract.area import OutputArea
from eotasks.service.contract.data import DataRequest
from eotasks.service.errors import ProductError, TooLargeError
from eotasks.service.evalscript.setup import InputBand, Mosaicking
from eotasks.service.pixels.index import CatalogueIndex
from eotasks.service.pixels.read import CatalogueReader, ReadingLimits
from eotasks.service.pixels.sources import ApiSource, ListSource, ProductSources, _ArchiveSource
from eotasks.sources.frames import candidates_of, open_candidates
from tests.builders.layouts import small_safe
from tests.builders.products import UTM
from tests.builders.service.pixels import planes_of
from tests.builders.tile import GRANULE, IMAGE, LEFT, NAME, TOP

AREA = OutputArea(UTM, (LEFT, TOP - 1920, LEFT + 1920, TOP), 192, 192)
DATA = DataRequest("sentinel-2-l1c", dt.datetime(2017, 2, 16), dt.datetime(2017, 2, 17))  # noqa: DTZ001
ALL = SearchRequest()


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_safe(tmp_path_factory.mktemp("safe"))


@pytest.fixture
def catalogue(product: Path, tmp_path: Path) -> Catalogue:
    made = Catalogue(tmp_path / "products.parquet")
    made.add([item_of(open_scene(str(product)))])
    return made


def check_pixels(reader: CatalogueReader, product: Path) -> None:
    with rasterio.open(product / f"GRANULE/{GRANULE}/IMG_DATA/{IMAGE}_B03.jp2") as source:
        stored = source.read(1).astype(int)
    planes = planes_of(reader, AREA, ["B03", "dataMask", "viewZenithMean", "sunAzimuthAngles"], DATA)
    np.testing.assert_array_equal(planes["B03"].values[0], np.maximum(stored - 1000, 0))
    assert planes["dataMask"].values.all()
    np.testing.assert_allclose(planes["viewZenithMean"].values, 5)
    np.testing.assert_allclose(planes["sunAzimuthAngles"].values, 163.24)
    tile = reader.find(DATA, AREA, Mosaicking.TILE).scenes[0].tiles[0]
    assert (tile.id, tile.cloud_cover, tile.time) == (NAME, 50, dt.datetime(2017, 2, 16, 10, 21, 1))  # noqa: DTZ001


def test_a_catalogue_and_a_folder(catalogue: Catalogue, product: Path) -> None:
    check_pixels(CatalogueReader.open([catalogue.location]), product)
    check_pixels(CatalogueReader.open([str(product.parent)]), product)
    check_pixels(CatalogueReader.open([catalogue.location, str(product)]), product)


def test_a_catalogue_in_parts(catalogue: Catalogue, product: Path, tmp_path: Path) -> None:
    catalogue.split(tmp_path / "parts.parquet")
    check_pixels(CatalogueReader.open([str(tmp_path / "parts.parquet")]), product)


def test_items_without_a_product_of_their_own(product: Path, tmp_path: Path) -> None:
    """Their assets are read when the product is opened."""
    item = item_of(open_scene(str(product)))
    del item.assets[PRODUCT_ASSET]
    catalogue = Catalogue(tmp_path / "items.parquet")
    catalogue.add([item])
    planes = planes_of(CatalogueReader.open([catalogue.location]), AREA, ["B02", "dataMask"], DATA)
    with rasterio.open(product / f"GRANULE/{GRANULE}/IMG_DATA/{IMAGE}_B02.jp2") as source:
        np.testing.assert_array_equal(planes["B02"].values[0], np.maximum(source.read(1).astype(int) - 1000, 0))
    assert planes["dataMask"].values.all()


def test_what_is_added_is_found_soon(catalogue: Catalogue, product: Path) -> None:
    index = CatalogueIndex(catalogue, refresh=0)
    assert [each.name for each in index.find(ALL)] == [NAME]
    copy = item_of(open_scene(str(product)))
    copy.id = "ANOTHER"
    catalogue.add([copy])
    assert {each.name for each in index.find(ALL)} == {NAME, "ANOTHER"}
    late = CatalogueIndex(catalogue, refresh=3600)
    late.find(ALL)
    catalogue.add([], remove=["ANOTHER"])
    assert len(late.find(ALL)) == 2
    assert len(index.find(ALL)) == 1


@pytest.mark.parametrize("most", [0, 100])
def test_an_index_finds_what_its_catalogue_finds(catalogue: Catalogue, product: Path, most: int) -> None:
    base = item_of(open_scene(str(product)))
    items = []
    for number, (cover, hour, degrees) in enumerate([(0.0, 0, 0.0), (33.3, 5, 0.5), (80.0, 12, 1.0), (None, 20, 0.1)]):
        item = base.clone()
        item.id = f"{NAME[:-4]}{number:04d}"
        item.datetime = dt.datetime(2017, 2, 16, hour, tzinfo=dt.UTC)
        item.properties["eo:cloud_cover"] = cover
        if cover is None:
            del item.properties["eo:cloud_cover"]
        west, south, east, north = base.bbox
        area = box(west + degrees, south, east + degrees, north)
        item.geometry = area.__geo_interface__
        item.bbox = list(area.bounds)
        items.append(item)
    catalogue.add(items, remove=[NAME])
    index = CatalogueIndex(catalogue, refresh=60, most=most)
    west, south, east, north = base.bbox
    for request in (
        ALL,
        SearchRequest.of(bbox=(west, south, east, north)),
        SearchRequest.of(bbox=(west + 1, south, east + 1, north)),
        SearchRequest.of(time_interval=("2017-02-16T05:00:00", "2017-02-16T12:00:00")),
        SearchRequest.of(time_interval=("2017-02-16T05:00:01", None)),
        SearchRequest.of(max_cloud_cover=0.333),
        SearchRequest.of(level="L2A"),
        SearchRequest.of(tile="33UUU", limit=2),
    ):
        expected = [each.name for each in candidates_of(catalogue.find(request))] if catalogue.find(request) else []
        assert [each.name for each in index.find(request)] == expected


def test_masks_of_another_list(product: Path) -> None:
    """What the first list says of a product counts, and files of masks are those of whichever list has some."""
    one = open_candidates([str(product)])[0]
    other = replace(one, location="nowhere", masks={"CLM": "clm.tif"}, origin=Origin.of("x"))
    alone = replace(other, name="ONLY_MASKS")
    found = ProductSources([ListSource([one])], [ListSource([other, alone])]).find(ALL)
    assert [each.location for each in found.candidates] == [str(product)]
    assert {name: each.location for name, each in found.masked.items()} == {NAME: "nowhere"}


@pytest.mark.parametrize("location", ["absent", "empty"])
def test_what_is_no_catalogue(tmp_path: Path, location: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises((ConfigurationError, ImageryError)):
        CatalogueReader.open([str(tmp_path / location)])
    with pytest.raises(StorageError):
        CatalogueReader.open([str(tmp_path / "absent.parquet")])
    with pytest.raises(ConfigurationError, match="at least one catalogue"):
        CatalogueReader.open([])


def test_a_catalogue_that_is_gone_is_told_without_its_place(catalogue: Catalogue) -> None:
    reader = CatalogueReader.open([catalogue.location])
    Path(catalogue.location).unlink()
    with pytest.raises(ProductError, match="Products cannot be searched") as caught:
        reader.find(DATA, AREA, Mosaicking.SIMPLE)
    assert "parquet" not in str(caught.value)


def test_products_of_the_day_are_kept_open(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    from eotasks.sources import frames

    opened: list[Any] = []
    original = frames.open_scene
    monkeypatch.setattr(
        frames, "open_scene", lambda *args, **options: (opened.append(args), original(*args, **options))[1]
    )
    reader = CatalogueReader.open([catalogue.location])
    found = reader.find(DATA, AREA, Mosaicking.SIMPLE)
    for _ in range(3):
        reader.read(DATA, AREA, found, [InputBand("B02")])
    assert len(opened) == 1


def test_who_searches_while_a_catalogue_is_looked_at_does_not_wait(catalogue: Catalogue) -> None:
    """It lies far away, and its place is slow: all requests of a process stood still for as long."""
    index = CatalogueIndex(catalogue, refresh=0.0)
    assert len(index.find(ALL)) == 1
    looking, go_on = threading.Event(), threading.Event()
    state = catalogue.state

    class Slow:
        location = catalogue.location

        def state(self) -> Any:
            looking.set()
            assert go_on.wait(60)
            return state()

    index.catalogue = Slow()  # type: ignore[assignment]
    found: list[Any] = []
    first = threading.Thread(target=lambda: found.extend(index.find(ALL)))
    first.start()
    try:
        assert looking.wait(60)
        assert len(index.find(ALL)) == 1
        assert not found
    finally:
        go_on.set()
        first.join()
    assert len(found) == 1


def test_no_more_products_are_listed_than_tell_that_they_are_too_many(product: Path) -> None:
    (candidate,) = open_candidates([str(product)])
    many = [replace(candidate, name=f"P{number}") for number in range(30)]
    asked: list[SearchRequest] = []

    class Counted(ListSource):
        def find(self, request: SearchRequest) -> list[Any]:
            asked.append(request)
            return super().find(request)

    masks = Counted([])
    limits = ReadingLimits(max_products=2)
    few, lots = (CatalogueReader(ProductSources([Counted(some)], [masks]), limits=limits) for some in (many[:2], many))
    with pytest.raises(TooLargeError, match="At least 8 products of sentinel-2-l1c are asked for, more than the 2"):
        lots.find(DATA, AREA, Mosaicking.SIMPLE)
    assert [each.limit for each in asked] == [8], "masks of so many are not looked for"
    few.find(DATA, AREA, Mosaicking.SIMPLE)
    assert [each.limit for each in asked[1:]] == [8, None]


def test_an_api_is_asked_for_no_more_pages_than_tell_that_there_are_too_many(product: Path) -> None:
    item = item_of(open_scene(str(product)))
    given: list[str] = []

    class Endless(StacApi):
        def _ask(self, request: SearchRequest, where: str, skipped: list[str]) -> Iterator[Any]:
            for number in range(1_000_000):
                given.append(str(number))
                found = item.clone()
                found.id = str(number // 2)  # each of two collections
                yield found

    source = ApiSource(Endless("https://stac.example/"))
    assert len(source.find(SearchRequest(limit=5))) == 5
    assert len(given) == 9


def test_products_that_are_listed_many_times_hide_none_of_those_that_were_left_out(product: Path) -> None:
    (candidate,) = open_candidates([str(product)])
    many = [replace(candidate, name=f"P{number // 4}") for number in range(12)]  # each four times
    reader = CatalogueReader(ProductSources([ListSource(many)]), limits=ReadingLimits(max_products=2))
    with pytest.raises(TooLargeError, match="more than the 2"):
        reader.find(DATA, AREA, Mosaicking.SIMPLE)


def test_an_archive_that_is_not_there_is_looked_for_now_and_then(
    catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources, looks = ProductSources.open([str(catalogue.location)], archive=str(tmp_path / "masks")), []
    exists = Catalogue.exists

    def counted(self: Catalogue) -> bool:
        looks.append(self.location)
        return exists(self)

    monkeypatch.setattr(Catalogue, "exists", counted)
    for _ in range(3):
        assert len(sources.find(ALL).candidates) == 1
    assert len(looks) == 1


class _Archive(Catalogue):
    """What it says of whether it is there, one time after another."""

    looks: list[Callable[[], bool]]

    def exists(self) -> bool:
        return self.looks.pop(0)()


def test_an_archive_that_cannot_be_asked_is_not_taken_for_one_that_is_not_there(catalogue: Catalogue) -> None:
    def fail() -> bool:
        raise StorageError("No credentials.")

    archive = _Archive(catalogue.location)
    archive.looks = [fail, fail, lambda: True]
    source = _ArchiveSource(archive, refresh=60)
    for _ in range(2):
        with pytest.raises(StorageError, match="No credentials"):
            source.find(ALL)
    assert len(source.find(ALL)) == 1


def test_who_asks_an_archive_while_it_is_looked_for_first_waits(catalogue: Catalogue) -> None:
    looking, go_on = threading.Event(), threading.Event()

    def slow() -> bool:
        looking.set()
        return go_on.wait(60)

    archive = _Archive(catalogue.location)
    found: list[int] = []
    archive.looks = [slow]
    source = _ArchiveSource(archive, refresh=60)
    threads = [threading.Thread(target=lambda: found.append(len(source.find(ALL)))) for _ in range(2)]
    threads[0].start()
    assert looking.wait(60)
    threads[1].start()
    threads[1].join(0.05)
    go_on.set()
    for thread in threads:
        thread.join()
    assert found == [1, 1]
