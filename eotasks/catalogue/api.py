"""STAC APIs of others, asked through pystac-client; they give the same objects as a catalogue of ours."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

import shapely
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from eotasks.catalogue.bounded_io import bounded_io
from eotasks.catalogue.fields import check_names, cloud_cover_of, level_of, tile_of_item, time_of
from eotasks.catalogue.packages import package
from eotasks.catalogue.request import Level, SearchRequest, TimeInterval, as_geojson
from eotasks.errors import ConfigurationError, EOTasksError, ImageryError, ProductSkippedWarning, reason_of, warn_caller
from eotasks.geometry.antimeridian import bounds_of, crosses
from eotasks.geometry.degrees import WGS84
from eotasks.imagery import footprints
from eotasks.imagery.files.origin import Origin, mark
from eotasks.imagery.files.signing import Modifier, mark_signing, modifier_of, modify
from eotasks.limits import ITEM_ASSETS, SEARCH_ITEMS
from eotasks.storage.location import plain_scheme
from eotasks.text import excerpt, redacted

if TYPE_CHECKING:
    import pystac

DEFAULT_COLLECTIONS: Mapping[Level, Sequence[str]] = {"L1C": ("sentinel-2-l1c",), "L2A": ("sentinel-2-l2a",)}
"""As Earth Search, the Copernicus Data Space and the Planetary Computer name them."""

OWN_COLLECTIONS: Mapping[str, Mapping[Level, Sequence[str]]] = {
    "earth-search.aws.element84.com": {"L2A": ("sentinel-2-c1-l2a",)}
}
"""By host, where others are better: in sentinel-2-l2a of Earth Search, flags and stated offsets contradict each other
(github.com/Element84/earth-search, issues 66 and 71)."""

PAGE = 200
"""Items of one answer."""

SECONDS = 60
"""How long an API may take to send the next bytes."""

_NAMED = 5
"""Items that a warning names."""


class StacApi:
    """A STAC API, searched as :class:`eotasks.catalogue.store.Catalogue` is.

    The server is asked for area, time and collection; cloud cover, level and tile are compared here, as APIs differ in
    the filters that they know. Picklable: it is connected when it is searched.

    :param url: Root of the API, such as ``https://earth-search.aws.element84.com/v1``. No user's name in it.
    :param collections: Names of its collections; None for those of the level asked for: `DEFAULT_COLLECTIONS`, but for
        L2A of Earth Search sentinel-2-c1-l2a, as its older sentinel-2-l2a contradicts itself (`OWN_COLLECTIONS`).
    :param modifier: Changes each item that is found, in place, as `pystac_client.Client.open` takes one: mostly it
        signs addresses. A function that is given an item of pystac, or "planetary-computer". When a signature is about
        to end before a file is read, the addresses are signed anew. Signatures are kept in memory only.
    """

    packages: ClassVar[tuple[str, ...]] = ("pystac", "pystac_client")
    """Optional packages that a search needs."""

    def __init__(
        self, url: str, *, collections: Sequence[str] | None = None, modifier: Modifier | str | None = None
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError(f"{redacted(url)} is no address of a STAC API: give https://….")
        if parts.username or parts.password:
            raise ConfigurationError("The address of a STAC API has a user's name in it: credentials go elsewhere.")
        if isinstance(collections, str) or (collections is not None and not collections):
            raise ConfigurationError(f"collections={collections!r}: give a list of names, or None.")
        self.location = plain_scheme(url)
        self.collections = None if collections is None else tuple(collections)
        self.modifier = modifier_of(modifier)

    def __repr__(self) -> str:
        return f"StacApi({redacted(self.location)!r})"

    def search(
        self,
        *,
        bbox: Sequence[float] | None = None,
        intersects: BaseGeometry | Mapping[str, Any] | None = None,
        crs: str = WGS84,
        time_interval: TimeInterval | None = None,
        max_cloud_cover: float | None = None,
        level: Level | None = None,
        tile: str | None = None,
        limit: int | None = None,
    ) -> list[pystac.Item]:
        """As :meth:`eotasks.catalogue.store.Catalogue.search`, with the same rules and order.

        :raises ConfigurationError: when an argument is not usable.
        :raises GridError: when the coordinate system is not known, or the area is empty.
        :raises ImageryError: when the API cannot be reached, or answers something else: none of its items can be used.
        :raises MissingDependencyError: when pystac-client is not installed.
        :warns ProductSkippedWarning: when items are left out that say nonsense; it names them.
        """
        return self.find(
            SearchRequest.of(
                bbox=bbox,
                intersects=intersects,
                crs=crs,
                time_interval=time_interval,
                max_cloud_cover=max_cloud_cover,
                level=level,
                tile=tile,
                limit=limit,
            )
        )

    def find(self, request: SearchRequest, *, most: int | None = None) -> list[pystac.Item]:
        """As :meth:`search`, for a request that is made already.

        :param most: Different items after which no further pages are asked for: there may be more, also earlier ones.
        """
        exceptions = package("pystac_client.exceptions")
        requests = package("requests")
        where = f"The STAC API {redacted(self.location)}"
        skipped: list[str] = []
        try:
            found: dict[str, pystac.Item] = {}
            for item in self._ask(request, where, skipped):
                found[item.id] = item  # some list one twice, of two collections
                if len(found) == most:
                    break
            ordered = sorted(found.values(), key=lambda item: (time_of(item), item.id))
        except (EOTasksError, MemoryError):
            raise
        except (exceptions.APIError, requests.RequestException, NotImplementedError) as error:
            raise ImageryError(
                f"The STAC API {redacted(self.location)} failed ({_reason(error)}). Check its address and the network,"
                " then try again."
            ) from error
        except Exception as error:  # pystac and shapely raise whatever they stumble over in what a server says
            raise ImageryError(
                f"{redacted(self.location)} answers as no STAC API does ({_reason(error)}): check its address."
            ) from error
        if skipped:
            more = f" And {len(skipped) - _NAMED} more." if len(skipped) > _NAMED else ""
            warn_caller(
                f"{where}: {len(skipped)} items are left out. {' '.join(skipped[:_NAMED])}{more}",
                ProductSkippedWarning,
            )
        return ordered[: request.limit]

    def _ask(self, request: SearchRequest, where: str, skipped: list[str]) -> Iterator[pystac.Item]:
        """Items that fit; what is wrong with those that cannot be used is added to a list.

        :raises ImageryError: when there are items, and none of them can be used.
        """
        origin = Origin.of(self.location, "api")
        client = package("pystac_client").Client.open(self.location, stac_io=bounded_io(origin, where, SECONDS))
        search = client.search(
            collections=list(self._collections(request)),
            intersects=None if request.area is None else as_geojson(request.area),
            datetime=_interval(request),
            limit=PAGE,
            max_items=None,
        )
        sound = 0
        for fields in _items(search, where):
            try:
                item = self._modified(_item(fields, client))
                fits = _fits(item, _place(item), request)
            except _ModifierError as error:
                raise error.__cause__ or error from None
            except MemoryError:
                raise
            except Exception as error:  # noqa: BLE001 - pystac and shapely raise whatever they stumble over
                skipped.append(_complaint(fields, error))
                continue
            sound += 1
            if fits:
                mark(item, origin)
                yield item
        if skipped and not sound:
            raise ImageryError(f"{where}: none of its {len(skipped)} items can be used. {skipped[0]}")

    def _modified(self, item: pystac.Item) -> pystac.Item:
        """:raises _ModifierError: when the user's own function fails, which is no fault of the item."""
        if self.modifier is None:
            return item
        before = {name: asset.href for name, asset in item.assets.items()}
        try:
            changed: pystac.Item = modify(item, self.modifier, f"STAC item {excerpt(item.id)}")
        except EOTasksError as error:
            raise _ModifierError from error
        mark_signing(changed, self.modifier, before)
        return changed

    def _collections(self, request: SearchRequest) -> Sequence[str]:
        if self.collections is not None:
            return self.collections
        named = {**DEFAULT_COLLECTIONS, **OWN_COLLECTIONS.get(urlsplit(self.location).hostname or "", {})}
        if request.level is not None:
            return named[request.level]
        return [name for names in named.values() for name in names]


class _ModifierError(Exception):
    """A modifier failed: that ends a search, as it does for pystac-client."""


def _items(search: Any, where: str) -> Iterator[Any]:
    """Items of all pages as the server says them, as many as a search may find.

    :raises ImageryError: when there are more, or one of them has more assets than any.
    """
    left, seen = SEARCH_ITEMS.value, set()
    for page in search.pages_as_dicts():
        for link in (link for link in page.get("links", ()) if link["rel"] == "next"):
            following = json.dumps(link, sort_keys=True)
            if following in seen:
                raise ImageryError(f"{where}: its pages lead round in a circle. Ask who runs it.")
            seen.add(following)
        for fields in page.get("features", ()):
            left -= 1
            if left < 0:
                raise ImageryError(f"{where}: {SEARCH_ITEMS.excess()}. Search a smaller area or a shorter time.")
            assets = fields.get("assets") if isinstance(fields, dict) else None
            if isinstance(assets, dict | list) and len(assets) > ITEM_ASSETS.value:
                raise ImageryError(f"{where}: an item with {ITEM_ASSETS.excess(len(assets))}. It is not read.")
            yield fields


def _item(fields: Any, client: Any) -> pystac.Item:
    item: pystac.Item = package("pystac").Item.from_dict(fields, root=client, preserve_dict=False)
    check_names(item)
    return item


def _place(item: pystac.Item) -> BaseGeometry | None:
    """Its footprint. An item that writes what crosses the antimeridian in another way gets our form, and its box."""
    if item.geometry is None:
        return None
    place = footprints.from_geojson(item.geometry, f"STAC item {item.id!r}")
    if crosses(place) or not place.equals_exact(shape(item.geometry), tolerance=0):
        item.geometry, item.bbox = as_geojson(place), list(bounds_of(place))
    return place


def _complaint(fields: Any, error: Exception) -> str:
    """What is wrong with an item, in a sentence that names it."""
    if isinstance(error, ImageryError):
        return str(error)
    name = excerpt(fields.get("id") if isinstance(fields, dict) else fields)
    return f"STAC item {name} is none ({reason_of(error)})."


def _fits(item: pystac.Item, footprint: BaseGeometry | None, request: SearchRequest) -> bool:
    """The rules of a catalogue of ours, for an item that a server chose."""
    cover = cloud_cover_of(item)
    if request.max_cloud_cover is not None and cover is not None and cover > request.max_cloud_cover:
        return False
    if request.level is not None and level_of(item) not in (request.level, None):
        return False
    if request.tile is not None and tile_of_item(item) != request.tile:
        return False
    moment = time_of(item)
    if (request.start and moment < request.start) or (request.end and moment > request.end):
        return False
    if request.area is None or footprint is None:
        return request.area is None
    return bool(shapely.intersects(request.area, footprint))


def _interval(request: SearchRequest) -> str | None:
    if request.start is None and request.end is None:
        return None
    return "/".join(".." if moment is None else f"{moment.isoformat()}Z" for moment in (request.start, request.end))


def _reason(error: Exception) -> str:
    status = getattr(error, "status_code", None)
    return reason_of(error) if status is None else f"HTTP {status}"
