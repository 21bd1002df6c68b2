"""Files of a data set, found and read within bounds: what others packed is not believed before it is looked at."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eotasks.eopatches.arrays import read_array
from eotasks.errors import AreaError, ReferenceDataError, reason_of
from eotasks.limits import ARRAY_BYTES, LISTED_OBJECTS, RECORD_BYTES
from eotasks.reading import open_regular, read_regular

_DEEPEST = 6
"""Levels of folders below the one that is given."""


@contextmanager
def reading(file: Path, cure: str = "download it again") -> Iterator[None]:
    """Names the file in what goes wrong while it is read.

    :raises ReferenceDataError: for what the system, numpy or a decoder raises.
    """
    try:
        yield
    except ReferenceDataError:
        raise
    except (OSError, ValueError, UnicodeDecodeError, csv.Error) as error:
        raise ReferenceDataError(f"{file}: cannot be read ({reason_of(error)}): {cure}.") from error


def existing(folder: Path, title: str) -> Path:
    """The folder, when it is one.

    :raises AreaError: when it is not.
    """
    if not folder.is_dir():
        raise AreaError(f"{folder}: no such folder. Give the one that {title} was unpacked in.")
    return folder


def none_found(folder: Path, title: str, layout: str) -> AreaError:
    """The error of a folder in which nothing of a data set lies."""
    return AreaError(f"{folder}: nothing of {title} in it. It has: {layout}.")


def walk(folder: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Folder, names of folders in it, names of files in it: some levels deep, links to folders not followed.

    :raises ReferenceDataError: when there are more files than a data set has.
    """
    seen = 0
    for at, folders, files in os.walk(folder):
        seen += len(files) + len(folders)
        if seen > LISTED_OBJECTS.value:
            raise ReferenceDataError(f"{folder}: {LISTED_OBJECTS.excess(seen)}. Give the folder of the data set alone.")
        folders.sort()
        yield Path(at), folders, sorted(files)
        if len(Path(at).relative_to(folder).parts) >= _DEEPEST:
            folders.clear()


def files_ending(folder: Path, *endings: str) -> list[Path]:
    """Files whose names end so, sorted by path."""
    return sorted(at / name for at, _, names in walk(folder) for name in names if name.lower().endswith(endings))


def name_below(folder: Path, path: Path) -> str:
    """What a file or folder is called: its path below the folder, without a suffix."""
    return path.relative_to(folder).with_suffix("").as_posix()


def shorter(names: Sequence[str], shorten: Callable[[str], str]) -> list[str]:
    """Names made shorter, where they still differ then; else as they are."""
    short = [shorten(name) for name in names]
    return short if len(set(short)) == len(short) else list(names)


def read_npy(file: Path) -> NDArray[np.generic]:
    """The array in an npy file: numbers or booleans, never a pickle.

    :raises ReferenceDataError: it is absent, damaged, too large, or holds something else.
    """
    with reading(file):
        array: NDArray[np.generic] = read_array(file)
        return array


def read_part(file: Path, dtype: np.dtype[np.generic], shape: tuple[int, ...], index: int) -> NDArray[np.generic]:
    """One array of a file that holds arrays of a type and shape one after the other, and nothing else.

    :raises ReferenceDataError: it cannot be read, or ends before.
    """
    size = int(np.prod(shape)) * dtype.itemsize
    with reading(file), open_regular(file) as stream:
        stream.seek(index * size)
        content = stream.read(size)
        if len(content) != size:
            raise ValueError(f"it ends in array {index}")
        return np.frombuffer(content, dtype).reshape(shape)


def file_size(file: Path) -> int:
    """Bytes of a regular file.

    :raises ReferenceDataError: it is absent, or none.
    """
    with reading(file), open_regular(file) as stream:
        return os.fstat(stream.fileno()).st_size


def read_table(file: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV with a header line.

    :param columns: That have to be there; others may be.
    :raises ReferenceDataError: it cannot be read, is too large, or lacks a column.
    """
    with reading(file):
        text = read_regular(file, RECORD_BYTES).decode("utf-8-sig")
        reader = csv.DictReader(text.splitlines(), strict=True)
        names = reader.fieldnames or ()
        missing = [name for name in columns if name not in names]
        if missing:
            raise ReferenceDataError(
                f"{file}: no column {', '.join(missing)}; there are {', '.join(map(str, names))[:200] or 'none'}. It is"
                " not the table that is expected here: download it again."
            )
        return [{str(key): value or "" for key, value in row.items() if key} for row in reader]


def check_pixels(shape: Sequence[int], itemsize: int, where: Path | str) -> None:
    """Refuse an array that takes more memory than one may, before it is read.

    :raises ReferenceDataError: when it does.
    """
    size = itemsize
    for side in shape:
        size *= int(side)
    if size > ARRAY_BYTES.value:
        raise ReferenceDataError(f"{where}: {ARRAY_BYTES.excess(size)}.")
