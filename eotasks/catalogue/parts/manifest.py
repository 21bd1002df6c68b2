"""The list of the parts of a catalogue: which files, of what time and place."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import shapely

from eotasks.catalogue.request import SearchRequest
from eotasks.documents import parse_json_object, refuse_many_values
from eotasks.errors import ConfigurationError, ImageryError, reason_of
from eotasks.geometry.antimeridian import Bounds, box_of, boxes_of, could_be_degrees
from eotasks.limits import CATALOGUE_BYTES, CATALOGUE_ROWS

MANIFEST = "_manifest.json"
"""Its name in the folder of a catalogue. What begins with ``_`` is passed over by other readers of such folders."""

VERSION = 1

_NAME = re.compile(r"part-[0-9a-f]{16}")
_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - naive UTC
_MOST = 1 << 62


@dataclass(frozen=True)
class Part:
    """A file of items."""

    name: str
    """Without its ending."""

    rows: int
    size: int
    """Bytes."""

    first: int
    """Time of the earliest item, in microseconds since 1970, UTC."""

    last: int
    boxes: tuple[Bounds, ...]
    """Degrees; all places of its items lie in one of these, none of which goes over the antimeridian."""

    @property
    def file(self) -> str:
        """Its name in the folder."""
        return f"{self.name}.parquet"

    @property
    def ids(self) -> str:
        """Name of the file with the digests of its ids."""
        return f"_ids-{self.name.removeprefix('part-')}.bin"

    def meets(self, request: SearchRequest) -> bool:
        """Whether some of its items may be what a request is for."""
        if request.start is not None and self.last < microseconds(request.start):
            return False
        if request.end is not None and self.first > microseconds(request.end):
            return False
        return request.area is None or any(_meet(one, other) for one in self.boxes for other in request.boxes)


@dataclass(frozen=True)
class Retired:
    """A part that the catalogue has no more; who reads it still may end."""

    name: str
    at: int
    """When it was taken out, by the clock of the store, in seconds since 1970."""


@dataclass(frozen=True)
class Manifest:
    """The parts of a catalogue, in order of time."""

    parts: tuple[Part, ...] = ()
    retired: tuple[Retired, ...] = ()
    generation: int = 0
    """Grows with each change, so that none is like one before."""

    @property
    def names(self) -> frozenset[str]:
        """Of all parts whose files are to stay."""
        return frozenset([*(each.name for each in self.parts), *(each.name for each in self.retired)])

    @property
    def rows(self) -> int:
        """Items."""
        return sum(each.rows for each in self.parts)

    def meeting(self, request: SearchRequest) -> list[Part]:
        """The parts that a search has to read."""
        return [each for each in self.parts if each.meets(request)]

    def exchanged(self, gone: Iterable[Part], new: Iterable[Part], at: int) -> Manifest:
        """With some parts in the place of others.

        :param at: The time by the clock of the store, in seconds since 1970.
        """
        names = {each.name for each in gone}
        parts = [*(each for each in self.parts if each.name not in names), *new]
        order = sorted(parts, key=lambda each: (each.first, each.last, each.name))
        return Manifest(
            tuple(order), (*self.retired, *(Retired(name, at) for name in sorted(names))), self.generation + 1
        )

    def encode(self) -> bytes:
        """As the bytes of its file."""
        parts = [
            {
                "name": each.name, "rows": each.rows, "bytes": each.size, "first": each.first, "last": each.last,
                "boxes": [list(box) for box in each.boxes],
            }
            for each in self.parts
        ]  # fmt: skip
        retired = [{"name": each.name, "at": each.at} for each in self.retired]
        content = {"version": VERSION, "generation": self.generation, "parts": parts, "retired": retired}
        return (json.dumps(content, separators=(",", ":")) + "\n").encode()


def parse_manifest(data: bytes, where: str) -> Manifest:
    """A manifest that :meth:`Manifest.encode` wrote, or whoever may write to the folder.

    :param where: For messages.
    :raises ConfigurationError: when it is of a newer version.
    :raises ImageryError: when it is none, names a file elsewhere, or of more than a catalogue may have.
    """

    def refuse(reason: str) -> ImageryError:
        return ImageryError(f"{where}/{MANIFEST}: {reason}. Make the catalogue anew.")

    content = parse_json_object(data, refuse)
    refuse_many_values(content, refuse)
    version = content.get("version")
    if isinstance(version, int) and version > VERSION:
        raise ConfigurationError(
            f"{where}/{MANIFEST}: version {version}, this eotasks reads up to {VERSION}: upgrade it."
        )
    try:
        parts = tuple(_part(each) for each in _list(content["parts"]))
        retired = tuple(Retired(_name(each["name"]), _whole(each["at"])) for each in _list(content["retired"]))
        manifest = Manifest(parts, retired, _whole(content["generation"]))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise refuse(f"no list of the parts of a catalogue ({reason_of(error)})") from error
    if len({each.name for each in parts}) < len(parts):
        raise refuse("names a part twice")
    if manifest.rows > CATALOGUE_ROWS.value:
        raise refuse(CATALOGUE_ROWS.excess(manifest.rows))
    large = max((each.size for each in parts), default=0)
    if large > CATALOGUE_BYTES.value:
        raise refuse(f"a part of {CATALOGUE_BYTES.excess(large)}")
    return manifest


def microseconds(moment: dt.datetime) -> int:
    """A naive time in UTC as manifests have it."""
    return (moment - _EPOCH) // dt.timedelta(microseconds=1)


def moment_of(time: int) -> dt.datetime:
    """The same back: naive UTC."""
    return _EPOCH + dt.timedelta(microseconds=time)


def extent_of(parts: Sequence[Part]) -> shapely.geometry.base.BaseGeometry | None:
    """The ground of parts as boxes; None without any."""
    boxes = [box for each in parts for box in each.boxes]
    return shapely.geometrycollections([shapely.box(*box) for box in boxes]) if boxes else None


def boxes_around(bounds: Bounds | None) -> tuple[Bounds, ...]:
    """A box, west of which may be greater than east, as boxes that do not go over the antimeridian."""
    return () if bounds is None else tuple(boxes_of(box_of(*bounds)))


def _part(content: Any) -> Part:
    boxes = tuple(_box(each) for each in content["boxes"])
    rows, size = (_whole(content[key]) for key in ("rows", "bytes"))
    first, last = (_time(content[key]) for key in ("first", "last"))
    return Part(_name(content["name"]), rows, size, first, last, boxes)


def _box(content: Any) -> Bounds:
    west, south, east, north = (float(value) for value in content)
    if not (could_be_degrees((west, south, east, north)) and west <= east and south <= north):
        raise ValueError("a box of no place")
    return west, south, east, north


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("no list")
    return value


def _name(value: Any) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ValueError("a part of another name")
    return value


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value < _MOST:
        raise ValueError("no whole number")
    return value


def _time(value: Any) -> int:
    if type(value) is not int or not -_MOST < value < _MOST:
        raise ValueError("no time")
    moment_of(value)  # an OverflowError is one of arithmetic
    return value


def _meet(one: Bounds, other: Bounds) -> bool:
    return one[0] <= other[2] and one[2] >= other[0] and one[1] <= other[3] and one[3] >= other[1]
