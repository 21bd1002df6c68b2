"""Maps as Cloud Optimized GeoTIFF: a file per patch, and one map of all patches."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from string import Formatter
from typing import Any

import numpy as np
from eolearn.core import EOPatch, EOTask, FeatureType
from numpy.typing import NDArray

from eotasks.errors import ConfigurationError, FeatureError
from eotasks.export.cog import Compression, NoData, check_compression, nodata_value, write_cog
from eotasks.export.styles import class_style, write_style
from eotasks.features import IMAGES, Feature, array_of, bbox_of, describe, feature_of
from eotasks.models.classes import ClassTable
from eotasks.storage.place import Place, PlaceLike
from eotasks.text import refuse_name


class ExportCogTask(EOTask):
    """Write a feature of a patch as Cloud Optimized GeoTIFF; the patch goes on unchanged.

    A timeless feature (h, w, c) gives c bands, a temporal one (t, h, w, c) t * c bands named by their date. The file
    is complete or absent, and the same bytes for the same input. eo-learn's ExportToTiffTask writes plain GeoTIFF
    without colours, names or overviews, and in place.
    """

    def __init__(
        self,
        feature: Feature,
        *,
        folder: PlaceLike,
        filename: str = "{name}_{feature}.tif",
        classes: ClassTable | None = None,
        nodata: NoData = "auto",
        compression: Compression = "deflate",
        tags: Mapping[str, str] | None = None,
        style: bool = False,
        valid_feature: Feature | None = None,
    ) -> None:
        """
        :param feature: An image feature (DATA, MASK and their timeless forms).
        :param folder: Folder on disk (made when absent), or ``s3://bucket/prefix``.
        :param filename: Name of the file; {name} is the patch's name, {feature} the feature's.
        :param classes: For a map of classes: colours and names.
        :param nodata: Value without data; "auto" is NaN for floats, 0 for classes, none for other integers.
        :param compression: "deflate", "zstd", "lzw" or "none".
        :param tags: Metadata of the file.
        :param style: Write a style of QGIS beside a map of classes, NAME.qml.
        :param valid_feature: A timeless mask or map of classes, MASK_TIMELESS (h, w, 1): where it is 0 or False, every
            band of the file has no data.
        :raises ConfigurationError: when a parameter is not usable.
        """
        self.feature = feature_of(feature, IMAGES)
        self.place = Place(folder)
        _check_filename(filename)
        self.filename = filename
        self.classes = classes
        self.nodata = nodata
        check_compression(compression)
        self.compression: Compression = compression
        self.tags = dict(tags or {})
        if style and classes is None:
            raise ConfigurationError("style=True is for maps of classes: give classes, or leave it out.")
        self.style = style
        self.valid_feature = None if valid_feature is None else feature_of(valid_feature, (FeatureType.MASK_TIMELESS,))
        if self.valid_feature is not None and nodata is None:
            raise ConfigurationError("valid_feature needs a value for pixels without data: give nodata.")

    def path(self, name: str) -> Path:
        """The file of a patch on disk.

        :raises ConfigurationError: when the name is no file name.
        :raises StorageError: when the files are on S3; see :meth:`location`.
        """
        return self.place.local_path(self._file(name))

    def location(self, name: str) -> str:
        """The file of a patch, as a path or ``s3://bucket/key``.

        :raises ConfigurationError: when the name is no file name.
        """
        return f"{self.place}/{self._file(name)}"

    def execute(self, eopatch: EOPatch, *, name: str) -> EOPatch:
        """Write the file.

        :param name: Name of the patch.
        :raises ConfigurationError: when the mask needs a value without data, and these integers have none.
        :raises FeatureError: when a feature is missing, the timestamps do not fit its frames, or the mask its pixels.
        :raises GridError: when the patch has no bounding box.
        :raises StorageError: when the file cannot be written.
        """
        location = self.location(name)
        bbox = bbox_of(eopatch)
        left, bottom, right, top = bbox
        image, descriptions = self._image(eopatch)
        if self.valid_feature is not None:
            image = self._without_invalid(image, eopatch, self.valid_feature)
        write_cog(
            location,
            image,
            crs=bbox.crs.ogc_string(),
            bounds=(left, bottom, right, top),
            classes=self.classes,
            nodata=self.nodata,
            descriptions=descriptions,
            tags=self.tags,
            compression=self.compression,
        )
        if self.style and self.classes is not None:
            write_style(location, class_style(self.classes))
        return eopatch

    def _file(self, name: str) -> str:
        reason = refuse_name(name)
        if reason is not None:
            raise ConfigurationError(f"Patch name {name!r} is no file name: {reason}.")
        return self.filename.format(name=name, feature=self.feature[1])

    def _image(self, eopatch: EOPatch) -> tuple[NDArray[Any], list[str]]:
        """Array (h, w, b) and the names of its bands."""
        array = array_of(eopatch, self.feature, "add it before the export")
        channels = _numbered(self.feature[1], array.shape[-1])
        if self.feature[0] in (FeatureType.DATA_TIMELESS, FeatureType.MASK_TIMELESS):
            return array, channels
        times = [time.isoformat() for time in eopatch.timestamps or []]
        if len(times) != len(array):
            raise FeatureError(
                f"Feature {describe(self.feature)} has {len(array)} frames, the EOPatch {len(times)} timestamps: set"
                " EOPatch.timestamps to the dates of the frames."
            )
        stacked = np.moveaxis(array, 0, 2).reshape(*array.shape[1:3], -1)
        return stacked, [f"{channel} {time}" for time in times for channel in channels]

    def _without_invalid(self, image: NDArray[Any], eopatch: EOPatch, feature: Feature) -> NDArray[Any]:
        mask = array_of(eopatch, feature, "add it before the export, or leave valid_feature out")
        if mask.shape != (*image.shape[:2], 1):
            raise FeatureError(
                f"Feature {describe(feature)} has shape {mask.shape}, feature {describe(self.feature)}"
                f" {image.shape[:2]} pixels: give a mask of the same pixels."
            )
        image = image.astype(np.uint8 if image.dtype == bool else image.dtype)  # a copy: the patch goes on unchanged
        fill = nodata_value(self.nodata, image.dtype, self.classes)
        if fill is None:
            raise ConfigurationError(
                f"Feature {describe(self.feature)} is {image.dtype}, which has no value for pixels without data of its"
                " own: give nodata, or leave valid_feature out."
            )
        image[mask[..., 0] == 0] = fill
        return image


def _check_filename(filename: str) -> None:
    try:
        fields = {field for _, field, _, _ in Formatter().parse(filename) if field is not None}
        known = "name" in fields and not fields - {"name", "feature"} and filename.format(name="a", feature="b")
    except (ValueError, LookupError):  # a brace that is not closed, a format that text does not have
        known = ""
    if not known or Path(filename).name != filename:
        raise ConfigurationError(f"filename={filename!r}: use {{name}} (and {{feature}}) in a plain file name.")


def _numbered(name: str, count: int) -> list[str]:
    return [name] if count == 1 else [f"{name}_{index}" for index in range(count)]
