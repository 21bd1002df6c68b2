"""A source a window of time after the other: an archive of millions of products is planned and built in little memory.

Products are compared with those of the same acquisition of their tile only, which are within an hour: so what is said
of a product is the same in a window with some hours before and behind it as in the whole source.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import gc
import hashlib
import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from eotasks.catalogue.brief.items import BriefItem
from eotasks.catalogue.fields import PRODUCT_ASSET
from eotasks.catalogue.open import catalogue_of
from eotasks.catalogue.request import Level, SearchRequest
from eotasks.catalogue.store import Catalogue
from eotasks.imagery.files.signing import Modifier
from eotasks.imagery.mosaic import SAME_DATATAKE
from eotasks.storage.location import is_web
from eotasks.workflows.cloud_archive.source import (
    CATALOGUES,
    Listed,
    Progress,
    Source,
    listed_items,
    read_source,
    sort_out,
)

if TYPE_CHECKING:
    import pystac

ROWS = 20_000
"""Items that are read at a time."""

_MARGIN = 3 * SAME_DATATAKE
"""What has to be known behind a product: a sibling is an hour from it, other products an hour from that, and those that
stand for these another one."""

_MICROSECOND = dt.timedelta(microseconds=1)
_DIGEST_BYTES = 16


def source_windows(
    source: str | os.PathLike[str],
    level: Level,
    request: SearchRequest,
    *,
    modifier: Modifier | str | None = None,
    progress: Progress | None = None,
) -> Iterator[Source]:
    """The products of a source, those of a window of time after the other; at least one, which may be empty.

    A catalogue is read so. What else a source may be is read whole: a folder, and the answers of an API.

    Parameters and errors are those of `eotasks.workflows.cloud_archive.source.read_source`.
    """
    text = os.fspath(source)
    if not is_web(text) and text.lower().rstrip("/").endswith(CATALOGUES) and request.limit is None:
        catalogue = catalogue_of(text, modifier=modifier)
        assert isinstance(catalogue, Catalogue)
        wide = replace(request, level=None, max_cloud_cover=None)
        starts, undated = catalogue.windows(wide, ROWS)
        if starts and not undated:  # without times, whole: order and windows are by them
            yield from _Stream(catalogue, level, request, wide).windows(starts)
            return
    yield read_source(source, level, request, modifier=modifier, progress=progress)


class _Stream:
    def __init__(self, catalogue: Catalogue, level: Level, request: SearchRequest, wide: SearchRequest) -> None:
        self._catalogue, self._level, self._request, self._wide = catalogue, level, request, wide
        self._listed: list[Listed] = []
        """Read, and not told yet, or needed to compare."""
        self._ids: dict[str, str] = {}
        self._items: dict[str, pystac.Item] = {}
        self._names = Names()

    def windows(self, starts: list[dt.datetime]) -> Iterator[Source]:
        told: dt.datetime | None = None
        expected = self._catalogue.count(replace(self._request, level=self._level)) if len(starts) > 1 else 0
        for start, following in zip(starts, [*starts[1:], None], strict=True):
            end = None if following is None else following - _MICROSECOND
            if end is None and self._wide.end is not None:
                end = self._wide.end
            found = Source(catalogue=self._catalogue, expected=expected)
            with _no_collections():
                self._read(replace(self._wide, start=start, end=end), found)
            until = None if following is None else following - _MARGIN
            if told is not None and until is not None and until <= told:
                until = told
            with _no_collections():
                self._tell(found, told, until)
            yield found
            told = until

    def _read(self, request: SearchRequest, found: Source) -> None:
        items: list[object] = list(self._catalogue.brief(request))
        bare = {item.id for item in items if isinstance(item, BriefItem) and PRODUCT_ASSET not in item.assets}
        if bare:  # of others: the item itself is what is opened
            whole = {item.id: item for item in self._catalogue.named(bare, request)}
            items = [whole.get(item.id, item) if isinstance(item, BriefItem) else item for item in items]
        self._listed += listed_items(items, self._level, found)
        self._ids |= found.ids
        self._items |= found.items
        found.ids, found.items = {}, {}

    def _tell(self, found: Source, told: dt.datetime | None, until: dt.datetime | None) -> None:
        """What is known of products from where the last window ended until some time.

        :param until: None for the end.
        """

        def within(time: dt.datetime) -> bool:
            return (told is None or time >= told) and (until is None or time < until)

        taken = self._names.those({each.candidate.name for each in self._listed})
        sort_out(found, self._listed, self._level, self._request, within=within, taken=taken.__contains__)
        self._names.add(found.products)
        there = [each.name for group in found.siblings.values() for each in group]
        found.ids = {name: self._ids[name] for name in there if name in self._ids}
        found.items = {name: self._items[name] for name in (*found.products, *there) if name in self._items}
        if until is not None:
            self._drop(until - _MARGIN)

    def _drop(self, before: dt.datetime) -> None:
        """Forgets what is compared with nothing that comes: acquisitions that ended before a time."""
        chains: dict[object, list[Listed]] = {}
        kept: list[Listed] = []

        def close(chain: list[Listed]) -> None:
            if chain[-1].candidate.time >= before:
                kept.extend(chain)

        for each in sorted(self._listed, key=lambda each: each.candidate.time):
            one = each.candidate
            key = (one.level, one.satellite, one.tile)
            chain = chains.get(key)
            if chain is not None and one.time - chain[-1].candidate.time < SAME_DATATAKE:
                chain.append(each)
            else:
                if chain is not None:
                    close(chain)
                chains[key] = [each]
        for chain in chains.values():
            close(chain)
        self._listed = kept
        names = {each.candidate.name for each in kept}
        self._ids = {name: item for name, item in self._ids.items() if name in names}
        self._items = {name: item for name, item in self._items.items() if name in names}


@contextlib.contextmanager
def _no_collections() -> Iterator[None]:
    """Has Python not look for cycles in a block that makes a hundred thousand objects, none of them in one: it would go
    through all that it knows again and again, a quarter of the time.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class Names:
    """Many texts, by digests of sixteen bytes: a million of them take as many megabytes."""

    def __init__(self) -> None:
        self._runs: list[NDArray[np.bytes_]] = []
        """In order each, and shorter from one to the next: few at a time cost little to add."""

    def add(self, names: Iterable[str]) -> None:
        """Notes some."""
        run = np.sort(_digests(names))
        while self._runs and len(self._runs[-1]) <= 2 * len(run):
            run = np.sort(np.concatenate([self._runs.pop(), run]))
        if len(run):
            self._runs.append(run)

    def those(self, names: Collection[str]) -> set[str]:
        """Those of some names that are noted."""
        if not self._runs:
            return set()
        listed = list(names)
        digests = _digests(listed)
        found = np.zeros(len(digests), dtype=bool)
        for run in self._runs:
            found |= run[np.minimum(np.searchsorted(run, digests), len(run) - 1)] == digests
        return {listed[index] for index in np.flatnonzero(found).tolist()}


def _digests(names: Iterable[str]) -> NDArray[np.bytes_]:
    return np.array([_digest(name) for name in names], dtype=f"S{_DIGEST_BYTES}")


def _digest(name: str) -> bytes:
    return hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=_DIGEST_BYTES).digest()
