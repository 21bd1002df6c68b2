"""Products of a catalogue, an archive of masks, a STAC API or a folder, read where fields are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pandas as pd

from eotasks.catalogue.discovery import find_products, merge_masks
from eotasks.catalogue.open import refuse_web_file
from eotasks.catalogue.store import ARCHIVE_CATALOGUE
from eotasks.errors import ConfigurationError
from eotasks.sources.field_products import Clouds, FieldProducts
from eotasks.storage.location import is_web
from eotasks.storage.place import Place
from eotasks.zonal.polygons import Polygons
from eotasks.zonal.quantities import Quantity, quantities_of
from eotasks.zonal.table import POLYGON

_CATALOGUES = (".parquet", ".geoparquet")


class ProductSource:
    """Products of one place.

    :param place: Catalogue (.parquet), archive, address of a STAC API, folder or ``s3://bucket/prefix`` of products.
    :param masks: Folder of `eotasks cloud-mask` files, for a folder of products.
    :param time: First and last day, ISO 8601 or None.
    :param options: Of `eotasks.sources.field_products.FieldProducts`; ``clouds`` None chooses: "scl" for L2A, "stored"
        for an archive and for products with masks, else "s2cloudless".
    :raises ConfigurationError: when these do not fit.
    :raises MissingDependencyError: the catalogue's packages are not installed.
    """

    simulated = False

    def __init__(
        self,
        place: str,
        *,
        masks: str | None = None,
        time: tuple[str | None, str | None] = (None, None),
        **options: Any,
    ) -> None:
        refuse_web_file(place)
        self.place = place
        self.failed: dict[str, str] = {}
        self.time = None if time == (None, None) else time
        clouds: Clouds | None = options.pop("clouds", None)
        level = options.get("level", "L1C")
        self._where, has_masks = _where(place, masks)
        self.clouds: Clouds = clouds or ("scl" if level == "L2A" else "stored" if has_masks else "s2cloudless")
        self._options = options
        self._opened(quantities_of(["B04"]), ())  # which checks all of it
        words = {
            "s2cloudless": "Clouds are found by s2cloudless in the products; shadows are not told apart.",
            "none": "No pixel counts as cloud.",
        }
        self.notes: tuple[str, ...] = tuple(text for name, text in words.items() if name == self.clouds)

    @property
    def title(self) -> str:
        """What it is."""
        return f"products of {self.place}"

    def tables(
        self,
        polygons: Polygons,
        quantities: Sequence[Quantity],
        percentiles: Sequence[float],
        advance: Callable[[int, int], None],
    ) -> Iterator[pd.DataFrame]:
        """Tables, frame after frame; errors and warnings are those of `FieldProducts.tables`."""
        source = self._opened(quantities, percentiles)
        self.failed = {}
        yield from source.tables(
            polygons, self.time, key=POLYGON, advance=advance, fail=self.failed.__setitem__
        )  # fmt: skip

    def _opened(self, quantities: Sequence[Quantity], percentiles: Sequence[float]) -> FieldProducts:
        return FieldProducts(
            quantities, **self._where, clouds=self.clouds, percentiles=percentiles, **self._options
        )  # fmt: skip


def _where(place: str, masks: str | None) -> tuple[dict[str, Any], bool]:
    """Arguments of `FieldProducts` that say where products are, and whether they come with masks."""
    searched = is_web(place) or place.lower().endswith(_CATALOGUES)
    is_archive = not searched and Place(place).exists(ARCHIVE_CATALOGUE)
    if searched or is_archive:
        if masks is not None:
            raise ConfigurationError("--masks belongs to a folder of products: a catalogue names its masks itself.")
        return {"catalogue": f"{place.rstrip('/')}/{ARCHIVE_CATALOGUE}" if is_archive else place}, is_archive
    found = find_products(place)
    if not found.products:
        raise ConfigurationError(
            f"{place} holds no product of Sentinel-2: name a folder of .SAFE folders, of their zips or of tiles as the"
            " AWS buckets have them, a catalogue, or an archive."
        )
    files = merge_masks([found, *([] if masks is None else [find_products(masks)])])
    return {"scenes": list(found.products), "masks": files}, masks is not None
