"""Products for a first look at the service: the embedded scene, and a simulated year over the same ground.

The year is simulated from that scene (`eotasks.sources.simulated`): what is measured on it says nothing about the
field. It is made once, in the user's cache folder.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from eolearn.core import EOPatch, FeatureType
from numpy.typing import NDArray

from eotasks.catalogue.store import Catalogue
from eotasks.durable import atomic_folder, make_folder
from eotasks.errors import ConfigurationError, StorageError
from eotasks.imagery.products.acquisition import SIDECAR_NAME
from eotasks.models.sentinel2 import BANDS, QUANTIFICATION
from eotasks.service.settings import PREFIX, is_loopback, load_settings
from eotasks.sources.sample import SAMPLE_BBOX, SUN_ANGLES
from eotasks.sources.sample_files import sample_path
from eotasks.sources.simulated import SimulateYearTask
from eotasks.workflows.catalogue.adding import add_products

YEAR = 2024
ACQUISITIONS = 12
RESOLUTION = 40
"""Metres: all bands of the simulated year have it, so that it is made within seconds."""

_FOLDER = f"demo-{YEAR}-{ACQUISITIONS}-{RESOLUTION}-1"
"""Named by all that it depends on; the last number is that of the layout."""
_CATALOGUE = "products.parquet"
_TILE = "33UUU"
_OFFSET = -1000
"""As products of that year have it."""
_THREADS = 4


def demo_settings(given: Mapping[str, object], cache: Path | None = None) -> dict[str, object]:
    """Settings of the demonstration; its products are made where they are not there yet.

    An archive is one that the command line names for it: that of the environment has masks of other products, and may
    be where masks are stored. It is open, but where a file of clients is named, or the environment says that it is not:
    then it is for these.

    :param given: Those of the command line.
    :param cache: Folder for the products; None for the user's cache.
    :raises ConfigurationError: when a catalogue is given as well, there or by the environment, or an archive by that;
        or it would be open to others than this machine.
    """
    others = load_settings(given)
    if others.catalogues or (others.archive and not given.get("archive")):
        raise ConfigurationError(
            f"--demo brings its own products: leave out --catalogue, and {PREFIX}CATALOGUES and {PREFIX}ARCHIVE in the"
            " environment, or --demo. An archive for its own masks is named by --archive."
        )
    said = others.model_fields_set
    is_open = others.open if "open" in said else "clients_file" not in said
    if is_open and not is_loopback(others.host):
        raise ConfigurationError(
            f"--demo answers everybody on this machine, and everybody in the network sees --host {others.host}: leave"
            " out --host, or name who is answered (--clients FILE)."
        )
    products = make_demo(cache_folder() if cache is None else cache)
    return {"catalogues": (products,), "open": is_open}


def cache_folder() -> Path:
    """Where programs of this user keep what they can make again."""
    place = os.environ.get("XDG_CACHE_HOME")
    return (Path(place) if place and Path(place).is_absolute() else Path.home() / ".cache") / "eotasks"


def make_demo(folder: Path) -> str:
    """The catalogue of the demonstration, made when it is not there.

    :param folder: Its products lie in a folder of this one.
    """
    products, catalogue = folder / _FOLDER / "products", folder / _FOLDER / _CATALOGUE
    if catalogue.exists():
        return str(catalogue)
    make_folder(products.parent)
    if not products.exists():
        with atomic_folder(products) as made:
            _write_year(made)
    # The scene too, as the package may move and the catalogue would not.
    scene = products.parent / sample_path().name
    if not scene.exists():
        with atomic_folder(scene) as made:
            shutil.copytree(sample_path(), made, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.gpkg", "*.md"))
    result = add_products(Catalogue(catalogue), [str(products), str(scene)])
    if result.failed:
        catalogue.unlink(missing_ok=True)
        name, reason = min(result.failed.items())
        raise StorageError(
            f"The demonstration's products in {products.parent} are damaged ({name}: {reason}): remove it."
        )
    return str(catalogue)


def _write_year(folder: Path) -> None:
    task = SimulateYearTask(year=YEAR, acquisitions=ACQUISITIONS, resolution=RESOLUTION)
    year = task.execute(bbox=SAMPLE_BBOX)
    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(lambda number: _write_product(folder, year, number), range(len(year.get_timestamps()))))


def _write_product(folder: Path, year: EOPatch, number: int) -> None:
    """One acquisition: a JP2 file a band, and what is known of it beside them."""
    time = year.get_timestamps()[number]
    name = f"T{_TILE}_{time:%Y%m%dT%H%M%S}"
    product = folder / f"simulated_{name}"
    product.mkdir()
    is_data = year[(FeatureType.MASK, "IS_DATA")][number]
    values = np.rint(year[(FeatureType.DATA, "BANDS")][number] * QUANTIFICATION)
    digital = np.where(is_data, np.clip(values - _OFFSET, 1, 65_535), 0).astype(np.uint16)
    for position, band in enumerate(BANDS):
        _write_band(product / f"{name}_{band}.jp2", digital[..., position])
    zenith, azimuth = (float(angle) for angle in year[SUN_ANGLES][number])
    said: dict[str, Any] = {
        "version": 1,
        "time": f"{time.isoformat()}Z",
        "level": "L1C",
        "tile": _TILE,
        "satellite": "S2A",
        "processing_baseline": "05.10",
        "radio_add_offset": _OFFSET,
        "sun_zenith": zenith,
        "sun_azimuth": azimuth,
        "angles_source": "computed",
        "attribution": "Simulated from modified Copernicus Sentinel data 2017",
    }
    (product / SIDECAR_NAME).write_text(json.dumps(said, indent=1))


def _write_band(path: Path, values: NDArray[np.uint16]) -> None:
    height, width = values.shape
    profile = {"driver": "JP2OpenJPEG", "count": 1, "height": height, "width": width, "dtype": "uint16"}
    transform = rasterio.Affine(RESOLUTION, 0, SAMPLE_BBOX.min_x, 0, -RESOLUTION, SAMPLE_BBOX.max_y)
    lossless = {"QUALITY": "100", "REVERSIBLE": "YES", "RESOLUTIONS": "3"}
    with rasterio.open(path, "w", **profile, crs="EPSG:32633", transform=transform, **lossless) as dataset:
        dataset.write(values, 1)
