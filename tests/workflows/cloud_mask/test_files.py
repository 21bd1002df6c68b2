"""The GeoTIFFs: encoding, overviews, colours, tags."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from rasterio.enums import ColorInterp

from eotasks.errors import ConfigurationError
from eotasks.export.cog import read_classes, write_cog
from eotasks.imagery.grid import Grid
from eotasks.imagery.products.acquisition import Acquisition
from eotasks.models.clouds.presets import mask_settings
from eotasks.sources.sample import open_sample
from eotasks.storage.place import Place
from eotasks.workflows.cloud_mask.files import MaskFiles
from eotasks.workflows.product_masks.images import CLM_CLASSES, stored_probability
from eotasks.workflows.product_masks.names import product_name
from eotasks.workflows.product_masks.options import CloudMaskOptions
from eotasks.workflows.product_masks.product import Picture, ProductMasks
from tests.builders.cog_layout import assert_is_cloud_optimized

HEIGHT, WIDTH = 700, 1100
GRID = Grid("EPSG:32633", 300_000, 5_000_000, 10, HEIGHT, WIDTH)
ACQUISITION = Acquisition(dt.datetime(2020, 5, 1, 10, 0, 31), "S2B", "33TWM")  # noqa: DTZ001 - naive UTC


@pytest.fixture(scope="module")
def masks() -> ProductMasks:
    """Half cloud with probability 1 in a chessboard of single pixels, a stripe of no data, a block of shadow."""
    row, column = np.indices((HEIGHT, WIDTH))
    probability = np.where((row + column) % 2 == 0, 1, 0).astype(np.float32)
    probability[:, 600:] = 0.25
    mask = (probability > 0.4).astype(np.uint8)
    shadow = np.zeros_like(mask)
    shadow[100:200, 700:900] = 1
    for values in (mask, shadow):
        values[:, 1000:] = 255
    probability[:, 1000:] = 0
    picture_grid = Grid("EPSG:32633", 300_000, 5_000_000, 100, HEIGHT // 10, WIDTH // 10)
    numbers = np.full((*picture_grid.shape, 3), 1_000, dtype=np.uint16)
    picture = Picture(numbers, np.ones(picture_grid.shape, dtype=bool), picture_grid)
    return ProductMasks(ACQUISITION, GRID, probability, mask, shadow, picture)


@pytest.fixture(scope="module")
def written(masks: ProductMasks, tmp_path_factory: pytest.TempPathFactory) -> MaskFiles:
    files = MaskFiles(Place(tmp_path_factory.mktemp("out") / "P"), "P")
    files.write(open_sample(), masks, CloudMaskOptions(resolution=10, shadows=True))
    return files


@pytest.mark.parametrize("kind", ["CLP", "CLM", "SHADOW"])
def test_are_cloud_optimized(written: MaskFiles, kind: str) -> None:
    assert_is_cloud_optimized(Path(written.location(kind)), levels=2)
    with rasterio.open(written.location(kind)) as dataset:
        assert (dataset.count, dataset.dtypes, dataset.nodata) == (1, ("uint8",), 255)
        assert tuple(dataset.bounds) == GRID.bounds
        assert dataset.crs.to_epsg() == 32633


def test_probability(written: MaskFiles) -> None:
    with rasterio.open(written.location("CLP")) as dataset:
        values = dataset.read(1, masked=True) * dataset.scales[0]
        assert dataset.scales == (1 / 255,)
        assert dataset.descriptions == ("Cloud probability",)
    assert set(values[:, :600].compressed().tolist()) == {0, 254 / 255}
    assert values[0, 700] == pytest.approx(0.25, abs=0.002)
    assert values.mask[:, 1000:].all()
    assert not values.mask[:, :1000].any()


def test_overviews_average_probability_without_no_data(written: MaskFiles) -> None:
    with rasterio.open(written.location("CLP"), overview_level=0) as overview:
        values = overview.read(1)
    assert set(np.unique(values[:, :300])) == {127}
    assert set(np.unique(values[:, 300:499])) == {64}
    assert set(np.unique(values[:, 501:])) == {255}


def test_overviews_of_masks_take_the_commonest(tmp_path: Path) -> None:
    mask = np.zeros((600, 1200), dtype=np.uint8)
    mask[::2, ::2] = 1  # what the nearest pixel might be: a quarter of all
    mask[:, 600:] = 1 - mask[:, :600]
    path = write_cog(
        tmp_path / "m.tif",
        mask,
        crs=GRID.crs,
        bounds=(0, 0, 1200, 600),
        classes=CLM_CLASSES,
        nodata=255,
        overviews="mode",
    )
    with rasterio.open(path, overview_level=0) as overview:
        values = overview.read(1)
    assert (values[:, :300] == 0).all()
    assert (values[:, 300:] == 1).all()


def test_an_unknown_way_of_overviews(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="overviews='median'"):
        write_cog(tmp_path / "m.tif", np.ones((2, 2)), crs=GRID.crs, bounds=(0, 0, 2, 2), overviews="median")  # type: ignore[arg-type]


def test_colours_and_names(written: MaskFiles) -> None:
    with rasterio.open(written.location("CLM")) as dataset:
        assert dataset.colorinterp == (ColorInterp.palette,)
        assert dataset.colormap(1)[1] == (230, 159, 0, 255)
        assert dataset.colormap(1)[0][3] == 0, "clear lets through the scene beneath"
    assert read_classes(written.location("CLM")) == CLM_CLASSES
    shadow = read_classes(written.location("SHADOW"))
    assert shadow is not None
    assert shadow.name_of(1) == "Cloud shadow"


def test_tags_say_how_it_was_made(written: MaskFiles) -> None:
    with rasterio.open(written.location("CLM")) as dataset:
        tags = dataset.tags()
    assert tags["PRODUCT"] == "P"
    assert (tags["SATELLITE"], tags["TILE"], tags["ACQUISITION_TIME"]) == ("S2B", "T33TWM", "2020-05-01T10:00:31Z")
    assert tags["MODEL"].endswith("v0.1.txt")
    assert len(tags["MODEL_SHA256"]) == 64
    assert tags["TIFFTAG_SOFTWARE"].startswith("eotasks ")
    assert (tags["THRESHOLD"], tags["AVERAGE_OVER"], tags["DILATION_SIZE"]) == ("0.4", "1", "1")
    assert tags["ENCODING"] == "0 clear, 1 cloud, 255 no data"
    assert "PROCESSING_BASELINE" not in tags  # not known, so not said
    assert not any("/" in value for value in tags.values())  # no path of a machine


def test_files_with_shadows_say_where_the_sun_stood_and_how_they_were_searched(
    masks: ProductMasks, tmp_path: Path
) -> None:
    acquisition = replace(ACQUISITION, sun_zenith=52.5, sun_azimuth=160.25)
    small = replace(
        masks,
        acquisition=acquisition,
        grid=Grid("EPSG:32633", 300_000, 5_000_000, 10, 32, 32),
        probability=masks.probability[:32, :32] if masks.probability is not None else None,
        mask=masks.mask[:32, :32],
        shadow=masks.mask[:32, :32],
    )
    files = MaskFiles(Place(tmp_path / "P"), "P")
    options = CloudMaskOptions(resolution=10, shadows=True, beyond="clear", quicklook=False)
    files.write(open_sample(), small, options)
    with rasterio.open(files.location("SHADOW")) as dataset:
        tags = dataset.tags()
    assert (tags["SUN_ZENITH"], tags["SUN_AZIMUTH"], tags["SHADOWS"]) == ("52.5", "160.25", "True")
    assert (tags["SHADOW_METHOD"], tags["BEYOND"]) == ("geometric", "clear")
    record = json.loads((tmp_path / "P" / "P.json").read_text())
    assert record["sun"] == {"sun_zenith": 52.5, "sun_azimuth": 160.25}


def test_shares(written: MaskFiles, masks: ProductMasks) -> None:
    shares = masks.shares
    assert shares.cloud == pytest.approx(0.3)
    assert shares.shadow == pytest.approx(200 * 100 / (HEIGHT * 1000))
    assert shares.data == pytest.approx(1000 / 1100)
    assert shares.mean_probability == pytest.approx(0.5 * 0.6 + 0.25 * 0.4)
    assert written.shares() == shares


def test_a_record_that_is_none(tmp_path: Path, masks: ProductMasks) -> None:
    files = MaskFiles(Place(tmp_path), "P")
    (tmp_path / files.record).write_text("{}")
    with pytest.raises(ConfigurationError, match=r"holds P\.json and no record of this command"):
        files.state(open_sample(), CloudMaskOptions())
    assert files.state(open_sample(), CloudMaskOptions(), overwrite=True) == "unfinished"
    with pytest.raises(ConfigurationError, match="no complete record"):
        files.shares()


@given(hnp.arrays(np.float32, (4, 5), elements=st.floats(0, 1, width=32)), hnp.arrays(np.bool_, (4, 5)))
@settings(max_examples=40)
def test_stored_probability_is_near_and_never_no_data(probability: np.ndarray, is_data: np.ndarray) -> None:
    stored = stored_probability(probability, is_data)
    assert (stored == 255).tolist() == (~is_data).tolist()
    error = np.abs(stored[is_data] / 255 - probability[is_data])
    assert (error <= 1 / 255 + 1e-6).all()
    assert (error[probability[is_data] <= 254 / 255] <= 0.5 / 255 + 1e-6).all()


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/S2A_MSIL1C_20170216T102101.SAFE", "S2A_MSIL1C_20170216T102101"),
        ("a/X.SAFE.zip", "X"),
        ("a/X.zip/", "X"),
        ("a/b/..", "a"),
    ],
    ids=["safe", "zipped", "slash", "dots"],
)
def test_name_of_a_product(path: str, name: str) -> None:
    assert product_name(Path(path)) == name


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (CloudMaskOptions(), "mean over 1 px, > 0.4, grown by 1 px"),
        (CloudMaskOptions(mask=mask_settings("gee")), "> 0.5, eroded by 2 px, grown by 5 px"),
        (CloudMaskOptions(mask=mask_settings("sentinel-hub")), "Gaussian of 3 px, > 0.6"),
        (CloudMaskOptions(mask=mask_settings(unit="metre")), "mean over 40 m, > 0.4, grown by 20 m"),
    ],
    ids=["default", "gee", "sentinel-hub", "metres"],
)
def test_steps_in_words(options: CloudMaskOptions, words: str) -> None:
    assert options.steps() == words


@pytest.mark.parametrize("wrong", [{"resolution": 30}, {"resolution": 60.5}, {"sampling": "cubic"}])
def test_options_are_checked(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        CloudMaskOptions(**wrong)  # type: ignore[arg-type]
