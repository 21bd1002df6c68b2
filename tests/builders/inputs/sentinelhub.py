"""What tests ask of our service on loopback, the profile that leads there, and what it has to answer."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

from tests.servers.made_scenes import value
from tests.servers.made_service import TOKEN, Lie, MadeService

SIX = ("B02", "B03", "B04", "B08", "B11", "B12")
PATCH = BBox((330_000, 5_814_360, 335_000, 5_819_360), CRS("EPSG:32633"))
SMALL = BBox((330_000, 5_814_360, 330_040, 5_814_390), CRS("EPSG:32633"))
TIMES = [dt.datetime(2019, 6, 1, 10, 10), dt.datetime(2019, 6, 6, 10, 10)]  # noqa: DTZ001 - naive UTC
YEAR = ("2019-01-01", "2019-12-31")


def write_profile(home: Path, **fields: str | float) -> None:
    home.parent.mkdir(exist_ok=True)
    home.write_text("[mine]\n" + "\n".join(f"{name} = {value!r}" for name, value in fields.items()))


def profile_of(service: MadeService) -> dict[str, str | float]:
    return {
        "sh_base_url": service.url,
        "sh_token_url": f"{service.url}{TOKEN}",
        "sh_client_id": service.client_id,
        "sh_client_secret": service.client_secret,
        "download_sleep_time": 0.01,
    }


def spoil(service: MadeService, fault: Exception | Lie) -> None:
    """What the next request for pixels or statistics ends with."""
    if isinstance(fault, Lie):
        service.lies.append(fault)
    else:
        service.errors.append(fault)


def expected(band: str, bbox: BBox, day: dt.datetime, resolution: float = 10) -> np.ndarray:
    """What the service has at the centres of an area's pixels."""
    left, bottom, right, top = bbox
    x = np.arange(left + resolution / 2, right, resolution)
    y = np.arange(top - resolution / 2, bottom, -resolution)
    return value(band, x[np.newaxis], y[:, np.newaxis], day.timetuple().tm_yday)
