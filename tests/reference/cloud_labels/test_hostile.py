"""Files of data sets that are damaged, something else, or made to do harm."""

from __future__ import annotations

import os
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import rasterio

from eotasks.errors import MissingDependencyError
from eotasks.limits import ARRAY_BYTES, LISTED_OBJECTS, RECORD_BYTES
from eotasks.reference.cloud_labels.registry import find_label_set
from tests.builders.clouds.label_sets import (
    PATCH,
    SCENE,
    write_catalogue,
    write_cloudsen12,
    write_cloudsen12_high,
    write_cloudsen12_plus,
    write_hollstein,
    write_kappazeta,
)
from tests.builders.clouds.refusals import read, refused
from tests.builders.labelled_scenes import digital_numbers, truth, write_image

Write = Callable[[Path], object]


class Payload:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("never",)


CATALOGUE: dict[str, tuple[Any, str]] = {
    "objects": (np.array([[[Payload()] * 3]]), "not numbers"),
    "other pixels": (np.zeros((5, 5, 3), bool), "layers of 0 and 1"),
    "other layers": (np.zeros((*truth().shape, 4), bool), "layers of 0 and 1"),
    "other values": (np.full((*truth().shape, 3), 2, np.uint8), "layers of 0 and 1"),
    "in two classes": (np.ones((*truth().shape, 3), bool), "480 pixels are in several classes"),
}


@pytest.mark.parametrize("mask", CATALOGUE)
def test_masks_of_the_catalogue(mask: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    values, words = CATALOGUE[mask]
    write_catalogue(tmp_path, mask=values)
    refused("cloud-mask-catalogue", tmp_path, words)
    assert not (tmp_path / "never").exists()


def test_scenes_of_the_catalogue(tmp_path: Path) -> None:
    write_catalogue(tmp_path)
    scene = tmp_path / "subscenes" / f"{SCENE}.npy"
    np.save(scene, digital_numbers(truth()))
    refused("cloud-mask-catalogue", tmp_path, "uint16")
    np.save(scene, np.zeros((*truth().shape, 12), np.float32))
    refused("cloud-mask-catalogue", tmp_path, "where floats")
    scene.write_bytes(scene.read_bytes()[:-5])
    refused("cloud-mask-catalogue", tmp_path, "its header says")
    (tmp_path / "masks" / f"{SCENE}.npy").unlink()
    write_catalogue(tmp_path)
    (tmp_path / "masks" / f"{SCENE}.npy").unlink()
    refused("cloud-mask-catalogue", tmp_path, "No such file")
    os.mkfifo(tmp_path / "masks" / f"{SCENE}.npy")
    refused("cloud-mask-catalogue", tmp_path, "a FIFO")


def test_the_table_of_the_catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "classification_tags.csv"
    write_catalogue(tmp_path, shadows_marked="perhaps")
    refused("cloud-mask-catalogue", tmp_path, "not whether shadows were marked")
    table.write_text("index,scene\n0,a\n")
    refused("cloud-mask-catalogue", tmp_path, "no column shadows_marked")
    table.write_bytes(b"\xff\xfe\x00")
    refused("cloud-mask-catalogue", tmp_path, "cannot be read")
    table.write_text("")
    refused("cloud-mask-catalogue", tmp_path, "there are none")
    table.unlink()
    refused("cloud-mask-catalogue", tmp_path, "is missing")
    write_catalogue(tmp_path)
    monkeypatch.setenv(RECORD_BYTES.variable, "10")
    refused("cloud-mask-catalogue", tmp_path, RECORD_BYTES.variable)


CLOUDSEN12: dict[str, tuple[Write, str]] = {
    "no image": (lambda at: (at / "S2L1C.tif").write_bytes(b"II*\0"), "no GeoTIFF"),
    "cut off": (lambda at: (at / "S2L1C.tif").write_bytes((at / "S2L1C.tif").read_bytes()[:900]), "no GeoTIFF"),
    "another format": (lambda at: (at / "S2L1C.tif").write_bytes(b"<VRTDataset/>"), "no GeoTIFF"),
    "twelve bands": (lambda at: write_image(at / "S2L1C.tif", digital_numbers(truth())[..., 1:]), "12 bands"),
    "reflectance": (lambda at: write_image(at / "S2L1C.tif", np.ones((20, 24, 13), np.float32)), "float32"),
    "another order": (
        lambda at: write_image(
            at / "S2L1C.tif", digital_numbers(truth()), names=[f"B{n}" for n in (*range(1, 13), "8A")]
        ),
        "not in the order",
    ),
    "other pixels": (lambda at: write_image(at / "labels/manual_hq.tif", np.zeros((5, 5), np.uint8)), "same pixels"),
    "two labels": (lambda at: write_image(at / "labels/manual_hq.tif", np.zeros((20, 24, 2), np.uint8)), "one band"),
    "no class": (
        lambda at: write_image(at / "labels/manual_hq.tif", np.full((20, 24), 4, np.uint8)),
        "label 4 is none",
    ),
    "half a class": (
        lambda at: write_image(at / "labels/manual_hq.tif", np.ones((20, 24), np.float32)),
        "whole numbers",
    ),
}


@pytest.mark.parametrize("fault", CLOUDSEN12)
def test_patches_of_cloudsen12(fault: str, tmp_path: Path) -> None:
    spoil, words = CLOUDSEN12[fault]
    spoil(write_cloudsen12(tmp_path))
    refused("cloudsen12", tmp_path, words)


def test_sizes_are_looked_at_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cloudsen12(tmp_path / "folders")
    write_catalogue(tmp_path / "catalogue")
    write_kappazeta(tmp_path / "kappazeta" / "a.nc")
    write_hollstein(tmp_path / "hollstein")
    write_cloudsen12_plus(tmp_path / "plus")
    monkeypatch.setenv(ARRAY_BYTES.variable, "500")
    for name, folder in (
        ("cloudsen12", "folders"), ("cloud-mask-catalogue", "catalogue"), ("kappazeta", "kappazeta"),
        ("hollstein", "hollstein"), ("cloudsen12-plus", "plus"),
    ):  # fmt: skip
        refused(name, tmp_path / folder, ARRAY_BYTES.variable)
    monkeypatch.setenv(LISTED_OBJECTS.variable, "1")
    refused("cloudsen12", tmp_path / "folders", LISTED_OBJECTS.variable)


def test_folders_are_not_followed_without_end(tmp_path: Path) -> None:
    (tmp_path / "around").symlink_to(tmp_path)
    write_cloudsen12(tmp_path)
    deep = tmp_path.joinpath(*"abcdefgh")
    write_cloudsen12(deep)
    assert len(find_label_set("cloudsen12").frames(tmp_path)) == 1


def test_arrays_of_cloudsen12(tmp_path: Path) -> None:
    write_cloudsen12_high(tmp_path, patches=1)
    (tmp_path / "metadata.csv").write_text("roi_id\na\nb\n")
    refused("cloudsen12-high", tmp_path, "2 rows for 1 patches")
    (tmp_path / "metadata.csv").unlink()
    labels = tmp_path / "LABEL_manual_hq.dat"
    content = labels.read_bytes()
    labels.write_bytes(b"\x09" + content[1:])
    refused("cloudsen12-high", tmp_path, "label 9 is none")
    labels.write_bytes(content + b"\0")
    refused("cloudsen12-high", tmp_path, "no whole number of patches")
    labels.write_bytes(content)
    (tmp_path / "L1C_B10.dat").write_bytes(b"\0" * 100)
    refused("cloudsen12-high", tmp_path, "100 bytes where 524,288 are due")
    (tmp_path / "L1C_B10.dat").unlink()
    refused("cloudsen12-high", tmp_path, "L1C_B10.dat")


def external(file: Path) -> None:
    """An array whose values are another file's bytes."""
    secret = file.parent / "secret"
    secret.write_bytes(b"s" * 480 * 4)
    with h5py.File(file, "a") as content:
        del content["B01"]
        content.create_dataset("B01", (20, 24), np.float32, external=[(str(secret), 0, 1920)])


def virtual(file: Path) -> None:
    layout = h5py.VirtualLayout((20, 24), np.float32)
    layout[:] = h5py.VirtualSource(str(file.parent / "other.h5"), "B01", (20, 24))
    with h5py.File(file, "a") as content:
        del content["B01"]
        content.create_virtual_dataset("B01", layout)


def linked(file: Path) -> None:
    with h5py.File(file, "a") as content:
        del content["B01"]
        content["B01"] = h5py.ExternalLink(str(file.parent / "other.h5"), "B01")


def soft(file: Path) -> None:
    with h5py.File(file, "a") as content:
        content["B01x"] = content["B01"][:]
        del content["B01"]
        content["B01"] = h5py.SoftLink("/B01x")


def plugin(file: Path) -> None:
    """An array that says it is packed by a filter which would be loaded; optional, so that it can be written."""
    with h5py.File(file, "a") as content:
        del content["B01"]
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((20, 24))
        plist.set_filter(32_001, h5py.h5z.FLAG_OPTIONAL, ())
        space = h5py.h5s.create_simple((20, 24))
        h5py.h5d.create(content.id, b"B01", h5py.h5t.NATIVE_FLOAT, space, plist)


def huge(file: Path) -> None:
    """An array of terabytes, none of which is written."""
    with h5py.File(file, "a") as content:
        del content["B01"]
        content.create_dataset("B01", (2**20, 2**20), np.float32, chunks=(64, 64))


def group(file: Path) -> None:
    with h5py.File(file, "a") as content:
        del content["B01"]
        content.create_group("B01")


def compound(file: Path) -> None:
    with h5py.File(file, "a") as content:
        del content["B01"]
        content["B01"] = np.zeros((20, 24), [("a", "f4"), ("b", "S9")])


def packed(file: Path, content: bytes, *, mask: int = 0, **options: Any) -> None:
    """Bytes in the place of the one part of a deflated array."""
    with h5py.File(file, "a") as handle:
        del handle["B01"]
        array = handle.create_dataset("B01", (20, 24), np.float32, chunks=(20, 24), compression="gzip", **options)
        array.id.write_direct_chunk((0, 0), content, mask)


def filtered(*codes: int) -> Write:
    def spoil(file: Path) -> None:
        with h5py.File(file, "a") as content:
            del content["B01"]
            plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            plist.set_chunk((20, 24))
            for code in codes:
                plist.set_filter(code, h5py.h5z.FLAG_OPTIONAL, (4,))
            space = h5py.h5s.create_simple((20, 24))
            h5py.h5d.create(content.id, b"B01", h5py.h5t.NATIVE_FLOAT, space, plist)

    return spoil


BOMB = zlib.compress(bytes(1_000_000), 9)

NETCDF: dict[str, tuple[Write, str]] = {
    "values of another file": (external, "values lie in another file"),
    "virtual": (virtual, "values lie in another file"),
    "a link out": (linked, "a link to elsewhere"),
    "a soft link": (soft, "a link to elsewhere"),
    "a plugin": (plugin, "packed by filter 32001"),
    "inflating": (lambda file: packed(file, BOMB), "unpacks to more bytes where 1,920 are due"),
    "inflating beside a checksum": (lambda file: packed(file, BOMB + b"sums", fletcher32=True), "unpacks to more"),
    "grown": (lambda file: packed(file, bytes(4_000)), "a part of 4,000 bytes where 1,920 are due"),
    "too short": (lambda file: packed(file, zlib.compress(bytes(1919))), "unpacks to 1,919 bytes"),
    "never ending": (lambda file: packed(file, zlib.compress(bytes(1920))[:-4]), "is cut off"),
    "no deflate": (lambda file: packed(file, b"x" * 100), "is damaged"),
    "another filter left out": (lambda file: packed(file, bytes(1920), mask=0b10), "filters that are not there"),
    "deflated twice": (filtered(1, 1), "by one filter twice"),
    "lzf": (filtered(32_000), r"packed by filter 32000 \(LZF\), .* h5repack"),
    "scale-offset": (filtered(6), r"packed by filter 6 \(scale-offset\)"),
    "terabytes": (huge, "EOTASKS_MAX_ARRAY_BYTES|several shapes"),
    "a group": (group, "it is no array"),
    "records": (compound, "not numbers"),
    "netcdf 3": (lambda file: file.write_bytes(b"CDF\x01" + bytes(200)), "does not begin as HDF5"),
    "cut off": (lambda file: file.write_bytes(file.read_bytes()[:2000]), "cannot be read"),
    "damaged": (lambda file: file.write_bytes(file.read_bytes()[:64] + b"\xff" * 5000), "cannot be read"),
}


@pytest.mark.parametrize("fault", NETCDF)
def test_sub_tiles_of_kappazeta(fault: str, tmp_path: Path) -> None:
    spoil, words = NETCDF[fault]
    write_kappazeta(tmp_path / "a.nc")
    spoil(tmp_path / "a.nc")
    refused("kappazeta", tmp_path, words)


def test_sub_tiles_of_another_kind(tmp_path: Path) -> None:
    for labels, words in ((np.full(truth().shape, 6, np.uint8), "label 6 is none"), (np.zeros(5, np.uint8), "shapes")):
        write_kappazeta(tmp_path / "a.nc", labels=labels)
        refused("kappazeta", tmp_path, words)
    for values in (digital_numbers(truth())[..., 0], np.full(truth().shape, 2, np.float32), np.full((20, 24), np.nan)):
        write_kappazeta(tmp_path / "a.nc", B01=values)
        refused("kappazeta", tmp_path, "floats 0..1")
    with h5py.File(tmp_path / "a.nc", "w") as content:
        content["SCL"] = np.zeros((2, 2))
    refused("kappazeta", tmp_path, "no band of Sentinel-2 in it, but SCL")
    with h5py.File(tmp_path / "a.nc", "w") as content:
        content["B02"] = np.zeros((2, 2))
    refused("kappazeta", tmp_path, "no 'Label' in it")
    (tmp_path / "a.nc").unlink()
    os.mkfifo(tmp_path / "a.nc")
    refused("kappazeta", tmp_path, "a FIFO")


def test_a_part_is_inflated_no_further_than_it_may(tmp_path: Path) -> None:
    write_kappazeta(tmp_path / "a.nc")
    packed(tmp_path / "a.nc", zlib.compress(bytes(100_000_000), 1), shuffle=True)
    tracemalloc.start()
    try:
        refused("kappazeta", tmp_path, "a part of 4[0-9]{2},[0-9]{3} bytes where 1,920 are due")
        packed(tmp_path / "a.nc", BOMB, shuffle=True)
        refused("kappazeta", tmp_path, "unpacks to more")
        assert tracemalloc.get_traced_memory()[1] < 600_000
    finally:
        tracemalloc.stop()


HOLLSTEIN: dict[str, tuple[dict[str, Any], str]] = {
    "no spectra": ({"spectra": None}, "there is none, but band"),
    "other bands": ({"spectra": np.zeros((42, 12), np.float32)}, "are due"),
    "more classes": ({"classes": np.zeros(43, np.uint8)}, "are due"),
    "none": ({"spectra": np.zeros((0, 13), np.float32), "classes": np.zeros(0, np.uint8)}, "are due"),
    "a number": ({"classes": np.uint8(3)}, "are due"),
    "a class without a name": ({"classes": np.full(42, 70, np.uint8)}, "class 70 of a spectrum"),
    "bands in another order": ({"band": np.array(list("ABCDEFGHIJKLM"), dtype="S")}, "not the 13 of L1C"),
    "names of bands as numbers": ({"band": np.arange(13)}, "not texts"),
    "other numbers": ({"class_ids": np.arange(6)}, "10 clear"),
    "other names": ({"class_names": np.array(["a"] * 6, dtype="S")}, "are due"),
    "a name less": ({"class_names": np.array(["clear"] * 5, dtype="S")}, "are due"),
    "names exchanged": (
        {"class_names": np.array(["water", "clear", "shadow", "cirrus", "cloud", "snow"], dtype="S")}, "are due",
    ),
    "whole spectra": ({"spectra": np.zeros((42, 13), np.int16)}, "where floats"),
    "fewer products": ({"product_id": np.array(["a"] * 41, dtype="S")}, "product_id has shape"),
    "endless names": ({"product_id": np.array(["a" * 2000] * 42, dtype="S")}, "not texts"),
}  # fmt: skip


@pytest.mark.parametrize("fault", HOLLSTEIN)
def test_spectra_of_hollstein(fault: str, tmp_path: Path) -> None:
    arrays, words = HOLLSTEIN[fault]
    write_hollstein(tmp_path, **arrays)
    refused("hollstein", tmp_path, words)


@pytest.mark.parametrize(
    "options", [{}, {"chunks": (9,), "compression": "gzip", "shuffle": True}], ids=["plain", "packed"]
)
def test_texts_of_any_length(options: dict[str, Any], tmp_path: Path) -> None:
    """One text of a megabyte, which each of 42 rows may name: it is refused by what its reference says."""
    file = write_hollstein(tmp_path)
    names = ["a"] * 42
    for texts, words in ((names, ""), ([*names[1:], "é" * 600], "a text of 1,200 bytes, more than 1,000")):
        with h5py.File(file, "a") as content:
            del content["product_id"]
            content.create_dataset("product_id", data=texts, dtype=h5py.string_dtype(), **options)
        if words:
            refused("hollstein", tmp_path, words)
        else:
            read("hollstein", tmp_path)
    with h5py.File(file, "a") as content:
        del content["product_id"]
        content.create_dataset("product_id", (42,), h5py.string_dtype(), fillvalue="b" * 5000, **options)
    refused("hollstein", tmp_path, "0 of its 42 texts are there")


def test_references_that_lie_about_their_length(tmp_path: Path) -> None:
    file = write_hollstein(tmp_path, product_id=None)
    with h5py.File(file, "a") as content:
        array = content.create_dataset("product_id", data=["a" * 90_000] * 42, dtype=h5py.string_dtype())
        at = array.id.get_offset()
    whole = bytearray(file.read_bytes())
    for row in range(42):
        whole[at + 16 * row : at + 16 * row + 4] = (9).to_bytes(4, "little")
    file.write_bytes(whole)
    refused("hollstein", tmp_path, "cannot be read")


def test_lists_without_end_in_heaps(tmp_path: Path) -> None:
    """The library goes round in them, and takes memory for each step."""
    whole = bytearray(write_hollstein(tmp_path).read_bytes())
    at = whole.index(b"HEAP\0")
    place = int.from_bytes(whole[at + 24 : at + 32], "little")
    whole[at + 5] = 1  # reserved, and not looked at by the library
    whole[at + 16 : at + 24] = (16).to_bytes(8, "little")
    whole[place + 16 : place + 24] = (16).to_bytes(8, "little")
    write_hollstein(tmp_path).write_bytes(whole)
    refused("hollstein", tmp_path, "has no end")
    whole[8] = 9
    write_hollstein(tmp_path).write_bytes(whole)
    refused("hollstein", tmp_path, "of no version that is known")


def test_many_heaps_with_long_lists(tmp_path: Path) -> None:
    """Thousands that share a list, which would be gone through for each of them."""
    file = write_hollstein(tmp_path)
    whole = file.read_bytes()
    places = 4_000
    chain = b"".join((16 * (each + 1)).to_bytes(8, "little") + bytes(8) for each in range(places - 1))
    chain += (1).to_bytes(8, "little") + bytes(8)
    numbers = (16 * places, 0, len(whole))
    heap = b"HEAP" + bytes(4) + b"".join(each.to_bytes(8, "little") for each in numbers)
    file.write_bytes(whole + chain + heap * 100)
    read("hollstein", tmp_path)
    file.write_bytes(whole + chain + heap * 1_000)
    refused("hollstein", tmp_path, "has no end")


def test_names_of_bands_that_are_no_text(tmp_path: Path) -> None:
    image = write_cloudsen12(tmp_path) / "S2L1C.tif"
    with rasterio.open(image, "r+") as raster:
        raster.set_band_description(1, "\u00e9" * 40)
    content = image.read_bytes()
    assert "\u00e9".encode() * 40 in content
    image.write_bytes(content.replace("\u00e9".encode() * 40, b"\xff" * 80))
    refused("cloudsen12", tmp_path, "no GeoTIFF that can be read")


def test_two_files_of_hollstein(tmp_path: Path) -> None:
    file = write_hollstein(tmp_path)
    file.with_name("20170523_s2_manual_classification_data.h5").write_bytes(b"")
    refused("hollstein", tmp_path, "hold the same spectra")


@pytest.fixture
def without_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("h5py", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.usefixtures("without_packages")
def test_packages_that_are_missing_are_named_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "a.nc").touch()
    write_taco = tmp_path / f"{PATCH}.taco"
    write_taco.write_bytes(b"WX" + (18).to_bytes(8, "little") + (4).to_bytes(8, "little") + b"PAR1")
    for name, package in (("kappazeta", "h5py"), ("cloudsen12-plus", "pyarrow")):
        with pytest.raises(MissingDependencyError, match=rf"{package}: .*labels\]"):
            find_label_set(name).frames(tmp_path)
