"""Which band of Sentinel-2 a variable or a label is.

Known are the codes (``B02``, ``b2``, ``B02_10m``, ``B2, central wavelength 490 nm`` of GDAL), and the common names of
STAC: those of the eo extension in both of its versions, and those of Earth Search. ``band_2`` is the second band of
some file, not B02, and stays unknown.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from eotasks.errors import BandError
from eotasks.models.sentinel2 import BANDS

_CODE = re.compile(r"^B(?:and )?0?([1-9]|1[0-2]|8A)(?:[_ -]?([126]0)_?m)?$", re.IGNORECASE)

_COMMON_NAMES = {
    "coastal": "B01", "coastal_aerosol": "B01", "aerosol": "B01",
    "blue": "B02", "green": "B03", "red": "B04",
    "rededge1": "B05", "red_edge_1": "B05", "rededge071": "B05",
    "rededge2": "B06", "red_edge_2": "B06", "rededge075": "B06",
    "rededge3": "B07", "red_edge_3": "B07", "rededge078": "B07",
    "nir": "B08", "nir08": "B8A", "narrow_nir": "B8A", "nir_narrow": "B8A",
    "nir09": "B09", "water_vapor": "B09", "water_vapour": "B09", "cirrus": "B10",
    "swir16": "B11", "swir1": "B11", "swir22": "B12", "swir2": "B12",
}  # fmt: skip
_LISTED = 20


def band_of(label: object) -> tuple[str, int] | None:
    """(band, rank) that a label means, None when it means none; of several labels of a band the lowest rank is meant.

    A code alone comes first, then a code with its resolution (the finest first), then a common name.
    """
    text = str(label).partition(",")[0].strip()
    match = _CODE.match(text)
    if match:
        return f"B{match.group(1).upper():0>2}", int(match.group(2) or 0)
    band = _COMMON_NAMES.get(text.lower().replace("-", "_").replace(" ", "_"))
    return None if band is None else (band, 1000)


def bands_among(labels: Sequence[object], *, where: str) -> dict[str, int]:
    """Positions of the bands among labels.

    :raises BandError: two labels that mean one band in the same manner.
    """
    found: dict[str, tuple[int, int]] = {}
    for position, label in enumerate(labels):
        meant = band_of(label)
        if meant is None:
            continue
        band, rank = meant
        if band in found and found[band][0] == rank:
            raise BandError(
                f"{where}: both {labels[found[band][1]]!r} and {label!r} mean {band}: name the one to take,"
                f" bands={{{band!r}: ...}}."
            )
        if band not in found or rank < found[band][0]:
            found[band] = rank, position
    return {band: found[band][1] for band in BANDS if band in found}


def named_bands(bands: Mapping[str, Hashable], labels: Sequence[object], *, where: str) -> dict[str, int]:
    """Positions of the bands that the caller has named.

    :param bands: Labels by band, such as ``{"B02": "my_blue"}``.
    :raises BandError: no band of Sentinel-2, or a label that is not there.
    """
    positions = list(labels)
    chosen = {}
    for band, label in bands.items():
        if band not in BANDS:
            raise BandError(f"{where}: {band!r} is no band of Sentinel-2: give one of {', '.join(BANDS)}.")
        if label not in positions:
            raise BandError(f"{where}: there is no {label!r} for {band}, there are {listed(labels)}.")
        chosen[band] = positions.index(label)
    return {band: chosen[band] for band in BANDS if band in chosen}


def label_of(name: Hashable, attributes: Mapping[Any, Any]) -> object:
    """What tells the band of a variable: its name, else what its attributes call it."""
    for label in (name, *(attributes.get(key) for key in ("long_name", "description", "common_name"))):
        if isinstance(label, str) and band_of(label):
            return label
    return name


def listed(labels: Sequence[object]) -> str:
    """Labels as messages list them."""
    more = f" and {len(labels) - _LISTED} more" if len(labels) > _LISTED else ""
    return (", ".join(map(str, labels[:_LISTED])) or "none") + more
