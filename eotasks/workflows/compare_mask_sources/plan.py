"""What is compared: patches, dates, ways, and in which order they run; refused here where it cannot work."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from eotasks.documents import parse_json_object
from eotasks.errors import ConfigurationError, GridError, reason_of

Box = tuple[float, float, float, float]
"""West, south, east, north in metres."""

SERVICE, COMPUTED, S2CLOUDLESS = "service", "computed", "s2cloudless"
"""The ways: masks of the service, masks that eotasks computes, masks that the package s2cloudless computes."""

MOST_PATCHES, MOST_PIXELS, MOST_REPEATS = 2500, 2500, 100
"""Pixels: of a side, as the Process API has it."""

_WHOLE = 1e-6


@dataclass(frozen=True)
class Job:
    """What one process does: one way, in all patches."""

    way: str
    boxes: tuple[Box, ...]
    crs: str
    resolution: float
    """Metres of a pixel."""

    dates: tuple[str, str]
    mask_resolution: float | None = None
    """Metres at which the way "computed" computes probabilities; None for those of the bands."""

    masks: str = ""
    """Folder for the masks of each patch."""

    core: int | None = None
    """Which core the process keeps to; None where processes cannot be held to one."""

    def as_json(self) -> str:
        """For the file that the process reads."""
        return json.dumps(asdict(self))

    @classmethod
    def of_json(cls, content: bytes) -> Job:
        """What `as_json` wrote.

        :raises ConfigurationError: when it is something else.
        """
        said: dict[str, Any] = parse_json_object(content, lambda reason: ConfigurationError(f"The job is {reason}."))
        try:
            boxes = tuple(
                (float(west), float(south), float(east), float(north)) for west, south, east, north in said["boxes"]
            )
            first, last = said["dates"]
            return cls(**{**said, "boxes": boxes, "dates": (first, last)})
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigurationError(f"The job is no job ({reason_of(error)}).") from error


@dataclass(frozen=True)
class Plan:
    """A comparison."""

    boxes: tuple[Box, ...]
    crs: str
    size: float
    """Metres of a side of a patch."""

    resolution: float
    dates: tuple[str, str]
    ways: tuple[str, ...] = (SERVICE, COMPUTED)
    repeats: int = 3
    mask_resolution: float | None = None

    @property
    def pixels(self) -> int:
        """Of a side of a patch."""
        return round(self.size / self.resolution)

    def job(self, way: str, **more: Any) -> Job:
        """What the process of one way does."""
        return Job(way, self.boxes, self.crs, self.resolution, self.dates, self.mask_resolution, **more)

    def one_patch(self) -> Plan:
        """The same with the first patch alone."""
        return replace(self, boxes=self.boxes[:1])

    @property
    def order(self) -> list[tuple[int, str]]:
        """(repeat, way) of each run; every other repeat goes backwards, so that no way is always the first."""
        turns = [self.ways if repeat % 2 == 0 else self.ways[::-1] for repeat in range(self.repeats)]
        return [(repeat, way) for repeat, ways in enumerate(turns) for way in ways]


def make_plan(
    *,
    patches: int = 25,
    size: float = 500,
    resolution: float = 10,
    dates: tuple[str, str],
    repeats: int = 3,
    center: tuple[float, float] | None = None,
    mask_resolution: float | None = None,
    with_s2cloudless: bool = False,
) -> Plan:
    """A comparison over a square of patches.

    :param patches: How many, side by side in a grid as square as may be.
    :param size: Metres of a side of a patch: whole pixels.
    :param resolution: Metres of a pixel.
    :param dates: First and last day.
    :param repeats: How often each way runs.
    :param center: Longitude and latitude of the middle of the grid, which lies in the UTM zone of it; None for the
        middle of the embedded scene, where the service's demonstration has its products.
    :param mask_resolution: Metres at which probabilities are computed; None for those of the bands.
    :raises ConfigurationError: for an argument that is not usable.
    :raises GridError: when patches of the demonstration would lie outside of its products.
    """
    from eotasks.sources.bbox import check_resolution
    from eotasks.sources.sentinelhub.checks import check_interval

    _check_count("--patches", patches, MOST_PATCHES)
    _check_count("--repeats", repeats, MOST_REPEATS)
    check_resolution(resolution)
    pixels = size / resolution if math.isfinite(size) else math.nan
    if not (1 - _WHOLE <= pixels <= MOST_PIXELS and abs(pixels - round(pixels)) <= _WHOLE):
        raise ConfigurationError(
            f"--size {size:g} at --resolution {resolution:g} is {pixels:g} pixels: give whole pixels, 1 to"
            f" {MOST_PIXELS}."
        )
    if mask_resolution is not None:
        check_resolution(mask_resolution)
        if with_s2cloudless:
            raise ConfigurationError(
                f"--mask-resolution {mask_resolution:g} and --with-s2cloudless: s2cloudless computes at the resolution"
                " of its bands, so the two would not do the same. Leave one out."
            )
    check_interval(dates)
    x, y, crs = _middle(center)
    boxes = _grid(patches, size, resolution, x, y)
    if center is None:
        _check_demonstration(boxes, patches, size)
    ways = (SERVICE, COMPUTED, S2CLOUDLESS) if with_s2cloudless else (SERVICE, COMPUTED)
    return Plan(boxes, crs, size, resolution, dates, ways, repeats, mask_resolution)


def _check_count(option: str, count: int, most: int) -> None:
    if not 1 <= count <= most:
        raise ConfigurationError(f"{option} {count}: give a whole number, 1 to {most}.")


def _middle(center: tuple[float, float] | None) -> tuple[float, float, str]:
    """Easting, northing and the UTM zone."""
    from eotasks.sources.sample import SAMPLE_BBOX

    if center is None:
        x, y = SAMPLE_BBOX.middle
        return x, y, SAMPLE_BBOX.crs.ogc_string()
    from sentinelhub.constants import CRS
    from sentinelhub.geo_utils import transform_point

    from eotasks.geometry.systems import utm_of

    longitude, latitude = center
    if not (-180 <= longitude <= 180 and -80 <= latitude <= 84):
        raise ConfigurationError(
            f"--center {longitude:g} {latitude:g} lies in no UTM zone: give longitude (-180 to 180) and latitude (-80"
            " to 84), in degrees."
        )
    zone = utm_of(longitude, latitude)
    x, y = transform_point((longitude, latitude), CRS.WGS84, zone)
    return x, y, zone.ogc_string()


def _grid(patches: int, size: float, resolution: float, x: float, y: float) -> tuple[Box, ...]:
    """Boxes from north-west on, row by row, on multiples of the pixel, where Sentinel-2 of that size has its own."""
    columns = math.isqrt(patches - 1) + 1
    rows = -(-patches // columns)
    west = round((x - columns * size / 2) / resolution) * resolution
    north = round((y + rows * size / 2) / resolution) * resolution
    places = [divmod(number, columns) for number in range(patches)]
    return tuple(
        (west + column * size, north - (row + 1) * size, west + (column + 1) * size, north - row * size)
        for row, column in places
    )


def _check_demonstration(boxes: Sequence[Box], patches: int, size: float) -> None:
    from eotasks.sources.sample import SAMPLE_BBOX

    west, south, east, north = SAMPLE_BBOX
    if all(west <= box[0] and south <= box[1] and box[2] <= east and box[3] <= north for box in boxes):
        return
    raise GridError(
        f"--patches {patches} of {size:g} m reach beyond the products of the demonstration ({(east - west) / 1000:g} x"
        f" {(north - south) / 1000:g} km): give fewer or smaller ones, or --center with a service of your own."
    )
