"""What a process does and counts: against our service on loopback, which counts too."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import requests
from sentinelhub.download.sentinelhub_client import SentinelHubDownloadClient

from eotasks.service.errors import ProductError
from eotasks.workflows.compare_mask_sources import worker
from eotasks.workflows.compare_mask_sources.agreement import Agreement, agreement_of, agreement_of_folders, read_masks
from eotasks.workflows.compare_mask_sources.meter import kind_of, metered
from eotasks.workflows.compare_mask_sources.plan import COMPUTED, S2CLOUDLESS, SERVICE, Job
from eotasks.workflows.compare_mask_sources.ways import LAND_COVER_BANDS, steps_of
from tests.builders.inputs.sentinelhub import TIMES, profile_of, write_profile
from tests.servers.made_service import MadeService

BOXES = ((330_000.0, 5_814_360.0, 330_040.0, 5_814_400.0), (330_040.0, 5_814_360.0, 330_080.0, 5_814_400.0))
SPECTRUM = {
    "B01": 0.12, "B02": 0.10, "B03": 0.09, "B04": 0.07, "B05": 0.11, "B08": 0.28, "B8A": 0.30, "B09": 0.10,
    "B10": 0.002, "B11": 0.18, "B12": 0.10, "B06": 0.2, "B07": 0.25,
}  # fmt: skip
"""A meadow."""


def ground(band: str, x: np.ndarray, y: np.ndarray, day: int) -> np.ndarray:
    """DN: a meadow, and on later days a cloud over its west."""
    cloud = (x < 330_030) & (day > 152)
    return np.where(cloud, 6000, 10_000 * SPECTRUM.get(band, 0.1) + (x + y) % 50).astype(np.uint16)


@pytest.fixture
def service(tmp_path: Path, made_service: MadeService, monkeypatch: pytest.MonkeyPatch) -> Iterator[MadeService]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    monkeypatch.setenv("SH_PROFILE", "mine")
    SentinelHubDownloadClient.clear_cache()
    made_service.times, made_service.pixels = list(TIMES), ground
    write_profile(tmp_path / "sentinelhub" / "config.toml", **profile_of(made_service))
    yield made_service
    SentinelHubDownloadClient.clear_cache()


def job(way: str, masks: Path | None = None) -> Job:
    if masks is not None:
        masks.mkdir()
    return Job(way, BOXES, "EPSG:32633", 10, ("2019-01-01", "2019-12-31"), masks=str(masks or ""))


def test_six_bands_and_the_masks_of_the_service(service: MadeService, tmp_path: Path) -> None:
    download, computing = steps_of(job(SERVICE))
    assert list(computing) == []
    found = worker.run_patches(job(SERVICE, tmp_path / "masks"), download, computing)
    assert [each.requests for each in found] == [
        {"token": 1, "catalog": 1, "process": 2},
        {"catalog": 1, "process": 2},
    ]
    assert sum(each.bytes for each in found) == sum(service.sent)
    assert found[0].acquisitions == ["2019-06-01T10:10:00", "2019-06-06T10:10:00"]
    names = {each["identifier"] for each in service.processes[0]["output"]["responses"]}
    assert names == {*LAND_COVER_BANDS, "dataMask", "CLM", "CLP"}
    for each in found:
        assert each.answers_s + each.pauses_s <= each.end - each.start
        assert each.download_s + each.computing_s == pytest.approx(each.end - each.start)
    assert found[0].end <= found[1].start
    mask, probability = read_masks(tmp_path / "masks" / "00000.npy")
    x, y = np.meshgrid(330_005 + 10 * np.arange(4), 5_814_395 - 10 * np.arange(4))
    np.testing.assert_array_equal(probability[0], ground("CLP", x, y, 152) % 256)
    assert mask.shape == (2, 4, 4)


@pytest.mark.slow
def test_ten_bands_of_which_masks_are_computed_as_s2cloudless_does(service: MadeService, tmp_path: Path) -> None:
    for way in (COMPUTED, S2CLOUDLESS):
        steps = steps_of(job(way))
        found = worker.run_patches(job(way, tmp_path / way), *steps)
        assert sum(each.requests["process"] for each in found) == 4
        assert all(each.computing_s > 0 for each in found)
        names = [each["identifier"] for each in service.processes[-1]["output"]["responses"]]
        assert len(names) == 11
        assert not {"CLM", "CLP"} & set(names)
    agreement = agreement_of_folders(tmp_path / COMPUTED, tmp_path / S2CLOUDLESS)
    assert agreement.pixels == 2 * 2 * 16
    assert agreement.same == 1
    assert agreement.probability_difference == 0
    assert agreement.both_cloud > 0
    assert agreement.both_clear > 0


def test_a_try_that_fails_is_a_request_too(service: MadeService) -> None:
    service.errors.append(ProductError("later"))
    (first, _) = worker.run_patches(job(SERVICE), *steps_of(job(SERVICE)))
    assert first.requests["process"] == 3
    assert first.pauses_s >= 0.01  # the profile's time between two tries


def test_the_process_reports_figures_and_failures(service: MadeService, tmp_path: Path) -> None:
    job_file, report_file = tmp_path / "job.json", tmp_path / "report.json"
    job_file.write_text(job(SERVICE).as_json())
    assert worker.main([str(job_file), str(report_file)]) == 0
    report = json.loads(report_file.read_text())
    assert len(report["patches"]) == 2
    assert report["peak_mb"] is None or report["peak_mb"] > 50
    service.times = []
    assert worker.main([str(job_file), str(report_file)]) == 1
    report = json.loads(report_file.read_text())
    assert "2019" in report["error"]
    job_file.write_text("[]")
    assert worker.main([str(job_file), str(report_file)]) == 1


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="processes cannot be held to cores here")
def test_keeps_to_its_core() -> None:
    before = os.sched_getaffinity(0)
    try:
        worker.keep_to(min(before))
        assert os.sched_getaffinity(0) == {min(before)}
        worker.keep_to(None)
        assert os.sched_getaffinity(0) == {min(before)}
    finally:
        os.sched_setaffinity(0, before)


def test_kinds_of_requests() -> None:
    base = "https://masks.example.org"
    assert kind_of(f"{base}/api/v1/process") == kind_of(f"{base}/process/v1") == "process"
    assert kind_of(f"{base}/api/v1/catalog/1.0.0/search") == "catalog"
    assert kind_of(f"{base}/auth/realms/main/protocol/openid-connect/token") == "token"
    assert kind_of(f"{base}/api/v1/process/statistics") == "other"


def test_the_meter_leaves_nothing_behind() -> None:
    before = requests.Session.send, time.sleep
    with metered() as meter:
        time.sleep(0.001)
        with pytest.raises(requests.ConnectionError):
            requests.get("http://127.0.0.1:9/api/v1/process", timeout=5)
    assert (requests.Session.send, time.sleep) == before
    assert meter.reading.requests == {"process": 1}
    assert meter.reading.bytes == 0
    assert meter.reading.pauses_s > 0
    time.sleep(0.001)
    assert meter.reading - meter.reading == type(meter.reading)()


def test_agreement_counts_what_both_have_seen() -> None:
    first = np.array([[[1, 1, 0, 255]], [[255, 255, 255, 255]]], np.uint8)
    second = np.array([[[1, 0, 0, 1]], [[1, 1, 1, 1]]], np.uint8)
    clp = (
        np.array([[[255, 51, 0, 9]], [[9, 9, 9, 9]]], np.uint8),
        np.array([[[255, 0, 0, 0]], [[0, 0, 0, 0]]], np.uint8),
    )
    found = agreement_of((first, clp[0]), (second, clp[1]))
    assert found == Agreement(
        pixels=3, both_cloud=1, only_first=1, only_second=0, both_clear=1, probability_difference=pytest.approx(0.2),
        frames=1, cover_difference=pytest.approx(1 / 3),
    )  # fmt: skip
    assert found.covers == (2 / 3, 1 / 3)
    assert (found + found).mean_cover_difference == pytest.approx(1 / 3)
    assert (found + found).mean_probability_difference == pytest.approx(0.2 / 3)
    assert np.isnan([Agreement().same, *Agreement().covers, Agreement().mean_cover_difference]).all()
