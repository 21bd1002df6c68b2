"""LoadScenesTask: real products against reading them directly, simulated ones for the rules of frames."""

from __future__ import annotations

import datetime as dt
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from eolearn.core import EOPatch, FeatureType
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

from eotasks.catalogue import Catalogue, item_of
from eotasks.errors import (
    BandError,
    ConfigurationError,
    EOTasksError,
    FeatureError,
    FrameDroppedWarning,
    GridError,
    ImageryError,
    ProductSkippedWarning,
    TooFewFramesError,
)
from eotasks.export.cog import write_cog
from eotasks.imagery.scene import open_scene
from eotasks.sources import frames
from eotasks.sources.bbox import grid_of_bbox, snap_bbox
from eotasks.sources.sample import SAMPLE_BBOX, SUN_ANGLES, LoadSampleTask, sample_path
from eotasks.sources.scenes import LoadScenesTask
from tests.builders.products import LEFT, TOP, write_jp2

SIZE = 20
UTM33 = CRS("EPSG:32633")
CORNER = BBox((330_000, 5_819_480, 332_560, 5_822_040), UTM33)
"""Of the embedded scene."""
BOX = BBox((LEFT, TOP - SIZE * 10, LEFT + SIZE * 10, TOP), UTM33)
CLP, CLM, SHADOW = (FeatureType.DATA, "CLP"), (FeatureType.MASK, "CLM"), (FeatureType.MASK, "SHADOW")


def make_product(
    folder: Path,
    name: str,
    value: int = 1000,
    *,
    time: str = "2024-05-01T10:00:00",
    tile: str = "33UUU",
    satellite: str = "S2A",
    left: float = LEFT,
    offset: int = 0,
    baseline: str | None = None,
    sun: tuple[float, float] = (40.0, 150.0),
) -> Path:
    """A simulated product: two bands of 20 x 20 px, everywhere the same number as stored."""
    place = folder / name
    place.mkdir(parents=True)
    for step, band in enumerate(("B02", "B04")):
        write_jp2(
            place / f"X_{band}.jp2", np.full((SIZE, SIZE), value and value + step, np.uint16), 10, left=left, levels=1
        )
    sidecar = {
        "version": 1, "time": time, "satellite": satellite, "tile": tile, "radio_add_offset": offset,
        "processing_baseline": baseline, "sun_zenith": sun[0], "sun_azimuth": sun[1],
    }  # fmt: skip
    (place / "acquisition.json").write_text(json.dumps(sidecar))
    return place


def load(scenes: list[Path], bbox: BBox = BOX, interval: Any = None, **options: Any) -> EOPatch:
    task = LoadScenesTask(scenes=scenes, bands=["B02", "B04"], **{"dtype": "dn", **options})
    return task.execute(bbox=bbox, time_interval=interval)


def catalogue_with(path: Path, products: list[Path], masks: dict[str, dict[str, str]] | None = None) -> Catalogue:
    catalogue = Catalogue(path)
    scenes = [open_scene(product) for product in products]
    catalogue.add([item_of(scene, masks=(masks or {}).get(scene.name)) for scene in scenes])
    return catalogue


@pytest.mark.slow
@pytest.mark.parametrize(("resolution", "bbox"), [(10, CORNER), (60, SAMPLE_BBOX)], ids=["10", "60"])
def test_the_sample_is_as_its_own_task_loads_it(resolution: int, bbox: BBox) -> None:
    patch = LoadScenesTask(scenes=[sample_path()], resolution=resolution).execute(bbox=bbox)
    expected = LoadSampleTask(resolution=resolution).execute(bbox=bbox)
    assert patch == expected


@pytest.mark.slow
def test_a_catalogue_of_real_products(shared_data: Path, tmp_path: Path) -> None:
    products = sorted((shared_data / "l1c_safe").glob("*.SAFE"))
    catalogue = catalogue_with(tmp_path / "c.parquet", products)
    scenes = [open_scene(product) for product in products]
    stored = scenes[0].grid_of("B02")
    bbox = BBox(stored.bounds, CRS(stored.crs))
    task = LoadScenesTask(
        catalogue=catalogue,
        view_angles_feature=(FeatureType.DATA, "VIEW"),
        sun_angles_feature=(FeatureType.DATA, "SUN"),
    )
    patch = pickle.loads(pickle.dumps(task)).execute(bbox=bbox, time_interval=("2024-01-01", "2024-12-31"))
    assert patch.timestamps == [scene.acquisition.time for scene in scenes]
    for frame, scene in enumerate(scenes):
        dn, is_data = scene.read_masked(scene.bands, stored)
        np.testing.assert_array_equal(patch.data["BANDS"][frame], dn / np.float32(10_000))
        np.testing.assert_array_equal(patch.mask["IS_DATA"][frame, ..., 0], is_data)
        np.testing.assert_array_equal(patch.data["SUN"][frame], np.stack(scene.sun_angles(stored), axis=-1))
    assert patch.data["VIEW"].shape == (2, 30, 30, 2)
    assert np.nanmax(patch.data["VIEW"][..., 0]) < 15
    clear = task.execute(bbox=bbox, time_interval=("2024-01-20", "2024-01-20"))
    assert len(clear.timestamps or []) == 1
    few = LoadScenesTask(catalogue=catalogue, bands=["B02"], maxcc=0.3).execute(bbox=bbox)
    assert few.timestamps == [scenes[0].acquisition.time]


def test_tiles_of_a_datatake_and_mixed_baselines_make_one_frame(tmp_path: Path) -> None:
    west = make_product(tmp_path, "W", 2000, baseline="02.04", sun=(40, 150))
    east = make_product(
        tmp_path, "E", 4000, tile="33UVU", left=LEFT + 200, offset=-1000, baseline="05.10", sun=(42, 150)
    )
    patch = load([west, east], BBox((LEFT, TOP - 200, LEFT + 400, TOP), UTM33))
    assert patch.timestamps == [dt.datetime.fromisoformat("2024-05-01T10:00:00")]
    expected = np.repeat([[[2000, 2001]] * SIZE + [[3000, 3001]] * SIZE], SIZE, axis=0)
    np.testing.assert_array_equal(patch.data["BANDS"][0], expected)
    assert patch.mask["IS_DATA"].all()
    np.testing.assert_allclose(patch[SUN_ANGLES], [[41, 150]], atol=0.01)


def test_of_one_acquisition_the_newest_baseline_counts_and_a_warning_says_so(tmp_path: Path) -> None:
    old = make_product(tmp_path, "OLD", 1000, baseline="02.04")
    new = make_product(tmp_path, "NEW", 3000, baseline="05.00", offset=-1000, time="2024-05-01T10:00:20")
    with pytest.warns(ProductSkippedWarning, match=r"OLD \(baseline 02\.04\) for NEW \(baseline 05\.00\)"):
        patch = load([new, old])
    assert patch.data["BANDS"].shape[0] == 1
    assert (patch.data["BANDS"][..., 0] == 2000).all()


def test_time_difference_makes_the_frames(tmp_path: Path) -> None:
    products = [
        make_product(tmp_path, "A", 1000, time="2024-05-01T10:00:00"),
        make_product(tmp_path, "B", 2000, time="2024-05-01T11:40:00"),
        make_product(tmp_path, "C", 3000, time="2024-05-01T12:30:00", satellite="S2B"),
    ]
    two = load(products)
    assert two.timestamps == [
        dt.datetime.fromisoformat("2024-05-01T10:00:00"),
        dt.datetime.fromisoformat("2024-05-01T12:30:00"),
    ]
    assert two.data["BANDS"][:, 0, 0, 0].tolist() == [2000, 3000]
    day = load(products, time_difference=dt.timedelta(hours=12), mosaicking_order="leastRecent")
    assert day.data["BANDS"][:, 0, 0, 0].tolist() == [1000]
    assert len(load(products, time_difference=dt.timedelta(0)).timestamps or []) == 3


def test_only_what_lies_in_the_interval_and_holds_data(tmp_path: Path) -> None:
    products = [
        make_product(tmp_path, "A", time="2024-05-01T10:00:00"),
        make_product(tmp_path, "B", time="2024-06-01T10:00:00"),
        make_product(tmp_path, "FAR", time="2024-05-03T10:00:00", left=LEFT + 5_000),
        make_product(tmp_path, "EMPTY", 0, time="2024-05-04T10:00:00"),
    ]
    with pytest.warns(FrameDroppedWarning, match=r"1 frames without a pixel of data in .* are left out: EMPTY\."):
        patch = load(products, interval=("2024-05-01", "2024-05-31"))
    assert patch.timestamps == [dt.datetime.fromisoformat("2024-05-01T10:00:00")]
    with pytest.raises(TooFewFramesError, match=r"from 2024-05-02 to 2024-05-31 .* \(1 products looked at\)"):
        load(products, interval=("2024-05-02", "2024-05-31"))
    with pytest.raises(TooFewFramesError, match="0 products"):
        LoadScenesTask(scenes=products, level="L2A").execute(bbox=BOX)


def test_edges_of_footprints_are_not_missed(tmp_path: Path) -> None:
    """The northern edge of a footprint of four points lies 200 m south of the tile's, at its middle."""
    catalogue = catalogue_with(tmp_path / "c.parquet", [make_product(tmp_path, "A")])
    item = catalogue.search()[0]
    west, south, east, north = item.bbox or [0] * 4
    item.geometry = {"type": "Polygon", "coordinates": [[[west, south - 0.005], [east, south - 0.005], [east, south],
                                                         [west, south], [west, south - 0.005]]]}  # fmt: skip
    catalogue.add([item])
    assert catalogue.search(bbox=tuple(BOX), crs="EPSG:32633", limit=1) == [] or north > south
    task = LoadScenesTask(catalogue=catalogue, bands=["B02"])
    assert task.execute(bbox=BOX).mask["IS_DATA"].all()


def write_masks(folder: Path, classes: tuple[int, int] = (0, 1)) -> dict[str, dict[str, str]]:
    """Masks of two products side by side, W clear, E cloudy and in shadow, both without data in a corner.

    :param classes: Of W and E in CLM.
    """
    masks: dict[str, dict[str, str]] = {}
    for name, left, probability, cloud in (("W", LEFT, 51, 0), ("E", LEFT + 200, 204, 1)):
        bounds = (left, TOP - 320, left + 320, TOP)
        stored = np.full((2, 2), probability, np.uint8)
        stored[0, 0] = 255
        clp = write_cog(folder / f"{name}_CLP.tif", stored, crs="EPSG:32633", bounds=bounds, nodata=255)
        clm = write_cog(
            folder / f"{name}_CLM.tif", np.where(stored == 255, 255, classes[cloud]).astype(np.uint8),
            crs="EPSG:32633", bounds=bounds, nodata=255,
        )  # fmt: skip
        shadow = write_cog(
            folder / f"{name}_SHADOW.tif", np.where(stored == 255, 255, cloud).astype(np.uint8), crs="EPSG:32633",
            bounds=bounds, nodata=255,
        )  # fmt: skip
        masks[name] = {"CLP": str(clp), "CLM": str(clm), "SHADOW": str(shadow)}
    return masks


@pytest.mark.parametrize(
    ("listed", "classes"),
    [(False, (0, 1)), (True, (0, 1)), (True, (3, 4))],
    ids=["catalogue", "list", "snow and thin cloud"],
)
def test_masks_beside_the_products(listed: bool, classes: tuple[int, int], tmp_path: Path) -> None:
    """Each pixel has the mask of the product that its bands are from; snow is clear, thin cloud is cloud."""
    products = [make_product(tmp_path, "W"), make_product(tmp_path, "E", tile="33UVU", left=LEFT + 200)]
    masks = write_masks(tmp_path, classes)
    source: dict[str, Any] = {"scenes": products, "masks": masks}
    if not listed:
        source = {"catalogue": catalogue_with(tmp_path / "c.parquet", products, masks)}
    task = LoadScenesTask(**source, bands=["B02"], clp_feature=CLP, clm_feature=CLM, shadow_feature=SHADOW)
    patch = task.execute(bbox=BBox((LEFT, TOP - 200, LEFT + 400, TOP), UTM33))
    probability, cloud = patch[CLP][0, ..., 0], patch[CLM][0, ..., 0]
    assert (patch[CLP].dtype, patch[CLM].dtype) == (np.float32, np.uint8)
    assert np.isnan(probability[:16, :16]).all()
    assert np.isnan(probability[:16, 20:36]).all()
    assert (probability[16:, :20] == np.float32(51 / 255)).all()
    assert (probability[16:, 20:] == np.float32(204 / 255)).all()
    assert cloud[17, [0, 19, 20, 39]].tolist() == [0, 0, 1, 1]
    assert (cloud[:16, :16] == 255).all()
    np.testing.assert_array_equal(patch[SHADOW], patch[CLM])
    assert patch[SHADOW].dtype == np.uint8


def test_products_without_shadow_are_named(tmp_path: Path) -> None:
    masks = {"W": {kind: file for kind, file in write_masks(tmp_path)["W"].items() if kind != "SHADOW"}}
    catalogue = catalogue_with(tmp_path / "c.parquet", [make_product(tmp_path, "W")], masks)
    with pytest.raises(ImageryError, match="W: the catalogue has no SHADOW of it"):
        LoadScenesTask(catalogue=catalogue, bands=["B02"], shadow_feature=SHADOW).execute(bbox=BOX)


def test_a_list_is_opened_once_and_only_what_meets_the_box_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    near, far = make_product(tmp_path, "near"), make_product(tmp_path, "far", tile="33UVU", left=LEFT + 50_000)
    opened: list[Any] = []
    real = frames.open_scene
    monkeypatch.setattr(
        frames, "open_scene", lambda location, **named: opened.append(location) or real(location, **named)
    )
    task = LoadScenesTask(scenes=[near, far], bands=["B02"])
    first, second = task.execute(bbox=BOX), task.execute(bbox=BOX)
    assert first == second
    assert sorted(opened) == [far, near, near, near]  # both once for their metadata, then the one that is read
    assert pickle.loads(pickle.dumps(task)).execute(bbox=BOX) == first


def test_without_masks_it_says_how_to_make_them(tmp_path: Path) -> None:
    catalogue = catalogue_with(tmp_path / "c.parquet", [make_product(tmp_path, "A")])
    with pytest.raises(ImageryError, match=r"A: the catalogue has no CLM of it. Make them with eotasks cloud-mask"):
        LoadScenesTask(catalogue=catalogue, bands=["B02"], clm_feature=CLM).execute(bbox=BOX)


def test_a_listed_product_without_masks_is_named(tmp_path: Path) -> None:
    task = LoadScenesTask(scenes=[make_product(tmp_path, "A")], masks={}, bands=["B02"], clm_feature=CLM)
    with pytest.raises(ImageryError, match=r"A: there is no CLM of it. Make them with eotasks cloud-mask\.$"):
        task.execute(bbox=BOX)


def test_another_crs_is_warped(tmp_path: Path) -> None:
    from rasterio.warp import transform

    product = make_product(tmp_path, "A", 1234)
    x, y = (value[0] for value in transform("EPSG:32633", "EPSG:32632", [LEFT + 100], [TOP - 100]))
    left, top = round(x) - 50, round(y) + 50
    patch = load([product], BBox((left, top - 100, left + 100, top), CRS("EPSG:32632")))
    assert (patch.data["BANDS"] == [1234, 1235]).all()


def test_adds_to_an_eopatch_of_the_same_times(tmp_path: Path) -> None:
    product = make_product(tmp_path, "A")
    task = LoadScenesTask(scenes=[product], bands=["B02"])
    patch = task.execute(bbox=BOX)
    again = LoadScenesTask((FeatureType.DATA, "RED"), scenes=[product], bands=["B04"]).execute(patch)
    assert {name for _, name in again.get_features()} >= {"BANDS", "RED"}
    other = EOPatch(bbox=BOX, timestamps=["2024-05-01T10:00:00", "2024-05-01T11:00:00"])
    with pytest.raises(FeatureError, match="2 timestamps"):
        task.execute(other)


def test_a_missing_band_is_named(tmp_path: Path) -> None:
    with pytest.raises(BandError, match="B08"):
        LoadScenesTask(scenes=[make_product(tmp_path, "A")], bands=["B08"]).execute(bbox=BOX)


def test_a_product_that_is_gone_is_named(tmp_path: Path) -> None:
    product = make_product(tmp_path, "A")
    catalogue = catalogue_with(tmp_path / "c.parquet", [product])
    product.rename(tmp_path / "moved")
    with pytest.raises(ImageryError, match=str(product)):
        LoadScenesTask(catalogue=catalogue, bands=["B02"]).execute(bbox=BOX)


def test_a_box_is_snapped_to_whole_pixels(tmp_path: Path) -> None:
    """That of a polygon, in its own numbers or in degrees, as the box that it becomes."""
    product = make_product(tmp_path, "A")
    inner = BBox((LEFT + 23.4, TOP - SIZE * 10 + 31.7, LEFT + 61.8, TOP - 12.3), UTM33)
    plain, snapping = (LoadScenesTask(scenes=[product], bands=["B02"], snap=snap) for snap in (False, True))
    with pytest.raises(GridError, match=r"no whole number.*eotasks\.snap_bbox"):
        plain.execute(bbox=inner)
    expected = plain.execute(bbox=snap_bbox(inner, 10))
    assert snapping.execute(bbox=inner) == expected
    degrees = snapping.execute(bbox=inner.transform(CRS.WGS84))
    assert degrees.bbox.crs is UTM33
    assert degrees.bbox.geometry.buffer(0.1).contains(inner.geometry)
    assert snapping.execute(EOPatch(bbox=BOX)).bbox == BOX
    again = snapping.execute(EOPatch(bbox=expected.bbox), bbox=inner)
    assert again == expected, "the box that was given became that of the EOPatch"


def test_a_grid_that_does_not_fit() -> None:
    with pytest.raises(GridError, match="no whole number"):
        LoadScenesTask(scenes=[sample_path()], resolution=7).execute(bbox=BOX)
    assert grid_of_bbox(BOX, 10).shape == (SIZE, SIZE)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, ConfigurationError, "one of catalogue"),
        ({"catalogue": "c.parquet", "scenes": ["x"]}, ConfigurationError, "one of catalogue"),
        ({"catalogue": "c.json"}, ConfigurationError, r"\.parquet"),
        ({"scenes": []}, ConfigurationError, "at least one"),
        ({"scenes": "S2A.SAFE"}, ConfigurationError, "a list"),
        ({"scenes": ["x"], "clp_feature": CLP}, ConfigurationError, "need a catalogue"),
        ({"scenes": ["x"], "shadow_feature": SHADOW}, ConfigurationError, "need a catalogue"),
        ({"catalogue": "c.parquet", "masks": {}}, ConfigurationError, "masks belongs to scenes"),
        ({"scenes": ["x"], "bands": ["B02", "B02"]}, ConfigurationError, "each once"),
        ({"scenes": ["x"], "bands": ["B10"], "level": "L2A"}, BandError, "B10"),
        ({"scenes": ["x"], "level": "L1B"}, ConfigurationError, "L1C or L2A"),
        ({"scenes": ["x"], "scl_feature": (FeatureType.MASK, "SCL")}, ConfigurationError, "only L2A"),
        ({"scenes": ["x"], "resolution": "10"}, ConfigurationError, "above 0"),
        ({"scenes": ["x"], "resampling": "lanczos"}, ConfigurationError, "nearest"),
        ({"scenes": ["x"], "dtype": "uint8"}, ConfigurationError, "'reflectance' or 'dn'"),
        ({"scenes": ["x"], "maxcc": 80}, ConfigurationError, "0 to 1"),
        ({"scenes": ["x"], "mosaicking_order": "best"}, ConfigurationError, "mostRecent"),
        ({"scenes": ["x"], "time_difference": dt.timedelta(-1)}, ConfigurationError, "negative"),
        ({"scenes": ["x"], "sun_angles_feature": (FeatureType.MASK, "SUN")}, ConfigurationError, "SCALAR"),
    ],
)
def test_refused_arguments(arguments: dict[str, Any], error: type[EOTasksError], message: str) -> None:
    with pytest.raises(error, match=message):
        LoadScenesTask(**arguments)


def test_what_products_are_taken_from_is_opened_before_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    product = make_product(tmp_path, "a")
    task = LoadScenesTask(scenes=[product], bands=["B02", "B04"], dtype="dn")
    task.prepare()
    monkeypatch.setattr("eotasks.sources.scenes.open_candidates", lambda *_: pytest.fail("opened twice"))
    assert task.execute(bbox=BOX)[FeatureType.DATA, "BANDS"].shape == (1, SIZE, SIZE, 2)
    monkeypatch.undo()
    with pytest.raises(ImageryError, match="absent"):
        LoadScenesTask(scenes=[tmp_path / "absent"]).prepare()
    with pytest.raises(EOTasksError, match="absent"):
        LoadScenesTask(catalogue=tmp_path / "absent.parquet").prepare()
    whole = Catalogue(tmp_path / "products.parquet")
    whole.add([item_of(open_scene(product))])
    LoadScenesTask(catalogue=whole).prepare()
