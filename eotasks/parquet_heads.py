"""Heads of pages and the end of a Parquet file, as they are written: structures in Thrift's compact protocol.

Source: the specification of Parquet (``parquet.thrift``), and that of the protocol.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

_BINARY, _LIST, _STRUCT = 8, 9, 12
_NUMBERS, _WIDTHS = frozenset({4, 5, 6}), {1: 0, 2: 0, 3: 1, 7: 8}
"""Types of Thrift: of numbers as long as they need, and of those of so many bytes; true and false are types."""
_BOOLEANS = frozenset({1, 2})
"""Those that have a byte in a list, and none in a structure."""
_I32, _LONG_LIST = 5, 15
_LEVELS, _BITS = 8, 63
_DEEPEST = 64
"""Columns in columns of a schema."""
_FIRST_BYTE = 4
"""Where the pages of a file begin at the earliest, behind what says that it is one."""
_FACTS = {5: (1, 2), 7: (1, 2), 8: (1, 4)}
"""Number of values and encoding, by the field of a page head that has them."""


@dataclass(frozen=True, slots=True)
class Page:
    """What its head says of a page."""

    kind: int
    size: int
    stored: int
    values: int
    encoding: int
    end: int
    """Of its head."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A column in a row group."""

    name: str
    kind: int
    """Number of its type."""

    start: int
    stop: int
    """Of its pages in the file."""

    is_empty: bool
    """Its statistics say that all of its values are absent."""


def _leaves(elements: Sequence[tuple[str, int | None, int]]) -> list[tuple[str, int]]:
    """Names and types of the columns of a schema, in which each element is followed by those in it.

    :raises IndexError, ValueError: when it is damaged.
    """
    leaves: list[tuple[str, int]] = []
    within: list[tuple[tuple[str, ...], int]] = [((), elements[0][2])]
    for name, kind, count in elements[1:]:
        while within[-1][1] == 0:
            within.pop()
        path, left = within[-1]
        within[-1] = path, left - 1
        if kind is not None and not count:
            leaves.append((".".join((*path, name)), kind))
        elif kind is not None or len(within) > _DEEPEST or count < 0:
            raise ValueError("columns in columns that no file has")
        else:
            within.append(((*path, name), count))
    return leaves


class Thrift:
    """A structure in Thrift's compact protocol: the head of a page, or the end of a file."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0

    def page(self) -> Page:
        """The head of a page.

        :raises IndexError, KeyError, ValueError: when it is none.
        """
        numbers = {1: -1, 2: -1, 3: -1}
        values = encoding = 0
        for field, kind in self._fields():
            if field in numbers:
                numbers[field] = self._number(kind)
            elif field in _FACTS and kind == _STRUCT:
                inner = {}
                for name, inner_kind in self._fields():
                    if name in _FACTS[field]:
                        inner[name] = self._number(inner_kind)
                    else:
                        self._skip(inner_kind)
                values, encoding = (inner[name] for name in _FACTS[field])
            else:
                self._skip(kind)
        if min(*numbers.values(), values) < 0:
            raise ValueError("a size below 0")
        return Page(numbers[1], numbers[2], numbers[3], values, encoding, self._at)

    def chunks(self) -> list[list[Chunk]]:
        """Of the end of a file, the columns of its row groups."""
        readers = {2: lambda kind: self._list(kind, self._element), 4: lambda kind: self._list(kind, self._row_group)}
        found = self._inner(readers)
        groups: list[list[Chunk]] = found.get(4, [])
        leaves = _leaves(found[2])
        if any([(chunk.name, chunk.kind) for chunk in group] != leaves for group in groups):
            raise ValueError("columns that are not those of its schema")  # by which they are read
        return groups

    def _element(self, kind: int) -> tuple[str, int | None, int]:
        """Of the schema: its name, the number of its type if it is a column, and how many are in it if it is none."""
        facts = self._inner({1: self._number, 4: self._text, 5: self._number}, kind)
        return facts[4], facts.get(1), facts.get(5, 0)

    def _row_group(self, kind: int) -> list[Chunk]:
        columns: list[Chunk] = self._inner({1: lambda kind: self._list(kind, self._column)}, kind)[1]
        return columns

    def _column(self, kind: int) -> Chunk:
        column: Chunk = self._inner({3: self._column_metadata}, kind)[3]
        return column

    def _column_metadata(self, kind: int) -> Chunk:
        number, names = self._number, lambda kind: self._list(kind, self._text)
        statistics = partial(self._inner, {3: number})
        facts = self._inner({1: number, 3: names, 5: number, 7: number, 9: number, 11: number, 12: statistics}, kind)
        data, dictionary = facts[9], facts.get(11, 0)
        # Some writers say 0 where there is none. Where a column begins whose dictionary comes later, readers differ.
        begin = data if data or facts[5] else dictionary + 1  # without values there is no page behind the dictionary
        if dictionary and not _FIRST_BYTE <= dictionary < begin:
            raise ValueError("a dictionary at no place")
        start = dictionary or data
        name = sys.intern(".".join(facts[3]))  # the same in thousands of row groups, which are kept
        return Chunk(name, facts[1], start, start + facts[7], facts.get(12, {}).get(3) == facts[5])

    def _inner(self, readers: Mapping[int, Callable[[int], Any]], kind: int = _STRUCT) -> dict[int, Any]:
        """What some fields of a structure hold, by their numbers."""
        if kind != _STRUCT:
            raise ValueError("no structure")
        found = {}
        for field, inner in self._fields():
            if field in readers:
                found[field] = readers[field](inner)
            else:
                self._skip(inner)
        return found

    def _list(self, kind: int, read: Callable[[int], Any]) -> list[Any]:
        """The elements of a list; each takes a byte or more."""
        if kind != _LIST:
            raise ValueError("no list")
        length, inner = self._list_head()
        return [read(inner) for _ in range(length)]

    def _list_head(self) -> tuple[int, int]:
        """Number and type of the elements of a list."""
        head = self._byte()
        length = head >> 4 if head >> 4 < _LONG_LIST else self._size()
        if length > len(self._content) - self._at:
            raise ValueError("a list that goes beyond the end")
        return length, head & 15

    def _fields(self) -> Iterator[tuple[int, int]]:
        """Numbers and types of the fields of a structure, each before what it holds, which has to be taken then."""
        field = 0
        while head := self._byte():
            last, field = field, field + (head >> 4) if head >> 4 else self._number(_I32)
            if field <= last:  # readers do not agree which of two counts
                raise ValueError("a field that comes again")
            yield field, head & 15

    def _byte(self) -> int:
        self._at += 1
        return self._content[self._at - 1]

    def _size(self) -> int:
        """A number without a sign."""
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
            if shift > _BITS:
                raise ValueError("a number without an end")

    def _number(self, kind: int) -> int:
        if kind not in _NUMBERS:
            raise ValueError("no number")
        value = self._size()
        return (value >> 1) ^ -(value & 1)

    def _text(self, kind: int) -> str:
        if kind != _BINARY:
            raise ValueError("no text")
        length = self._size()
        self._at += length
        if self._at > len(self._content):
            raise ValueError("a text that goes beyond the end")
        return self._content[self._at - length : self._at].decode()

    def _skip(self, kind: int, level: int = 0) -> None:
        if kind in _NUMBERS:
            self._size()
        elif kind in _WIDTHS:
            self._at += _WIDTHS[kind]
        elif kind == _BINARY:
            length = self._size()
            self._at += length
        elif kind == _LIST and level < _LEVELS:
            length, inner = self._list_head()
            if inner in _BOOLEANS:
                self._at += length
            else:
                for _ in range(length):
                    self._skip(inner, level + 1)
        elif kind == _STRUCT and level < _LEVELS:
            for _, inner in self._fields():
                self._skip(inner, level + 1)
        else:
            raise ValueError("what no Parquet file has")
