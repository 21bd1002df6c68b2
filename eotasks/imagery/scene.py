"""Scenes on disk: the pixels of an acquisition on any grid."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.transform import Affine
from rasterio.warp import transform_bounds
from rasterio.windows import Window

from eotasks.imagery.acquisition import SIDECAR_NAME, Acquisition, read_sidecar
from eotasks.imagery.grid import Grid
from eotasks.imagery.resampling import ResamplingName, check_resampling, resample
from models.errors import AreaError, ImageryError
from models.sentinel2 import BANDS, NO_DATA_DN, band_indices

_BAND_FILE = re.compile(r"_(B\d[\dA])\.jp2$", re.IGNORECASE)
_MARGIN = 3
"""Source pixels read around the target: what a cubic kernel reaches, and one for rounding."""


_DECODING = {"GDAL_NUM_THREADS": "1"}
"""With more threads GDAL's JP2 driver decodes ahead and drops the errors: a truncated file reads as zeros."""


@dataclass(frozen=True)
class _Pixels:
    """A window of one band as it lies in its file."""

    dn: NDArray[np.uint16]
    transform: Affine
    crs: CRS


class BareFolderScene:
    """A folder of JP2 files, one a band, with an ``acquisition.json`` beside them.

    Bands are recognised by the end of the file's name (``..._B02.jp2``). No pixel is read before it is asked for.

    :param path: The folder.
    :raises ImageryError: when the folder, its band files or its sidecar are missing or wrong.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise ImageryError(f"{self.path}: no such folder. Give a folder of JP2 files with {SIDECAR_NAME}.")
        self._files = _band_files(self.path)
        self.acquisition: Acquisition = read_sidecar(self.path / SIDECAR_NAME)

    def __repr__(self) -> str:
        return f"BareFolderScene({str(self.path)!r})"

    @property
    def files(self) -> Mapping[str, Path]:
        """The file of each band."""
        return MappingProxyType(self._files)

    @property
    def bands(self) -> tuple[str, ...]:
        """The bands there are, in the order of models.sentinel2.BANDS."""
        return tuple(self._files)

    def grid_of(self, band: str) -> Grid:
        """The grid on which a band is stored.

        :raises BandError: when the scene has no such band.
        :raises ImageryError: when its file cannot be opened.
        """
        with _open(self._file(band)) as source:
            crs = source.crs
            name = f"EPSG:{crs.to_epsg()}" if crs.to_epsg() else crs.to_wkt()
            transform = source.transform
            return Grid(name, transform.c, transform.f, transform.a, source.height, source.width)

    @cached_property
    def crs(self) -> str:
        """Coordinate system of the scene, such as ``"EPSG:32633"``."""
        return self.grid_of(self.bands[0]).crs

    def read(self, bands: Sequence[str], grid: Grid, *, resampling: ResamplingName = "mean") -> NDArray[np.uint16]:
        """Digital numbers of some bands on a grid.

        Pixels go where their coordinates say, also when the bands' own grids have different origins. What holds no
        data in the scene (0 in all bands) takes no part in means and interpolation.

        :param bands: Names, such as ``["B04", "B08"]``.
        :param grid: Any grid; another CRS than the scene's is warped.
        :param resampling: "mean" (weighted by area), "nearest", "bilinear" or "cubic".
        :return: uint16 (h, w, bands): reflectance * 10000, 0 outside the scene and where it holds no data.
        :raises BandError: when the scene lacks a band.
        :raises ImageryError: when a file is damaged.
        """
        check_resampling(resampling)
        for band in bands:
            self._file(band)
        window = _Window(self, grid)
        result = np.zeros((*grid.shape, len(bands)), dtype=np.uint16)
        for index, band in enumerate(bands):
            pixels = window.pixels(band)
            if pixels is None:
                continue
            valid = window.valid(band)
            values = resample(pixels.dn, pixels.transform, pixels.crs, grid, valid=valid, method=resampling)
            result[..., index] = self._as_dn(values)
        return result

    def is_data(self, grid: Grid, *, resampling: ResamplingName = "mean") -> NDArray[np.bool_]:
        """Where the scene holds data on a grid: at least one band of one contributing pixel is not 0.

        :param grid: Any grid; another CRS than the scene's is warped.
        :param resampling: As for :meth:`read`: it says which pixels contribute.
        :return: bool (h, w).
        :raises ConfigurationError: for an unknown method.
        :raises ImageryError: when a file is damaged.
        """
        check_resampling(resampling)
        window = _Window(self, grid)
        finest = min(self.bands, key=lambda band: self.grid_of(band).resolution)
        pixels = window.pixels(finest)
        if pixels is None:
            return np.zeros(grid.shape, dtype=bool)
        share = resample(
            np.ones_like(pixels.dn), pixels.transform, pixels.crs, grid, valid=window.valid(finest), method=resampling
        )
        return np.isfinite(share)

    def _as_dn(self, values: NDArray[np.float32]) -> NDArray[np.uint16]:
        inside = np.isfinite(values)
        shifted = np.where(inside, np.rint(values) + self.acquisition.radio_add_offset, NO_DATA_DN)
        return np.clip(shifted, 0, np.iinfo(np.uint16).max).astype(np.uint16)

    def _file(self, band: str) -> Path:
        band_indices([band], self.bands, where=str(self.path))
        return self._files[band]


class _Window:
    """The part of a scene that lies under a grid; each band is decoded once."""

    def __init__(self, scene: BareFolderScene, grid: Grid) -> None:
        self._scene = scene
        self._grid = grid
        self._pixels: dict[str, _Pixels | None] = {}

    def pixels(self, band: str) -> _Pixels | None:
        """Stored pixels of a band around the grid, None when the grid lies outside."""
        if band not in self._pixels:
            self._pixels[band] = _read_window(self._scene.files[band], self._grid)
        return self._pixels[band]

    def valid(self, band: str) -> NDArray[np.bool_] | None:
        """Which of :meth:`pixels` hold data, None when all do.

        A 0 is data when another band is not 0 at the same place: dark water may be 0 in one band.
        """
        pixels = self.pixels(band)
        if pixels is None:
            return None
        empty = pixels.dn == NO_DATA_DN
        rows, columns = np.nonzero(empty)
        for other in self._scene.bands:
            if not rows.size:
                break
            if other == band:
                continue
            filled = self._value_at(other, pixels, rows, columns) != NO_DATA_DN
            empty[rows[filled], columns[filled]] = False
            rows, columns = rows[~filled], columns[~filled]
        return ~empty if rows.size else None

    def _value_at(
        self, band: str, at: _Pixels, rows: NDArray[np.intp], columns: NDArray[np.intp]
    ) -> NDArray[np.uint16]:
        """Values of a band at the centres of pixels of another, 0 outside."""
        values = np.zeros(rows.shape, dtype=np.uint16)
        pixels = self.pixels(band)
        if pixels is not None:
            x, y = at.transform.c + (columns + 0.5) * at.transform.a, at.transform.f + (rows + 0.5) * at.transform.e
            j = np.floor((x - pixels.transform.c) / pixels.transform.a).astype(int)
            i = np.floor((y - pixels.transform.f) / pixels.transform.e).astype(int)
            inside = (i >= 0) & (j >= 0) & (i < pixels.dn.shape[0]) & (j < pixels.dn.shape[1])
            values[inside] = pixels.dn[i[inside], j[inside]]
        return values


def open_scene(path: str | Path) -> BareFolderScene:
    """Open a scene, whatever its layout.

    So far one layout is read: a folder of JP2 files with an ``acquisition.json``.

    :raises ImageryError: when nothing readable lies there.
    """
    folder = Path(path)
    if folder.is_dir() and not (folder / SIDECAR_NAME).is_file():
        raise ImageryError(
            f"{folder}: no {SIDECAR_NAME} in it, so its layout is not known. Write one (time, satellite, tile) beside"
            " the JP2 files."
        )
    return BareFolderScene(folder)


def _band_files(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        match = _BAND_FILE.search(file.name)
        if match is None or match.group(1).upper() not in BANDS:
            continue
        band = match.group(1).upper()
        if band in found:
            raise ImageryError(
                f"{folder}: two files of {band}, {found[band].name} and {file.name}. One folder holds one acquisition."
            )
        found[band] = file
    if not found:
        raise ImageryError(f"{folder}: no band files in it. Their names end in _B01.jp2 to _B12.jp2.")
    return {band: found[band] for band in BANDS if band in found}


def _open(file: Path) -> rasterio.DatasetReader:
    try:
        source = rasterio.open(file)
    except RasterioError as error:
        raise _damaged(file) from error
    transform = source.transform
    if source.crs is None or transform.b or transform.d or transform.a <= 0 or transform.a != -transform.e:
        source.close()
        raise ImageryError(f"{file}: not on a north-up grid of square pixels with a CRS. Fetch the original again.")
    if source.count != 1 or source.dtypes[0] not in {"uint16", "int16"}:
        found = f"{source.count} layers of {source.dtypes[0]}"
        source.close()
        raise ImageryError(f"{file}: {found}, a band is one layer of 16-bit integers. Fetch the original again.")
    return source


def _damaged(file: Path) -> ImageryError:
    return ImageryError(f"{file}: missing, damaged or no JP2 image. Fetch it again.")


def _read_window(file: Path, grid: Grid) -> _Pixels | None:
    """The pixels of a file under a grid, with a margin; None when they do not meet."""
    with rasterio.Env(**_DECODING), _open(file) as source:
        left, bottom, right, top = _bounds_in(grid, source.crs)
        transform, size = source.transform, source.transform.a
        # A coarse target reaches further: its bilinear and cubic kernels are as wide as its own pixels.
        margin = _MARGIN + int(np.ceil(2 * _pixel_size_in(grid, source.crs) / size))
        first_column = max(int(np.floor((left - transform.c) / size)) - margin, 0)
        first_row = max(int(np.floor((transform.f - top) / size)) - margin, 0)
        last_column = min(int(np.ceil((right - transform.c) / size)) + margin, source.width)
        last_row = min(int(np.ceil((transform.f - bottom) / size)) + margin, source.height)
        if first_column >= last_column or first_row >= last_row:
            return None
        window = Window(first_column, first_row, last_column - first_column, last_row - first_row)
        try:
            dn = source.read(1, window=window)
        except RasterioError as error:
            raise _damaged(file) from error
        shifted = Affine(size, 0, transform.c + first_column * size, 0, -size, transform.f - first_row * size)
        return _Pixels(_unsigned(dn, file), shifted, source.crs)


def _unsigned(dn: NDArray[np.uint16] | NDArray[np.int16], file: Path) -> NDArray[np.uint16]:
    """Some products are declared int16; a negative number there is none."""
    if dn.min(initial=0) < 0:
        raise ImageryError(f"{file}: negative digital numbers. Fetch the original again.")
    return dn.astype(np.uint16)


def _bounds_in(grid: Grid, crs: CRS) -> tuple[float, float, float, float]:
    try:
        bounds = transform_bounds(grid.crs, crs, *grid.bounds, densify_pts=21)
    except RasterioError as error:
        raise AreaError(f"Extent {grid.bounds} ({grid.crs}) cannot be expressed in {crs}: too far away.") from error
    if not np.isfinite(bounds).all():
        raise AreaError(f"Extent {grid.bounds} ({grid.crs}) cannot be expressed in {crs}: too far away.")
    return bounds  # type: ignore[no-any-return]  # rasterio is untyped


def _pixel_size_in(grid: Grid, crs: CRS) -> float:
    left, bottom, right, top = _bounds_in(grid, crs)
    return max((right - left) / grid.width, (top - bottom) / grid.height)
