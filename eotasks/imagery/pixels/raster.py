"""Windows of one image file of a product, whole or at a lower resolution level.

Whatever the place of the file (disk, zip, S3, HTTP), one driver may open it, nothing beside it is looked at, and errors
of a truncated file are errors. Levels of a JP2 file are those of its wavelet, levels of a GeoTIFF its overviews.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.transform import Affine
from rasterio.warp import transform as points_in
from rasterio.warp import transform_bounds
from rasterio.windows import Window

from eotasks.errors import AreaError, ConfigurationError, CredentialsError, EOTasksError, ImageryError
from eotasks.imagery.ending import in_gdal
from eotasks.imagery.files.gdal import GDAL_ERRORS, SETTINGS, RasterSource, check_overviews, check_system
from eotasks.imagery.files.location import Version
from eotasks.imagery.grid import Grid
from eotasks.imagery.jp2.index import PacketIndex
from eotasks.imagery.jp2.verdicts import OtherLayout
from eotasks.limits import IMAGE_LAYERS, IMAGE_SIDE
from eotasks.models.rasters import block_excess
from eotasks.reading import check_regular

if TYPE_CHECKING:
    from eotasks.imagery.files.protocol import ProductFiles, RangedBytes, RasterFile

LOGGER = logging.getLogger(__name__)

BAND_TYPES = frozenset({"uint16", "int16"})
MASK_TYPES = frozenset({"uint8"})

_SNAP = 1e-6
"""Edges this near (in pixels) coincide: coordinates are not exact in floating point."""


@dataclass(frozen=True)
class Level:
    """A resolution at which a file can be decoded."""

    overview: int | None
    """GDAL's number of it, None for the full resolution."""

    transform: Affine
    """From (column, row) of this level to the ground: where its pixels are centred, which for a wavelet is not where
    their blocks are."""

    height: int
    width: int

    @property
    def size(self) -> float:
        """Side of a pixel in units of the CRS."""
        return float(self.transform.a)


@dataclass(frozen=True)
class RasterInfo:
    """The grid of a file and its levels; nothing of its pixels."""

    crs: CRS
    levels: tuple[Level, ...]
    """The first is the full resolution, each further one coarser."""

    layers: int
    wavelet: bool
    """Whether levels are low bands of a wavelet (JP2), which mix about two pixels of their own around them."""

    packets: PacketIndex = field(default_factory=PacketIndex, repr=False, compare=False)
    """Of a JP2 file: what is known of where its packets lie."""

    version: Version | None = field(default=None, repr=False, compare=False)
    """Of a file far away: all windows are of this one."""

    block: tuple[int, int] = field(default=(1, 1), compare=False)
    """Rows and columns that are decoded together, at the full resolution."""

    @property
    def full(self) -> Level:
        """The full resolution."""
        return self.levels[0]

    @property
    def middle(self) -> tuple[float, float]:
        """The middle of the file, in its CRS: where pixels of a grid are measured, whatever part of it that has."""
        at = self.full.transform
        return at.c + self.full.width / 2 * at.a, at.f + self.full.height / 2 * at.e

    @property
    def grid(self) -> Grid:
        """Where the file lies."""
        code = self.crs.to_epsg()
        name = f"EPSG:{code}" if code else self.crs.to_wkt()
        full = self.full
        return Grid(name, full.transform.c, full.transform.f, full.size, full.height, full.width)


@dataclass(frozen=True)
class Pixels:
    """A window of a file at one of its levels."""

    values: NDArray[Any]
    """(h, w), or (layers, h, w) when all layers were asked for."""

    transform: Affine
    crs: CRS

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        height, width = self.values.shape[-2:]
        return height, width


def describe(files: ProductFiles, raster: RasterFile, types: frozenset[str] = BAND_TYPES) -> RasterInfo:
    """Grid and levels of a file.

    :param types: What its pixels may be.
    :raises ImageryError: when it is missing, damaged, of another format than its name says, not on a north-up grid of
        square pixels with a CRS, or of another type.
    """
    far = files.raster_source(raster.name)
    with _opened(files, raster, None, known=far) as source:
        where = f"{files.location}: {raster.name}"
        transform = source.transform
        if not np.isfinite(transform[:6]).all():
            raise ImageryError(f"{where}: its place is not finite numbers. Fetch the original again.")
        if source.crs is None or transform.b or transform.d or transform.a <= 0 or transform.a != -transform.e:
            raise ImageryError(
                f"{where}: not on a north-up grid of square pixels with a CRS. Fetch the original again."
            )
        if not set(source.dtypes) <= types or (types is BAND_TYPES and source.count != 1):
            raise ImageryError(
                f"{where}: {source.count} layers of {source.dtypes[0]}, expected"
                f" {'one layer of 16-bit integers' if types is BAND_TYPES else 'bytes'}. Fetch the original again."
            )
        wavelet = source.driver != "GTiff"
        full = Level(None, transform, source.height, source.width)
        coarser = [_level(full, index, factor, wavelet) for index, factor in enumerate(source.overviews(1))]
        version = None if far is None else far.version()
        block = source.block_shapes[0]
        return RasterInfo(source.crs, (full, *coarser), source.count, wavelet, version=version, block=block)


def _level(full: Level, index: int, factor: int, wavelet: bool) -> Level:
    """Where the pixels of a level lie.

    The low band of a wavelet has whole steps, and its pixel i is centred on pixel ``i * factor`` of the image: half a
    step less half a pixel north-west of the middle of its block. An overview of a GeoTIFF is stretched over the image.
    """
    height, width = -(-full.height // factor), -(-full.width // factor)
    if not wavelet:
        across, down = full.size * full.width / width, full.size * full.height / height
        return Level(index, Affine(across, 0, full.transform.c, 0, -down, full.transform.f), height, width)
    shift = (factor - 1) / 2 * full.size
    step = full.size * factor
    return Level(index, Affine(step, 0, full.transform.c - shift, 0, -step, full.transform.f + shift), height, width)


@dataclass(frozen=True)
class Wanted:
    """A window of a file, before it is decoded."""

    level: Level
    window: Window
    content: bytes | None
    """A small file that has the window, None where the file itself is opened."""

    source: RasterSource | None = field(default=None, repr=False, compare=False)
    """What the file far away is opened by: its server has said how long it is."""


def find_window(
    files: ProductFiles, raster: RasterFile, info: RasterInfo, level: Level, grid: Grid, margin: float = 0
) -> Wanted | None:
    """What :func:`decode_window` needs of a file: as little of it as can be, where it is known what that is.

    The parameters and errors of :func:`read_window`.
    """
    window = window_under(info, level, grid, margin)
    if window is None:
        return None
    where = f"{files.location}: {raster.name}"
    ranged: RangedBytes | None = None
    content: bytes | None = None
    try:
        if raster.driver == "JP2OpenJPEG":
            if not files.is_far(raster.name):
                _check_file(files, raster)
            ranged = files.raster_bytes(raster.name)
        far = ranged if isinstance(ranged, RasterSource) else files.raster_source(raster.name)
        if far is not None and info.version is not None and far.version().differs(info.version):
            raise ImageryError(f"{where}: was replaced after it was first looked at. Open the product again.")
        if ranged is not None:
            content = _small_file(ranged, where, info, level, window)
        elif raster.driver == "JP2OpenJPEG":
            LOGGER.debug("%s: opened as a whole: packed in its archive", where)
    except (CredentialsError, ConfigurationError):
        raise
    except EOTasksError as error:
        raise error if where in str(error) else ImageryError(f"{where}: {error}") from None
    return Wanted(level, window, content, far if content is None else None)


def _small_file(source: RangedBytes, where: str, info: RasterInfo, level: Level, window: Window) -> bytes | None:
    """A small file that has the window; None where the whole has to be opened."""
    left, top = window.col_off, window.row_off
    rectangle = left, top, left + window.width, top + window.height
    discarded = 0 if level.overview is None else level.overview + 1
    shape = info.full.height, info.full.width
    try:
        content = info.packets.small_file(source, where, discarded, rectangle, shape=shape)
    except OtherLayout as other:
        LOGGER.debug("%s: opened as a whole: %s", where, other)
        return None
    LOGGER.debug("%s: %d bytes of it hold the window", where, len(content))
    return content


def read_window(
    files: ProductFiles,
    raster: RasterFile,
    info: RasterInfo,
    level: Level,
    grid: Grid,
    *,
    margin: float = 0,
    layers: bool = False,
) -> Pixels | None:
    """The pixels of a file under a grid; None when they do not meet.

    :param level: One of ``info.levels``.
    :param margin: Pixels of the level around the grid, too: what kernels and masks reach.
    :param layers: All layers instead of the first.
    :raises ImageryError: when the file is damaged, or holds negative numbers.
    :raises AreaError: when the grid cannot be expressed in the file's CRS.
    """
    wanted = find_window(files, raster, info, level, grid, margin)
    return None if wanted is None else decode_window(files, raster, info, wanted, layers=layers)


def decode_window(
    files: ProductFiles, raster: RasterFile, info: RasterInfo, wanted: Wanted, *, layers: bool = False
) -> Pixels:
    """The pixels of what :func:`find_window` has found.

    :param layers: All layers instead of the first.
    :raises ImageryError: when the file is damaged, or holds negative numbers.
    """
    level, window = wanted.level, wanted.window
    with _opened(files, raster, level.overview, wanted.content, wanted.source) as source:
        values = source.read(None if layers else 1, window=window)
    if values.dtype == np.int16:
        # Some products are declared int16; a negative number there is none.
        if values.min(initial=0) < 0:
            raise ImageryError(f"{files.location}: {raster.name}: negative digital numbers. Fetch the original again.")
        values = values.view(np.uint16)
    transform = level.transform
    shifted = Affine(
        transform.a, 0, transform.c + window.col_off * transform.a, 0, transform.e,
        transform.f + window.row_off * transform.e,
    )  # fmt: skip
    return Pixels(values, shifted, info.crs)


def tag_of(files: ProductFiles, raster: RasterFile, name: str, longest: int) -> str | None:
    """A tag of a file; None where it has none, or one that is longer.

    :param longest: Characters.
    :raises ImageryError: when the file is missing or damaged.
    """
    with _opened(files, raster, None) as source:
        text = source.tags().get(name)
    return text if isinstance(text, str) and len(text) <= longest else None


def damaged(files: ProductFiles, raster: RasterFile) -> ImageryError:
    """The error of a file that cannot be decoded."""
    return ImageryError(
        f"{files.location}: {raster.name}: missing, damaged or no {_FORMATS[raster.driver]}. Fetch it again."
    )


_FORMATS = {"JP2OpenJPEG": "JP2 image", "GTiff": "GeoTIFF"}


@contextmanager
def _opened(
    files: ProductFiles,
    raster: RasterFile,
    overview: int | None,
    content: bytes | None = None,
    known: RasterSource | None = None,
) -> Iterator[rasterio.DatasetReader]:
    """The file, or one of its coarser levels: these are known from `describe`, which has looked at what they are.

    :param content: A small file in its place.
    :param known: What it is opened by; None to make that.
    """
    if content is not None:
        with _opened_content(files, raster, overview, content) as source:
            yield source
        return
    far = known or files.raster_source(raster.name)
    where = files.raster_path(raster.name) if far is None else far.name
    level = {} if overview is None else {"OVERVIEW_LEVEL": overview}
    if far is None:
        _check_file(files, raster)
    with in_gdal(), rasterio.Env(**SETTINGS):
        try:
            with rasterio.open(where, driver=raster.driver, sharing=False, opener=far, **level) as source:
                if overview is None:
                    check_overviews(source, f"{files.location}: {raster.name}")
                    check_system(source, f"{files.location}: {raster.name}")
                    _check_size(source, f"{files.location}: {raster.name}")
                yield source
        except RasterioError as error:
            if far is None:
                raise damaged(files, raster) from error
            _check_fetched(files, raster, far)
            raise damaged(files, raster) from None  # GDAL would repeat addresses, which may carry a signature
    if far is not None:
        _check_fetched(files, raster, far)


@contextmanager
def _opened_content(
    files: ProductFiles, raster: RasterFile, overview: int | None, content: bytes
) -> Iterator[rasterio.DatasetReader]:
    level = {} if overview is None else {"OVERVIEW_LEVEL": overview}
    with in_gdal(), rasterio.Env(**SETTINGS):
        try:
            with (
                rasterio.MemoryFile(content, ext=".jp2") as memory,
                memory.open(driver=raster.driver, sharing=False, **level) as source,
            ):
                _check_size(source, f"{files.location}: {raster.name}")
                yield source
        except RasterioError as error:
            raise damaged(files, raster) from error


def _check_fetched(files: ProductFiles, raster: RasterFile, far: RasterSource) -> None:
    """What could not be fetched, GDAL takes for the end of the file, which some of its drivers read as zeros."""
    if far.failure is not None:
        raise ImageryError(f"{files.location}: {raster.name}: {far.failure}") from None


def _check_file(files: ProductFiles, raster: RasterFile) -> None:
    """Refuse what is no regular file: GDAL would wait at a FIFO for ever."""
    path = files.raster_path(raster.name)
    if not path.startswith("/vsi"):
        try:
            check_regular(path)
        except FileNotFoundError as error:
            raise damaged(files, raster) from error
        except OSError as error:
            raise ImageryError(f"{files.location}: {raster.name}: {error.strerror}. Fetch it again.") from error


def _check_size(source: rasterio.DatasetReader, where: str) -> None:
    """Refuse what is larger than a tile, and blocks that are: one is decoded whole, however little of it is wanted."""
    for what, found, limit in (
        ("side", max(source.shape), IMAGE_SIDE),
        ("layers", source.count, IMAGE_LAYERS),
    ):
        if found > limit.value:
            raise ImageryError(f"{where}: {what} of {limit.excess(found)}. It is not read.")
    excess = block_excess(source.block_shapes)
    if excess is not None:
        raise ImageryError(f"{where}: {excess}. It is not read.")


def window_under(info: RasterInfo, level: Level, grid: Grid, margin: float) -> Window | None:
    """The pixels of a level under a grid and a margin around it; None when there are none."""
    left, bottom, right, top = bounds_in(grid, info.crs)
    origin, across, down = level.transform, level.transform.a, -level.transform.e
    first_column = max(math.floor((left - origin.c) / across - margin + _SNAP), 0)
    first_row = max(math.floor((origin.f - top) / down - margin + _SNAP), 0)
    last_column = min(math.ceil((right - origin.c) / across + margin - _SNAP), level.width)
    last_row = min(math.ceil((origin.f - bottom) / down + margin - _SNAP), level.height)
    if first_column >= last_column or first_row >= last_row:
        return None
    return Window(first_column, first_row, last_column - first_column, last_row - first_row)


def bounds_in(grid: Grid, crs: CRS) -> tuple[float, float, float, float]:
    """The extent of a grid in another coordinate system, its edges followed.

    :raises AreaError: when it cannot be expressed there.
    """
    if CRS.from_user_input(grid.crs) == crs:
        return grid.bounds
    try:
        bounds = transform_bounds(grid.crs, crs, *grid.bounds, densify_pts=21)
    except GDAL_ERRORS as error:
        raise AreaError(f"Extent {grid.bounds} ({grid.crs}) cannot be expressed in {crs}: too far away.") from error
    if not np.isfinite(bounds).all():
        raise AreaError(f"Extent {grid.bounds} ({grid.crs}) cannot be expressed in {crs}: too far away.")
    left, bottom, right, top = bounds
    return left, bottom, right, top


def pixel_size_in(grid: Grid, crs: CRS, at: tuple[float, float] | None = None) -> float:
    """The larger side of a grid's pixel, in units of another coordinate system.

    :param at: As of :func:`pixel_sides_in`.
    """
    return max(pixel_sides_in(grid, crs, at))


def pixel_sides_in(grid: Grid, crs: CRS, at: tuple[float, float] | None = None) -> tuple[float, float]:
    """Width and height of a grid's pixel, in units of another coordinate system: those of a pixel at one place.

    The extent of a whole grid would say more the longer and narrower it is, where the systems are turned against each
    other: a strip of a grid would have other kernels and levels than the grid.

    :param at: The place, in the other system: the middle of a file (`RasterInfo.middle`) makes kernels and levels the
        same for all grids of such pixels, whatever else they reach over. None, or a place that cannot be expressed in
        the grid's system: the middle of the grid.
    :raises AreaError: when the pixel cannot be expressed there.
    """
    own = CRS.from_user_input(grid.crs)
    if own == crs:
        return grid.across, grid.down
    left, bottom, right, top = grid.bounds
    x, y = (left + right) / 2, (bottom + top) / 2
    if at is not None:
        xs, ys = _points(crs, own, [at[0]], [at[1]])
        if np.isfinite([*xs, *ys]).all():
            x, y = xs[0], ys[0]
    across, down = grid.across / 2, grid.down / 2
    xs, ys = _points(own, crs, [x - across, x + across, x, x], [y, y, y - down, y + down])
    if np.isfinite([*xs, *ys]).all():
        sides = math.hypot(xs[1] - xs[0], ys[1] - ys[0]), math.hypot(xs[3] - xs[2], ys[3] - ys[2])
        if min(sides) > 0:  # at a pole a pixel in degrees has no width
            return sides
    left, bottom, right, top = bounds_in(grid, crs)
    return (right - left) / grid.width, (top - bottom) / grid.height


def _points(source: CRS, target: CRS, x: list[float], y: list[float]) -> tuple[list[float], list[float]]:
    """Places in another system, infinite where they are none there."""
    try:
        xs, ys = points_in(source, target, x, y)[:2]
    except GDAL_ERRORS:
        return [math.inf], [math.inf]
    return xs, ys
