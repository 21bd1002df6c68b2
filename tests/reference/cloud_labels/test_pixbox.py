"""The points of PixBox on a small product under the name of one of its own."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rasterio.warp import transform

from eotasks.errors import AreaError, ImageryError, ProductSkippedWarning, ReferenceDataError
from eotasks.imagery.scene import open_scene
from eotasks.models.clouds.evaluation import map_labels
from eotasks.models.sentinel2 import BANDS
from eotasks.reference.cloud_labels.classes import judged_as
from eotasks.reference.cloud_labels.protocol import LabelledFrame
from eotasks.reference.cloud_labels.sets import pixbox
from eotasks.reference.cloud_labels.sets.pixbox import PIXBOX
from eotasks.reference.cloud_labels.sets.pixbox_products import PRODUCTS
from tests.builders.clouds.label_sets import write_rows
from tests.builders.layouts import small_safe
from tests.builders.tile import NAME

NUMBER, OTHER = 5472572, 183807605
POINTS = (  # x, y, cloud, shadow
    (0, 0, 2, 1), (2, 0, 3, 0), (4, 0, 1, 3), (6, 0, 7, 2), (8, 0, 0, 4), (10, 0, 5, 3), (191, 191, 12, 0),
    (20, 20, 2, 0), (21, 21, 1, 0), (30, 30, 1, 0), (31, 30, 1, 0),
)  # fmt: skip


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_safe(tmp_path_factory.mktemp("pixbox"))


def row(x: float, y: float, cloud: float = 1, shadow: float = 0, product: int = NUMBER) -> dict[str, Any]:
    return {
        "PRODUCT_ID": product, "PIXEL_X": x, "PIXEL_Y": y, "CLOUD_CHARACTERISTICS_ID": cloud, "SHADOW_ID": shadow,
    }  # fmt: skip


def write_table(folder: Path, rows: Sequence[dict[str, Any]]) -> None:
    write_rows(folder / "pixbox_sentinel2_cmix_20180425.csv", rows)


@pytest.fixture
def folder(product: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With one product, which is called one of PixBox's: a folder may not be named after another product."""
    monkeypatch.setattr(pixbox, "PRODUCTS", {**PRODUCTS, NUMBER: NAME})
    return product.parent


def only_frame(folder: Path) -> LabelledFrame:
    (source,) = PIXBOX.frames(folder)
    return source.load()


def test_points_lie_on_the_product_at_20_m(folder: Path, product: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_table(folder, [row(*point) for point in POINTS])
    (source,) = PIXBOX.frames(folder)
    assert source.name == NAME
    frame = source.load()
    scene = open_scene(product)
    assert frame.labels.shape == (96, 96)
    assert frame.bounds == scene.grid_of("B02").bounds
    assert frame.band_names == BANDS
    assert frame.time == scene.acquisition.time
    assert frame.sun is not None
    assert frame.sun[0] == pytest.approx(float(scene.sun_angles(scene.grid_of("B01"))[0].mean()), abs=0.1)
    judged = map_labels(frame.labels, judged_as(PIXBOX.classes))
    found = {(int(y), int(x)): int(judged[y, x]) for y, x in np.argwhere(judged != 255)}
    # A shadow that is clear; cloud in shadow is cloud; (20, 20) and (21, 21) share a pixel and differ.
    assert found == {
        (0, 0): 1, (0, 1): 1, (0, 2): 2, (0, 3): 0, (0, 4): 0, (0, 5): 1, (95, 95): 1, (15, 15): 0,
    }  # fmt: skip
    # What lies far from every point is not read.
    monkeypatch.setattr(pixbox, "_MARGIN", 200.0)
    write_table(folder, [row(101, 60)])
    part = only_frame(folder)
    assert part.labels.shape == (21, 21)
    assert [tuple(at) for at in np.argwhere(part.labels == 1)] == [(10, 10)]
    np.testing.assert_array_equal(part.bands, frame.bands[20:41, 40:61])


def test_coordinates_of_the_table_are_compared(folder: Path, product: Path) -> None:
    grid = open_scene(product).grid_of("B02")
    (longitude,), (latitude,) = transform(grid.crs, "EPSG:4326", [grid.left + 1005], [grid.top - 605])
    write_table(folder, [{**row(100, 60), "LATITUDE": latitude, "LONGITUDE": longitude}])
    assert (only_frame(folder).labels == 1).sum() == 1
    write_table(folder, [{**row(100, 70), "LATITUDE": latitude, "LONGITUDE": longitude}])
    with pytest.raises(ReferenceDataError, match="lies 100 m from the coordinates"):
        only_frame(folder)
    write_table(folder, [{**row(100, 70), "LATITUDE": 1e9, "LONGITUDE": longitude}])
    with pytest.raises(ReferenceDataError, match="none on Earth"):
        only_frame(folder)


def test_products_that_are_not_there(folder: Path, tmp_path: Path) -> None:
    write_table(folder, [row(1, 1), row(2, 2, product=OTHER), row(3, 3, product=OTHER)])
    with pytest.warns(
        ProductSkippedWarning, match=f"1 of 2 products are not there, such as {PRODUCTS[OTHER]}; their 2"
    ):
        assert len(PIXBOX.frames(folder)) == 1
    write_table(tmp_path, [row(1, 1, product=OTHER)])
    with pytest.raises(AreaError, match=PRODUCTS[OTHER]):
        PIXBOX.frames(tmp_path)
    (tmp_path / f"{PRODUCTS[OTHER]}.SAFE.zip").write_bytes(b"no zip")
    (source,) = PIXBOX.frames(tmp_path)
    with pytest.raises(ImageryError):
        source.load()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (row(1, 1, cloud=13), "CLOUD_CHARACTERISTICS_ID 13 is none of 0 to 12"),
        (row(1, 1, cloud=1.5), "CLOUD_CHARACTERISTICS_ID 1.5"),
        (row(1, 1, shadow=5), "SHADOW_ID 5 is none"),
        (row(1, 1, product=7), "product 7 is none of the 29"),
        ({**row(1, 1), "PIXEL_X": "many"}, "a value of PIXEL_X is no number"),
        ({**row(1, 1), "PIXEL_X": "nan"}, "a value of PIXEL_X is no number"),
        ({**row(1, 1), "PIXEL_Y": "1e300"}, "a value of PIXEL_Y is no number"),
        ({"PRODUCT_ID": NUMBER, "PIXEL_SURFACE_TYPE_ID": 1}, "no column PIXEL_X, PIXEL_Y"),
    ],
    ids=["cloud", "half", "shadow", "product", "word", "nan", "huge", "Landsat"],
)
def test_tables_of_something_else(wrong: dict[str, Any], words: str, tmp_path: Path) -> None:
    write_table(tmp_path, [wrong])
    with pytest.raises(ReferenceDataError, match=words):
        PIXBOX.frames(tmp_path)


def test_pixels_off_the_grid(folder: Path) -> None:
    for x, y in ((192, 0), (0, -1), (10_980, 10_980)):
        write_table(folder, [row(x, y)])
        with pytest.raises(ReferenceDataError, match="lies outside of 192 x 192"):
            only_frame(folder)


def test_two_tables_are_one_too_many(tmp_path: Path) -> None:
    write_table(tmp_path, [row(1, 1)])
    shutil.copy(tmp_path / "pixbox_sentinel2_cmix_20180425.csv", tmp_path / "pixbox_sentinel2_copy.csv")
    with pytest.raises(ReferenceDataError, match="2 tables in it"):
        PIXBOX.frames(tmp_path)
