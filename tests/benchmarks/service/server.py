"""`eotasks serve` in processes of its own, for benchmarks that kill some of them or look at their memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import requests

from eotasks.catalogue.store import Catalogue
from eotasks.service.auth.clients import add_client
from eotasks.workflows.catalogue.adding import add_products
from tests import ROOT
from tests.servers.real_service import write_day

START_S = 300.0
"""Seconds that it may take to start, on a machine that does much else."""
END_S = 120.0
"""Seconds that it may take to end."""
_NAME = "http://service.test"
"""By which every service knows itself, so that links of two are equal."""
_ENGINE = "evalscript.workers"


@dataclass(frozen=True)
class Server:
    """A service that runs."""

    url: str
    client_id: str
    client_secret: str
    process: psutil.Process
    log: Path

    def token(self) -> str:
        """For an hour."""
        form = {"grant_type": "client_credentials", "client_id": self.client_id, "client_secret": self.client_secret}
        return str(requests.post(f"{self.url}/oauth/token", data=form, timeout=120).json()["access_token"])

    def is_well(self) -> bool:
        """Whether it says so."""
        try:
            return requests.get(f"{self.url}/health", timeout=10).ok
        except requests.RequestException:
            return False

    def engines(self) -> list[psutil.Process]:
        """Processes that run evalscripts, those that start too."""
        return [each for each in self._children() if _ENGINE in _command(each)]

    def answering(self) -> list[psutil.Process]:
        """Processes that answer requests."""
        spawned = [each for each in self._children() if "spawn_main" in _command(each)]
        return spawned or [self.process]

    def resident_bytes(self) -> tuple[int, int]:
        """Memory of those that answer, and of engines."""
        return _resident(self.answering()), _resident(self.engines())

    def _children(self) -> list[psutil.Process]:
        return self.process.children(recursive=True)


@contextmanager
def serving(folder: Path, catalogue: str, **settings: object) -> Iterator[Server]:
    """The command on a free port, with a client of its own.

    :param folder: For its own files.
    :param settings: Of `ServiceSettings`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    clients, log = folder / "clients.json", folder / "log"
    clients.unlink(missing_ok=True)
    client_id, secret = add_client(clients, "benchmark")
    given = {"catalogues": catalogue, "clients_file": clients, "port": 0, "base_url": _NAME, "script_s": 60}
    environment = {f"EOTASKS_SERVICE_{name.upper()}": str(value) for name, value in (given | settings).items()}
    command = [sys.executable, "-m", "eotasks.workflows.cli", "serve"]
    with log.open("w") as written:
        started = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=written
        )
    try:
        process = psutil.Process(started.pid)
        server: Server | None = None
        until = time.monotonic() + START_S
        while server is None or not server.is_well():
            if started.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"The service does not start: {log.read_text()[-2000:]}")
            time.sleep(0.1)
            port = _port(process)
            if port is not None:
                server = Server(f"http://127.0.0.1:{port}", client_id, secret, process, log)
        yield server
    finally:
        end(started)


def end(process: subprocess.Popen[bytes], wait_s: float = END_S) -> None:
    """End a process as a user does; when it does not end, kill it with all that it started.

    :raises subprocess.TimeoutExpired: when it had to be killed.
    """
    process.terminate()
    try:
        process.wait(wait_s)
    except subprocess.TimeoutExpired:
        for each in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.Error):
                each.kill()
        process.kill()
        process.wait()
        raise


def _port(process: psutil.Process) -> int | None:
    """At which it listens. What it prints has the name that it is given in place of this address."""
    try:
        found = process.net_connections("tcp")
    except psutil.Error:  # has ended, which the caller sees
        return None
    return next((each.laddr.port for each in found if each.status == psutil.CONN_LISTEN), None)


def build_days(folder: Path, dates: int) -> str:
    """A catalogue of the embedded scene under several dates: simulated days, as their pixels are moved and no more.

    One in twenty has pixels of its own; the others are copies. Made once.
    """
    catalogue, products = folder / f"days-{dates}.parquet", folder / f"days-{dates}"
    if not catalogue.exists():
        products.mkdir(parents=True, exist_ok=True)
        for number in range(dates):
            date = f"2017-{1 + number // 28:02}-{1 + number % 28:02}"
            south = 480 if number % 20 == 1 else 0
            if not products.joinpath(f"T33UUU_{date.replace('-', '')}").exists():
                write_day(products, date, south=south, cloud_cover=number * 100 / dates)
        add_products(Catalogue(str(catalogue)), [str(products)])
    return str(catalogue)


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:  # has ended meanwhile
        return ""


def _resident(processes: list[psutil.Process]) -> int:
    total = 0
    for each in processes:
        try:
            total += int(each.memory_info().rss)
        except psutil.Error:
            continue
    return total
