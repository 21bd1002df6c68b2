"""A catalogue as the service searches it: kept in memory while it is small, so that a search takes no file."""

from __future__ import annotations

import datetime as dt
import logging
import math
import threading
import time
from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely

from eotasks.catalogue.brief.items import BriefItem
from eotasks.catalogue.request import SearchRequest
from eotasks.catalogue.store import Catalogue
from eotasks.errors import ImageryError, message_of
from eotasks.service.pixels.kept import Kept
from eotasks.sources.frames import Candidate, meets

LOGGER = logging.getLogger(__name__)

INDEXED = 20_000
"""Products up to which a catalogue is kept in memory: some kilobytes each."""

KEPT_ANSWERS = 40_000
"""Products of answers that are kept, all together: some kilobytes each."""


def size_of_answer(found: Sequence[Candidate]) -> int:
    """Of the room of `KEPT_ANSWERS`: an answer of none takes some, too."""
    return len(found) + _EMPTY


_EMPTY = 100


@dataclass(frozen=True)
class _Listing:
    """All products of a catalogue, in order of time."""

    candidates: list[Candidate]
    times: list[dt.datetime]
    footprints: Any

    @classmethod
    def of(cls, candidates: Iterable[Candidate]) -> _Listing:
        ordered = sorted(candidates, key=lambda each: (each.time, each.name))
        footprints = np.array([each.footprint for each in ordered], dtype=object)
        return cls(ordered, [each.time for each in ordered], footprints)

    def find(self, request: SearchRequest) -> list[Candidate]:
        start = 0 if request.start is None else bisect_left(self.times, request.start)
        end = len(self.times) if request.end is None else bisect_right(self.times, request.end)
        near: Iterable[int] = range(start, end)
        if request.area is not None:
            shapely.prepare(request.area)
            footprints = self.footprints[start:end]
            there = shapely.intersects(footprints, request.area) | shapely.is_missing(footprints)
            near = (start + np.flatnonzero(there)).tolist()
        return [self.candidates[index] for index in near if meets(self.candidates[index], request)][: request.limit]


class CatalogueIndex:
    """Searches a catalogue of ours. May be used by several threads.

    :param refresh: Seconds between looks at whether it has changed.
    :param most: Products up to which it is kept in memory.
    """

    def __init__(self, catalogue: Catalogue, *, refresh: float, most: int = INDEXED) -> None:
        self.catalogue = catalogue
        self._refresh, self._most = refresh, most
        self._lock = threading.Lock()
        self._looked = -math.inf
        self._known: tuple[Hashable, _Listing | None] | None = None
        """The state of the catalogue and its products, changed together."""
        self._answers: Kept[list[Candidate]] = Kept(KEPT_ANSWERS, size=size_of_answer)

    def find(self, request: SearchRequest) -> list[Candidate]:
        """Products that a request is for, in order of time and name.

        :raises EOTasksError: when the catalogue cannot be read.
        """
        state, listing = self._current()
        if listing is not None:
            return listing.find(request)
        return self._answers.get((state, request), lambda: usable(self.catalogue.brief(request)))

    def openable(self, candidate: Candidate) -> Candidate:
        """A product with a location that can be opened: that of one without a place of its own is its whole item.

        :raises ImageryError: when it is in the catalogue no more.
        """
        if not isinstance(candidate.location, BriefItem):
            return candidate
        moment = candidate.location.datetime
        items = self.catalogue.named([candidate.name], SearchRequest(start=moment, end=moment))
        if not items:
            raise ImageryError(f"{candidate.name} is in its catalogue no more.")
        return Candidate.of_item(items[0])

    def _current(self) -> tuple[Hashable, _Listing | None]:
        known = self._known
        # While one looks, which takes long of a place far away, others go by what was known before; the first wait.
        if not self._lock.acquire(blocking=known is None):
            assert known is not None  # else it had waited
            return known
        try:
            now = time.monotonic()
            if self._known is None or now - self._looked >= self._refresh:
                state = self.catalogue.state()
                if self._known is None or state != self._known[0]:
                    self._known = state, self._read()
                self._looked = now
            return self._known
        finally:
            self._lock.release()

    def _read(self) -> _Listing | None:
        count = self.catalogue.count(SearchRequest())
        if count > self._most:
            LOGGER.info("%s: %d products, searched in its files", self.catalogue.location, count)
            return None
        return _Listing.of(usable(self.catalogue.brief(SearchRequest())))


def usable(items: Sequence[BriefItem]) -> list[Candidate]:
    """Products of brief items; those that say what cannot be are left out, and named in the log."""
    found = []
    for item in items:
        try:
            found.append(Candidate.of_brief(item))
        except ImageryError as error:
            LOGGER.warning("A product is left out: %s", message_of(error))
    return found
