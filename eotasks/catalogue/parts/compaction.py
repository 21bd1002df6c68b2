"""A catalogue in parts put in order: parts of usual size, one after the other in time, and no files of nobody."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from eotasks.catalogue.engine import columns_of, read_rows
from eotasks.catalogue.packages import package
from eotasks.catalogue.parts.folder import ROWS_OF_PART, PartsFolder
from eotasks.catalogue.parts.manifest import Manifest, Part
from eotasks.catalogue.parts.writing import KEEP_SECONDS, WRITERS, exchange
from eotasks.catalogue.table import in_our_columns, pick_rows
from eotasks.errors import StorageError
from eotasks.parquet_pages import footer

if TYPE_CHECKING:
    import pyarrow as pa

_FILE = re.compile(r"(?:part-([0-9a-f]{16})\.parquet|_ids-([0-9a-f]{16})\.bin)")


@dataclass(frozen=True)
class Compaction:
    """What was put in order."""

    items: int
    before: int
    """Parts that there were."""

    after: int
    removed: int
    """Files of earlier parts, and of writers that were killed, which are gone now."""


def compact(folder: PartsFolder, check: Callable[[], None] = lambda: None) -> Compaction:
    """Puts a catalogue in order. Readers and writers go on meanwhile; one compaction at a time (the caller's lease).

    :param check: Called before anything counts: whether this run still has the lease.
    :raises StorageError: when there is no catalogue, or it cannot be written.
    """
    for _ in range(WRITERS):
        found = folder.manifest()
        if found is None:
            raise StorageError(f"{folder.place}: there is no catalogue in parts.")
        before, tag = found
        gone: list[Part] = []
        new: list[Part] = []
        for group in unsettled(before.parts):
            gone += group
            new += [folder.write(items, tag) for items in in_order(folder.paths(group))]
        limit = folder.place.now() - dt.timedelta(seconds=KEEP_SECONDS)  # before the exchange: what is older is in it
        now, tag = folder.manifest() or (before, tag)
        if not {each.name for each in gone} <= {each.name for each in now.parts}:  # some were changed: once more
            folder.discard(new)
            continue
        check()
        if not exchange(folder, now, tag, gone, new):
            continue
        removed = len([each for each in now.retired if each.at <= limit.timestamp()])
        removed += _sweep(folder, limit)
        after, _ = folder.manifest() or (now, tag)
        return Compaction(after.rows, len(before.parts), len(after.parts), removed)
    raise StorageError(f"{folder.place}: {WRITERS} times another writer was faster: compact it later.")


def parts_of_file(path: str, folder: PartsFolder) -> None:
    """Makes a catalogue in parts of one that is a file of this machine, in one operation.

    :param folder: Where nothing is.
    :raises ConfigurationError: when the file is not ours.
    :raises StorageError: when another writer was faster, or it cannot be written.
    """
    parts = [folder.write(items, None) for items in in_order([path])]
    if not exchange(folder, Manifest(), None, (), parts):
        raise StorageError(f"{folder.place}: another has made a catalogue there in the meantime. Give another place.")


def unsettled(parts: Sequence[Part]) -> list[list[Part]]:
    """Groups of parts that are to be put in order: those whose times overlap, and small ones beside each other.

    :param parts: In order of time.
    """
    groups: list[list[Part]] = []
    last = rows = 0
    for part in parts:
        small = part.rows < ROWS_OF_PART // 2
        if groups and (part.first < last or small or rows < ROWS_OF_PART // 2):
            groups[-1].append(part)
            rows += part.rows
        else:
            groups.append([part])
            rows = part.rows
        last = max(last, part.last) if len(groups[-1]) > 1 else part.last
    return [group for group in groups if len(group) > 1 or group[0].rows > 2 * ROWS_OF_PART]


def in_order(paths: Sequence[str]) -> Iterator[pa.Table]:
    """Items of files as tables of usual size, one after the other in time.

    :param paths: Files of a catalogue, whose items differ.
    """
    arrow = package("pyarrow")
    times, files, rows = [], [], []
    for number, path in enumerate(paths):
        columns_of(path)  # or it is damaged
        moments = pick_rows(path, footer(path), path, columns=["datetime"]).column("datetime").cast("int64").to_numpy()
        times.append(moments)
        files.append(np.full(len(moments), number, dtype=np.int32))
        rows.append(np.arange(len(moments), dtype=np.int64))
    moments, file, row = (np.concatenate(each) for each in (times, files, rows))
    order = np.argsort(moments, kind="stable")
    for chosen in np.array_split(order, -(-len(order) // ROWS_OF_PART)) if len(order) else ():
        tables = []
        for number in np.unique(file[chosen]):
            path = paths[number]
            tables.append(in_our_columns(read_rows(path, row[chosen][file[chosen] == number].tolist()), path))
        yield arrow.concat_tables(tables)


def _sweep(folder: PartsFolder, limit: dt.datetime) -> int:
    """Removes files that no manifest has, of writers that were killed; how many.

    :param limit: What is younger stays: a writer may be about to name it.
    """
    found = folder.manifest()
    known = frozenset[str]() if found is None else found[0].names
    strays = []
    for entry in folder.place.entries():
        match = _FILE.fullmatch(entry.path)
        if match and entry.changed < limit and f"part-{match[1] or match[2]}" not in known:
            strays.append(entry.path)
    folder.place.remove_files(strays)
    return len(strays)
