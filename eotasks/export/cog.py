"""Writing Cloud Optimized GeoTIFF, to a folder or to S3. Knows no EOPatch.

A map of classes carries its colours as colour table and its names as tags of the band (CLASS_3=GRASSLAND) in the file.
GDAL has no place inside a GeoTIFF for category names and attribute tables: those stand in NAME.tif.aux.xml beside it,
where GDAL and QGIS look for them. The map is complete without that file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, get_args
from xml.etree import ElementTree as ET

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from rasterio.dtypes import check_dtype
from rasterio.errors import CRSError
from rasterio.io import MemoryFile

from eotasks.errors import (
    ConfigurationError,
    EOTasksError,
    FeatureError,
    GridError,
    ImageryError,
    StorageError,
    reason_of,
)
from eotasks.imagery.files.gdal import GDAL_ERRORS, open_raster
from eotasks.models.classes import NO_DATA, ClassTable, LandCoverClass
from eotasks.models.rasters import Bounds, pixel_transform
from eotasks.models.threads import resolve_threads
from eotasks.storage.location import Location, is_s3
from eotasks.storage.place import place_of
from eotasks.text import did_you_mean, whole_number

Compression = Literal["deflate", "zstd", "lzw", "none"]
Overviews = Literal["auto", "nearest", "average", "mode"]
NoData = float | Literal["auto"] | None
"""Value of pixels without data; "auto": NaN for floats, 0 for a map of classes, none for other integers."""

BLOCK, SMALL_BLOCK = 512, 128
"""Rows and columns of a tile of the file; the small one for images that would be a single tile or few."""
_TABLE_COLUMNS = (("Value", 0, 5), ("Class", 2, 2), ("Red", 0, 6), ("Green", 0, 7), ("Blue", 0, 8))
"""Name, GDAL's type of the field (0 integer, 2 text) and its usage (GDALRATFieldUsage)."""
_TAG = "CLASS_"
_COLOR_TAG = "_COLOR"


def write_cog(
    path: Location,
    array: NDArray[Any],
    *,
    crs: Any,
    bounds: Bounds,
    classes: ClassTable | None = None,
    nodata: NoData = "auto",
    descriptions: Sequence[str] | None = None,
    tags: Mapping[str, str] | None = None,
    compression: Compression = "deflate",
    overviews: Overviews = "auto",
    scale: float | None = None,
    transparent: Collection[int] = (),
) -> Location:
    """Write an array as Cloud Optimized GeoTIFF: complete or not at all, and the same bytes for the same input.

    :param path: File to write, on disk (its folder is made when absent) or ``s3://bucket/key``; an older one is
        replaced.
    :param array: (h, w) or (h, w, b), north up; boolean becomes uint8, other types are kept.
    :param crs: Coordinate system, anything rasterio reads.
    :param bounds: left, bottom, right, top in units of the coordinate system.
    :param classes: For a map of classes, uint8 with one band: colours and names. Every value has to be in the table.
    :param nodata: Value of pixels without data.
    :param descriptions: Name of each band.
    :param tags: Metadata of the file.
    :param compression: "deflate", "zstd", "lzw" or "none".
    :param overviews: What a pixel of an overview is of those under it: "nearest", "average" or "mode" (the commonest);
        "auto" as in :func:`publish_cog`. Pixels without data do not count.
    :param scale: Physical value of one unit of the stored numbers, for readers that ask GDAL for it. None: 1.
    :param transparent: Ids of classes whose pixels GDAL and QGIS show as transparent, by NAME.tif.aux.xml: a colour
        table in a GeoTIFF has no transparency.
    :return: The path, as it was given.
    :raises ConfigurationError: when classes, nodata, compression, overviews or descriptions do not fit the array.
    :raises FeatureError: when the array is no image, or of a type that GeoTIFF does not have.
    :raises GridError: when the coordinate system is unknown or the bounds are empty.
    :raises StorageError: when the file cannot be written.
    :raises CredentialsError: when S3 refuses the credentials.
    """
    image = _as_image(array)
    check_compression(compression)
    _check_overviews(overviews)
    fill = nodata_value(nodata, image.dtype, classes)
    if classes is not None:
        _check_classes(image, classes, fill)
    if descriptions is not None and len(descriptions) != len(image):
        raise ConfigurationError(
            f"There are {len(descriptions)} descriptions for {len(image)} bands: give one per band."
        )
    profile = _profile(image, crs, bounds, fill)
    with MemoryFile() as memory:
        with memory.open(**profile) as dataset:
            dataset.write(image)
            describe_bands(dataset, classes, descriptions, tags)
            if scale is not None:
                dataset.scales = (scale,) * len(image)
        with memory.open() as dataset:
            return publish_cog(dataset, path, classes, compression, overviews, transparent)


def read_classes(path: str | Path) -> ClassTable | None:
    """The class table that :func:`write_cog` put into a map; None for a raster without one.

    :param path: A file on disk, or ``s3://bucket/key``.
    :raises ImageryError: when the file is damaged, or missing on disk.
    :raises StorageError: when it is missing on S3, or cannot be reached.
    """
    try:
        with local_copy(path) as file, open_raster(file, str(path), name=path) as dataset:
            return classes_of(dataset)
    except EOTasksError:
        raise
    except GDAL_ERRORS as error:
        raise ImageryError(f"Cannot read {path} ({reason_of(error)}): write it again.") from error


@contextmanager
def local_copy(path: str | Path) -> Iterator[str | Path]:
    """A file of S3 as a temporary copy; everything else as it is. GDAL itself would keep old content of an object."""
    if not is_s3(path):
        yield path
        return
    place, name = place_of(path)
    with place.reading(name) as copy:
        yield copy


def classes_of(dataset: rasterio.DatasetReader) -> ClassTable | None:
    """The class table of an open map; None when it has none."""
    tags = dataset.tags(1)
    colors = {key: value for key, value in tags.items() if key.startswith(_TAG) and key.endswith(_COLOR_TAG)}
    found = []
    for key, color in colors.items():
        label = key[len(_TAG) : -len(_COLOR_TAG)]
        number = whole_number(label)
        if number is not None and f"{_TAG}{label}" in tags:
            found.append(LandCoverClass(number, tags[f"{_TAG}{label}"], color))
    return ClassTable(tuple(sorted(found, key=lambda item: item.id))) if found else None


def check_compression(compression: str) -> None:
    """:raises ConfigurationError: when it is no compression that every GDAL build reads."""
    if compression not in get_args(Compression):
        raise ConfigurationError(
            f"compression={compression!r} is not known{did_you_mean(compression, get_args(Compression))}:"
            f" use {', '.join(get_args(Compression))}."
        )


def _check_overviews(overviews: str) -> None:
    if overviews not in get_args(Overviews):
        raise ConfigurationError(
            f"overviews={overviews!r} is not known{did_you_mean(overviews, get_args(Overviews))}:"
            f" use {', '.join(get_args(Overviews))}."
        )


def nodata_value(nodata: NoData, dtype: np.dtype[Any], classes: ClassTable | None) -> float | None:
    """The value of pixels without data in a file.

    :raises ConfigurationError: when the type cannot hold the value.
    """
    floating = np.issubdtype(dtype, np.floating)
    if nodata == "auto":
        return float("nan") if floating else (NO_DATA if classes is not None else None)
    if nodata is None or floating:
        return nodata
    limits = np.iinfo(dtype)
    if not limits.min <= nodata <= limits.max or nodata != int(nodata):
        raise ConfigurationError(f"nodata={nodata!r} is no {dtype}: give a whole number {limits.min}..{limits.max}.")
    return nodata


def describe_bands(
    dataset: rasterio.io.DatasetWriter,
    classes: ClassTable | None,
    descriptions: Sequence[str | None] | None,
    tags: Mapping[str, str] | None,
) -> None:
    """Put names, colours and metadata into a dataset that is being written, in an order of their own."""
    for band, description in enumerate(descriptions or (), start=1):
        dataset.set_band_description(band, description)
    if tags:
        dataset.update_tags(**dict(sorted(tags.items())))
    if classes is not None:
        dataset.update_tags(1, **{f"{_TAG}{item.id}": item.name for item in classes})
        dataset.update_tags(1, **{f"{_TAG}{item.id}{_COLOR_TAG}": item.color for item in classes})
        blank = {NO_DATA: (255, 255, 255, 255)}
        dataset.write_colormap(1, blank | {item.id: (*item.rgb, 255) for item in classes})


def publish_cog(
    dataset: rasterio.DatasetReader,
    path: Location,
    classes: ClassTable | None,
    compression: Compression,
    overviews: Overviews = "auto",
    transparent: Collection[int] = (),
) -> Location:
    """Copy a dataset to a Cloud Optimized GeoTIFF beside its target, and put it in place when it is whole.

    :param overviews: How the smaller copies are made; "auto" takes the nearest pixel for classes and other integers,
        the average for floats.
    :return: The path, as it was given.
    :raises StorageError: when the file cannot be written.
    """
    automatic = "AVERAGE" if np.issubdtype(np.dtype(dataset.dtypes[0]), np.floating) else "NEAREST"
    options = {
        "compress": compression.upper(),
        "blocksize": BLOCK if max(dataset.shape) > 2 * BLOCK else SMALL_BLOCK,
        "overview_resampling": automatic if overviews == "auto" else overviews.upper(),
        "bigtiff": "IF_SAFER",
        "num_threads": resolve_threads(),
    }
    if compression != "none":
        options["predictor"] = "YES" if np.dtype(dataset.dtypes[0]).itemsize > 1 else "NO"
    place, name = place_of(path)
    sidecar = f"{name}.aux.xml"
    try:
        with place.writing(name) as staged:
            try:
                rasterio.shutil.copy(dataset, staged, driver="COG", **options)
            finally:
                Path(f"{staged}.aux.xml").unlink(missing_ok=True)
            _read_back(staged)
            if classes is not None:
                place.write_bytes(sidecar, _sidecar_xml(classes, transparent))
            else:
                place.remove(sidecar)  # classes or statistics of the file that was there before
    except EOTasksError:
        raise
    except GDAL_ERRORS as error:
        raise StorageError(
            f"Cannot write {path} ({reason_of(error)}): check space and rights of the folder."
        ) from error
    return path


def _read_back(path: Path) -> None:
    """Read every block of a file that was just written: GDAL's COG driver does not tell that a disk was full.

    :raises RasterioError: when one cannot be read.
    """
    with rasterio.open(path) as whole:
        levels = [None, *range(len(whole.overviews(1)))]
    for level in levels:
        with rasterio.open(path, **({} if level is None else {"OVERVIEW_LEVEL": level})) as image:
            for _, window in image.block_windows(1):
                image.read(window=window)


def _as_image(array: NDArray[Any]) -> NDArray[Any]:
    """Bands first (b, h, w)."""
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise FeatureError(f"An array of shape {array.shape} is no image: give (h, w) or (h, w, b) with pixels.")
    image = np.moveaxis(array, -1, 0) if array.ndim == 3 else array[np.newaxis]
    image = image.astype(np.uint8) if image.dtype == np.bool_ else image
    # GDAL 3.11 knows float16, but neither its predictor nor most readers do.
    if image.dtype == np.float16 or not check_dtype(image.dtype):
        raise FeatureError(f"GeoTIFF has no {image.dtype}: cast the array (float32, or an integer type).")
    return image


def _profile(image: NDArray[Any], crs: Any, bounds: Bounds, nodata: float | None) -> dict[str, Any]:
    bands, height, width = image.shape
    left, bottom, right, top = bounds
    if not (left < right and bottom < top):
        raise GridError(f"Bounds {bounds} hold no area: give left, bottom, right, top.")
    try:
        system = rasterio.CRS.from_user_input(crs)
    except CRSError as error:
        raise GridError(
            f"{crs!r} is no coordinate system ({reason_of(error)}): give one such as 'EPSG:32633'."
        ) from error
    return {
        "driver": "GTiff",
        "count": bands,
        "height": height,
        "width": width,
        "dtype": image.dtype,
        "crs": system,
        "transform": pixel_transform(bounds, (height, width)),
        "nodata": nodata,
    }


def _check_classes(image: NDArray[Any], classes: ClassTable, nodata: float | None) -> None:
    if image.dtype != np.uint8 or len(image) != 1:
        raise ConfigurationError(
            f"A map of classes is uint8 with one band, this is {image.dtype} with {len(image)}: leave classes out."
        )
    nameless = set(np.unique(image).tolist()) - set(classes.ids) - {nodata}
    if nameless:
        raise ConfigurationError(f"The map has the values {sorted(nameless)} that classes does not name: add them.")


def _sidecar_xml(classes: ClassTable, transparent: Collection[int] = ()) -> bytes:
    """Category names and an attribute table, as GDAL's persistent auxiliary metadata has them.

    With a colour table, which counts before that of the file, where classes are transparent.
    """
    root = ET.Element("PAMDataset")
    band = ET.SubElement(root, "PAMRasterBand", band="1")
    by_id = classes.by_id
    if transparent:
        colors = ET.SubElement(band, "ColorTable")
        for label in range(max(by_id) + 1):
            alpha = 0 if label in transparent or label not in by_id else 255
            values = (*by_id[label].rgb, alpha) if label in by_id else (0, 0, 0, alpha)
            ET.SubElement(colors, "Entry", {f"c{number}": str(value) for number, value in enumerate(values, start=1)})
    names = ET.SubElement(band, "CategoryNames")
    for label in range(max(by_id) + 1):
        ET.SubElement(names, "Category").text = by_id[label].name if label in by_id else ""
    table = ET.SubElement(band, "GDALRasterAttributeTable", tableType="thematic")
    for index, (name, kind, usage) in enumerate(_TABLE_COLUMNS):
        column = ET.SubElement(table, "FieldDefn", index=str(index))
        for tag, text in (("Name", name), ("Type", str(kind)), ("Usage", str(usage))):
            ET.SubElement(column, tag).text = text
    for index, item in enumerate(sorted(classes, key=lambda each: each.id)):
        row = ET.SubElement(table, "Row", index=str(index))
        for value in (item.id, item.name, *item.rgb):
            ET.SubElement(row, "F").text = str(value)
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8")) + b"\n"
