"""Builders and workers that are killed at any moment: the same command goes on, and nothing is lost or half-written."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from eotasks.catalogue.store import Catalogue
from eotasks.storage.place import Place
from eotasks.workflows.cloud_archive.item import files_of_item
from eotasks.workflows.cloud_archive.verify import verify_archive
from tests import ROOT
from tests.builders.clouds.archives import add_product, build, images, items
from tests.servers.s3 import S3Server

pytestmark = pytest.mark.trial

PRODUCTS = 6
KILLS = 6


@contextlib.contextmanager
def builder(source: Path, place: str) -> Iterator[subprocess.Popen[str]]:
    """The command, in a process of its own, that is gone at the end."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "eotasks.workflows.cli", "archive", "build", str(source), "--out", place]
    process = subprocess.Popen(
        [*command, "--workers", "2", "--threads", "1"],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
        process.kill()
        process.communicate(timeout=60)


@pytest.mark.parametrize("on_s3", [False, True], ids=["disk", "s3"])
def test_kills(tmp_path: Path, s3_server: S3Server, on_s3: bool) -> None:
    source = tmp_path / "source"
    for day in range(PRODUCTS):
        add_product(source, f"P{day}", 10 + day)
    expected = tmp_path / "expected"
    build(source, expected)
    place = s3_server.location() if on_s3 else str(tmp_path / "out")
    chance = random.Random(5)
    for kill in range(KILLS):
        with builder(source, place) as process:
            _wait_for_work(place, process)
            time.sleep(chance.uniform(0, 1.5))
            victim = psutil.Process(process.pid)
            with contextlib.suppress(psutil.Error):
                workers = [each for each in victim.children(recursive=True) if each.memory_info().rss > 1e8]
                if kill % 2 and workers:
                    chance.choice(workers).kill()
                    process.communicate(timeout=300)  # it takes another worker, and ends well
                else:
                    victim.kill()
        _nothing_is_half_written(place)
        if kill == KILLS // 2 and not on_s3:
            for path in sorted((tmp_path / "out" / "masks").rglob("*.json"))[:3]:  # more to do
                path.unlink()
            (tmp_path / "out" / "catalogue.parquet").unlink(missing_ok=True)
    with builder(source, place) as process:
        out, _ = process.communicate(timeout=300)
    assert process.returncode == 0, out
    assert images(place) == images(expected)
    assert items(place) == items(expected)
    assert sorted(Catalogue(f"{place}/catalogue.parquet").masks()) == [f"P{day}" for day in range(PRODUCTS)]
    assert verify_archive(place, sample=2, source=source).findings == ()


def _wait_for_work(place: str, process: subprocess.Popen[str]) -> None:
    """Until a product is begun, or the builder has nothing to do."""
    for _ in range(600):
        if process.poll() is not None or Place(place).exists("masks"):
            return
        time.sleep(0.05)


def _nothing_is_half_written(place: str) -> None:
    """Every item that is there names files that are whole."""
    there = Place(place)
    for name, item in items(place).items():
        folder = f"masks/33UUU/2017/{name}"
        for file in files_of_item(item, name).values():
            assert there.size(f"{folder}/{file.name}") == file.size
