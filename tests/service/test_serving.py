"""`eotasks serve` as a user starts it, at length: processes, lines to paste, and an end by a signal."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import requests

from eotasks.catalogue.store import Catalogue
from eotasks.service.auth.clients import add_client
from eotasks.sources.sample_files import sample_path
from eotasks.workflows.catalogue.adding import add_products
from tests import ROOT
from tests.servers.service import request

pytestmark = pytest.mark.trial

SCRIPT = """//VERSION=3
function setup() { return {input: [{bands: ["B04"], units: "DN"}], output: {bands: 1, sampleType: "UINT16"}} }
function evaluatePixel(s) { return [s.B04] }"""

SETTINGS = {"EOTASKS_SERVICE_ENGINE_WORKERS": "1", "EOTASKS_SERVICE_SCRIPT_S": "60"}


@contextmanager
def serving(*arguments: str, folder: Path, **settings: str) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """The command in a process of its own: the process, its address, and all that it printed at its start.

    :param settings: Of the service, as the environment has them.
    """
    command = [sys.executable, "-m", "eotasks.workflows.cli", "serve", "--port", "0", *arguments]
    environment = {
        **os.environ,
        "XDG_CACHE_HOME": str(folder / "cache"),
        "EOTASKS_SERVICE_ENGINE_WORKERS": "1",
        "EOTASKS_SERVICE_SCRIPT_S": "60",
        **{f"EOTASKS_SERVICE_{name.upper()}": value for name, value in settings.items()},
    }
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    try:
        told = ""
        while "image = " not in told:
            line = process.stdout.readline()
            assert line, (folder / "log").read_text()
            told += line
        found = re.search(r"http://127\.0\.0\.1:\d+", told)
        assert found is not None
        yield process, found[0], told
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
        process.stdout.close()


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("catalogue") / "products.parquet")
    add_products(Catalogue(path), [str(sample_path())])
    return path


def asked() -> dict[str, object]:
    bounds = {"bbox": [335_000, 5_816_000, 335_160, 5_816_120], "properties": {"crs": "EPSG:32633"}}
    day = {"dataFilter": {"timeRange": {"from": "2017-02-16T00:00:00Z", "to": "2017-02-16T23:59:59Z"}}}
    return request(evalscript=SCRIPT, bounds=bounds, data=day)


def test_the_demonstration_and_its_lines(tmp_path: Path) -> None:
    with serving("--demo", folder=tmp_path) as (process, url, told):
        code = told.partition("Paste into Python:\n\n")[2]
        drawn = tmp_path / "pasted.py"
        drawn.write_text(f"{code}\nimport numpy; numpy.save({str(tmp_path / 'image.npy')!r}, image)\n")
        subprocess.run([sys.executable, "-W", "ignore", str(drawn)], check=True, cwd=ROOT)
        search = {
            "collections": ["sentinel-2-l1c"],
            "datetime": "2024-01-01T00:00:00Z/2024-12-31T23:59:59Z",
            "limit": 50,
        }
        found = requests.post(f"{url}/api/v1/catalog/1.0.0/search", json=search, timeout=60).json()
        assert len(found["features"]) == 12
        assert requests.get(f"{url}/health", timeout=60).json()["status"] == "ok"
    image = np.load(tmp_path / "image.npy")
    assert image.shape == (256, 512, 3)
    assert image.any(axis=-1).mean() > 0.5
    assert process.returncode == 0
    with serving("--demo", folder=tmp_path):  # what is there already is not made again
        pass


def test_several_processes_have_one_count_and_take_the_same_tokens(tmp_path: Path, catalogue: str) -> None:
    clients = tmp_path / "clients.json"
    client_id, secret = add_client(clients, "tests")
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
    arguments = ("--catalogue", catalogue, "--workers", "2", "--clients", str(clients))
    with serving(*arguments, folder=tmp_path, burst="8", requests_per_minute="1") as running:
        process, url, told = running
        assert "2 x 4 requests" in told
        token = requests.post(f"{url}/oauth/token", data=form, timeout=120).json()["access_token"]
        begun, answers = time.monotonic(), []
        while not answers or answers[-1].status_code == 200:  # a connection each, which the processes share out
            answers.append(
                requests.post(
                    f"{url}/api/v1/process", json=asked(), headers={"Authorization": f"Bearer {token}"}, timeout=120
                )
            )
            earned = int((time.monotonic() - begun) // 60) + 1  # one a minute, the last perhaps just now
            assert len(answers) <= 8 + earned, "each process has a count of its own"
        *answers, refused = answers
        assert refused.status_code == 429
        assert len(answers) >= 8
        assert 0 < int(refused.headers["Retry-After"]) <= 60_000
        assert len({answer.content for answer in answers}) == 1
        counts = requests.get(f"{url}/metrics", timeout=60).text
        assert f'eotasks_requests_total{{route="/api/v1/process",status="200"}} {len(answers)}.0' in counts
    assert process.returncode == 0
    log = (tmp_path / "log").read_text()
    assert token not in log
    assert secret not in log
