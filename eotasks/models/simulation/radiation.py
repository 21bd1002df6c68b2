"""What a clear atmosphere adds and takes away: surface reflectance to top-of-atmosphere reflectance and back.

A small model in the manner of 6S (Vermote et al. 1997, IEEE TGRS 35(3), 675-686): scattering in one layer, plane
parallel, seen from the zenith. Rayleigh optical thickness after Hansen & Travis (1974), Space Sci. Rev. 16, eq. 2.29;
aerosol by an Angstrom exponent; gases as one transmission per band. It is meant to look right and to be undone exactly,
not to correct images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eotasks.models.sentinel2 import BANDS, CENTRAL_WAVELENGTH

Float = NDArray[np.float32]

WAVELENGTH: NDArray[np.float64] = np.array([CENTRAL_WAVELENGTH[band] / 1000 for band in BANDS])
"""Micrometres."""

WATER_VAPOUR = BANDS.index("B09")
CIRRUS = BANDS.index("B10")

_GAS_AT_AIR_MASS_ONE = np.array(
    [0.999, 0.995, 0.965, 0.975, 0.99, 0.985, 0.995, 0.985, 0.995, 1.0, 1.0, 0.99, 0.97]
)  # Ozone in green and red, water vapour and carbon dioxide beyond; B09 is given per date, B10 lets no ground through.
LOWEST_SUN = 66.0
"""Zenith angle from which on the sky stays as it is: one plane-parallel layer gets far too bright under a lower sun."""

_ANGSTROM_EXPONENT = 1.3
_SINGLE_SCATTERING_ALBEDO = 0.93
_ASYMMETRY = 0.65
_GROUND_UNDER_AEROSOL = 0.15


@dataclass(frozen=True)
class ClearAtmosphere:
    """Optics of the cloudless sky at one time, per band (13,)."""

    path: Float
    """Reflectance of the atmosphere itself over black ground."""

    direct: Float
    """Transmission of the direct sunlight, down."""

    diffuse: Float
    """Transmission of skylight, down, in units of the same irradiance."""

    up: Float
    """Transmission from the ground to the sensor, direct and diffuse."""

    spherical_albedo: Float
    """Share of light going up that the atmosphere sends back down."""

    gas: Float
    """Transmission of the gases, both ways."""

    def to_top(self, surface: Float, sunlit: Float | None = None, sky: Float | None = None) -> Float:
        """Top-of-atmosphere reflectance.

        :param surface: (..., 13) surface reflectance.
        :param sunlit: (..., 1) share of the direct sunlight that reaches the ground, None for all.
        :param sky: The same for skylight.
        """
        down = self.direct + self.diffuse
        if sunlit is not None:
            down = self.direct * sunlit + self.diffuse * (np.float32(1) if sky is None else sky)
        coupled = surface / (1 - self.spherical_albedo * surface)
        return np.asarray(self.gas * (self.path + down * self.up * coupled), dtype=np.float32)

    def to_surface(self, top: Float) -> Float:
        """Surface reflectance of sunlit ground from (..., 13) top-of-atmosphere reflectance, the inverse of to_top."""
        scaled = (top / self.gas - self.path) / ((self.direct + self.diffuse) * self.up)
        return np.asarray(scaled / (1 + self.spherical_albedo * scaled), dtype=np.float32)


def clear_atmosphere(sun_zenith: float, aerosol: float, water_vapour_transmission: float) -> ClearAtmosphere:
    """The atmosphere for a sun and a haze.

    :param sun_zenith: Degrees; above LOWEST_SUN it is taken as that.
    :param aerosol: Optical thickness at 550 nm, 0.05 (very clear) to about 1.
    :param water_vapour_transmission: Of B09, both ways, 0..1: about 0.25 to 0.4 over land.
    """
    mu = float(np.cos(np.radians(min(sun_zenith, LOWEST_SUN))))
    rayleigh = 0.008569 * WAVELENGTH**-4 * (1 + 0.0113 * WAVELENGTH**-2 + 0.00013 * WAVELENGTH**-4)
    haze = aerosol * (WAVELENGTH / 0.55) ** -_ANGSTROM_EXPONENT
    scattering_angle = -mu  # cosine, for a sensor in the zenith
    phase_rayleigh = 0.75 * (1 + scattering_angle**2)
    g = _ASYMMETRY
    phase_haze = (1 - g**2) / (1 + g**2 - 2 * g * scattering_angle) ** 1.5
    single = (phase_rayleigh * rayleigh + _SINGLE_SCATTERING_ALBEDO * phase_haze * haze) / (4 * mu)
    thickness = rayleigh + haze
    # Multiple scattering lifts, extinction inside the layer lowers the single-scattering term.
    slant = thickness * (1 / mu + 1)
    path = single * (1 - np.exp(-slant)) / slant * (1 + 0.65 * slant)
    direct = np.exp(-thickness / mu)
    total = np.exp(-(0.5 * rayleigh + _GROUND_UNDER_AEROSOL * haze) / mu)
    gas = _GAS_AT_AIR_MASS_ONE ** ((1 / mu + 1) / 2)
    gas[WATER_VAPOUR] = water_vapour_transmission
    return ClearAtmosphere(
        path=path.astype(np.float32),
        direct=direct.astype(np.float32),
        diffuse=(total - direct).astype(np.float32),
        up=np.exp(-(0.5 * rayleigh + _GROUND_UNDER_AEROSOL * haze)).astype(np.float32),
        spherical_albedo=(0.9 * rayleigh * np.exp(-rayleigh) + 0.15 * haze).astype(np.float32),
        gas=gas.astype(np.float32),
    )
