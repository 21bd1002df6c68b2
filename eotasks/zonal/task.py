"""Statistics of polygons over the images of an EOPatch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import geopandas as gpd
import numpy as np
import pandas as pd
from eolearn.core import EOPatch, EOTask, FeatureType

from eotasks.errors import ConfigurationError
from eotasks.features import Feature, feature_of, value_of
from eotasks.models.zonal import check_percentiles
from eotasks.zonal.coverage import coverage_of
from eotasks.zonal.frames import blocks_of
from eotasks.zonal.packages import require
from eotasks.zonal.patch import PatchFeatures, frames_of, grid_of
from eotasks.zonal.polygons import Polygons, polygons_of, read_polygons
from eotasks.zonal.quantities import quantities_of
from eotasks.zonal.table import joined, long_table, rows_without_numbers
from eotasks.zonal.vocabulary import BAND, ID, OVER, STATUS, TIME

PolygonsLike: TypeAlias = str | Path | gpd.GeoDataFrame | Feature
"""A vector file, polygons, or the feature of the EOPatch that has them."""

_ALL = 1 << 62


class ZonalStatisticsTask(EOTask):
    """Adds statistics of polygons, date by date: a row for each polygon, time, band and kind of pixels.

    Pixels count with the part of them that lies in the polygon, exactly. eo-learn has no such task; rasterising
    polygons and averaging labels, as its users do, gives fields smaller than a pixel none at all, and averages clouds.
    The columns are those of `eotasks.zonal.vocabulary`.
    """

    def __init__(
        self,
        polygons: PolygonsLike,
        output_feature: Feature = (FeatureType.VECTOR, "FIELD_STATISTICS"),
        *,
        indices: Sequence[str] = ("NDVI",),
        bands_feature: Feature = (FeatureType.DATA, "BANDS"),
        band_names: Sequence[str] | None = None,
        is_data_feature: Feature | None = (FeatureType.MASK, "IS_DATA"),
        cloud_mask_feature: Feature | None = (FeatureType.MASK, "CLM"),
        shadow_feature: Feature | None = (FeatureType.MASK, "SHADOW"),
        percentiles: Sequence[float] = (),
        id_column: str | None = None,
        crs: Any = None,
    ) -> None:
        """
        :param polygons: File, GeoDataFrame, or VECTOR or VECTOR_TIMELESS feature of each EOPatch; in any system.
        :param output_feature: A VECTOR: the long table with TIMESTAMP in the place of ``time``, and the geometry of
            each polygon as given. Polygons that the EOPatch does not show have no rows in it; `statistics` has them.
        :param indices: Bands (B04), indices (NDVI and others of `eotasks.series.INDICES`), or NAME=FORMULA of bands.
        :param bands_feature: (t, h, w, bands), any number. Bands of Sentinel-2 are reflectance, or as integers DN
            (reflectance * 10000), whose statistics are of reflectance too.
        :param band_names: In their order. None tells by their count (13 or 10); a single one has its feature's name.
        :param is_data_feature: Boolean (t, h, w, 1); None: all pixels have data.
        :param cloud_mask_feature: (t, h, w, 1) 0 clear, 1 cloud, 255 no data, 2 shadow, 3 snow, 4 thin cloud, or
            boolean; None: no clouds.
        :param shadow_feature: (t, h, w, 1) 1 shadow, 255 no data, or boolean; None: no shadows.
        :param percentiles: 0..100, each a column beside the median.
        :param id_column: Column of the polygons whose values are the ids; None numbers them from 0.
        :param crs: Coordinate system of polygons that say none.
        :raises ConfigurationError: an argument that is not usable.
        :raises MissingDependencyError: exactextract is not installed.
        """
        require("exactextract")
        self.polygons = polygons
        if isinstance(polygons, tuple):
            self.polygons = feature_of(polygons, [FeatureType.VECTOR, FeatureType.VECTOR_TIMELESS])
        elif not isinstance(polygons, str | Path | gpd.GeoDataFrame):
            raise ConfigurationError(f"polygons is a {type(polygons).__name__}: give a file, GeoDataFrame or feature.")
        self.output_feature = feature_of(output_feature, [FeatureType.VECTOR])
        self.quantities = quantities_of(indices)
        names = None if band_names is None else tuple(band_names)
        self.features = PatchFeatures(
            bands_feature, names, is_data_feature, cloud_mask_feature, shadow_feature
        ).checked()
        self.percentiles = check_percentiles(percentiles)
        self.id_column = id_column
        self.crs = crs

    def execute(self, eopatch: EOPatch) -> EOPatch:
        """Adds the table; everything else of the EOPatch stays as it is.

        :raises FeatureError: a feature is missing, or of another shape.
        :raises BandError: an index needs a band that is not there.
        :raises AreaError: polygons that cannot be read, or whose ids are not.
        :raises GridError: there is no bounding box, or polygons have no coordinate system.
        :warns PolygonWarning: polygons were repaired, or have no area.
        """
        polygons = self._read(eopatch)
        table = self._table(eopatch, polygons)
        timed = table[table[TIME].notna()].reset_index(drop=True)
        places = pd.Index(polygons.ids).get_indexer(timed[ID])
        timestamps = timed.pop(TIME).dt.tz_convert(None)
        for name in (BAND, OVER, STATUS):  # files of vectors know no categories
            timed[name] = timed[name].astype(str)
        frame = gpd.GeoDataFrame(timed, geometry=polygons.shapes[places], crs=polygons.crs)
        frame.insert(1, "TIMESTAMP", timestamps)
        eopatch[self.output_feature] = frame
        return eopatch

    def statistics(self, eopatch: EOPatch) -> pd.DataFrame:
        """The table itself, in long form: with rows for polygons that the EOPatch does not show, or that are none.

        Errors and warnings are those of `execute`.
        """
        return self._table(eopatch, self._read(eopatch))

    def _read(self, eopatch: EOPatch) -> Polygons:
        given = self.polygons
        if isinstance(given, str | Path):
            return read_polygons(given, id_column=self.id_column, crs=self.crs)
        frame = value_of(eopatch, given, "add the polygons first") if isinstance(given, tuple) else given
        return polygons_of(frame, id_column=self.id_column, crs=self.crs)

    def _table(self, eopatch: EOPatch, polygons: Polygons) -> pd.DataFrame:
        coverage = coverage_of(polygons, grid_of(eopatch, self.features))
        bands = [each.name for each in self.quantities]
        frames = frames_of(eopatch, self.features, self.quantities)
        blocks = blocks_of(
            frames, coverage.pixels, percentiles=self.percentiles, most=_ALL, beyond=coverage.beyond
        )  # fmt: skip
        ids = polygons.ids[coverage.polygons]
        tables = [long_table(ids, block, bands, self.percentiles) for block in blocks]
        others = np.setdiff1d(np.arange(len(polygons)), coverage.polygons)
        if len(others):
            states = [polygons.unseen_state(each) for each in others]
            tables.append(rows_without_numbers(polygons.ids[others], states, bands, self.percentiles))
        return joined(tables)
