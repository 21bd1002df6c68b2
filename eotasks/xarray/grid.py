"""Where the pixels of a dataset lie on the ground."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

from eotasks.clouds.checks import pixel_size
from eotasks.errors import GridError
from eotasks.geometry.descriptions import check_description, check_texts
from eotasks.xarray.layout import Layout

if TYPE_CHECKING:
    import xarray

EXTENT = "eotasks_bbox"
"""Attribute of ``spatial_ref``: the extent as it was, because arithmetic on pixel centres gives it back nearly only."""

WHOLE_PIXEL_TOLERANCE = 1e-3
"""How far, in pixels, coordinates may be from even steps, and from the noted extent."""

ROWS_AND_COLUMNS = ("y", "x")


@dataclass(frozen=True)
class Ground:
    """Where the values of a dataset lie."""

    bbox: BBox
    rows: Hashable
    columns: Hashable
    upwards: bool
    """Rows go from south to north."""


def pixel_size_of(layout: Layout, *, wanted_for: str) -> tuple[float, float]:
    """Metres (y, x) of a pixel.

    :param wanted_for: What is given in metres, for the message.
    :raises GridError: no coordinates, or a CRS that is not in metres on the ground.
    """
    bbox = place_of(layout).bbox
    try:
        return pixel_size(bbox, *layout.shape[1:], wanted_for=wanted_for)
    except GridError as error:
        raise GridError(f"{layout.where}: {error}") from error


def place_of(layout: Layout) -> Ground:
    """Where the pixels of a layout lie.

    :raises GridError: as `ground_of`.
    """
    return ground_of(_like(layout))


def _like(layout: Layout) -> xarray.Dataset:
    dataset: xarray.Dataset = with_usual_names(layout.like.to_dataset(name="values"), layout.rows, layout.columns)
    return dataset


def with_usual_names(dataset: xarray.Dataset, rows: Hashable | None, columns: Hashable | None) -> xarray.Dataset:
    """The dataset with names of rows and columns that rioxarray knows too, in whatever its user calls them.

    :param rows: Its dimension of rows, None where it has none.
    :param columns: The same of columns.
    :raises GridError: a variable has such a name.
    """
    renamed: dict[Hashable, str] = {}
    for dim, usual, degrees in ((rows, "y", "latitude"), (columns, "x", "longitude")):
        if dim is not None and dim not in (usual, degrees):
            renamed[dim] = degrees if str(dim).lower() == degrees[:3] else usual
    taken = next((name for name in renamed.values() if name in dataset.data_vars), None)
    if taken is not None:
        raise GridError(f"The dataset has a variable {taken!r}, as rows or columns are called: rename it, or drop it.")
    beside = [name for name in renamed.values() if name in dataset.coords and name not in dataset.dims]
    return dataset.drop_vars(beside).rename(renamed) if renamed else dataset


def ground_of(dataset: xarray.Dataset) -> Ground:
    """Where the pixels of a dataset lie: by its coordinates, and by its notes where those tell the same.

    :raises GridError: no CRS or one without an EPSG code, uneven or no coordinates.
    """
    _check_described(dataset)
    crs = dataset.rio.crs
    code = None if crs is None else crs.to_epsg()
    if code is None:
        raise GridError(
            "The dataset has no CRS with an EPSG code: set it by dataset.rio.write_crs('EPSG:…'), or reproject it."
        )
    reference = dataset.coords.get(dataset.rio.grid_mapping)
    noted = None if reference is None else reference.attrs.get(EXTENT)
    rows, columns = _rows_and_columns(dataset)
    if rows not in dataset.dims or columns not in dataset.dims:
        if noted is None:
            raise GridError("The dataset has no y and x and no note of its extent: where it lies is not known.")
        return Ground(BBox(tuple(noted), CRS(code)), rows, columns, upwards=False)
    steps = _noted_steps(dataset)
    left, right = _edges(dataset, columns, steps[0])
    first, last = _edges(dataset, rows, steps[1])
    if left > right:
        raise GridError(f"{columns!r} goes from east to west: sort it by dataset.sortby({columns!r}).")
    edges = (left, min(first, last), right, max(first, last))
    sizes = (dataset.sizes[columns], dataset.sizes[rows])
    return Ground(BBox(_exact(edges, noted, sizes), CRS(code)), rows, columns, first < last)


def _check_described(dataset: xarray.Dataset) -> None:
    """Before PROJ gets what a file said of its system, which may name other files."""
    described = dataset.coords.get(dataset.rio.grid_mapping)
    texts = {} if described is None else described.attrs
    given = [texts.get("spatial_ref"), texts.get("crs_wkt")]
    if given == [None, None]:  # else rioxarray does not look at what may be any text
        given = [dataset.attrs.get("crs")]
    try:
        check_texts(texts)
        for text in given:
            if isinstance(text, str):
                check_description(text)
    except ValueError as error:
        raise GridError(f"The dataset cannot be placed: {error}.") from error


def _rows_and_columns(dataset: xarray.Dataset) -> tuple[Hashable, Hashable]:
    from rioxarray.exceptions import MissingSpatialDimensionError

    try:
        return dataset.rio.y_dim, dataset.rio.x_dim
    except MissingSpatialDimensionError:
        return ROWS_AND_COLUMNS


def _noted_steps(dataset: xarray.Dataset) -> tuple[float | None, float | None]:
    """Pixel sizes in x and y from the transform in ``spatial_ref``: one row or column shows none."""
    name = dataset.rio.grid_mapping
    text = dataset.coords[name].attrs.get("GeoTransform") if name in dataset.coords else None
    if text is None:
        return None, None
    numbers = [float(number) for number in str(text).split()]
    return numbers[1], numbers[5]


def _edges(dataset: xarray.Dataset, dimension: Hashable, noted: float | None) -> tuple[float, float]:
    """First and last edge along a dimension."""
    if dimension not in dataset.coords:
        raise GridError(f"Dimension {dimension!r} has no coordinates: give it those of the pixel centres.")
    centres = np.asarray(dataset.coords[dimension].values, dtype=np.float64)
    if centres.size == 0 or not np.isfinite(centres).all():
        raise GridError(f"Dimension {dimension!r} has no pixels, or coordinates that are no numbers.")
    if centres.size == 1 and noted is None:
        raise GridError(
            f"One pixel along {dimension!r} does not show its size: note it by dataset.rio.write_transform."
        )
    centres = centres + _corner_shift(dataset, dimension, centres)
    step = float(noted if centres.size == 1 else (centres[-1] - centres[0]) / (centres.size - 1))  # type: ignore[arg-type]
    even = centres[0] + step * np.arange(centres.size)
    if step == 0 or np.abs(even - centres).max() > WHOLE_PIXEL_TOLERANCE * abs(step):
        raise GridError(
            f"The coordinates along {dimension!r} have uneven steps: an EOPatch has square rows and columns."
        )
    return float(centres[0] - step / 2), float(centres[-1] + step / 2)


def _corner_shift(dataset: xarray.Dataset, dimension: Hashable, coordinates: NDArray[np.float64]) -> float:
    """Half a pixel where coordinates are those of corners, stackstac's default, which its transform shows."""
    holders = [dataset.attrs, *(each.attrs for each in dataset.data_vars.values())]
    transform = next((each["transform"] for each in holders if "transform" in each), None)
    try:
        numbers = [float(number) for number in transform][:6]  # type: ignore[union-attr]  # None is no sequence
    except (TypeError, ValueError):
        return 0.0
    if len(numbers) < 6 or not coordinates.size:
        return 0.0
    across = str(dimension).lower().startswith(("x", "lon"))
    step, origin = (numbers[0], numbers[2]) if across else (numbers[4], numbers[5])
    if step == 0:
        return 0.0
    position = (coordinates[0] - origin) / step
    return step / 2 if abs(position - round(position)) < WHOLE_PIXEL_TOLERANCE else 0.0


def _exact(
    edges: tuple[float, float, float, float], noted: Sequence[float] | None, sizes: tuple[int, int]
) -> tuple[float, float, float, float]:
    """The noted extent where the coordinates tell the same; else theirs, because the dataset was cropped or shifted."""
    if noted is None or len(noted) != 4:
        return edges
    left, bottom, right, top = (float(edge) for edge in noted)
    near_x, near_y = (WHOLE_PIXEL_TOLERANCE * (high - low) / size for low, high, size in
                      ((edges[0], edges[2], sizes[0]), (edges[1], edges[3], sizes[1])))  # fmt: skip
    same = (
        abs(left - edges[0]) <= near_x
        and abs(right - edges[2]) <= near_x
        and abs(bottom - edges[1]) <= near_y
        and abs(top - edges[3]) <= near_y
    )
    return (left, bottom, right, top) if same else edges
