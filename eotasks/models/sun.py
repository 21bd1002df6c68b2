"""Where the sun stands: zenith and azimuth from place and time."""

from __future__ import annotations

import datetime as dt
import math

from eotasks.times import naive_utc


def sun_position(time: dt.datetime, latitude: float, longitude: float) -> tuple[float, float]:
    """Zenith and azimuth of the sun, to about 0.1 degree between 1950 and 2050.

    Method: the low-precision formulas of the Astronomical Almanac (section C), as in Michalsky (1988), Solar Energy
    40(3), 227-235. No refraction.

    :param time: Time in UTC; a naive datetime is taken as UTC.
    :param latitude: Degrees north.
    :param longitude: Degrees east.
    :return: (zenith, azimuth) in degrees, azimuth clockwise from north. Zenith above 90 is below the horizon.
    """
    days = (naive_utc(time) - dt.datetime(2000, 1, 1, 12)).total_seconds() / 86_400  # noqa: DTZ001 - both sides are UTC
    anomaly = math.radians((357.528 + 0.9856003 * days) % 360)
    mean_longitude = (280.460 + 0.9856474 * days) % 360
    ecliptic = math.radians(mean_longitude + 1.915 * math.sin(anomaly) + 0.020 * math.sin(2 * anomaly))
    obliquity = math.radians(23.439 - 0.0000004 * days)
    right_ascension = math.atan2(math.cos(obliquity) * math.sin(ecliptic), math.cos(ecliptic))
    declination = math.asin(math.sin(obliquity) * math.sin(ecliptic))
    sidereal_hours = (18.697374558 + 24.06570982441908 * days) % 24
    hour_angle = math.radians(sidereal_hours * 15 + longitude) - right_ascension
    phi = math.radians(latitude)
    cosine = math.sin(phi) * math.sin(declination) + math.cos(phi) * math.cos(declination) * math.cos(hour_angle)
    zenith = math.acos(max(-1.0, min(1.0, cosine)))
    azimuth = math.atan2(
        -math.sin(hour_angle) * math.cos(declination),
        math.sin(declination) * math.cos(phi) - math.cos(declination) * math.sin(phi) * math.cos(hour_angle),
    )
    return math.degrees(zenith), math.degrees(azimuth) % 360
