"""The STAC item beside a product's masks: the product's own item with CLP, CLM and SHADOW among its assets.

Written last, so that masks without it are not there; it holds sizes and checksums of their files, what they were made
with and of what. Links to the masks are relative: an archive may be moved and copied. Beside the extensions of a
product's item it has those of classes (classification), of checksums (file, a multihash of SHA-256) and of software
(processing); all of our own is below ``eotasks:``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from eotasks.catalogue.fields import CLOUD_ASSETS, PRODUCT_ASSET
from eotasks.catalogue.items import add_masks, check_addresses, extensions_of, item_of
from eotasks.catalogue.packages import package
from eotasks.documents import parse_json_object
from eotasks.errors import EOTasksError, ImageryError, reason_of
from eotasks.imagery.files.assets import AssetFiles
from eotasks.imagery.scene import Scene
from eotasks.models.classes import ClassTable
from eotasks.models.clouds.postprocess import NO_DATA
from eotasks.workflows.product_masks.images import SHADOW_CLASSES, clm_classes
from eotasks.workflows.product_masks.options import CloudMaskOptions
from eotasks.workflows.product_masks.product import ProductMasks

if TYPE_CHECKING:
    import pystac

SOURCE = "eotasks:source"
INPUTS = "eotasks:inputs"
SETTINGS = "eotasks:settings"
DETECTOR_PACKAGE = "eotasks:detector_package"

_SHA256 = "1220"
"""Of a multihash: SHA-256, 32 bytes."""

_DIGITS = 16


@dataclass(frozen=True)
class WrittenFile:
    """A file of masks as it lies in an archive."""

    name: str
    size: int
    checksum: str
    """Multihash of its SHA-256, in hexadecimal digits."""


@dataclass(frozen=True)
class SourceFacts:
    """What masks are made of."""

    identity: str
    """A digest of what the product says it is: the same wherever it lies, another one when it was processed anew."""

    inputs: str | None
    """A digest of names and sizes of its files, which a copy has too; None where it is known by its item alone."""

    @classmethod
    def of(cls, scene: Scene) -> SourceFacts:
        """Of a scene: nothing of its pixels is read.

        :raises ImageryError: when a file of it is not there.
        """
        facts = scene.acquisition
        moment = facts.generation_time
        identity = [
            scene.name, facts.satellite, facts.tile, facts.level, facts.time.isoformat(), facts.processing_baseline,
            facts.datastrip, None if moment is None else moment.isoformat(), float(facts.quantification),
            {band: float(facts.offset_of(band)) for band in scene.bands},
        ]  # fmt: skip
        scattered = isinstance(scene.product.files, AssetFiles)  # to ask each server for each asset costs requests
        inputs = None if scattered else digest({name: size for name, (size, _) in scene.fingerprints().items()})
        return cls(digest(identity), inputs)

    def fits(self, properties: Mapping[str, Any]) -> bool:
        """Whether masks with these properties of their item are of this source."""
        before = properties.get(INPUTS)
        same_inputs = self.inputs is None or before is None or before == self.inputs
        return properties.get(SOURCE) == self.identity and same_inputs


def digest(content: object) -> str:
    """16 hexadecimal digits of anything that JSON can say."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:_DIGITS]


def checksum_of(sha256: str) -> str:
    """The multihash of a SHA-256 in hexadecimal digits."""
    return f"{_SHA256}{sha256}"


def make_item(
    scene: Scene,
    masks: ProductMasks,
    options: CloudMaskOptions,
    source: SourceFacts,
    files: Mapping[str, WrittenFile],
) -> dict[str, Any]:
    """The item of a product and its masks.

    :param files: Of CLP, CLM and SHADOW, by these names.
    :raises ImageryError: when an address of the product may not be kept, as one with a signature.
    :raises MissingDependencyError: when pystac is not installed.
    """
    item = item_of(scene)
    if isinstance(scene.product.files, AssetFiles):  # an item has no place that could be opened as a product
        del item.assets[PRODUCT_ASSET]
    add_masks(item, {kind: f"./{file.name}" for kind, file in files.items()})
    classes = {"CLM": clm_classes(options), "SHADOW": SHADOW_CLASSES}
    for kind, file in files.items():
        fields = item.assets[kind].extra_fields
        fields["gsd"] = float(masks.grid.resolution)
        fields["proj:shape"] = list(masks.grid.shape)
        fields["proj:transform"] = list(masks.grid.transform)[:6]
        fields["file:size"], fields["file:checksum"] = file.size, file.checksum
        if kind in classes:
            fields["classification:classes"] = classes_of(classes[kind])
    item.properties["processing:software"] = {"eotasks": version("eotasks")}
    item.properties[SETTINGS] = json.loads(json.dumps(options.to_dict()))
    if options.detector_package() is not None:
        item.properties[DETECTOR_PACKAGE] = options.detector_package()
    item.properties[SOURCE] = source.identity
    if source.inputs is not None:
        item.properties[INPUTS] = source.inputs
    item.stac_extensions = extensions_of(item)
    check_addresses(item)
    made: dict[str, Any] = item.to_dict(include_self_link=False, transform_hrefs=False)
    return made


def classes_of(classes: ClassTable) -> list[dict[str, Any]]:
    """Classes as the extension has them, no data among them."""
    found: list[dict[str, Any]] = [
        {
            "value": each.id,
            "name": each.name.lower().replace(" ", "_"),
            "description": each.name,
            "color_hint": each.color.removeprefix("#").upper(),
        }
        for each in classes
    ]
    return [*found, {"value": NO_DATA, "name": "no_data", "description": "No data", "nodata": True}]


def encode_item(item: Mapping[str, Any]) -> bytes:
    """An item as the bytes of its file."""
    return (json.dumps(item, indent=1, allow_nan=False) + "\n").encode()


def parse_item(data: bytes, where: str) -> dict[str, Any]:
    """An item that :func:`encode_item` wrote.

    :param where: For the message.
    :raises ImageryError: when it is none.
    """
    item = parse_json_object(data, lambda reason: ImageryError(f"{where}: {reason}. Repair the archive."))
    assets, properties = item.get("assets"), item.get("properties")
    if not isinstance(assets, dict) or not isinstance(properties, dict) or not isinstance(item.get("id"), str):
        raise ImageryError(f"{where}: no STAC item of masks. Repair the archive.")
    return item


def settings_of_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """What the masks of an item were made with, as `ArchiveSettings.compared` has it; whatever the item says."""
    properties = item["properties"]
    settings = properties.get(SETTINGS)
    return {**(settings if isinstance(settings, dict) else {}), "detector_package": properties.get(DETECTOR_PACKAGE)}


def files_of_item(item: Mapping[str, Any], where: str) -> dict[str, WrittenFile]:
    """Files of masks that an item of an archive names, by "CLP", "CLM" and "SHADOW".

    :raises ImageryError: when it names none as ours do: a file beside it, with its size and checksum.
    """
    found = {}
    for kind in CLOUD_ASSETS:
        asset = item["assets"].get(kind)
        if asset is None:
            continue
        fields = asset if isinstance(asset, Mapping) else {}
        href, size, checksum = (fields.get(key) for key in ("href", "file:size", "file:checksum"))
        if not isinstance(href, str) or not isinstance(size, int) or not isinstance(checksum, str):
            raise ImageryError(f"{where}: asset {kind} has no file, size or checksum. Repair the archive.")
        if not href.startswith("./") or "/" in href[2:] or href[2:] in ("", ".", ".."):
            raise ImageryError(f"{where}: asset {kind} lies elsewhere ({href[:100]!r}). Repair the archive.")
        found[kind] = WrittenFile(href[2:], size, checksum)
    if "CLM" not in found:
        raise ImageryError(f"{where}: has no CLM. Repair the archive.")
    return found


def as_row(item: Mapping[str, Any], folder: str, where: str) -> pystac.Item:
    """An item of an archive as a row of its catalogue: with full locations, without what that has no column for.

    :param folder: Location of the folder that the item lies in.
    :param where: For the message.
    :raises ImageryError: when it is no item.
    """
    from eotasks.catalogue.table import schema

    names = frozenset(schema().names)
    content = {**item, "properties": {key: value for key, value in item["properties"].items() if key in names}}
    files = files_of_item(item, where)
    try:
        row: pystac.Item = package("pystac").Item.from_dict(content, preserve_dict=True)
    except (EOTasksError, MemoryError):
        raise
    except Exception as error:  # pystac raises whatever it stumbles over
        raise ImageryError(f"{where}: no STAC item ({reason_of(error)}). Repair the archive.") from error
    add_row_masks(row, {kind: f"{folder}/{file.name}" for kind, file in files.items()})
    row.stac_extensions = extensions_of(row)
    return row


def add_row_masks(row: pystac.Item, masks: Mapping[str, str], remove: Sequence[str] = CLOUD_ASSETS) -> None:
    """Name the files of masks in a row of a catalogue, and no others.

    :param masks: Full locations by "CLP", "CLM" and "SHADOW".
    """
    for kind in remove:
        row.assets.pop(kind, None)
    add_masks(row, masks)
