"""Whether bands can be what they are called: top-of-atmosphere (L1C) reflectance, in order, without a baseline offset.

Cloud models do not notice: they call bands with the offset of processing baseline 04.00 and later (+1000 DN) cloud
everywhere, and bands in another order anything. Two facts of the cirrus band B10 (1375 nm) give both away. Water vapour
swallows its light before it reaches the ground, so that somewhere in nearly every frame it is close to 0. And it is
darker than the visible and near infrared bands in every pixel: on the ground for that reason, in clouds because it sees
less of them.

Measured over 21 real frames, clear and cloudy, 1.7 million pixels: B10 was brighter than the darkest of the others by
more than 0.005 in at most 0.007 % of a frame's pixels; of five wrong orders of the same frames the rule below found 103
in 105. An offset was found in all 21. What cannot be told: B10 in its place and other bands exchanged; an
offset where every pixel lies under thick high cloud (cloud either way); an offset in a frame whose pixels without data
hold other values than 0 and are not marked. Where all that is seen is bright, in B02 too, a B10 of 0.1 to 0.2 may be an
offset as well as a storm or the dry snow of a high plateau, and the model's answer hardly depends on which: that is a
warning in the log.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import BandError, ReflectanceError, ScaleWarning, warn_caller
from eotasks.models.band_sets import band_names
from eotasks.models.clouds.validity import is_fill
from eotasks.models.scale_signs import (
    FEWEST_PIXELS,
    check_shape,
    listed,
    numbered,
    refuse_by_signs,
    sampled,
    scale_signs,
)
from eotasks.models.scales import DIVISORS, ReflectanceScale, check_mask, reflectance_scale
from eotasks.models.sentinel2 import CLOUD_BANDS, QUANTIFICATION, band_indices

LOGGER = logging.getLogger(__name__)

OFFSET = 0.1
"""Reflectance of the offset that baselines from 04.00 on add (1000 DN)."""

HIGH_CLOUD = 0.1
"""B10 reflectance that only thick, high cloud has; a frame with it everywhere is cloud, with or without the offset."""

REMOVED_TWICE = -0.03
"""B10 reflectance that no noise reaches, it is ten times less."""

LOWEST_REMOVED = -0.25
"""B10 reflectance that two offsets reach; what lies below is a value of no data."""

MAX_NEGATIVE_SHARE = 0.1
"""Of the pixels. Resampling can undershoot beside bright cloud, in few pixels."""

MAX_ZERO_SHARE = 0.9
"""Of the pixels with data whose B10 is exactly 0: the air gives it some thousandths, over any ground."""

BRIGHTER_BY = 0.005
MAX_BRIGHTER_SHARE = 0.9
"""Of the pixels in which B10 is the brighter one; a whole frame of this is no accident."""

BRIGHT = 0.4
"""B02 reflectance, the offset taken off, of thick cloud and snow."""

MAX_DARK_SHARE = 0.005
"""Of the pixels that may lie below a limit which a whole frame is above: damaged ones, and edges of a swath."""

BLOCK_PIXELS = 1 << 18
"""Looked at together, which holds the memory down."""

COARSEST = 255
"""Steps of a reflectance of 1 that thin cloud is lost in: it was 14.7 % of the sample instead of 22.1 %."""

_BRIGHTER_THAN_CIRRUS = ("B01", "B02", "B04", "B05", "B08", "B8A", "B09")


@dataclass(frozen=True)
class CirrusSigns:
    """What the cirrus band of one frame says."""

    pixels: int
    """With data."""

    lowest: float
    """Lowest B10 reflectance above ``OFFSET``, infinity where there is none."""

    dark_share: float
    """Share of the pixels whose B10 is not above ``OFFSET``, of those where it is not 0, which may be a hole."""

    bright_share: float
    """Share of the pixels that are bright in B02 without an offset too."""

    negative_share: float
    """Share of the pixels where B10 lies between ``REMOVED_TWICE`` and what an offset can bring it to."""

    brighter_share: float
    """Share of the pixels where B10 is brighter than the darkest visible or near infrared band."""

    zero_share: float
    """Share of the pixels where B10 is exactly 0."""

    @property
    def seems_offset(self) -> bool:
        """Every pixel exceeds the offset, though not by so much that all is high cloud anyway."""
        highest = np.float32(OFFSET + HIGH_CLOUD)
        return (
            self.pixels >= FEWEST_PIXELS
            and self.dark_share < MAX_DARK_SHARE
            and bool(np.float32(self.lowest) <= highest)
        )

    @property
    def offset_left_in(self) -> bool:
        """The same, and there is ground or thin cloud to see, over which B10 cannot be as bright."""
        return self.seems_offset and self.bright_share < 1 - MAX_DARK_SHARE

    @property
    def offset_removed_twice(self) -> bool:
        """Many pixels lie where only an offset can bring them."""
        return self.pixels >= FEWEST_PIXELS and self.negative_share > MAX_NEGATIVE_SHARE

    @property
    def cut_off_at_0(self) -> bool:
        """There is hardly anything in B10, and something in other bands."""
        return self.pixels >= FEWEST_PIXELS and self.zero_share > MAX_ZERO_SHARE

    @property
    def out_of_order(self) -> bool:
        """The band in the place of B10 is another one."""
        return self.pixels >= FEWEST_PIXELS and self.brighter_share > MAX_BRIGHTER_SHARE


_Signs = Sequence[tuple[str, CirrusSigns]]
"""Of the frames with data, by the name of the frame; two frames of one minute have one name."""


def refuse_implausible(
    frames: NDArray[np.generic],
    valid: NDArray[np.bool_] | None = None,
    *,
    bands: Sequence[str] | None = None,
    scale: ReflectanceScale | None = None,
    frame_names: Sequence[str] | None = None,
    where: str = "the bands",
) -> None:
    """Refuse L1C bands of another scale or order, that carry a baseline offset, or had it removed twice.

    Some thousand pixels of each frame are looked at (``eotasks.models.scale_signs.sampled``), whatever its size.

    :param frames: Array (t, h, w, bands): float reflectance, integer DN = reflectance * 10000, or of the named scale.
    :param valid: Boolean array (t, h, w) of the pixels with data. None: all but those of a value of no data
        (``eotasks.models.clouds.validity.is_fill``) in all bands.
    :param bands: Names of the bands in their order, None to tell by count (13 of L1C, or the ten of the cloud model).
    :param scale: What the numbers are (``eotasks.models.scales``), None for what the dtype says.
    :param frame_names: What the frames are called in the message, such as their times; None numbers them.
    :param where: What the array is, for messages.
    :raises ReflectanceError: another scale; or an offset, where the message names the frames, and says when only some
        of them have it.
    :raises BandError: the band in the place of B10 is brighter than it can be, or a band is missing.
    :raises FeatureError: a valid mask that is not boolean.
    :raises GridError: shapes that do not fit.
    :warns ScaleWarning: whole numbers of 8 bits or percentages, which are read right and are too coarse.
    """
    check_shape(frames, valid, where)
    names = band_names(frames.shape[-1], bands, where=where)
    mask = None if valid is None else check_mask(valid, name="the valid mask", where=where)
    divisor = np.float32(DIVISORS[reflectance_scale(frames.dtype, scale, where=where)])
    signs, scales = [], []
    for index, frame in enumerate(frames):
        pixels, inside = sampled(frame, None if mask is None else mask[index], _has_data)
        scales.append(scale_signs(pixels, inside, names=names, scale=scale, where=where))
        signs.append(cirrus_signs(pixels.astype(np.float32) / divisor, inside, names, where=where))
    coarse = warn_if_coarse(frames.dtype, float(divisor), where)
    called = numbered(frame_names, len(frames))
    refuse_scale = partial(refuse_by_signs, scales, called, frames, mask, names=names, scale=scale, where=where)
    refuse_signs(list(zip(called, signs, strict=True)), names, refuse_scale=refuse_scale, coarse=coarse, where=where)


def warn_if_coarse(dtype: np.dtype[Any], divisor: float, where: str) -> bool:
    """Warn of whole numbers whose steps are too coarse for the cloud models; whether they are.

    :param divisor: What makes reflectance of them.
    :param where: What they are, for the message.
    :warns ScaleWarning: 8 bits or percentages.
    """
    coarse = dtype.kind in "iu" and divisor <= COARSEST
    if coarse:
        warn_caller(
            f"{where}: steps of {1 / divisor:.1g} are too coarse for a cloud model: B10 of thin cloud"
            " is one or two of them. Of the project's sample a third of the clouds is lost. Take 16 bits.",
            ScaleWarning,
        )
    return coarse


def refuse_signs(
    signs: _Signs,
    names: Sequence[str],
    *,
    refuse_scale: Callable[[], None] | None = None,
    coarse: bool = False,
    where: str = "the bands",
) -> None:
    """Refuse bands by what their cirrus bands say.

    :param signs: Of all frames, by the name of the frame.
    :param names: Names of the bands in their order, for the message.
    :param refuse_scale: Refuses another scale.
    :param coarse: Whole numbers whose steps are wider than a clear B10, which may be 0 everywhere.
    :raises ReflectanceError: as `refuse_implausible`.
    :raises BandError: the same.
    """
    seen = [(name, sign) for name, sign in signs if sign.pixels]
    _refuse_order(seen, names, where)  # first: it holds at any scale, and other bands seem to have another scale
    _refuse_removed_twice(seen, where)  # bands that are dark for it
    if refuse_scale is not None:
        refuse_scale()
    _refuse_left_in(seen, where)
    if not coarse:
        _refuse_cut_off(seen, where)


def _has_data(bands: NDArray[np.generic]) -> NDArray[np.bool_]:
    return ~is_fill(bands)


def _refuse_order(signs: _Signs, names: Sequence[str], where: str) -> None:
    wrong = [frame for frame, sign in signs if sign.out_of_order]
    if wrong:
        raise BandError(
            f"{where}: what should be B10 is brighter than the visible and near infrared bands in {listed(wrong)},"
            f" which the cirrus band never is: the bands are not in the order {', '.join(names)}. Bring them into it,"
            " or name them in their own."
        )


def _refuse_left_in(signs: _Signs, where: str) -> None:
    left_in = [frame for frame, sign in signs if sign.offset_left_in]
    if left_in:  # then those that alone would leave it open have it too
        left_in = [frame for frame, sign in signs if sign.seems_offset]
        lowest = min(sign.lowest for _, sign in signs if sign.seems_offset)
        raise ReflectanceError(
            f"{where}: B10 is nowhere below {lowest * QUANTIFICATION:.0f} DN ({lowest:.3f}) in {listed(left_in)}"
            f"{_mixed(left_in, signs)}: the offset of processing baseline 04.00 and later was left in. Subtract 1000 DN"
            " (0.1) from all bands of such frames, by their baseline and not by their date."
        )
    unsure = [frame for frame, sign in signs if sign.seems_offset]
    if unsure:
        LOGGER.warning(
            "%s: all that %s shows is bright, and B10 above 0.1: a storm or high snow, or a baseline offset left in.",
            where,
            listed(unsure),
        )


def _refuse_removed_twice(signs: _Signs, where: str) -> None:
    twice = [frame for frame, sign in signs if sign.offset_removed_twice]
    if twice:
        raise ReflectanceError(
            f"{where}: B10 is below {REMOVED_TWICE:g} in {listed(twice)}{_mixed(twice, signs)}: an offset was removed"
            " that the products do not have (baselines before 04.00), or twice. Leave their values as they are."
        )


def _refuse_cut_off(signs: _Signs, where: str) -> None:
    cut = [frame for frame, sign in signs if sign.cut_off_at_0]
    if cut:
        raise ReflectanceError(
            f"{where}: B10 is 0 in nearly every pixel of {listed(cut)}{_mixed(cut, signs)}, where even clear air gives"
            " some thousandths: an offset was removed that the products do not have (baselines before 04.00), or twice,"
            " and what fell below 0 cut off; or B10 was filled up, as L2A has none. Take the bands as the products have"
            " them; L2A has a scene classification (AddSceneClassificationMaskTask)."
        )


@dataclass(frozen=True)
class CirrusCounts:
    """What the cirrus band of a part of a frame says; parts are added."""

    pixels: int = 0
    """With data."""

    holes: int = 0
    """Whose B10 is 0."""

    dark: int = 0
    """Whose B10 is not above ``OFFSET``, but not 0."""

    bright: int = 0
    negative: int = 0
    brighter: int = 0
    lowest: float = np.inf
    """B10 reflectance above ``OFFSET``."""

    def __add__(self, other: CirrusCounts) -> CirrusCounts:
        *ours, lowest = astuple(self)
        *theirs, other_lowest = astuple(other)
        sums = [one + another for one, another in zip(ours, theirs, strict=True)]
        return CirrusCounts(*[*sums, min(lowest, other_lowest)])

    def signs(self) -> CirrusSigns:
        """Of all parts of a frame."""
        return CirrusSigns(
            pixels=self.pixels,
            lowest=self.lowest,
            dark_share=self.dark / max(self.pixels - self.holes, 1) if self.pixels > self.holes else 1.0,
            bright_share=self.bright / max(self.pixels, 1),
            negative_share=self.negative / max(self.pixels, 1),
            brighter_share=self.brighter / max(self.pixels, 1),
            zero_share=self.holes / max(self.pixels, 1),
        )


def cirrus_signs(
    frame: NDArray[np.generic], valid: NDArray[np.bool_] | None, names: Sequence[str], *, where: str = "the bands"
) -> CirrusSigns:
    """What the cirrus band of one frame says; parameters and errors as `cirrus_counts`."""
    return cirrus_counts(frame, valid, names, where=where).signs()


def cirrus_counts(
    frame: NDArray[np.generic], valid: NDArray[np.bool_] | None, names: Sequence[str], *, where: str = "the bands"
) -> CirrusCounts:
    """What the cirrus band of a frame, or of a part of one, says. NaN counts as no data.

    :param frame: Array (h, w, bands): float reflectance, or integer DN.
    :param valid: Boolean array (h, w), or None for all pixels but those that are 0 in all ten bands.
    :param names: Names of the bands in their order.
    :raises BandError: one of the cloud model's ten bands is missing.
    """
    indices = dict(zip(CLOUD_BANDS, band_indices(CLOUD_BANDS, names, where=where), strict=True))
    others = [indices[name] for name in _BRIGHTER_THAN_CIRRUS]
    counts = CirrusCounts()
    rows = max(1, BLOCK_PIXELS // max(frame.shape[1], 1))
    for start in range(0, len(frame), rows):
        block = frame[start : start + rows]
        cirrus = _reflectance(block[..., indices["B10"]])
        present = ~is_fill(block) if valid is None else valid[start : start + rows]
        present = present & ~np.isnan(cirrus)
        darkest = _reflectance(np.minimum.reduce([block[..., other] for other in others]))
        blue = _reflectance(block[..., indices["B02"]])
        above = cirrus > np.float32(OFFSET)  # float32 as the values: 1000 DN is not above it
        counts += CirrusCounts(
            pixels=int(np.count_nonzero(present)),
            holes=int(np.count_nonzero(present & (cirrus == 0))),
            dark=int(np.count_nonzero(present & ~above & (cirrus != 0))),
            bright=int(np.count_nonzero(present & (blue > np.float32(OFFSET + BRIGHT)))),
            negative=int(np.count_nonzero(present & (cirrus < REMOVED_TWICE) & (cirrus > LOWEST_REMOVED))),
            brighter=int(np.count_nonzero(present & (cirrus > darkest + np.float32(BRIGHTER_BY)))),
            lowest=float(np.min(cirrus, initial=np.inf, where=present & above)),
        )
    return counts


def _reflectance(values: NDArray[np.generic]) -> NDArray[np.float32]:
    scale = QUANTIFICATION if values.dtype.kind in "iu" else 1
    return np.asarray(values, dtype=np.float32) / np.float32(scale)


def _mixed(frames: Sequence[str], signs: _Signs) -> str:
    if len(frames) == len(signs):
        return ""
    return f" ({len(frames)} of {len(signs)} frames with data: the stack mixes processing baselines)"
