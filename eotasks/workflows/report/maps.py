"""Maps: images with coordinates, a scale bar and a legend, reduced to the pixels that a page can show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import patheffects
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, Colormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from eotasks.models.classes import ClassTable
from eotasks.workflows.report import ground, palette, style
from eotasks.workflows.report.raster import Bounds, Raster

TRUE_COLOR_GAIN = 3.5
"""Reflectance times this is the brightness of true colour pictures, as in the Slovenian example."""

_LEFT_FOR_LEGEND = 2.6
_MAX_HEIGHT = 6.4


def true_color_image(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Reflectance (h, w, 3) to a picture (h, w, 4) uint8; pixels with NaN or zero in all bands are transparent."""
    known = np.isfinite(values).all(axis=-1) & (np.nan_to_num(values) != 0).any(axis=-1)
    picture = np.zeros((*values.shape[:2], 4), np.uint8)
    picture[..., :3] = np.rint(np.clip(np.nan_to_num(values) * TRUE_COLOR_GAIN, 0, 1) * 255)
    picture[..., 3] = np.where(known, 255, 0)
    return picture


def map_figure(
    bounds: Bounds, crs: str, *, legend: bool = False, max_height: float = _MAX_HEIGHT
) -> tuple[Figure, Axes]:
    """A figure with one map that fills it.

    :param legend: leave room for a legend at the side of maps that are not wide.
    :param max_height: of the map, inches.
    """
    axis = ground.Axis(crs)
    width = max(bounds[2] - bounds[0], 1e-9)
    ratio = (bounds[3] - bounds[1]) * axis.aspect(bounds) / width
    side = _LEFT_FOR_LEGEND if legend and not is_wide(bounds, crs) else 1.4
    map_width = min(style.CHART_WIDTH - side, max_height / ratio)
    height = map_width * ratio + 0.8
    figure = style.new_figure(max(height, 2.4), max(map_width + side, 5.0))
    axes = figure.subplots()
    frame(axes, bounds, crs)
    return figure, axes


def is_wide(bounds: Bounds, crs: str) -> bool:
    """True when the legend fits under the map rather than beside it."""
    return (bounds[3] - bounds[1]) * ground.Axis(crs).aspect(bounds) < 0.7 * (bounds[2] - bounds[0])


def frame(axes: Axes, bounds: Bounds, crs: str, *, labels: bool = True) -> None:
    """Set up axes as a north-up map of these bounds."""
    axis = ground.Axis(crs)
    axes.set_xlim(bounds[0] / axis.scale, bounds[2] / axis.scale)
    axes.set_ylim(bounds[1] / axis.scale, bounds[3] / axis.scale)
    axes.set_aspect(axis.aspect(bounds))
    axes.set_facecolor(palette.NO_DATA_COLOR)
    for spine in axes.spines.values():
        spine.set_visible(True)
    axes.tick_params(length=3, labelsize=9)
    for side, low, high in ((axes.xaxis, 0, 2), (axes.yaxis, 1, 3)):
        side.set_major_locator(MaxNLocator(nbins=6 if side is axes.xaxis else 5, steps=[1, 2, 5, 10]))
        decimals = max(0, 2 - math.floor(math.log10(max((bounds[high] - bounds[low]) / axis.scale, 1e-6))) - 1)
        side.set_major_formatter(FuncFormatter(lambda value, _, digits=decimals: f"{value:,.{digits}f}"))
    if labels:
        x_label, y_label = axis.labels()
        axes.set_xlabel(x_label, fontsize=10, color=palette.QUIET)
        axes.set_ylabel(y_label, fontsize=10, color=palette.QUIET)


def show(axes: Axes, image: NDArray[Any], bounds: Bounds, crs: str, **options: Any) -> AxesImage:
    """Draw an image at its place; the limits of the axes stay."""
    scale = ground.Axis(crs).scale
    limits = axes.get_xlim(), axes.get_ylim(), axes.get_aspect()
    extent = (bounds[0] / scale, bounds[2] / scale, bounds[1] / scale, bounds[3] / scale)
    drawn = axes.imshow(image, extent=extent, origin="upper", **options)
    axes.set_xlim(limits[0])
    axes.set_ylim(limits[1])
    axes.set_aspect(limits[2])
    return drawn


def show_classes(axes: Axes, raster: Raster, classes: ClassTable, crs: str) -> None:
    """Draw a map of class ids in the colours of the table; 0 and unknown ids stay empty."""
    small = ground.decimate(raster, mean=False)
    picture = np.zeros((*small.values.shape, 4), np.uint8)
    for item in classes:
        if item.id:
            picture[small.values == item.id] = (*item.rgb, 255)
    show(axes, picture, small.bounds, crs)


def class_shares(values: NDArray[np.integer[Any]], classes: ClassTable) -> dict[int, float]:
    """Share of each class among the pixels that have one (0..1), in the order of the table; only those present."""
    counts = np.bincount(values.astype(np.int64).ravel(), minlength=256)
    total = sum(int(counts[item.id]) for item in classes if item.id)
    return {item.id: int(counts[item.id]) / total for item in classes if item.id and counts[item.id]}


def class_legend(axes: Axes, classes: ClassTable, shares: dict[int, float], *, below: bool) -> None:
    """A legend of the classes on the map with their share of it, and of the empty pixels."""
    handles = [
        Patch(
            facecolor=item.color, edgecolor=palette.QUIET, linewidth=0.6, label=_with_share(item.name, shares[item.id])
        )
        for item in classes
        if item.id in shares
    ]
    handles.append(Patch(facecolor=palette.NO_DATA_COLOR, edgecolor=palette.QUIET, linewidth=0.6, label="none"))
    place_legend(axes, handles, below=below)


def place_legend(axes: Axes, handles: Sequence[Artist], *, below: bool) -> None:
    """Put a legend beside the map, or below it in columns."""
    if below:
        columns = min(len(handles), 4)
        axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(-0.01, -0.13), ncols=columns, borderaxespad=0)
    else:
        axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0)


def _with_share(name: str, share: float) -> str:
    return f"{style.pretty(name)}  {share:.1%}" if share >= 0.0005 else f"{style.pretty(name)}  <0.1%"


def show_quantity(
    axes: Axes,
    raster: Raster,
    crs: str,
    *,
    label: str,
    colormap: str | Colormap,
    limits: tuple[float, float],
    extend: str = "neither",
    whole: bool = False,
) -> None:
    """Draw a map of a quantity with its colour bar.

    :param limits: values at the two ends of the colour bar.
    :param extend: ends that stand for values beyond: ``"neither"``, ``"min"``, ``"max"`` or ``"both"``.
    :param whole: the values are counts: whole numbers on the colour bar.
    """
    small = ground.decimate(raster, mean=True)
    image = show(axes, small.values, small.bounds, crs, cmap=colormap, vmin=limits[0], vmax=limits[1])
    bar = axes.inset_axes((1.025, 0.0, 0.022, 1.0))
    colors = axes.figure.colorbar(image, cax=bar, extend=extend)
    colors.set_label(label, fontsize=10)
    colors.ax.tick_params(labelsize=9)
    colors.outline.set_edgecolor(palette.QUIET)
    if whole:
        colors.ax.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))


def categories(colors: Sequence[str]) -> tuple[ListedColormap, BoundaryNorm]:
    """Colours for an image of 0, 1, 2, ... ."""
    return ListedColormap(list(colors)), BoundaryNorm(np.arange(len(colors) + 1) - 0.5, len(colors))


def scale_bar(axes: Axes, crs: str, *, dark: bool = False) -> None:
    """A bar of a round length in the lower left corner; none on geographic maps, where it would depend on the place.

    :param dark: dark on light, for maps that are light on the whole.
    """
    if ground.Axis(crs).geographic:
        return
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    length = ground.round_length((right - left) / 4)
    x, y = left + (right - left) * 0.025, bottom + (top - bottom) * 0.045
    color, halo = (palette.INK, "white") if dark else ("white", palette.INK)
    casing = [patheffects.withStroke(linewidth=5, foreground=halo, alpha=0.8)]
    axes.plot([x, x + length], [y, y], color=color, linewidth=2.4, path_effects=casing, solid_capstyle="butt")
    casing = [patheffects.withStroke(linewidth=2.5, foreground=halo, alpha=0.8)]
    axes.annotate(
        f"{length:g} km" if length >= 1 else f"{length * 1000:g} m",
        (x + length / 2, y),
        xytext=(0, 4),
        textcoords="offset points",
        ha="center",
        va="bottom",
        color=color,
        fontsize=9.5,
        fontweight="bold",
        path_effects=casing,
    )


def draw_boxes(axes: Axes, boxes: Sequence[Bounds], crs: str, **options: Any) -> None:
    """Draw rectangles, such as the patches of an area."""
    scale = ground.Axis(crs).scale
    for box in boxes:
        left, bottom, right, top = (value / scale for value in box)
        axes.add_patch(Rectangle((left, bottom), right - left, top - bottom, **options))


def short_names(names: Sequence[str]) -> list[str]:
    """Names without the words that all of them begin with: ``patch_r00_c01`` becomes ``r00_c01``."""
    if len(names) < 2:
        return list(names)
    words = [name.split("_") for name in names]
    same = next((i for i, column in enumerate(zip(*words, strict=False)) if len(set(column)) > 1), 0)
    cut = sum(len(word) + 1 for word in words[0][:same])
    return [name[cut:] or name for name in names]


def union(bounds: Sequence[Bounds]) -> Bounds:
    """The bounds around all of them; there must be at least one."""
    edges = np.asarray(bounds, dtype=float)
    low, high = edges.min(axis=0), edges.max(axis=0)
    return float(low[0]), float(low[1]), float(high[2]), float(high[3])
