"""A look at each pixel after the outlines are thrown, and at ground whose cloud the image does not show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from eotasks.models.clouds.shadows.significance import local_mean

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]

_BLUR = 0.7
"""Pixels (standard deviation) over which sunlight is smoothed before a single pixel is looked at."""

_NEIGHBOURHOOD = 1500.0
"""Metres within which lit ground says how bright a pixel would be without shadow."""

_LEAST_CONTRAST = 2.5
"""Difference of lit and shaded ground, in standard deviations of either, from which a single pixel tells."""

_TOO_BRIGHT, _DARK_ENOUGH = 0.35, 0.5
"""Of the way from lit (0) to shaded (1) ground: below the first thrown shadow is dropped, above the second shadow is
added to what it touches."""

_REACH = 300.0
"""Metres about an outline within which it can be off: thick clouds, hazy rims."""

_WIDTH = 2
"""Pixels: what is narrower is neither dropped nor added."""

_BEYOND_BLUR = 100.0
_BEYOND_SHARE = 0.35
_LEAST_PRECISION = 0.6
"""Share of the dark ground that has to be shadow by the estimate, for all of it to be called so."""

AS_SHADED = 6.0
"""How many times as much of the ground can be shaded where shadows are not known as where they are. More is no shade,
but a kind of ground that lies at the edge and nowhere else, as a forest may."""

_LEAST_WEIGHT = 0.02
_LEAST_GROUND = 0.2

_TOUCHING = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True)
class Sight:
    """What of a frame is looked at."""

    sunlight: Floats
    """(h, w) see ``Light``, without outlying values."""

    seen: Mask
    """(h, w) no cloud, with data."""

    black: Mask
    """(h, w) open water or deepest shade."""

    turbid: Mask
    """(h, w) what may be turbid water."""

    clear: Mask
    """(h, w) ground that is a witness: no water, and no hazy rim of a cloud."""

    pixel_size: tuple[float, float]

    ABOUT: ClassVar[int] = 8
    """Rows about a pixel that have a say in ``smooth`` and ``parted``, and some more."""

    @property
    def ground(self) -> Mask:
        """(h, w) what is not black."""
        return self.seen & ~self.black

    def smooth(self) -> Floats:
        """(h, w) sunlight of a pixel with a little of its neighbours'."""
        weight = ndimage.gaussian_filter(self.ground.astype(np.float32), _BLUR)
        total = ndimage.gaussian_filter(np.where(self.ground, self.sunlight, np.float32(0)), _BLUR)
        return np.asarray(total / np.maximum(weight, np.float32(1e-6)))

    def parted(self, thrown: Mask, share: Floats, near: Mask) -> tuple[Mask, Mask]:
        """What of a thrown outline is shadow, and what beside it is as dark; (h, w) each.

        :param share: (h, w) how far a pixel is on the way from lit (0) to shaded (1) ground.
        :param near: (h, w) where an outline can be off.
        """
        too_bright = _wide(thrown & self.ground & (share < _TOO_BRIGHT))
        dark = _wide(self.ground & near & (share > _DARK_ENOUGH) | thrown)
        return thrown & ~too_bright, dark & ~thrown


@dataclass(frozen=True)
class Neighbourhood:
    """The lit ground about a pixel."""

    expected: Floats
    """(h, w) sunlight that a pixel would have without shadow."""

    near: Mask
    """(h, w) where an outline can be off."""

    @classmethod
    def of(cls, sight: Sight, thrown: Mask) -> Neighbourhood | None:
        """That of a frame, None where no ground is lit."""
        lit, smooth = sight.clear & ~thrown, sight.smooth()
        if not lit.any():
            return None
        around, weight = local_mean(smooth, lit, sight.pixel_size, _NEIGHBOURHOOD / 2)
        everywhere = np.float32(smooth[lit].mean())
        near = ndimage.distance_transform_edt(~thrown, sampling=sight.pixel_size) <= _REACH
        return cls(np.where(weight > np.float32(_LEAST_WEIGHT), around, everywhere), near)


def told_apart(difference: float, lit: float, shaded: float) -> float | None:
    """The difference of lit and shaded ground, None where a single pixel does not show it.

    :param lit: Variance of lit ground.
    :param shaded: The same of shaded ground.
    """
    spread = np.sqrt((lit + shaded) / 2)
    return None if difference < _LEAST_CONTRAST * spread else difference


def refined(sight: Sight, thrown: Mask) -> Mask:
    """Thrown outlines less what is as bright as lit ground, and with what is as dark as shade beside them.

    An outline is off by some pixels where a cloud is thick, has several heights or a hazy rim that the mask lacks. How
    far a pixel is on the way from lit to shaded ground is told by the lit ground around it and by the difference that
    the match has found; where that is less than 2.5 standard deviations, a pixel tells nothing and the outline stands.
    Water keeps the outline.

    :param thrown: (h, w) shadow of the match.
    """
    lit, shaded = sight.clear & ~thrown, sight.clear & thrown
    around = Neighbourhood.of(sight, thrown) if shaded.any() else None
    if around is None:
        return thrown
    darker = around.expected - sight.smooth()
    difference = told_apart(float(darker[shaded].mean() - darker[lit].mean()), darker[lit].var(), darker[shaded].var())
    if difference is None:
        return thrown
    kept, added = sight.parted(thrown, darker / np.float32(difference), around.near)
    return _touching(kept, kept | added)


def _wide(mask: Mask) -> Mask:
    """Without what is narrower than some pixels: an outline is off along a side of it, single pixels are noise."""
    return np.asarray(ndimage.binary_opening(mask, np.ones((_WIDTH, _WIDTH), dtype=bool)))


def beyond(sight: Sight, shadow: Mask, origin_known: Mask, lit: float, shaded: float) -> Mask:
    """Shaded ground by its looks alone, where the cloud would lie outside of what the image shows.

    Looks are averaged over neighbours, and must be nearer to those of shaded ground, since most ground is not shaded.
    They are believed as far as they are right where shadows are known, for each kind of ground by itself: dark forest
    and water look like shadow too.

    :param shadow: (h, w) what the match has found.
    :param origin_known: (h, w) whether the cloud that would shade a pixel lies in the image.
    :param lit: Sunlight of lit ground, by the match.
    :param shaded: The same of shaded ground.
    """
    mean, weight = local_mean(sight.sunlight, sight.ground, sight.pixel_size, _BEYOND_BLUR)
    limit = shaded + _BEYOND_SHARE * (lit - shaded)
    dark = (weight > np.float32(_LEAST_GROUND)) & (mean < np.float32(limit))
    found = np.zeros_like(shadow)
    shaded_ground = _share(shadow, sight.seen & origin_known)
    for kind in (sight.ground & ~sight.turbid, sight.ground & sight.turbid, sight.seen & sight.black):
        if _tells(dark & kind, kind, shadow, origin_known, AS_SHADED * shaded_ground):
            found |= dark & kind
    return found & ~origin_known


def _tells(dark: Mask, kind: Mask, shadow: Mask, origin_known: Mask, most: float) -> bool:
    """Whether dark ground of a kind, where shadows are not known, is shadow at most of its pixels.

    How much of the lit and of the shaded ground looks dark is known where shadows are; how much is shaded where they
    are not follows from how much looks dark there.

    :param most: Share of the ground that can be shaded where shadows are not known.
    """
    lit, shaded, unknown = kind & origin_known & ~shadow, kind & origin_known & shadow, kind & ~origin_known
    false, hit, found = (_share(dark, of) for of in (lit, shaded, unknown))
    if hit <= false or found <= false:
        return False
    prevalence = min((found - false) / (hit - false), 1)
    if prevalence > most:
        return False
    return prevalence * hit >= _LEAST_PRECISION * found


def _share(mask: Mask, of: Mask) -> float:
    return float(int(np.count_nonzero(mask & of)) / max(int(np.count_nonzero(of)), 1))


def _touching(seeds: Mask, mask: Mask) -> Mask:
    """The connected parts of a mask that hold a seed."""
    labels, count = ndimage.label(mask, structure=_TOUCHING)
    held = np.zeros(count + 1, dtype=bool)
    held[labels[seeds]] = True
    held[0] = False
    return np.asarray(held[labels])
