"""What a run will do, and what is refused before it begins."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
from sentinelhub.constants import CRS
from sentinelhub.geometry import Geometry
from shapely.geometry import box

from eotasks.area import save_patch_grid
from eotasks.errors import (
    AreaError,
    BandError,
    ConfigurationError,
    FeatureError,
    GridError,
    ModelError,
    TooFewFramesError,
)
from eotasks.models.sentinel2 import BANDS as L1C_BANDS
from eotasks.sources.sample import SAMPLE_BBOX, SAMPLE_TIME
from eotasks.workflows.land_cover.config import LandCoverConfig
from eotasks.workflows.land_cover.config_file import BUILT_IN, checked_config, load_config
from eotasks.workflows.land_cover.features import ResolvedFeatures
from eotasks.workflows.land_cover.mapping import digest_of
from eotasks.workflows.land_cover.plan import Plan, make_plan, seed_splits
from eotasks.workflows.land_cover.preflight import check_inputs, check_labels_lie_here
from eotasks.workflows.land_cover.problems import Causes
from eotasks.workflows.land_cover.run import LandCoverExample, chain_configs
from eotasks.workflows.land_cover.sources.base import Cost
from eotasks.workflows.land_cover.training import grid_offsets
from tests.builders.command_line import (
    BANDS,
    EOPATCHES,
    PATCHES,
    SAMPLE,
    Sections,
    merged,
    write_config,
    write_eopatches,
)

GRID = ["patch_r00_c00", "patch_r00_c01", "patch_r01_c00", "patch_r01_c01"]


def config_of(base: Sections = SAMPLE, **changes: dict[str, Any]) -> LandCoverConfig:
    return checked_config(merged(base, changes), where="test")


def plan_of(config: LandCoverConfig) -> Plan:
    return make_plan(config, ResolvedFeatures.of(config))


def check(config: LandCoverConfig) -> None:
    causes = Causes()
    check_inputs(config, ResolvedFeatures.of(config), causes)
    causes.refuse()


def test_the_embedded_sample_is_the_area_of_the_default_configuration() -> None:
    plan = plan_of(load_config(BUILT_IN / "sample.toml"))
    assert len(plan.patches) == 18
    assert [(patch.row, patch.column) for patch in plan.patches] == [(row, col) for row in range(3) for col in range(6)]
    assert {(patch.height, patch.width) for patch in plan.patches} == {(128, 128)}
    [ring] = plan.outline
    assert (ring.min(axis=0).tolist(), ring.max(axis=0).tolist()) == (
        [SAMPLE_BBOX.min_x, SAMPLE_BBOX.min_y],
        [SAMPLE_BBOX.max_x, SAMPLE_BBOX.max_y],
    )
    assert plan.times is not None
    assert len(plan.times) == 12
    assert len(plan.test) == 5
    assert plan.cost == Cost()


def test_patches_of_a_box_in_reading_order() -> None:
    plan = plan_of(config_of())
    assert [patch.name for patch in plan.patches] == GRID
    assert tuple(plan.patches[0].bbox) == (336_400, 5_817_560, 337_680, 5_818_840)
    assert plan.times == (SAMPLE_TIME,)


def test_patches_of_a_grid_that_was_saved(tmp_path: Path) -> None:
    patches = plan_of(config_of()).patches
    save_patch_grid(list(reversed(patches)), tmp_path / "grid.gpkg")
    grid = {"bbox": None, "crs": None, "patch_grid": str(tmp_path / "grid.gpkg")}
    plan = plan_of(config_of(area=grid))
    assert plan.patches == patches
    assert plan.outline == ()


def test_patches_of_a_file_follow_its_polygons(tmp_path: Path) -> None:
    """A polygon in degrees, and only the patches that it touches."""
    west = box(336_400, 5_816_280, 337_000, 5_818_840)
    frame = gpd.GeoDataFrame(geometry=[west], crs="EPSG:32633").to_crs("EPSG:4326")
    frame.to_file(tmp_path / "area.geojson", engine="pyogrio")
    area = {"bbox": None, "crs": None, "file": str(tmp_path / "area.geojson"), "grid": "utm", "patch_size": 1280}
    plan = plan_of(config_of({**SAMPLE, "source": {"kind": "simulated"}}, area=area))
    assert {patch.crs for patch in plan.patches} == {"EPSG:32633"}
    assert {patch.bbox.min_x % 1280 for patch in plan.patches} == {0}
    assert all(patch.bbox.geometry.intersects(west.buffer(1)) for patch in plan.patches)
    [ring] = plan.outline
    np.testing.assert_allclose(ring.min(axis=0), [336_400, 5_816_280], atol=1)


def test_existing_eopatches_lie_where_they_lie(tmp_path: Path) -> None:
    write_eopatches(tmp_path / "eopatches")
    plan = plan_of(load_config(write_config(tmp_path, EOPATCHES)))
    assert [patch.name for patch in plan.patches] == list(PATCHES)
    assert [(patch.row, patch.column) for patch in plan.patches] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert plan.times is not None
    assert (len(plan.times), plan.times[0]) == (8, dt.datetime(2017, 1, 10, 10))  # noqa: DTZ001 - naive UTC


def test_patches_that_the_edge_cuts_off_keep_their_place_in_the_grid_of_pixels() -> None:
    """Blocks of pixels go on across patches, so rows and columns have to."""
    plan = plan_of(config_of(area={"bbox": [336_400, 5_816_280, 338_960, 5_818_180]}))
    assert [(patch.height, patch.width) for patch in plan.patches] == [(64, 64), (64, 64), (31, 64), (31, 64)]
    assert grid_offsets(plan.patches).tolist() == [[0, 0], [0, 64], [64, 0], [64, 64]]


def test_roles() -> None:
    fixed = config_of(validation={"test_patches": [3, 1], "test_fraction": None})
    plan = plan_of(fixed)
    assert plan.test == {GRID[1], GRID[3]}
    assert [plan.role(name) for name in GRID] == ["train", "test", "train", "test"]
    assert set(seed_splits(fixed.validation, plan.patches).values()) == {plan.test}
    blocks = config_of(validation={"split": "blocks"})
    assert plan_of(blocks).test == frozenset()
    assert plan_of(blocks).role(GRID[0]) == "blocks"


def test_every_seed_holds_out_its_own_patches() -> None:
    config = config_of(area={"patch_size": 640}, validation={"seeds": [1, 2, 3]})
    plan = plan_of(config)
    splits = seed_splits(config.validation, plan.patches)
    assert list(splits) == [1, 2, 3]
    assert {len(test) for test in splits.values()} == {4}
    assert len(set(splits.values())) > 1
    assert plan.test == splits[1]
    assert seed_splits(config.validation, plan.patches) == splits


@pytest.mark.parametrize("test_patches", [[4], [0, 1, 2, 3]])
def test_test_patches_that_are_not_there_or_all(test_patches: list[int]) -> None:
    with pytest.raises(ModelError):
        plan_of(config_of(validation={"test_patches": test_patches}))


def test_times() -> None:
    year = config_of(
        source={"kind": "simulated", "acquisitions": 7, "year": 2019}, time={"start": "2019-01-01", "end": "2019-12-31"}
    )
    times = plan_of(year).times
    assert times is not None
    assert len(times) == 7
    assert {time.year for time in times} == {2019}
    half = year.model_copy(update={"time": year.time.model_copy(update={"end": dt.date(2019, 6, 30)})})
    assert plan_of(half).times == tuple(time for time in times if time.month <= 6)
    with pytest.raises(TooFewFramesError, match=r"change time\.start"):
        plan_of(config_of(source={"kind": "simulated", "year": 2018}))


def slovenia(tmp_path: Path, **changes: Any) -> LandCoverConfig:
    """The original example, over a box as large as the country."""
    frame = gpd.GeoDataFrame(geometry=[box(13.4, 45.4, 16.6, 46.9)], crs="EPSG:4326")
    frame.to_file(tmp_path / "svn_border.geojson", engine="pyogrio")
    config = load_config(BUILT_IN / "slovenia_2019.toml")
    area = config.area.model_copy(update={"file": str(tmp_path / "svn_border.geojson")})
    return config.model_copy(update={"area": area, **changes})


def test_the_original_example(tmp_path: Path) -> None:
    plan = plan_of(slovenia(tmp_path))
    assert len(plan.patches) == 25
    assert {(patch.height, patch.width) for patch in plan.patches} == {(500, 500)}
    rows = [patch.row for patch in plan.patches]
    assert rows == sorted(rows)
    assert max(rows) - min(rows) == 4
    assert plan.test == {plan.patches[index].name for index in (0, 8, 16, 19, 20)}
    assert plan.times is None


def test_what_a_download_costs(tmp_path: Path) -> None:
    """By the service's rule: 500 x 500 pixels over 512 x 512, times bands over 3; CLM and CLP are two more."""
    plan = plan_of(slovenia(tmp_path))
    frames = 365 // 5
    assert plan.cost.requests == 25 * (frames + 1)
    assert plan.cost.bytes == 25 * frames * 250_000 * (6 * 2 + 1 + 2)
    assert plan.cost.processing_units == pytest.approx(25 * (frames * 500**2 / 512**2 * 8 / 3 + 0.12))
    config = slovenia(tmp_path)
    own = slovenia(
        tmp_path,
        clouds=config.clouds.model_copy(update={"method": "single-scene"}),
        time=config.time.model_copy(update={"end": dt.date(2019, 6, 30)}),
    )
    halved = plan_of(own)
    assert halved.cost.processing_units == pytest.approx(25 * (36 * 500**2 / 512**2 * 6 / 3 + 0.06))


def test_bytes_of_the_results() -> None:
    """16 384 pixels; of one date: bands, an index, probability (4 bytes each) and three masks; then the features."""
    config = config_of(features={"bands": ["B04", "B08"], "indices": ["NDVI"]})
    plan = plan_of(config)
    assert plan.stored_bytes == 4 * 64 * 64 * ((4 * (4 + 1 + 1) + 3) + 4 * (2 + 1))


def test_area_outside_of_the_scene() -> None:
    with pytest.raises(AreaError, match="1 of 2 patches, such as patch_r00_c01, lie outside"):
        plan_of(config_of(area={"bbox": [344_080, 5_816_280, 346_640, 5_817_560]}))


@pytest.mark.parametrize("name", ["sample"])
def test_built_in_configurations_pass(name: str) -> None:
    for _, config in chain_configs(load_config(BUILT_IN / f"{name}.toml")):
        check(config)


def test_chains() -> None:
    """Beside a simulated year the real acquisition alone; by itself it is judged by all bands of its one date."""
    [(year, simulated), (scene, real)] = chain_configs(
        config_of(source={"kind": "simulated", "real_acquisition": True})
    )
    assert (year, scene) == ("Simulated year", "Real acquisition")
    assert simulated.source.kind == "simulated"
    assert real.source.kind == "sample"
    assert real.features.bands == L1C_BANDS
    assert real.features.step_days is None
    assert len(list(chain_configs(config_of(source={"kind": "simulated"})))) == 1
    assert [name for name, _ in chain_configs(config_of())] == ["Real acquisition"]


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"valid": {"water": "keep"}, "source": {"bands": ["B04", "B08"]}}, BandError, "valid.snow and valid.water"),
        ({"features": {"bands": ["B01"]}, "source": {"bands": ["B04", "B08"]}}, BandError, "features.bands"),
        ({"clouds": {"method": "single-scene"}, "source": {"bands": ["B04", "B08"]}}, BandError, "lacks B01, B02"),
        ({"clouds": {"resolution": -1}}, ConfigurationError, r"clouds\.resolution"),
        ({"features": {"indices": ["NDXI"]}}, ConfigurationError, "NDXI"),
        ({"source": {"features": {"BANDS": "data/BANDS", "CLM": "mask/CLM"}}}, FeatureError, "IS_DATA"),
        ({"source": {"bands": ["B04", "B02"]}, "features": {"bands": ["B04"]}}, BandError, "B08"),
        ({"model": {"parameters": {"num_leaves": 1}}}, ConfigurationError, r"num_leaves.*no such folder"),
    ],
)
def test_refused_before_anything_is_read(changes: Sections, error: type[Exception], words: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=words):
        LandCoverExample(load_config(write_config(tmp_path, merged(BANDS, changes))))


def test_labels_in_another_system_lie_here(tmp_path: Path) -> None:
    inside = gpd.GeoDataFrame({"lulcid": [1]}, geometry=[box(337_000, 5_817_000, 337_100, 5_817_100)], crs="EPSG:32633")
    inside.to_crs("EPSG:3035").to_file(tmp_path / "labels.gpkg", engine="pyogrio")
    config = config_of(reference={"kind": "vector", "path": str(tmp_path / "labels.gpkg")})
    check_labels_lie_here(config.reference, plan_of(config).patches)
    check_labels_lie_here(config_of().reference, plan_of(config).patches)


@pytest.mark.parametrize("kind", ["sample", "simulated"])
def test_the_scene_s_coordinate_system_is_the_only_one(kind: str) -> None:
    """The simulated ground goes on beyond the scene, but only in the coordinates that the scene is in."""
    area = {"bbox": [330000, 5814360, 335120, 5819480], "crs": "EPSG:32632", "grid": "bbox", "patch_size": 2560}
    with pytest.raises(GridError, match="4 of 4 patches, such as patch_r00_c00, are in another coordinate system"):
        plan_of(config_of(source={"kind": kind}, area={**area, "resolution": 20}))


def test_simulated_eopatches_have_to_be_called_so(tmp_path: Path) -> None:
    marked = tmp_path / "eopatches" / "a" / ".gen-1" / "meta_info"
    marked.mkdir(parents=True)
    (marked / "SIMULATED.json.gz").touch()
    source = {
        "kind": "eopatches",
        "folder": str(tmp_path / "eopatches"),
        "features": {"NDVI": "data/NDVI", "CLM": "mask/CLM", "IS_DATA": "mask/IS_DATA", "LULC": "mask_timeless/LULC"},
    }
    sections: dict[str, Any] = {
        "reference": {"kind": "feature"},
        "clouds": {"method": "source"},
        "features": {"bands": [], "indices": ["NDVI"]},
    }
    with pytest.raises(ConfigurationError, match=r"source\.simulated = true"):
        check(checked_config({**sections, "source": source}, where="test"))
    check(checked_config({**sections, "source": {**source, "simulated": True}}, where="test"))


def test_a_mapped_feature_that_no_eopatch_has_is_told_before_work(tmp_path: Path) -> None:
    write_eopatches(tmp_path / "eopatches")
    features = {**EOPATCHES["source"]["features"], "NDVI": "data/NDWI"}
    source = {"folder": str(tmp_path / "eopatches"), "features": features}
    with pytest.raises(FeatureError, match=r"has 'data/NDWI' for NDVI; there are .*data/NDVI"):
        plan_of(config_of(EOPATCHES, source=source))


def test_pixels_of_eopatches_have_the_size_that_is_said(tmp_path: Path) -> None:
    write_eopatches(tmp_path / "eopatches")
    with pytest.raises(GridError, match=r"pixels of 10 x 10 m, area.resolution is 20 m"):
        plan_of(config_of(EOPATCHES, source={"folder": str(tmp_path / "eopatches")}, area={"resolution": 20}))


def test_the_same_numbers_in_another_zone_are_another_area() -> None:
    shape, moved = (
        box(500_000, 5_100_000, 500_400, 5_100_300),
        box(500_000, 5_100_000, 500_400, 5_100_310),
    )
    digest = digest_of(Geometry(shape, CRS("EPSG:32633")))
    assert digest == digest_of(Geometry(shape, CRS("EPSG:32633")))
    assert digest != digest_of(Geometry(shape, CRS("EPSG:32634")))
    assert digest != digest_of(Geometry(moved, CRS("EPSG:32633")))
