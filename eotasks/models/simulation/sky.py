"""What clouds and veils of a date do to the light of a window: on its way down, and on its way up.

Reflectance of a cloud of optical thickness t: a t / (1 + a t) with a = sqrt(3) (1 - g) / 2 (Lacis & Hansen 1974,
Journal of the Atmospheric Sciences 31, 118-133); the rest of the light from below comes through. Sunlight that goes on
straight or nearly so: exp(-(1 - g^2) t / cos(zenith)), what goes into the forward peak counted as light that was not
scattered (Joseph, Wiscombe & Weinman 1976, Journal of the Atmospheric Sciences 33, 2452-2459). g = 0.85 for droplets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eotasks.models.simulation.radiation import LOWEST_SUN, WAVELENGTH
from eotasks.models.simulation.weather import (
    CLOUD_OPACITY,
    CLOUD_OPTICAL_THICKNESS,
    SHADOW_DEPTH,
    CloudLayer,
    HazeVeil,
    SoftCloudLayer,
    shadow_offset,
)

Float = NDArray[np.float32]
Mask = NDArray[np.bool_]
Coordinates = NDArray[np.float64]

LOWEST_CLOUD = 100.0
"""Metres that clouds keep above the ground, however high it lies."""

_DIRECT_THROUGH_CLOUD = np.float32(0.16)
"""Share of the direct sunlight that reaches the ground through an opaque cloud, scattered forward."""

_ASYMMETRY = 0.85
_REFLECTANCE_PER_THICKNESS = np.float32(np.sqrt(3) * (1 - _ASYMMETRY) / 2)
_EXTINCTION = 1 - _ASYMMETRY**2
_ENDLESS_CLOUD = np.float32(1.25)
"""Reflectance of a cloud without end against that of the opaque clouds of the scene, which are some 30 thick."""

_SHADE_ON_CLOUDS = np.float32(0.5)
_HIGH_CLOUD_IN_B10 = np.float32(0.004)
_CLOUD_IN_B10 = np.float32(0.0012)
_HAZE_ASYMMETRY = 0.65
_HAZE_ALBEDO = 0.93
_HAZE_LOSS = 0.15
"""Share of the haze's thickness that keeps light from the ground: most of what it scatters goes on forward."""


@dataclass(frozen=True)
class Place:
    """Where a window lies, and under what sun."""

    x: Coordinates
    """(1, w) map coordinates of pixel centres."""

    y: Coordinates
    """(h, 1)"""

    resolution: float
    sun_zenith: float
    sun_azimuth: float
    elevation: Float | None = None
    """(h, w) metres above the mean of the ground; None where it is flat."""

    def sunward(self, height: float) -> tuple[Coordinates, Coordinates]:
        """Coordinates (x, y) at which the sunbeam of each pixel passes a height above the mean of the ground."""
        if self.elevation is None:
            east, north = shadow_offset(height, self.sun_zenith, self.sun_azimuth)
            return self.x - east, self.y - north
        east, north = shadow_offset(1.0, self.sun_zenith, self.sun_azimuth)
        above = np.maximum(height - self.elevation.astype(np.float64), LOWEST_CLOUD)
        return self.x - east * above, self.y - north * above


@dataclass(frozen=True)
class Cover:
    """One layer of clouds as the sensor sees it, ready to be drawn."""

    opacity: Float
    """(h, w) share of the light from below that it replaces by its own."""

    own: Float
    """(h, w) its own reflectance against the spectrum of the scene's clouds."""


@dataclass(frozen=True)
class CloudedSky:
    """The clouds of a date over a window, and the truth about them."""

    cloud: Mask
    """(h, w) cloud in truth."""

    shaded: Mask
    """(h, w) cloud shadow in truth, hidden by clouds or not."""

    sunlit: Float
    """(h, w) share of the direct sunlight that reaches the ground."""

    skylight: Float
    """(h, w) the same of the light of the sky."""

    covers: tuple[Cover, ...]
    """The lowest first."""

    cirrus_band: Float
    """(h, w) what the clouds add in B10."""

    optical_thickness: Float | None = None
    """(h, w) of all layers, straight down; None for clouds that have an opacity only."""

    def over(self, seen: Float, spectrum: Float) -> Float:
        """Reflectance (h, w, 13) with the clouds on top; pixels without them keep every bit.

        :param spectrum: (13,) reflectance of an opaque cloud.
        """
        for cover in self.covers:
            seen = seen + cover.opacity[..., None] * (cover.own[..., None] * spectrum - seen)
        return seen


def opaque_clouds(layer: CloudLayer, place: Place) -> CloudedSky:
    """The sky of the plain year: one layer, cloud and shadow by opacity."""
    x, y, size = place.x, place.y, place.resolution
    opacity = layer.opacity(x, y, size)
    shade = layer.opacity(*place.sunward(layer.height), size)
    covers = (Cover(opacity, layer.brightness(x, y, size, place.sun_azimuth)),) if layer.cover > 0 else ()
    return CloudedSky(
        cloud=opacity >= CLOUD_OPACITY,
        shaded=shade >= SHADOW_DEPTH,
        sunlit=1 - (1 - _DIRECT_THROUGH_CLOUD) * shade,
        skylight=_skylight(layer.cover, shade),
        covers=covers,
        cirrus_band=opacity * _CLOUD_IN_B10,
    )


def soft_clouds(layers: Sequence[SoftCloudLayer], place: Place) -> CloudedSky:
    """The sky of layers by optical thickness, the lowest first: thicknesses add up along the view and the sunbeam.

    Higher layers throw their shadows on lower clouds too.
    """
    x, y, size = place.x, place.y, place.resolution
    seen = [layer.optical_thickness(x, y, size) for layer in layers]
    thickness = np.asarray(sum(seen[1:], seen[0]))
    along = [layer.optical_thickness(*place.sunward(layer.height), size) for layer in layers]
    beam = np.asarray(sum(along[1:], along[0]))
    through = sunlight_through(beam, place.sun_zenith)
    covers = []
    for layer, own in zip(layers, seen, strict=True):
        bright = _ENDLESS_CLOUD * layer.brightness(x, y, size, place.sun_azimuth)
        for other in layers:
            if other.height > layer.height and other.cover > 0:
                east, north = shadow_offset(other.height - layer.height, place.sun_zenith, place.sun_azimuth)
                upper = other.optical_thickness(x - east, y - north, size)
                bright = bright * (1 - _SHADE_ON_CLOUDS * (1 - sunlight_through(upper, place.sun_zenith)))
        covers.append(Cover(reflected(own), bright))
    high = reflected(thickness - seen[0])
    return CloudedSky(
        cloud=thickness >= CLOUD_OPTICAL_THICKNESS,
        shaded=beam >= CLOUD_OPTICAL_THICKNESS,
        sunlit=_DIRECT_THROUGH_CLOUD + (1 - _DIRECT_THROUGH_CLOUD) * through,
        skylight=_skylight(1 - float(np.prod([1 - layer.cover for layer in layers])), 1 - through),
        covers=tuple(covers),
        cirrus_band=reflected(seen[0]) * _CLOUD_IN_B10 + high * _HIGH_CLOUD_IN_B10,
        optical_thickness=thickness,
    )


def _skylight(cover: float, shade: Float) -> Float:
    """Under a broken sky most skylight still arrives; under overcast it is the cloud's own dim light."""
    return np.asarray(1 - np.float32(0.12 + 0.35 * cover) * shade)


def reflected(thickness: Float) -> Float:
    """Share of the light that a cloud replaces by its own: 0 where there is none, a fifth at the threshold."""
    scaled = _REFLECTANCE_PER_THICKNESS * thickness
    return np.asarray(scaled / (1 + scaled))


def sunlight_through(thickness: Float, sun_zenith: float) -> Float:
    """Share of the direct sunlight that comes through a cloud, scattered by little: 1 where there is none."""
    slant = 1 / np.cos(np.radians(min(sun_zenith, LOWEST_SUN)))
    return np.asarray(np.exp(np.float32(-_EXTINCTION * slant) * thickness))


def under_veil(veil: HazeVeil, thickness: Float, seen: Float, gas: Float, sun_zenith: float) -> Float:
    """Reflectance (h, w, 13) with a veil of haze on top; pixels without it keep every bit.

    Single scattering with the phase function of Henyey & Greenstein, lifted for multiple scattering, as in
    ``radiation``.

    :param thickness: (h, w) of the veil at 550 nm.
    :param gas: (13,) transmission of the gases.
    """
    mu = float(np.cos(np.radians(min(sun_zenith, LOWEST_SUN))))
    spectral = ((WAVELENGTH / 0.55) ** -veil.exponent).astype(np.float32)
    g = _HAZE_ASYMMETRY
    phase = (1 - g**2) / (1 + g**2 + 2 * g * mu) ** 1.5
    made = seen.copy()
    where = thickness > 0
    depth = thickness[where][:, None] * spectral
    slant = depth * np.float32(1 / mu + 1)
    glow = np.float32(_HAZE_ALBEDO * phase / (4 * mu)) * depth * -np.expm1(-slant) / slant
    glow *= 1 + np.float32(0.65) * slant
    made[where] = seen[where] * np.exp(np.float32(-_HAZE_LOSS) * slant) + gas * glow
    return made
