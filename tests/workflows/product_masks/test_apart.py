"""`eotasks cloud-mask --snow --thin-cloud`: classes of their own, at any resolution, and what reads them afterwards."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio

from eotasks.export.cog import read_classes
from eotasks.imagery.scene import open_scene
from eotasks.models.clouds.presets import mask_settings
from eotasks.models.sentinel2 import BANDS, SceneClass
from eotasks.workflows.cloud_mask.quicklook import quicklook_sheet
from eotasks.workflows.product_masks import product
from eotasks.workflows.product_masks.options import CloudMaskOptions
from eotasks.workflows.product_masks.product import make_masks
from tests.builders.clouds.spectra import CIRRUS_OVER_GRASS, CLOUD, GRASS, SNOW
from tests.builders.command_line import Result
from tests.builders.command_line import command as call
from tests.builders.layouts import small_l2a, small_safe
from tests.builders.products import write_jp2
from tests.builders.sample_products import MakeProduct


def command(*arguments: str | Path) -> Result:
    return call("cloud-mask", *arguments)


def quarters(band: str, values: np.ndarray) -> np.ndarray:
    """Snow in the north-west, cirrus over grass in the north-east, grass in the south; no data in the last corner."""
    spectra = [np.round(spectrum[BANDS.index(band)] * 10_000) for spectrum in (SNOW, CIRRUS_OVER_GRASS, GRASS)]
    half = len(values) // 2
    values[:half, :half], values[:half, half:], values[half:] = spectra
    values[-half // 3 :, -half // 3 :] = 0
    return values


def with_cloud(band: str, values: np.ndarray) -> np.ndarray:
    """The same with opaque cloud in the south-west."""
    half = len(values) // 2
    values = quarters(band, values)
    values[half:, :half] = np.round(CLOUD[BANDS.index(band)] * 10_000)
    return values


@pytest.mark.parametrize(
    ("resolution", "sampling", "preset"),
    [(160, "fast", "eo-learn"), (160, "mean", "s2cloudless"), (160, "nearest", "sentinel-hub"), (20, "mean", "gee")],
)
def test_snow_thin_cloud_and_ground_are_told_apart(
    make_product: MakeProduct, resolution: int, sampling: str, preset: str
) -> None:
    """All of the north is cloud to the model, and none of it to the mask."""
    scene = open_scene(make_product(change=quarters))
    settings = {"resolution": resolution, "sampling": sampling, "mask": mask_settings(preset), "quicklook": False}  # type: ignore[arg-type]
    plain = make_masks(scene, CloudMaskOptions(**settings))  # type: ignore[arg-type]
    assert set(np.unique(plain.mask)) == {0, 1, 255}
    both = make_masks(scene, CloudMaskOptions(snow=True, thin_cloud=True, **settings))  # type: ignore[arg-type]
    edge = 2  # mixed pixels
    half = len(both.mask) // 2
    inside = slice(None, half - edge)
    assert (both.mask[inside, : half - edge] == 3).all()
    assert (both.mask[inside, half + edge :] == 4).all()
    assert (both.mask[half + edge :, : half - edge] == 0).all()
    assert np.array_equal(both.mask == 255, plain.mask == 255)
    np.testing.assert_array_equal(both.probability, plain.probability)
    shares, data = both.shares, both.mask != 255
    assert shares.snow == pytest.approx((both.mask == 3).sum() / data.sum())
    assert shares.thin_cloud == pytest.approx((both.mask == 4).sum() / data.sum())
    assert plain.shares.snow is plain.shares.thin_cloud is None


def test_cloud_grows_over_snow_and_one_class_leaves_the_other(make_product: MakeProduct) -> None:
    scene = open_scene(make_product(change=with_cloud))
    options = CloudMaskOptions(resolution=60, snow=True, quicklook=False)
    mask = make_masks(scene, options).mask
    assert (mask[:14, :14] == 3).all()
    assert (mask[15, :14] == 1).all(), "the row of snow beside cloud"
    assert (mask[:15, 20:] == 1).all(), "thin cloud is cloud where it is no class of its own"
    thin = make_masks(scene, CloudMaskOptions(resolution=60, thin_cloud=True, quicklook=False)).mask
    assert (thin[:14, 18:] == 4).all()
    assert (thin[:14, :14] == 1).all()


def test_strips_make_no_difference(make_product: MakeProduct, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = open_scene(make_product(change=with_cloud))
    options = CloudMaskOptions(resolution=60, shadows=True, snow=True, thin_cloud=True, quicklook=False)
    whole = make_masks(scene, options)
    monkeypatch.setattr(product, "_STRIP", 48)  # 8 rows of 60 m
    pieces = make_masks(scene, options, threads=2)
    np.testing.assert_array_equal(pieces.mask, whole.mask)
    np.testing.assert_array_equal(pieces.shadow, whole.shadow)


def test_detectors_of_classes_too(make_product: MakeProduct) -> None:
    scene = open_scene(make_product(change=with_cloud))
    options = CloudMaskOptions(
        resolution=60, detector="braaten-cohen-yang", snow=True, thin_cloud=True, quicklook=False
    )
    mask = make_masks(scene, options).mask
    assert [mask[2, 2], mask[2, -3], mask[-3, 2], mask[20, 20]] == [3, 4, 1, 0]


@pytest.mark.filterwarnings("ignore::eotasks.errors.ShadowWarning")  # its clouds are made up
def test_a_detector_with_a_mask_of_its_own_keeps_them_apart(make_product: MakeProduct) -> None:
    """Its clouds are those of s2cloudless: none of snow, and some that have grown over it. Snow throws no shadows."""
    scene = open_scene(make_product(change=with_cloud))
    classes = {"snow": True, "thin_cloud": True}
    clouds = make_masks(scene, CloudMaskOptions(resolution=60, quicklook=False, **classes))  # type: ignore[arg-type]
    options = {"resolution": 60, "detector": "shadows-geometric", "shadows": True, "quicklook": False}
    apart = make_masks(scene, CloudMaskOptions(**options, **classes))  # type: ignore[arg-type]
    np.testing.assert_array_equal(apart.mask, clouds.mask)
    assert (apart.mask[15, :14] == 1).all(), "the row of snow beside cloud"
    plain = make_masks(scene, CloudMaskOptions(**options))  # type: ignore[arg-type]
    assert (plain.mask[:14, :14] == 1).all()
    scene = open_scene(make_product("clear", change=quarters))
    alone = make_masks(scene, CloudMaskOptions(**options, **classes))  # type: ignore[arg-type]
    assert alone.shadow is not None
    assert not (alone.shadow == 1).any(), "of snow and cirrus, which are cloud to the model"


def test_files_record_summary_and_picture_name_the_classes(make_product: MakeProduct, tmp_path: Path) -> None:
    make = ("--resolution", "60", "--styles", "--no-quicklook", "--out")
    plain = command(make_product(change=quarters), *make, tmp_path / "plain")
    result = command(tmp_path / "products" / "small", *make, tmp_path / "out", "--snow", "--thin-cloud")
    assert (result.code, result.err) == (0, "")
    said = " ".join(result.out.split())
    assert "snow and thin cloud apart" in said
    folder = tmp_path / "out" / "small"
    described = json.loads((folder / "small.json").read_text())
    assert described["settings"]["thin_cloud"] == "B10 > 0.012, B02 < 0.22"
    assert described["settings"]["snow"].startswith("NDSI >= 0.4, B03 >= 0.15, B08 > 0.11, B08 >= 0.6 B03, B08 - 0.03")
    shares = described["shares"]
    assert shares["snow"] == pytest.approx(0.25, abs=0.03)
    assert all(f"{shares[name]:.1%}" in said for name in ("cloud", "thin_cloud", "snow"))
    assert {"thin", "snow"} <= set(said.split())
    with rasterio.open(folder / "small_CLM.tif") as dataset:
        assert dataset.tags()["ENCODING"] == "0 clear, 1 cloud, 3 snow, 4 thin cloud, 255 no data"
        assert dataset.tags()["SNOW"] == described["settings"]["snow"]
        assert dataset.colormap(1)[3] == (86, 180, 233, 255)
        assert set(np.unique(dataset.read(1))) >= {0, 3, 4, 255}
    classes = read_classes(folder / "small_CLM.tif")
    assert classes is not None
    assert classes.names == ["Clear", "Cloud", "Snow", "Thin cloud"]
    assert 'value="4" color="#f0e442" alpha="255" label="Thin cloud"' in (folder / "small_CLM.qml").read_text()

    before = json.loads((tmp_path / "plain" / "small" / "small.json").read_text())
    assert not {"snow", "thin_cloud"} & {*before["settings"], *before["shares"]}
    with rasterio.open(tmp_path / "plain" / "small" / "small_CLM.tif") as dataset:
        assert dataset.tags()["ENCODING"] == "0 clear, 1 cloud, 255 no data"
    assert "snow" not in plain.out
    refused = command(tmp_path / "products" / "small", *make, tmp_path / "plain", "--snow")
    assert refused.code == 2
    assert "other settings (snow changed)" in refused.err
    kept = command(tmp_path / "products" / "small", *make, tmp_path / "out", "--snow", "--thin-cloud")
    assert "kept" in kept.out
    assert f"{shares['snow']:.1%}" in kept.out


def test_the_picture_shows_and_counts_them(make_product: MakeProduct) -> None:
    options = CloudMaskOptions(resolution=60, snow=True, thin_cloud=True)
    sheet = quicklook_sheet(make_masks(open_scene(make_product(change=quarters)), options), options, "P")
    keys = [text.split("  ")[0] for text in sheet.texts if "%" in text]
    assert keys == ["cloud", "thin cloud", "snow", "clear", "no data"]
    assert "Cloud, thin cloud and snow mask" in sheet.texts


def test_l2a_has_snow_without_b10_and_no_thin_cloud(tmp_path: Path) -> None:
    l2a = small_l2a(small_safe(tmp_path / "L1C"), tmp_path)
    make = ("--detector", "braaten-cohen-yang", "--resolution", "60", "--no-quicklook", "--out")
    assert command(l2a, "--snow", *make, tmp_path / "snow").code == 0
    refused = command(l2a, "--thin-cloud", *make, tmp_path / "thin")
    assert refused.code == 1
    assert "B10 is missing" in refused.out
    assert "--detector scl" in " ".join(refused.out.split())


def test_the_classes_of_sen2cor(tmp_path: Path) -> None:
    folder = small_l2a(small_safe(tmp_path / "L1C"), tmp_path)
    for path in folder.rglob("*_SCL_*.jp2"):
        with rasterio.open(path) as source:
            classes, transform = source.read(1), source.transform
        names = (SceneClass.THIN_CIRRUS, SceneClass.SNOW_OR_ICE, SceneClass.NO_DATA, SceneClass.CLOUD_HIGH_PROBABILITY)
        classes[:] = np.repeat(np.array(names, dtype=np.uint8), len(classes) // 4)[:, np.newaxis]
        path.unlink()
        write_jp2(path, classes, transform.a, left=transform.c, top=transform.f)
    options = CloudMaskOptions(resolution=60, detector="scl", shadows=True, snow=True, thin_cloud=True, quicklook=False)
    masks = make_masks(open_scene(folder), options)
    np.testing.assert_array_equal(masks.mask, np.repeat([4, 3, 255, 1], 8)[:, np.newaxis].repeat(32, axis=1))
    assert options.to_dict()["snow"] == "SCL 11"
