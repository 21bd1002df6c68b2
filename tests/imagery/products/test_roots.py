"""One product, several, or none: in folders, in zips of any name, beside other files."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eotasks.catalogue import find_products
from eotasks.catalogue.discovery import several_products
from eotasks.errors import ImageryError
from eotasks.imagery.products.open import describe_product
from eotasks.imagery.products.roots import parents, product_roots
from eotasks.imagery.scene import open_scene
from eotasks.sources.sample import sample_path
from eotasks.sources.scenes import LoadScenesTask
from tests.builders.layouts import SIDE, aws_bucket, sidecar_part, small_safe, zipped

EVERYWHERE = np.ones((SIDE, SIDE), dtype=bool)


@pytest.fixture(scope="module")
def safe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_safe(tmp_path_factory.mktemp("safe"))


def archive(target: Path, *products: Path, below: str = "", also: str | None = None) -> Path:
    with zipfile.ZipFile(target, "w") as opened:
        for product in products:
            for file in sorted(product.rglob("*")):
                if file.is_file():
                    opened.write(file, below + file.relative_to(product.parent).as_posix())
        if also is not None:
            opened.writestr(also, "hello")
    return target


@pytest.mark.parametrize("name", ["6d8a00c5-88ac", "S2A.SAFE", "product.zip.1", "$value", "a.ZIP"])
def test_a_zip_is_known_by_its_first_bytes(safe: Path, tmp_path: Path, name: str) -> None:
    scene = open_scene(zipped(safe, tmp_path / name))
    assert scene.name == safe.name.removesuffix(".SAFE")
    grid = scene.grid_of("B10")
    np.testing.assert_array_equal(scene.read(["B10"], grid), open_scene(safe).read(["B10"], grid))
    assert find_products(tmp_path).products == (str(tmp_path / name),)


def test_a_folder_that_is_called_a_zip(safe: Path, tmp_path: Path) -> None:
    assert open_scene(shutil.copytree(safe, tmp_path / "unpacked.zip")).name == safe.name.removesuffix(".SAFE")


def test_zips_of_other_things_are_no_products(tmp_path: Path) -> None:
    for name in ("thesis", "slides.odp"):
        with zipfile.ZipFile(tmp_path / name, "w") as opened:
            opened.writestr("content.xml", "x")
    sidecar_part(tmp_path, "P", 1000, EVERYWHERE, baseline=None)
    (tmp_path / "cut").write_bytes(b"PK\x03\x04")
    assert find_products(tmp_path).products == (str(tmp_path / "P"),)
    with pytest.raises(ImageryError, match="cut off or no zip"):
        open_scene(tmp_path / "cut")


@pytest.mark.parametrize("below", ["", "download/2024/"])
@pytest.mark.parametrize("also", [None, "readme.txt"])
def test_the_one_product_in_a_zip_is_it(safe: Path, tmp_path: Path, below: str, also: str | None) -> None:
    packed = archive(tmp_path / "deep.zip", safe, below=below, also=also)
    folder = tmp_path / "folder"
    with zipfile.ZipFile(packed) as opened:
        opened.extractall(folder)
    product = describe_product(packed)
    assert product.name == safe.name.removesuffix(".SAFE")
    assert len(product.bands) == 13
    assert open_scene(packed).fingerprints()
    assert several_products([folder]) == [str(folder / below / safe.name)]
    with pytest.raises(ImageryError, match=r"a folder with a product in it \(.*\.SAFE\)\. Give one of them, or"):
        open_scene(folder)


def test_two_products_in_a_zip_are_named(safe: Path, tmp_path: Path) -> None:
    other = sidecar_part(tmp_path, "P", 1000, EVERYWHERE, baseline=None)
    with pytest.raises(ImageryError, match=r"two\.zip: two products in it \(P, S2A_.*\)\. Unpack it, and give"):
        open_scene(archive(tmp_path / "two.zip", safe, other))


def test_a_folder_of_products_says_who_takes_it(tmp_path: Path) -> None:
    for number in range(5):
        sidecar_part(tmp_path, f"P{number}", 1000, EVERYWHERE, baseline=None)
    hint = (
        r"a folder with 5 products in it \(P0, P1, P2 and 2 more\)\. Give one of them, or the folder to what takes many"
    )
    with pytest.raises(ImageryError, match=hint):
        open_scene(tmp_path)
    (tmp_path / "zips").mkdir()
    (tmp_path / "zips" / "a.zip").write_bytes(b"")
    with pytest.raises(ImageryError, match=r"a folder with a product in it \(a\.zip\)"):
        open_scene(tmp_path / "zips")


def test_a_folder_of_products_is_taken_where_many_are(tmp_path: Path) -> None:
    for day in (1, 2):
        sidecar_part(tmp_path / "archive", f"P{day}", 1000, EVERYWHERE, baseline=None, time=f"2024-05-0{day}T10:00:00")
    single = sidecar_part(tmp_path, "Q", 1000, EVERYWHERE, baseline=None, time="2024-05-03T10:00:00")
    task = LoadScenesTask(scenes=[tmp_path / "archive", single], bands=["B02"], sun_angles_feature=None)
    grid = open_scene(single).grid_of("B02")
    from sentinelhub.constants import CRS
    from sentinelhub.geometry import BBox

    patch = task.execute(bbox=BBox(grid.bounds, CRS(grid.crs)))
    assert [time.day for time in patch.timestamps] == [1, 2, 3]


def test_what_is_no_folder_of_products_stays_as_it_is(safe: Path, tmp_path: Path) -> None:
    item: dict[str, Any] = {"type": "Feature"}
    tile = aws_bucket(safe, tmp_path / "bucket")
    given = [safe, sample_path(), tile, item, tmp_path / "absent", "https://example.org/a", str(tmp_path / "x.zip")]
    (tmp_path / "empty").mkdir()
    given.append(tmp_path / "empty")
    assert several_products(given) == given
    assert several_products([tmp_path / "bucket"]) == [str(tile)]


NAMES = st.lists(
    st.builds(
        "/".join,
        st.lists(st.sampled_from(["a", "b.SAFE", "GRANULE", "c.zip"]), max_size=3).flatmap(
            lambda folders: st.sampled_from(
                ["MTD_MSIL1C.xml", "metadata.xml", "B02.jp2", "acquisition.json", "x.zip", "y.txt"]
            ).map(lambda last: [*folders, last])
        ),
    ),
    max_size=12,
    unique=True,
)


@given(NAMES)
def test_no_product_lies_in_another_and_none_is_missed(names: list[str]) -> None:
    names = sorted(names)
    roots = product_roots(names)
    assert roots == sorted(set(roots))
    for root in roots:
        assert not set(parents(root)) & set(roots)
    for name in names:
        if name.endswith(("MTD_MSIL1C.xml", "acquisition.json", ".zip")):
            assert {*parents(name), name} & set(roots)


@pytest.mark.parametrize(
    "outline",
    [[[]], [], None, [[[0, 0, 0]] * 4], [[[float("nan")] * 2] * 4], [[[1e300, 1e300]] * 5], [[[1, 1], [2, 2], [1, 1]]],
     [[[300000, 5900000]] * 5], "x", {"a": 1}, [[["a", "b"]] * 5]],
    ids=str,
)  # fmt: skip
def test_tiles_without_an_outline_are_described_without_it(safe: Path, tmp_path: Path, outline: Any) -> None:
    tile = aws_bucket(safe, tmp_path, with_product=False)
    for name in ("metadata.xml",):
        (tile / name).write_text((tile / name).read_text().replace("N05.10", "N02.04"))
    described = json.loads((tile / "tileInfo.json").read_text())
    described.pop("productName")
    described["tileDataGeometry"] = {"type": "Polygon", "coordinates": outline}
    (tile / "tileInfo.json").write_text(json.dumps(described))
    assert describe_product(tile).acquisition.footprint == ()
    described["tileDataGeometry"]["coordinates"] = [
        [[300_000, 5_900_000], [301_000, 5_900_000], [301_000, 5_899_000], [300_000, 5_900_000]]
    ]
    (tile / "tileInfo.json").write_text(json.dumps(described))
    assert len(describe_product(tile).acquisition.footprint) == 4
