"""Cloud shadows by geometry: the height of every cloud is searched, and its outline thrown to the ground."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from eotasks.errors import ConfigurationError
from eotasks.models.checks import check_number
from eotasks.models.clouds.shadows.learned import learned
from eotasks.models.clouds.shadows.light import Ground, Light
from eotasks.models.clouds.shadows.looks import Sight, beyond, refined
from eotasks.models.clouds.shadows.search import Clouds, Sums, clouds_of, known_ground, landed, sums_at, thrown
from eotasks.models.clouds.shadows.significance import Significance, significance
from eotasks.text import did_you_mean

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
Beyond = Literal["dark", "clear"]
Reason = Literal["sun", "ground", "height"]
"""Why shadows cannot be told, see ``eotasks.errors.ShadowWarning``."""

_OUTLYING = 1.0
"""Sunlight (ln) farther than this from its median counts as if it were not: no single pixel decides. A quantile would
not do, small shadows lie beyond any."""

_VEILED = 60.0
"""Metres about a cloud mask that are no witness: thin edges of clouds brighten ground, shaded or not."""

_MIN_CONTRAST = 0.15
"""ln of the ratio by which shaded ground must have less sunlight than lit ground: a sixth."""

_SIGNIFICANT_CONTRAST = 0.05
"""The same where the match is sure: fields and shallows may differ by more than shade does."""

_MIN_CELLS = 0.05
_COARSE_STEP, _FINE_STEP = 2.0, 0.5
"""Steps of the search, in pixels of the shadow's way."""

_SAMPLE = 60_000
_CELL = 300.0
"""Metres over which ground is alike: pixels nearer than that are no independent witnesses."""

_SPREAD = 0.2
"""Standard deviation of ln(height) among the clouds of one frame."""

_BEATS_CHANCE = 1.1
"""How much better than any direction that cannot be the true one must fit."""

_LITTLE = 0.03
"""Share of the data under cloud below which a mask may as well be false altogether, as of specks on bright ground."""

_OF_LITTLE = 1.5
"""How much better clouds must fit that are so few: by chance one mask in thirty fits a tenth better."""

_MUCH = 0.25
"""Share of the data under cloud from which a mask is hardly false altogether, and clouds thrown anywhere land on the
shadows of others."""

_OF_MUCH = 0.6
"""How much better clouds must fit that are so many: one false mask in five would, one in twenty a tenth better."""

_SURE = 2.5
"""How much better they fit where that is no chance: of a thousand masks of specks none did."""

_OVERCAST = 0.6
"""Share of the data under cloud from which clouds thrown anywhere land on shadows: the test has no power there, and the
contrast alone decides."""

_ENOUGH_MATCHED = 0.01
"""Share of the data that matched shadow covers before the looks of pixels take from it and add to it."""


@dataclass(frozen=True)
class GeometricMethod:
    """Every cloud is moved along the line of its possible shadows, and stays where it covers shaded ground best.

    Matching clouds with shadows object by object over a range of heights is the idea of Fmask (Zhu & Woodcock 2012,
    Remote Sensing of Environment 118, 83-94). Here no threshold of darkness is set: the height of a frame is the one
    whose projection parts the ground best into a lit and a shaded class (the variance between classes, Otsu 1979, IEEE
    Transactions on Systems, Man, and Cybernetics 9(1)), by sunlight less its mean over a kilometre (``significance``)
    or, where clouds cover over 60 % of the data, by sunlight itself; the two classes so found are the witnesses for
    each single cloud (log likelihood ratio of two normal distributions). Clouds that the ground tells nothing about
    take the height of the frame. A frame has no shadow unless its clouds fit the ground better than they do thrown
    sunward: by more where they are few, by less where they are many. Where enough is matched, single pixels are looked
    at after the throw (``learned``, or ``looks`` where there is too little to learn from). Ground is taken as flat.
    """

    lowest: float = 200
    """Metres: height above ground from which clouds are searched."""

    highest: float = 8000
    """Metres: height up to which. A shadow that would fall outside of the image cannot be matched."""

    beyond: Beyond = "dark"
    """What becomes of ground whose shadow would come from a cloud outside of the image, or from where there is no data:
    "dark" takes it for shadow where it looks like the shadows that were matched in this frame, when these are 1 % of
    the data at least, its clouds 3 % or fitting plainly, and ground of such looks is mostly shadow; "clear" never."""

    def __post_init__(self) -> None:
        check_number(self.lowest, "lowest", "height in metres", lowest=1, highest=20_000)
        check_number(self.highest, "highest", "height in metres", lowest=1, highest=20_000)
        if self.lowest >= self.highest:
            raise ConfigurationError(f"lowest={self.lowest:g} is not below highest={self.highest:g}: swap them.")
        if self.beyond not in get_args(Beyond):
            raise ConfigurationError(
                f"beyond={self.beyond!r} is unknown{did_you_mean(self.beyond, ('dark', 'clear'))}:"
                " give 'dark' or 'clear'."
            )


@dataclass(frozen=True)
class ShadowMatch:
    """What was found in one frame."""

    shadow: Mask
    """(h, w) ground in shadow, False on clouds and where there is no data."""

    labels: NDArray[np.int32]
    """(h, w) the cloud of a pixel, 1..n; 0 for none. Pixels that touch, also at a corner, are one cloud."""

    heights: Floats
    """(n,) metres above ground; NaN where the ground speaks against a shadow of that cloud."""

    reason: Reason | None = None
    """Why no shadow can be told though there are clouds; None where one is, or where there is no cloud."""


@dataclass(frozen=True)
class _Classes:
    """Lit and shaded ground of one frame, told apart by the projection of its clouds."""

    height: float
    lit: float
    shaded: float
    variance: float
    """Within a class."""

    def evidence(self, sums: Sums, cells_per_pixel: float) -> Floats:
        """Log likelihood ratio of "all this ground is shaded" against "it is lit", in independent cells."""
        middle = (self.lit + self.shaded) / 2
        gain = (middle * sums.pixels - sums.sunlight) * (self.lit - self.shaded) / self.variance
        return np.asarray(gain * cells_per_pixel)


@dataclass(frozen=True)
class CloudHeights:
    """What the search for heights has found in one frame."""

    clouds: Clouds
    heights: Floats
    """(n,) metres above ground; NaN where the ground speaks against a shadow of that cloud."""

    lit: float
    """Sunlight of lit ground, by the match."""

    shaded: float
    """The same of shaded ground."""

    sunlight: NDArray[np.float32]
    """(h, w) without outlying values."""

    usual: tuple[np.float32, np.float32]
    """The lowest and the highest sunlight that is not outlying."""

    clear: Mask
    """(h, w) the witnesses."""

    sure: bool
    """Whether there is more than little cloud, or it fits far better than by chance."""

    @property
    def typical(self) -> float:
        """Median height of the matched cloud pixels."""
        return _typical(self.clouds, self.heights)

    def tells_beyond(self, method: GeometricMethod) -> bool:
        """Whether ground whose cloud the image does not show can be shadow: not where the match may be chance after
        all.
        """
        return method.beyond == "dark" and self.sure


def geometric_shadow(
    light: Light,
    cloud: Mask,
    shift: Floats,
    *,
    pixel_size: tuple[float, float],
    method: GeometricMethod,
    where: str = "the frame",
) -> ShadowMatch:
    """Shadow of one frame by matching clouds with shaded ground.

    :param cloud: (h, w) boolean, as it was before it grew: outlines are what is matched.
    :param shift: Rows and columns from cloud to shadow per metre of height, (2,) or (h, w, 2).
    :param pixel_size: Metres (y, x).
    :param where: What the frame is, for messages.
    """
    clouds = clouds_of(cloud & light.valid, light.valid, shift, where=where)
    found = heights_of(clouds, light, cloud, pixel_size=pixel_size, method=method)
    if found is None or isinstance(found, str):
        unknown = np.full(clouds.count, np.nan)
        return ShadowMatch(np.zeros(cloud.shape, dtype=bool), clouds.labels, unknown, found)
    shadow = thrown(clouds, found.heights) & light.valid & ~cloud
    if not is_enough(int(np.count_nonzero(shadow)), int(np.count_nonzero(light.valid))):
        return ShadowMatch(shadow, clouds.labels, found.heights)
    sight = Sight(found.sunlight, light.valid & ~cloud, light.black, light.turbid, found.clear, pixel_size)
    origin_known = clouds.origin_known(found.typical)
    tells_beyond = found.tells_beyond(method)
    seen = learned(sight, light.logs, shadow, origin_known, beyond=tells_beyond)
    if seen is None:
        seen = refined(sight, shadow)
        if tells_beyond:
            seen |= beyond(sight, shadow, origin_known, found.lit, found.shaded)
    return ShadowMatch(seen & light.valid & ~cloud, clouds.labels, found.heights)


def is_enough(matched: int, data: int) -> bool:
    """Whether so many pixels of matched shadow, among those with data, let the looks of pixels be told."""
    return matched >= _ENOUGH_MATCHED * data


def heights_of(
    clouds: Clouds, light: Ground, cloud: Mask, *, pixel_size: tuple[float, float], method: GeometricMethod
) -> CloudHeights | Reason | None:
    """The height of every cloud, or why none can be told; None where there is no cloud.

    :param cloud: (h, w) where no ground is seen, or not all of it.
    """
    if not clouds.count:
        return None
    ground = light.valid & ~cloud & ~light.black
    clear = ground & ~light.turbid & (_distance_to(cloud, pixel_size) > _VEILED)
    coarse = _heights(clouds, method, _COARSE_STEP)
    if len(coarse) < 2:
        return "sun"
    if not clear.any():
        return "ground"
    median = np.median(light.sunlight[clear])
    usual = np.float32(median - np.float32(_OUTLYING)), np.float32(median + np.float32(_OUTLYING))
    sunlight = np.clip(light.sunlight, *usual)
    cells_per_pixel = pixel_size[0] * pixel_size[1] / _CELL**2
    searched, contrast = coarse, _MIN_CONTRAST
    sure = clouds.cover >= _LITTLE
    if clouds.cover <= _OVERCAST:
        fit = _significance(clouds, sunlight, clear, method, pixel_size)
        if fit.height is None or fit.ratio < _least_ratio(clouds.cover):
            return "height"
        sure = sure or fit.ratio >= _SURE
        searched = np.array([max(fit.height, coarse[0])])
        contrast = _SIGNIFICANT_CONTRAST if sure else _MIN_CONTRAST
    classes = _classes(clouds, sunlight, clear, searched, cells_per_pixel, contrast)
    if classes is None:
        return "height"
    heights = _match(clouds, sunlight, clear, coarse, classes, cells_per_pixel)
    if not np.isfinite(heights).any():
        return "height"
    return CloudHeights(clouds, heights, classes.lit, classes.shaded, sunlight, usual, clear, sure)


def _least_ratio(cover: float) -> float:
    """How much better than chance clouds must fit that are such a share of the data."""
    if cover < _LITTLE:
        return _OF_LITTLE
    return _OF_MUCH if cover >= _MUCH else _BEATS_CHANCE


def _significance(
    clouds: Clouds, sunlight: NDArray[np.float32], clear: Mask, method: GeometricMethod, pixel_size: tuple[float, float]
) -> Significance:
    cloud = np.zeros(clouds.valid.shape, dtype=bool)
    cloud[clouds.rows, clouds.columns] = True
    return significance(
        cloud,
        clouds.valid,
        sunlight,
        clear,
        clouds.mean_shift,
        lowest=method.lowest,
        highest=method.highest,
        pixel_size=pixel_size,
    )


def _distance_to(cloud: Mask, pixel_size: tuple[float, float]) -> Floats:
    """(h, w) metres from a pixel to the nearest cloud."""
    if not cloud.any():
        return np.full(cloud.shape, np.inf)
    return np.asarray(ndimage.distance_transform_edt(~cloud, sampling=pixel_size), dtype=np.float64)


def _heights(clouds: Clouds, method: GeometricMethod, step: float) -> Floats:
    """Heights at which the shadow moves on by so many pixels, as far as shadows stay in the image."""
    speed = float(np.hypot(*clouds.mean_shift))
    if not clouds.count or speed == 0:
        return np.zeros(0)
    highest = min(method.highest, float(np.hypot(*clouds.labels.shape)) / speed)
    return np.arange(method.lowest, highest + step / speed, step / speed)


def _classes(
    clouds: Clouds,
    sunlight: NDArray[np.float32],
    ground: Mask,
    heights: Floats,
    cells_per_pixel: float,
    contrast: float,
) -> _Classes | None:
    """The one height for all clouds that parts the ground best, or None when none makes shadows darker.

    Ground that a cloud outside of the image could shade is of neither class.
    """
    covered = sums_at(
        clouds.sample(_SAMPLE), np.broadcast_to(heights[:, None], (len(heights), clouds.count)), sunlight, ground
    )
    pixels, total = covered.pixels.sum(axis=1), covered.sunlight.sum(axis=1)
    known = known_ground(clouds, heights, sunlight, ground, _SAMPLE)
    lit_pixels = np.maximum(known.pixels - pixels, 0)
    enough = (pixels * cells_per_pixel > _MIN_CELLS) & (lit_pixels * cells_per_pixel > _MIN_CELLS)
    shaded = total / np.maximum(pixels, 1)
    lit = (known.sunlight - total) / np.maximum(lit_pixels, 1)
    between = np.where(
        enough & (lit - shaded > contrast),
        pixels * lit_pixels / np.maximum(pixels + lit_pixels, 1) * np.square(lit - shaded),
        0,
    )
    best = int(between.argmax())
    if between[best] <= 0:
        return None
    within = float(sunlight[ground].var()) - between[best] / (pixels[best] + lit_pixels[best])
    return _Classes(float(heights[best]), float(lit[best]), float(shaded[best]), max(within, 1e-3))


def _match(
    clouds: Clouds,
    sunlight: NDArray[np.float32],
    ground: Mask,
    coarse: Floats,
    classes: _Classes,
    cells_per_pixel: float,
) -> Floats:
    """Height of every cloud, NaN where the ground at the best one is rather lit.

    Two rounds: all heights in coarse steps on a sample of the pixels, then those about the best in fine ones on all.
    Ground that another cloud shades at the height of the frame, or that lies in reach of clouds outside, is no witness:
    a cloud would be drawn to the shadow of its neighbour.
    """
    frame = np.full(clouds.count, classes.height)
    owners = landed(clouds, frame)
    witnesses = ground & clouds.origin_known(classes.height)

    def best_of(some: Clouds, heights: Floats) -> tuple[Floats, Floats, Floats]:
        sums = sums_at(some, heights, sunlight, witnesses, owners=owners)
        evidence = classes.evidence(sums, cells_per_pixel)
        belief = evidence - np.square(np.log(heights / classes.height) / _SPREAD) / 2
        chosen = belief.argmax(axis=0)
        each = np.arange(clouds.count)
        return heights[chosen, each], evidence[chosen, each], evidence[0]

    # the frame's own height comes first, so that it wins where nothing speaks for another
    candidates = np.concatenate([[classes.height], coarse])
    first, _, at_frame = best_of(clouds.sample(_SAMPLE), np.repeat(candidates[:, None], clouds.count, axis=1))
    step = (coarse[1] - coarse[0]) * _FINE_STEP / _COARSE_STEP
    around = np.array(sorted(np.arange(-4, 5), key=abs)) * step
    heights, evidence, _ = best_of(clouds, np.maximum(first + around[:, None], coarse[0]))
    # No evidence at the frame's height means that nothing is seen there; at another height it is an escape.
    return np.where(evidence > 0, heights, np.where(at_frame >= 0, classes.height, np.nan))


def _typical(clouds: Clouds, heights: Floats) -> float:
    """Median height of the matched cloud pixels."""
    matched = np.isfinite(heights)
    order = np.argsort(heights[matched], kind="stable")
    weights = np.cumsum(clouds.sizes[matched][order])
    return float(heights[matched][order][np.searchsorted(weights, weights[-1] / 2)])
