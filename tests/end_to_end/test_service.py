"""Clients as they are, over HTTP, against the whole service: real products, real engine, nothing between."""

from __future__ import annotations

import base64
import datetime as dt
import io
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
import shapely.geometry
from eolearn.core import FeatureType
from eolearn.io import SentinelHubEvalscriptTask, SentinelHubInputTask
from PIL import Image
from s2cloudless import S2PixelCloudDetector
from s2cloudless.utils import download_bands_and_valid_data_mask
from sentinelhub import (
    CRS,
    BBox,
    DataCollection,
    MimeType,
    MosaickingOrder,
    SentinelHubCatalog,
    SentinelHubDownloadClient,
    SentinelHubRequest,
    SentinelHubStatistical,
    SHConfig,
)

from eotasks.sources.sentinelhub import DownloadBandsTask, DownloadStatisticsTask
from eotasks.sources.sentinelhub.field_statistics import FieldStatisticsRequest
from eotasks.workflows.land_cover.config import LandCoverConfig
from eotasks.zonal.polygons import polygons_of
from eotasks.zonal.quantities import quantities_of
from eotasks.zonal.task import ZonalStatisticsTask
from eotasks.zonal.vocabulary import FRACTIONS
from tests.builders.inputs.sentinelhub import write_profile
from tests.servers.real_service import RealService, real_service, write_day

CLIP = BBox((331_200, 5_816_400, 332_160, 5_817_360), CRS.UTM_33N)
"""960 x 960 m."""

YEAR = ("2017-01-01", "2017-12-31")
DAYS = ("2017-02-16", "2017-03-18")
BANDS = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:The 'shapely.ops.transform:DeprecationWarning"),  # of the client
]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealService]:
    folder = tmp_path_factory.mktemp("service")
    products = folder / "products"
    products.mkdir()
    write_day(products, DAYS[0], cloud_cover=60)
    write_day(products, DAYS[1], south=2400, cloud_cover=20)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")  # the client wants https for tokens
        with real_service(folder, products) as running:
            yield running


@pytest.fixture(scope="module")
def config(service: RealService) -> SHConfig:
    return service.config()


@pytest.fixture(scope="module")
def l1c(service: RealService) -> DataCollection:
    return service.collection()


def stored(service: RealService, day: str, band: str, box: BBox = CLIP, size: int = 10) -> np.ndarray:
    """Stored numbers under the centres of pixels of a size, by rasterio."""
    folder = service.products / f"T33UUU_{day.replace('-', '')}"
    left, bottom, right, top = box
    (path,) = folder.glob(f"*{band}.jp2")
    with rasterio.open(path) as source:
        x, y = np.arange(left + size / 2, right, size), np.arange(top - size / 2, bottom, -size)
        columns = np.floor((x - source.transform.c) / source.transform.a).astype(int)
        rows = np.floor((source.transform.f - y) / source.transform.a).astype(int)
        return np.asarray(source.read(1)[np.ix_(rows, columns)])


def test_every_band_as_it_is_stored(config: SHConfig, l1c: DataCollection, service: RealService) -> None:
    evalscript = f"""//VERSION=3
    function setup() {{ return {{ input: [{{ bands: {BANDS}, units: "DN" }}],
      output: {{ bands: {len(BANDS)}, sampleType: "UINT16" }} }} }}
    function evaluatePixel(sample) {{ return [{", ".join(f"sample.{band}" for band in BANDS)}] }}"""
    request = SentinelHubRequest(
        evalscript=evalscript,
        input_data=[SentinelHubRequest.input_data(l1c, time_interval=(DAYS[0], DAYS[0]))],
        responses=[SentinelHubRequest.output_response("default", MimeType.TIFF)],
        bbox=CLIP,
        resolution=(10, 10),
        config=config,
    )
    (image,) = request.get_data()
    assert image.dtype == np.uint16
    for index, band in enumerate(BANDS):
        np.testing.assert_array_equal(image[..., index], stored(service, DAYS[0], band), err_msg=band)


@pytest.mark.parametrize(
    ("order", "day"),
    [
        (MosaickingOrder.MOST_RECENT, DAYS[1]),
        (MosaickingOrder.LEAST_RECENT, DAYS[0]),
        (MosaickingOrder.LEAST_CC, DAYS[1]),
    ],
    ids=lambda value: getattr(value, "value", value),
)
def test_mosaicking_orders(
    order: MosaickingOrder, day: str, config: SHConfig, l1c: DataCollection, service: RealService
) -> None:
    request = SentinelHubRequest(
        evalscript="""//VERSION=3
        function setup() { return { input: ["B04"], output: { bands: 1, sampleType: "FLOAT32" } } }
        function evaluatePixel(s) { return [s.B04] }""",
        input_data=[SentinelHubRequest.input_data(l1c, time_interval=YEAR, mosaicking_order=order)],
        responses=[SentinelHubRequest.output_response("default", MimeType.TIFF)],
        bbox=CLIP,
        resolution=(10, 10),
        config=config,
    )
    (image,) = request.get_data()
    np.testing.assert_array_equal(image, (stored(service, day, "B04") / 10_000).astype(np.float32))


def test_the_input_task_of_eolearn(config: SHConfig, l1c: DataCollection, service: RealService) -> None:
    masks = [(FeatureType.MASK, "dataMask"), (FeatureType.MASK, "CLM"), (FeatureType.DATA, "CLP")]
    task = SentinelHubInputTask(
        l1c,
        resolution=10,
        bands_feature=(FeatureType.DATA, "BANDS"),
        bands=["B02", "B08"],
        additional_data=masks,
        maxcc=0.8,
        time_difference=dt.timedelta(hours=2),
        config=config,
        max_threads=2,
    )
    patch = task.execute(bbox=CLIP, time_interval=YEAR)
    assert [f"{time:%Y-%m-%d}" for time in patch.timestamps] == list(DAYS)
    expected = np.stack([[stored(service, day, band) / 10_000 for band in ("B02", "B08")] for day in DAYS])
    np.testing.assert_array_equal(patch.data["BANDS"], np.moveaxis(expected, 1, -1).astype(np.float32))
    assert patch.mask["dataMask"].all()
    assert set(np.unique(patch.mask["CLM"])) <= {0, 1}
    assert patch.data["CLP"].dtype == np.uint8
    assert patch.data["CLP"].any()


def test_one_band_alone_comes_without_an_archive(config: SHConfig, l1c: DataCollection, service: RealService) -> None:
    task = SentinelHubInputTask(
        l1c, resolution=20, bands_feature=(FeatureType.DATA, "B"), bands=["B11"], bands_dtype=np.uint16, config=config
    )
    patch = task.execute(bbox=CLIP, time_interval=(DAYS[0], DAYS[0]))
    np.testing.assert_array_equal(patch.data["B"][0, ..., 0], stored(service, DAYS[0], "B11", size=20))


def test_the_evalscript_task_of_eolearn(config: SHConfig, l1c: DataCollection) -> None:
    script = """//VERSION=3
    function setup() { return { input: [{ bands: ["B04", "B08", "CLM"] }], mosaicking: "SIMPLE", output: [
      { id: "ndvi", bands: 1, sampleType: "FLOAT32" }, { id: "clm", bands: 1, sampleType: "UINT8" } ] } }
    function updateOutputMetadata(scenes, inputMetadata, outputMetadata) {
      outputMetadata.userData = { factor: inputMetadata.normalizationFactor } }
    function evaluatePixel(s) { return { ndvi: [index(s.B08, s.B04)], clm: [s.CLM] } }"""
    features = [(FeatureType.DATA, "ndvi"), (FeatureType.MASK, "clm"), (FeatureType.META_INFO, "userdata")]
    task = SentinelHubEvalscriptTask(features, script, l1c, resolution=10, config=config)
    patch = task.execute(bbox=CLIP, time_interval=YEAR)
    assert patch.data["ndvi"].shape == (2, 96, 96, 1)
    assert set(np.unique(patch.mask["clm"])) <= {0, 1, 255}
    assert [each["factor"] for each in patch.meta_info["userdata"]] == [0.0001, 0.0001]


def test_scripts_are_told_where_products_have_data(config: SHConfig, l1c: DataCollection) -> None:
    """As the catalogue tells it."""
    script = """//VERSION=3
    function setup() { return { input: [{ bands: ["B04"], metadata: ["bounds"] }], mosaicking: "TILE",
      output: { bands: 1 } } }
    function updateOutputMetadata(scenes, inputMetadata, outputMetadata) { outputMetadata.userData = scenes }
    function evaluatePixel(samples) { return [samples[0].B04] }"""
    request = SentinelHubRequest(
        evalscript=script,
        input_data=[SentinelHubRequest.input_data(l1c, time_interval=YEAR)],
        responses=[SentinelHubRequest.output_response("userdata", MimeType.JSON)],
        bbox=CLIP,
        size=(2, 2),
        config=config,
    )
    ((told,), found) = request.get_data(), SentinelHubCatalog(config).search(l1c, bbox=CLIP, time=YEAR)
    for tile, feature in zip(told["tiles"], found, strict=True):
        geometry = shapely.geometry.shape(feature["geometry"])
        assert shapely.geometry.shape(tile["dataGeometry"]).equals(geometry)
        assert shapely.geometry.shape(tile["dataEnvelope"]).bounds == geometry.bounds


def test_s2cloudless_gets_its_bands_and_the_service_its_probability(config: SHConfig, l1c: DataCollection) -> None:
    """CLP at 160 m on the grid of the tile is what s2cloudless makes of the bands that it downloads there."""
    left, top = 330_000 + 3 * 480, 5_822_040 - 2 * 480  # whole pixels of 60 and 160 m from the corner of the product
    box = BBox((left, top - 24 * 160, left + 60 * 160, top), CRS.UTM_33N)
    times = [dt.datetime.fromisoformat(f"{day}T10:21:01") for day in DAYS]
    bands, valid = download_bands_and_valid_data_mask(
        box, times, data_collection=l1c, config=config, resolution=(160, 160), all_bands=False
    )
    assert valid.all()
    own = S2PixelCloudDetector(all_bands=False).get_cloud_probability_maps(bands)
    masks = SentinelHubInputTask(
        l1c, resolution=160, additional_data=[(FeatureType.DATA, "CLP")], config=config
    ).execute(bbox=box, time_interval=YEAR)
    served = masks.data["CLP"][..., 0]
    np.testing.assert_array_equal(served, np.round(own * 255).astype(np.uint8))
    assert len(np.unique(served)) > 20


def test_the_catalogue(config: SHConfig, l1c: DataCollection) -> None:
    catalog = SentinelHubCatalog(config)
    found = list(catalog.search(l1c, bbox=CLIP, time=YEAR, filter="eo:cloud_cover < 40"))
    assert [each["properties"]["datetime"][:10] for each in found] == [DAYS[1]]
    assert {each["id"] for each in catalog.get_collections()} == {"sentinel-2-l1c", "sentinel-2-l2a"}


def test_statistics_of_a_field_at_each_acquisition(config: SHConfig, l1c: DataCollection, service: RealService) -> None:
    """Mean NDVI and cloudy fraction, which took a FIS request once, are one call."""
    script = """//VERSION=3
    function setup() { return { input: [{ bands: ["B04", "B08", "CLM", "dataMask"] }], output: [
      { id: "field", bands: ["ndvi", "cloud"] }, { id: "dataMask", bands: 1 } ] } }
    function evaluatePixel(s) {
      return { field: [index(s.B08, s.B04), s.CLM], dataMask: [s.dataMask * (s.CLM != 255)] } }"""
    request = SentinelHubStatistical(
        aggregation=SentinelHubStatistical.aggregation(script, YEAR, "P1D", resolution=(10, 10)),
        input_data=[SentinelHubStatistical.input_data(l1c)],
        bbox=CLIP,
        config=config,
    )
    (answer,) = request.get_data()
    assert answer["status"] == "OK"
    assert [each["interval"]["from"][:10] for each in answer["data"]] == list(DAYS)
    for each, day in zip(answer["data"], DAYS, strict=True):
        red, near = (stored(service, day, band) / 10_000 for band in ("B04", "B08"))
        stats = each["outputs"]["field"]["bands"]["ndvi"]["stats"]
        assert stats["mean"] == pytest.approx(((near - red) / (near + red)).mean(), abs=1e-6)
        assert stats["sampleCount"] == 96 * 96
        assert 0 <= each["outputs"]["field"]["bands"]["cloud"]["stats"]["mean"] <= 1


def test_the_download_client_in_parallel(config: SHConfig, l1c: DataCollection, service: RealService) -> None:
    requests = []
    boxes = [BBox((331_200 + 320 * i, 5_816_400, 331_520 + 320 * i, 5_816_720), CRS.UTM_33N) for i in range(12)]
    for box in boxes:
        requests += SentinelHubRequest(
            evalscript='//VERSION=3\nfunction setup() { return { input: [{ bands: ["B08"], units: "DN" }],'
            ' output: { bands: 1, sampleType: "UINT16" } } }\nfunction evaluatePixel(s) { return [s.B08] }',
            input_data=[SentinelHubRequest.input_data(l1c, time_interval=(DAYS[0], DAYS[0]))],
            responses=[SentinelHubRequest.output_response("default", MimeType.TIFF)],
            bbox=box,
            resolution=(10, 10),
            config=config,
        ).download_list
    images = SentinelHubDownloadClient(config=config).download(requests, max_threads=6)
    for box, image in zip(boxes, images, strict=True):
        np.testing.assert_array_equal(image, stored(service, DAYS[0], "B08", box))


@pytest.fixture
def profile(service: RealService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The service as a user's own profile names it."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("SH_PROFILE", "mine")
    config = service.config()
    names = ("sh_base_url", "sh_token_url", "sh_client_id", "sh_client_secret")
    write_profile(tmp_path / "sentinelhub" / "config.toml", **{name: getattr(config, name) for name in names})
    SentinelHubDownloadClient.clear_cache()
    yield
    SentinelHubDownloadClient.clear_cache()


def test_our_download_task(profile: None, service: RealService) -> None:
    task = DownloadBandsTask(bands=["B02", "B8A"], resolution=10)
    patch = task.execute(bbox=CLIP, time_interval=YEAR)
    assert [f"{time:%Y-%m-%d}" for time in patch.timestamps or ()] == list(DAYS)
    for index, day in enumerate(DAYS):
        expected = np.stack([stored(service, day, band) for band in ("B02", "B8A")], axis=-1) / np.float32(10_000)
        np.testing.assert_array_equal(patch.data["BANDS"][index], expected)
    assert patch.mask["IS_DATA"].all()
    assert patch.data["CLP"].max() <= 1


@pytest.mark.usefixtures("profile")
def test_the_source_of_land_cover(service: RealService) -> None:
    """What a configuration with `source.kind = "sentinelhub"` plans and downloads."""
    config = LandCoverConfig.model_validate(
        {
            "source": {"kind": "sentinelhub", "max_threads": 2},
            "area": {"bbox": list(CLIP), "crs": "EPSG:32633", "patch_size": 960, "resolution": 20},
            "time": {"start": DAYS[0], "end": DAYS[1]},
            "clouds": {"method": "source"},
            "reference": {"kind": "vector", "path": "labels.gpkg"},  # not looked at
        }
    )
    source = config.source
    source.check_credentials()
    plan = source.plan(config)
    assert len(plan.patches) == 4  # of the lattice of land cover, on whose lines the box does not lie
    patch = plan.patches[-1]
    eopatch = source.task(config).execute(**source.arguments(patch, config))
    assert [f"{time:%Y-%m-%d}" for time in eopatch.timestamps or ()] == list(DAYS)
    for index, day in enumerate(DAYS):
        bands = [stored(service, day, band, patch.bbox, 20) for band in config.source.band_names(config) or ()]
        np.testing.assert_array_equal(eopatch.data["BANDS"][index], np.stack(bands, axis=-1) / np.float32(10_000))
    assert eopatch.mask["CLM"].max() <= 1


def test_our_statistics_task(profile: None, service: RealService) -> None:
    polygons = gpd.GeoDataFrame(geometry=[CLIP.geometry], crs=CLIP.crs.pyproj_crs())
    patch = DownloadStatisticsTask(bands=["B04"], percentiles=[50]).execute(polygons=polygons, time_interval=YEAR)
    table = patch.vector["STATISTICS"]
    means = [stored(service, day, "B04").mean() / 10_000 for day in DAYS]
    np.testing.assert_allclose(table["mean"], means, atol=1e-6)


@pytest.mark.usefixtures("profile")
def test_field_statistics_equal_those_of_the_same_pixels_at_home(l1c: DataCollection) -> None:
    """A field whose edges are those of pixels: there a pixel lies in it whole, by its middle and by its part."""
    del l1c  # defined before our task looks for it
    corners = [(331_200, 5_816_400), (332_160, 5_816_400), (332_160, 5_817_000), (331_800, 5_817_000)]
    field = shapely.Polygon([*corners, (331_800, 5_817_360), (331_200, 5_817_360)])
    polygons = gpd.GeoDataFrame({"name": ["corner"]}, geometry=[field], crs="EPSG:32633")
    indices, percentiles = ["B04", "B11", "NDVI", "NIR=B08 * 2 - B04"], [10]
    bands = ["B04", "B08", "B11"]
    patch = DownloadBandsTask(bands=bands, clm_feature=(FeatureType.MASK, "CLM"), resolution=10).execute(
        bbox=CLIP, time_interval=YEAR
    )
    at_home = ZonalStatisticsTask(
        polygons, indices=indices, band_names=bands, shadow_feature=None, percentiles=percentiles, id_column="name"
    ).statistics(patch)
    request = FieldStatisticsRequest(quantities_of(indices), percentiles=percentiles)
    served = request.statistics(polygons_of(polygons, id_column="name"), YEAR)
    assert served.columns.tolist() == at_home.columns.tolist()
    assert served["time"].dt.date.tolist() == at_home["time"].dt.date.tolist()
    keys = ["id", "band", "over", "status"]
    assert served[keys].astype(str).equals(at_home[keys].astype(str))
    numbers = ["mean", "std", "min", "max", "pixels", "area_pixels", *FRACTIONS]
    np.testing.assert_allclose(served[numbers], at_home[numbers], rtol=0, atol=1e-6)
    assert 0 < served["cloud_fraction"].max() < 1
    for name in ("median", "p10"):  # values that occur, and between them
        assert (abs(served[name] - at_home[name]) < 0.02).all()


@pytest.mark.skipif(not os.environ.get("EOTASKS_SENTINELHUB_JS"), reason="EOTASKS_SENTINELHUB_JS names no npm package")
def test_the_package_of_javascript(service: RealService) -> None:
    """Npm install @sentinel-hub/sentinelhub-js; EOTASKS_SENTINELHUB_JS is its folder in node_modules."""
    west, south, east, north = CLIP.transform(CRS.WGS84)
    colours = """//VERSION=3
    function setup() { return { input: ["B02", "B03", "B04"], output: { bands: 3 } } }
    function evaluatePixel(s) { return [2.5 * s.B04, 2.5 * s.B03, 2.5 * s.B02] }"""
    mean = """//VERSION=3
    function setup() { return { input: ["B08", "dataMask"], output: [{ id: "default", bands: 1 },
      { id: "dataMask", bands: 1 }] } }
    function evaluatePixel(s) { return { default: [s.B08], dataMask: [s.dataMask] } }"""
    asked = {
        "url": f"{service.url}/", "token": service.token(), "bbox": [west, south, east, north], "width": 64,
        "height": 48, "from": "2017-01-01T00:00:00Z", "to": "2017-12-31T23:59:59Z", "evalscript": colours,
        "statistics": mean, "resolution": (east - west) / 64,
    }  # fmt: skip
    script = Path(__file__).with_name("sentinelhub_js.mjs")
    command = ["node", str(script), os.environ["EOTASKS_SENTINELHUB_JS"], json.dumps(asked)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    image = np.asarray(Image.open(io.BytesIO(base64.b64decode(answer["image"]))))
    assert image.shape == (48, 64, 3)
    assert image.any()
    assert [(each["time"][:10], each["cloud"]) for each in answer["tiles"]] == [(DAYS[1], 20), (DAYS[0], 60)]
    assert [each[:10] for each in answer["dates"]] == [DAYS[1], DAYS[0]]
    assert [each["interval"]["from"][:10] for each in answer["statistics"]["data"]] == list(DAYS)
