"""Bad products among good ones: each is named, the others are made, and the command ends with 1.

Parts of one acquisition of a tile are no bad products: both are kept, and who reads puts them together.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from eolearn.core import EOPatch, FeatureType
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

from eotasks.catalogue.items import item_of
from eotasks.catalogue.store import Catalogue
from eotasks.imagery.scene import open_scene
from eotasks.sources.archive import ArchiveMasksTask
from eotasks.workflows.cloud_archive.exporting.export import export_stac
from tests.builders.clouds.archives import add_product, build, images, pixels, too_bright
from tests.builders.command_line import command
from tests.builders.layouts import L2A_NAME, small_l2a, small_safe, zipped
from tests.builders.sample_products import LEFT, SIDE, TOP
from tests.builders.stac_items import make_item

FOLDER = "masks/33UUU/2017"


def half(east: bool) -> Callable[[str, np.ndarray], np.ndarray]:
    """A strip of the tile: numbers of one half, no data in the other."""

    def cut(_: str, values: np.ndarray) -> np.ndarray:
        middle = values.shape[1] // 2
        values[:, slice(0, middle) if east else slice(middle, None)] = 0
        return values

    return cut


def cut_band(product: Path) -> None:
    band = next(product.glob("*_B04.jp2"))
    os.truncate(band, band.stat().st_size // 2)


def cut_header(product: Path) -> None:
    os.truncate(next(product.glob("*_B8A.jp2")), 20)


def empty_band(product: Path) -> None:
    os.truncate(next(product.glob("*_B12.jp2")), 0)


def cut_metadata(product: Path) -> None:
    os.truncate(product / "acquisition.json", 40)


@pytest.mark.slow
def test_all_kinds_at_once(tmp_path: Path) -> None:
    source = tmp_path / "source"
    add_product(source, "A", 15)  # the day of the L2A product is the 16th
    add_product(source, "B", 17)
    add_product(source, "west", 18, change=half(east=False))
    add_product(source, "east", 18, change=half(east=True))
    cut_band(add_product(source, "cut", 19))
    add_product(source, "bright", 20, change=too_bright)
    shutil.copytree(source / "A", source / "again" / "A")
    product = small_safe(tmp_path / "elsewhere")
    small_l2a(product, source)
    done = command("archive", "build", source, "--out", tmp_path / "out", "--workers", 1, "--json")
    assert done.code == 1
    told = json.loads(done.out)
    assert sorted(told["done"]) == ["A", "B", "east", "west"]
    assert [sorted(names) for names in told["parts"]] == [["east", "west"]]
    assert len(told["left_out"]) == 1
    assert "the same product" in told["left_out"][0]
    failed = {Path(name).name: reason for name, reason in told["failed"].items()}
    assert sorted(failed) == sorted(["bright", "cut", f"{L2A_NAME}.SAFE"])
    assert "offset" in failed["bright"]
    assert "B04" in failed["cut"]
    assert "L2A without the L1C product" in failed[f"{L2A_NAME}.SAFE"]
    for name in ("bright", "cut", f"{L2A_NAME}.SAFE", "again"):
        shutil.rmtree(source / name)
    alone = build(source, tmp_path / "alone")
    assert (sorted(alone.done), alone.failed) == (["A", "B", "east", "west"], {})
    assert images(tmp_path / "out") == images(tmp_path / "alone")
    assert command("archive", "verify", tmp_path / "out").code == 0
    exported = export_stac(tmp_path / "out", tmp_path / "stac")
    assert (exported.items, exported.failed) == ({"cloud-masks-l1c": 4}, {})


@pytest.mark.parametrize("spoil", [cut_band, cut_header, empty_band, cut_metadata])
def test_truncated_anywhere(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    """No masks, no item and no row are left of it; whole again, it is made."""
    source, out = tmp_path / "source", tmp_path / "out"
    add_product(source, "A", 16)
    spoil(add_product(source, "cut", 17))
    result = build(source, out)
    assert result.done == ["A"]
    assert [Path(name).name for name in result.failed] == ["cut"]
    assert not list((out / FOLDER).glob("cut/*"))
    assert sorted(Catalogue(out / "catalogue.parquet").masks()) == ["A"]
    shutil.rmtree(source / "cut")
    add_product(source, "cut", 17)
    again = build(source, out)
    assert (again.done, again.kept, again.failed) == (["cut"], ["A"], {})


@pytest.mark.slow
def test_a_truncated_zip(tmp_path: Path) -> None:
    source = tmp_path / "source"
    add_product(source, "A", 16)
    product = small_safe(tmp_path / "elsewhere")
    archive = zipped(product, source / f"{product.stem}.zip")
    with zipfile.ZipFile(archive) as file:
        assert file.testzip() is None
    os.truncate(archive, archive.stat().st_size // 2)
    result = build(source, tmp_path / "out")
    assert result.done == ["A"]
    assert [Path(name).name for name in result.failed] == [archive.name]


def test_in_a_catalogue(tmp_path: Path) -> None:
    """Items of products that are gone, damaged since, or L2A alone; and one processed anew."""
    source, catalogue = tmp_path / "source", Catalogue(tmp_path / "source.parquet")
    for name, day in (("A", 16), ("gone", 17), ("cut", 18)):
        catalogue.add([item_of(open_scene(add_product(source, name, day)))])
    anew = add_product(source, "A-again", 16, sidecar={"processing_baseline": "02.05"})
    catalogue.add([item_of(open_scene(anew))])
    catalogue.add([make_item("alone", time="2017-02-25T10:21:01", level="L2A")])
    shutil.rmtree(source / "gone")
    cut_band(source / "cut")
    result = build(catalogue.location, tmp_path / "out")
    assert (result.done, len(result.source.replaced), result.source.split) == (["A-again"], 1, [])
    assert sorted(Path(name).stem for name in result.failed) == ["alone", "cut", "gone"]


def test_parts_of_a_tile_are_read_as_one(tmp_path: Path) -> None:
    """Kept as two, since each is a product of its own; `ArchiveMasksTask` shows all that either has."""
    add_product(tmp_path / "source", "west", 18, change=half(east=False))
    add_product(tmp_path / "source", "east", 18, change=half(east=True))
    result = build(tmp_path / "source", tmp_path / "out")
    assert [sorted(names) for names in result.source.split] == [["east", "west"]]
    parts = [pixels(tmp_path / "out" / FOLDER / name / f"{name}_CLM.tif") for name in ("west", "east")]
    assert all((part == 255).any() and (part != 255).any() for part in parts)
    box = BBox((LEFT, TOP - SIDE, LEFT + SIDE, TOP), CRS("EPSG:32633"))
    time = dt.datetime(2017, 2, 18, 10, 21, 1)  # noqa: DTZ001 - naive UTC
    patch = EOPatch(bbox=box, timestamps=[time], data={"BANDS": np.zeros((1, 12, 12, 1), dtype=np.float32)})
    shown = ArchiveMasksTask(tmp_path / "out").execute(patch)[FeatureType.MASK, "CLM"][0, ..., 0]
    known = np.where(parts[0] != 255, parts[0], parts[1])
    np.testing.assert_array_equal(shown == 255, known == 255)
    alone = (parts[0] == 255) ^ (parts[1] == 255)
    np.testing.assert_array_equal(shown[alone], known[alone])
