"""CLP, CLM and SHADOW: equal to s2cloudless at 160 m, from an archive and on the fly, of L1C and of L2A."""

from __future__ import annotations

import datetime as dt
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from eotasks.imagery.scene import Scene
from eotasks.models.clouds.pixel import cloud_probability
from eotasks.models.sentinel2 import CLOUD_BANDS
from eotasks.service.contract.area import OutputArea
from eotasks.service.contract.data import DataRequest
from eotasks.service.errors import RequestError, TooLargeError
from eotasks.service.evalscript.setup import InputBand, Mosaicking
from eotasks.service.pixels import clouds, ground
from eotasks.service.pixels.ground import Canvas, grid_of
from eotasks.service.pixels.products import OpenProducts
from eotasks.service.pixels.read import CatalogueReader, ReadingLimits
from eotasks.service.pixels.sources import ListSource, ProductSources
from eotasks.sources.frames import Candidate, open_candidates
from eotasks.storage.place import Place
from eotasks.workflows.cloud_archive.files import ArchivedFiles
from eotasks.workflows.cloud_archive.item import SourceFacts
from eotasks.workflows.product_masks.options import CloudMaskOptions
from eotasks.workflows.product_masks.product import ProductMasks, make_masks
from tests.builders.products import UTM
from tests.builders.sample_products import LEFT, SIDE, TOP, cut_sample
from tests.builders.service.pixels import planes_of

AREA = OutputArea(UTM, (LEFT, TOP - SIDE, LEFT + SIDE, TOP), 12, 12)
DATA = DataRequest("sentinel-2-l1c", dt.datetime(2017, 1, 1), dt.datetime(2017, 12, 31))  # noqa: DTZ001
L2A = replace(DATA, collection="sentinel-2-l2a")


def brighter(band: str, values: NDArray[Any]) -> NDArray[Any]:
    """Some pixels as certain as the model can be."""
    changed = values.copy()
    side = len(values)
    changed[: side // 3, : side // 3] = 20_000 if band not in ("B09", "B10") else 6_000
    changed[-side // 3 :, -side // 3 :] = 0  # no data
    return changed


@pytest.fixture(scope="module")
def candidate(tmp_path_factory: pytest.TempPathFactory) -> Candidate:
    """An L1C product of 12 x 12 pixels of 160 m, a third of it without data along a side."""
    return open_candidates([str(cut_sample(tmp_path_factory.mktemp("l1c") / "L1C", change=brighter))])[0]


@pytest.fixture(scope="module")
def l2a(tmp_path_factory: pytest.TempPathFactory) -> Candidate:
    """An L2A product of the same acquisition."""
    folder = cut_sample(
        tmp_path_factory.mktemp("l2a") / "L2A", without=("B10",), change=lambda _, values: values // 2,
        sidecar={"level": "L2A"},
    )  # fmt: skip
    return open_candidates([str(folder)])[0]


def reader_of(*candidates: Candidate, **options: Any) -> CatalogueReader:
    return CatalogueReader(ProductSources([ListSource(candidates)]), **options)


def by_s2cloudless(source: CatalogueReader) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Probability * 255 of the bands that the service gives at 160 m, and where there is data."""
    planes = planes_of(source, AREA, [*(InputBand(band, "DN") for band in CLOUD_BANDS), "dataMask"], DATA)
    dn = np.stack([planes[band].values for band in CLOUD_BANDS], axis=-1)
    is_data = planes["dataMask"].values[0] > 0
    clp = np.rint(cloud_probability(dn / np.float32(10_000))[0] * 255).astype(np.uint8)
    return np.where(is_data, clp, 0).astype(np.uint8), is_data


@pytest.fixture
def expected(candidate: Candidate) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    found, is_data = by_s2cloudless(reader_of(candidate))
    assert 255 in found  # what files of archives have no room for
    assert len(np.unique(found)) > 20
    assert 0 < is_data.sum() < is_data.size
    return found, is_data


def archived(candidate: Candidate, folder: Path, options: CloudMaskOptions = clouds.SERVED) -> Candidate:
    """The same with files of masks, as an archive has them."""
    scene = candidate.open()
    files = ArchivedFiles(Place(folder), candidate.name)
    files.write(scene, make_masks(scene, options), options, SourceFacts.of(scene))
    kinds = ("CLP", "CLM", *(["SHADOW"] if options.shadows else []))
    return replace(candidate, masks={kind: str(folder / files.file(kind)) for kind in kinds})


def masks_of(source: CatalogueReader, data: DataRequest = DATA, where: OutputArea = AREA) -> list[NDArray[Any]]:
    planes = planes_of(source, where, ["CLP", "CLM", "dataMask"], data)
    return [planes[band].values[0] for band in ("CLP", "CLM", "dataMask")]


def test_clp_is_that_of_s2cloudless_to_the_last_number(
    candidate: Candidate, l2a: Candidate, tmp_path: Path, expected: tuple[NDArray[np.uint8], NDArray[np.bool_]]
) -> None:
    probability, is_data = expected
    stored = archived(candidate, tmp_path)
    bare = replace(l2a, masks=stored.masks)
    for source, data in (
        (reader_of(candidate), DATA),
        (reader_of(stored), DATA),
        (reader_of(candidate, l2a), L2A),
        (reader_of(stored, l2a), L2A),
        (reader_of(bare), L2A),
    ):
        clp, clm, mask = masks_of(source, data)
        np.testing.assert_array_equal(clp, np.where(mask > 0, probability, 0))
        np.testing.assert_array_equal(clm == 255, (mask > 0) & ~is_data)  # B02 has data where others have none
        assert not clm[mask == 0].any()
        np.testing.assert_array_equal(mask[is_data], 1)
    np.testing.assert_array_equal(masks_of(reader_of(candidate))[1], masks_of(reader_of(stored))[1])


def test_masks_of_an_archive_with_other_settings_are_served_as_they_are(candidate: Candidate, tmp_path: Path) -> None:
    options = CloudMaskOptions(resolution=60, sampling="mean", quicklook=False)
    masks = make_masks(candidate.open(), options)
    assert masks.probability is not None
    where = replace(AREA, height=32, width=32)
    clp, clm, mask = masks_of(reader_of(archived(candidate, tmp_path, options)), where=where)
    is_data = (masks.mask != 255) & (mask > 0)
    np.testing.assert_array_equal(clp[is_data], np.rint(masks.probability * 255)[is_data])
    np.testing.assert_array_equal(clm[is_data], masks.mask[is_data])


def test_l2a_without_its_l1c_has_no_clouds(l2a: Candidate, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        clp, clm, mask = masks_of(reader_of(l2a), L2A)
    assert mask.all()
    assert not clp.any()
    assert (clm == 255).all()
    assert any("no L1C product of its acquisition" in each.message for each in caplog.records)


@pytest.mark.filterwarnings("ignore::eotasks.errors.ShadowWarning")
def test_shadows_on_request(candidate: Candidate) -> None:
    plane = planes_of(reader_of(candidate), AREA, ["SHADOW"], DATA)["SHADOW"]
    masks = make_masks(candidate.open(), replace(clouds.SERVED, shadows=True))
    assert masks.shadow is not None
    np.testing.assert_array_equal(plane.values[0], np.where(masks.mask == 255, 0, masks.shadow))


def test_masks_are_computed_once_for_all_who_ask(candidate: Candidate, monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[str] = []
    started = threading.Event()

    def slow(scene: Scene, options: CloudMaskOptions) -> ProductMasks:
        computed.append(scene.name)
        started.wait(5)
        return make_masks(scene, options)

    monkeypatch.setattr(clouds, "make_masks", slow)
    source = reader_of(candidate)
    found: list[list[NDArray[Any]]] = []
    threads = [threading.Thread(target=lambda: found.append(masks_of(source))) for _ in range(4)]
    for thread in threads:
        thread.start()
    started.set()
    for thread in threads:
        thread.join()
    masks_of(source)
    assert computed == ["L1C"]
    assert len(found) == 4
    for each in found:
        np.testing.assert_array_equal(each[0], found[0][0])


def test_a_long_series_wants_an_archive(candidate: Candidate, tmp_path: Path) -> None:
    later = {"name": "LATER", "time": candidate.time + dt.timedelta(days=5)}
    bands, few = ["CLP", "CLM"], ReadingLimits(computed_pixels=2 * 192 * 192 - 1)
    source = reader_of(candidate, replace(candidate, **later), limits=few)
    with pytest.raises(TooLargeError, match=r"Cloud masks of these products are not there.* 73,728 pixels"):
        planes_of(source, AREA, bands, DATA, Mosaicking.TILE)
    planes_of(source, AREA, ["B02"], DATA, Mosaicking.TILE)
    planes_of(source, AREA, bands, DATA)  # computes those of one
    planes_of(source, AREA, bands, DATA, Mosaicking.TILE)
    stored = archived(candidate, tmp_path)
    source = reader_of(stored, replace(stored, **later), limits=ReadingLimits(computed_pixels=1))
    planes_of(source, AREA, bands, DATA, Mosaicking.TILE)


def test_no_more_products_are_looked_at_than_are_too_many(
    candidate: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    real = clouds.CloudBands.pixels_to_compute

    def counted(masks: clouds.CloudBands, kinds: Any, candidate: Candidate, *rest: Any) -> Any:
        asked.append(candidate.name)
        return real(masks, kinds, candidate, *rest)

    monkeypatch.setattr(clouds.CloudBands, "pixels_to_compute", counted)
    series = [
        replace(candidate, name=f"P{number}", time=candidate.time + dt.timedelta(days=number)) for number in range(9)
    ]
    source = reader_of(*series, limits=ReadingLimits(computed_pixels=2 * 192 * 192 - 1))
    with pytest.raises(TooLargeError, match=r"at least 73,728 pixels"):
        planes_of(source, AREA, ["CLM"], DATA, Mosaicking.TILE)
    assert len(asked) == 2


def test_two_products_of_one_acquisition_have_its_masks_computed_and_counted_once(
    candidate: Candidate, l2a: Candidate
) -> None:
    """As two parts of a datatake that end in one tile, each a product of its own."""
    other = replace(l2a, name="PART", time=l2a.time + dt.timedelta(seconds=9))
    few = ReadingLimits(computed_pixels=192 * 192)
    found = planes_of(reader_of(candidate, l2a, other, limits=few), AREA, ["CLM"], L2A, Mosaicking.TILE)["CLM"].values
    assert len(found) == 2
    assert (found == 1).any(axis=(1, 2)).all()


def test_of_a_wide_request_no_more_is_looked_at_for_the_estimate_than_where_a_product_may_lie(
    candidate: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of its pixels in each of many systems take seconds a product."""

    def all_of_it(*_: object) -> Any:
        raise AssertionError("all pixels of the request are looked at")

    wide = replace(AREA, bounds=(LEFT - 9 * SIDE, TOP - SIDE, LEFT + SIDE, TOP), width=120)
    series = candidate, replace(candidate, name="LATER", time=candidate.time + dt.timedelta(days=5))
    expected = planes_of(reader_of(*series), wide, ["CLM"], DATA, Mosaicking.TILE)["CLM"].values
    monkeypatch.setattr(ground, "_WIDE", 0)
    monkeypatch.setattr(Canvas, "places", all_of_it)
    found = planes_of(reader_of(*series), wide, ["CLM"], DATA, Mosaicking.TILE)["CLM"].values
    np.testing.assert_array_equal(found, expected)
    assert (found == 1).any()


def test_products_over_each_other_are_computed_up_to_the_limit(
    candidate: Candidate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which of them are needed is not known before they are read."""
    below = replace(
        open_candidates([str(cut_sample(tmp_path / "BELOW"))])[0], time=candidate.time - dt.timedelta(days=5)
    )
    computed: list[str] = []

    def counted(scene: Scene, options: CloudMaskOptions) -> ProductMasks:
        computed.append(scene.name)
        return make_masks(scene, options)

    monkeypatch.setattr(clouds, "make_masks", counted)
    source = reader_of(candidate, below, limits=ReadingLimits(computed_pixels=2 * 192 * 192 - 1))
    planes_of(source, AREA, ["B02"], DATA)
    with pytest.raises(TooLargeError, match=r"at least 73,728 pixels"):
        planes_of(source, AREA, ["CLM"], DATA)
    assert computed == ["L1C"]
    planes_of(reader_of(candidate, below, limits=ReadingLimits(computed_pixels=2 * 192 * 192)), AREA, ["CLM"], DATA)
    assert computed == ["L1C", "L1C", "BELOW"]


def test_masks_are_not_computed_where_that_is_off(candidate: Candidate) -> None:
    clp, clm, mask = masks_of(reader_of(candidate, compute_masks=False))
    assert mask.any()
    assert not clp.any()
    assert (clm[mask > 0] == 255).all()


def test_a_product_of_which_no_masks_can_be_made(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = cut_sample(tmp_path / "NARROW", without=("B09",))
    source = reader_of(*open_candidates([str(folder)]), limits=ReadingLimits(computed_pixels=1))
    for _ in range(2):
        clp, clm, mask = masks_of(source)
        assert mask.all()
        assert not clp.any()
        assert (clm == 255).all()
    assert sum("no cloud masks can be made of it" in each.message for each in caplog.records) == 1


def test_shadows_of_a_product_that_does_not_say_where_the_sun_stood(tmp_path: Path) -> None:
    """It can be left out, so it is no fault of the service."""
    folder = cut_sample(tmp_path / "NIGHT", sidecar={"sun_zenith": None, "sun_azimuth": None})
    source = reader_of(*open_candidates([str(folder)]))
    for bands in (["SHADOW"], ["CLM", "SHADOW"]):
        with pytest.raises(RequestError, match="NIGHT does not say where the sun stood, which SHADOW needs"):
            planes_of(source, AREA, bands, DATA)
    assert (planes_of(source, AREA, ["CLM"], DATA)["CLM"].values == 1).any()


def test_clouds_of_such_a_product_for_an_archive_with_shadows(tmp_path: Path) -> None:
    """A build would refuse the product, and a request has its masks without them."""
    folder = cut_sample(tmp_path / "NIGHT", sidecar={"sun_zenith": None, "sun_azimuth": None})
    (night,) = open_candidates([str(folder)])
    sources = ProductSources([ListSource([night])])
    kept: list[ProductMasks] = []
    masks = clouds.CloudBands(
        sources,
        OpenProducts(sources),
        options=replace(clouds.SERVED, shadows=True),
        keep=lambda _, made, __: kept.append(made),
    )
    grid = grid_of(AREA)
    found = masks.read(["CLM"], night, None, grid, Canvas(grid, None).places, clp_method="nearest")
    assert (found["CLM"] == 1).any()
    assert [each.shadow for each in kept] == [None]


def test_a_sliver_without_data_in_all_bands_has_no_masks(tmp_path: Path) -> None:
    """As at the edge of a swath, where the detectors of bands see other ground."""

    def sliver(band: str, values: NDArray[Any]) -> NDArray[Any]:
        return values + np.uint16(1000) if band != "B09" else np.zeros_like(values)

    sidecar: dict[str, object] = {"processing_baseline": "04.00", "radio_add_offset": -1000}
    source = reader_of(*open_candidates([str(cut_sample(tmp_path / "SLIVER", change=sliver, sidecar=sidecar))]))
    clp, clm, mask = masks_of(source)
    assert mask.all()
    assert not clp.any()
    assert (clm == 255).all()


def test_clp_between_pixels_and_classes_never(candidate: Candidate) -> None:
    data = replace(DATA, upsampling="BILINEAR")
    clp, clm, _ = masks_of(reader_of(candidate), data, replace(AREA, height=48, width=48))
    nearest, classes, _ = masks_of(reader_of(candidate), DATA, replace(AREA, height=48, width=48))
    assert len(np.unique(clp)) > len(np.unique(nearest))
    np.testing.assert_array_equal(clm, classes)
