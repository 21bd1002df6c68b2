"""Where products are searched: catalogues of ours, archives, STAC APIs and folders, one or several."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from eotasks.catalogue.api import StacApi
from eotasks.catalogue.open import catalogue_of
from eotasks.catalogue.packages import require
from eotasks.catalogue.request import SearchRequest
from eotasks.catalogue.store import ARCHIVE_CATALOGUE, Catalogue
from eotasks.errors import ConfigurationError
from eotasks.imagery.files.signing import Modifier
from eotasks.service.pixels.index import KEPT_ANSWERS, CatalogueIndex, size_of_answer
from eotasks.service.pixels.kept import Kept
from eotasks.sources.frames import Candidate, candidates_of, meets, open_candidates
from eotasks.storage.location import is_web
from eotasks.storage.place import Place
from eotasks.text import redacted
from eotasks.workflows.cloud_archive.layout import catalogue_of_archive

REFRESH_SECONDS = 5.0
"""Between looks at whether a catalogue has changed."""

_API_SECONDS = 60.0
_FILES = (".parquet", ".geoparquet")


class ProductSource(Protocol):
    """One place where products are searched. May be used by several threads."""

    def find(self, request: SearchRequest) -> list[Candidate]:
        """Products that a request is for.

        :raises EOTasksError: when it cannot be searched.
        """
        ...

    def openable(self, candidate: Candidate) -> Candidate:
        """A product that was found here, as it can be opened."""
        ...


@dataclass(frozen=True)
class FoundProducts:
    """What a search found, each product once."""

    candidates: tuple[Candidate, ...]
    masked: Mapping[str, Candidate]
    """By the names of products: whose files of CLP, CLM and SHADOW are theirs."""

    is_all: bool = True
    """Whether no source has found as many as the search was limited to, so that there may be more."""


class ProductSources:
    """All that is searched. A product that several list is opened where the first of them says it lies, and has the
    masks of the first that has some.

    :param sources: At least one.
    :param masks: Asked for files of masks only: products that only these list are not served.
    """

    def __init__(self, sources: Sequence[ProductSource], masks: Sequence[ProductSource] = ()) -> None:
        if not sources:
            raise ConfigurationError("Name at least one catalogue that products are searched in.")
        self._sources, self._masks = tuple(sources), tuple(masks)

    @classmethod
    def open(
        cls,
        locations: Sequence[str | Catalogue | StacApi],
        *,
        archive: str | None = None,
        modifier: Modifier | str | None = None,
        refresh: float = REFRESH_SECONDS,
    ) -> ProductSources:
        """From what a user names.

        :param locations: Catalogues (``.parquet``, a file or a folder of parts, on disk or ``s3://``), archives (their
            folder or prefix), addresses of STAC APIs, or folders of products, whose metadata is read now.
        :param archive: An archive that has masks of their products; it need not be there yet.
        :param modifier: Signs the addresses of items before they are read.
        :param refresh: Seconds between looks at whether a catalogue has changed.
        :raises ConfigurationError: for what is none of these.
        :raises StorageError: when a place cannot be reached.
        :raises ImageryError: when a product of a folder is damaged.
        """
        masks = [] if archive is None else [_ArchiveSource(catalogue_of_archive(Place(archive)), refresh=refresh)]
        return cls([_source(each, modifier, refresh) for each in locations], masks)

    def find(self, request: SearchRequest) -> FoundProducts:
        """Search all.

        :param request: Where it has a limit, as many are found of each source at most. Where one finds so many, these
            are not all, and masks are not looked for.
        :raises EOTasksError: when one of them cannot be searched.
        """
        names: dict[str, Candidate] = {}
        masked: dict[str, Candidate] = {}
        is_all = True
        for source in self._sources:
            found = source.find(request)
            # Before those of one name become one: what was left out for them has other names.
            is_all = is_all and (request.limit is None or len(found) < request.limit)
            for each in found:
                names.setdefault(each.name, each)
                if each.masks:
                    masked.setdefault(each.name, each)
        if is_all and not names.keys() <= masked.keys():
            for source in self._masks:
                for each in source.find(replace(request, limit=None)):
                    if each.masks and each.name in names:
                        masked.setdefault(each.name, each)
        return FoundProducts(tuple(names.values()), masked, is_all)

    def openable(self, candidate: Candidate) -> Candidate:
        """A product that was found, as it can be opened."""
        for source in self._sources:
            candidate = source.openable(candidate)
        return candidate


class ApiSource:
    """A STAC API, whose answers are kept for a minute."""

    def __init__(self, api: StacApi) -> None:
        self._api = api
        self._answers: Kept[list[Candidate]] = Kept(KEPT_ANSWERS, size=size_of_answer, seconds=_API_SECONDS)

    def find(self, request: SearchRequest) -> list[Candidate]:
        """As of `ProductSource`."""
        return self._answers.get(request, lambda: candidates_of(self._api.find(request, most=request.limit)))

    def openable(self, candidate: Candidate) -> Candidate:
        """As of `ProductSource`."""
        return candidate


class ListSource:
    """Products of a list."""

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self._candidates = sorted(candidates, key=lambda each: (each.time, each.name))

    def find(self, request: SearchRequest) -> list[Candidate]:
        """As of `ProductSource`."""
        return [each for each in self._candidates if meets(each, request)][: request.limit]

    def openable(self, candidate: Candidate) -> Candidate:
        """As of `ProductSource`."""
        return candidate


class _IndexSource(CatalogueIndex):
    """A catalogue of ours."""

    def openable(self, candidate: Candidate) -> Candidate:
        """As of `ProductSource`."""
        origin = candidate.origin
        mine = origin is not None and origin.document == self.catalogue.location
        return super().openable(candidate) if mine else candidate


class _ArchiveSource(CatalogueIndex):
    """The catalogue of an archive that may not have been begun."""

    def find(self, request: SearchRequest) -> list[Candidate]:
        """As of `ProductSource`; nothing while there is no catalogue."""
        return super().find(request) if self._is_there() else []

    def _is_there(self) -> bool:
        """Looked at as seldom as whether it has changed: far away each look takes as long as a search. Of those who ask
        meanwhile the first wait, others go by what was known before; a look that fails says nothing.
        """
        if self._exists:
            return True
        if not self._lock.acquire(blocking=self._asked == -math.inf):
            return False
        try:
            now = time.monotonic()
            if not self._exists and now - self._asked >= self._refresh:
                self._exists = self.catalogue.exists()
                self._asked = now
            return self._exists
        finally:
            self._lock.release()

    _exists = False
    _asked = -math.inf


def _source(location: str | Catalogue | StacApi, modifier: Modifier | str | None, refresh: float) -> ProductSource:
    if isinstance(location, str) and not is_web(location) and not location.rstrip("/").endswith(_FILES):
        place = Place(location)
        if place.exists(ARCHIVE_CATALOGUE):
            location = f"{place}/{ARCHIVE_CATALOGUE}"
        elif place.is_local and Path(str(place)).is_dir():
            return ListSource(open_candidates([str(place)], modifier=modifier))
        else:
            raise ConfigurationError(
                f"{redacted(location)} is no catalogue, and holds none: list its products with eotasks catalogue add,"
                " and give that catalogue."
            )
    found = catalogue_of(location, modifier=modifier)
    require(*found.packages)
    if isinstance(found, StacApi):
        return ApiSource(found)
    found.state()
    return _IndexSource(found, refresh=refresh)
