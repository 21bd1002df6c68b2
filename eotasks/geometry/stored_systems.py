"""Where vector files keep their coordinate systems, looked at before GDAL opens them: it hands them to PROJ at once."""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import re
import sqlite3
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from urllib.parse import quote

from eotasks.errors import reason_of
from eotasks.geometry.descriptions import LONGEST, check_description
from eotasks.reading import open_regular

SQLITE = b"SQLite format 3\0"

_DEFINITIONS = {
    "gpkg_spatial_ref_sys": "SELECT * FROM gpkg_spatial_ref_sys",
    # Of SpatiaLite, which has thousands: those that layers are in.
    "geometry_columns": "SELECT * FROM spatial_ref_sys WHERE srid IN (SELECT srid FROM geometry_columns)",
}
_COLUMNS = frozenset({"definition", "definition_12_063", "srtext", "srs_wkt", "proj4text"})
_NONE = ("", "undefined", "unknown", "unk")
_VIRTUAL = re.compile(r"\bvirtual\b.*?\busing\s+[\"'`\[]?(\w+)", re.IGNORECASE | re.DOTALL)
_OWN_TABLES = re.compile(r"rtree(_i32)?|fts[345]|geopoly|virtual(spatialindex|elementary|knn2?)", re.IGNORECASE)
_SYSTEMS = 10_000
_STEPS = 200_000_000
"""Of SQLite's machine, at most: some seconds; a view may have no end."""

_MEMBERS = ("crs", "spatialReference", "coordRefSys")
_PIECE = 4 * LONGEST


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
                _check_sidecar(stream)


def check_zip(path: str | os.PathLike[str]) -> None:
    """As `check_sidecars`, of shapefiles in a zip.

    :raises OSError: it cannot be read.
    :raises ValueError: when one does, or it is no zip; with the reason.
    """
    try:
        with zipfile.ZipFile(path) as packed:
            for name in packed.namelist():
                if name.lower().endswith(".prj"):
                    with packed.open(name) as stream:
                        _check_sidecar(stream)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, zlib.error) as error:
        raise ValueError(f"its zip cannot be read: {reason_of(error)}") from error


def check_members(path: str | os.PathLike[str]) -> None:
    """Refuse GeoJSON and its kin where a member that says the system names other files.

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
        there = base.execute("SELECT lower(name), sql FROM sqlite_master").fetchmany(LONGEST)
        for _, text in there:
            _check_table(str(text or ""))
        for name in _DEFINITIONS.keys() & {name for name, _ in there}:
            for text in _definitions(base.execute(_DEFINITIONS[name])):
                check_description(text)
    except sqlite3.Error as error:
        raise ValueError(f"its coordinate systems cannot be read: {reason_of(error)}") from error


def _check_table(text: str) -> None:
    found = _VIRTUAL.search(text)
    if found is not None and not _OWN_TABLES.fullmatch(found[1]):
        raise ValueError(f"it has a table of {found[1][:40]}, which may lead to other files")


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


def _check_sidecar(stream: IO[bytes]) -> None:
    text = stream.read(LONGEST + 1).decode("utf-8", "replace").strip().strip("\0")
    if text and not _is_old(text):
        check_description(text)


def _is_old(text: str) -> bool:
    """Whether a system is told by lines of names and numbers, as ArcInfo has it: GDAL takes only numbers from these."""
    return text.upper().startswith("PROJECTION") and "[" not in text and "(" not in text


def _members(content: mmap.mmap) -> Iterator[tuple[str, int]]:
    """Where the values of such members begin. Letters of a name may be written as escapes."""
    escaped = content.find(b"\\u00") >= 0
    for name in _MEMBERS:
        plain = f'"{name}"'.encode()
        if not escaped:
            if content.find(plain) < 0:
                continue
            pattern = re.escape(plain)
        else:
            pattern = b'"' + b"".join(map(_letter, name)) + b'"'
        for found in re.finditer(pattern + rb"\s*:\s*", content, re.IGNORECASE):
            yield name, found.end()


def _letter(sign: str) -> bytes:
    small, large = ord(sign.lower()), ord(sign.upper())
    return rb"(?:%c|\\u00%x|\\u00%x)" % (small, small, large)


def _check_member(name: str, text: str) -> None:
    try:
        value, _ = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError) as error:
        if text.startswith(("{", "[", '"')):
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
        elif isinstance(node, str) and any(sign in node for sign in "[(={"):
            check_description(node)
