"""The command over products and over a Statistical API: one way to ask, the same columns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from sentinelhub.download.sentinelhub_client import SentinelHubDownloadClient
from shapely.geometry import Point, box

from eotasks.catalogue import Catalogue, item_of
from eotasks.catalogue.store import ARCHIVE_CATALOGUE
from eotasks.errors import ConfigurationError, PolygonWarning
from eotasks.export.cog import write_cog
from eotasks.imagery.scene import open_scene
from eotasks.models.sentinel2 import CLOUD_BANDS
from eotasks.service.api import statistics
from eotasks.sources.sentinelhub.field_script import field_script
from eotasks.workflows.cli import main
from eotasks.workflows.zonal_stats.run import zonal_stats
from eotasks.workflows.zonal_stats.sources.tables.products import ProductSource
from eotasks.zonal.polygons import polygons_of, read_polygons
from eotasks.zonal.quantities import quantities_of
from eotasks.zonal.spectrum import mean_spectrum_probability
from eotasks.zonal.vocabulary import columns
from tests.builders.inputs.sentinelhub import write_profile
from tests.builders.sample_products import LEFT, SIDE, TOP, cut_sample
from tests.builders.service.fake_renderer import FakeScript, Product, days, renderer_of, setup_of
from tests.servers.routes import Loopback

FIELDS = gpd.GeoDataFrame(
    {"name": ["north", "south"]},
    geometry=[box(LEFT + 300, TOP - 600, LEFT + 600, TOP - 300), box(LEFT + 300, TOP - 1500, LEFT + 607, TOP - 1203)],
    crs=32633,
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fields, a product, and its masks: cloud in the north."""
    folder = tmp_path_factory.mktemp("place")
    FIELDS.to_file(folder / "fields.gpkg")
    product = cut_sample(folder / "products" / "T33UUU_20170216")
    cloud = np.zeros((32, 32), np.uint8)
    cloud[:16] = 1
    name = f"{product.name}_CLM.tif"
    write_cog(folder / "masks" / name, cloud, crs="EPSG:32633", bounds=(LEFT, TOP - SIDE, LEFT + SIDE, TOP), nodata=255)
    return folder


def command(place: Path, out: Path, *options: str) -> pd.DataFrame:
    arguments = ["zonal-stats", str(place / "fields.gpkg"), "--id", "name", "--out", str(out), "--format", "csv"]
    assert main([*arguments, "--pictures", "0", *options]) == 0
    return pd.read_csv(out / "fields.csv")


def test_products_with_masks(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    products = ("--products", str(place / "products"))
    stored = command(place, tmp_path / "stored", *products, "--masks", str(place / "masks"), "--percentiles", "5")
    assert list(stored.columns) == columns([5])
    assert stored.groupby("id")["cloud_fraction"].first().to_dict() == {"north": 1, "south": 0}
    assert stored["time"].unique().tolist() == ["2017-02-16T10:21:01Z"]
    clear = command(place, tmp_path / "none", *products, "--clouds", "none", "--resolution", "20")
    assert clear["area_pixels"].iloc[0] == pytest.approx(225)
    told = capsys.readouterr().out
    assert "products of" in told
    assert "No pixel counts as cloud." in told


def test_fields_without_a_date_have_one_row_each(place: Path, tmp_path: Path) -> None:
    """Of each band and kind, although the source knows of them and the table has rows for all others."""
    far = box(LEFT + 90_000, TOP - 600, LEFT + 90_300, TOP - 300)
    nowhere = box(1e8, 1e8, 1e8 + 50, 1e8 + 50)
    shapes = [FIELDS.geometry[0], far, Point(1, 1), nowhere, box(400_000, 9_500_000, 400_100, 9_500_100)]
    names = ["north", "far", "point", "nowhere", "pole"]
    fields = gpd.GeoDataFrame({"name": names}, geometry=shapes, crs=32633)
    with pytest.warns(PolygonWarning, match="without an area"):
        polygons = polygons_of(fields, id_column="name")
    result = zonal_stats(polygons, ProductSource(str(place / "products"), clouds="none"), tmp_path / "out")
    table = result.table()
    assert table.groupby(["id", "status"]).size().to_dict() == {
        ("north", "ok"): 2, ("far", "outside"): 2, ("point", "empty polygon"): 2,
        ("nowhere", "outside"): 2, ("pole", "outside"): 2,
    }  # fmt: skip
    assert result.states == {"ok": 1, "outside": 3, "empty polygon": 1}


def test_an_archive_brings_its_masks(place: Path, tmp_path: Path) -> None:
    masks = {"CLM": place / "masks" / "T33UUU_20170216_CLM.tif"}
    item = item_of(open_scene(place / "products" / "T33UUU_20170216"), masks=masks)
    Catalogue(tmp_path / "archive" / ARCHIVE_CATALOGUE).add([item])
    table = command(place, tmp_path / "out", "--products", str(tmp_path / "archive"))
    assert table.groupby("id")["cloud_fraction"].first().to_dict() == {"north": 1, "south": 0}


def test_the_mean_spectrum_of_a_field(place: Path, tmp_path: Path) -> None:
    products = ("--products", str(place / "products"), "--clouds", "none", "--resolution", "60")
    wide = command(place, tmp_path, *products, "--mean-spectrum", "--form", "wide")
    spectra = wide[[f"{band}_mean_all" for band in CLOUD_BANDS]].to_numpy()
    np.testing.assert_allclose(wide["mean_spectrum_cloud_probability"], mean_spectrum_probability(spectra), atol=1e-6)
    assert [name for name in wide.columns if "spectrum" in name] == ["mean_spectrum_cloud_probability"]
    long = read_polygons(place / "fields.gpkg", id_column="name")
    with pytest.raises(ConfigurationError, match="mean_spectrum needs B01"):
        zonal_stats(long, ProductSource(str(place / "products")), tmp_path / "none", mean_spectrum=True)


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Of one day, on which everything is 0.25."""
    script = field_script(quantities_of(["NDVI"]), "CLM+SHADOW")
    names = ("clear_0", "all_0", "cloud", "shadow")
    outputs = {name: ["B0"] for name in names} | {"dataMask": list(names)}
    setup = setup_of(["B08", "B04", "CLM", "dataMask"], outputs)

    def draw(bands: dict[str, np.ndarray]) -> dict[str, list[np.ndarray]]:
        inside, quarter = bands["dataMask"], np.full_like(bands["dataMask"], 0.25)
        return {name: [quarter] for name in names} | {"dataMask": [inside, inside, inside, inside]}

    renderer = renderer_of({script: FakeScript(setup, draw)}, [Product(time) for time in days("2024-05-03", 1)])
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with Loopback.running([statistics.router], renderer=renderer) as running:
        write_profile(
            tmp_path / "sentinelhub" / "config.toml", sh_base_url=running.url, sh_token_url=f"{running.url}/token",
            sh_client_id="client", sh_client_secret="secret",
        )  # fmt: skip
        monkeypatch.setenv("SH_PROFILE", "mine")
        SentinelHubDownloadClient.clear_cache()
        yield "mine"
        SentinelHubDownloadClient.clear_cache()


def test_a_statistical_api(place: Path, service: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("--sentinelhub", service, "--time", "2024-05-01/2024-05-31", "--clouds", "clm+shadow")
    table = command(place, tmp_path / "out", *asked)
    assert list(table.columns) == columns()
    assert table["mean"].tolist() == [0.25] * 4
    assert table.groupby("id")["area_pixels"].first().to_dict() == {"north": 900, "south": 30 * 31}
    assert table["cloud_fraction"].tolist() == [0.25] * 4
    assert table["time"].unique().tolist() == ["2024-05-03T00:00:00Z"]
    assert "the Statistical API of 127.0.0.1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--products", "PLACE/products", "--clouds", "clm"], "of products give one of s2cloudless"),
        (["--products", "PLACE/products", "--level", "L2A", "--clouds", "s2cloudless"], "is not of L2A"),
        (["--products", "PLACE/nowhere"], "nothing is there"),
        (["--products", "PLACE/masks"], "holds no product of Sentinel-2"),
        (["--products", "PLACE/c.parquet", "--masks", "PLACE/masks"], "a catalogue names its masks itself"),
        (["--products", "https://example.com/c.parquet"], "no STAC API"),
        (["--sentinelhub", "--time", "2024-05-01/.."], "both ends of the time"),
        (["--sentinelhub", "--clouds", "s2cloudless"], "of a Statistical API give one of clm"),
        (["--sentinelhub", "--products", "PLACE/products"], "several sources"),
    ],
    ids=lambda value: "-".join(value)[:40] if isinstance(value, list) else "",
)
def test_what_does_not_fit_is_said(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    chosen = [each.replace("PLACE", str(place)) for each in options]
    assert main(["zonal-stats", str(place / "fields.gpkg"), "--out", str(tmp_path / "out"), *chosen]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()
