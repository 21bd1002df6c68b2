"""Products as the Catalog API tells them: what they are, when and where, and nothing of where their files lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from eotasks.catalogue.fields import plain, time_of
from eotasks.catalogue.items import EXTENSIONS
from eotasks.service.catalog.collections import STAC_VERSION
from eotasks.service.contract.catalog import Fields
from eotasks.service.pixels.collections import Collection
from eotasks.text import harmless

PROPERTIES = (
    "platform", "constellation", "instruments", "gsd", "eo:cloud_cover", "proj:code", "grid:code",
    "sat:relative_orbit", "sat:orbit_state", "view:sun_azimuth", "view:sun_elevation", "s2:processing_baseline",
)  # fmt: skip
"""What is told of the properties of an item besides its time: no address is among them."""

DEFAULT_FIELDS = ("id", "type", "geometry", "bbox", "links", "assets", "properties.datetime")
"""Of a feature, where `fields` says nothing else: as documented."""

_PREFIXES = ("eo", "proj", "grid", "sat", "view", "s2")


class Links:
    """Addresses of the API, all below that by which clients know the service."""

    def __init__(self, root: str) -> None:
        """:param root: Of the API, without a slash at its end."""
        self.root = root

    def to(self, relation: str, path: str = "/", kind: str = "application/json", **more: str) -> dict[str, Any]:
        """A link as STAC has it."""
        return {"href": f"{self.root}{path}", "rel": relation, "type": kind, **more}

    def of_feature(self, collection: str, name: str) -> list[dict[str, Any]]:
        """Links of a feature."""
        home = f"/collections/{quote(collection, safe='')}"
        return [
            self.to("root"),
            self.to("self", f"{home}/items/{quote(name, safe='')}", "application/geo+json"),
            self.to("parent", home),
            self.to("collection", home),
        ]


def feature_of(item: Any, collection: Collection, links: Links) -> dict[str, Any]:
    """An item of a catalogue as a feature.

    :param item: Of pystac.
    :raises ImageryError: when it has no time.
    """
    known = {name: _told(item.properties[name]) for name in PROPERTIES if item.properties.get(name) is not None}
    properties = {"datetime": f"{time_of(item).isoformat()}Z", **known}
    prefixes = {name.partition(":")[0] for name in known}
    return {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": [EXTENSIONS[prefix] for prefix in _PREFIXES if prefix in prefixes],
        "id": item.id,
        "collection": collection.id,
        "geometry": item.geometry,
        **({"bbox": item.bbox} if item.bbox is not None else {}),
        "properties": properties,
        "assets": {},
        "links": links.of_feature(collection.id, item.id),
    }


def _told(value: Any) -> Any:
    value = plain(value)
    return harmless(value) if isinstance(value, str) else value


def chosen(feature: Mapping[str, Any], fields: Fields | None) -> dict[str, Any]:
    """What is asked of a feature, by the documented rules of `include` and `exclude`.

    Names are those of its own fields and of `properties.NAME`; what it does not have is left out.
    """
    if fields is None:
        return dict(feature)
    include: Sequence[str] = DEFAULT_FIELDS
    if fields.include:
        include = fields.include if fields.exclude else [*DEFAULT_FIELDS, *fields.include]
    excluded = frozenset(fields.exclude)
    names = [name for name in dict.fromkeys(include) if name not in excluded]
    found = {key: value for key, value in feature.items() if key in names and key != "properties"}
    whole = "properties" in names
    properties = {
        key: value
        for key, value in feature["properties"].items()
        if (whole or f"properties.{key}" in names) and f"properties.{key}" not in excluded
    }
    if "properties" not in excluded and (properties or whole):
        found["properties"] = properties
    return found
