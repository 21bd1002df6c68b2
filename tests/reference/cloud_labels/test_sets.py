"""Each published data set, in made-up files of its layout: bands, labels, time, place, and what is left out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from eotasks.errors import AreaError, ConfigurationError
from eotasks.models.clouds.evaluation import map_labels
from eotasks.models.sentinel2 import BANDS
from eotasks.reference.cloud_labels.classes import JUDGED_AS, judged_as
from eotasks.reference.cloud_labels.names import band_called, offset_of, time_in
from eotasks.reference.cloud_labels.protocol import LabelledFrame, LabelSet
from eotasks.reference.cloud_labels.registry import LABEL_SETS, find_label_set, label_set_list
from tests.builders.clouds.label_sets import (
    HOLLSTEIN_NUMBERS,
    LATE_PRODUCT,
    OLD_PRODUCT,
    PATCH,
    SCENE,
    THIN,
    write_catalogue,
    write_cloudsen12,
    write_cloudsen12_high,
    write_cloudsen12_plus,
    write_hollstein,
    write_kappazeta,
)
from tests.builders.labelled_scenes import LEFT, PIXEL, TOP, digital_numbers, truth

PATCH_TIME = dt.datetime(2020, 2, 15, 8, 20, 21)  # noqa: DTZ001 - naive UTC


def only_frame(name: str, folder: Path) -> LabelledFrame:
    (source,) = find_label_set(name).frames(folder)
    return source.load()


def judged(name: str, frame: LabelledFrame) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return map_labels(frame.labels, judged_as(find_label_set(name).classes))


@pytest.mark.parametrize("each", LABEL_SETS.values(), ids=lambda each: each.name)
def test_every_data_set_says_what_it_is(each: LabelSet) -> None:
    assert isinstance(each, LabelSet)
    assert each.title
    assert each.licence
    assert each.origin.startswith("https://")
    assert set(each.classes.values()) <= set(JUDGED_AS)
    assert {"clear", "shadow"} <= set(each.classes.values())
    assert f"  {each.name} " in label_set_list()


@pytest.mark.parametrize("each", LABEL_SETS.values(), ids=lambda each: each.name)
def test_a_folder_without_it(each: LabelSet, tmp_path: Path) -> None:
    with pytest.raises(AreaError, match=r"nothing of .* in it"):
        each.frames(tmp_path)
    with pytest.raises(AreaError, match="no such folder"):
        each.frames(tmp_path / "absent")


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'kappazeta'"):
        find_label_set("kappa-zeta")


def test_what_is_judged_of_each_class() -> None:
    classes = find_label_set("kappazeta").classes
    expected = {0: "ignore", 1: "clear", 2: "shadow", 3: "cloud", 4: "cloud", 5: "ignore"}
    assert judged_as(classes) == expected
    assert judged_as(classes, thin_cloud="ignore") == expected | {3: "ignore"}
    with pytest.raises(ConfigurationError, match="did you mean 'ignore'"):
        judged_as(classes, thin_cloud="ignored")  # type: ignore[arg-type]
    hollstein = judged_as(find_label_set("hollstein").classes)
    assert [hollstein[number] for number in HOLLSTEIN_NUMBERS] == [
        "clear", "clear", "shadow", "cloud", "cloud", "clear",
    ]  # fmt: skip


def test_cloudsen12_as_folders(tmp_path: Path) -> None:
    patch = write_cloudsen12(tmp_path)
    (patch.parent / "without-labels").mkdir()
    (patch.parent / "without-labels" / "S2L1C.tif").write_bytes(b"")
    (source,) = find_label_set("cloudsen12").frames(tmp_path)
    assert source.name == f"ROI_0051/{PATCH}"
    frame = source.load()
    np.testing.assert_array_equal(frame.bands, digital_numbers(truth()))
    assert frame.band_names == BANDS
    np.testing.assert_array_equal(judged("cloudsen12", frame), truth())
    height, width = truth().shape
    assert (frame.crs, frame.bounds) == ("EPSG:32633", (LEFT, TOP - PIXEL * height, LEFT + PIXEL * width, TOP))
    assert (frame.time, frame.resolution, frame.sun) == (PATCH_TIME, PIXEL, None)
    assert only_frame("cloudsen12", patch).time == PATCH_TIME
    write_cloudsen12(tmp_path / "again")
    first, again = find_label_set("cloudsen12").frames(tmp_path)
    assert (again.name, first.name) == (
        f"again/03__ROI_0047__ROI_0069/ROI_0051/{PATCH}",
        f"03__ROI_0047__ROI_0069/ROI_0051/{PATCH}",
    )


@pytest.mark.parametrize("below", ["", "test"], ids=["here", "in test"])
def test_cloudsen12_as_arrays(below: str, tmp_path: Path) -> None:
    write_cloudsen12_high(tmp_path / below)
    prefix = f"{below}/" if below else ""
    first, second = find_label_set("cloudsen12-high").frames(tmp_path)
    assert [first.name, second.name] == [f"{prefix}00000_ROI_0_{PATCH}", f"{prefix}00001_ROI_1_{PATCH}"]
    frame = second.load()
    height, width = truth().shape
    assert frame.bands.shape == (512, 512, 13)
    np.testing.assert_array_equal(frame.bands[1:height, :width], digital_numbers(truth())[1:])
    assert (frame.bands[0, 0] == 7).all()
    assert (first.load().bands[0, 0] == digital_numbers(truth())[0, 0]).all()
    assert frame.is_data[:height, :width].all()
    assert frame.is_data.sum() == height * width
    np.testing.assert_array_equal(judged("cloudsen12-high", frame)[:height, :width], truth())
    assert (frame.time, frame.crs, frame.resolution) == (PATCH_TIME, None, 10.0)


def test_cloudsen12_as_arrays_without_a_table(tmp_path: Path) -> None:
    write_cloudsen12_high(tmp_path, patches=1, table=False)
    (source,) = find_label_set("cloudsen12-high").frames(tmp_path)
    assert (source.name, source.load().time) == ("00000", None)


def test_cloudsen12_plus(tmp_path: Path) -> None:
    labels = np.where(np.arange(truth().size).reshape(truth().shape) < 5, 99, 0).astype(np.uint8)
    write_cloudsen12_plus(tmp_path, labels=labels)
    (source,) = find_label_set("cloudsen12-plus").frames(tmp_path)
    assert source.name == "ROI_1__p"
    frame = source.load()
    np.testing.assert_array_equal(frame.bands, digital_numbers(truth()))
    assert (judged("cloudsen12-plus", frame)[0, :5] == 255).all()
    assert (judged("cloudsen12-plus", frame) == 255).sum() == 5
    assert (frame.time, frame.crs) == (PATCH_TIME, "EPSG:32633")


@pytest.mark.parametrize("late", [False, True], ids=["02.09", "04.00"])
def test_kappazeta_with_and_without_an_offset(late: bool, tmp_path: Path) -> None:
    write_kappazeta(tmp_path / "sub" / "T35VLF_tile_2_3.nc", **({"product": LATE_PRODUCT} if late else {}))
    (source,) = find_label_set("kappazeta").frames(tmp_path)
    assert source.name == "sub/T35VLF_tile_2_3"
    frame = source.load()
    assert not frame.is_data[0].any()
    assert frame.is_data[1:].all()
    np.testing.assert_array_equal(frame.bands[1:], digital_numbers(truth())[1:])
    assert not frame.bands[0].any()
    np.testing.assert_array_equal(judged("kappazeta", frame), truth())
    assert (frame.labels[THIN][truth()[THIN] == 1] == 3).all()
    assert (frame.time, frame.crs) == (dt.datetime(2020, 5, 29, 9, 40, 41), None)  # noqa: DTZ001


def test_kappazeta_without_the_name_of_its_product(tmp_path: Path) -> None:
    write_kappazeta(tmp_path / "T35VLF_20200529T094041_tile_2_3.nc", product=None)
    assert only_frame("kappazeta", tmp_path).time == dt.datetime(2020, 5, 29, 9, 40, 41)  # noqa: DTZ001


@pytest.mark.parametrize("marked", ["1", "0"])
def test_the_mask_catalogue(marked: str, tmp_path: Path) -> None:
    write_catalogue(tmp_path, shadows_marked=marked)
    (source,) = find_label_set("cloud-mask-catalogue").frames(tmp_path)
    assert source.name == SCENE
    frame = source.load()
    np.testing.assert_array_equal(frame.bands, (digital_numbers(truth()) / 10_000).astype(np.float32))
    np.testing.assert_array_equal(judged("cloud-mask-catalogue", frame), truth())
    assert (frame.resolution, frame.shadows_labelled) == (20.0, marked == "1")
    assert frame.time == dt.datetime(2018, 1, 5, 1, 7, 21)  # noqa: DTZ001


def test_pixels_of_the_mask_catalogue_in_no_class_are_not_judged(tmp_path: Path) -> None:
    layers = truth()[..., np.newaxis] == np.arange(3)
    layers[:2] = False
    write_catalogue(tmp_path, mask=layers.astype(np.uint8))
    found = judged("cloud-mask-catalogue", only_frame("cloud-mask-catalogue", tmp_path))
    assert (found[:2] == 255).all()
    np.testing.assert_array_equal(found[2:], truth()[2:])


def test_hollstein_spectra_by_product_and_granule(tmp_path: Path) -> None:
    write_hollstein(tmp_path)
    first, second = find_label_set("hollstein").frames(tmp_path)
    assert [first.name, second.name] == ["32TNR_20151211T084342", "33UUU_20151211T084342"]
    frame = second.load()
    assert frame.bands.shape == (5, 6, 13)
    assert frame.is_data.sum() == 28
    counts = np.bincount(frame.labels.ravel(), minlength=256)
    assert {value: int(count) for value, count in enumerate(counts) if count} == {
        10: 5, 20: 4, 30: 5, 40: 5, 50: 4, 60: 5, 255: 2,
    }  # fmt: skip
    kinds = np.select([np.isin(frame.labels, (40, 50)), frame.labels == 30], [1, 2], 0)
    expected = (digital_numbers(kinds.astype(np.uint8)) / 10_000).astype(np.float32)
    np.testing.assert_array_equal(frame.bands[frame.is_data], expected[frame.is_data])
    assert frame.time == dt.datetime(2015, 12, 11, 8, 43, 42)  # noqa: DTZ001
    assert find_label_set("hollstein").points


def test_hollstein_products_of_one_second_keep_their_names(tmp_path: Path) -> None:
    again = OLD_PRODUCT.replace("153317", "160000")
    write_hollstein(
        tmp_path,
        product_id=np.array([OLD_PRODUCT, again] * 21, dtype="S"),
        granule_id=np.array(["33UUU"] * 42, dtype="S"),
    )
    names = [source.name for source in find_label_set("hollstein").frames(tmp_path)]
    assert names == [f"33UUU_{each.removesuffix('.SAFE')}" for each in (OLD_PRODUCT, again)]


def test_hollstein_spectra_of_a_file_without_products(tmp_path: Path) -> None:
    file = write_hollstein(tmp_path, grouped=False)
    (source,) = find_label_set("hollstein").frames(tmp_path)
    assert source.name == file.stem
    assert source.load().is_data.sum() == 42


def test_hollstein_classes_are_known_by_other_words_too(tmp_path: Path) -> None:
    names = np.array(["Clear-Sky", "Water", "Shadow", "Cirrus", "Opaque cloud", "Snow"], dtype="S")
    write_hollstein(tmp_path, class_names=names, band=np.array(BANDS, dtype=object))
    assert len(find_label_set("hollstein").frames(tmp_path)) == 2


@pytest.mark.parametrize(
    ("name", "expected"),
    [("1", "B01"), ("B1", "B01"), ("B01", "B01"), ("8A", "B8A"), ("b8a", "B8A"), ("B10", "B10"), ("B13", None),
     ("", None), ("QA60", None), ("B", None)],
)  # fmt: skip
def test_names_of_bands(name: str, expected: str | None) -> None:
    assert band_called(name) == expected


def test_names_of_products() -> None:
    assert time_in(PATCH) == PATCH_TIME
    assert time_in(OLD_PRODUCT) == dt.datetime(2015, 12, 11, 8, 43, 42)  # noqa: DTZ001
    assert time_in("20201301T000000") is None
    assert time_in("patch 12") is None
    said: Callable[[str], int] = offset_of
    assert [said(LATE_PRODUCT), said(f"{LATE_PRODUCT}.CVAT"), said(PATCH), said(SCENE)] == [-1000, -1000, 0, 0]
