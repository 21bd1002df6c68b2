"""Items of an archive as an exported catalogue has them."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

from eotasks.catalogue.fields import CLOUD_ASSETS, check_names, level_of, time_of
from eotasks.catalogue.items import check_addresses, extensions_of
from eotasks.catalogue.packages import package
from eotasks.errors import ConfigurationError, EOTasksError, ImageryError, reason_of
from eotasks.geometry.antimeridian import bounds_of
from eotasks.imagery import footprints
from eotasks.storage.location import is_remote
from eotasks.workflows.cloud_archive.exporting.hrefs import MaskHrefs
from eotasks.workflows.cloud_archive.item import DETECTOR_PACKAGE, SETTINGS, SOURCE, WrittenFile, files_of_item

if TYPE_CHECKING:
    import pystac

ProductAssets = Literal["addresses", "all", "none"]
"""Which assets of the products themselves an export keeps: those on servers (S3, web), those of this machine too, or
none."""

STAC_VERSION = "1.1.0"
"""Of what is written."""

JSON_TYPE = "application/json"
ITEM_TYPE = "application/geo+json"

_OF_MASKS = (SETTINGS, SOURCE, DETECTOR_PACKAGE, "processing:software")
"""Properties that say what masks are made with: those of a product's masks are those of its sibling's."""


def check_products(products: str) -> None:
    """Refuse what is no `ProductAssets`.

    :raises ConfigurationError: names those there are.
    """
    if products not in get_args(ProductAssets):
        raise ConfigurationError(f"{products!r} is none of {', '.join(get_args(ProductAssets))}: choose one of these.")


def level_of_item(item: pystac.Item) -> str:
    """The level of a product.

    :raises ImageryError: when its item says none.
    """
    level = level_of(item)
    if level is None:
        raise ImageryError(f"{item.id}: its item says neither L1C nor L2A. Repair the archive.")
    return level


def parsed_item(content: dict[str, Any], where: str) -> pystac.Item:
    """An item of an archive as pystac has it, which takes the dictionary for its own.

    :param where: For the message.
    :raises ImageryError: when it is none, or an address in it is not for others.
    """
    try:
        older = content.get("stac_version") != STAC_VERSION  # else nothing is to be migrated, which costs half the time
        item: pystac.Item = package("pystac").Item.from_dict(content, migrate=older, preserve_dict=False)
    except (EOTasksError, MemoryError):
        raise
    except Exception as error:  # pystac raises whatever it stumbles over
        raise ImageryError(f"{where}: no STAC item ({reason_of(error)}). Repair the archive.") from error
    check_names(item)
    check_addresses(item)
    time_of(item)
    return item


def with_masks_of(sibling: pystac.Item, item: pystac.Item) -> pystac.Item:
    """The item of a product of the other level, with the masks of its sibling and what they are made with.

    :param sibling: A row of the catalogue.
    :param item: The one beside the masks.
    """
    made = sibling.clone()
    for kind in CLOUD_ASSETS:
        made.assets.pop(kind, None)
        if kind in item.assets:
            made.add_asset(kind, item.assets[kind].clone())
    made.properties |= {key: item.properties[key] for key in _OF_MASKS if key in item.properties}
    return made


def shown_item(
    item: pystac.Item, path: str, home: str, hrefs: MaskHrefs, products: ProductAssets, parents: Sequence[str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """An item as the files of an export have it.

    :param item: Of an archive; it is changed.
    :param path: Of its file, in the export.
    :param home: Folder of the masks, as of `MaskHrefs`.
    :param products: Which assets of the product it keeps.
    :param parents: Files of its root, its collection and its parent, in the export.
    :return: And the absolute hrefs of its masks, by their keys.
    :raises ImageryError: when the names of its masks are not those of an archive.
    """
    files, here = files_of(item, path), path.rpartition("/")[0]
    for key in list(item.assets):
        if key not in files and (products == "none" or (products == "addresses" and not _is_address(item, key))):
            del item.assets[key]
    absolute = {}
    for key, file in files.items():
        item.assets[key].href = hrefs.of_item(file.name, home, here)
        absolute[key] = hrefs.of_table(file.name, home)
    item.stac_extensions = extensions_of(item)
    root, collection, parent = (relative_href(each, here) for each in parents)
    content: dict[str, Any] = item.to_dict(include_self_link=False, transform_hrefs=False)
    place = footprints.from_geojson(item.geometry, f"STAC item {item.id!r}")
    if place.is_empty:
        raise ImageryError(f"STAC item {item.id!r}: its place is empty. Repair the archive.")
    content["bbox"] = list(bounds_of(place))
    content["collection"] = parents[1].rpartition("/")[0]
    content["links"] = [
        {"rel": "root", "href": root, "type": JSON_TYPE},
        {"rel": "parent", "href": parent, "type": JSON_TYPE},
        {"rel": "collection", "href": collection, "type": JSON_TYPE},
    ]
    return content, absolute


def files_of(item: pystac.Item, where: str) -> dict[str, WrittenFile]:
    """Files of masks that an item of an archive names, by "CLP", "CLM" and "SHADOW".

    :param where: For the message.
    :raises ImageryError: as :func:`eotasks.workflows.cloud_archive.item.files_of_item`.
    """
    assets = {key: item.assets[key].to_dict() for key in CLOUD_ASSETS if key in item.assets}
    return files_of_item({"assets": assets}, where)


def relative_href(path: str, folder: str) -> str:
    """The href of a file of an export in a file of one of its folders."""
    href = posixpath.relpath(path, folder or ".")
    return href if href.startswith("../") else f"./{href}"


def _is_address(item: pystac.Item, key: str) -> bool:
    return is_remote(item.assets[key].href)
