from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from eotasks.errors import ImageryError
from eotasks.imagery.products.acquisition import read_sidecar

MINIMAL: dict[str, Any] = {"version": 1, "time": "2017-02-16T10:21:01Z", "satellite": "S2A", "tile": "33UUU"}


def write(folder: Path, content: dict[str, Any]) -> Path:
    file = folder / "acquisition.json"
    file.write_text(json.dumps(content))
    return file


def test_minimal_sidecar(tmp_path: Path) -> None:
    acquisition = read_sidecar(write(tmp_path, MINIMAL))
    assert acquisition.time == dt.datetime(2017, 2, 16, 10, 21, 1)  # noqa: DTZ001 - naive UTC is the convention
    assert acquisition.sun_zenith is None
    assert acquisition.radio_add_offset == 0


def test_time_zone_becomes_utc(tmp_path: Path) -> None:
    acquisition = read_sidecar(write(tmp_path, {**MINIMAL, "time": "2017-02-16T12:21:01+02:00"}))
    assert acquisition.time == dt.datetime(2017, 2, 16, 10, 21, 1)  # noqa: DTZ001 - naive UTC is the convention


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "version 2.*upgrade"),
        ({"version": 0}, "version"),
        ({"tile": "33UUI"}, "tile"),
        ({"satellite": "Landsat"}, "satellite"),
        ({"relative_orbit": 144}, "relative_orbit"),
        ({"sun_azimuth": 360}, "sun_azimuth"),
        ({"angles_source": "guessed"}, "angles_source"),
        ({"cloudy": True}, "cloudy"),
        ({"time": "yesterday"}, "time"),
    ],
)
def test_wrong_field_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ImageryError, match=message) as caught:
        read_sidecar(write(tmp_path, {**MINIMAL, **change}))
    assert "\n" not in str(caught.value)


def test_missing_file_and_no_json(tmp_path: Path) -> None:
    with pytest.raises(ImageryError, match="time, satellite, tile"):
        read_sidecar(tmp_path / "acquisition.json")
    (tmp_path / "acquisition.json").write_text("{")
    with pytest.raises(ImageryError, match=r"acquisition\.json: no JSON"):
        read_sidecar(tmp_path / "acquisition.json")
