"""Masks that were computed for a request, in an archive."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from eotasks.catalogue.items import item_of
from eotasks.catalogue.request import SearchRequest
from eotasks.catalogue.store import Catalogue
from eotasks.errors import ConfigurationError
from eotasks.imagery.scene import open_scene
from eotasks.service.contract.area import OutputArea
from eotasks.service.contract.data import DataRequest
from eotasks.service.pixels import clouds, storing
from eotasks.service.pixels.read import CatalogueReader
from eotasks.storage.lease import hold_lease
from eotasks.storage.place import Place
from eotasks.workflows.cloud_archive.build import build_archive
from eotasks.workflows.cloud_archive.layout import catalogue_of_archive
from eotasks.workflows.product_masks.options import CloudMaskOptions
from eotasks.workflows.product_masks.product import make_masks
from tests.builders.products import UTM
from tests.builders.sample_products import LEFT, SIDE, TOP, cut_sample
from tests.builders.service.pixels import planes_of

AREA = OutputArea(UTM, (LEFT, TOP - SIDE, LEFT + SIDE, TOP), 12, 12)
DATA = DataRequest("sentinel-2-l1c", dt.datetime(2017, 1, 1), dt.datetime(2017, 12, 31))  # noqa: DTZ001


@pytest.fixture
def catalogue(tmp_path: Path) -> str:
    made = Catalogue(tmp_path / "products.parquet")
    made.add([item_of(open_scene(str(cut_sample(tmp_path / "L1C"))))])
    return made.location


def masks_of(reader: CatalogueReader) -> list[NDArray[Any]]:
    planes = planes_of(reader, AREA, ["CLP", "CLM"], DATA)
    return [planes[band].values[0] for band in ("CLP", "CLM")]


def test_masks_go_to_the_archive_and_come_from_it(
    catalogue: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = str(tmp_path / "archive")
    reader = CatalogueReader.open([catalogue], archive=archive, store_masks=True)
    first = masks_of(reader)
    reader.close()
    assert [each.id for each in catalogue_of_archive(Place(archive)).find(SearchRequest())] == ["L1C"]
    monkeypatch.setattr(clouds, "make_masks", None)  # nothing is computed any more
    for again in (CatalogueReader.open([catalogue], archive=archive), CatalogueReader.open([archive])):
        for one, other in zip(first, masks_of(again), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_files_are_those_that_a_build_makes(catalogue: str, tmp_path: Path) -> None:
    options = CloudMaskOptions(resolution=160, sampling="nearest")
    build_archive(catalogue, tmp_path / "built", options, workers=1)
    reader = CatalogueReader.open([catalogue], archive=str(tmp_path / "archive"), store_masks=True)
    masks_of(reader)
    reader.close()
    built, stored = (
        {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).glob("masks/**/*.*")}
        for name in ("built", "archive")
    )
    assert built == stored
    assert len(built) > 2
    again = build_archive(catalogue, tmp_path / "archive", options, workers=1)
    assert not again.missing
    assert (tmp_path / "archive/archive.json").read_bytes() == (tmp_path / "built/archive.json").read_bytes()


def test_an_archive_in_use_by_another_is_left_alone(
    catalogue: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    archive = tmp_path / "archive"
    reader = CatalogueReader.open([catalogue], archive=str(archive), store_masks=True)
    with hold_lease(Place(archive), "another"):
        clp, _ = masks_of(reader)
        reader.close()
    assert clp.any()
    assert not list(archive.glob("masks/**/*.tif"))
    assert any("are not kept" in each.message for each in caplog.records)


def test_an_archive_of_other_masks_is_refused(catalogue: str, tmp_path: Path) -> None:
    from eotasks.workflows.cloud_archive.settings import ArchiveSettings

    ArchiveSettings.of(CloudMaskOptions(resolution=60)).write(Place(tmp_path / "archive"))
    with pytest.raises(ConfigurationError, match="has masks of resolution 60, sampling fast"):
        CatalogueReader.open([catalogue], archive=str(tmp_path / "archive"), store_masks=True)
    CatalogueReader.open([catalogue], archive=str(tmp_path / "archive"))
    with pytest.raises(ConfigurationError, match="without an archive"):
        CatalogueReader.open([catalogue], store_masks=True)


def test_few_products_wait_for_an_archive_that_another_has(
    catalogue: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A build of days has it, and masks take memory."""
    monkeypatch.setattr(storing, "_MOST_WAITING", 2)
    archive = Place(tmp_path / "archive")
    scene = Catalogue(catalogue).find(SearchRequest())[0]
    opened = open_scene(scene)
    masks = make_masks(opened, clouds.SERVED)
    with hold_lease(archive, "another"):
        store = storing.MaskStore(archive)
        for _ in range(5):
            store(opened, masks, store.options)
        assert sum("wait already" in each.message for each in caplog.records) == 3
        store.close()
    store(opened, masks, store.options)  # of a request that was under way when it ended
    assert "not kept: the service ends" in caplog.records[-1].message
    again = storing.MaskStore(archive)
    again(opened, masks, again.options)
    again.close()
    assert [each.id for each in catalogue_of_archive(archive).find(SearchRequest())] == ["L1C"]
