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

from eotasks.errors import AreaError, EOTasksError, StorageError
from eotasks.imagery.grid import Grid
from eotasks.limits import ARRAY_BYTES
from eotasks.models.zonal import PolygonPixels
from eotasks.storage.place import Place
from eotasks.workflows.zonal_stats.parts import damaged, pieces_path
from eotasks.zonal.coverage import Coverage
from eotasks.zonal.frames import ZonalFrame
from eotasks.zonal.shared import PieceKeeper, Pieces

_VALUE_BYTES = 8
_STATE_BYTES = 1

KEPT_BYTES = 32 * 1024**2
"""Of values of an image, up to which they are read once and kept."""

_DAMAGE = (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile)


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
            values = [_array(found, f"values_{number}") for number in numbers]
            states = [_array(found, f"states_{number}") for number in numbers]
            if {each.shape for each in states} != {(pixels,)} or {each.shape[:1] for each in values} != {(pixels,)}:
                raise ValueError("values of other pixels")
            times = tuple(self.times[number] for number in numbers)
            return replace(self.empty, times=times, values=np.stack(values), states=np.stack(states))

    def bytes_of_date(self) -> int:
        """Bytes of one of its dates."""
        return bytes_of_date(len(self.empty.pixels.pixels), self.empty.values.shape[-1])


@contextlib.contextmanager
def open_pieces(place: Place, name: str, quantities: int) -> Iterator[PieceFile | None]:
    """The pixels of an image; None where it has none, or no date.

    :raises StorageError: they are not there, or damaged.
    """
    with place.reading(pieces_path(name)) as path:
        with _opened(place, name, path) as found:
            grid = Grid(**json.loads(str(_array(found, "grid"))))
            polygons = _array(found, "polygons")
            pixels = PolygonPixels(*(_array(found, each) for each in ("starts", "pixels", "weights")))
            times: tuple[dt.datetime, ...] = tuple(_array(found, "times").tolist())
        count = len(pixels.pixels)
        none = np.zeros((0, count, quantities)), np.zeros((0, count), dtype=np.uint8)
        yield PieceFile(place, name, path, Pieces(grid, polygons, pixels, (), *none), times) if times else None


@contextlib.contextmanager
def _opened(place: Place, name: str, path: Path) -> Iterator[Any]:
    try:
        with np.load(path, allow_pickle=False) as found:
            yield found
    except _DAMAGE as error:
        if isinstance(error, EOTasksError):
            raise
        raise damaged(place, pieces_path(name), error) from error


def _array(found: Any, name: str) -> NDArray[Any]:
    """One of a file, for which no more memory is taken than it has bytes, whatever its header says."""
    size = found.zip.getinfo(f"{name}.npy").file_size
    if size > ARRAY_BYTES.value:
        raise StorageError(f"{found.zip.filename}: {ARRAY_BYTES.excess(size)}.")
    with found.zip.open(f"{name}.npy") as stream:
        np.lib.format.read_magic(stream)
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    if math.prod(shape) * dtype.itemsize > size:
        raise ValueError(f"{name} has {size:,} bytes, and its header says more")
    array: NDArray[Any] = found[name]
    return array
