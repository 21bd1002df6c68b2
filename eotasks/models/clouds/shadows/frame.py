"""Cloud shadow of one frame, by either method."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import ConfigurationError, GridError, ShadowWarning, warn_caller
from eotasks.models.clouds.postprocess import NO_DATA
from eotasks.models.clouds.shadows.angles import NADIR, mean_shift, shadow_shift
from eotasks.models.clouds.shadows.geometric import GeometricMethod, Reason, geometric_shadow
from eotasks.models.clouds.shadows.large import is_large, large_shadow
from eotasks.models.clouds.shadows.light import Light, light_of
from eotasks.models.clouds.shadows.packed import KEPT, VALID, PackedLight, has, strips_of
from eotasks.models.clouds.shadows.projection import ProjectionMethod, projected_shadow, untold
from eotasks.models.clouds.shadows.series import against, note_expected
from eotasks.models.clouds.shadows.terrain import check_shade, note_shade, told_apart_from
from eotasks.models.clouds.validity import split_cloud_mask
from eotasks.models.scales import ReflectanceScale, check_mask
from eotasks.text import did_you_mean

SHADOW = 1
"""Value of a shadow mask; 0 is none, 255 no data."""

MethodName = Literal["geometric", "projection"]
ShadowMethod = GeometricMethod | ProjectionMethod
Angles = NDArray[np.floating] | tuple[float, float]
Tell = Callable[..., None]
"""Warns: text, category, and what the category takes beside the text."""

_REASONS: dict[Reason, str] = {
    "sun": "has clouds, but no shadow can be told: sun and sensor stand so that shadows lie under their clouds or fall"
    " outside of the image. Give the angles of this frame, or a larger image.",
    "ground": "has clouds, but no shadow can be told: beside them there is no ground that tells light from shade, all"
    " is cloud, water or no data. Give a larger image.",
    "height": "has clouds, but no shadow can be told: at no height do they fit darker ground better than they do where"
    " no shadow can lie. The mask may hold false cloud, the angles may be wrong, or what is shaded lies outside.",
}

_METHODS: dict[str, ShadowMethod] = {"geometric": GeometricMethod(), "projection": ProjectionMethod()}


def shadow_method(method: MethodName | ShadowMethod) -> ShadowMethod:
    """A method by its name, with its defaults, or as it is.

    :raises ConfigurationError: for another name.
    """
    if isinstance(method, GeometricMethod | ProjectionMethod):
        return method
    if method not in get_args(MethodName):
        raise ConfigurationError(
            f"method={method!r} is unknown{did_you_mean(method, _METHODS)}:"
            f" give {' or '.join(map(repr, _METHODS))}, or GeometricMethod(...) or"
            " ProjectionMethod(...) with settings of your own."
        )
    return _METHODS[method]


def cloud_shadow(
    bands: NDArray[np.generic],
    cloud: NDArray[np.generic],
    *,
    outlines: NDArray[np.generic] | None = None,
    sun: Angles,
    view: Angles = NADIR,
    pixel_size: tuple[float, float],
    valid: NDArray[np.bool_] | None = None,
    terrain_shade: NDArray[np.bool_] | None = None,
    expected: NDArray[np.float32] | None = None,
    names: Sequence[str] | None = None,
    method: MethodName | ShadowMethod = "geometric",
    scale: ReflectanceScale | None = None,
    check_bands: bool = True,
    where: str = "the frame",
    tell: Tell = warn_caller,
) -> NDArray[np.uint8]:
    """Cloud shadow of one frame.

    Of frames above 4,000,000 pixels "geometric" searches the heights of clouds in cells of several pixels (60 m of a
    full tile); outlines are thrown, and pixels looked at, at full resolution.

    :param bands: (h, w, bands) reflectance (float) or DN (integer), top-of-atmosphere or surface: 13 or 10 bands, or
        any with B02, B08 and B11 among their names. Where they are there, B03 tells turbid water from
        ground, and B03, B04 and B12 help to tell shade from dark ground.
    :param cloud: (h, w) cloud mask: boolean, or 0 clear, 1 cloud, 255 no data.
    :param outlines: The same mask before it was grown by a dilation: shadows are searched with it and have its
        outlines, while ground under ``cloud`` is still none. None: ``cloud`` itself, so that shadows are grown as much
        as it is, and found less well.
    :param sun: Zenith and azimuth in degrees, two numbers or a grid (h, w, 2). Azimuths are clockwise from the grid's
        north (in UTM that is up to about 3 degrees off true north at the edge of a zone). A frame without a cloud on
        valid data needs none: NaN will do.
    :param view: The same of the sensor; the default looks straight down. The azimuth points to the sensor.
    :param pixel_size: Metres (y, x).
    :param valid: Boolean (h, w) of the pixels with data, or None for all.
    :param terrain_shade: Boolean (h, w) of ground that hills shade (``shadows.terrain``): never cloud shadow, and no
        witness of lit ground. None for ground that is taken as flat.
    :param expected: (h, w) sunlight (``Light``) that the ground would have without shade, NaN where unknown, as other
        dates of a series tell (``shadows.series``): shade is searched against it, by "geometric".
    :param names: Names of the bands, or None to tell by count.
    :param method: "geometric" or "projection", or a GeometricMethod or ProjectionMethod with other settings.
    :param scale: What the numbers are (``eotasks.models.scales``), None for what the dtype says.
    :param check_bands: Whether values that contradict it are refused (``eotasks.models.scale_signs``); False for
        callers that have looked at the whole series.
    :param where: What the frame is, for messages.
    :param tell: What warns, called as ``eotasks.errors.warn_caller``.
    :return: uint8 (h, w): 0 no shadow, 1 shadow on ground in view, 255 no data. Clouds are 0.
    :raises BandError: a band is missing.
    :raises ReflectanceError: values that are no reflectance where there is data.
    :raises FeatureError: a mask or angles that are none.
    :raises GridError: shapes that do not fit.
    :raises ConfigurationError: an unknown method.
    :warns ShadowWarning: there are clouds, and their shadows cannot be told, with the reason.
    """
    chosen = shadow_method(method)
    for name, mask in (("cloud mask", cloud), ("mask of outlines", outlines)):
        if mask is not None and mask.shape != bands.shape[:2]:
            raise GridError(f"{where}: the {name} has shape {mask.shape}, the bands {bands.shape[:2]}.")
    hidden, cloudy, data = _masks(cloud, outlines, valid, where)
    shade = check_shade(terrain_shade, bands.shape[:2], where=where)
    if is_large(bands.shape):
        packed = packed_light(bands.shape[:2], names=names, method=chosen, scale=scale, where=where)
        packed.add(0, bands, data)
        if check_bands:
            packed.check()
        note_expected(packed, expected)
        packed.set_clouds(cloudy)
        return shadow_of_packed(
            packed,
            hidden,
            sun=sun,
            view=view,
            pixel_size=pixel_size,
            terrain_shade=shade,
            method=chosen,
            where=where,
            tell=tell,
        )
    light = light_of(bands, data, names=names, scale=scale, check_bands=check_bands, where=where)
    light = against(told_apart_from(light, shade), expected)
    cloudy = cloudy & light.valid
    if not cloudy.any():
        # such frames, above all those without data, often have no angles either
        return np.where(light.valid, np.uint8(0), np.uint8(NO_DATA))
    shift = _shift(sun, view, cloud.shape, pixel_size, where)
    if isinstance(chosen, ProjectionMethod):
        direction = mean_shift(shift, where=where)
        shadow = projected_shadow(light, cloudy, direction, pixel_size=pixel_size, method=chosen)
        ground = _has_ground(light, cloudy)
        reason = untold(clouds=True, moves=bool(direction.any()), ground=ground)
    else:
        match = geometric_shadow(light, cloudy, shift, pixel_size=pixel_size, method=chosen, where=where)
        shadow, reason = match.shadow, match.reason
    warn_untold(reason, where, tell)
    shadow = shadow & ~hidden if shade is None else shadow & ~hidden & ~shade
    return np.where(light.valid, shadow.astype(np.uint8) * np.uint8(SHADOW), np.uint8(NO_DATA))


def packed_light(
    shape: tuple[int, int],
    *,
    names: Sequence[str] | None = None,
    method: MethodName | ShadowMethod = "geometric",
    scale: ReflectanceScale | None = None,
    where: str = "the frame",
) -> PackedLight:
    """What a frame that is large (``is_large``) is put together in, for ``shadow_of_packed``.

    :param shape: (h, w).
    :raises ConfigurationError: an unknown method.
    """
    chosen = shadow_method(method)
    dark = chosen.dark_nir if isinstance(chosen, ProjectionMethod) else None
    return PackedLight(shape, names=names, scale=scale, dark_nir=dark, where=where)


def shadow_of_packed(
    light: PackedLight,
    cloud: NDArray[np.generic],
    *,
    sun: Angles,
    view: Angles = NADIR,
    pixel_size: tuple[float, float],
    terrain_shade: NDArray[np.bool_] | None = None,
    method: MethodName | ShadowMethod = "geometric",
    where: str = "the frame",
    tell: Tell = warn_caller,
) -> NDArray[np.uint8]:
    """Cloud shadow of a large frame: as ``cloud_shadow``, which comes here with those that are large.

    :param light: All rows of it, added under the same method, and its clouds; used up by this.
    :param cloud: (h, w) boolean, or 1 where there is cloud: the mask under which ground is no shadow. 255, without an
        answer, is out of the data.
    :return: uint8 (h, w): 0 no shadow, 1 shadow on ground in view, 255 no data. Clouds are 0.
    :raises FeatureError: angles that are none.
    :raises GridError: shapes that do not fit.
    :warns ShadowWarning: there are clouds, and their shadows cannot be told, with the reason.
    """
    shade = check_shade(terrain_shade, light.shape, where=where)
    light.leave_out(cloud)
    note_shade(light, shade)
    if light.has_clouds:
        shift = _shift(sun, view, light.shape, pixel_size, where)
        reason = large_shadow(light, shift, pixel_size=pixel_size, method=shadow_method(method), where=where)
        warn_untold(reason, where, tell)
    result = np.empty(light.shape, dtype=np.uint8)
    for rows in strips_of(light.shape):
        bits = light.bits[rows]
        shadow = has(bits, KEPT) & (cloud[rows] != 1)
        if shade is not None:
            shadow &= ~shade[rows]
        result[rows] = np.where(has(bits, VALID), shadow * np.uint8(SHADOW), np.uint8(NO_DATA))
    return result


def _shift(
    sun: Angles, view: Angles, shape: tuple[int, ...], pixel_size: tuple[float, float], where: str
) -> NDArray[np.float64]:
    shift = shadow_shift(sun, view, pixel_size=pixel_size, where=where)
    if shift.shape not in ((2,), (*shape, 2)):
        raise GridError(f"{where}: a grid of angles has shape {shift.shape}, the mask {shape}: give both on one.")
    return shift


def clouds_and_ground(
    bands: NDArray[np.generic],
    cloud: NDArray[np.generic],
    *,
    outlines: NDArray[np.generic] | None,
    valid: NDArray[np.bool_] | None,
    names: Sequence[str],
    where: str,
) -> tuple[bool, bool]:
    """Whether a part of a frame has clouds, and ground beside them that is no water: what ``untold`` asks of a whole.

    Arguments and errors are those of ``cloud_shadow``.
    """
    _, cloudy, data = _masks(cloud, outlines, valid, where)
    light = light_of(bands, data, names=names, check_bands=False, where=where)
    return bool((cloudy & light.valid).any()), _has_ground(light, cloudy)


def warn_untold(reason: Reason | None, where: str, tell: Tell) -> None:
    """Say why no shadow can be told of a frame, where there is a reason."""
    if reason is not None:
        tell(f"{where}: {_REASONS[reason]}", ShadowWarning, reason)


def _masks(
    cloud: NDArray[np.generic],
    outlines: NDArray[np.generic] | None,
    valid: NDArray[np.bool_] | None,
    where: str,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """(h, w) each: under which ground is no shadow, whose shadows are searched, and the data."""
    hidden, missing = split_cloud_mask(cloud, where=where)
    cloudy = hidden
    if outlines is not None:
        cloudy, unknown = split_cloud_mask(outlines, where=f"{where}, outlines")
        missing = missing | unknown
    if valid is not None:
        check_mask(valid, name="the data mask", where=where)  # before ~ and & make numbers of it
    return hidden, cloudy, ~missing if valid is None else valid & ~missing


def _has_ground(light: Light, cloudy: NDArray[np.bool_]) -> bool:
    return bool((light.valid & ~light.black & ~cloudy).any())
