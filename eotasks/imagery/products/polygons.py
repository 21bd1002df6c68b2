"""Vector masks of products up to baseline 03.xx: polygons of clouds and of detector footprints, as GML."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from eotasks.errors import ImageryError, reason_of
from eotasks.imagery.files.protocol import ProductFiles
from eotasks.imagery.footprints import repaired
from eotasks.imagery.products.product import MaskPolygons
from eotasks.imagery.xml import first, named, parse_xml, text

_CODE = re.compile(r"EPSG:(?:[\d.]*:)?(\d{4,5})$")


def read_polygons(files: ProductFiles, name: str, crs: str) -> MaskPolygons:
    """The polygons of a mask.

    :param name: The file, inside the product.
    :param crs: Of the tile; the file has to agree where it names one.
    :raises ImageryError: when the file is damaged, or in another coordinate system than the tile.
    """
    where = f"{files.location}: {name}"
    root = parse_xml(files.read_bytes(name), where)
    envelope = first(root, "Envelope")
    srs = "" if envelope is None else str(envelope.get("srsName", ""))
    match = _CODE.search(srs)
    if match is not None and f"EPSG:{match.group(1)}" != crs:
        raise ImageryError(f"{where}: in EPSG:{match.group(1)}, the tile in {crs}. Fetch the original again.")
    areas = [
        (text(feature, "maskType") or "", polygon)
        for feature in named(root, "MaskFeature")
        for polygon in (_polygon(element, where) for element in named(feature, "Polygon"))
    ]
    return MaskPolygons(crs, tuple(areas))


def _polygon(element: Element, where: str) -> BaseGeometry:
    exterior = first(element, "exterior")
    rings = [] if exterior is None else [_ring(exterior, where)]
    if not rings:
        return Polygon()
    polygon = Polygon(rings[0], [_ring(hole, where) for hole in named(element, "interior")])
    return repaired(polygon, where)


def _ring(element: Element, where: str) -> NDArray[np.float64]:
    """Corners of a ring: (n, 2). A third number, the height, is 0 and left out."""
    positions = first(element, "posList")
    if positions is None or not (positions.text or "").strip():
        raise ImageryError(f"{where}: a ring without corners. Fetch it again.")
    try:
        dimension = int(positions.get("srsDimension", "2"))
        if dimension not in (2, 3):
            raise ValueError(f"srsDimension {dimension}")
        numbers = np.array(str(positions.text).split(), dtype=np.float64)
        corners = numbers.reshape(-1, dimension)[:, :2]
    except ValueError as error:
        raise ImageryError(
            f"{where}: a ring that is no list of corners ({reason_of(error)}). Fetch it again."
        ) from error
    if len(corners) < 4 or not np.isfinite(corners).all():  # a triangle, closed
        raise ImageryError(f"{where}: a ring of {len(corners)} corners. Fetch it again.")
    return corners
