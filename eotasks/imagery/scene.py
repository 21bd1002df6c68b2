"""Scenes: the pixels of an acquisition on any grid, whatever the layout of its product and the place where it lies."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
from numpy.typing import NDArray
from rasterio.features import rasterize
from rasterio.warp import transform_geom
from shapely.geometry import mapping

from eotasks.errors import WARNING_FILTERS, EOTasksError, ImageryError, OffsetWarning, message_of, warn_caller
from eotasks.imagery.grid import Grid, parse_crs
from eotasks.imagery.pixels.kept import KeptPixels
from eotasks.imagery.pixels.offset_signs import FEWEST, MOST_DARK, MOST_IMPOSSIBLE, impossible, left_in
from eotasks.imagery.pixels.raster import MASK_TYPES, RasterInfo, describe, read_window
from eotasks.imagery.pixels.resampling import ResamplingName, check_resampling, resample
from eotasks.imagery.pixels.threads import in_threads
from eotasks.imagery.pixels.window import Sampling, Window
from eotasks.imagery.products.acquisition import SIDECAR_NAME, Acquisition
from eotasks.imagery.products.offsets import says_offset
from eotasks.imagery.products.open import ProductLocation, describe_product
from eotasks.models.sentinel2 import BANDS, NO_DATA_DN, QUANTIFICATION, SceneClass, band_indices
from eotasks.models.threads import resolve_threads
from eotasks.text import redacted

if TYPE_CHECKING:
    from eotasks.imagery.files.origin import Origin
    from eotasks.imagery.files.protocol import Fingerprint, RasterFile
    from eotasks.imagery.files.signing import Modifier
    from eotasks.imagery.pixels.blocks import DecodedBlocks
    from eotasks.imagery.pixels.seen import SeenGround
    from eotasks.imagery.products.angles import AngleGrids
    from eotasks.imagery.products.product import MaskPolygons, MaskSource, Product

LOGGER = logging.getLogger(__name__)

CLEAR, CLOUD, UNKNOWN = 0, 1, 255
"""Of :meth:`Scene.product_cloud_mask`."""

_OFFSET_CURE = "Compare them with those of another archive, and correct the metadata or read the product there."

_BROUGHT_ROWS = 128
"""Rows of a band that become digital numbers at a time, which takes several times as much memory as they do."""

_PREVIEWED = 0.8
"""Decoded pixels along a side of a pixel of a picture, at least."""

_KEEPING = Lock()
"""While blocks of `Scene.keeping` are counted; of all scenes, since one of its own could not be pickled."""

CLOUD_POLYGONS = ("OPAQUE", "CIRRUS")
CLOUD_LAYERS = 2
"""Of an image of the product's mask: opaque and cirrus are the first, snow is the third."""


class Scene:
    """The pixels of one product. None is read before it is asked for, and then only those under the grid.

    Cheap to make and to pickle as far as its product is. May be used by several threads.

    :param product: What :func:`eotasks.imagery.products.open.describe_product` finds.
    """

    def __init__(self, product: Product) -> None:
        self.product = product
        self._infos: dict[str, RasterInfo] = {}
        self._kept: KeptPixels | None = None
        self._keeping = 0
        """Blocks of `keeping` that have not ended."""

        self._is_compared = False
        """Whether a warning has been given that the offset does not fit the pixels."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.location!r})"

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Decodes no small file without levels twice in a block. The values do not depend on it.

        Of several blocks at a time, in one another or in threads, each has what all of them keep, to the end of the
        last.
        """
        with _KEEPING:
            self._keeping += 1
            if self._kept is None:
                self._kept = KeptPixels()
        try:
            yield
        finally:
            with _KEEPING:
                self._keeping -= 1
                if not self._keeping:
                    self._kept = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": None, "_keeping": 0}  # in another process it is in no block

    @property
    def name(self) -> str:
        """The product's own name, without .SAFE and .zip."""
        return self.product.name

    @property
    def location(self) -> str:
        """Where it lies, for messages."""
        return self.product.files.location

    @property
    def acquisition(self) -> Acquisition:
        """Where, when and by what it was taken."""
        return self.product.acquisition

    @property
    def bands(self) -> tuple[str, ...]:
        """The bands there are, in the order of eotasks.models.sentinel2.BANDS."""
        return tuple(band for band in BANDS if band in self.product.bands)

    def grid_of(self, band: str) -> Grid:
        """The grid on which a band is stored.

        :raises BandError: when the scene has no such band.
        :raises ImageryError: when its file cannot be opened.
        """
        return self._info(band).grid

    @cached_property
    def crs(self) -> str:
        """Coordinate system of the scene, such as ``"EPSG:32633"``."""
        return self.grid_of(self.bands[0]).crs

    def read(
        self,
        bands: Sequence[str],
        grid: Grid,
        *,
        resampling: ResamplingName = "mean",
        threads: int | None = None,
    ) -> NDArray[np.uint16]:
        """Digital numbers of some bands on a grid.

        Pixels go where their coordinates say, also when the bands' own grids have different origins. What holds no
        data in the scene takes no part in means and interpolation: what no detector of the band saw, and what is 0 in
        a band with an offset (from baseline 04.00 on), or in all bands where there is none. A pixel has all its bands
        or none. Saturated pixels are data.

        :param bands: Names, such as ``["B04", "B08"]``.
        :param grid: Any grid; another CRS than the scene's is warped.
        :param resampling: "mean" (weighted by area), "nearest", "bilinear", "cubic", or "fast": the area mean of a
            lower resolution level where the grid is coarse, a fraction of the work (eotasks.imagery.pixels.reduction
            tells how near it comes).
        :param threads: Files that are decoded at a time; None for the setting. The values do not depend on it.
        :return: uint16 (h, w, bands): reflectance * 10000, the baseline's offset removed, 0 outside the scene and where
            it holds no data.
        :raises BandError: when the scene lacks a band.
        :raises ImageryError: when a file is damaged.
        :warns OffsetWarning: when the offset that the metadata says takes over 5 % of a band's pixels below 0; or when
            numbers of L2A have none by their metadata, and no vegetation is dark.
        """
        return self.read_masked(bands, grid, resampling=resampling, threads=threads)[0]

    def is_data(
        self,
        grid: Grid,
        *,
        resampling: ResamplingName = "mean",
        bands: Sequence[str] | None = None,
        threads: int | None = None,
    ) -> NDArray[np.bool_]:
        """Where the scene holds data on a grid.

        Files are decoded for it: :meth:`read_masked` gives both at once.

        :param grid: Any grid; another CRS than the scene's is warped.
        :param resampling: As for :meth:`read`: it says which pixels contribute.
        :param bands: The bands that have to hold data; None for all.
        :param threads: As for :meth:`read`.
        :return: bool (h, w).
        :raises ConfigurationError: for an unknown method.
        :raises ImageryError: when a file is damaged.
        """
        wanted = self.bands if bands is None else bands
        return self.read_masked(wanted, grid, resampling=resampling, threads=threads)[1]

    def read_masked(
        self,
        bands: Sequence[str],
        grid: Grid,
        *,
        resampling: ResamplingName = "mean",
        threads: int | None = None,
    ) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
        """Digital numbers as :meth:`read` gives them, and where they are data.

        :return: uint16 (h, w, bands), and bool (h, w): where every one of these bands has a value, be it 0.
        :raises BandError: when the scene lacks a band.
        :raises ConfigurationError: for an unknown method.
        :raises ImageryError: when a file is damaged.
        """
        check_resampling(resampling)
        return self._read(bands, grid, Sampling(resampling), resolve_threads(threads))

    def preview(
        self, bands: Sequence[str], grid: Grid, *, threads: int | None = None
    ) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
        """As :meth:`read_masked`, for a picture: decodes about as many pixels as the grid has.

        :raises BandError: when the scene lacks a band.
        :raises ImageryError: when a file is damaged.
        """
        return self._read(bands, grid, Sampling("fast", pixels_per_target=_PREVIEWED), resolve_threads(threads))

    def decoded_size(self, band: str, grid: Grid, *, resampling: ResamplingName) -> float:
        """Side of the pixels that :meth:`read` decodes of a band for a grid, in units of the scene's CRS.

        :raises BandError: when the scene has no such band.
        :raises ImageryError: when its file cannot be opened.
        """
        return Sampling(resampling).level(self._info(band), grid).size

    def info(self, band: str) -> RasterInfo:
        """Grid and levels of the file of a band.

        :raises BandError: when the scene has no such band.
        :raises ImageryError: when its file cannot be opened.
        """
        return self._info(band)

    def window(
        self,
        grid: Grid,
        sampling: Sampling,
        *,
        threads: int | None = None,
        by_band: Mapping[str, Sampling] | None = None,
        seen: SeenGround | None = None,
        blocks: DecodedBlocks | None = None,
    ) -> Window:
        """The part of the product under a grid, for who wants its pixels as they are stored.

        :param by_band: Samplings of bands that have another one.
        :param seen: As of `Window`.
        :param blocks: As of `Window`.
        """
        workers = resolve_threads(threads)
        return Window(self.product, self._infos, grid, sampling, workers, self._kept, by_band, seen, blocks)

    def _read(
        self, bands: Sequence[str], grid: Grid, sampling: Sampling, workers: int
    ) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
        band_indices(bands, self.bands, where=self.location)
        window = self.window(grid, sampling, threads=workers)
        dn, is_data = np.zeros((*grid.shape, len(bands)), dtype=np.uint16), np.ones(grid.shape, dtype=bool)
        unique = list(dict.fromkeys(bands))
        counts: dict[str, tuple[int, int]] = {}
        in_turns = Lock()

        def bring(band: str, valid: NDArray[np.bool_] | None) -> None:
            values = window.resampled(band, valid)
            window.forget(band)
            count = low = 0
            for rows in (slice(start, start + _BROUGHT_ROWS) for start in range(0, grid.height, _BROUGHT_ROWS)):
                known, numbers = np.isfinite(values[rows]), self._as_dn(values[rows], band)
                stored = np.clip(np.where(known, numbers, NO_DATA_DN), 0, np.iinfo(np.uint16).max)
                for index in (index for index, name in enumerate(bands) if name == band):
                    dn[rows, :, index] = stored.astype(np.uint16)
                with in_turns:
                    is_data[rows] &= known
                count, low = count + int(known.sum()), low + self._impossible(numbers, band)
            counts[band] = count, low

        def bring_full(band: str) -> None:
            """One that needs no others is on the grid, and its pixels are gone, before the next one is decoded."""
            if window.is_full(band):
                bring(band, window.valid([band])[band])

        window.decode(unique, bring_full)
        if not bands or any(window.pixels(band) is None for band in unique):
            return np.zeros_like(dn), np.zeros(grid.shape, dtype=bool)
        rest = [band for band in unique if band not in counts]
        valid = window.valid(rest)
        in_threads(lambda band: bring(band, valid.pop(band)), rest, workers)
        dn[~is_data] = NO_DATA_DN
        self._compare_offset({band: counts[band] for band in unique})
        self._compare_removed_offset(dn, is_data, bands, grid)
        return dn, is_data

    def scene_classification(self, grid: Grid) -> NDArray[np.uint8]:
        """Classes of the L2A product (SCL, eotasks.models.sentinel2.SceneClass), each pixel that at the centre of the
        grid's.

        :return: uint8 (h, w), 0 (no data) outside.
        :raises ImageryError: when the product has none, as L1C has, or its file is damaged.
        """
        raster = self.product.classification
        if raster is None:
            raise ImageryError(f"{self.location}: has no scene classification (SCL), only L2A products do.")
        classes = self._nearest_layers(raster, grid)
        return np.where(np.isfinite(classes[0]), classes[0], SceneClass.NO_DATA).astype(np.uint8)

    def product_cloud_mask(self, grid: Grid) -> NDArray[np.uint8]:
        """The product's own cloud mask, opaque and cirrus, at the centres of the grid's pixels.

        :return: uint8 (h, w): 0 clear, 1 cloud, 255 no data.
        :raises ImageryError: when the product has none, or its file is damaged.
        """
        source = self.product.cloud_mask
        if source is None:
            raise ImageryError(f"{self.location}: has no cloud mask of its own. Compute one, or leave it out.")
        if callable(source):
            cloud = _burn(source(), grid)
            known: NDArray[np.bool_] = np.ones(grid.shape, dtype=bool)
        else:
            layers = self._nearest_layers(source, grid)[:CLOUD_LAYERS]
            known = np.asarray(np.isfinite(layers).all(axis=0))
            cloud = np.asarray(np.nan_to_num(layers).any(axis=0))
        coarsest = max(self.bands, key=lambda band: self._info(band).full.size)
        known &= self.is_data(grid, resampling="nearest", bands=[coarsest])
        return np.where(known, np.where(cloud, CLOUD, CLEAR), UNKNOWN).astype(np.uint8)

    def sun_angles(self, grid: Grid, *, nearest: bool = False) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Zenith and azimuth (clockwise from north) of the sun over a grid.

        :param nearest: Those of the nearest node of the tile's angle grid; else they are interpolated.
        :return: Two float32 (h, w) in degrees; from the tile's angle grid, or the scene's one value where it has none.
        :raises ImageryError: when the product says nothing of the sun.
        """
        if self._angles is not None:
            return self._angles.sun(grid, nearest=nearest)
        zenith, azimuth = self.acquisition.sun_zenith, self.acquisition.sun_azimuth
        if zenith is None or azimuth is None:
            raise ImageryError(f"{self.location}: does not say where the sun stood: add sun_zenith and sun_azimuth.")
        return np.full(grid.shape, zenith, dtype=np.float32), np.full(grid.shape, azimuth, dtype=np.float32)

    def view_angles(
        self, grid: Grid, band: str | None = None, *, nearest: bool = False
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Zenith and azimuth (clockwise from north) of the satellite over a grid.

        :param band: A band, or None for the mean of all.
        :param nearest: As of :meth:`sun_angles`.
        :return: Two float32 (h, w) in degrees, NaN where no detector looked.
        :raises ImageryError: when the product has no angle grids.
        """
        if self._angles is None:
            raise ImageryError(f"{self.location}: has no angle grids. Products with the metadata of their tile do.")
        return self._angles.view(grid, band, nearest=nearest)

    def fingerprints(self) -> dict[str, Fingerprint]:
        """Size and time of change of the files that the scene is read from, as make looks at them."""
        product = self.product
        rasters = [*product.bands.values(), *(mask for mask in product.footprints.values() if not callable(mask))]
        rasters += [mask for mask in (product.classification, product.cloud_mask) if _is_raster(mask)]
        names = {raster.name for raster in rasters}
        names |= {name for name in product.files.names() if name.rpartition("/")[2].lower() in _METADATA}
        return {name: product.files.fingerprint(name) for name in sorted(names)}

    @cached_property
    def _angles(self) -> AngleGrids | None:
        return None if self.product.angles is None else self.product.angles()

    def _info(self, band: str) -> RasterInfo:
        band_indices([band], self.bands, where=self.location)
        if band not in self._infos:
            self._infos.setdefault(band, describe(self.product.files, self.product.bands[band]))
        return self._infos[band]

    def _as_dn(self, values: NDArray[np.float32], band: str) -> NDArray[np.float32]:
        """Reflectance * 10000 of stored numbers; NaN stays NaN."""
        numbers: NDArray[np.float32] = np.rint(values) + np.float32(self.acquisition.offset_of(band))
        if self.acquisition.quantification != QUANTIFICATION:
            numbers = np.rint(numbers * np.float32(QUANTIFICATION / self.acquisition.quantification))
        return numbers

    def _impossible(self, numbers: NDArray[np.float32], band: str) -> int:
        """Pixels that an offset has brought to where no noise reaches."""
        if self._is_compared or not self.acquisition.offset_of(band):
            return 0
        return impossible(numbers, band, is_l2a=self.acquisition.level == "L2A")

    def _compare_offset(self, counts: Mapping[str, tuple[int, int]]) -> None:
        """Warn, once, when an offset does not fit the pixels.

        :param counts: By band: pixels with data, and those of them that are impossible.
        """
        shares = {band: low / known for band, (known, low) in counts.items() if known >= FEWEST}
        band = max(shares, key=lambda each: shares[each], default=None)
        if band is None or shares[band] <= MOST_IMPOSSIBLE:
            return
        self._is_compared = True
        warn_caller(
            f"{self.location}: the offset of {self.acquisition.offset_of(band)} that its metadata says takes"
            f" {shares[band]:.0%} of the pixels of {band} below 0: it seems to have been removed from the numbers"
            f" before. {_OFFSET_CURE}",
            OffsetWarning,
        )

    def _compare_removed_offset(
        self, dn: NDArray[np.uint16], is_data: NDArray[np.bool_], bands: Sequence[str], grid: Grid
    ) -> None:
        """Warn, once, when an offset that is said to be gone from the numbers of L2A shows in its pixels."""
        taken = self.acquisition
        if self._is_compared or self.product.classification is None or taken.level != "L2A":
            return  # of L1C the cirrus band shows it to the detectors of clouds
        if says_offset("L2A", taken.processing_baseline) is False or any(map(taken.offset_of, bands)):
            return
        try:
            pixels, dark = left_in(dn, is_data, bands, grid, self.scene_classification)
        except EOTasksError as error:  # the bands are there, and were not asked for with their classes
            LOGGER.info("%s: nothing tells whether an offset was left in: %s", self.location, message_of(error))
            return
        if not pixels or dark > MOST_DARK:
            return
        self._is_compared = True
        warn_caller(
            f"{self.location}: its metadata says that its numbers have no offset, and {dark:.1%} of the vegetation of"
            " its scene classification is as dark in blue and red as vegetation is: the 1000 of processing baseline"
            f" 04.00 seem to have been left in. {_OFFSET_CURE}",
            OffsetWarning,
        )

    def _nearest_layers(self, raster: RasterFile, grid: Grid) -> NDArray[np.float32]:
        """All layers of a mask at the centres of a grid's pixels, NaN outside: (layers, h, w)."""
        files = self.product.files
        info = describe(files, raster, MASK_TYPES)
        pixels = read_window(files, raster, info, info.full, grid, margin=2, layers=True)
        if pixels is None:
            return np.full((info.layers, *grid.shape), np.nan, dtype=np.float32)
        layers = [resample(layer, pixels.transform, pixels.crs, grid, method="nearest") for layer in pixels.values]
        return np.stack(layers)


_METADATA = frozenset(
    {
        "mtd_msil1c.xml", "mtd_msil2a.xml", "mtd_tl.xml", "metadata.xml", "tileinfo.json", "productinfo.json",
        SIDECAR_NAME,
    }
)  # fmt: skip


def _is_raster(source: MaskSource | None) -> TypeGuard[RasterFile]:
    return source is not None and not callable(source)


def _burn(mask: MaskPolygons, grid: Grid) -> NDArray[np.bool_]:
    """Pixels whose centres lie in a cloud polygon."""
    areas = [area for kind, area in mask.areas if kind in CLOUD_POLYGONS and not area.is_empty]
    shapes: list[Any] = areas
    if parse_crs(mask.crs) != parse_crs(grid.crs):
        shapes = [transform_geom(mask.crs, grid.crs, mapping(area)) for area in areas]
    if not shapes:
        return np.zeros(grid.shape, dtype=bool)
    with WARNING_FILTERS:
        burnt: NDArray[np.uint8] = rasterize(shapes, out_shape=grid.shape, transform=grid.transform, dtype=np.uint8)
    return burnt.astype(bool)


def open_scene(
    location: ProductLocation, *, origin: Origin | None = None, modifier: Modifier | str | None = None
) -> Scene:
    """Open a scene, whatever its layout and wherever it lies.

    :param location: What :func:`eotasks.imagery.products.open.describe_product` reads: a `.SAFE` folder, the zip of
        one, a tile of the AWS buckets, a folder of JP2 files with an ``acquisition.json``, a STAC item; on disk,
        ``s3://`` or ``https://``.
    :param origin: Where an item in memory was got from, such as ``Origin.of("items/a.json")``: without it the item
        names no files of this machine. Not needed for locations, nor for items that a search of ours found.
    :param modifier: Signs the addresses of a STAC item before they are read: a function as `pystac_client` takes it, or
        "planetary-computer". Asked again when signatures end. Not needed for items that a search of ours found.
    :raises ImageryError: when nothing readable lies there, or it leads where it may not.
    """
    try:
        return Scene(describe_product(location, origin=origin, modifier=modifier))
    except (EOTasksError, OSError):
        raise
    except Exception as error:  # what strangers wrote is read there: one product never ends the others
        item = getattr(location, "id", type(location).__name__)
        where = redacted(str(location if isinstance(location, str | os.PathLike) else item))
        raise ImageryError(
            f"{where}: cannot be read as a product ({message_of(error)}). Fetch it again, or leave it out."
        ) from error
