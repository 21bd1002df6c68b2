"""Bad input of the command: each kind is refused in one line that says what, where and the cure, and leaves nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from shapely.geometry import Point, box

from eotasks.sources.sample import open_sample, sample_path
from eotasks.sources.simulated import sample_ground
from tests.builders.command_line import (
    BANDS,
    BANDS_FEATURES,
    EOPATCHES,
    NDVI_FEATURES,
    SAMPLE,
    Sections,
    command,
    merged,
    write_config,
)
from tests.builders.inputs.land_cover import (
    SERVICE,
    UTM,
    Prepare,
    eopatches,
    labels_raster,
    nothing,
    with_nan,
    write_area,
    write_labels,
)

VECTOR: Sections = merged(SAMPLE, {"reference": {"kind": "vector", "path": "labels.gpkg"}})
RASTER: Sections = merged(SAMPLE, {"reference": {"kind": "raster", "path": "labels.tif"}})
AREA_FILE: Sections = merged(SAMPLE, {"area": {"bbox": None, "crs": None, "file": "area.gpkg"}})
OWN_CLOUDS: Sections = merged(BANDS, {"clouds": {"method": "single-scene"}})
BAD_INPUT: dict[str, tuple[Sections, Prepare, list[str]]] = {
    "unknown key": (
        merged(SAMPLE, {"source": {"acquisition": 3}}), nothing,
        ["source.acquisition", "unknown key", "--print-config"],
    ),
    "unknown section": (merged(SAMPLE, {"cloud": {"threshold": 0.3}}), nothing, ["cloud", "unknown key"]),
    "negative seed": (merged(SAMPLE, {"validation": {"seeds": [1, -1]}}), nothing, ["validation.seeds", "greater"]),
    "label file is missing": (VECTOR, nothing, ["labels.gpkg", "check the path"]),
    "label raster is missing": (RASTER, nothing, ["labels.tif", "reference.path"]),
    "area file is missing": (AREA_FILE, nothing, ["area.gpkg", "check the path"]),
    "EOPatches are missing": (EOPATCHES, nothing, ["eopatches: no such folder", "Give the folder"]),
    "labels without CRS": (VECTOR, lambda f: write_labels(f, crs=None), ["labels.gpkg", "coordinate system", "-a_srs"]),
    "label raster without CRS": (RASTER, labels_raster(None, 336_400), ["labels.tif", "coordinate system"]),
    "area without CRS": (AREA_FILE, lambda f: write_area(f, crs=None), ["area.gpkg", "no CRS", "give one"]),
    "CRS mismatch of the area": (
        merged(AREA_FILE, {"area": {"crs": "EPSG:32634"}}), write_area, ["EPSG:32633, not in EPSG:32634", "reproject"],
    ),
    "CRS in degrees for a grid in metres": (
        merged(SAMPLE, {"area": {"bbox": [12.5, 52.4, 12.6, 52.5], "crs": "EPSG:4326"}}), nothing,
        ["not in metres", "UTM zone"],
    ),
    "CRS that is none": (merged(SAMPLE, {"area": {"crs": "EPSG:1"}}), nothing, ["EPSG:1", "EPSG:32633"]),
    "labels without the value column": (
        merged(VECTOR, {"reference": {"column": "land_use"}}), write_labels, ["land_use", "'lulcid'", "labels.gpkg"],
    ),
    "labels without the layer": (
        merged(VECTOR, {"reference": {"layer": "fields"}}), write_labels, ["'fields'", "'labels'", "labels.gpkg"],
    ),
    "a label without a class": (
        merged(VECTOR, {"reference": {"classes": {"5": "Water"}}}), write_labels, ["no class: 3", "ignore_unmapped"],
    ),
    "no label file at this place": (
        VECTOR, lambda f: write_labels(f, geometry=box(400_000, 5_816_000, 401_000, 5_817_000)),
        ["None of the 4 patches has a label", "400000", "Choose another area"],
    ),
    "no label raster at this place": (RASTER, labels_raster(UTM, 600_000), ["None of the 4 patches has a label"]),
    "no label in the file": (VECTOR, lambda f: write_labels(f, geometry=None), ["None of the 4 patches has a label"]),
    "no patch with labels": (
        EOPATCHES, eopatches(feature="mask_timeless/LULC", change=np.zeros_like),
        ["None of the 4 patches has a labelled pixel", "check that the reference covers the area"],
    ),
    "no label left after erosion": (
        merged(VECTOR, {"reference": {"erosion_radius": 9}}),
        lambda f: write_labels(f, geometry=Point(337_000, 5_818_000).buffer(60)),
        ["has a labelled pixel", "erosion_radius"],
    ),
    "one class alone": (VECTOR, write_labels, ["of class 3", "at least two", "reference.classes"]),
    "no frame left after filtering": (
        EOPATCHES, eopatches(feature="mask/CLM", change=np.ones_like),
        ["4 patches failed", "filter cloudy dates", "0 of 8 frames", "Lower the threshold"],
    ),
    "no frame in the period": (
        merged(EOPATCHES, {"time": {"start": "2020-01-01", "end": "2020-12-31"}}), eopatches(),
        ["8 acquisitions, none from 2020-01-01", "change time.start"],
    ),
    "a band is missing for the clouds": (
        merged(OWN_CLOUDS, {"source": {"bands": ["B02", "B03", "B04", "B08"]}}),
        eopatches(bands=True), ["clouds.method", "lacks B01", "clouds.method = 'source'"],
    ),
    "a band is missing for the model": (
        merged(BANDS, {"source": {"bands": ["B02", "B03"]}}),
        eopatches(bands=True), ["features.bands", "band B04, B08 is missing", "B02, B03"],
    ),
    "other bands than said": (
        merged(OWN_CLOUDS, {"source": {"features": {**BANDS_FEATURES, "BANDS": "data/NDVI"}}}),
        eopatches(), ["4 patches failed", "BANDS", "1 band"],
    ),
    "a band is missing for the service": (
        merged(SERVICE, {"features": {"bands": ["B05"]}}), write_labels, ["features.bands: B05", "source.bands"],
    ),
    "a feature is missing in the EOPatches": (
        merged(EOPATCHES, {"source": {"features": {**NDVI_FEATURES, "CLM": "mask/CLOUDS"}}}), eopatches(),
        ["has 'mask/CLOUDS' for CLM", "mask/CLM", "Correct the mapping"],
    ),
    "a feature is not mapped": (
        merged(EOPATCHES, {"source": {"features": {"NDVI": "data/NDVI", "IS_DATA": "mask/IS_DATA"}}}), eopatches(),
        ["clouds.method 'source'", "CLM", "map it in source.features"],
    ),
    "NaN input": (
        BANDS, eopatches(bands=True, feature="data/BANDS", change=with_nan),
        ["north-west", "data/BANDS of 2017-04-10", "NaN or infinity", "IS_DATA"],
    ),
    "raw numbers where reflectance is due": (
        BANDS, eopatches(bands=True, feature="data/BANDS", change=lambda bands: bands * 10_000),
        ["north-west", "data/BANDS of 2017-01-10", "raw digital numbers", "Divide by 10000"],
    ),
    "empty box": (
        merged(SAMPLE, {"area": {"bbox": [338_960, 5_816_280, 336_400, 5_818_840]}}), nothing,
        ["bbox", "empty", "minimum below its maximum"],
    ),
    "empty area file": (AREA_FILE, lambda f: write_area(f, geometries=()), ["area.gpkg", "at least one polygon"]),
    "area outside of the scene": (
        merged(SAMPLE, {"area": {"bbox": [300_000, 5_700_000, 302_560, 5_702_560]}}), nothing,
        ["outside of the embedded scene", "eotasks new-config land-cover"],
    ),
    "patches of no whole number of pixels": (
        merged(SAMPLE, {"area": {"patch_size": 1290}}), nothing, ["1290", "whole number of pixels", "multiple"],
    ),
    "a single patch to split": (
        merged(SAMPLE, {"area": {"patch_size": 2560}}), nothing, ["of 1 patches", "split by blocks"],
    ),
    "unknown parameter of the model": (
        merged(SAMPLE, {"model": {"parameters": {"num_trees_of_life": 3}}}), nothing, ["num_trees_of_life"],
    ),
    "output elsewhere": (merged(SAMPLE, {"output": {"folder": "gs://bucket/x"}}), nothing, ["gs://bucket/x", "s3://"]),
    "sentinelhub without credentials": (SERVICE, write_labels, ["Sentinel Hub needs an account", "SH_CLIENT_ID"]),
}  # fmt: skip


@pytest.mark.usefixtures("no_account")
@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_one_line_and_leaves_nothing(case: str, tmp_path: Path) -> None:
    sections, prepare, words = BAD_INPUT[case]
    prepare(tmp_path)
    result = command("land-cover", "--config", write_config(tmp_path, sections))
    assert (result.code, result.err.count("\n")) == (2, 1), result.err
    assert result.err.startswith("eotasks: ")
    assert "Traceback" not in result.out
    for word in words:
        assert word in result.err
    assert not (tmp_path / "out").exists()


@pytest.fixture
def damaged_scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The embedded scene as an interrupted copy leaves it: one band breaks off in the middle."""
    copy = tmp_path / "scene"
    shutil.copytree(sample_path(), copy)
    band = next(copy.glob("*B04.jp2"))
    band.write_bytes(band.read_bytes()[: band.stat().st_size // 2])
    monkeypatch.setattr("eotasks.sources.sample.sample_path", lambda: copy)
    for cache in (open_sample, sample_ground):
        cache.cache_clear()
    yield band
    for cache in (open_sample, sample_ground):
        cache.cache_clear()


@pytest.mark.parametrize("kind", ["sample", "simulated"])
def test_damaged_jp2(kind: str, tmp_path: Path, damaged_scene: Path) -> None:
    two_patches = {"resolution": 40, "bbox": [336_400, 5_816_280, 337_680, 5_818_840]}
    sections = merged(SAMPLE, {"source": {"kind": kind}, "area": two_patches})
    result = command("land-cover", "--config", write_config(tmp_path, sections))
    assert (result.code, result.err.count("\n")) == (2, 1), result.err
    for word in ("2 patches failed", "step 'source'", str(damaged_scene.parent), damaged_scene.name, "Fetch it again"):
        assert word in result.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--config", "absent.toml"], ["'absent.toml'", "There is no configuration", "check the path"]),
        (["--seed", "-1"], ["seed", "greater than or equal to 0"]),
        (["--workers", "0"], ["run.workers", "greater than or equal to 1"]),
        (["--patch-timeout", "0"], ["run.patch_timeout", "greater than 0"]),
        (["--patch-timeout", "nan"], ["run.patch_timeout", "finite"]),
        (["--patch-timeout", "60", "--executor", "threads"], ["patch_timeout = 60", "'processes' or 'ray'"]),
        (["--full", "--config", "eopatches"], ["--full", "area.resolution"]),
    ],
)
def test_bad_options(arguments: list[str], words: list[str]) -> None:
    result = command("land-cover", *arguments)
    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
    for word in words:
        assert word in result.err


@pytest.mark.parametrize("arguments", [["landcover"], [], ["land-cover", "--colour"], ["land-cover", "--seed", "x"]])
def test_unknown_commands_and_options(arguments: list[str]) -> None:
    result = command(*arguments)
    assert (result.code, result.out) == (2, "")
    assert "usage: eotasks" in result.err
