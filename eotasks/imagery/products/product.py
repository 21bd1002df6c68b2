"""What a product consists of: where its rasters lie, and what its metadata says.

A layout (`.SAFE`, zip, AWS, bare folder, STAC item) finds it out; :class:`eotasks.imagery.scene.Scene` reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from shapely.geometry.base import BaseGeometry

from eotasks.imagery.products.acquisition import Acquisition

if TYPE_CHECKING:
    from eotasks.imagery.products.angles import AngleGrids

Fingerprint = tuple[int, int]
"""Bytes of a file, and when it changed (nanoseconds since 1970, 0 where nobody knows): as make looks at inputs."""


class ProductFiles(Protocol):
    """The files of a product, wherever they lie: a folder, a zip, a prefix in a bucket, a web server.

    Names are relative to the product, with ``/``; one that leads out of it is refused.
    """

    @property
    def location(self) -> str:
        """For messages: what the user gave, without secrets."""

    def names(self) -> list[str]:
        """Sorted names of all files.

        :raises ImageryError: when they cannot be listed.
        """

    def read_bytes(self, name: str) -> bytes:
        """A whole, small file, such as metadata.

        :raises ImageryError: when it is absent, cannot be read, or is too large for what it should be.
        """

    def raster_path(self, name: str) -> str:
        """What rasterio opens, inside of :meth:`reading`."""

    def reading(self) -> AbstractContextManager[object]:
        """GDAL's settings (credentials, endpoint, ranges) while rasters of this product are open, in this thread."""

    def fingerprint(self, name: str) -> Fingerprint:
        """Size and time of change of a file."""


@dataclass(frozen=True)
class RasterFile:
    """One image file of a product."""

    name: str
    """Inside the product's files."""

    driver: Literal["JP2OpenJPEG", "GTiff"]
    """The only driver that may open it: a file that is something else than its name says is refused."""


@dataclass(frozen=True)
class MaskPolygons:
    """Areas of a vector mask (GML, up to baseline 03.xx)."""

    crs: str
    areas: tuple[tuple[str, BaseGeometry], ...] = ()
    """Type of the mask, such as ``OPAQUE`` or ``DETECTOR_FOOTPRINT``, and its polygon."""


MaskSource = RasterFile | Callable[[], MaskPolygons]
"""A mask as an image, or as polygons that are parsed when asked for."""


@dataclass(frozen=True)
class Product:
    """A product, described; nothing of its pixels is read."""

    name: str
    """The product's own name, without .SAFE and .zip."""

    files: ProductFiles
    acquisition: Acquisition

    bands: Mapping[str, RasterFile]
    """In the order of eotasks.models.sentinel2.BANDS."""

    footprints: Mapping[str, MaskSource] = field(default_factory=dict)
    """Detector footprints by band: where a detector saw the ground (an image holds 0 where none did). Empty when the
    product has none."""

    classification: RasterFile | None = None
    """SCL of an L2A product."""

    cloud_mask: MaskSource | None = None
    """The product's own: polygons OPAQUE and CIRRUS, or an image of three layers (opaque, cirrus, snow)."""

    angles: Callable[[], AngleGrids] | None = None
    """Reads the angle grids of the tile; None when the product has none."""
