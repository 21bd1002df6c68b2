"""What STAC items of Sentinel-2 are asked for, whoever made them."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Any

from eotasks.errors import ImageryError
from eotasks.imagery.files.origin import origin_of
from eotasks.imagery.products.metadata import datastrip_in
from eotasks.text import excerpt
from eotasks.times import naive_utc

if TYPE_CHECKING:
    import pystac

PRODUCT_ASSET = "eotasks:product"
"""Key of the asset whose href is the product itself, as `eotasks.imagery.scene.open_scene` takes it."""

CLOUD_ASSETS = ("CLP", "CLM", "SHADOW")
"""Keys of the assets that `eotasks cloud-mask` wrote; not every detector has a probability, or shadows."""

MADE_OF = "eotasks:made_of"
"""Property of a row in the catalogue of an archive: a digest of the product and the settings that its masks were made
of, by which an archive knows what is done."""

_NAMED_TILE = re.compile(r"(?:^|_)T?(\d{1,2}[C-HJ-NP-X][A-HJ-NP-Z]{2})(?:_|$)")
_NAMED_BASELINE = re.compile(r"_N(\d\d)(\d\d)_")
_NAMED_LEVEL = re.compile(r"(?:MSI|_|^)(L1C|L2A)(?:_|$)")
_PLATFORM = re.compile(r"^sentinel-?2([a-d])$", re.IGNORECASE)


def check_names(item: pystac.Item) -> None:
    """Refuse an item that is not named by texts: pystac takes any value.

    :raises ImageryError: when its id or its collection is none.
    """
    if not isinstance(item.id, str) or not isinstance(item.collection_id, str | None):
        raise ImageryError(
            f"STAC item {excerpt(item.id)} of collection {excerpt(item.collection_id)}: names are texts. Describe it"
            " again."
        )


def time_of(item: pystac.Item) -> dt.datetime:
    """When it was taken: naive UTC.

    :raises ImageryError: when it does not say.
    """
    moment = item.datetime or item.common_metadata.start_datetime
    if moment is None:
        raise ImageryError(f"STAC item {item.id!r} has no time: it cannot be searched or ordered.")
    try:
        return naive_utc(moment)
    except ValueError as error:
        raise ImageryError(f"STAC item {item.id!r}: {error}") from error


def tile_of_item(item: pystac.Item) -> str | None:
    """Its tile without the T, such as "33UUU"."""
    fields = item.properties
    code = str(fields.get("grid:code") or fields.get("s2:mgrs_tile") or "").removeprefix("MGRS-").removeprefix("T")
    if not code and fields.get("mgrs:utm_zone"):
        code = "".join(str(fields.get(f"mgrs:{part}", "")) for part in ("utm_zone", "latitude_band", "grid_square"))
    if not code:
        found = _NAMED_TILE.search(_product_name(item))
        code = found.group(1) if found else ""
    return code.zfill(5) if code else None


def level_of(item: pystac.Item) -> str | None:
    """L1C or L2A; None when neither is said."""
    fields = item.properties
    kind = str(fields.get("processing:level") or fields.get("product:type") or fields.get("s2:product_type") or "")
    for level in ("L1C", "L2A"):
        if kind.endswith(level[1:]):
            return level
    found = _NAMED_LEVEL.search(_product_name(item)) or _NAMED_LEVEL.search(
        str(item.collection_id or "").upper().replace("-", "_")
    )
    return found.group(1) if found else None


def baseline_of(item: pystac.Item) -> str | None:
    """Its processing baseline, such as "05.10"."""
    fields = item.properties
    stated = fields.get("s2:processing_baseline") or fields.get("processing:version")
    if stated:
        return str(stated)
    found = _NAMED_BASELINE.search(_product_name(item))
    return f"{found.group(1)}.{found.group(2)}" if found else None


def datastrip_of(item: pystac.Item) -> str | None:
    """Identifier of the datastrip that it is cut from; None where it does not say one."""
    return datastrip_in(item.properties)


def cloud_cover_of(item: pystac.Item) -> float | None:
    """Share of the scene under cloud, 0..1, as its metadata says; None when it does not.

    :raises ImageryError: when it is no number from 0 to 100.
    """
    percent = item.properties.get("eo:cloud_cover")
    if percent is None:
        return None
    if isinstance(percent, bool) or not isinstance(percent, int | float) or not -0.01 <= percent <= 100.01:
        raise ImageryError(
            f"STAC item {item.id!r}: eo:cloud_cover is {excerpt(percent)}, expected 0 to 100. Describe it again."
        )
    return percent / 100


def satellite_of(item: pystac.Item) -> str | None:
    """S2A, S2B or S2C."""
    found = _PLATFORM.match(str(item.properties.get("platform", "")))
    if found:
        return f"S2{found.group(1).upper()}"
    name = _product_name(item)[:3].upper()
    return name if name in ("S2A", "S2B", "S2C", "S2D") else None


def generation_of(item: pystac.Item) -> str:
    """When the product was made, as text that sorts; "" where nobody knows."""
    return str(item.properties.get("s2:generation_time") or item.properties.get("processing:datetime") or "")


def location_of(item: pystac.Item) -> str | pystac.Item:
    """What `open_scene` opens: the product that our catalogue found, else the item itself with its assets.

    The asset `eotasks:product` counts in a catalogue of ours only: an API could name any product of this machine.
    """
    asset = item.assets.get(PRODUCT_ASSET)
    return asset.href if asset is not None and origin_of(item).kind == "catalogue" else item


def _product_name(item: pystac.Item) -> str:
    return str(item.properties.get("s2:product_uri") or item.id)


def plain(value: Any) -> Any:
    """A value of a table as JSON has it: absent fields left out, and times, bytes and whatever else as text."""
    if type(value) is str:  # as most are
        return value
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items() if each is not None}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, dt.datetime):
        return f"{naive_utc(value).isoformat()}Z"
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    return value if value is None or isinstance(value, str | int | float) else str(value)
