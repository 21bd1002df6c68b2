"""The service put together: products, pixels, the engine, the application."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from fastapi import FastAPI

from eotasks.allocator import share_arenas
from eotasks.catalogue.open import catalogue_of
from eotasks.catalogue.request import SearchRequest
from eotasks.catalogue.store import ARCHIVE_CATALOGUE, Catalogue
from eotasks.service.app import create_app
from eotasks.service.catalog.search import items_named
from eotasks.service.evalscript.pool import EnginePool, JobLimits
from eotasks.service.evalscript.workers.sandbox import SandboxLimits
from eotasks.service.evalscript.workers.supervisor import Places
from eotasks.service.pixels.read import CatalogueReader, ReadingLimits
from eotasks.service.render import Renderer
from eotasks.service.services import ProductSearch
from eotasks.service.settings import MEGABYTE, ServiceSettings, load_settings, memory_text
from eotasks.service.traffic.log import FIELDS, set_up_json_log
from eotasks.sources.frames import meets, open_candidates
from eotasks.storage.location import is_web
from eotasks.storage.place import Place
from eotasks.workflows.cloud_archive.cataloguing import described

LOGGER = logging.getLogger("eotasks.service")


class Catalogues:
    """Several catalogues as one: a product that two of them list is that of the first."""

    def __init__(self, catalogues: Sequence[ProductSearch]) -> None:
        self._catalogues = catalogues

    def find(self, request: SearchRequest) -> list[Any]:
        """See `ProductSearch`."""
        found: dict[str, Any] = {}
        for catalogue in self._catalogues:
            for item in catalogue.find(request):
                found.setdefault(item.id, item)
        return sorted(found.values(), key=lambda item: (item.datetime, item.id))[: request.limit]

    def named(self, names: Collection[str], request: SearchRequest) -> list[Any]:
        """See `eotasks.service.catalog.search.NamedSearch`."""
        found: dict[str, Any] = {}
        for catalogue in self._catalogues:
            for item in items_named(names, request, catalogue):
                found.setdefault(item.id, item)
        return list(found.values())


def reading_limits(settings: ServiceSettings) -> ReadingLimits:
    """What one request may read, and what a process keeps."""
    return ReadingLimits(
        max_metres=settings.max_metres,
        max_products=settings.max_products,
        decoded_bytes=settings.decoded_mb * MEGABYTE,
    )


def build_app(settings: ServiceSettings, *, leave: Callable[[], None] = lambda: None) -> FastAPI:
    """The application of one process, with its engine started.

    :param leave: See `eotasks.service.app.create_app`.
    :raises ConfigurationError: for a catalogue that is none.
    :raises EngineError: when no engine starts.
    """
    limits = reading_limits(settings)
    reader = CatalogueReader.open(
        settings.catalogues, archive=settings.archive, store_masks=settings.store_masks, limits=limits
    )
    jobs = JobLimits(
        base_s=settings.script_s,
        ceiling_s=settings.script_ceiling_s,
        script_bytes=settings.script_bytes,
        image_bytes=settings.bytes_of_request,
    )
    sandbox_limits = SandboxLimits.for_pixels(settings.bytes_of_request, jitless=settings.jitless)
    engine = EnginePool(
        Places(workers=settings.engine_workers, waiting=settings.concurrent + settings.waiting),
        jobs=jobs,
        limits=replace(sandbox_limits, cpu_seconds=max(sandbox_limits.cpu_seconds, jobs.worker_cpu_seconds)),
    )
    try:
        sandbox = engine.start()
        told = {"memory": memory_text(settings, kept_bytes=limits.kept_bytes), "sandbox": sandbox.as_json()}
        level = logging.INFO if sandbox.seccomp else logging.WARNING
        LOGGER.log(level, "evalscripts run with %s", sandbox.text, extra={FIELDS: told})

        def close() -> None:
            engine.close()
            reader.close()

        def health() -> Mapping[str, Any]:
            state = engine.sandbox
            return {"ok": engine.works, "workers": engine.counts, "sandbox": state.as_json() if state else None}

        return create_app(
            settings,
            Renderer(engine, reader, settings.bytes_of_request),
            search_in(settings.catalogues),
            health={"engine": health},
            close=close,
            leave=leave,
        )
    except BaseException:
        engine.close()
        raise


def search_in(locations: Sequence[str]) -> ProductSearch:
    """Where the Catalog API searches. One catalogue of ours is asked itself: it knows how its products lie in time."""
    found = [_search(location) for location in locations]
    return found[0] if len(found) == 1 and isinstance(found[0], Catalogue) else Catalogues(found)


def from_environment() -> FastAPI:
    """The application of one of several processes, as the environment describes it."""
    set_up_json_log()
    share_arenas()
    return build_app(load_settings(), leave=leave_process)


def leave_process() -> None:
    """End this process though threads of it run, which Python would wait for: with 0, as it was asked to end."""
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)


class FolderItems:
    """Products of a folder without a catalogue: their metadata is read once."""

    def __init__(self, folder: str) -> None:
        """:raises ImageryError: when one is damaged."""
        self._products = [(each, described(each)) for each in open_candidates([folder])]

    def find(self, request: SearchRequest) -> list[Any]:
        """See `ProductSearch`."""
        return [item for candidate, item in self._products if meets(candidate, request)]


def _search(location: str) -> ProductSearch:
    """Where the Catalog API searches, by what `ProductSources.open` takes."""
    if not is_web(location) and not location.rstrip("/").endswith((".parquet", ".geoparquet")):
        place = Place(location)
        if place.exists(ARCHIVE_CATALOGUE):
            return catalogue_of(f"{place}/{ARCHIVE_CATALOGUE}")
        return FolderItems(location)
    return catalogue_of(location)
