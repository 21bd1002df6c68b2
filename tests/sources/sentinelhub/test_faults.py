"""Answers that are late, damaged, refused or lost: what is tried again, what is kept, and what is told."""

from __future__ import annotations

import datetime as dt
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from eolearn.core import EOPatch

from eotasks.errors import ImageryError
from eotasks.service.errors import BusyError, ProductError
from eotasks.sources.sentinelhub import DownloadBandsTask
from tests.builders.inputs.sentinelhub import SIX, SMALL, TIMES, YEAR, expected, profile_of, spoil, write_profile
from tests.servers.made_service import CUT_OFF, HALF_AN_ARCHIVE, Lie, MadeService, of_json, rate_limited


def test_a_failure_leaves_the_eopatch_as_it_was(service: MadeService) -> None:
    service.fails_at = {TIMES[0].date()}
    eopatch = EOPatch(bbox=SMALL)
    with pytest.raises(ImageryError):
        DownloadBandsTask(bands=["B02"]).execute(eopatch, time_interval=YEAR)
    assert eopatch == EOPatch(bbox=SMALL)


@pytest.mark.parametrize(
    "fault",
    [
        BusyError("slow down", wait_s=0.02),
        rate_limited("0.02"),
        rate_limited("Mon, 01 Jan 2024 00:00:00 GMT"),
        ProductError("later"),
        CUT_OFF,
        HALF_AN_ARCHIVE,
        Lie(pause_s=0.2),
    ],
    ids=["429 ms", "429 s", "429 date", "500", "cut off", "half an archive", "slow"],
)
def test_temporary_faults_are_tried_again(service: MadeService, fault: Exception | Lie) -> None:
    spoil(service, fault)
    patch = DownloadBandsTask(bands=["B02"], max_threads=1).execute(bbox=SMALL, time_interval=YEAR)
    want = np.stack([expected("B02", SMALL, day) for day in TIMES]).astype(np.float32) / np.float32(10_000)
    np.testing.assert_array_equal(patch.data["BANDS"][..., 0], want)
    assert not service.lies
    assert not service.errors


def test_an_answer_that_takes_too_long_is_asked_for_again(service: MadeService, home: Path) -> None:
    write_profile(home, **profile_of(service), download_timeout_seconds=1.0)
    service.lies.append(Lie(pause_s=4))
    patch = DownloadBandsTask(bands=["B02"], max_threads=1).execute(bbox=SMALL, time_interval=YEAR)
    assert patch.timestamps == TIMES
    assert len(service.processes) == 3


def test_the_catalogue_waits_and_tries_again_too(service: MadeService) -> None:
    service.search_lies.append(rate_limited("Mon, 01 Jan 2024 00:00:00 GMT"))
    service.search_errors.extend([BusyError("slow down", wait_s=0.01), ProductError("later")])
    assert DownloadBandsTask(bands=["B02"]).execute(bbox=SMALL, time_interval=YEAR).timestamps == TIMES


def test_a_catalogue_of_another_shape_is_one_clear_error(service: MadeService) -> None:
    service.search_lies.append(of_json({"features": []}))
    with pytest.raises(ImageryError, match=r"search for acquisitions .* failed") as caught:
        DownloadBandsTask(bands=["B02"]).execute(bbox=SMALL, time_interval=YEAR)
    assert "\n" not in str(caught.value)


def test_failed_dates_are_named_and_the_others_are_kept(service: MadeService, tmp_path: Path) -> None:
    service.times = [TIMES[0] + dt.timedelta(days=5 * n) for n in range(4)]
    service.fails_at = {service.times[2].date()}
    task = DownloadBandsTask(bands=["B02"], cache_folder=str(tmp_path / "kept"))
    message = r"1 of 4 acquisitions could not be downloaded: 2019-06-11 10:10 \(.*this day is lost.*others are kept"
    with pytest.raises(ImageryError, match=message) as caught:
        task.execute(bbox=SMALL, time_interval=YEAR)
    assert "\n" not in str(caught.value)
    assert len(service.processes) == 3 + 4  # the failed one by the client's own four attempts
    service.processes.clear()
    service.fails_at.clear()
    patch = task.execute(bbox=SMALL, time_interval=YEAR)
    assert len(service.processes) == 1
    assert len(patch.timestamps) == 4
    task.execute(bbox=SMALL, time_interval=YEAR)
    assert len(service.processes) == 1


@pytest.mark.parametrize(
    "damage", ["truncated", "empty", "no request", "empty request", "half a request", "other text"]
)
def test_damaged_kept_answers_are_fetched_again(service: MadeService, tmp_path: Path, damage: str) -> None:
    task = DownloadBandsTask(bands=["B02"], cache_folder=str(tmp_path / "kept"))
    before = task.execute(bbox=SMALL, time_interval=YEAR)
    assert len(service.processes) == 2
    kept = min((tmp_path / "kept").glob("*/response.tar"))
    if damage == "no request":
        (kept.parent / "request.json").unlink()
    elif damage in ("empty request", "half a request"):
        asked = kept.parent / "request.json"
        whole = asked.read_bytes()
        asked.write_bytes(whole[: len(whole) // 2] if damage == "half a request" else b"")
    else:
        whole = kept.read_bytes()
        kept.write_bytes({"truncated": whole[: len(whole) // 3], "empty": b"", "other text": b"<html>" * 500}[damage])
    assert task.execute(bbox=SMALL, time_interval=YEAR) == before
    assert len(service.processes) == 3


def test_nothing_is_asked_for_twice_after_a_kill(service: MadeService, home: Path, tmp_path: Path) -> None:
    """The download is killed in its middle; a repetition asks for what was not answered."""
    service.times = [TIMES[0] + dt.timedelta(days=5 * n) for n in range(8)]
    service.lies.extend([Lie()] * 4 + [Lie(pause_s=60)])
    folder = tmp_path / "kept"
    script = (
        "from sentinelhub.geometry import BBox; from sentinelhub.constants import CRS\n"
        "from eotasks.sources.sentinelhub import DownloadBandsTask\n"
        f"task = DownloadBandsTask(bands=['B02'], cache_folder={str(folder)!r}, max_threads=1)\n"
        f"task.execute(bbox=BBox({tuple(SMALL)!r}, CRS('EPSG:32633')), time_interval={YEAR!r})\n"
    )
    with subprocess.Popen([sys.executable, "-c", script]) as process:
        deadline = time.monotonic() + 300
        while len(service.processes) < 5 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        process.kill()
    assert len(service.processes) == 5
    task = DownloadBandsTask(bands=["B02"], cache_folder=str(folder), max_threads=1)
    assert len(task.execute(bbox=SMALL, time_interval=YEAR).timestamps) == 8
    assert len(service.processes) == 5 + 4  # four were kept; the one cut off is asked for again


def test_no_server(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    with socket.socket() as free:  # nobody listens at its port
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    write_profile(home, **profile_of(MadeService(url=url, client_id="id", client_secret="secret-value")))
    with pytest.raises(ImageryError, match=r"from 127\.0\.0\.1 failed") as caught:
        DownloadBandsTask(bands=SIX, profile="mine").execute(bbox=SMALL, time_interval=YEAR)
    assert "\n" not in str(caught.value)
