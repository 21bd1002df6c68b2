"""`eotasks evaluate-clouds --out s3://…` on a real S3 server leaves what it leaves on disk."""

from __future__ import annotations

import uuid
from pathlib import Path

import numpy as np
import pytest

from eotasks.storage.lease import hold_lease
from eotasks.storage.place import Place
from tests.builders.command_line import Result, command
from tests.builders.labelled_scenes import truth, write_eopatch, write_scene
from tests.servers.s3 import S3Server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_scene(tmp_path / "scenes" / "exact")
    return tmp_path / "scenes"


def evaluate(folder: Path, out: Place) -> Result:
    return command("evaluate-clouds", folder, "--out", out.location, "--detector", "stored")


def contents(place: Place) -> dict[str, bytes]:
    return {path: place.read_bytes(path) for path in place.files()}


@pytest.mark.usefixtures("even_clock")
def test_results_are_those_on_disk(s3_server: S3Server, folder: Path, tmp_path: Path) -> None:
    disk, s3 = Place(tmp_path / "out"), Place(s3_server.location())
    for out in (disk, s3):
        result = evaluate(folder, out)
        assert (result.code, result.err) == (0, "")
        assert f"Report: {out}/report.html" in result.out
    assert contents(s3) == contents(disk)
    assert len(contents(s3)) == 6

    before = contents(s3)
    s3.write_bytes("pictures/of_before.png", b"")
    assert evaluate(folder, s3).code == 0
    assert contents(s3) == before


def test_a_place_with_other_things_is_left_alone(s3_server: S3Server, folder: Path) -> None:
    place = Place(s3_server.location())
    place.write_bytes("metrics.json", b'{"accuracy": 0.9}')
    result = evaluate(folder, place)
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert f"--out {place} holds other things" in result.err
    assert place.names() == ["metrics.json"]


def test_another_run_and_a_place_that_is_none(s3_server: S3Server, folder: Path, tmp_path: Path) -> None:
    for place in (Place(s3_server.location()), Place(tmp_path / "out")):
        with hold_lease(place, "eotasks evaluate-clouds"):
            result = evaluate(folder, place)
        assert result.code == 2
        assert "in use by another run" in result.err
        assert not place.files()
    result = evaluate(folder, Place("s3://absent/x"))
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "no bucket 'absent'" in result.err


@pytest.mark.trial
@pytest.mark.usefixtures("even_clock")
def test_scenes_on_s3_are_those_on_disk(s3_server: S3Server, folder: Path, tmp_path: Path) -> None:
    write_scene(folder / "shifted", mask=np.roll(truth(), 2, axis=1))
    write_eopatch(folder / "patch")
    (folder / "labels.toml").write_text('label_feature = "mask/LABEL"')
    place = Place(s3_server.location(f"{uuid.uuid4().hex}/scenes"))
    for path in folder.rglob("*"):
        if path.is_file():
            place.upload(path.relative_to(folder).as_posix(), path)
    before = place.files()
    for source, out in ((folder, "disk"), (place.location, "s3")):
        result = command("evaluate-clouds", source, "--out", tmp_path / out, "--detector", "stored")
        assert (result.code, result.err) == (0, "")
    assert contents(Place(tmp_path / "s3")) == contents(Place(tmp_path / "disk"))
    assert place.files() == before

    place.write_bytes("exact/bands.tif", b"II*")
    result = command("evaluate-clouds", place.location, "--out", tmp_path / "again", "--detector", "stored")
    assert result.code == 1
    assert f"{place}/exact/bands.tif cannot be read as an image" in " ".join(result.out.split()).replace(" /", "/")
    nothing = command("evaluate-clouds", f"{place}/nothing", "--out", tmp_path / "none", "--detector", "stored")
    assert (nothing.code, nothing.err.count("\n")) == (2, 1)
    assert "no labelled scene in it" in nothing.err
