"""Published data sets of labels: HDF5 and NetCDF, TACO, arrays, images, tables; and elevation models."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from eotasks.errors import EOTasksError
from eotasks.imagery.elevation import ElevationFile
from eotasks.imagery.grid import Grid
from eotasks.reference.cloud_labels.files import read_table
from eotasks.reference.cloud_labels.registry import find_label_set
from tests.benchmarks.hostile.format import Format, Read
from tests.builders.clouds.label_sets import (
    SCENE,
    write_catalogue,
    write_cloudsen12,
    write_cloudsen12_plus,
    write_hollstein,
    write_kappazeta,
)
from tests.builders.products import LEFT, TOP, write_cog

_HDF5_TOKENS = (
    b"\x89HDF\r\n\x1a\n", b"TREE", b"HEAP", b"SNOD", b"OHDR", b"OCHK", b"FRHP", b"GCOL", b"FADB", b"EAHD", b"BTHD",
    b"\xff" * 8, b"\0" * 8, b"Label", b"B01\0", b"/etc/passwd\0",
)  # fmt: skip
_TACO_TOKENS = (
    b"WX", b"#y", b"PAR1", b"tortilla:id", b"tortilla:offset", b"TORTILLA", b"GTiff", b"VRT", b"\xff" * 8, b"\0" * 8,
    b"<VRTDataset/>", b"II*\0",
)  # fmt: skip
_NPY_TOKENS = (b"\x93NUMPY", b"|O", b"<U9", b"(-1,)", b"(99999999999,)", b"True", b"cos\nsystem\n", b"9" * 5000)
_TIFF_TOKENS = (b"II*\0", b"MM\0*", b"II+\0", b"GDAL_STRUCTURAL", b"<GDALMetadata>", b"\xff" * 8, b"\0" * 8)
_CSV_TOKENS = (b'"', b",", b"\n", b"\r", b"\0", b'""', b"scene,shadows_marked\n", b"x" * 200_000, b"\xef\xbb\xbf")


def _one_file(name: str, make: Callable[[Path], Path]) -> Callable[[Path], tuple[Sequence[bytes], Read]]:
    """A data set of which one file is spoiled; all its frames are read."""

    def prepare(folder: Path) -> tuple[Sequence[bytes], Read]:
        place = folder / "set"
        file, labels = make(place), find_label_set(name)
        sample = file.read_bytes()

        def read(content: bytes) -> object:
            file.write_bytes(content)
            return [source.load().labels.sum() for source in labels.frames(place)]

        return [sample], read

    return prepare


def _kappazeta(folder: Path) -> Path:
    write_kappazeta(folder / "a.nc")
    return folder / "a.nc"


def _scene(folder: Path) -> Path:
    write_catalogue(folder)
    return folder / "subscenes" / f"{SCENE}.npy"


def _tags(folder: Path) -> Path:
    write_catalogue(folder)
    return folder / "classification_tags.csv"


def _image(folder: Path) -> Path:
    return write_cloudsen12(folder) / "S2L1C.tif"


def _tables(folder: Path) -> tuple[Sequence[bytes], Read]:
    """Tables of scenes, by those who read them first of all."""
    tags = _tags(folder / "set")
    sample = tags.read_bytes()

    def read(content: bytes) -> object:
        tags.write_bytes(content)
        with contextlib.suppress(EOTasksError):
            read_table(tags, ("scene",))
        return [source.name for source in find_label_set("cloud-mask-catalogue").frames(folder / "set")]

    return [sample, b'\xef\xbb\xbfscene,"a b",shadows_marked\r\n"x ""y""",1,0\r\n'], read


def _elevation(folder: Path) -> tuple[Sequence[bytes], Read]:
    """A DEM as `--dem` takes it."""
    made, file = folder / "made.tif", folder / "dem.tif"
    write_cog(made, np.arange(4096, dtype=np.int16).reshape(64, 64), 10)
    samples = [made.read_bytes()]
    write_cog(made, np.linspace(0, 3000, 4096, dtype=np.float32).reshape(64, 64), 10)
    samples.append(made.read_bytes())
    made.unlink()
    shutil.rmtree(folder / "made.tif.aux.xml", ignore_errors=True)
    grids = [Grid("EPSG:32633", LEFT + 100, TOP - 100, size, side, side) for size, side in ((10.0, 20), (60.0, 8))]

    def read(content: bytes) -> object:
        file.write_bytes(content)
        elevation = ElevationFile(file)
        elevation.check()
        return [elevation.read(grid, margin=50.0) for grid in grids]

    return samples, read


FORMATS = (
    Format("label-netcdf", "bytes", _one_file("kappazeta", _kappazeta), _HDF5_TOKENS, head=3000),
    Format("label-hdf5", "bytes", _one_file("hollstein", write_hollstein), _HDF5_TOKENS, head=4000),
    Format("label-taco", "bytes", _one_file("cloudsen12-plus", write_cloudsen12_plus), _TACO_TOKENS, head=4000),
    Format("label-array", "bytes", _one_file("cloud-mask-catalogue", _scene), _NPY_TOKENS, head=128),
    Format("label-image", "bytes", _one_file("cloudsen12", _image), _TIFF_TOKENS, head=1500),
    Format("label-table", "bytes", _tables, _CSV_TOKENS),
    Format("elevation", "bytes", _elevation, _TIFF_TOKENS, head=1500),
)
