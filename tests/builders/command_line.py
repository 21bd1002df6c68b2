"""The command as the tests call it: configurations as files, small areas, EOPatches made by hand."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from eolearn.core import EOPatch, FeatureType
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

from eotasks.workflows.cli import main

Sections = dict[str, dict[str, object]]

AREA: dict[str, object] = {
    "grid": "bbox",
    "bbox": [336400, 5816280, 338960, 5818840],
    "crs": "EPSG:32633",
    "patch_size": 1280,
    "resolution": 20,
}
"""Four patches of the embedded scene, all with forest, meadow, farm, scrub and wetland."""

SAMPLE: Sections = {
    "source": {"kind": "sample"},
    "area": AREA,
    "clouds": {"resolution": 80},
    "sampling": {"per_class": 60},
    "model": {"parameters": {"num_iterations": 8}},
    "validation": {"test_fraction": 0.25, "seeds": [42, 43]},
    "run": {"executor": "serial"},
}
"""The real acquisition over those patches, and few trees."""

START = dt.datetime(2017, 1, 10, 10, 0)  # noqa: DTZ001 - EOPatch timestamps are naive UTC
FRAMES, SIDE = 8, 24
PATCHES = ("north-west", "north-east", "south-west", "south-east")

NDVI_FEATURES = {"NDVI": "data/NDVI", "CLM": "mask/CLM", "IS_DATA": "mask/IS_DATA", "LULC": "mask_timeless/LULC"}
BANDS_FEATURES = {"BANDS": "data/BANDS", "CLM": "mask/CLM", "IS_DATA": "mask/IS_DATA", "LULC": "mask_timeless/LULC"}

EOPATCHES: Sections = {
    "source": {"kind": "eopatches", "folder": "eopatches", "features": NDVI_FEATURES},
    "area": {"resolution": 10},
    "clouds": {"method": "source"},
    "valid": {"min_valid_fraction": 0.2},
    "features": {"bands": [], "indices": ["NDVI"], "step_days": 30, "edges": "nearest"},
    "reference": {"kind": "feature"},
    "model": {"parameters": {"num_iterations": 8}},
    "validation": {"test_fraction": 0.25, "seeds": [42, 43]},
    "run": {"executor": "serial"},
}
"""NDVI, cloud mask and labels in EOPatches beside the configuration file."""


@dataclass(frozen=True)
class Result:
    """What a call of the command left."""

    code: int
    out: str
    err: str


def command(*arguments: str | Path) -> Result:
    """Calls the command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as exit_:  # argparse leaves by itself
            code = int(exit_.code or 0)
    return Result(code, out.getvalue(), err.getvalue())


def merged(base: Sections, changes: Mapping[str, Mapping[str, object]]) -> Sections:
    """Sections with some keys replaced; None removes one."""
    both = {name: {**base.get(name, {}), **changes.get(name, {})} for name in {**base, **changes}}
    return {name: {key: value for key, value in section.items() if value is not None} for name, section in both.items()}


def write_config(folder: Path, sections: Mapping[str, Mapping[str, object]], name: str = "config.toml") -> Path:
    """A configuration file whose results go to ``out`` beside it."""
    sections = merged({"output": {"folder": str(folder / "out")}}, sections)
    lines = []
    for section, values in sections.items():
        lines += [f"[{section}]", *(f"{key} = {_toml(value)}" for key, value in values.items()), ""]
    path = folder / name
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, dt.date):
        return value.isoformat()
    return json.dumps(value)  # text, numbers, lists and truth values read the same in TOML


def write_eopatches(folder: Path, *, names: tuple[str, ...] = PATCHES, bands: bool = False) -> Path:
    """EOPatches side by side, of grassland and cultivated land that NDVI tells apart, under few clouds."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(5)
    for index, name in enumerate(names):
        left, top = 500_000 + SIDE * 10 * (index % 2), 5_100_000 - SIDE * 10 * (index // 2)
        box = BBox((left, top - SIDE * 10, left + SIDE * 10, top), CRS("EPSG:32633"))
        patch = EOPatch(bbox=box, timestamps=[START + dt.timedelta(days=45 * step) for step in range(FRAMES)])
        labels = np.full((SIDE, SIDE, 1), 1, dtype=np.uint8)
        labels[:, SIDE // 2 :] = 3
        season = np.sin(np.linspace(0, np.pi, FRAMES))[:, np.newaxis, np.newaxis, np.newaxis]
        ndvi = 0.2 + season * np.where(labels == 1, 0.6, 0.3) + rng.normal(0, 0.05, (FRAMES, SIDE, SIDE, 1))
        patch[FeatureType.DATA, "NDVI"] = ndvi.astype(np.float32)
        patch[FeatureType.MASK, "CLM"] = rng.random((FRAMES, SIDE, SIDE, 1)) < 0.1
        patch[FeatureType.MASK, "IS_DATA"] = np.ones((FRAMES, SIDE, SIDE, 1), dtype=bool)
        patch[FeatureType.MASK_TIMELESS, "LULC"] = labels
        if bands:
            patch[FeatureType.DATA, "BANDS"] = rng.uniform(0.02, 0.4, (FRAMES, SIDE, SIDE, 13)).astype(np.float32)
        patch.save(str(folder / name))
    return folder


def change_feature(folder: Path, feature_type: FeatureType, name: str, change: object) -> None:
    """Apply a function to an array of each EOPatch of a folder."""
    assert callable(change)
    for place in sorted(folder.iterdir()):
        patch = EOPatch.load(str(place))
        patch[feature_type, name] = change(patch[feature_type, name])
        shutil.rmtree(place)
        patch.save(str(place))


def tree(folder: Path) -> set[str]:
    """All that lies in a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def snapshot(folder: Path) -> dict[str, int]:
    """Sizes of all files and links of a folder."""
    return {
        str(path.relative_to(folder)): path.lstat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file() or path.is_symlink()
    }


BANDS: Sections = merged(EOPATCHES, {"source": {"features": BANDS_FEATURES}, "features": {"bands": ["B04", "B08"]}})
"""The same with bands, from which NDVI is computed."""
