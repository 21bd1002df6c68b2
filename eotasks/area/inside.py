"""Which pixels of a patch lie inside of an area."""

from __future__ import annotations

import numpy as np
import rasterio
import rasterio.features
import shapely
from eolearn.core import EOPatch, EOTask, FeatureType
from numpy.typing import NDArray
from sentinelhub.geometry import BBox, Geometry

from eotasks.errors import AreaError
from eotasks.features import Feature, array_of, bbox_of, feature_of
from eotasks.reference.places import in_one_form, reprojected


def inside_area(area: Geometry, bbox: BBox, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """(h, w) of a grid, true where the centre of a pixel lies inside of an area.

    Edges of the area stay straight in its own system; an area in degrees may cross the antimeridian.

    :param bbox: Of the grid, north up.
    :param shape: (rows, columns).
    """
    crs, grid_crs = area.crs.ogc_string(), bbox.crs.ogc_string()
    bounds = (bbox.min_x, bbox.min_y, bbox.max_x, bbox.max_y)
    parts = in_one_form(np.array([area.geometry], dtype=object), crs)
    here = [each for each in reprojected(parts, crs, grid_crs, bounds) if not shapely.is_empty(each)]
    if not here:
        return np.zeros(shape, dtype=bool)
    across, down = (bbox.max_x - bbox.min_x) / shape[1], (bbox.max_y - bbox.min_y) / shape[0]
    transform = rasterio.Affine(across, 0, bbox.min_x, 0, -down, bbox.max_y)
    return np.asarray(
        rasterio.features.rasterize(here, out_shape=shape, transform=transform, dtype="uint8"), dtype=bool
    )


class AddInsideAreaTask(EOTask):
    """Add a mask of the pixels whose centres lie inside of an area: MASK_TIMELESS (h, w, 1), bool.

    eo-learn's VectorToRasterTask burns vectors of one coordinate system, and knows no antimeridian.
    """

    def __init__(self, feature: Feature, *, area: Geometry, like: Feature) -> None:
        """
        :param feature: Output, a MASK_TIMELESS.
        :param area: Polygons, in any system.
        :param like: A feature of the patch whose height and width the mask gets.
        :raises AreaError: when the area is empty.
        """
        self.feature = feature_of(feature, (FeatureType.MASK_TIMELESS,))
        if area.geometry.is_empty:
            raise AreaError("The area is empty: nothing would lie inside of it.")
        self.area = area
        self.like = like

    def execute(self, eopatch: EOPatch) -> EOPatch:
        """Add the mask.

        :raises FeatureError: when the patch lacks the feature whose size it gets, or has no bounding box.
        """
        height, width = array_of(eopatch, self.like, "add it first").shape[-3:-1]
        eopatch[self.feature] = inside_area(self.area, bbox_of(eopatch), (height, width))[..., np.newaxis]
        return eopatch
