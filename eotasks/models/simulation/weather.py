"""Clouds, cirrus, haze and shadows as functions of place: any window of any date, without a seam.

Low clouds have the spectrum of the real clouds of the scene, extended to opacity. Shadows lie where the sun throws them
from the cloud's height. Thin cirrus has the spectrum of ice cloud: alike in the visible and near infrared, fainter
where ice absorbs, and alone visible in B10, where water vapour hides everything below (Gao et al. 1998, Journal of
Geophysical Research 103(D24), 32169-32176; Gao & Li 2017, Remote Sensing 9(8), 834; our numbers are rounded).

The plain year has clouds of one layer that have an opacity (``CloudLayer``), the realistic one has clouds by optical
thickness in up to two layers (``SoftCloudLayer``), and veils of haze.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from eotasks.models.simulation.noise import fractal_noise

Float = NDArray[np.float32]
Coordinates = NDArray[np.float64]

CLOUD_OPACITY = 0.35
"""Opacity from which a pixel counts as opaque cloud."""

SHADOW_DEPTH = 0.35
"""Share of the direct sunlight lost from which a pixel counts as cloud shadow."""

CLOUD_OPTICAL_THICKNESS = 2.0
"""Optical thickness (550 nm) from which clouds by optical thickness are cloud in truth, and, along the sunbeam, cloud
shadow. Such a cloud reflects a fifth of the light, and takes 36 to 62 % of the direct sunlight from the ground."""

HAZE_OPTICAL_THICKNESS = 0.3
"""Optical thickness (550 nm) that a veil adds to the clear sky from which a pixel is haze in truth."""

CIRRUS_B10 = 0.012
"""Reflectance in B10 from which a pixel counts as thin cirrus: the lower threshold of Sen2Cor (ESA, L2A ATBD 2.10)."""

CIRRUS_SPECTRUM: Float = np.array(
    [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.99, 0.92, 0.62, 0.72, 0.55], dtype=np.float32
)
"""(13,) reflectance of thin cirrus against its own in the visible."""

_CLOUD_STREAM, _CIRRUS_STREAM, _BRIGHTNESS_STREAM = 301, 302, 303
_SOFT_STREAM, _SOFT_BRIGHTNESS_STREAM, _VEIL_STREAM = 501, 511, 521
_THICKEST = 80.0


@dataclass(frozen=True)
class CloudLayer:
    """Low clouds of one date."""

    cover: float
    """Share of the ground under opaque cloud, over a large area."""

    height: float
    """Of the layer above the ground, metres."""

    wavelength: float
    """Size of the largest cloud forms, metres."""

    sharpness: float
    """How fast the cloud thickens inward of its edge: about 2 for stratus, 6 for cumulus."""

    seed: int

    def thickness(self, x: Coordinates, y: Coordinates, resolution: float) -> Float:
        """Optical thickness in arbitrary units, 0 outside the clouds."""
        if self.cover <= 0:
            return np.zeros(np.broadcast_shapes(x.shape, y.shape), dtype=np.float32)
        form = fractal_noise(
            x, y, self.seed, _CLOUD_STREAM, wavelength=self.wavelength, octaves=7, gain=0.55, finest=2 * resolution
        )
        edge = float(ndtri(1 - min(self.cover, 0.995))) - _THICKNESS_AT_THRESHOLD / self.sharpness
        return np.asarray(np.maximum((form - np.float32(edge)) * np.float32(self.sharpness), 0))

    def opacity(self, x: Coordinates, y: Coordinates, resolution: float) -> Float:
        """Share of the light from below that the cloud replaces by its own, 0..1."""
        return np.asarray(-np.expm1(-self.thickness(x, y, resolution)))

    def brightness(self, x: Coordinates, y: Coordinates, resolution: float, sun_azimuth: float) -> Float:
        """Factor of the cloud's reflectance: thicker is whiter, and the side turned to the sun is bright."""
        east, north = np.sin(np.radians(sun_azimuth)), np.cos(np.radians(sun_azimuth))
        step = max(120.0, 2 * resolution)
        here = self.thickness(x, y, resolution)
        sunward = self.thickness(x + step * east, y + step * north, resolution)
        relief = np.clip((here - sunward) * np.float32(0.12), -0.22, 0.18)
        mottle = fractal_noise(x, y, self.seed, _BRIGHTNESS_STREAM, wavelength=900, octaves=3, finest=2 * resolution)
        body = np.float32(1.0) - np.float32(0.38) * np.exp(np.float32(-0.45) * here)
        return np.asarray(np.clip(body + relief + np.float32(0.05) * mottle, 0.5, 1.3))


_THICKNESS_AT_THRESHOLD = float(-np.log1p(-CLOUD_OPACITY))


@dataclass(frozen=True)
class SoftCloudLayer:
    """One layer of clouds of one date."""

    cover: float
    """Share of the ground under cloud of at least CLOUD_OPTICAL_THICKNESS, over a large area."""

    height: float
    """Above the mean elevation of the ground, metres."""

    wavelength: float
    """Size of the largest cloud forms across the wind, metres."""

    rim: float
    """Width of the fading rim in standard deviations of the form: about 0.3 for cumulus, 0.7 for high thin clouds."""

    wind: float
    """Degrees clockwise from north along which the forms are drawn out."""

    stretch: float
    """By how much, 1 for not at all."""

    seed: int
    level: int
    """0 for the lowest layer of the date; layers of one seed have forms of their own."""

    def optical_thickness(self, x: Coordinates, y: Coordinates, resolution: float) -> Float:
        """(h, w) at 550 nm, straight down; 0 outside the clouds."""
        if self.cover <= 0:
            return np.zeros(np.broadcast_shapes(x.shape, y.shape), dtype=np.float32)
        sine, cosine = np.sin(np.radians(self.wind)), np.cos(np.radians(self.wind))
        along, across = (x * sine + y * cosine) / self.stretch, x * cosine - y * sine
        form = fractal_noise(
            along, across, self.seed, _SOFT_STREAM + self.level, wavelength=self.wavelength, octaves=7, gain=0.55,
            finest=2 * resolution,
        )  # fmt: skip
        edge = np.float32(ndtri(1 - min(self.cover, 0.995)))
        inward = np.maximum((form - edge) / np.float32(self.rim) + 1, 0)
        return np.asarray(np.minimum(np.float32(CLOUD_OPTICAL_THICKNESS) * np.square(inward), np.float32(_THICKEST)))

    def brightness(self, x: Coordinates, y: Coordinates, resolution: float, sun_azimuth: float) -> Float:
        """Factor of the cloud's reflectance, about 1: the side turned to the sun is bright, the other one dim."""
        east, north = np.sin(np.radians(sun_azimuth)), np.cos(np.radians(sun_azimuth))
        step = max(120.0, 2 * resolution)
        here = np.sqrt(self.optical_thickness(x, y, resolution))
        sunward = np.sqrt(self.optical_thickness(x + step * east, y + step * north, resolution))
        mottle = fractal_noise(
            x, y, self.seed, _SOFT_BRIGHTNESS_STREAM + self.level, wavelength=900, octaves=3, finest=2 * resolution
        )
        relief = np.clip((here - sunward) * np.float32(0.09), -0.22, 0.18)
        return np.asarray(np.clip(1 + relief + np.float32(0.05) * mottle, 0.5, 1.3))


def shadow_offset(height: float, sun_zenith: float, sun_azimuth: float) -> tuple[float, float]:
    """(east, north) metres from a cloud to its shadow on flat ground, for a sensor in the zenith.

    :param height: Of the cloud above the ground, metres.
    :param sun_zenith: Degrees; above 80 it is taken as 80.
    :param sun_azimuth: Degrees clockwise from north.
    """
    reach = height * np.tan(np.radians(min(sun_zenith, 80.0)))
    return float(-reach * np.sin(np.radians(sun_azimuth))), float(-reach * np.cos(np.radians(sun_azimuth)))


@dataclass(frozen=True)
class CirrusLayer:
    """Thin ice cloud of one date, in streaks."""

    strength: float
    """Reflectance in the visible where it is well developed, 0 for none; thin cirrus is below about 0.1."""

    direction: float
    """Along which the streaks run, degrees clockwise from north."""

    seed: int

    def reflectance(self, x: Coordinates, y: Coordinates, resolution: float) -> Float:
        """Reflectance in the visible."""
        if self.strength <= 0:
            return np.zeros(np.broadcast_shapes(x.shape, y.shape), dtype=np.float32)
        sine, cosine = np.sin(np.radians(self.direction)), np.cos(np.radians(self.direction))
        along, across = (x * sine + y * cosine) / 5, x * cosine - y * sine
        form = fractal_noise(
            along, across, self.seed, _CIRRUS_STREAM, wavelength=4000, octaves=5, gain=0.6, finest=2 * resolution
        )
        veil = np.maximum(form + np.float32(0.2), 0)
        return np.asarray(np.float32(self.strength) * veil / (1 + np.float32(0.35) * veil))


@dataclass(frozen=True)
class HazeVeil:
    """Smoke or mist below the clouds of one date."""

    strength: float
    """Optical thickness at 550 nm where it is well developed."""

    exponent: float
    """Of Angstrom: about 0.5 for mist, which is white, to 1.4 for smoke, which is blue."""

    wavelength: float
    """Size of its largest forms, metres."""

    seed: int

    def optical_thickness(self, x: Coordinates, y: Coordinates, resolution: float) -> Float:
        """(h, w) at 550 nm, added to the aerosol of the date; 0 beside the veil."""
        form = fractal_noise(
            x, y, self.seed, _VEIL_STREAM, wavelength=self.wavelength, octaves=5, gain=0.45, finest=2 * resolution
        )
        veil = np.maximum(form - np.float32(0.1), 0)
        return np.asarray(np.float32(self.strength) * veil / (1 + np.float32(0.3) * veil))
