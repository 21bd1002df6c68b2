"""Finding products for the Catalog API: newest first, page by page, in windows of time so that no list is too long."""

from __future__ import annotations

import datetime as dt
import heapq
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Protocol, runtime_checkable

from eotasks.catalogue.fields import time_of
from eotasks.catalogue.request import SearchRequest
from eotasks.service.catalog.collections import collection_named
from eotasks.service.catalog.filters import QUERYABLES, Filter, parse_filter
from eotasks.service.contract.catalog import MOST_FEATURES, CatalogSearch, place_of, times_of
from eotasks.service.errors import RequestError, TooLargeError
from eotasks.service.pixels.collections import Collection as Products
from eotasks.text import excerpt

MOST_LOOKED_AT = 10_000
"""Products that are read for one answer."""

_READ_FIRST, _READ_AT_ONCE = 250, 2_000
"""Products of a window that are read: few while few are wanted, then more."""

_FIRST_WINDOW, _FIRST_WINDOW_OF_ALL = dt.timedelta(days=400), dt.timedelta(days=10)
"""Where a search names an area, and where it does not: of one place there are some hundred products in a year."""

_GROWTH = 4
_SHORTEST = dt.timedelta(seconds=1)
_FIRST_PRODUCT = dt.datetime.fromisoformat("2015-06-01")
_LAST_TIME = dt.datetime.fromisoformat("9999-12-31T23:59:59.999999")
_FIRST_TIME = dt.datetime.fromisoformat("0001-01-01")
_AROUND_NAME = dt.timedelta(hours=3)
"""Between the time in a product's name, which is that of its swath, and its own."""

_NAMED_TIME = re.compile(r"^S2[A-D]_MSIL(?:1C|2A)_(\d{8}T\d{6})_N\d{4}_R\d{3}_T\d\d[A-Z]{3}_\d{8}T\d{6}(?:\.SAFE)?$")
_CRS84 = re.compile(r"https?://www\.opengis\.net/def/crs/(?:OGC/1\.3/CRS84|EPSG/0/4326)|(?:OGC:)?CRS84|EPSG:4326")

DATE = "date"


class ItemSearch(Protocol):
    """Where products are listed."""

    def find(self, request: SearchRequest) -> list[Any]:
        """STAC items (pystac) in order of time, then of id."""
        ...


@runtime_checkable
class NamedSearch(ItemSearch, Protocol):
    """One that knows its items by their ids, as `eotasks.catalogue.store.Catalogue` does."""

    def named(self, names: Collection[str], request: SearchRequest) -> list[Any]:
        """Those that a request is for which have one of some ids."""
        ...


@runtime_checkable
class WindowedSearch(ItemSearch, Protocol):
    """One that knows how its items lie in time, as `eotasks.catalogue.store.Catalogue` does."""

    def windows(self, request: SearchRequest, rows: int) -> tuple[list[dt.datetime], int]:
        """When windows of about so many items of a request begin (naive UTC), and how many items have no time."""
        ...


@dataclass(frozen=True)
class Search:
    """A search, checked."""

    collections: tuple[Products, ...]
    request: SearchRequest
    filter: Filter
    ids: frozenset[str] | None
    distinct: str | None
    limit: int
    skipped: int


@dataclass(frozen=True)
class Page:
    """A part of what is found."""

    found: list[Any]
    """Items with their collections, or the values of a property."""

    next: int | None
    """What to ask for next; None after the last."""


def search_of(asked: CatalogSearch) -> Search:
    """A search of the wire.

    :raises RequestError: for what cannot be searched for.
    """
    collections = {each.id: each for each in map(collection_named, asked.collections)}
    start, end = times_of(asked.time)
    found = parse_filter(asked.filter, asked.filter_lang)
    if asked.filter_crs is not None and _CRS84.fullmatch(asked.filter_crs) is None:
        raise RequestError(f"filter-crs is {excerpt(asked.filter_crs)}: filters have degrees (OGC/1.3/CRS84) only.")
    if asked.distinct is not None and asked.distinct not in (DATE, *QUERYABLES):
        known = ", ".join((DATE, *QUERYABLES))
        raise RequestError(f"distinct: there are no values of {excerpt(asked.distinct)}: known are {known}.")
    clouds = found.most_clouds
    request = SearchRequest(
        place_of(asked),
        start,
        end,
        # A little more than asked for, as a share is not exact: what is too much is left out here.
        None if clouds is None or clouds >= 100 else max(clouds + 0.01, 0) / 100,
    )
    ids = None if asked.ids is None else frozenset(asked.ids)
    return Search(
        tuple(collections.values()), request, found, ids, asked.distinct, min(asked.limit, MOST_FEATURES), asked.next
    )


def page_of(search: Search, catalogue: ItemSearch) -> Page:
    """The page that is asked for.

    :raises TooLargeError: when too many products would have to be looked at.
    """
    streams = [_of_collection(search, products, catalogue) for products in search.collections]
    items: Iterator[tuple[Any, Products]] = heapq.merge(*streams, key=lambda each: _order(each[0]), reverse=True)
    found: Iterator[Any] = items if search.distinct is None else _values(items, search.distinct)
    page = list(islice(found, search.skipped, search.skipped + search.limit + 1))
    more = len(page) > search.limit
    return Page(page[: search.limit], search.skipped + search.limit if more else None)


def item_named(name: str, products: Products, catalogue: ItemSearch) -> Any | None:
    """The item of an id; None where there is none."""
    request = SearchRequest(level=products.level)
    return next((item for item in items_named(frozenset({name}), request, catalogue)), None)


def _of_collection(search: Search, products: Products, catalogue: ItemSearch) -> Iterator[tuple[Any, Products]]:
    request = replace(search.request, level=products.level)
    if search.ids is None:
        is_all = not search.filter.comparisons and search.distinct is None
        wanted = search.skipped + search.limit + 1 if is_all else _READ_AT_ONCE
        items: Iterable[Any] = newest_first(request, catalogue, wanted)
    else:
        items = sorted(items_named(search.ids, request, catalogue), key=_order, reverse=True)
    return ((item, products) for item in items if search.filter.holds(item.properties))


def items_named(names: Collection[str], request: SearchRequest, catalogue: ItemSearch) -> list[Any]:
    """Items by their ids: where the catalogue does not know them, by the time that official names have in them, and
    those of other names among the newest.

    :raises TooLargeError: when too many products would have to be looked at.
    """
    if isinstance(catalogue, NamedSearch):
        return catalogue.named(names, request)
    found: dict[str, Any] = {}
    unknown = set(names)
    for name in sorted(names):
        time = _time_of_name(name)
        if time is None:
            continue
        unknown.discard(name)
        around = _narrowed(request, time - _AROUND_NAME, time + _AROUND_NAME)
        if around is not None:
            found |= {item.id: item for item in catalogue.find(around) if item.id in names}
    if unknown:
        found |= {item.id: item for item in newest_first(request, catalogue) if item.id in unknown}
    return list(found.values())


def _time_of_name(name: str) -> dt.datetime | None:
    """The time in an official name; None where it has none, or one at which there is no product."""
    named = _NAMED_TIME.match(name)
    if named is None:
        return None
    try:
        time = dt.datetime.strptime(named.group(1), "%Y%m%dT%H%M%S")  # noqa: DTZ007 - naive UTC
    except ValueError:
        return None
    return time if _FIRST_PRODUCT <= time <= _LAST_TIME - _AROUND_NAME else None


def newest_first(request: SearchRequest, catalogue: ItemSearch, wanted: int = _READ_AT_ONCE) -> Iterator[Any]:
    """Items of a search from the last to the first, read as they are taken.

    :param wanted: How many are about to be taken.
    :raises TooLargeError: when more are taken than are read for one answer, or too many are of one second.
    """
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    read, room = 0, min(max(wanted, _READ_FIRST), _READ_AT_ONCE)
    edges: list[dt.datetime] | None = None
    if request.area is None and isinstance(catalogue, WindowedSearch):
        # A catalogue of all the world is slow to search: products of one time lie all over its file.
        begins, undated = catalogue.windows(request, room)
        edges = None if undated else begins
    for window in _windows(request, now) if edges is None else _known_windows(request, edges):
        pending = [window]
        while pending:
            part = pending.pop()
            items = catalogue.find(replace(part, limit=room + 1))
            if len(items) > room:
                pending += _halves(part, now)
                continue
            read += len(items)
            if read > MOST_LOOKED_AT:
                raise _too_many()
            yield from reversed(items)
            if items:
                room = min(2 * room, _READ_AT_ONCE)


def _windows(request: SearchRequest, now: dt.datetime) -> Iterator[SearchRequest]:
    """Parts of the time of a search, the last first, each longer than the one after it."""
    start = request.start or _FIRST_TIME
    end = request.end or _LAST_TIME
    length = _FIRST_WINDOW_OF_ALL if request.area is None else _FIRST_WINDOW
    low = min(max(end, _FIRST_PRODUCT), now)
    while end >= start:
        low = low - length if low - length > _FIRST_PRODUCT else _FIRST_TIME
        low = max(low, start)
        yield replace(request, start=low, end=end)
        if low == _FIRST_TIME:
            return
        end = low - dt.timedelta(microseconds=1)
        length *= _GROWTH


def _known_windows(request: SearchRequest, edges: Sequence[dt.datetime]) -> Iterator[SearchRequest]:
    """Parts of the time of a search, the last first, by when each begins."""
    end = request.end or _LAST_TIME
    for edge in reversed(edges):
        yield replace(request, start=edge, end=end)
        end = edge - dt.timedelta(microseconds=1)


def _halves(request: SearchRequest, now: dt.datetime) -> list[SearchRequest]:
    """The earlier and the later half of the time of a search; of one that goes on into the future, that by itself."""
    start, end = request.start or _FIRST_TIME, request.end or _LAST_TIME
    if end - start < _SHORTEST:
        raise _too_many()
    cut = now if start < now < end else start + (end - start) / 2
    return [
        replace(request, start=start, end=cut),
        replace(request, start=cut + dt.timedelta(microseconds=1), end=end),
    ]


def _narrowed(request: SearchRequest, start: dt.datetime, end: dt.datetime) -> SearchRequest | None:
    """A search in a shorter time; None where that leaves none."""
    start, end = max(start, request.start or _FIRST_TIME), min(end, request.end or _LAST_TIME)
    return replace(request, start=start, end=end) if start <= end else None


def _values(items: Iterable[tuple[Any, Products]], name: str) -> Iterator[Any]:
    """Values of a property, each once, in the order in which they are found."""
    seen = set()
    for item, _ in items:
        value = time_of(item).date().isoformat() if name == DATE else item.properties.get(name)
        if isinstance(value, str | int | float) and value not in seen:
            seen.add(value)
            yield value


def _order(item: Any) -> tuple[dt.datetime, str]:
    return time_of(item), item.id


def _too_many() -> TooLargeError:
    return TooLargeError(
        f"The search looks at more than {MOST_LOOKED_AT:,} products: give a shorter time, a smaller area, or collect"
        " the pages of shorter times one after the other."
    )
