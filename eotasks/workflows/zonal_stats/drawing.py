"""Pictures of a run: a page of its first fields, and some of them by themselves with what they looked like."""

from __future__ import annotations

import re

import numpy as np
import shapely
from eolearn.core import EOPatch, FeatureType
from matplotlib.figure import Figure
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

from eotasks.errors import BandError
from eotasks.imagery.grid import Grid
from eotasks.models.zonal import PixelState
from eotasks.workflows.zonal_stats.images import TRUE_COLOR, field_images
from eotasks.workflows.zonal_stats.parts import PICTURES
from eotasks.workflows.zonal_stats.pictures import FieldImage, field_figure, field_pages, write_picture
from eotasks.workflows.zonal_stats.run import ZonalResult
from eotasks.workflows.zonal_stats.sources.base import ImagePlace, ImageSource, Source
from eotasks.zonal.coverage import on_grid
from eotasks.zonal.quantities import quantities_of
from eotasks.zonal.vocabulary import ID, OVER, STATUS, Over, Status

_AROUND = 1.0
"""Of a field's longer side, that is read around it."""

_LEAST = 8
"""Pixels that are, at least."""


def draw_fields(result: ZonalResult, source: Source, count: int) -> list[str]:
    """Draws the first band of a result: a page of its first fields, and the fields that were seen most often.

    :param count: Of fields that get a picture of their own.
    :return: Where the pictures are; none where no field has a number.
    :raises EOTasksError: the place cannot be written, or images cannot be read again.
    """
    table = result.shown
    if not len(table) or not (table[STATUS].astype(str) == Status.OK).any():
        return []
    band = result.bands[0]
    mark = "simulated, " if source.simulated else ""
    paths = []
    clear = table[(table[OVER].astype(str) == Over.CLEAR) & (table[STATUS].astype(str) == Status.OK)]
    seen = clear.groupby(ID, sort=False).size().sort_values(ascending=False, kind="stable")
    for number, field in enumerate(seen.index[:count], start=1):
        title = f"{band} of {field} ({mark}{len(result.totals.times)} dates)"
        figure = field_figure(table, field, band, images=_images(result, source, field), title=title)
        paths.append(_write(result, figure, f"{number:02}_{_file_name(str(field))}"))
    fields = list(dict.fromkeys(table[ID]))
    title = f"{band} of {len(fields)} of {len(result.polygons):,} fields" + (", simulated" if source.simulated else "")
    page = next(iter(field_pages(table, band, fields=fields, title=title)))
    return [*paths, _write(result, page, "fields")]


def _write(result: ZonalResult, figure: Figure, name: str) -> str:
    path = f"{PICTURES}/{name}.png"
    with result.place.writing(path) as beside:
        write_picture(figure, beside)
    return f"{result.place}/{path}"


def _file_name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "_", text).strip("_")[:80] or "field"


def _images(result: ZonalResult, source: Source, field: object) -> list[FieldImage]:
    """What a field looked like at each time; none where its image has no true colour, or is not read here."""
    if not isinstance(source, ImageSource):
        return []
    index = int(np.flatnonzero(result.polygons.ids == field)[0])
    held = [image for image, share in zip(result.images, result.shares, strict=True) if index in share.own]
    held = [image for image in held if image.name not in result.failed]
    if not held:
        return []  # it lies on several
    try:
        shape, crs = result.polygons.shapes[index], result.polygons.crs
        return [each for image in held for each in _images_of(source, image, shape, crs)]
    except BandError:
        return []


def _images_of(source: ImageSource, image: ImagePlace, shape: shapely.Geometry, crs: str) -> list[FieldImage]:
    outline = on_grid(np.array([shape], dtype=object), crs, image.grid)[0]
    rows, columns = _window(image.grid, outline)
    frames = list(source.frames(image, quantities_of(TRUE_COLOR), (rows, columns)))
    if not frames:
        return []
    grid = image.grid.part(rows, columns)
    patch = EOPatch(bbox=BBox(grid.bounds, CRS(grid.crs)), timestamps=[frame.time for frame in frames])
    patch[FeatureType.DATA, "BANDS"] = np.stack([frame.values for frame in frames]).astype(np.float32)
    states = np.stack([frame.states for frame in frames])[..., np.newaxis]
    patch[FeatureType.DATA, "BANDS"][states[..., 0] == PixelState.NO_DATA] = np.nan
    patch[FeatureType.MASK, "CLEAR"] = states == PixelState.CLEAR
    return field_images(patch, outline, bands=TRUE_COLOR, clear_feature=(FeatureType.MASK, "CLEAR"))


def _window(grid: Grid, outline: shapely.Geometry) -> tuple[slice, slice]:
    left, bottom, right, top = outline.bounds
    around = max(_AROUND * max(right - left, top - bottom), _LEAST * max(grid.across, grid.down))
    first_row, last_row = (grid.top - top - around) / grid.down, (grid.top - bottom + around) / grid.down
    first, last = (left - around - grid.left) / grid.across, (right + around - grid.left) / grid.across
    rows = slice(max(int(first_row), 0), min(int(np.ceil(last_row)), grid.height))
    return rows, slice(max(int(first), 0), min(int(np.ceil(last)), grid.width))
