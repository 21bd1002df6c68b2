"""The quick-look of one product: scene, cloud probability and mask side by side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from eotasks.models.clouds.mask_classes import SNOW, THIN_CLOUD
from eotasks.models.clouds.postprocess import CLEAR, CLOUD, NO_DATA
from eotasks.workflows.product_masks.options import CloudMaskOptions
from eotasks.workflows.product_masks.product import Picture, ProductMasks
from eotasks.workflows.report import maps, style
from eotasks.workflows.report.raster import Bounds, Raster

CLOUD_COLOR, SHADOW_COLOR = style.ORANGE, style.BLUE
SNOW_COLOR, THIN_CLOUD_COLOR = "#56b4e9", "#f0e442"
"""Those of the files: of Okabe and Ito, whom the colour-blind tell apart."""

PROBABILITY_COLORS = "cividis"
DPI = 160

_WIDTH, _MAX_MAP_HEIGHT = 15.0, 7.0
_LEFT, _RIGHT, _GAP, _TOP, _BOTTOM = 0.95, 0.25, 0.28, 1.12, 1.32
_MIN_WIDTH, _KEY_WIDTH = 9.0, 1.4
"""Inches, all of them."""

_RATIOS = (0.25, 2.2)
"""Height over width of a map."""

_DARKEST, _BRIGHTEST = 0.5, 99.8
"""Percentiles that become black and white."""
_MOST_AIR = 0.16
"""Reflectance: a scene all of cloud has no dark ground, and must not turn black."""
_WHITE = (0.25, 0.7)
_GAMMA = 1.5
"""Lifts the ground without burning out the clouds."""


def draw_quicklook(masks: ProductMasks, options: CloudMaskOptions, name: str, path: Path) -> None:
    """Write the picture as PNG; the same input gives the same bytes.

    :param masks: What is shown.
    :param options: How it was made, for the caption.
    :param name: Of the product.
    :param path: File to write, whatever its ending.
    """
    figure = quicklook_figure(masks, options, name)
    with path.open("wb") as file:
        figure.savefig(file, format="png", dpi=DPI, metadata={"Software": None}, pil_kwargs={"compress_level": 3})


@style.styled
def quicklook_figure(masks: ProductMasks, options: CloudMaskOptions, name: str) -> Figure:
    """The figure of :func:`draw_quicklook`."""
    layout = _Layout.of(masks)
    figure = Figure(figsize=layout.size)
    probability = [] if masks.probability is None else ["Cloud probability"]
    titles = ["Scene, true colour", *probability, _mask_title(options)]
    maps_of = [layout.axes(figure, index) for index in range(len(titles))]
    crs = masks.grid.crs
    for index, (axes, title) in enumerate(zip(maps_of, titles, strict=True)):
        maps.frame(axes, _view(masks), crs, labels=False)
        for side in (axes.xaxis, axes.yaxis):
            side.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.7g}"))
        axes.set_title(title)
        axes.set_xlabel(maps.Axis(crs).labels()[0], fontsize=10, color=style.QUIET)
        if index == 0:
            axes.set_ylabel(maps.Axis(crs).labels()[1], fontsize=10, color=style.QUIET)
        else:
            axes.tick_params(labelleft=False)
    shown_scene = _picture(masks)
    picture = true_color(shown_scene.reflectance)
    maps.show(maps_of[0], picture, shown_scene.grid.bounds, crs)
    maps.scale_bar(maps_of[0], crs)
    if masks.probability is not None:
        shown = _show_probability(maps_of[1], masks, masks.probability)
        threshold = options.mask.threshold if options.has_mask_settings else None
        _probability_bar(figure, layout, shown, threshold)
    _show_mask(maps_of[-1], masks, picture)
    _legend(figure, layout, masks)
    _texts(figure, layout, masks, options, name)
    return figure


def true_color(reflectance: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Reflectance (h, w, 3) as picture (h, w, 4): dark ground and the texture of clouds are both seen.

    Black is the darkest ground of each band, which takes off the blue of the air; white is one value for all bands, so
    that clouds and snow stay white, and lies between 0.25 (a hazy winter scene) and 0.7 (bright clouds). Transparent
    where NaN.
    """
    known = np.isfinite(reflectance).all(axis=-1)
    picture = np.zeros((*reflectance.shape[:2], 4), dtype=np.uint8)
    if known.any():
        black = np.minimum(np.percentile(reflectance[known], _DARKEST, axis=0), _MOST_AIR)
        white = np.clip(np.percentile(reflectance[known].max(axis=-1), _BRIGHTEST), *_WHITE)
        stretched = np.clip((np.nan_to_num(reflectance) - black) / (white - black), 0, 1) ** (1 / _GAMMA)
        picture[..., :3] = np.rint(stretched * 255)
        picture[..., 3] = np.where(known, 255, 0)
    return picture


@dataclass(frozen=True)
class _Layout:
    """Sizes in inches: maps of one shape in a row, room for words above and keys below."""

    columns: int
    """Scene and mask, and the probability where there is one."""

    width: float
    map_width: float
    map_height: float

    @classmethod
    def of(cls, masks: ProductMasks) -> _Layout:
        left, bottom, right, top = view = _view(masks)
        ratio = (top - bottom) * maps.Axis(masks.grid.crs).aspect(view) / (right - left)
        columns = 2 if masks.probability is None else 3
        room = (_WIDTH - _LEFT - _RIGHT - 2 * _GAP) / 3
        map_width = min(room, _MAX_MAP_HEIGHT / ratio)
        width = _LEFT + columns * map_width + (columns - 1) * _GAP + _RIGHT
        return cls(columns, max(width, _MIN_WIDTH), map_width, map_width * ratio)

    @property
    def size(self) -> tuple[float, float]:
        return self.width, _TOP + self.map_height + _BOTTOM

    def left(self, index: int) -> float:
        return _LEFT + index * (self.map_width + _GAP)

    def axes(self, figure: Figure, index: int) -> Axes:
        return self.at(figure, self.left(index), _BOTTOM, self.map_width, self.map_height)

    def at(self, figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
        """Axes at a place in inches."""
        across, up = self.size
        axes: Axes = figure.add_axes((left / across, bottom / up, width / across, height / up))
        return axes


def _picture(masks: ProductMasks) -> Picture:
    if masks.picture is None:
        raise ValueError("masks made without a picture cannot be drawn")
    return masks.picture


def _view(masks: ProductMasks) -> Bounds:
    """The ground that is drawn: that of the picture, with a margin where it is too slender to put words to."""
    left, bottom, right, top = bounds = _picture(masks).grid.bounds
    aspect = maps.Axis(masks.grid.crs).aspect(bounds)
    width, height = right - left, (top - bottom) * aspect
    low, high = _RATIOS
    wide, tall = max(height / high - width, 0) / 2, max(width * low - height, 0) / 2 / aspect
    return left - wide, bottom - tall, right + wide, top + tall


def _mask_title(options: CloudMaskOptions) -> str:
    asked = {"thin cloud": options.thin_cloud, "snow": options.snow, "shadow": options.shadows}
    parts = ["Cloud", *(name for name, is_asked in asked.items() if is_asked)]
    return f"{', '.join(parts[:-1])} and {parts[-1]} mask" if len(parts) > 1 else "Cloud mask"


def _show_probability(axes: Axes, masks: ProductMasks, probability: NDArray[np.float32]) -> AxesImage:
    values = np.where(masks.mask == NO_DATA, np.float32(np.nan), probability)
    small = maps.decimate(Raster(values, masks.grid.bounds), mean=True)
    return maps.show(axes, small.values, small.bounds, masks.grid.crs, cmap=PROBABILITY_COLORS, vmin=0, vmax=1)


def _probability_bar(figure: Figure, layout: _Layout, shown: AxesImage, threshold: float | None) -> None:
    """A bar under the map, with the threshold on it where the mask was made by one."""
    axes = layout.at(figure, layout.left(1), 0.56, layout.map_width, 0.13)
    bar: Any = figure.colorbar(shown, cax=axes, orientation="horizontal")
    bar.set_ticks([0, 0.2, 0.4, 0.6, 0.8, 1])
    bar.ax.tick_params(labelsize=9, length=3)
    bar.outline.set_edgecolor(style.QUIET)
    if threshold is None:
        return
    bar.ax.axvline(threshold, color="white", linewidth=3.2)
    bar.ax.axvline(threshold, color=style.VERMILION, linewidth=1.6)
    bar.ax.annotate(
        "threshold",
        (threshold, 1),
        xycoords=("data", "axes fraction"),
        xytext=(0, 2),
        textcoords="offset points",
        ha="left" if threshold < 0.2 else "right" if threshold > 0.8 else "center",
        va="bottom",
        fontsize=8,
        color=style.VERMILION,
    )


def _show_mask(axes: Axes, masks: ProductMasks, picture: NDArray[np.uint8]) -> None:
    """The classes over a grey scene, so that the eye can check them against what is there."""
    grey = picture.copy()
    light = picture[..., :3].astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    grey[..., :3] = np.rint(light)[..., np.newaxis]
    maps.show(axes, grey, _picture(masks).grid.bounds, masks.grid.crs)
    colors = {CLOUD: CLOUD_COLOR, SNOW: SNOW_COLOR, THIN_CLOUD: THIN_CLOUD_COLOR}
    for classes, shown in ((masks.shadow, {CLOUD: SHADOW_COLOR}), (masks.mask, colors)):
        if classes is None:
            continue
        small = maps.decimate(Raster(classes, masks.grid.bounds), mean=False)
        overlay = np.zeros((*small.values.shape, 4), dtype=np.float32)
        for value, color in shown.items():
            overlay[small.values == value] = (*_rgb(color), 0.72)
        maps.show(axes, overlay, small.bounds, masks.grid.crs)


def _legend(figure: Figure, layout: _Layout, masks: ProductMasks) -> None:
    shares = masks.shares
    known = (
        (CLOUD_COLOR, "cloud", shares.cloud),
        (THIN_CLOUD_COLOR, "thin cloud", shares.thin_cloud),
        (SNOW_COLOR, "snow", shares.snow),
        (SHADOW_COLOR, "shadow", shares.shadow),
    )
    entries = [(color, label, share) for color, label, share in known if share is not None]
    clear = float((masks.mask == CLEAR).sum() / (masks.mask != NO_DATA).sum())
    if masks.shadow is not None:
        clear = float(((masks.mask == CLEAR) & (masks.shadow == CLEAR)).sum() / (masks.mask != NO_DATA).sum())
    entries.append(("#9a9a9a", "clear", clear))
    handles = [
        Patch(facecolor=color, edgecolor=style.QUIET, linewidth=0.6, label=f"{label}  {share:.1%}")
        for color, label, share in entries
    ]
    if shares.data < 1:
        label = f"no data  {1 - shares.data:.1%} of all"
        handles.append(Patch(facecolor=style.NO_DATA_COLOR, edgecolor=style.QUIET, linewidth=0.6, label=label))
    across, up = layout.size
    columns = len(handles)
    if columns * _KEY_WIDTH >= layout.map_width:
        columns = 3 if columns > 4 and layout.map_width > 3 * _KEY_WIDTH else 2
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(layout.left(layout.columns - 1) / across, 0.78 / up),
        ncols=columns,
        borderaxespad=0,
        borderpad=0,
        handlelength=1.3,
        columnspacing=1.4,
        fontsize=9.5,
    )


def _texts(figure: Figure, layout: _Layout, masks: ProductMasks, options: CloudMaskOptions, name: str) -> None:
    """Name and place above, how it was made and whose data it is below."""
    across, up = layout.size
    acquisition = masks.acquisition
    place = [
        f"Sentinel-{acquisition.satellite[1:]} {acquisition.level}",
        f"{style.day(acquisition.time)}, {acquisition.time:%H:%M} UTC",
        f"tile {acquisition.tile}",
        maps.centre(masks.grid.bounds, masks.grid.crs),
    ]
    made = options.describe()
    left = _LEFT / across
    figure.text(left, 1 - 0.22 / up, name, fontsize=15, fontweight="bold", va="top")
    figure.text(left, 1 - 0.54 / up, "  ·  ".join(filter(None, place)), fontsize=10.5, va="top", color=style.QUIET)
    figure.text(left, 0.14 / up, made, fontsize=9, va="bottom", color=style.QUIET)
    if acquisition.attribution:
        right = (layout.left(layout.columns - 1) + layout.map_width) / across
        figure.text(right, 0.14 / up, acquisition.attribution, fontsize=9, va="bottom", ha="right", color=style.QUIET)


def _rgb(color: str) -> tuple[float, float, float]:
    red, green, blue = to_rgb(color)
    return red, green, blue
