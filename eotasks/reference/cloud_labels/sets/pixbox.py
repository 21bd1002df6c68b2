"""PixBox-S2-CMIX (Brockmann Consult): single pixels of 29 L1C products, with a detailed class each.

``pixbox_sentinel2_cmix_20180425.csv``, a row for each of 17,351 pixels: ``PRODUCT_ID``, ``PIXEL_X`` and ``PIXEL_Y``
(of the 10 m grid, from 0), ``CLOUD_CHARACTERISTICS_ID``, ``SHADOW_ID``, ``LATITUDE`` and ``LONGITUDE``. The products
lie beside it, as ``NAME.SAFE`` or ``NAME.SAFE.zip``. Each product is read at 20 m around its labelled pixels (at 10 m
the bands of a whole one take 3 GB); the position of the sun is the product's.

Cloud and shadow are two facts of a pixel: a shadow is one with ``SHADOW_ID`` 3 (cloud shadow; 1 and 2 are none and of
the terrain, 4 lies above cloud) that is no cloud; a pixel that is both counts as cloud. Where pixels of 10 m with
different classes share one of 20 m, that is not judged.

Facts and where they are from: https://zenodo.org/record/5036991 through two projects on GitHub that read it: columns,
the classes of ``CLOUD_CHARACTERISTICS_ID`` and of ``SHADOW_ID``, the grid of the pixels and the names of the products
(`eotasks.reference.cloud_labels.sets.pixbox_products`). One of them, ``cloudband``, takes 8 (mixed) and 12 (border) for
cloud and 0 (none of the classes) for none, and so counts as many pixels of each class as a published comparison; the
other leaves these three out. Here it is as the first has it. That ``PIXEL_X`` and ``PIXEL_Y`` mean the 10 m grid is
looked at: where the table has coordinates, rows that lie elsewhere are refused. A licence was not verified. Seen in no
file of the data set itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from rasterio.warp import transform

from eotasks.errors import ImageryError, ProductSkippedWarning, ReferenceDataError, warn_caller
from eotasks.imagery.files.gdal import GDAL_ERRORS
from eotasks.imagery.grid import Grid
from eotasks.imagery.scene import Scene, open_scene
from eotasks.models.sentinel2 import BANDS
from eotasks.reference.cloud_labels.classes import NO_DATA_LABEL, LabelClass
from eotasks.reference.cloud_labels.files import existing, none_found, read_table, walk
from eotasks.reference.cloud_labels.protocol import FrameSource, LabelledFrame, LabelSet
from eotasks.reference.cloud_labels.sets.pixbox_products import PRODUCTS

SHADOW_LABEL = 100
"""Ours, of a pixel in the shadow of a cloud."""

CLASSES: Mapping[int, LabelClass] = MappingProxyType(
    {
        0: "clear", 1: "clear", 2: "thick cloud", 3: "thin cloud", 4: "thin cloud", 5: "thin cloud", 6: "thin cloud",
        7: "clear", 8: "cloud", 9: "thin cloud", 10: "thin cloud", 11: "thin cloud", 12: "cloud",
        SHADOW_LABEL: "shadow", NO_DATA_LABEL: "no data",
    }
)  # fmt: skip
"""By CLOUD_CHARACTERISTICS_ID: none of the classes, none, opaque, semi-transparent, thick, average and thin of that,
clear, spatially mixed, condensation trail, fog, haze, cloud border; and the two of ours."""

TABLE_BEGINS = "pixbox_sentinel2"
RESOLUTION = 20.0
_FINE = 10.0
_CLOUD_SHADOW, _SHADOWS = 3, range(5)
_MARGIN = 5_000.0
"""Metres of a product around its labelled pixels: shadows are thrown so far."""

_NEAR = 50.0
"""Metres by which coordinates of a row may miss those of its pixel."""

_COLUMNS = ("PRODUCT_ID", "PIXEL_X", "PIXEL_Y", "CLOUD_CHARACTERISTICS_ID", "SHADOW_ID")
_PLACE = ("LONGITUDE", "LATITUDE")


@dataclass(frozen=True, eq=False)
class _Points:
    """The labelled pixels of a product."""

    columns: NDArray[np.int64]
    rows: NDArray[np.int64]
    labels: NDArray[np.uint8]
    degrees: NDArray[np.float64] | None
    """(n, 2) longitude and latitude, where the table has them."""


class PixBox(LabelSet):
    """The table of PixBox-S2-CMIX and the products beside it."""

    name = "pixbox"
    title = "PixBox-S2-CMIX"
    layout = f"PixBox-S2-CMIX: {TABLE_BEGINS}_*.csv, and the products as NAME.SAFE or NAME.SAFE.zip"
    origin = "https://zenodo.org/record/5036991"
    licence = "not verified: see its page"
    classes = CLASSES

    def frames(self, folder: Path) -> Sequence[FrameSource]:
        """A frame for each product that is there.

        :warns ProductSkippedWarning: when products of the table are not there.
        """
        tables, products = _found(existing(folder, self.title))
        if not tables:
            raise none_found(folder, self.title, self.layout)
        if len(tables) > 1:
            raise ReferenceDataError(f"{folder}: {len(tables)} tables in it, {tables[0]} and {tables[1]}: keep one.")
        points = _read_points(tables[0])
        there = {number: products[PRODUCTS[number]] for number in points if PRODUCTS[number] in products}
        absent = [number for number in points if number not in there]
        if not there:
            raise none_found(
                folder, "the products of its table", f"{PRODUCTS[absent[0]]}.SAFE or .SAFE.zip, and others"
            )
        if absent:
            pixels = sum(len(points[number].labels) for number in absent)
            warn_caller(
                f"{folder}: {len(absent)} of {len(points)} products are not there, such as {PRODUCTS[absent[0]]}; their"
                f" {pixels} labelled pixels are left out.",
                ProductSkippedWarning,
            )
        named = sorted((PRODUCTS[number], number) for number in there)
        return [FrameSource(name, partial(_load, there[number], points[number])) for name, number in named]


def _found(folder: Path) -> tuple[list[Path], dict[str, Path]]:
    """Tables, and products by their names."""
    tables: list[Path] = []
    products: dict[str, Path] = {}
    for at, folders, files in walk(folder):
        tables += [at / name for name in files if name.startswith(TABLE_BEGINS) and name.endswith(".csv")]
        for name in (*folders, *files):
            plain = name.removesuffix(".zip").removesuffix(".SAFE")
            if plain != name:
                products.setdefault(plain, at / name)
        folders[:] = [name for name in folders if not name.endswith(".SAFE")]
    return tables, products


def _read_points(table: Path) -> dict[int, _Points]:
    rows = read_table(table, _COLUMNS)
    if not rows:
        raise ReferenceDataError(f"{table}: no pixel in it. Download it again.")
    values = {name: _numbers(rows, name, table) for name in _COLUMNS}
    placed = all(name in rows[0] for name in _PLACE)
    degrees = np.stack([_numbers(rows, name, table) for name in _PLACE], axis=-1) if placed else None
    numbers = values["PRODUCT_ID"].astype(np.int64)
    unknown = sorted(set(numbers.tolist()) - set(PRODUCTS))
    if unknown:
        raise ReferenceDataError(f"{table}: product {unknown[0]} is none of the {len(PRODUCTS)} of PixBox-S2-CMIX.")
    labels = _labels(values["CLOUD_CHARACTERISTICS_ID"], values["SHADOW_ID"], table)
    # Half pixels, as SNAP writes places, are those of the pixel they lie in.
    columns, lines = (np.floor(values[name]).astype(np.int64) for name in ("PIXEL_X", "PIXEL_Y"))
    return {
        number: _Points(columns[of], lines[of], labels[of], None if degrees is None else degrees[of])
        for number in sorted(set(numbers.tolist()))
        for of in [numbers == number]
    }


def _numbers(rows: Sequence[Mapping[str, str]], name: str, table: Path) -> NDArray[np.float64]:
    try:
        values = np.array([float(row[name]) for row in rows])
    except (ValueError, KeyError) as error:
        raise ReferenceDataError(f"{table}: a value of {name} is no number. Download it again.") from error
    if not np.isfinite(values).all() or np.abs(values).max() >= 2**53:
        raise ReferenceDataError(f"{table}: a value of {name} is no number that a pixel can have. Download it again.")
    return values


def _labels(clouds: NDArray[np.float64], shadows: NDArray[np.float64], table: Path) -> NDArray[np.uint8]:
    known = [value for value in CLASSES if value not in (SHADOW_LABEL, NO_DATA_LABEL)]
    for name, values, allowed in (
        ("CLOUD_CHARACTERISTICS_ID", clouds, known),
        ("SHADOW_ID", shadows, list(_SHADOWS)),
    ):
        wrong = ~np.isin(values, allowed)
        if wrong.any():
            raise ReferenceDataError(
                f"{table}: {name} {values[wrong][0]:g} is none of {allowed[0]} to {allowed[-1]}. Is it the table of"
                " Sentinel-2? That of Landsat 8 has other columns."
            )
    clear = np.isin(clouds, [value for value in known if CLASSES[value] == "clear"])
    return np.where(clear & (shadows == _CLOUD_SHADOW), SHADOW_LABEL, clouds).astype(np.uint8)


def _load(location: Path, points: _Points) -> LabelledFrame:
    scene = open_scene(location)
    fine = scene.grid_of("B02")
    if fine.resolution != _FINE:
        raise ReferenceDataError(f"{location}: B02 has pixels of {fine.resolution:g} where {_FINE:g} m are due.")
    _check_places(points, fine, location)
    grid = _grid_around(points, fine)
    bands, is_data = scene.read_masked(BANDS, grid)
    return LabelledFrame(
        bands,
        BANDS,
        is_data,
        _label_image(points, fine, grid),
        RESOLUTION,
        scene.acquisition.time,
        grid.crs,
        grid.bounds,
        _sun(scene, grid),
    )


def _check_places(points: _Points, fine: Grid, location: Path) -> None:
    """Refuse pixels that are not on the grid, or not where the table says."""
    inside = (points.columns >= 0) & (points.columns < fine.width) & (points.rows >= 0) & (points.rows < fine.height)
    if not inside.all():
        at = int(np.flatnonzero(~inside)[0])
        raise ReferenceDataError(
            f"{location}: its pixel {points.columns[at]}, {points.rows[at]} lies outside of"
            f" {fine.width} x {fine.height} pixels of 10 m: the table belongs to other products."
        )
    if points.degrees is None:
        return
    try:
        found = transform("EPSG:4326", fine.crs, points.degrees[:, 0].tolist(), points.degrees[:, 1].tolist())
    except GDAL_ERRORS as error:
        raise ReferenceDataError(f"{location}: coordinates of its pixels are none on Earth.") from error
    x, y = np.array(found[0]), np.array(found[1])
    off = np.hypot(
        x - (fine.left + (points.columns + 0.5) * fine.across), y - (fine.top - (points.rows + 0.5) * fine.down)
    )
    if not (off <= _NEAR).all():
        at = int(np.argmax(np.where(np.isfinite(off), off, np.inf)))
        raise ReferenceDataError(
            f"{location}: its pixel {points.columns[at]}, {points.rows[at]} lies {off[at]:,.0f} m from the coordinates"
            " in the table: that is not of this grid."
        )


def _grid_around(points: _Points, fine: Grid) -> Grid:
    """The 20 m grid of the product around its points."""
    ratio, margin = round(RESOLUTION / _FINE), round(_MARGIN / RESOLUTION)
    whole = Grid(fine.crs, fine.left, fine.top, RESOLUTION, fine.height // ratio, fine.width // ratio)
    (top, bottom), (left, right) = (
        (max(0, int(at.min()) // ratio - margin), min(size, int(at.max()) // ratio + margin + 1))
        for at, size in ((points.rows, whole.height), (points.columns, whole.width))
    )
    return whole.part(slice(top, bottom), slice(left, right))


def _label_image(points: _Points, fine: Grid, grid: Grid) -> NDArray[np.uint8]:
    """Labels on the 20 m grid: 255 where there is none, or several that differ."""
    labels = np.full(grid.shape, NO_DATA_LABEL, np.uint8)
    ratio = round(RESOLUTION / _FINE)
    rows = points.rows // ratio - round((fine.top - grid.top) / RESOLUTION)
    columns = points.columns // ratio - round((grid.left - fine.left) / RESOLUTION)
    kept = (rows < grid.height) & (columns < grid.width)  # an odd last pixel of 10 m has none of 20 m
    rows, columns, values = rows[kept], columns[kept], points.labels[kept]
    labels[rows, columns] = values
    differ = labels[rows, columns] != values
    labels[rows[differ], columns[differ]] = NO_DATA_LABEL
    return labels


def _sun(scene: Scene, grid: Grid) -> tuple[float, float] | None:
    """Mean zenith and azimuth over the grid, None where the product does not say them."""
    try:
        zenith, azimuth = scene.sun_angles(grid)
    except ImageryError:
        return None
    turned = np.exp(1j * np.deg2rad(azimuth.astype(np.float64))).mean()
    return float(zenith.mean()), float(np.rad2deg(np.angle(turned)) % 360)


PIXBOX = PixBox()
