"""What a product consists of: where its rasters lie, and what its metadata says.

A layout (`.SAFE`, zip, AWS, bare folder, STAC item) finds it out; :class:`eotasks.imagery.scene.Scene` reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shapely.geometry.base import BaseGeometry

from eotasks.imagery.files.protocol import ProductFiles, RasterFile
from eotasks.imagery.products.acquisition import Acquisition

if TYPE_CHECKING:
    from eotasks.imagery.products.angles import AngleGrids


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

    layers: Mapping[str, RasterFile] = field(default_factory=dict)
    """Of an L2A product: CLD and SNW (probability of cloud and of snow, 0..100) and AOT (optical depth of aerosol, a
    thousand times it), as far as it holds them."""

    cloud_mask: MaskSource | None = None
    """The product's own: polygons OPAQUE and CIRRUS, or an image of three layers (opaque, cirrus, snow)."""

    angles: Callable[[], AngleGrids] | None = None
    """Reads the angle grids of the tile; None when the product has none."""
