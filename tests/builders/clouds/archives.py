"""Sources of archives of masks, small: products below a folder, and what an archive holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from eotasks.storage.place import Place
from eotasks.workflows.cloud_archive.build import BuildResult, build_archive
from eotasks.workflows.product_masks.options import CloudMaskOptions
from tests.builders.sample_products import cut_sample

_UNCHANGED: dict[str, bytes] = {}
"""Files of the small product as it is, which takes half a second to make."""


def add_product(folder: Path, name: str, day: int = 16, **options: Any) -> Path:
    """A small product of a day of February 2017.

    :param options: Of `cut_sample`.
    """
    sidecar = {"time": f"2017-02-{day:02}T10:21:01", **options.pop("sidecar", {})}
    if options or not _UNCHANGED:
        product = cut_sample(folder / name, sidecar=sidecar, **options)
        if not options:
            _UNCHANGED.update({path.name: path.read_bytes() for path in product.iterdir()})
        return product
    (folder / name).mkdir(parents=True)
    for file, data in _UNCHANGED.items():
        (folder / name / file).write_bytes(data)
    described = folder / name / "acquisition.json"
    described.write_text(json.dumps(json.loads(described.read_text()) | sidecar))
    return folder / name


def build(source: Path | str, out: Path | str, **options: Any) -> BuildResult:
    """Builds in this process, at 160 m."""
    given = options.pop("options", CloudMaskOptions(resolution=160))
    return build_archive(source, out, given, executor="serial", **options)


def images(place: Path | str) -> dict[str, bytes]:
    """Files of masks of an archive by their paths in it."""
    there = Place(place)
    return {path: there.read_bytes(path) for path in there.files() if path.endswith(".tif")}


def items(place: Path | str) -> dict[str, dict[str, Any]]:
    """Items of an archive by their ids."""
    there = Place(place)
    paths = [path for path in there.files("masks") if path.endswith(".json")]
    found = [json.loads(there.read_bytes(f"masks/{path}")) for path in paths]
    return {item["id"]: item for item in found}


def pixels(path: Path | str) -> np.ndarray:
    """The first band of an image."""
    with rasterio.open(path) as dataset:
        return dataset.read(1)


def too_bright(_: str, values: np.ndarray) -> np.ndarray:
    """Numbers that still have the offset of the baseline."""
    return values + 1000
