"""The path by which GDAL gets a vector file: that of the file that was looked at, and of no other.

Libraries take signs in a path for more than a name, and who reads a zip twice may find two contents in it: GDAL and
Python do not agree on which of two directories of a zip counts, on names that come twice, and on what an index in it
says. So what is in a zip is unpacked, looked at, and read from there.
"""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from eotasks.errors import reason_of
from eotasks.limits import MEGABYTE, VECTOR_BYTES
from eotasks.reading import ZIP_DAMAGES, check_packing, open_regular, too_large
from eotasks.storage.temporary import FilesOfProcess
from eotasks.text import excerpt

ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_NOT_UNPACKED = ".kmz"
"""Of KML and its pictures, which GDAL's library of KML alone opens."""

_SIGNS = re.compile(r"[!;?\x00-\x1f]")
"""What pyogrio and GDAL take for more than a part of a name: a file in an archive, a query, the end."""

_VECTORS = frozenset({".gpkg", ".geojson", ".json", ".geojsonl", ".fgb", ".kml", ".gml", ".gpx", ".sqlite"})
_GEODATABASE = ".gdb"
_MOST = 10_000
"""Files in a zip: a geodatabase has some hundred."""

_APPLICATION = slice(68, 72)
"""Where a GeoPackage says that it is one."""

_unpacked = FilesOfProcess()


def path_for_gdal(path: str | os.PathLike[str]) -> str:
    """The path of a vector file on this machine, or of what its zip holds, unpacked until the process ends.

    :raises OSError: it cannot be read, or unpacks to more than vector files have.
    :raises ValueError: its name, or its zip; with the reason, for the end of a message.
    """
    whole = str(Path(path).absolute())
    if is_zip(whole):
        whole = str(_unpack(whole))
    check_path(whole)
    return whole


def check_path(path: str | os.PathLike[str]) -> None:
    """Refuse a path by which another file would be opened.

    :raises ValueError: with the reason, for the end of a message.
    """
    sign = _SIGNS.search(str(Path(path).absolute()))
    if sign is not None:
        raise ValueError(f"its path has the sign {excerpt(sign[0])}, which leads GDAL to another file: rename it")


def is_zip(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a zip that is unpacked."""
    if Path(path).is_dir() or Path(path).suffix.lower() == _NOT_UNPACKED:
        return False
    with open_regular(path) as stream:
        return stream.read(4) in ZIP


@contextmanager
def opened_zip(path: str | os.PathLike[str]) -> Iterator[zipfile.ZipFile]:
    """A zip of vector files; what is raised while it is read is told of it.

    :raises OSError: of the disk, or what it holds is too large.
    :raises ValueError: it is damaged, or packed by what is not read; with the reason, for the end of a message.
    """
    try:
        with zipfile.ZipFile(path) as packed:
            check_packing(packed)
            yield packed
    except ValueError:
        raise
    except (*ZIP_DAMAGES, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ValueError(f"its zip cannot be read: {reason_of(error)}") from error


def _unpack(path: str) -> Path:
    facts = Path(path).stat()

    def extract(place: Path) -> Path:
        with opened_zip(path) as packed:
            return _extract(packed, place)

    return _unpacked.path(path, extract, version=(facts.st_mtime_ns, facts.st_size, facts.st_ino))


def _extract(packed: zipfile.ZipFile, place: Path) -> Path:
    """Unpack the vector file of a zip, or the folder that is one.

    :return: Where it is.
    """
    members = _members(packed)
    names, is_folder = _chosen(list(members))
    if is_folder:
        kind = PurePosixPath(names[0]).parent.suffix.lower()
        place /= f"unpacked{_GEODATABASE if kind == _GEODATABASE else ''}"
        place.mkdir()
    size = 0
    for name in names:
        target = place / PurePosixPath(name).name
        with packed.open(members[name]) as stream, target.open("xb") as unpacked:
            size += _copy(stream, unpacked, VECTOR_BYTES.value - size)
    if is_folder:
        return place
    with target.open("rb") as stream:
        begin = stream.read(_APPLICATION.stop)
    # A name that says something else than the content is a warning of GDAL, which the zip's own name is not.
    return target.rename(f"{target}.gpkg") if begin[_APPLICATION] == b"GPKG" and not target.suffix else target


def _members(packed: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Its files by their names, without what systems add to each folder."""
    members: dict[str, zipfile.ZipInfo] = {}
    seen: set[str] = set()
    for member in packed.infolist():
        parts = PurePosixPath(member.filename).parts
        if member.is_dir() or not parts or parts[0] == "__MACOSX" or parts[-1].startswith("."):
            continue
        if member.filename.casefold() in seen:
            raise ValueError(f"its zip holds {excerpt(member.filename)} twice")
        seen.add(member.filename.casefold())
        members[member.filename] = member
        if len(members) > _MOST:
            raise ValueError(f"its zip holds more than {_MOST:,} files")
    return members


def _chosen(names: Sequence[str]) -> tuple[list[str], bool]:
    """Names of the files that make up the vector file, and whether they are a folder."""
    shapes = {PurePosixPath(name).parent for name in names if name.lower().endswith(".shp")}
    bases = {PurePosixPath(name).parent for name in names}
    folders = shapes or {base for base in bases if base.suffix.lower() == _GEODATABASE}
    if folders:
        first = min(len(folder.parts) for folder in folders)
        top = [folder for folder in folders if len(folder.parts) == first]
        if len(top) > 1:
            raise ValueError(f"its zip holds {len(top)} folders of vector files: give one")
        return [name for name in names if PurePosixPath(name).parent == top[0]], True
    found = names if len(names) == 1 else [name for name in names if PurePosixPath(name).suffix.lower() in _VECTORS]
    if len(found) != 1 or any(name.startswith(f"{found[0]}-") for name in names):
        raise ValueError(f"its zip holds {len(names)} files and none is a shapefile: give the one to read")
    return list(found), False


def _copy(source: IO[bytes], target: IO[bytes], most: int) -> int:
    size = 0
    while chunk := source.read(MEGABYTE):
        size += len(chunk)
        if size > most:
            raise too_large(VECTOR_BYTES)
        target.write(chunk)
    return size
