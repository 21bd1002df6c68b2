"""The chain on a real S3 server leaves what it leaves on disk, goes on where it stopped, and lets nobody in between."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import geopandas as gpd
import pytest
from shapely.geometry import box

from eotasks.models.landcover.model import load_model
from eotasks.storage import s3
from eotasks.storage.lease import hold_lease
from eotasks.storage.place import Place
from tests.builders.batches import manifest_outcomes
from tests.builders.command_line import (
    PATCHES,
    SAMPLE,
    merged,
    write_config,
    write_eopatches,
)
from tests.builders.land_cover_runs import SECTIONS, assert_equal_places, run_to, without_pictures
from tests.servers.s3 import S3Server

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Results on disk."""
    folder = tmp_path_factory.mktemp("disk")
    write_eopatches(folder / "eopatches")
    place = Place(folder / "out")
    with pytest.MonkeyPatch.context() as monkeypatch:
        without_pictures(monkeypatch)
        assert run_to(place, folder, SECTIONS).code == 0
    return place


@pytest.mark.usefixtures("no_pictures")
def test_results_are_those_on_disk(s3_server: S3Server, tmp_path: Path, disk: Place) -> None:
    write_eopatches(tmp_path / "eopatches")
    s3 = Place(s3_server.location())
    result = run_to(s3, tmp_path, SECTIONS)
    assert (result.code, result.err) == (0, "")
    assert f"Report: {s3}/report.html" in result.out
    assert_equal_places(disk, s3)
    assert set(disk.names()) - {"manifest.jsonl"} <= set(s3.names())
    assert load_model(s3.child("model")).text == load_model(disk.child("model")).text
    assert [(line.stage, line.outcome.name) for line in manifest_outcomes(s3)] == [
        (line.stage, line.outcome.name) for line in manifest_outcomes(disk)
    ]


@pytest.mark.trial
def test_worker_processes_write_there_too(s3_server: S3Server, tmp_path: Path, disk: Place) -> None:
    write_eopatches(tmp_path / "eopatches")
    s3 = Place(s3_server.location())
    sections = merged(SECTIONS, {"run": {"executor": "processes"}, "output": {"folder": s3.location}})
    config = write_config(tmp_path, sections, "two.toml")
    arguments = [sys.executable, "-m", "eotasks.workflows.cli", "land-cover", "--config", str(config), "--workers", "2"]
    run = subprocess.run(arguments, capture_output=True, text=True, timeout=400, env=dict(os.environ), check=False)
    assert (run.returncode, run.stderr) == (0, "")
    assert_equal_places(disk, s3)
    assert s3.read_bytes("report.html").startswith(b"<!DOCTYPE html>")


@pytest.mark.trial
@pytest.mark.usefixtures("no_pictures")
def test_goes_on_where_it_stopped_and_starts_over_when_asked(s3_server: S3Server, tmp_path: Path) -> None:
    source = write_eopatches(tmp_path / "eopatches") / "south-west" / "mask" / "CLM.npy.gz"
    whole = source.read_bytes()
    source.write_bytes(whole[:200])
    place = Place(s3_server.location())
    failed = run_to(place, tmp_path, SECTIONS)
    assert (failed.code, failed.err) == (1, "")
    assert "failed south-west, step 'source': EOPatch" in " ".join(failed.out.split())

    source.write_bytes(whole)
    assert run_to(place, tmp_path, SECTIONS).code == 0
    lines = manifest_outcomes(place)
    assert {line.outcome.name: line.outcome.state for line in lines if line.stage == "observe"} == {
        **dict.fromkeys(PATCHES, "skipped"), "south-west": "done"
    }  # fmt: skip

    place.write_bytes("my notes.txt", b"kept")
    changed = merged(SECTIONS, {"valid": {"min_valid_fraction": 0.3}})
    before = place.files()
    refused = run_to(place, tmp_path, changed)
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "valid.min_valid_fraction changed" in refused.err
    assert place.files() == before
    again = run_to(place, tmp_path, changed, "--overwrite")
    assert again.code == 0, again.err
    assert place.read_bytes("my notes.txt") == b"kept"


@pytest.mark.trial
@pytest.mark.usefixtures("no_pictures")
def test_everything_comes_from_s3_and_goes_there(s3_server: S3Server, tmp_path: Path) -> None:
    """Area, labels and configuration of the embedded scene; then EOPatches as the source."""
    place = Place(s3_server.location())
    boxes = gpd.GeoDataFrame({"class": ["Forest", "Grassland"]}, geometry=[
        box(336_400, 5_816_280, 338_000, 5_818_840), box(338_000, 5_816_280, 338_960, 5_818_840)
    ], crs=32633)  # fmt: skip
    boxes.to_file(tmp_path / "boxes.gpkg", engine="pyogrio")
    place.upload("in/boxes.gpkg", tmp_path / "boxes.gpkg")
    sections = merged(SAMPLE, {
        "area": {"bbox": None, "crs": None, "file": f"{place}/in/boxes.gpkg"},
        "reference": {"kind": "vector", "path": f"{place}/in/boxes.gpkg", "column": "class",
                      "classes": {"Forest": "Forest", "Grassland": "Grassland"}},
        "validation": {"seeds": [42]},
    })  # fmt: skip
    result = run_to(place.child("out"), tmp_path, sections)
    assert (result.code, result.err) == (0, "")
    assert place.size("out/land_cover.tif")

    boxes.assign(**{"class": ["Grassland", "Forest"]}).to_file(tmp_path / "boxes.gpkg", engine="pyogrio")
    place.upload("in/boxes.gpkg", tmp_path / "boxes.gpkg")
    changed = run_to(place.child("out"), tmp_path, sections)
    assert changed.code == 2
    assert "content of area.file, content of reference.path changed" in changed.err


@pytest.mark.trial
@pytest.mark.usefixtures("no_pictures")
def test_eopatches_on_s3_are_a_source(s3_server: S3Server, tmp_path: Path, disk: Place) -> None:
    place = Place(s3_server.location())
    folder = write_eopatches(tmp_path / "eopatches")
    for path in folder.rglob("*"):
        if path.is_file():
            place.upload(f"in/{path.relative_to(folder).as_posix()}", path)
    sections = merged(SECTIONS, {"source": {"folder": f"{place}/in"}})
    inside = run_to(place.child("in/out"), tmp_path, sections)
    assert (inside.code, inside.err.count("\n")) == (2, 1)
    assert "lie in each other" in inside.err
    before = place.files("in")
    result = run_to(place.child("out"), tmp_path, sections)
    assert (result.code, result.err) == (0, "")
    assert_equal_places(place.child("out"), disk)
    assert place.files("in") == before


def test_another_run_in_the_place_is_named(s3_server: S3Server, tmp_path: Path) -> None:
    write_eopatches(tmp_path / "eopatches")
    for place in (Place(tmp_path / "out"), Place(s3_server.location())):
        with hold_lease(place, "eotasks land-cover"):
            result = run_to(place, tmp_path, SECTIONS)
            assert (result.code, result.err.count("\n")) == (2, 1)
            assert f"{place} is in use by another run (eotasks land-cover since" in result.err
        assert place.names() == []


def test_a_place_that_cannot_be_used_is_told_before_any_work(
    s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_eopatches(tmp_path / "eopatches")
    absent = run_to(Place("s3://absent/x"), tmp_path, SECTIONS)
    assert (absent.code, absent.err.count("\n")) == (2, 1)
    assert "no bucket 'absent'" in absent.err
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-and-never-shown")
    wrong = run_to(Place(s3_server.location()), tmp_path, SECTIONS, "--dry-run")
    assert (wrong.code, wrong.err.count("\n")) == (2, 1)
    assert "credentials" in wrong.err
    assert "never-shown" not in wrong.err + wrong.out


@pytest.mark.trial
@pytest.mark.usefixtures("no_pictures")
def test_a_server_that_dies_and_comes_back_costs_nothing(
    s3_own_server: S3Server, tmp_path: Path, disk: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_eopatches(tmp_path / "eopatches")
    place, upload = Place(s3_own_server.location()), s3.upload_file
    calls: list[str] = []
    back = threading.Timer(1.0, s3_own_server.restart)

    def dies_once(source: Path, location: str) -> None:
        calls.append(location)
        if len(calls) == 9:
            s3_own_server.kill()
            back.start()
        upload(source, location)

    monkeypatch.setattr(s3, "upload_file", dies_once)
    result = run_to(place, tmp_path, SECTIONS)
    back.join()
    assert (result.code, result.err) == (0, "")
    assert len(calls) > 9
    assert_equal_places(place, disk)
