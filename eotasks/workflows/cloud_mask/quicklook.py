"""The quick-look of one product: scene, cloud probability and mask side by side."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ImageColor

from eotasks.models.clouds.mask_classes import SNOW, THIN_CLOUD
from eotasks.models.clouds.postprocess import CLEAR, CLOUD, NO_DATA
from eotasks.workflows.product_masks.options import CloudMaskOptions
from eotasks.workflows.product_masks.product import Picture, ProductMasks
from eotasks.workflows.report import ground, palette
from eotasks.workflows.report.cividis import CIVIDIS, cividis
from eotasks.workflows.report.raster import Bounds, Raster
from eotasks.workflows.report.sheet import Across, Box, Sheet, fitted, width_of

CLOUD_COLOR, SHADOW_COLOR = palette.ORANGE, palette.BLUE
SNOW_COLOR, THIN_CLOUD_COLOR, TERRAIN_COLOR = "#56b4e9", "#f0e442", "#cc79a7"
"""Those of the files: of Okabe and Ito, whom the colour-blind tell apart."""

_CLEAR_COLOR = "#9a9a9a"
_COVERED = 0.72
"""How much of the scene a class covers."""

_WIDTH, _MAX_MAP_HEIGHT = 15.0, 7.0
_LEFT, _RIGHT, _GAP, _TOP, _BOTTOM = 0.95, 0.25, 0.28, 1.12, 1.32
_MIN_WIDTH, _KEY_WIDTH = 9.0, 1.4
_BAR_BOTTOM, _BAR_HEIGHT, _KEYS_TOP = 0.56, 0.13, 0.78
"""Inches, all of them."""

_TITLE, _LABEL, _NUMBER, _KEY, _NOTE, _MARK, _SMALLEST = 12, 10, 9, 9.5, 9, 8, 7
"""Points: sizes of letters."""

_POINT = 1 / 72
_TICK, _PAD, _BELOW_NUMBERS = 3 * _POINT, 3.5 * _POINT, 4 * _POINT
"""Inches."""

_MOST_TICKS = 6, 5
"""Steps between them: across, and up."""

_RATIOS = (0.25, 2.2)
"""Height over width of a map."""

_DARKEST, _BRIGHTEST = 0.5, 99.8
"""Percentiles that become black and white."""
_MOST_AIR = 0.16
"""Reflectance: a scene all of cloud has no dark ground, and must not turn black."""
_WHITE = (0.25, 0.7)
_GAMMA = 1.5
"""Lifts the ground without burning out the clouds."""

_ROWS = 64
"""Of dots that are drawn at a time."""


def draw_quicklook(masks: ProductMasks, options: CloudMaskOptions, name: str, path: Path) -> None:
    """Write the picture as PNG; the same input gives the same bytes.

    :param masks: What is shown.
    :param options: How it was made, for the caption.
    :param name: Of the product.
    :param path: File to write, whatever its ending.
    """
    sheet = quicklook_sheet(masks, options, name)
    with path.open("wb") as file:
        sheet.write(file)


def quicklook_sheet(masks: ProductMasks, options: CloudMaskOptions, name: str) -> Sheet:
    """The sheet of :func:`draw_quicklook`."""
    layout = _Layout.of(masks)
    sheet = Sheet(*layout.size)
    shown = _picture(masks)
    scene = Raster(true_color(shown.reflectance), shown.grid.bounds)
    layers = [("Scene, true colour", [scene])]
    if masks.probability is not None:
        layers.append(("Cloud probability", [_probability_layer(masks, masks.probability)]))
    layers.append((_mask_title(options), [_grey(scene), *_mask_layers(masks)]))
    for index, (title, rasters) in enumerate(layers):
        box = layout.box(index)
        _draw_map(sheet, box, _view(masks), rasters)
        sheet.text((box[0], box[1] + box[3] + 9 * _POINT), title, size=_TITLE, bold=True)
        _draw_axes(sheet, box, ground.Axis(masks.grid.crs), _view(masks), is_first=index == 0)
    _draw_scale_bar(sheet, layout.box(0), _view(masks), masks.grid.crs)
    if masks.probability is not None:
        threshold = options.mask.threshold if options.has_mask_settings else None
        _draw_probability_bar(sheet, layout, threshold)
    _draw_keys(sheet, layout, _keys(masks))
    _write_captions(sheet, layout, masks, options, name)
    return sheet


def true_color(reflectance: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Reflectance (h, w, 3) as picture (h, w, 4): dark ground and the texture of clouds are both seen.

    Black is the darkest ground of each band, which takes off the blue of the air; white is one value for all bands, so
    that clouds and snow stay white, and lies between 0.25 (a hazy winter scene) and 0.7 (bright clouds). Transparent
    where NaN.
    """
    known = np.isfinite(reflectance).all(axis=-1)
    picture = np.zeros((*reflectance.shape[:2], 4), dtype=np.uint8)
    if known.any():
        white = np.clip(np.percentile(reflectance.max(axis=-1)[known], _BRIGHTEST), *_WHITE)
        for band in range(3):  # one at a time, for memory: what is made on the way has eight bytes
            values = reflectance[..., band]
            black = np.minimum(np.percentile(values[known], _DARKEST), _MOST_AIR)
            stretched = np.clip((np.nan_to_num(values) - black) / (white - black), 0, 1) ** (1 / _GAMMA)
            picture[..., band] = np.rint(stretched * 255)
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
        ratio = (top - bottom) * ground.Axis(masks.grid.crs).aspect(view) / (right - left)
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

    def box(self, index: int) -> Box:
        """The place of a map."""
        return self.left(index), _BOTTOM, self.map_width, self.map_height


def _picture(masks: ProductMasks) -> Picture:
    if masks.picture is None:
        raise ValueError("masks made without a picture cannot be drawn")
    return masks.picture


def _view(masks: ProductMasks) -> Bounds:
    """The ground that is drawn: that of the picture, with a margin where it is too slender to put words to."""
    left, bottom, right, top = bounds = _picture(masks).grid.bounds
    aspect = ground.Axis(masks.grid.crs).aspect(bounds)
    width, height = right - left, (top - bottom) * aspect
    low, high = _RATIOS
    wide, tall = max(height / high - width, 0) / 2, max(width * low - height, 0) / 2 / aspect
    return left - wide, bottom - tall, right + wide, top + tall


def _mask_title(options: CloudMaskOptions) -> str:
    asked = {"thin cloud": options.thin_cloud, "snow": options.snow, "shadow": options.shadows}
    parts = ["Cloud", *(name for name, is_asked in asked.items() if is_asked)]
    return f"{', '.join(parts[:-1])} and {parts[-1]} mask" if len(parts) > 1 else "Cloud mask"


def _probability_layer(masks: ProductMasks, probability: NDArray[np.float32]) -> Raster:
    known = masks.mask != NO_DATA
    small = ground.decimate(Raster(np.where(known, probability, np.float32(np.nan)), masks.grid.bounds), mean=True)
    alpha = np.where(np.isfinite(small.values), 255, 0).astype(np.uint8)
    return Raster(np.dstack([cividis(small.values), alpha]), small.bounds)


def _grey(scene: Raster) -> Raster:
    """The scene without its colours: classes lie over it, so that the eye can check them against what is there."""
    grey = scene.values.copy()
    for rows in grey:  # one at a time, for memory: what is made on the way has four bytes
        light = rows[:, :3].astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
        rows[:, :3] = np.rint(light)[:, np.newaxis]
    return Raster(grey, scene.bounds)


def _mask_layers(masks: ProductMasks) -> Iterator[Raster]:
    colors = {CLOUD: CLOUD_COLOR, SNOW: SNOW_COLOR, THIN_CLOUD: THIN_CLOUD_COLOR}
    layers = (
        (masks.terrain_shade, {CLOUD: TERRAIN_COLOR}),
        (masks.shadow, {CLOUD: SHADOW_COLOR}),
        (masks.mask, colors),
    )
    for classes, shown in layers:
        if classes is None:
            continue
        small = ground.decimate(Raster(classes, masks.grid.bounds), mean=False)
        overlay = np.zeros((*small.values.shape, 4), dtype=np.uint8)
        for value, color in shown.items():
            overlay[small.values == value] = (*ImageColor.getrgb(color), round(_COVERED * 255))
        yield Raster(overlay, small.bounds)


def _draw_map(sheet: Sheet, box: Box, view: Bounds, rasters: Sequence[Raster]) -> None:
    """Pictures (h, w, 4) one over the other, each dot of the sheet from the pixel at its middle."""
    height, width = sheet.size_of(box)
    x = view[0] + (np.arange(width) + 0.5) / width * (view[2] - view[0])
    y = view[3] - (np.arange(height) + 0.5) / height * (view[3] - view[1])
    # Dots side by side that show the same pixels are computed once: of a small product that is nearly all of them.
    wide, across = _runs(
        [_pixels_at(x, raster.bounds[0], raster.bounds[2], raster.values.shape[1]) for raster in rasters]
    )
    tall, down = _runs(
        [_pixels_at(-y, -raster.bounds[3], -raster.bounds[1], raster.values.shape[0]) for raster in rasters]
    )
    shown = np.empty((len(tall), len(wide), 3), np.uint8)
    for first in range(0, len(tall), _ROWS):  # some at a time, for memory
        part = slice(first, first + _ROWS)
        shown[part] = _blended(rasters, [rows[part] for rows in down], across)
    dots = shown.repeat(tall, axis=0).repeat(wide, axis=1)
    sheet.picture(box, dots)
    sheet.rectangle(box, outline=palette.QUIET)


def _blended(
    rasters: Sequence[Raster], down: Sequence[NDArray[np.intp]], across: Sequence[NDArray[np.intp]]
) -> NDArray[np.uint8]:
    """Colours (h, w, 3) of dots, of which each shows these pixels of the pictures."""
    drawn = np.empty((len(down[0]), len(across[0]), 3), np.float32)
    drawn[:] = ImageColor.getrgb(palette.NO_DATA_COLOR)
    for raster, rows, columns in zip(rasters, down, across, strict=True):
        inside = _inside(rows), _inside(columns)
        colors = raster.values[rows[inside[0]]][:, columns[inside[1]]].astype(np.float32)
        drawn[inside] += (colors[..., :3] - drawn[inside]) * (colors[..., 3:] / 255)
    return np.rint(drawn).astype(np.uint8)


def _pixels_at(places: NDArray[np.float64], start: float, stop: float, count: int) -> NDArray[np.intp]:
    """The pixel of an image at each place along an axis; -1 beside the image."""
    found = np.floor((places - start) / (stop - start) * count)
    return np.where((found >= 0) & (found < count), found, -1).astype(np.intp)


def _runs(pixels: Sequence[NDArray[np.intp]]) -> tuple[NDArray[np.intp], list[NDArray[np.intp]]]:
    """How many dots in a row show the same pixels of all images, and which these are."""
    stacked = np.stack(pixels)
    first = np.flatnonzero(np.append(True, (np.diff(stacked) != 0).any(axis=0)))
    return np.diff(np.append(first, stacked.shape[1])), list(stacked[:, first])


def _inside(pixels: NDArray[np.intp]) -> slice:
    """The dots that show an image: they lie side by side."""
    shown = np.flatnonzero(pixels >= 0)
    return slice(shown[0], shown[-1] + 1) if len(shown) else slice(0)


def _draw_axes(sheet: Sheet, box: Box, axis: ground.Axis, view: Bounds, *, is_first: bool) -> None:
    left, bottom, width, height = box
    words = axis.labels()
    for value, place in _ticks(view[0] / axis.scale, view[2] / axis.scale, _MOST_TICKS[0]):
        x = left + place * width
        sheet.line((x, bottom - _TICK), (x, bottom), color=palette.QUIET)
        sheet.text((x, bottom - _TICK - _PAD), value, size=_NUMBER, across="middle", up="top")
    below = bottom - _TICK - _PAD - 1.05 * _NUMBER * _POINT - _BELOW_NUMBERS
    sheet.text((left + width / 2, below), words[0], size=_LABEL, color=palette.QUIET, across="middle", up="top")
    longest = 0.0
    for value, place in _ticks(view[1] / axis.scale, view[3] / axis.scale, _MOST_TICKS[1]):
        y = bottom + place * height
        sheet.line((left - _TICK, y), (left, y), color=palette.QUIET)
        if is_first:
            sheet.text((left - _TICK - _PAD, y), value, size=_NUMBER, across="right", up="centre")
            longest = max(longest, width_of(value, _NUMBER))
    if is_first:
        beside = left - _TICK - _PAD - longest - _BELOW_NUMBERS - 1.2 * _LABEL * _POINT
        sheet.text((beside, bottom + height / 2), words[1], size=_LABEL, color=palette.QUIET, upright=True)


def _ticks(low: float, high: float, most: int) -> list[tuple[str, float]]:
    """Round numbers along an axis and their places, 0 to 1: two at least, and ``most`` steps between them at most."""
    return [(f"{value:,.7g}", (value - low) / (high - low)) for value in round_numbers(low, high, most)]


def round_numbers(low: float, high: float, most: int) -> list[float]:
    """Multiples of 1, 2 or 5 (times a power of ten) from ``low`` to ``high``, with ``most`` steps between them at most.

    Where that leaves fewer than two the next smaller steps are taken.
    """
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    steps = [step * scale for scale in (power / 10, power) for step in (1, 2, 5)] + [power * 10]
    first = next(index for index, step in enumerate(steps) if step >= raw * (1 - 1e-9))
    numbers: list[float] = []
    for step in reversed(steps[: first + 1]):
        begin, end = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        numbers = [round(count * step, 10) for count in range(begin, end + 1)]
        if len(numbers) > 1:
            break
    return numbers


def _draw_scale_bar(sheet: Sheet, box: Box, view: Bounds, crs: str) -> None:
    """A bar of a round length in the lower left corner; none on geographic maps, where it would depend on the place."""
    axis = ground.Axis(crs)
    if axis.geographic:
        return
    across = (view[2] - view[0]) / axis.scale
    length = ground.round_length(across / 4)
    left, bottom, width, height = box
    x, y = left + width * 0.025, bottom + height * 0.045
    to_x = x + length / across * width
    sheet.line((x, y), (to_x, y), color="white", width=2.4, halo=palette.INK)
    text = f"{length:g} km" if length >= 1 else f"{length * 1000:g} m"
    at = (x + to_x) / 2, y + 6 * _POINT
    sheet.text(at, text, size=9.5, color="white", bold=True, across="middle", halo=palette.INK)


def _draw_probability_bar(sheet: Sheet, layout: _Layout, threshold: float | None) -> None:
    """A bar under the map, with the threshold on it where the mask was made by one."""
    left, _, width, _ = layout.box(1)
    box = left, _BAR_BOTTOM, width, _BAR_HEIGHT
    height, dots = sheet.size_of(box)
    colors = CIVIDIS[(np.arange(dots) * len(CIVIDIS)) // dots]
    sheet.picture(box, np.ascontiguousarray(np.broadcast_to(colors, (height, dots, 3))))
    sheet.rectangle(box, outline=palette.QUIET)
    for value in (0, 0.2, 0.4, 0.6, 0.8, 1):
        x = left + value * width
        sheet.line((x, _BAR_BOTTOM - _TICK), (x, _BAR_BOTTOM), color=palette.QUIET)
        at = x, _BAR_BOTTOM - _TICK - _PAD
        sheet.text(at, f"{value:.1f}", size=_NUMBER, across="middle", up="top")
    if threshold is None:
        return
    x, top = left + threshold * width, _BAR_BOTTOM + _BAR_HEIGHT
    sheet.line((x, _BAR_BOTTOM), (x, top), color="white", width=3.2)
    sheet.line((x, _BAR_BOTTOM), (x, top), color=palette.VERMILION, width=1.6)
    side: Across = "left" if threshold < 0.2 else "right" if threshold > 0.8 else "middle"
    at = x, top + 2 * _POINT
    sheet.text(at, "threshold", size=_MARK, color=palette.VERMILION, across=side, up="bottom")


def _keys(masks: ProductMasks) -> list[tuple[str, str]]:
    """Colours and what they mean, with their shares."""
    shares = masks.shares
    known = (
        (CLOUD_COLOR, "cloud", shares.cloud),
        (THIN_CLOUD_COLOR, "thin cloud", shares.thin_cloud),
        (SNOW_COLOR, "snow", shares.snow),
        (SHADOW_COLOR, "shadow", shares.shadow),
        (TERRAIN_COLOR, "terrain shade", shares.terrain_shade),
    )
    entries = [(color, label, share) for color, label, share in known if share is not None]
    is_clear = masks.mask == CLEAR
    if masks.shadow is not None:
        is_clear &= masks.shadow == CLEAR
    if masks.terrain_shade is not None:
        is_clear &= masks.terrain_shade == CLEAR
    entries.append((_CLEAR_COLOR, "clear", float(is_clear.sum() / (masks.mask != NO_DATA).sum())))
    keys = [(color, f"{label}  {share:.1%}") for color, label, share in entries]
    if shares.data < 1:
        keys.append((palette.NO_DATA_COLOR, f"no data  {1 - shares.data:.1%} of all"))
    return keys


def _draw_keys(sheet: Sheet, layout: _Layout, keys: Sequence[tuple[str, str]]) -> None:
    """The keys under the mask, in columns."""
    columns = len(keys)
    if columns * _KEY_WIDTH >= layout.map_width:
        columns = 3 if columns > 4 and layout.map_width > 3 * _KEY_WIDTH else 2
    em = _KEY * _POINT
    left = layout.left(layout.columns - 1)
    rows = math.ceil(len(keys) / columns)
    for start in range(0, len(keys), rows):
        column = keys[start : start + rows]
        for row, (color, text) in enumerate(column):
            base = _KEYS_TOP - 0.8 * em - row * 1.6 * em
            sheet.rectangle((left, base, 1.3 * em, 0.7 * em), fill=color, outline=palette.QUIET, width=0.6)
            sheet.text((left + 2.1 * em, base), text, size=_KEY)
        left += 3.5 * em + max(width_of(text, _KEY) for _, text in column)


def _write_captions(sheet: Sheet, layout: _Layout, masks: ProductMasks, options: CloudMaskOptions, name: str) -> None:
    """Name and place above, how it was made and whose data it is below."""
    _, height = layout.size
    acquisition = masks.acquisition
    place = [
        f"Sentinel-{acquisition.satellite[1:]} {acquisition.level}",
        f"{palette.day(acquisition.time)}, {acquisition.time:%H:%M} UTC",
        f"tile {acquisition.tile}",
        ground.centre(masks.grid.bounds, masks.grid.crs),
    ]
    room = layout.width - _LEFT - _RIGHT
    shown, size = fitted(name, room, size=15, least=_NOTE, bold=True)
    sheet.text((_LEFT, height - 0.22), shown, size=size, bold=True, up="top")
    where, size = fitted("  ·  ".join(filter(None, place)), room, size=10.5, least=_SMALLEST)
    sheet.text((_LEFT, height - 0.54), where, size=size, color=palette.QUIET, up="top")
    if acquisition.attribution:
        right = layout.left(layout.columns - 1) + layout.map_width
        room = right - width_of(acquisition.attribution, _NOTE) - _GAP - _LEFT
    how, size = fitted(options.describe(), room, size=_NOTE, least=_SMALLEST)
    sheet.text((_LEFT, 0.14), how, size=size, color=palette.QUIET, up="bottom")
    if acquisition.attribution:
        right = layout.left(layout.columns - 1) + layout.map_width
        at = right, 0.14
        sheet.text(at, acquisition.attribution, size=_NOTE, color=palette.QUIET, across="right", up="bottom")
