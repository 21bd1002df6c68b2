"""Whether the values of bands agree with the scale that they are said to have.

A scale can be told from the values where there are enough of them, because nature is narrow: the air alone gives a
pixel of L1C a reflectance of 0.05 in its brightest band, and hardly a frame shows 1.5 in half of its pixels. Wrong by
100, 255 or 10000, either way, leaves that range. Wrong by 6.55 (reflectance * 65535 taken for digital numbers) need
not, so there the colours say it: what is brighter than 0.65 is cloud or snow, hence white in the visible and near
infrared. Measured in 4,300 crops of 8 to 64 pixels of ten real frames, clear and cloudy, winter and tropics: at most 45
% of the pixels of a crop are too bright for their colour (in a tile decimated so that bands do not lie on each other at
the edges of clouds, elsewhere 2 %); times 6.55 more than half of them are, but in 4 % of the crops, of bare fields in
February under haze. Numbers that were not resampled tell it there too: they are multiples of 6.5535.

What cannot be told: fewer than ``FEWEST_PIXELS``; bands of L2A alone that are dark everywhere and given as floats.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import GridError, ReflectanceError
from eotasks.models.scales import DIVISORS, ReflectanceScale, due_words, reflectance_scale, unmasked
from eotasks.models.sentinel2 import QUANTIFICATION, SATURATED_DN

_CALLED: Mapping[ReflectanceScale, str] = MappingProxyType(
    {
        "reflectance": "reflectance itself",
        "percent": "percentages",
        "0..255": "8 bits",
        "dn": "raw digital numbers (the baseline offset is to be removed)",
        "0..65535": "16 bits",
    }
)

FEWEST_PIXELS = 64
"""With data, to judge a frame by."""

MOST_PIXELS = 1 << 12
"""Looked at in a frame, evenly spread: 4096 tell a share to a per cent, whatever its size, in half a millisecond."""

DARKEST = 0.04
"""Reflectance of the brightest band that half the pixels of a frame of L1C exceed: the air alone gives more."""

BRIGHTEST = 2.0
"""Reflectance that single clouds exceed, never half of the pixels of a frame."""

WHITE_FROM = 0.65
"""Reflectance above which only cloud, snow and salt lie, which are white."""

LEAST_WHITE = 0.5
"""Darkest by brightest of the visible and near infrared bands of what is white."""

NATURAL: tuple[tuple[str, str, float, float], ...] = (("B01", "B02", 1.67, 0.6), ("B08", "B8A", 1.4, 0.5))
"""Neighbours in the spectrum, how far one exceeds the other, and in what share of the pixels at least it does not: by
spectra that are made up nothing can be told."""

MAX_IMPOSSIBLE_SHARE = 0.5
MAX_SATURATED_SHARE = 0.005
"""Of the pixels; a product has few that are saturated."""

_WHITE_BANDS = frozenset(("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A"))
_LISTED = 5
BITS_8 = 255
"""The highest whole number of 8 bits."""
_STEP = DIVISORS["0..65535"] / QUANTIFICATION
_FEW, _ENOUGH = 512, 40
"""Numbers of a band that are looked at, and different ones that no accident brings to multiples."""


@dataclass(frozen=True)
class ScaleSigns:
    """What the values of one frame say about their scale."""

    pixels: int
    """With data, that were looked at."""

    brightness: float = math.nan
    """Median of the brightest band of a pixel, as reflectance."""

    impossible_share: float = 0.0
    """Share of the pixels that are brighter than their colour can be."""

    saturated_share: float = 0.0
    """Share of the pixels that hold 65535 in a band."""

    of_16_bits: bool = False
    """Whole numbers that are multiples of 6.5535, rounded."""

    highest: float = 0.0
    """As given."""


def refuse_other_scale(
    frames: NDArray[np.generic],
    valid: NDArray[np.bool_] | None = None,
    *,
    names: Sequence[str],
    scale: ReflectanceScale | None = None,
    frame_names: Sequence[str] | None = None,
    where: str = "the bands",
) -> None:
    """Refuse bands whose values contradict their scale.

    :param frames: Array (t, h, w, bands).
    :param valid: Boolean array (t, h, w) of the pixels with data. None: all but those of 0 or NaN in every band.
    :param names: Names of the bands in their order. With B10 they are of L1C, which cannot be dark.
    :param scale: What the user says, None for what the dtype says.
    :param frame_names: What the frames are called in the message; None numbers them.
    :param where: What the array is, for messages.
    :raises ConfigurationError: a scale that is not known.
    :raises ReflectanceError: another scale; the message names the frames, and the divisor.
    :raises GridError: shapes that do not fit.
    """
    check_shape(frames, valid, where)
    reflectance_scale(frames.dtype, scale, where=where)
    signs = [
        scale_signs(*sampled(frame, None if valid is None else valid[index]), names=names, scale=scale, where=where)
        for index, frame in enumerate(frames)
    ]
    called = numbered(frame_names, len(frames))
    refuse_by_signs(signs, called, frames, valid, names=names, scale=scale, where=where)


def check_shape(frames: NDArray[np.generic], valid: NDArray[np.bool_] | None, where: str) -> None:
    """Refuse what is no stack of frames, or a mask of another shape.

    :raises GridError: naming the shapes.
    """
    unmasked(frames, where)
    if frames.ndim != 4 or (valid is not None and valid.shape != frames.shape[:3]):
        of_valid = "" if valid is None else f", the valid mask {valid.shape}"
        raise GridError(f"{where}: shape {frames.shape}{of_valid}; (time, height, width, bands) is due.")


def numbered(frame_names: Sequence[str] | None, count: int) -> Sequence[str]:
    """What frames are called in messages: their names, or numbers where they have none."""
    return frame_names if frame_names is not None else [f"frame {index}" for index in range(count)]


def refuse_by_signs(
    signs: Sequence[ScaleSigns],
    frame_names: Sequence[str],
    frames: NDArray[np.generic],
    valid: NDArray[np.bool_] | None,
    *,
    names: Sequence[str],
    scale: ReflectanceScale | None = None,
    where: str = "the bands",
) -> None:
    """The same, of signs that were seen already.

    :raises ReflectanceError: another scale.
    """
    known = reflectance_scale(frames.dtype, scale, where=where)
    seen = [(name, sign) for name, sign in zip(frame_names, signs, strict=True) if sign.pixels >= FEWEST_PIXELS]
    highest = max((sign.highest for _, sign in seen), default=0.0)
    if scale is None and known == "dn" and 0 < highest <= BITS_8:
        _refuse_8_bits(frames, valid, where)
    if known == "dn":
        full = [name for name, sign in seen if sign.saturated_share > MAX_SATURATED_SHARE]
        steps = [name for name, sign in seen if sign.of_16_bits]
        if full or steps:
            why = "full of 65535" if full else f"in steps of {_STEP}"
            raise ReflectanceError(
                f"{_place(full or steps, where)}: {why}: reflectance * 65535, no DN. Divide by 65535"
                " (scale='0..65535'), or mark saturated pixels as no data."
            )
    bright = [(name, sign) for name, sign in seen if sign.impossible_share > MAX_IMPOSSIBLE_SHARE]
    if bright:
        raise _wrong(bright, known, where, "which is brighter than clouds and snow, or not as white")
    dark = [(name, sign) for name, sign in seen if sign.brightness < DARKEST]
    if dark and "B10" in names and ("B01" in names or "B02" in names):
        raise _wrong(dark, known, where, "where the air alone gives 0.05 in L1C")


def _wrong(frames: Sequence[tuple[str, ScaleSigns]], known: ReflectanceScale, where: str, why: str) -> ReflectanceError:
    brightness = float(np.median([sign.brightness for _, sign in frames]))
    highest = max(sign.highest for _, sign in frames)
    return ReflectanceError(
        f"{_place([name for name, _ in frames], where)}: taken as {due_words(known)}, the brightest band of a pixel is"
        f" {brightness:.2g}, {why}: {_cure(brightness, highest, DIVISORS[known])}"
    )


def _place(names: Sequence[str], where: str) -> str:
    """The first frame with what is wrong, and how many others."""
    first = names[0] if names[0].startswith(where) else f"{where} of {names[0]}"
    return first if len(names) == 1 else f"{first}: and in {len(names) - 1} more ({listed(names[1:])})"


def _cure(brightness: float, highest: float, divisor: int) -> str:
    """By which of the known divisors the values become likely ones."""
    likely: list[ReflectanceScale] = [
        scale
        for scale in get_args(ReflectanceScale)
        if DIVISORS[scale] != divisor and 0.05 <= brightness * divisor / DIVISORS[scale] <= 1.6
    ]
    ends: list[ReflectanceScale] = [scale for scale in likely if DIVISORS[scale] == highest]
    likely = ends or likely
    if likely:
        ways = [f"by {DIVISORS[scale]} (scale={scale!r})" for scale in likely]
        return f"{' or '.join(_CALLED[scale] for scale in likely)}. Divide {' or '.join(ways)}."
    factors = [other for other in DIVISORS.values() if other > 1 and 0.05 <= brightness * other <= 1.6]
    if factors:
        return f"divided twice. Multiply by {' or '.join(map(str, factors))}."
    if divisor == 1 and 0.05 <= brightness / _STEP <= 1.6:
        return f"16 bits that were divided by {QUANTIFICATION}. Divide by 65535 instead (here by {_STEP} once more)."
    return "another scale. Bring them to reflectance (1.0 = 100 %), or name their scale."


def sampled(
    frame: NDArray[np.generic],
    valid: NDArray[np.bool_] | None,
    has_data: Callable[[NDArray[np.generic]], NDArray[np.bool_]] | None = None,
) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
    """Some pixels of a frame, evenly spread, and which of them have data; all of a small one.

    :param frame: Array (h, w, bands).
    :param valid: Boolean array (h, w), or None where the bands say it.
    :param has_data: Says it of bands (..., bands); None: all but those of 0 or NaN in every band.
    :return: (rows, columns, bands) and (rows, columns), about ``MOST_PIXELS``.
    """
    crowd = frame.shape[0] * frame.shape[1] / MOST_PIXELS
    across = min(max(1, math.ceil(math.sqrt(crowd))), max(1, frame.shape[1]))
    down = max(1, math.ceil(crowd / across))
    part = frame[::down, ::across]
    says = has_data or present
    seen = says(part) if valid is None else np.asarray(valid[::down, ::across])
    if crowd <= 1 or np.count_nonzero(seen) >= FEWEST_PIXELS:
        return part, seen
    rows, columns = np.nonzero(says(frame) if valid is None else valid)  # all that there is
    few = slice(None, None, max(1, len(rows) // MOST_PIXELS))
    chosen = frame[rows[few], columns[few]][:, np.newaxis]
    return chosen, np.ones(chosen.shape[:2], dtype=bool)


def _refuse_8_bits(frames: NDArray[np.generic], valid: NDArray[np.bool_] | None, where: str) -> None:
    """Refuse whole numbers of which all, and not only those that were looked at, have 8 bits."""
    inside = True if valid is None else valid[..., np.newaxis]
    highest = float(np.max(frames, initial=0, where=inside))
    if highest > BITS_8:
        return
    likely = "by 100 (scale='percent') or by 255 (scale='0..255')" if highest <= 100 else "by 255 (scale='0..255')"
    raise ReflectanceError(
        f"{where}: whole numbers that end at {highest:.0f}, as DN a reflectance of {highest / QUANTIFICATION:.4f}:"
        f" divide {likely}, or say scale='dn' where they are as dark as that."
    )


def present(frame: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Pixels (...) of bands (..., bands) that are neither 0 nor NaN in all of them."""
    first = frame[..., 0]
    here = np.ones(first.shape, dtype=bool)
    doubtful = (first == 0) | (first != first)
    if doubtful.any():
        some = frame[doubtful]
        here[doubtful] = ((some != 0) & (some == some)).any(axis=-1)
    return here


def scale_signs(
    pixels: NDArray[np.generic],
    seen: NDArray[np.bool_],
    *,
    names: Sequence[str],
    scale: ReflectanceScale | None = None,
    where: str = "the bands",
) -> ScaleSigns:
    """What pixels of one frame say about their scale.

    :param pixels: Array (rows, columns, bands).
    :param seen: Boolean array (rows, columns) of those with data.
    """
    divisor = np.float32(DIVISORS[reflectance_scale(pixels.dtype, scale, where=where)])
    bands = dict(zip(names, np.moveaxis(pixels[seen], -1, 0), strict=True))
    planes = {name: plane.astype(np.float32) / divisor for name, plane in bands.items()}
    if not planes or not next(iter(planes.values())).size:
        return ScaleSigns(0)
    of_pixels = np.fmax.reduce(list(planes.values()))
    brightest = of_pixels[np.isfinite(of_pixels)]
    if not brightest.size:
        return ScaleSigns(0)
    highest = float(brightest.max()) * float(divisor)
    saturated = 0.0
    if pixels.dtype.kind in "iu" and highest >= SATURATED_DN:
        saturated = float(np.mean(np.logical_or.reduce([plane == SATURATED_DN for plane in bands.values()])))
    return ScaleSigns(
        pixels=int(brightest.size),
        brightness=float(np.median(brightest)),
        impossible_share=_impossible_share(planes, of_pixels),
        saturated_share=saturated,
        of_16_bits=pixels.dtype.kind in "iu" and any(_is_of_16_bits(plane) for plane in bands.values()),
        highest=round(highest, 3),
    )


def _is_of_16_bits(numbers: NDArray[np.generic]) -> bool:
    """Whether numbers of a band are digital numbers (reflectance * 10000) times 6.5535, rounded or cut off."""
    some = np.asarray(numbers[:: max(1, len(numbers) // _FEW)], dtype=np.float64)
    some = some[(some > 0) & (some < SATURATED_DN)]
    steps = np.abs(some - np.rint(some / _STEP) * _STEP) <= 1  # true of three in ten numbers
    return bool(steps.all()) and len(np.unique(some)) >= _ENOUGH


def _impossible_share(planes: Mapping[str, NDArray[np.float32]], brightest: NDArray[np.float32]) -> float:
    """Share of the pixels that are too bright, or too bright for what is not white.

    :param brightest: Of all planes, for each pixel.
    """
    impossible = brightest > BRIGHTEST
    if all(_are_neighbours(planes, *pair) for pair in NATURAL):
        visible = [plane for name, plane in planes.items() if name in _WHITE_BANDS]
        most = np.fmax.reduce(visible)
        impossible |= (most > WHITE_FROM) & (np.fmin.reduce(visible) < LEAST_WHITE * most)
    return float(np.mean(impossible))


def _are_neighbours(planes: Mapping[str, NDArray[np.float32]], a: str, b: str, ratio: float, share: float) -> bool:
    if a not in planes or b not in planes:
        return False
    first, second = planes[a], planes[b]
    return bool(np.mean((first < ratio * second) & (second < ratio * first)) >= share)


def listed(names: Sequence[str]) -> str:
    """The first few names of many, for a message."""
    return ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")
