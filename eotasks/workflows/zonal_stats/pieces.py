"""Pixels of fields that lie on several images: written date by date by workers, and read some dates at a time.

So neither a worker nor whoever joins them holds more than some dates of a large field.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import math
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eotasks.documents import parse_json_object
from eotasks.errors import AreaError, EOTasksError, StorageError
from eotasks.imagery.grid import Grid
from eotasks.limits import ARRAY_BYTES
from eotasks.models.zonal import PixelState, PolygonPixels
from eotasks.reading import ZIP_DAMAGES, check_packing
from eotasks.storage.place import Place
from eotasks.workflows.zonal_stats.parts import damaged, pieces_path
from eotasks.zonal.coverage import Coverage
from eotasks.zonal.frames import ZonalFrame
from eotasks.zonal.shared import PieceKeeper, Pieces

_ROUNDING = 1e-9
_VALUE_BYTES = 8
_STATE_BYTES = 1

KEPT_BYTES = 32 * 1024**2
"""Of values of an image, up to which they are read once and kept."""

_DAMAGE = (*ZIP_DAMAGES, OSError, LookupError, TypeError, AttributeError, ArithmeticError, SyntaxError)
"""What zipfile and numpy raise over files that are none of theirs."""

_GRID_BYTES = 65_536
"""Of the description of a grid: some kB, where its system is written out."""


def bytes_of_date(pixels: int, quantities: int) -> int:
    """Bytes of pixels at one date."""
    return pixels * (quantities * _VALUE_BYTES + _STATE_BYTES)


class PieceWriter:
    """Puts pixels of the shared polygons of an image into a file, each date as it comes."""

    def __init__(self, archive: zipfile.ZipFile, grid: Grid, coverage: Coverage) -> None:
        self._archive, self._grid, self._coverage = archive, grid, coverage
        self._times: list[dt.datetime] = []

    def take(self, frame: ZonalFrame) -> None:
        """One more time; nothing is kept where no polygon is shared."""
        if not len(self._coverage.pixels.pixels):
            return
        keeper = PieceKeeper(self._grid, self._coverage)
        keeper.take(frame)
        pieces = keeper.pieces()
        assert pieces is not None
        number = len(self._times)
        self._put(f"values_{number}", pieces.values[0])
        self._put(f"states_{number}", pieces.states[0])
        self._times.extend(pieces.times)

    def finish(self) -> None:
        """What belongs to all dates; before it the file is none."""
        self._put("grid", np.array(json.dumps(asdict(self._grid))))
        self._put("polygons", self._coverage.polygons)
        pixels = self._coverage.pixels
        for name, array in (("starts", pixels.starts), ("pixels", pixels.pixels), ("weights", pixels.weights)):
            self._put(name, array)
        self._put("times", np.array(self._times, dtype="datetime64[us]"))

    def _put(self, name: str, array: NDArray[Any]) -> None:
        with self._archive.open(f"{name}.npy", "w", force_zip64=True) as file:
            np.lib.format.write_array(file, np.asarray(array), allow_pickle=False)


@contextlib.contextmanager
def piece_writer(place: Place, name: str, grid: Grid, coverage: Coverage, quantities: int) -> Iterator[PieceWriter]:
    """Writes the pixels of an image, in the format npz; the file is put in place when the block ends well.

    :param coverage: Of the polygons that it shares, named by their indices among all.
    :param quantities: How many values a pixel has.
    :raises AreaError: a single date of them is more than may be read again.
    :raises StorageError: the place cannot be written.
    """
    needed = bytes_of_date(len(coverage.pixels.pixels), quantities)
    if needed > ARRAY_BYTES.value:
        raise AreaError(
            f"Image {name}: the pixels of fields that other images share are {ARRAY_BYTES.excess(needed)} at each date."
            " Allow more, ask for fewer indices, or cut the fields."
        )
    with place.writing(pieces_path(name)) as path, zipfile.ZipFile(path, "w") as archive:
        writer = PieceWriter(archive, grid, coverage)
        yield writer
        writer.finish()


@dataclass(frozen=True)
class PieceFile:
    """The pixels of an image, of which values are read when they are asked for."""

    place: Place
    name: str
    path: Path
    """Of its content, on this machine."""

    empty: Pieces
    """What belongs to all dates, and none of them."""

    times: tuple[dt.datetime, ...]

    def pieces(self, numbers: Sequence[int]) -> Pieces:
        """Those of some of its times; of a small file all are read at once, and kept.

        :raises StorageError: the file is damaged.
        """
        if not numbers:
            return self.empty
        if self.bytes_of_date() * len(self.times) > KEPT_BYTES:
            return self._read(numbers)
        if list(numbers) == list(range(len(self.times))):
            return self._whole
        chosen, times = list(numbers), tuple(self.times[number] for number in numbers)
        return replace(
            self._whole, times=times, values=self._whole.values[chosen], states=self._whole.states[chosen]
        )  # fmt: skip

    @cached_property
    def _whole(self) -> Pieces:
        return self._read(range(len(self.times)))

    def _read(self, numbers: Sequence[int]) -> Pieces:
        pixels = len(self.empty.pixels.pixels)
        with _opened(self.place, self.name, self.path) as found:
            due = (pixels, self.empty.values.shape[-1])
            values = [_checked(found, f"values_{number}", np.float64, due) for number in numbers]
            states = [_checked(found, f"states_{number}", np.uint8, due[:1]) for number in numbers]
            if any(each.size and each.max() > max(PixelState) for each in states):
                raise ValueError("states that no pixel has")
            times = tuple(self.times[number] for number in numbers)
            return replace(self.empty, times=times, values=np.stack(values), states=np.stack(states))

    def bytes_of_date(self) -> int:
        """Bytes of one of its dates."""
        return bytes_of_date(len(self.empty.pixels.pixels), self.empty.values.shape[-1])


@contextlib.contextmanager
def open_pieces(place: Place, name: str, quantities: int, grid: Grid | None = None) -> Iterator[PieceFile | None]:
    """The pixels of an image; None where it has none, or no date.

    :param grid: That of the image, which that of the file has to be; None for any.
    :raises StorageError: they are not there, or damaged.
    """
    with place.reading(pieces_path(name)) as path:
        with _opened(place, name, path) as found:
            stored = _grid(found, grid)
            if grid not in (None, stored):
                raise ValueError("pixels of another grid")
            polygons = _checked(found, "polygons", np.int64)
            starts = _checked(found, "starts", np.int64, (len(polygons) + 1,))
            numbers = _checked(found, "pixels", np.int64)
            weights = _checked(found, "weights", np.float64, numbers.shape)
            times: tuple[dt.datetime, ...] = tuple(_checked(found, "times", np.dtype("<M8[us]")).tolist())
            _check(stored, polygons, starts, numbers, weights)
            if not all(isinstance(each, dt.datetime) for each in times):  # those of no calendar are numbers
                raise ValueError("times that are none")
        pixels, count = PolygonPixels(starts, numbers, weights), len(numbers)
        none = np.zeros((0, count, quantities)), np.zeros((0, count), dtype=np.uint8)
        yield PieceFile(place, name, path, Pieces(stored, polygons, pixels, (), *none), times) if times else None


@contextlib.contextmanager
def _opened(place: Place, name: str, path: Path) -> Iterator[Any]:
    try:
        with np.load(path, allow_pickle=False) as found:
            check_packing(found.zip)
            yield found
    except _DAMAGE as error:
        if isinstance(error, EOTasksError):
            raise
        raise damaged(place, pieces_path(name), error) from error


def _grid(found: Any, due: Grid | None) -> Grid:
    if found.zip.getinfo("grid.npy").file_size > _GRID_BYTES:
        raise ValueError("a grid of too many bytes")
    given = parse_json_object(str(_array(found, "grid")), ValueError)
    sizes = [given.pop(name) for name in ("height", "width")]
    if not all(type(each) is int for each in sizes) or not isinstance(given.get("crs"), str):
        raise ValueError("a grid of no whole number of pixels")
    if due is not None and given["crs"] != due.crs:  # GDAL opens files by texts that are no codes
        raise ValueError("pixels of another grid")
    return Grid(
        given.pop("crs"), height=sizes[0], width=sizes[1], **{name: _number(each) for name, each in given.items()}
    )


def _number(value: object) -> Any:
    if value is not None and type(value) not in (int, float):
        raise ValueError("a grid of other things than numbers")
    return value


def _check(
    grid: Grid,
    polygons: NDArray[Any],
    starts: NDArray[Any],
    pixels: NDArray[Any],
    weights: NDArray[Any],
) -> None:
    """Refuse what would send compiled code out of its arrays, or is no part of a pixel."""
    sound = (
        starts[0] == 0
        and starts[-1] == len(pixels)
        and bool((np.diff(starts) >= 0).all())
        and bool((np.diff(polygons) > 0).all())
        and (not len(pixels) or 0 <= pixels.min() <= pixels.max() < grid.height * grid.width)
        and bool(((weights >= 0) & (weights <= 1 + _ROUNDING)).all())
    )
    if not sound:
        raise ValueError("pixels of no polygons")


def _checked(
    found: Any, name: str, dtype: np.dtype[Any] | type[np.generic], shape: tuple[int, ...] | None = None
) -> NDArray[Any]:
    """One of a file, of the type and the shape that are due; None: of any length in one dimension."""
    array = _array(found, name)
    if array.dtype != dtype or (array.ndim != 1 if shape is None else array.shape != shape):
        raise ValueError(f"{name} is {str(array.dtype)[:40]} of {array.shape}")
    return array


def _array(found: Any, name: str) -> NDArray[Any]:
    """One of a file, for which no more memory is taken than it has bytes, whatever its header says."""
    size = found.zip.getinfo(f"{name}.npy").file_size
    if size > ARRAY_BYTES.value:
        raise StorageError(f"{found.zip.filename}: {ARRAY_BYTES.excess(size)}.")
    with found.zip.open(f"{name}.npy") as stream:
        np.lib.format.read_magic(stream)
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    if math.prod(shape) * dtype.itemsize > size or min(shape, default=0) < 0:
        raise ValueError(f"{name} has {size:,} bytes, and its header says more")
    array: NDArray[Any] = found[name]
    return array
