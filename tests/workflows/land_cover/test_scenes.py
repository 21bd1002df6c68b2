"""The command on products: real ones, and made ones for the ways to name them, to mask them and to get it wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from eolearn.core import FeatureType

from eotasks.catalogue import Catalogue, StacApi, find_products, item_of
from eotasks.eopatches.load import load_eopatch
from eotasks.errors import (
    AreaError,
    ConfigurationError,
    EOTasksError,
    ProductSkippedWarning,
    TooFewFramesError,
)
from eotasks.imagery.scene import open_scene
from eotasks.models.sentinel2 import BANDS as L1C_BANDS
from eotasks.storage.place import Place
from eotasks.workflows.land_cover.config import LandCoverConfig
from eotasks.workflows.land_cover.config_file import checked_config
from eotasks.workflows.land_cover.report.notes import reasons
from eotasks.workflows.land_cover.run import LandCoverExample
from tests.builders.command_line import Result, Sections, command, merged, write_config
from tests.builders.layouts import small_l2a, small_safe
from tests.builders.products import LEFT, TOP, write_jp2
from tests.builders.tile import NAME

CLOUDY, VEGETATION = 9, 4
CLM = (FeatureType.MASK, "CLM")
CLP = (FeatureType.DATA, "CLP")

COMMON: Sections = {
    "valid": {"min_valid_fraction": 0.2, "min_frames": 1},
    "reference": {"kind": "raster", "path": "labels.tif", "erosion_radius": 0},
    "model": {"parameters": {"num_iterations": 8}},
    "validation": {"test_fraction": 0.25, "seeds": [42]},
    "run": {"executor": "serial"},
}

REAL: Sections = merged(
    COMMON,
    {
        "source": {"kind": "scenes"},
        "area": {
            "grid": "bbox", "bbox": [350_000, 4_849_720, 350_300, 4_850_020], "crs": "EPSG:32631", "patch_size": 150,
        },
        "time": {"start": "2024-01-01", "end": "2024-12-31"},
        "valid": {"min_valid_fraction": 0.5},
    },
)  # fmt: skip
"""Four patches of 15 x 15 px over two real acquisitions, a clear and a cloudy one."""

MADE: Sections = merged(
    COMMON,
    {
        "source": {"kind": "scenes", "products": "archive", "simulated": True},
        "area": {
            "grid": "bbox", "bbox": [LEFT, TOP - 1280, LEFT + 1280, TOP], "crs": "EPSG:32633", "patch_size": 640,
            "resolution": 20,
        },
    },
)  # fmt: skip
"""Four patches of 32 x 32 px over a made product of 2017-02-16."""


def write_labels(path: Path, labels: np.ndarray, left: float, top: float, size: float, crs: str) -> None:
    with rasterio.open(
        path, "w", driver="GTiff", height=labels.shape[0], width=labels.shape[1], count=1, dtype="uint8", crs=crs,
        transform=rasterio.Affine(size, 0, left, 0, -size, top),
    ) as target:  # fmt: skip
        target.write(labels.astype(np.uint8), 1)


def archive(folder: Path, *products: Path) -> Path:
    """Products of a folder named archive, beside simulated labels in vertical stripes."""
    for product in products:
        shutil.copytree(product, folder / "archive" / product.name)
    stripes = np.broadcast_to(np.where(np.arange(64) // 8 % 2, 2, 3), (64, 64))
    write_labels(folder / "labels.tif", stripes, LEFT, TOP, 20, "EPSG:32633")
    return folder


def two_days_later(product: Path, folder: Path) -> None:
    """The same product as if it were of another day."""

    def renamed(text: str) -> str:
        return text.replace("2017-02-16T10", "2017-02-18T10").replace("20170216T", "20170218T")

    for file in (each for each in product.rglob("*") if each.is_file()):
        target = folder / renamed(str(file.relative_to(product.parent)))
        target.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix in (".xml", ".safe"):
            target.write_text(renamed(file.read_text()))
        else:
            shutil.copy(file, target)


def config_in(folder: Path, **changes: dict[str, Any]) -> LandCoverConfig:
    """The configuration over made products, with paths of a folder."""
    paths = {"source": {"products": str(folder / "archive")}, "reference": {"path": str(folder / "labels.tif")}}
    sections = merged(merged(MADE, {**paths, "output": {"folder": str(folder / "out")}}), changes)
    return checked_config(sections, where="test")


@pytest.fixture(scope="module")
def l1c(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_safe(tmp_path_factory.mktemp("l1c"))


@pytest.fixture(scope="module")
def l2a(l1c: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Surface reflectance whose northern half is cloud by its scene classification."""
    product = small_l2a(l1c, tmp_path_factory.mktemp("l2a"))
    for file in product.glob("GRANULE/*/IMG_DATA/R20m/*_SCL_20m.jp2"):
        with rasterio.open(file) as source:
            classes = np.full((source.height, source.width), VEGETATION, np.uint8)
        classes[:32] = CLOUDY
        write_jp2(file, classes, 20, left=LEFT, top=TOP)
    return product


# Real products


@pytest.fixture(scope="module")
def real_config(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two real products, and labels that are simulated: grassland where the clear one is greener than its median."""
    folder = tmp_path_factory.mktemp("real")
    scene = open_scene(shared_data / "l1c_safe" / "S2A_MSIL1C_20240120T105341_N0510_R051_T31TCJ_20240120T125244.SAFE")
    red, infrared = np.moveaxis(scene.read(["B04", "B08"], scene.grid_of("B04")).astype(float), -1, 0)
    ndvi = (infrared - red) / (infrared + red)
    write_labels(folder / "labels.tif", np.where(ndvi > np.median(ndvi), 3, 1), 350_000, 4_850_020, 10, "EPSG:32631")
    return write_config(folder, merged(REAL, {"source": {"products": str(shared_data / "l1c_safe")}}))


@pytest.fixture(scope="module")
def real_run(real_config: Path) -> tuple[Result, Path]:
    return command("land-cover", "--config", real_config), real_config.parent / "out"


def test_real_products_become_a_map(real_run: tuple[Result, Path]) -> None:
    result, out = real_run
    assert (result.code, result.err) == (0, "")
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["simulated"] is False
    assert metrics["validation"]["overall_accuracy"] > 0.8  # labels that NDVI makes are easy
    with rasterio.open(out / "land_cover.tif") as source:
        assert (source.shape, source.crs) == ((30, 30), rasterio.CRS.from_epsg(32631))
        assert source.tags().get("SIMULATED") is None
        assert set(np.unique(source.read(1))) == {1, 3}
    page = (out / "report.html").read_text(encoding="utf-8")
    for words in ("Sentinel-2 L1C products of", "contains modified Copernicus Sentinel data 2024", "2024-03-05"):
        assert words in page


def test_of_real_products_the_cloudy_one_is_left_out(real_run: tuple[Result, Path]) -> None:
    place = Place(real_run[1])
    observed = load_eopatch(place.child("observed"), "patch_r00_c00")
    features = load_eopatch(place.child("features"), "patch_r00_c00")
    assert [f"{time:%Y-%m-%d}" for time in observed.timestamps or ()] == ["2024-01-20", "2024-03-05"]
    assert (observed[CLM] == 1).mean(axis=(1, 2, 3)).tolist() == [0, 1]
    assert observed.data["BANDS"].shape[-1] == 6
    assert [f"{time:%Y-%m-%d}" for time in features.timestamps or ()] == ["2024-01-20"]


def test_dry_run_names_products_dates_and_bytes(real_config: Path, tmp_path: Path) -> None:
    """Ten bands of the cloud model and green: four of 10 m, four of 20 m, three of 60 m; two bytes a pixel."""
    result = command("land-cover", "--config", real_config, "--dry-run", "--output", tmp_path / "nothing")
    assert (result.code, result.err) == (0, "")
    said = " ".join(result.out.replace("│", " ").split())
    kilobytes = 2 * 2 * (4 * 900 + 4 * 225 + 3 * 25) / 1000
    for words in (
        "2 L1C: S2A_MSIL1C_20240120T105341",
        "S2B_MSIL1C_20240305T104819",
        "2: 2024-01-20, 2024-03-05",
        f"about {kilobytes:.0f} kB of pixels",
        "nothing is downloaded",
    ):
        assert words in said
    assert not (tmp_path / "nothing").exists()


# Ways to name products


@pytest.mark.parametrize("way", ["list", "catalogue", "api"])
def test_every_way_to_name_products_reads_the_same(
    way: str, l1c: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive(tmp_path, l1c)
    product = tmp_path / "archive" / l1c.name
    catalogue = Catalogue(tmp_path / "c.parquet")
    catalogue.add([item_of(open_scene(product))])
    monkeypatch.setattr(StacApi, "search", lambda self, **request: catalogue.search(**request))
    products: Any = {
        "list": [str(product)],
        "catalogue": catalogue.location,
        "api": "https://stac.example/v1?token=x",
    }[way]
    by_folder, other = (
        LandCoverExample(each) for each in (config_in(tmp_path), config_in(tmp_path, source={"products": products}))
    )
    plans = [each.chains[0].plan for each in (by_folder, other)]
    assert plans[0].cost == plans[1].cost
    assert plans[0].cost.products == (NAME,)
    assert plans[0].times == plans[1].times
    patches = []
    for each in (by_folder, other):
        [chain] = each.chains
        source = chain.observe.source
        patches.append(source.task.execute(**chain.observe.arguments(chain.plan.patches[3])[source]))
    assert patches[0] == patches[1]
    assert patches[0].data["BANDS"].any()
    rows = other.describe()
    assert rows["products"] == f"1 L1C: {NAME}"
    assert ("one search of the API for each patch" in rows["requests"]) == (way == "api")
    assert "token" not in str(rows)


def test_of_one_acquisition_all_is_read_but_what_a_newer_processing_shows(l1c: Path, tmp_path: Path) -> None:
    """Two receptions of one datatake, and the first of them in an older processing: of the three two are read."""

    def again(made: str, baseline: str) -> Path:
        changes = (("20231101T000000", made), ("05.10", baseline), ("N0510", f"N{baseline.replace('.', '')}"))
        target = tmp_path / made / l1c.name
        for old, new in changes:
            target = Path(str(target).replace(old, new))
        shutil.copytree(l1c, target)
        for file in [*target.glob("*.xml"), *target.glob("GRANULE/*/MTD_TL.xml")]:
            text = file.read_text()
            for old, new in changes:
                text = text.replace(old, new)
            file.write_text(text)
        return target

    second, older = again("20231101T030000", "05.10"), again("20230101T000000", "05.00")
    archive(tmp_path, l1c, second, older)
    with pytest.warns(ProductSkippedWarning, match=r"others show the same pixels: S2A_.*_N0500_.* for S2A_.*_N0510_"):
        example = LandCoverExample(config_in(tmp_path))
    cost = example.chains[0].plan.cost
    assert sorted(cost.products) == sorted(each.name.removesuffix(".SAFE") for each in (l1c, second))
    assert "_N0500_" in example.describe()["left out"]


def test_without_an_area_all_that_the_products_cover(l1c: Path, tmp_path: Path) -> None:
    archive(tmp_path, l1c)
    area = {"bbox": None, "crs": None, "grid": "utm", "patch_size": 1000}
    plan = LandCoverExample(config_in(tmp_path, area=area)).chains[0].plan
    boxes = np.array([tuple(patch.bbox) for patch in plan.patches])
    left, bottom, right, top = open_scene(l1c).grid_of("B02").bounds
    low, high = boxes.min(axis=0), boxes.max(axis=0)
    assert low[0] <= left < low[0] + 1000
    assert low[1] <= bottom < low[1] + 1000
    assert high[2] - 1000 < right + 1 <= high[2] + 1
    assert high[3] - 1000 < top + 1 <= high[3] + 1
    assert plan.outline


# Clouds


@pytest.mark.usefixtures("no_pictures")
def test_clouds_of_l2a_are_those_of_its_scene_classification(l2a: Path, tmp_path: Path) -> None:
    archive(tmp_path, l2a)
    changes: Sections = {
        "source": {"level": "L2A"},
        "clouds": {"method": "source"},
        "valid": {"min_valid_fraction": 0},
        "area": {"patch_size": 1280, "bbox": [LEFT, TOP - 1280, LEFT + 1280, TOP]},
        "validation": {"split": "blocks", "block_size": 8, "test_fraction": None},
    }
    result = command("land-cover", "--config", write_config(tmp_path, merged(MADE, changes)))
    assert (result.code, result.err) == (0, "")
    patch = load_eopatch(Place(tmp_path / "out").child("observed"), "patch_r00_c00")
    assert (patch[CLM][0, :32] == 1).all()
    assert (patch[CLM][0, 32:] == 0).all()
    assert CLP not in patch
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["simulated"] is True


@pytest.mark.usefixtures("no_pictures")
def test_clouds_of_l1c_from_the_files_of_the_cloud_mask_command(l1c: Path, tmp_path: Path) -> None:
    archive(tmp_path, l1c)
    made = command("cloud-mask", tmp_path / "archive" / l1c.name, "--out", tmp_path / "masks", "--no-quicklook")
    assert made.code == 0, made.err
    changes: Sections = {"source": {"masks": "masks"}, "clouds": {"method": "source"}}
    result = command("land-cover", "--config", write_config(tmp_path, merged(MADE, changes)))
    assert (result.code, result.err) == (0, "")
    patch = load_eopatch(Place(tmp_path / "out").child("observed"), "patch_r01_c01")
    files = find_products(tmp_path / "masks").masks_of(NAME)
    for feature, scale in ((CLM, 1), (CLP, np.float32(255))):
        with rasterio.open(files[feature[1]]) as source:
            centres = [(LEFT + 650 + 20 * column, TOP - 650 - 20 * row) for row in range(32) for column in range(32)]
            stored = np.array([value[0] for value in source.sample(centres)]).reshape(32, 32)
        np.testing.assert_allclose(patch[feature][0, ..., 0], stored / scale, rtol=1e-6)
    assert len(np.unique(patch[CLP])) > 1
    Path(files["CLP"]).unlink()  # as detectors without a probability leave it
    again = command("land-cover", "--config", tmp_path / "config.toml", "--output", tmp_path / "alone")
    assert (again.code, again.err) == (0, "")
    alone = load_eopatch(Place(tmp_path / "alone").child("observed"), "patch_r01_c01")
    assert CLP not in alone
    np.testing.assert_array_equal(alone[CLM], patch[CLM])
    assert (tmp_path / "alone" / "land_cover.tif").read_bytes() == (tmp_path / "out" / "land_cover.tif").read_bytes()
    later = command("land-cover", "--config", tmp_path / "config.toml")
    assert later.code == 2
    assert "content of source.products" in " ".join(later.err.split())


@pytest.mark.parametrize("left", ["CLM", "CLP", ""], ids=["mask alone", "probability alone", "neither"])
@pytest.mark.parametrize("searched", [False, True], ids=["list", "catalogue"])
def test_a_cloud_mask_is_enough_and_due(left: str, searched: bool, l1c: Path, tmp_path: Path) -> None:
    """Of the files of one of two products nothing but ``left`` is there."""
    archive(tmp_path, l1c)
    two_days_later(l1c, tmp_path / "archive")
    names = sorted(each.name for each in (tmp_path / "archive").iterdir())
    files = {kind: str(tmp_path / f"{kind}.tif") for kind in ("CLM", "CLP")}
    few = {kind: file for kind, file in files.items() if kind == left}
    source: dict[str, Any] = {}
    if searched:
        catalogue = Catalogue(tmp_path / "c.parquet")
        items = [item_of(open_scene(tmp_path / "archive" / name), masks=files) for name in names]
        for kind in files.keys() - few.keys():
            del items[1].assets[kind]
        catalogue.add(items)
        source = {"products": str(tmp_path / "c.parquet")}
    else:
        for name, kinds in zip(names, (files, few), strict=True):
            folder = tmp_path / "masks" / name
            folder.mkdir(parents=True)
            for kind in kinds:
                (folder / f"{name.removesuffix('.SAFE')}_{kind}.tif").touch()
        source = {"masks": str(tmp_path / "masks")}
    changes: dict[str, Any] = {"clouds": {"method": "source"}, "source": source}
    if left == "CLM":
        (chain,) = LandCoverExample(config_in(tmp_path, **changes)).chains
        assert chain.resolved.brought == {"CLM"}
        assert CLP not in chain.resolved.observed
        assert chain.plan.absent == {"CLP"}
        why = reasons(chain.config, chain.resolved, chain.plan)
        assert why["MEAN_CLP"] == "the source brings a cloud mask without probabilities"
    else:
        with pytest.raises(ConfigurationError, match="needs the cloud mask CLM of every product; 1 have none"):
            LandCoverExample(config_in(tmp_path, **changes))


# What is refused


REFUSED: dict[str, tuple[dict[str, dict[str, Any]], type[EOTasksError], str]] = {
    "a folder of other things": ({"source": {"products": "other"}}, ConfigurationError, "holds no product"),
    "no such folder": ({"source": {"products": "absent"}}, ConfigurationError, "nothing is there"),
    "an empty list": ({"source": {"products": []}}, ConfigurationError, "no product is named"),
    "another level": ({"source": {"level": "L2A"}, "clouds": {"method": "source"}}, ConfigurationError,
                      "are L1C, not L2A: set source.level = 'L1C'"),
    "computed clouds of L2A": ({"source": {"level": "L2A"}}, ConfigurationError, "needs B10, which L2A has not"),
    "too cloudy": ({"source": {"maxcc": 0.1}}, ConfigurationError, r"cloudier than 10%, the clearest \d+%: raise"),
    "another place": ({"area": {"bbox": [600_000, 5_700_000, 601_280, 5_701_280]}}, AreaError,
                      "None of the 1 L1C products of .* lies over the area: the first covers"),
    "another time": ({"time": {"start": "2018-01-01", "end": "2018-12-31"}}, TooFewFramesError, "none from 2018-01-01"),
    "no masks": ({"clouds": {"method": "source"}}, ConfigurationError, f"1 have none, such as {NAME}: make them"),
    "a band that L1C has not": ({"source": {"bands": [*L1C_BANDS, "B99"]}}, ConfigurationError, "B99"),
    "a search everywhere": ({"source": {"products": "c.parquet"}, "area": {"bbox": None, "crs": None}},
                            ConfigurationError, "needs file, bbox or patch_grid"),
    "masks of a catalogue": ({"source": {"products": "c.parquet", "masks": "m"}}, ConfigurationError,
                            "names its masks"),
    "collections of a folder": ({"source": {"collections": ["x"]}}, ConfigurationError, "belongs to a STAC API"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused_in_one_line_before_work(case: str, l1c: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes, error, words = REFUSED[case]
    monkeypatch.chdir(archive(tmp_path, l1c))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").touch()
    with pytest.raises(error, match=words) as caught:
        LandCoverExample(config_in(tmp_path, **changes))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_search_that_finds_nothing(tmp_path: Path, l1c: Path) -> None:
    archive(tmp_path, l1c)
    catalogue = Catalogue(tmp_path / "c.parquet")
    catalogue.add([item_of(open_scene(l1c))])
    elsewhere = {"bbox": [600_000, 5_700_000, 601_280, 5_701_280]}
    with pytest.raises(AreaError, match=r"has no L1C product over the area from 2017-01-01 to 2017-12-31"):
        LandCoverExample(config_in(tmp_path, source={"products": catalogue.location}, area=elsewhere))


@pytest.mark.usefixtures("no_pictures")
def test_results_of_other_products_stay(l1c: Path, tmp_path: Path) -> None:
    """One more product of the same place and period makes other features: they are not mixed."""
    config = write_config(archive(tmp_path, l1c), MADE)
    assert command("land-cover", "--config", config).code == 0
    assert command("land-cover", "--config", config).code == 0
    two_days_later(l1c, tmp_path / "archive")
    result = command("land-cover", "--config", config)
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "content of source.products changed" in result.err


@pytest.mark.parametrize("form", ["one", "list"])
def test_a_catalogue_on_the_web_is_no_api(tmp_path: Path, form: str) -> None:
    address = "https://example.org/products.parquet?token=secret"
    source = {"products": address if form == "one" else [address]}
    result = command("land-cover", "--config", write_config(tmp_path, merged(MADE, {"source": source})), "--dry-run")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "https://example.org/products.parquet is the file of a catalogue, and no STAC API: download it" in result.err
    assert "secret" not in result.err


def test_results_do_not_lie_among_the_products(l1c: Path, tmp_path: Path) -> None:
    archive(tmp_path, l1c)
    config = write_config(tmp_path, merged(MADE, {"output": {"folder": str(tmp_path / "archive" / "out")}}))
    result = command("land-cover", "--config", config)
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "source.products" in result.err
    assert "lie in each other" in result.err
