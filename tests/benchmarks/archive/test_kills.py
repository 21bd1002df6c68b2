"""A run of `python -m tests.benchmarks.archive.kills` at less length, and that it finds what it looks for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eotasks.storage.place import Place
from tests.benchmarks.archive.kills import Outcome, add_products, contents, half_written, run_on_disk, run_on_s3
from tests.builders.clouds.archives import build
from tests.servers.s3 import S3Server


@pytest.mark.slow
def test_what_is_half_written_is_found(tmp_path: Path) -> None:
    add_products(tmp_path / "source", 2)
    build(tmp_path / "source", tmp_path / "out")
    place = Place(tmp_path / "out")
    assert half_written(place) == []
    whole = contents(place)
    assert sorted(whole)[-2:] == ["row P000", "row P001"]
    clp, item = (next((tmp_path / "out").rglob(pattern)) for pattern in ("P000_CLP.tif", "P001.json"))
    clp.write_bytes(clp.read_bytes()[:-1])
    assert ["P000_CLP.tif is half-written" in fault for fault in half_written(place)] == [True]
    content = json.loads(item.read_text())
    content["assets"]["CLM"]["href"] = "./gone.tif"
    item.write_text(json.dumps(content))
    assert len(half_written(place)) == 2
    assert {name for name, digest in contents(place).items() if whole[name] != digest} == {
        "33UUU/2017/P000/P000_CLP.tif",
        "33UUU/2017/P001/P001.json",
    }
    assert "none" in Outcome("disk").row()


@pytest.mark.trial
def test_on_disk() -> None:
    outcome = run_on_disk(6, products=30)
    assert (outcome.faults, outcome.killed, outcome.products) == ([], 6, 30)


@pytest.mark.trial
def test_on_s3(s3_server: S3Server) -> None:
    outcome = run_on_s3(s3_server, 6, products=30)
    assert (outcome.faults, outcome.kills["S3 server"], outcome.products) == ([], 2, 30)
