"""Products of one's own as a source: a folder or list of them, a catalogue, or a STAC API."""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, Self
from urllib.parse import urlsplit

import shapely
from eolearn.core import EOTask, FeatureType
from pydantic import Field, PrivateAttr
from sentinelhub.constants import CRS
from sentinelhub.geometry import Geometry
from shapely.geometry.base import BaseGeometry

from eotasks.area import Patch
from eotasks.catalogue.discovery import Found, find_products, merge_masks
from eotasks.catalogue.open import refuse_web_file
from eotasks.clouds.masks import AddSceneClassificationMaskTask
from eotasks.errors import AreaError, ConfigurationError, message_of
from eotasks.features import Feature
from eotasks.geometry.antimeridian import bounds_of
from eotasks.imagery.files.signing import modifier_of
from eotasks.imagery.mosaic import MosaicOrder
from eotasks.imagery.pixels.resampling import ResamplingName
from eotasks.models.clouds.surface import SURFACE_BANDS
from eotasks.models.sentinel2 import BANDS as L1C_BANDS
from eotasks.models.sentinel2 import NATIVE_RESOLUTION
from eotasks.series import INDICES
from eotasks.sources.frames import Candidate, candidates_of, group_frames, open_candidates
from eotasks.sources.replacement import choose_products
from eotasks.sources.scenes import FOOTPRINT_SLACK, L2A_BANDS, LoadScenesTask
from eotasks.storage.location import is_web
from eotasks.text import unknown_words
from eotasks.workflows.land_cover.sources.base import (
    BANDS,
    CLM,
    CLP,
    IS_DATA,
    TRUE_COLOR_BANDS,
    Cost,
    Origin,
    Provenance,
    Settings,
    Source,
    SourcePlan,
)
from eotasks.workflows.land_cover.sources.patches import area_patches
from eotasks.workflows.report.units import size

if TYPE_CHECKING:
    from eotasks.catalogue.api import StacApi
    from eotasks.catalogue.store import Catalogue

LOGGER = logging.getLogger(__name__)

SCL: Feature = (FeatureType.MASK, "SCL")

_CATALOGUES = (".parquet", ".geoparquet")
_PRODUCTS = (".json", ".geojson", ".zip", ".safe")
"""Endings of addresses that are products; any other one is a STAC API."""

_NAMED = 3
"""Products that a message or a row names at most."""


class ScenesSource(Source):
    """Sentinel-2 products of your own: a folder or a list of them, a catalogue, or a STAC API.

    Clouds of L1C are computed (`clouds.method = "single-scene"`) or taken from the files of `eotasks cloud-mask`
    (`"source"`: CLM, and CLP where every product has it), those of L2A are taken from its scene classification
    (`"source"`).
    """

    has_clouds: ClassVar[bool] = True

    kind: Literal["scenes"] = Field("scenes", description="Which source this is.")
    products: str | tuple[str, ...] = Field(
        description="Folder or s3:// prefix that is looked through for products (.SAFE, zip, tile of the AWS buckets),"
        " a list of products, STAC items and such folders, a catalogue (.parquet), or the address of a STAC API."
    )
    masks: str | None = Field(
        None, description="Folder or s3:// prefix of `eotasks cloud-mask` files; those beside the products count too."
    )
    collections: tuple[str, ...] | None = Field(
        None, description="Collections of a STAC API; None for the level's usual names."
    )
    sign: Literal["planetary-computer"] | None = Field(
        None, description="Who signs the addresses of STAC items before they are read; None where nobody has to."
    )
    level: Literal["L1C", "L2A"] = Field("L1C", description="Products of this level are read.")
    bands: tuple[str, ...] | None = Field(
        None, description="Bands to read, in this order; None reads those that clouds, features and pictures need."
    )
    maxcc: float = Field(1.0, ge=0, le=1, description="Greatest cloud coverage of a product, 0 to 1, by its metadata.")
    time_difference_minutes: float = Field(120, ge=0, description="Products closer than this make one frame.")
    mosaicking_order: MosaicOrder = Field("mostRecent", description="Which product is on top where several overlap.")
    resampling: ResamplingName = Field("mean", description="How bands are brought to `area.resolution`.")
    simulated: bool = Field(False, description="Whether the products hold simulated data; the report then says so.")

    _absent: frozenset[str] = PrivateAttr(frozenset())
    """What the products at hand have not of what is brought otherwise."""

    @property
    def is_simulated(self) -> bool:
        return self.simulated

    @property
    def is_downloaded(self) -> bool:
        return any("://" in location for location in self._locations)

    # What it is configured with

    def problems(self, settings: Settings) -> Iterator[str]:
        area, detector = settings.area, settings.clouds.found_by
        if not self.products:
            yield "source.products: no product is named"
        try:
            modifier_of(self.sign)
        except ConfigurationError as error:
            yield f"source.sign: {message_of(error).rstrip('.')}"
        for location in self._locations:
            try:
                refuse_web_file(location)
            except ConfigurationError as error:
                yield f"source.products: {message_of(error).rstrip('.')}"
        known = L1C_BANDS if self.level == "L1C" else L2A_BANDS
        if unknown := [band for band in self.bands or () if band not in known]:
            yield f"source.bands: {unknown_words(unknown, known)} unknown; {self.level} has {', '.join(known)}"
        missing = [band for band in detector.bands if band not in L2A_BANDS] if detector is not None else []
        if self.level == "L2A" and missing:
            yield (
                f"clouds.method: 'single-scene' needs {', '.join(missing)}, which L2A has not: use 'source', its scene"
                " classification"
            )
        if self._is_searched and area.file is None and area.bbox is None and area.patch_grid is None:
            yield "area: source 'scenes' needs file, bbox or patch_grid to search a catalogue or an API"
        if self._is_searched and self.masks is not None:
            yield ("source.masks: a catalogue names its masks itself (eotasks catalogue add --masks): leave out")
        if self.collections is not None and not self._is_api:
            yield "source.collections: belongs to a STAC API: leave it out"

    def with_paths(self, absolute: Callable[[str], str]) -> Self:
        products = self.products
        return self.model_copy(
            update={
                "products": absolute(products) if isinstance(products, str) else tuple(map(absolute, products)),
                "masks": None if self.masks is None else absolute(self.masks),
            }
        )

    # What it brings

    def band_names(self, settings: Settings) -> tuple[str, ...]:
        if self.bands is not None:
            return self.bands
        wanted = {*settings.features.bands, *TRUE_COLOR_BANDS}
        wanted.update(*(INDICES[name] for name in settings.features.indices if name in INDICES))
        if settings.clouds.found_by is not None:
            wanted.update(settings.clouds.found_by.bands)
        if (settings.valid.snow, settings.valid.water) != ("ignore", "ignore"):
            wanted.update(SURFACE_BANDS)
        return tuple(band for band in (L1C_BANDS if self.level == "L1C" else L2A_BANDS) if band in wanted)

    def brought(self, settings: Settings) -> frozenset[str]:
        if settings.clouds.method != "source":
            return frozenset()
        return frozenset({"CLM", "CLP"} if self.level == "L1C" else {"CLM", "SCL"}) - self._absent

    def without(self, absent: frozenset[str]) -> Self:
        narrowed = self.model_copy()
        narrowed._absent = absent
        return narrowed

    # Before the work

    def inputs(self) -> dict[str, str]:
        if isinstance(self.products, str):
            read = {} if self._is_api else {"source.products": self.products}
        else:
            read = {f"source.products[{index}]": each for index, each in enumerate(self.products)}
        return read if self.masks is None else read | {"source.masks": self.masks}

    def plan(self, settings: Settings) -> SourcePlan:
        """Products over the patches, found by their footprints; of a list, the metadata of every product is read.

        :raises ConfigurationError: no product of the level is there, or one that is needed has no cloud mask.
        :raises AreaError: none lies over the area.
        """
        listed = None if self._is_searched else self._listed()
        patches, outline = area_patches(settings.area, default=None if listed is None else _ground_of(listed))
        boxes = [_around(patch) for patch in patches]
        if listed is None:
            here = self._search(settings, patches)
        else:
            everywhere = shapely.union_all(boxes)
            here = [each for each in listed if _meets(each, everywhere)]
            if not here:
                raise AreaError(
                    f"None of the {len(listed)} {self.level} products of {self._where} lies over the area: the first"
                    f" covers {_degrees(listed[0].footprint)}, the area {_degrees(everywhere)}. Choose another area, or"
                    " other products."
                )
        choice = choose_products(here)
        choice.warn()
        period = [each for each in choice.products if settings.time.start <= each.time.date() <= settings.time.end]
        own_masks = settings.clouds.method == "source" and self.level == "L1C"
        absent = self._check_masks(period) if own_masks else frozenset()
        frames = group_frames(choice.products, dt.timedelta(minutes=self.time_difference_minutes))
        return SourcePlan(
            patches,
            outline,
            times=tuple(frame[0].time for frame in frames),
            cost=Cost(
                bytes=self._bytes(settings, patches, boxes, period),
                products=tuple(each.name for each in period),
                left_out=tuple(map(str, choice.replaced)),
            ),
            fingerprints={"source.products": _fingerprint(period)},
            absent=absent,
        )

    def describe(self, cost: Cost) -> dict[str, str]:
        read = f"about {size(cost.bytes)} of pixels under the patches, before compression"
        rows = {"products": f"{len(cost.products)} {self.level}: {_some(cost.products)}"}
        if cost.left_out:
            rows["left out"] = f"{len(cost.left_out)}, others show the same pixels: {_some(cost.left_out)}"
        if self.is_downloaded:
            search = "one search of the API for each patch, " if self._is_api else ""
            return rows | {"requests": f"{search}parts of the products' files", "download": read}
        return rows | {"requests": "none, nothing is downloaded", "reading": read}

    # The work

    def task(self, settings: Settings) -> EOTask:
        own = settings.clouds.method == "source"
        own_masks = own and self.level == "L1C"
        found = None if self._is_searched else self._found()
        return LoadScenesTask(
            BANDS,
            IS_DATA,
            catalogue=self._catalogue() if found is None else None,
            scenes=None if found is None else found.products,
            masks=found.masks if found is not None and own_masks else None,
            modifier=None if found is None else self.sign,
            bands=self.band_names(settings),
            resolution=settings.area.resolution,
            resampling=self.resampling,
            level=self.level,
            maxcc=self.maxcc,
            time_difference=dt.timedelta(minutes=self.time_difference_minutes),
            mosaicking_order=self.mosaicking_order,
            sun_angles_feature=None,
            clp_feature=CLP if own_masks and "CLP" not in self._absent else None,
            clm_feature=CLM if own_masks else None,
            scl_feature=SCL if own and self.level == "L2A" else None,
        )

    def arguments(self, patch: Patch, settings: Settings) -> dict[str, object]:
        return {"bbox": patch.bbox, "time_interval": (settings.time.start, settings.time.end)}

    def mask_steps(self, settings: Settings) -> list[tuple[EOTask, str]]:
        return [] if self.level == "L1C" else [(AddSceneClassificationMaskTask(SCL, CLM), "cloud mask")]

    # The report

    def note(self, settings: Settings) -> str:
        return (
            "The products hold simulated data, as the configuration says." if self.simulated else super().note(settings)
        )

    def provenance(self, settings: Settings) -> list[Provenance]:
        years = sorted({settings.time.start.year, settings.time.end.year})
        credit = f"; contains modified Copernicus Sentinel data {'-'.join(map(str, years))}"
        origin: Origin = "simulated" if self.simulated else "real"
        where = f"Sentinel-2 {self.level} products of {self._where}{'' if self.simulated else credit}"
        clouds = {"L1C": "files of eotasks cloud-mask", "L2A": "scene classification of the products"}[self.level]
        own = [Provenance("Cloud mask", origin, clouds)] if settings.clouds.method == "source" else []
        return [Provenance("Reflectance", origin, where), *own]

    @property
    def _locations(self) -> tuple[str, ...]:
        return (self.products,) if isinstance(self.products, str) else self.products

    @property
    def _where(self) -> str:
        """Where products come from, for messages; addresses without their query."""
        if len(self._locations) > 1:
            return f"a list of {len(self._locations)}"
        location = self._locations[0]
        return location.partition("?")[0] if self._is_api else location

    @property
    def _is_api(self) -> bool:
        if not isinstance(self.products, str) or not is_web(self.products):
            return False
        return not urlsplit(self.products).path.rstrip("/").lower().endswith(_PRODUCTS)

    @property
    def _is_searched(self) -> bool:
        """Whether products are found by a search, and not listed."""
        return self._is_api or (isinstance(self.products, str) and self.products.rstrip("/").endswith(_CATALOGUES))

    def _catalogue(self) -> Catalogue | StacApi:
        from eotasks.catalogue.api import StacApi
        from eotasks.catalogue.store import Catalogue

        location = self._locations[0]
        if self._is_api:
            return StacApi(location, collections=self.collections, modifier=self.sign)
        return Catalogue(location, modifier=self.sign)

    def _found(self) -> Found:
        """Products of the list, by the names of their files.

        :raises ConfigurationError: when there is none.
        """
        found = [find_products(location) for location in self._locations]
        masks = [] if self.masks is None else [find_products(self.masks)]
        products = tuple(dict.fromkeys(product for each in found for product in each.products))
        if not products:
            raise ConfigurationError(
                f"source.products: {self._where} holds no product of Sentinel-2. Name a folder of .SAFE folders, of"
                " their zips or of tiles as the AWS buckets have them, or a catalogue."
            )
        return Found(products, merge_masks([*found, *masks]))

    def _listed(self) -> list[Candidate]:
        """Products of the list that are of the level and not too cloudy."""
        found = self._found()
        candidates = open_candidates(found.products, found.masks, self.sign)
        of_level = [each for each in candidates if each.level == self.level]
        if not of_level:
            raise ConfigurationError(
                f"source.level: all {len(candidates)} products of {self._where} are {candidates[0].level}, not"
                f" {self.level}: set source.level = {candidates[0].level!r}."
            )
        clear = [each for each in of_level if each.cloud_cover is None or each.cloud_cover <= self.maxcc]
        if not clear:
            least = min(each.cloud_cover or 0 for each in of_level)
            raise ConfigurationError(
                f"source.maxcc: all {len(of_level)} {self.level} products of {self._where} are cloudier than"
                f" {self.maxcc:.0%}, the clearest {least:.0%}: raise it."
            )
        return clear

    def _search(self, settings: Settings, patches: Sequence[Patch]) -> list[Candidate]:
        catalogue, time = self._catalogue(), settings.time
        found: dict[str, Candidate] = {}
        for crs in dict.fromkeys(patch.crs for patch in patches):
            edges = [tuple(patch.bbox) for patch in patches if patch.crs == crs]
            low, high = [min(values) for values in zip(*edges, strict=True)], [max(v) for v in zip(*edges, strict=True)]
            items = catalogue.search(
                bbox=(
                    low[0] - FOOTPRINT_SLACK,
                    low[1] - FOOTPRINT_SLACK,
                    high[2] + FOOTPRINT_SLACK,
                    high[3] + FOOTPRINT_SLACK,
                ),
                crs=crs,
                time_interval=(time.start, time.end),
                max_cloud_cover=self.maxcc,
                level=self.level,
            )
            found |= {each.name: each for each in candidates_of(items)}
        if not found:
            raise AreaError(
                f"{self._where} has no {self.level} product over the area from {time.start} to {time.end} with at most"
                f" {self.maxcc:.0%} cloud: change area, time, source.level or source.maxcc."
            )
        return list(found.values())

    def _check_masks(self, products: Sequence[Candidate]) -> frozenset[str]:
        """Masks that are of use and not there of every product: CLP, which detectors without a probability lack.

        :raises ConfigurationError: a product has no CLM.
        """
        missing = [each.name for each in products if "CLM" not in each.masks]
        if missing:
            raise ConfigurationError(
                f"clouds.method 'source' needs the cloud mask CLM of every product; {len(missing)} have none, such as"
                f" {missing[0]}: make them with eotasks cloud-mask and name their folder in source.masks (of a"
                " catalogue: eotasks catalogue add --masks), or use 'single-scene'."
            )
        without = [each.name for each in products if "CLP" not in each.masks]
        if not without:
            return frozenset()
        LOGGER.info(
            "%d of %d products have a cloud mask without probabilities, such as %s: CLP is left out.",
            len(without),
            len(products),
            without[0],
        )
        return frozenset({"CLP"})

    def _bytes(
        self,
        settings: Settings,
        patches: Sequence[Patch],
        boxes: Sequence[BaseGeometry],
        products: Sequence[Candidate],
    ) -> int:
        """Bytes of the bands' own pixels under the patches."""
        per_square_metre = sum(2 / NATIVE_RESOLUTION[band] ** 2 for band in self.band_names(settings))
        area = sum(
            (patch.bbox.max_x - patch.bbox.min_x) * (patch.bbox.max_y - patch.bbox.min_y)
            for patch, box in zip(patches, boxes, strict=True)
            for product in products
            if _meets(product, box)
        )
        return round(area * per_square_metre)


def _around(patch: Patch) -> BaseGeometry:
    """A patch in degrees, widened by what footprints miss at their edges."""
    from eotasks.catalogue.request import area_of

    left, bottom, right, top = patch.bbox
    wide = (left - FOOTPRINT_SLACK, bottom - FOOTPRINT_SLACK, right + FOOTPRINT_SLACK, top + FOOTPRINT_SLACK)
    area = area_of(wide, None, patch.crs)
    assert area is not None  # a box was given
    return area


def _meets(product: Candidate, area: BaseGeometry) -> bool:
    return product.footprint is None or bool(shapely.intersects(product.footprint, area))


def _ground_of(products: Iterable[Candidate]) -> Geometry:
    return Geometry(shapely.union_all([each.footprint for each in products if each.footprint is not None]), CRS.WGS84)


def _fingerprint(products: Iterable[Candidate]) -> str:
    """Changes when products or their masks come or go."""
    lines = sorted(" ".join([each.name, each.baseline or "", *sorted(each.masks.values())]) for each in products)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _degrees(area: BaseGeometry | None) -> str:
    if area is None:
        return "an unknown place"
    west, south, east, north = bounds_of(area)
    return f"{west:.2f} to {east:.2f} degrees east, {south:.2f} to {north:.2f} degrees north"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
