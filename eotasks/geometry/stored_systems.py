"""Where vector files keep their coordinate systems, looked at before GDAL opens them: it hands them to PROJ at once."""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from urllib.parse import quote

from eotasks.errors import reason_of
from eotasks.geometry.descriptions import LONGEST, check_description
from eotasks.limits import MEGABYTE
from eotasks.reading import open_regular
from eotasks.text import excerpt

SQLITE = b"SQLite format 3\0"

_OF_GEOPACKAGE = "SELECT * FROM gpkg_spatial_ref_sys"
_OF_SPATIALITE = "SELECT * FROM spatial_ref_sys WHERE srid IN (SELECT srid FROM geometry_columns)"
"""Which has thousands: those that layers are in."""

_LARGEST_NUMBER = (1 << 31) - 1
_COLUMNS = frozenset({"definition", "definition_12_063", "srtext", "srs_wkt", "proj4text"})
_NONE = ("", "undefined", "unknown", "unk")
_VIRTUAL = re.compile(r"create\s*(?:(?:/\*(?:[^*]|\*(?!/))*\*/|--[^\n]*\n)\s*)*virtual\b", re.IGNORECASE)
_MODULE = re.compile(r"\busing\b\s*[\"'`\[]?(\w*)", re.IGNORECASE)
_COMMENT = re.compile(r"/\*|--")
_OWN_TABLES = re.compile(r"rtree(_i32)?|fts[345]|geopoly|virtual(spatialindex|elementary|knn2?)", re.IGNORECASE)
_SYSTEMS = 10_000
_STEPS = 200_000_000
"""Of SQLite's machine, at most: some seconds; a view may have no end."""

_MEMBERS = ("crs", "spatialreference", "coordrefsys")
_ESCAPED_LETTERS = tuple(rb"\u00%d" % digit for digit in (4, 5, 6, 7))
_LONGEST_NAME = 128
"""Bytes of one, if all its letters are escapes."""
_COLON = re.compile(rb"\s*(?=/)|\s*:\s*")
"""What is between a name and its value; some readers take a comment there, which nobody writes."""
_PIECE = 4 * LONGEST
_OF_MEMBERS = json.JSONDecoder(object_pairs_hook=lambda pairs: dict(enumerate(value for _, value in pairs)))
"""By which members that have one name, or nearly, are all kept."""
_SIGNS = ("[", "(", "=", "{", "://")
"""Of texts that GDAL takes for more than a name: the last one is of addresses, which it asks."""


def check_sqlite(path: str | os.PathLike[str]) -> None:
    """Refuse a GeoPackage, or another file of SQLite, whose systems name other files, or whose tables do.

    :raises ValueError: when they do, or cannot be read; with the reason, for the end of a message.
    """
    # As it is without what has not been taken over from its journal, and as it is with that: GDAL may read either.
    address = f"file:{quote(os.path.abspath(path))}?mode=ro"  # noqa: PTH100 - a link stays one
    with contextlib.closing(sqlite3.connect(f"{address}&immutable=1", uri=True)) as base:
        _check_base(base)
    if any(Path(f"{os.fspath(path)}-{end}").exists() for end in ("wal", "journal")):
        with contextlib.closing(sqlite3.connect(address, uri=True)) as base:
            _check_base(base)


def check_sqlite_content(content: bytes) -> None:
    """As `check_sqlite`, for one in memory."""
    with contextlib.closing(sqlite3.connect(":memory:")) as base:
        base.deserialize(content)
        _check_base(base)


def check_sidecars(folder: str | os.PathLike[str], stem: str | None = None) -> None:
    """Refuse shapefiles whose systems (``.prj``) name other files.

    :param stem: Of the names of one; None for all of the folder.
    :raises OSError: one cannot be read.
    :raises ValueError: when one does; with the reason.
    """
    for beside in sorted(Path(folder).iterdir()):
        if beside.suffix.lower() == ".prj" and stem in (None, beside.stem):
            with open_regular(beside) as stream:
                check_sidecar(stream)


def check_sidecar(stream: IO[bytes]) -> None:
    """As `check_sidecars`, for one that is open."""
    content = stream.read(LONGEST + 1)
    if len(content) > LONGEST:
        raise ValueError(f"its coordinate system has more than {LONGEST:,} bytes")
    text = content.decode("utf-8", "replace").strip().strip("\0")
    if text and not _is_old(text):
        check_description(text)


def check_members(path: str | os.PathLike[str]) -> None:
    """Refuse GeoJSON and its kin where a member that says the system names other files, or an address.

    Not parsed as a whole, which takes many times its size.

    :raises OSError: it cannot be read.
    :raises ValueError: when it does; with the reason.
    """
    with open_regular(path) as stream:
        if not os.fstat(stream.fileno()).st_size:
            return
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            for name, start in _members(content):
                _check_member(name, content[start : start + _PIECE].decode("utf-8", "replace"))


def _check_base(base: sqlite3.Connection) -> None:
    base.text_factory = lambda content: content.decode("utf-8", "replace")
    base.set_progress_handler(lambda: 1, _STEPS)
    try:
        there = [str(text or "") for (text,) in base.execute("SELECT sql FROM sqlite_master")]
        for text in there:
            _check_table(text)
        if _is_table(base, "gpkg_spatial_ref_sys", there):
            _check_definitions(base.execute(_OF_GEOPACKAGE))
        if _is_table(base, "geometry_columns", there) and _is_table(base, "spatial_ref_sys", there):
            for (number,) in base.execute("SELECT DISTINCT srid FROM geometry_columns"):
                # GDAL takes the first digits of a text, and of a number what 32 bits hold.
                if number is not None and not (isinstance(number, int) and abs(number) <= _LARGEST_NUMBER):
                    raise ValueError(f"it has a layer in the coordinate system {excerpt(number)}, which is no number")
            _check_definitions(base.execute(_OF_SPATIALITE))
    except sqlite3.Error as error:
        raise ValueError(f"its coordinate systems cannot be read: {reason_of(error)}") from error


def _check_table(text: str) -> None:
    if _VIRTUAL.match(text) is None:
        return
    if _COMMENT.search(text):  # in which another module could be named
        raise ValueError("it has a virtual table with a comment, which may lead to other files")
    for module in _MODULE.findall(text):
        if not _OWN_TABLES.fullmatch(module):
            raise ValueError(f"it has a table of {excerpt(module)}, which may lead to other files")


def _is_table(base: sqlite3.Connection, name: str, there: list[str]) -> bool:
    """Whether there is one.

    :param there: How all tables and views are made.
    :raises ValueError: it is a view, which need not say the same to GDAL.
    """
    if not base.execute(f"PRAGMA table_info({name})").fetchall():
        return False
    made = re.compile(rf"create\s+table\s+[\"'`\[]?{name}\b", re.IGNORECASE)
    if not any(map(made.match, there)):
        raise ValueError(f"its {name} is no table")
    return True


def _check_definitions(rows: sqlite3.Cursor) -> None:
    for text in _definitions(rows):
        check_description(text)


def _definitions(rows: sqlite3.Cursor) -> Iterator[str]:
    columns = [number for number, column in enumerate(rows.description) if column[0].lower() in _COLUMNS]
    for count, row in enumerate(rows):
        if count == _SYSTEMS:
            raise ValueError(f"it has more than {_SYSTEMS:,} coordinate systems")
        for number in columns:
            value = row[number]
            text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str("" if value is None else value)
            if text.strip().lower() not in _NONE:
                yield text


def _is_old(text: str) -> bool:
    """Whether a system is told by lines of names and numbers, as ArcInfo has it: GDAL takes only numbers from these."""
    return text.upper().startswith("PROJECTION") and "[" not in text and "(" not in text


def _members(content: mmap.mmap) -> Iterator[tuple[str, int]]:
    """Where the values of such members begin, as GDAL finds them: in capitals, in single quotes, with escapes."""
    for start in range(0, len(content), MEGABYTE):
        piece = content[start : start + MEGABYTE + _LONGEST_NAME].lower()
        escaped = b"\\u00" in piece and any(letters in piece for letters in _ESCAPED_LETTERS)
        for name in _MEMBERS:
            plain = name.encode()
            if not escaped and plain not in piece:
                continue
            letters = b"".join(map(_letter, name)) if escaped else plain
            for found in re.finditer(b"[\"']" + letters + b"[\"']", piece):
                after = _COLON.match(content, start + found.end())
                if after is not None:
                    yield name, after.end()


def _letter(sign: str) -> bytes:
    """A small letter, or its escape, of which small letters were made as well."""
    return rb"(?:%c|\\u00%x|\\u00%x)" % (ord(sign), ord(sign), ord(sign.upper()))


def _check_member(name: str, text: str) -> None:
    try:
        value, _ = _OF_MEMBERS.raw_decode(text)
    except (ValueError, RecursionError) as error:
        if text.startswith(("{", "[", '"', "'", "/")):
            raise ValueError(f"its coordinate system cannot be read: {reason_of(error)}") from error
        return
    if name == "crs" and not isinstance(value, dict):  # a property of that name, which GDAL makes no system of
        return
    nodes: list[object] = [value]
    while nodes:
        node = nodes.pop()
        if isinstance(node, dict):
            nodes += node.values()
        elif isinstance(node, list):
            nodes += node
        elif isinstance(node, str) and any(sign in node for sign in _SIGNS):
            check_description(node)
