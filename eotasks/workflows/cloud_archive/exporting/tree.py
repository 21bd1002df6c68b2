"""The catalogues of an export, written from the leaves to the root, so that no link leads to what is not there yet.

What an earlier export had and this one has not is removed when the catalogue above it does not name it any more. So an
export that is killed leaves what readers can follow, old or new, and the next one ends what it began.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import shapely

from eotasks.catalogue.fields import CLOUD_ASSETS
from eotasks.catalogue.items import EXTENSIONS
from eotasks.geometry.antimeridian import bounds_of, box_of, boxes_of
from eotasks.storage.place import Place
from eotasks.workflows.cloud_archive.exporting.items import ITEM_TYPE, JSON_TYPE, STAC_VERSION, relative_href
from eotasks.workflows.cloud_archive.item import SETTINGS, encode_item

CATALOG_FILE = "catalog.json"
COLLECTION_FILE = "collection.json"
TABLE_FILE = "items.parquet"
TABLE_TYPE = "application/vnd.apache.parquet"

_OF_EACH_FILE = ("href", "file:size", "file:checksum", "proj:shape", "proj:transform")
"""Fields of an asset that no two items share."""

_SUMMARISED = ("platform", "constellation", "instruments", "gsd", "processing:level")


class Writer:
    """Writes files of an export that are not there already, and removes what is of no use any more.

    :param out: The export.
    :param anew: Whether nothing of an earlier export is there.
    """

    def __init__(self, out: Place, *, anew: bool) -> None:
        self.written = self.kept = self.removed = 0
        self.kept_names: set[str] = set()
        """Of products that cannot be shown now: what an earlier export has of them stays."""

        self._out, self._anew = out, anew

    def there(self, folder: str) -> dict[str, dict[str, int]]:
        """Bytes of the files of an earlier export below a folder, by its folders and by their paths in the export."""
        found: dict[str, dict[str, int]] = {}
        if not self._anew:
            for path, size in self._out.files(folder).items():
                found.setdefault(path.partition("/")[0], {})[f"{folder}/{path}"] = size
        return found

    def has(self, path: str, content: Mapping[str, Any], there: Mapping[str, int]) -> bool:
        """Whether a file is there already, as it would be written.

        :param there: Files of an earlier export.
        """
        data = encode_item(content)
        return there.get(path) == len(data) and self._out.read_bytes(path) == data

    def put(self, path: str, content: Mapping[str, Any]) -> None:
        """Write a file of JSON."""
        self._out.write_bytes(path, encode_item(content))

    def count(self, written: int, kept: int) -> None:
        """Count items; of one thread only."""
        self.written, self.kept = self.written + written, self.kept + kept

    def remove_others(self, folder: str, keep: Iterable[str]) -> None:
        """Remove all that lies directly in a folder of an export and has none of these names."""
        if self._anew:
            return
        for name in sorted(set(self._out.names(folder)) - set(keep) - self.kept_names):
            if self._is_ours(folder, name):
                self._out.remove(f"{folder}/{name}")
                self.removed += 1

    def _is_ours(self, folder: str, name: str) -> bool:
        """Whether an export may have written it: folders, and files of its own kinds."""
        return name.endswith((".json", ".parquet")) or self._out.is_folder(f"{folder}/{name}")

    def remove_each(self, names: Iterable[str]) -> None:
        """Remove what has these names directly in the export, where it is there."""
        for name in names:
            if not self._anew and self._out.exists(name):
                self._out.remove(name)
                self.removed += 1

    def remove_files(self, paths: Sequence[str]) -> None:
        """Remove files, and folders of theirs that have nothing in them then."""
        if paths:
            self._out.remove_files(paths)
        for folder in sorted({path.rpartition("/")[0] for path in paths}):
            self._out.remove_empty(folder)


@dataclass
class Extent:
    """Where and when the items of a collection are."""

    first: str | None = None
    last: str | None = None
    boxes: list[tuple[float, float, float, float]] = field(default_factory=list)
    """Of tiles, none over the antimeridian."""

    def add(self, items: Sequence[Mapping[str, Any]]) -> None:
        """Some items of one tile."""
        times = [item["properties"]["datetime"] for item in items]
        self.first = min(times if self.first is None else [*times, self.first], key=_moment)
        self.last = max(times if self.last is None else [*times, self.last], key=_moment)
        area = shapely.union_all([box_of(*item["bbox"]) for item in items])
        self.boxes += boxes_of(area)

    def as_stac(self) -> dict[str, Any]:
        """As a collection says it."""
        bounds = bounds_of(shapely.union_all([shapely.box(*box) for box in self.boxes]))
        return {
            "spatial": {"bbox": [[float(value) for value in bounds]]},
            "temporal": {"interval": [[self.first, self.last]]},
        }


class CatalogueTree:
    """The catalogues of one collection: zone, tile, year. Groups of items come in order, and are never looked at again.

    :param name: Of its folder, and its id.
    """

    def __init__(self, writer: Writer, name: str, level: str, settings: Mapping[str, Any]) -> None:
        self.name, self.items = name, 0
        self._writer, self._level, self._settings = writer, level, settings
        self._extent = Extent()
        self._summaries: dict[str, set[Any]] = {}
        self._assets: dict[str, dict[str, Any]] = {}
        self._open: list[tuple[str, list[dict[str, str]]]] = [(name, [])]
        """Folders whose catalogues are not written yet, each inside of the one before, with links to what they hold."""

    @property
    def file(self) -> str:
        """Path of the collection."""
        return f"{self.name}/{COLLECTION_FILE}"

    @property
    def table(self) -> str:
        """Path of its table."""
        return f"{self.name}/{TABLE_FILE}"

    def begin(self, parts: Sequence[str]) -> None:
        """A group of items, by the folders of its catalogue inside of the collection."""
        wanted = f"{self.name}/{'/'.join(parts)}/"
        self._close(lambda folder: wanted.startswith(f"{folder}/"))
        for part in parts[len(self._open) - 1 :]:
            self._open.append((f"{self._open[-1][0]}/{part}", []))

    def add(self, items: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        """Items of the group that was begun, with the paths of their files."""
        folder, links = self._open[-1]
        for path, item in items:
            links.append({"rel": "item", "href": relative_href(path, folder), "type": ITEM_TYPE, "title": item["id"]})
            for key in _SUMMARISED:
                value = item["properties"].get(key)
                if value is not None:
                    self._summaries.setdefault(key, set()).update(value if isinstance(value, list) else [value])
            for key in CLOUD_ASSETS:
                if key in item["assets"] and key not in self._assets:
                    asset = item["assets"][key]
                    self._assets[key] = {name: asset[name] for name in asset if name not in _OF_EACH_FILE}
        self._extent.add([item for _, item in items])
        self.items += len(items)

    def end(self) -> None:
        """Write what is not written yet, the collection last; its table is there."""
        self._close(lambda folder: folder == self.name)
        folder, links = self._open[0]
        content = {
            "type": "Collection",
            "stac_version": STAC_VERSION,
            "stac_extensions": _extensions(self._assets, self._summaries),
            "id": self.name,
            "title": f"Cloud masks of Sentinel-2 {self._level}",
            "description": (
                f"Cloud probability (CLP), cloud mask (CLM) and, where made, cloud shadow (SHADOW) of Sentinel-2"
                f" {self._level} products, one image each on the grid of the product's tile. Made by eotasks; contains"
                " modified Copernicus Sentinel data."
            ),
            "keywords": ["sentinel-2", "cloud", "cloud mask", "cloud probability"],
            "license": "other",
            "providers": [{"name": "ESA", "roles": ["producer", "licensor"], "url": "https://sentinels.copernicus.eu"}],
            "extent": self._extent.as_stac(),
            "summaries": {key: sorted(values) for key, values in sorted(self._summaries.items())},
            "item_assets": dict(sorted(self._assets.items())),
            SETTINGS: dict(self._settings),
            "assets": {
                "items": {
                    "href": relative_href(self.table, folder),
                    "type": TABLE_TYPE,
                    "title": "All items as GeoParquet",
                    "roles": ["collection-mirror"],
                }
            },
            "links": [
                {"rel": "root", "href": relative_href(CATALOG_FILE, folder), "type": JSON_TYPE},
                {"rel": "parent", "href": relative_href(CATALOG_FILE, folder), "type": JSON_TYPE},
                {"rel": "license", "href": _LICENSE, "title": "Legal notice on the use of Copernicus Sentinel data"},
                *links,
            ],
        }
        self._writer.put(self.file, content)
        self._writer.remove_others(folder, {*_names(links), COLLECTION_FILE, TABLE_FILE})

    def _close(self, is_kept: Callable[[str], bool]) -> None:
        """Write the catalogues of groups that have ended."""
        while len(self._open) > 1 and not is_kept(self._open[-1][0]):
            folder, links = self._open.pop()
            self._write_catalog(folder, links)
            parent, siblings = self._open[-1]
            name = folder.rpartition("/")[2]
            href = relative_href(f"{folder}/{CATALOG_FILE}", parent)
            siblings.append({"rel": "child", "href": href, "type": JSON_TYPE, "title": name})
            self._writer.remove_others(folder, {*_names(links), CATALOG_FILE})

    def _write_catalog(self, folder: str, links: Sequence[Mapping[str, str]]) -> None:
        inside = folder.removeprefix(f"{self.name}/")
        above = self._open[-1][0]
        parent = self.file if above == self.name else f"{above}/{CATALOG_FILE}"
        content = {
            "type": "Catalog",
            "stac_version": STAC_VERSION,
            "id": f"{self.name}-{inside.replace('/', '-')}",
            "title": inside.replace("/", " "),
            "description": f"Cloud masks of Sentinel-2 {self._level}, {inside.replace('/', ', ')}",
            "links": [
                {"rel": "root", "href": relative_href(CATALOG_FILE, folder), "type": JSON_TYPE},
                {"rel": "parent", "href": relative_href(parent, folder), "type": JSON_TYPE},
                *links,
            ],
        }
        self._writer.put(f"{folder}/{CATALOG_FILE}", content)


def root_catalog(trees: Sequence[CatalogueTree]) -> dict[str, Any]:
    """The root of an export."""
    return {
        "type": "Catalog",
        "stac_version": STAC_VERSION,
        "id": "cloud-masks",
        "title": "Cloud masks of Sentinel-2",
        "description": "Cloud probability, cloud mask and cloud shadow of Sentinel-2 products. Made by eotasks.",
        "links": [
            {"rel": "root", "href": relative_href(CATALOG_FILE, ""), "type": JSON_TYPE},
            *({"rel": "child", "href": relative_href(tree.file, ""), "type": JSON_TYPE} for tree in trees),
        ],
    }


_LICENSE = "https://sentinels.copernicus.eu/documents/247904/690755/Sentinel_Data_Legal_Notice"


def _extensions(assets: Mapping[str, Mapping[str, Any]], summaries: Mapping[str, Any]) -> list[str]:
    names = {*summaries, *(name for asset in assets.values() for name in asset)}
    prefixes = {name.partition(":")[0] for name in names if ":" in name}
    return [identifier for prefix, identifier in EXTENSIONS.items() if prefix in prefixes]


def _names(links: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """Names of what links of a catalogue lead to, in its own folder."""
    return (link["href"].split("/")[1] for link in links)


def _moment(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)
