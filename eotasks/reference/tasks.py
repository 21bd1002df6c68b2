"""Reference labels: from vectors and rasters, eroded, and sampled for training."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import geopandas as gpd
import numpy as np
from eolearn.core import EOPatch, EOTask, FeatureType
from numpy.typing import NDArray

from eotasks.errors import ConfigurationError, FeatureError, GridError, ReferenceDataError
from eotasks.features import (
    IMAGES,
    Feature,
    array_of,
    bbox_of,
    describe,
    feature_of,
    labels_of,
    renamed_feature_of,
    value_of,
)
from eotasks.models.checks import check_radius
from eotasks.models.rasters import erode_labels
from eotasks.models.sampling import check_amounts, check_seed, patch_generator, sample_pixels
from eotasks.reference.labels import (
    ClassMapping,
    LabelGrid,
    Overlap,
    check_mapping,
    check_overlap,
    class_ids,
    rasterize_polygons,
    read_polygons,
    read_raster_labels,
)

_LABELS = (FeatureType.MASK_TIMELESS,)


class RasterizeReferenceTask(EOTask):
    """Labels from polygons of any label set: MASK_TIMELESS (h, w, 1) uint8, 0 where unlabelled.

    Against eo-learn's VectorToRasterTask: the file is read within the patch only and reprojected without a warning,
    overlaps follow a rule that does not depend on the order of reading, and a label without a class is an error.
    """

    def __init__(
        self,
        feature: Feature,
        *,
        source: str | Path | Feature,
        layer: str | None = None,
        column: str = "lulcid",
        classes: ClassMapping | None = None,
        overlap: Overlap = "smallest",
        all_touched: bool = False,
        ignore_unmapped: bool = False,
        shape_feature: Feature = (FeatureType.MASK, "IS_DATA"),
    ) -> None:
        """
        :param feature: Output, a MASK_TIMELESS.
        :param source: A vector file (`read_polygons` has the formats), or a VECTOR_TIMELESS feature of the patch.
        :param layer: Layer of the file; may be left out where it has one.
        :param column: Column with the label values.
        :param classes: From values of the column to class ids 1..255 (0: leave unlabelled); None when the column holds
            class ids already.
        :param overlap: Where polygons overlap, the "smallest", "largest" or "last" in the file wins; "exclude" leaves
            pixels claimed by several classes unlabelled.
        :param all_touched: Label every pixel a polygon touches, not only those whose centre it holds.
        :param ignore_unmapped: Leave polygons unlabelled whose value is not in classes; otherwise they are an error.
        :param shape_feature: Feature of the patch whose rows and columns the labels get.
        :raises ConfigurationError: when a parameter is not usable.
        """
        self.feature = feature_of(feature, _LABELS)
        self.source = (
            str(source) if isinstance(source, str | Path) else feature_of(source, (FeatureType.VECTOR_TIMELESS,))
        )
        self.layer = layer
        self.column = column
        self.classes = check_mapping(classes)
        check_overlap(overlap)
        self.overlap: Overlap = overlap
        self.all_touched = all_touched
        self.ignore_unmapped = ignore_unmapped
        self.shape_feature = feature_of(shape_feature, IMAGES)

    def execute(self, eopatch: EOPatch) -> EOPatch:
        """Add the labels.

        :raises ReferenceDataError: when file, layer, column or the class of a value is missing.
        :raises GridError: when the labels or the patch have no coordinate system.
        :raises FeatureError: when the shape feature or the vector feature is missing.
        """
        grid = _grid_of(eopatch, self.shape_feature)
        if isinstance(self.source, str):
            frame, where = read_polygons(self.source, grid, layer=self.layer, column=self.column), self.source
        else:
            frame, where = self._vectors(eopatch, self.source), describe(self.source)
        ids = class_ids(
            frame[self.column], self.classes, f"column {self.column!r} of {where}", ignore_unmapped=self.ignore_unmapped
        )
        labels = rasterize_polygons(frame, ids, grid, overlap=self.overlap, all_touched=self.all_touched)
        eopatch[self.feature] = labels[..., np.newaxis]
        return eopatch

    def _vectors(self, eopatch: EOPatch, source: Feature) -> gpd.GeoDataFrame:
        frame = value_of(eopatch, source, "import the polygons first, or give their file as source")
        if self.column not in frame.columns:
            there = ", ".join(map(repr, frame.columns.drop("geometry", errors="ignore")))
            raise ReferenceDataError(f"Feature {describe(source)} has no column {self.column!r}, but {there}.")
        return frame


class ImportReferenceRasterTask(EOTask):
    """Labels from a raster in any coordinate system: MASK_TIMELESS (h, w, 1) uint8, 0 where unlabelled."""

    def __init__(
        self,
        feature: Feature,
        *,
        path: str | Path,
        band: int = 1,
        classes: ClassMapping | None = None,
        resampling: Literal["nearest", "mode"] = "nearest",
        ignore_unmapped: bool = False,
        shape_feature: Feature = (FeatureType.MASK, "IS_DATA"),
    ) -> None:
        """
        :param feature: Output, a MASK_TIMELESS.
        :param path: A raster (`read_raster_labels` has the formats).
        :param band: Band with the labels, counted from 1.
        :param classes: From raster values to class ids 1..255 (0: leave unlabelled); None when they are ids already.
        :param resampling: "nearest", or "mode" (most frequent label in a pixel) for a raster finer than the patch.
        :param ignore_unmapped: Leave pixels unlabelled whose value is not in classes; otherwise they are an error.
        :param shape_feature: Feature of the patch whose rows and columns the labels get.
        :raises ConfigurationError: when a parameter is not usable.
        """
        self.feature = feature_of(feature, _LABELS)
        self.path = str(path)
        if isinstance(band, bool) or not isinstance(band, int) or band < 1:
            raise ConfigurationError(f"band={band!r} is no band: count from 1.")
        self.band = band
        self.classes = check_mapping(classes)
        if resampling not in ("nearest", "mode"):
            raise ConfigurationError(f"resampling={resampling!r} makes no labels: use 'nearest' or 'mode'.")
        self.resampling: Literal["nearest", "mode"] = resampling
        self.ignore_unmapped = ignore_unmapped
        self.shape_feature = feature_of(shape_feature, IMAGES)

    def execute(self, eopatch: EOPatch) -> EOPatch:
        """Add the labels.

        :raises ReferenceDataError: when the file or band is missing, or a value has no class.
        :raises GridError: when the raster or the patch has no coordinate system.
        """
        labels = read_raster_labels(
            self.path,
            _grid_of(eopatch, self.shape_feature),
            band=self.band,
            classes=self.classes,
            resampling=self.resampling,
            ignore_unmapped=self.ignore_unmapped,
        )
        eopatch[self.feature] = labels[..., np.newaxis]
        return eopatch


class ErodeReferenceTask(EOTask):
    """Take the mixed pixels at class borders away, with a true disk.

    eo-learn 1.5.7's ErosionTask takes its radius as the size of the kernel: at radius 1 it does nothing.
    """

    def __init__(
        self,
        feature: Feature,
        eroded_feature: Feature,
        *,
        radius: int = 1,
        no_data: int = 0,
        only: Collection[int] | None = None,
    ) -> None:
        """
        :param feature: Labels, MASK_TIMELESS (h, w, 1) of integers.
        :param eroded_feature: Output, the same type.
        :param radius: Radius of the disk in pixels: a pixel within this distance of another class loses its label. The
            border of the patch is no border of a class. 0 leaves the labels as they are.
        :param no_data: Value of unlabelled pixels.
        :param only: Labels to erode, None for all.
        :raises ConfigurationError: when a parameter is not usable.
        """
        self.feature = feature_of(feature, _LABELS)
        self.eroded_feature = feature_of(eroded_feature, _LABELS)
        self.radius = check_radius(radius)
        self.no_data = no_data
        self.only = None if only is None else tuple(only)

    def execute(self, eopatch: EOPatch) -> EOPatch:
        """Add the eroded labels.

        :raises FeatureError: when the labels are missing or no labels.
        """
        labels = labels_of(eopatch, self.feature, "add the reference labels first")
        eroded = erode_labels(labels, radius=self.radius, no_data=self.no_data, only=self.only)
        eopatch[self.eroded_feature] = eroded[..., np.newaxis]
        return eopatch


class SampleTask(EOTask):
    """Draw labelled pixels: a fraction of each class, or a fixed number of each.

    Every feature (…, h, w, c) gives a sampled one (…, n, 1, c), the labels among them, all in the same order of pixels
    (row by row). eo-learn 1.5.7's FractionSamplingTask ignores a scalar fraction given at execution, has no fixed
    number per class, and draws the same pixels in every patch of one seed.
    """

    def __init__(
        self,
        labels_feature: Feature,
        features: Sequence[Feature | tuple[FeatureType, str, str]],
        *,
        fraction: float | Mapping[int, float] | None = None,
        per_class: int | Mapping[int, int] | None = None,
        exclude: Collection[int] = (0,),
        seed: int = 42,
        suffix: str = "_SAMPLED",
        positions_feature: Feature = (FeatureType.MASK_TIMELESS, "SAMPLE_ROWS_COLS"),
    ) -> None:
        """
        :param labels_feature: Labels, MASK_TIMELESS (h, w, 1) of integers.
        :param features: Features to sample, (type, name) or (type, name, new name).
        :param fraction: Share 0..1 of each class, or by label; labels that a mapping leaves out are not drawn.
        :param per_class: Number of pixels of each class, or by label; a class that has fewer gives all.
        :param exclude: Labels never drawn.
        :param seed: Seed of the whole run; every patch draws differently with it.
        :param suffix: Ending of the names of sampled features.
        :param positions_feature: Output, MASK_TIMELESS (n, 1, 2) int32: row and column of every sample.
        :raises ConfigurationError: when a parameter is not usable.
        """
        self.labels_feature = feature_of(labels_feature, _LABELS)
        self.features = [renamed_feature_of(feature, IMAGES, suffix) for feature in features]
        label_type, label_name = self.labels_feature
        if (label_type, label_name) not in [(each[0], each[1]) for each in self.features]:
            self.features.append((label_type, label_name, f"{label_name}{suffix}"))
        if not suffix:
            raise ConfigurationError("suffix is empty: sampled features would replace the images they come from.")
        check_amounts(fraction, per_class)
        self.fraction = fraction
        self.per_class = per_class
        self.exclude = tuple(exclude)
        self.seed = check_seed(seed)
        self.positions_feature = feature_of(positions_feature, _LABELS)

    def execute(self, eopatch: EOPatch, *, name: str | None = None, seed: int | None = None) -> EOPatch:
        """Add the sampled features.

        :param name: Name of the patch, which makes its draw its own; None takes the patch's place (its bounding box).
        :param seed: Seed instead of the task's.
        :raises FeatureError: when a feature is missing, or has other rows and columns than the labels.
        """
        labels = labels_of(eopatch, self.labels_feature, "add (and erode) the reference labels first")
        rng = patch_generator(self.seed if seed is None else seed, name if name is not None else _place(eopatch))
        rows, columns = sample_pixels(
            labels, fraction=self.fraction, per_class=self.per_class, exclude=self.exclude, rng=rng
        )
        sampled = {
            (feature_type, new_name): _pick(eopatch, (feature_type, old_name), labels.shape, rows, columns)
            for feature_type, old_name, new_name in self.features
        }
        for feature, values in sampled.items():
            eopatch[feature] = values
        eopatch[self.positions_feature] = np.stack([rows, columns], axis=-1).astype(np.int32)[:, np.newaxis]
        return eopatch


def _pick(
    eopatch: EOPatch, feature: Feature, shape: tuple[int, ...], rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> NDArray[Any]:
    array = array_of(eopatch, feature, "add it before sampling")
    if array.shape[-3:-1] != shape:
        raise FeatureError(
            f"Feature {describe(feature)} has {array.shape[-3:-1]} rows and columns, the labels {shape}: "
            "sample features of one grid."
        )
    picked: NDArray[Any] = array[..., rows, columns, :][..., np.newaxis, :]
    return picked


def _place(eopatch: EOPatch) -> str:
    """What tells a patch without a name apart: where it lies."""
    return "" if eopatch.bbox is None else f"{eopatch.bbox.crs.value} {','.join(map(repr, eopatch.bbox))}"


def _grid_of(eopatch: EOPatch, shape_feature: Feature) -> LabelGrid:
    bbox = bbox_of(eopatch)
    shape = array_of(eopatch, shape_feature, "give another feature as shape_feature").shape[-3:-1]
    if 0 in shape:
        raise GridError(f"Feature {describe(shape_feature)} has no pixels, so there is no grid for labels.")
    left, bottom, right, top = bbox
    return LabelGrid(crs=bbox.crs.ogc_string(), bounds=(left, bottom, right, top), shape=(shape[0], shape[1]))
