"""The lines of a batch: on disk, on S3, unfinished and of other versions."""

from __future__ import annotations

import errno
import json
import os
import warnings
from datetime import datetime, tzinfo
from pathlib import Path

import pytest
from eolearn.core import EONode, EOWorkflow

from eotasks.errors import CredentialsError, PatchFailedWarning, StorageError
from eotasks.storage.place import Place
from eotasks.workflows.batch.log_files import log_folder
from eotasks.workflows.batch.manifest import ManifestWriter
from eotasks.workflows.batch.outcomes import PatchOutcome
from eotasks.workflows.batch.progress import read_progress
from eotasks.workflows.batch.report import write_batch_report
from eotasks.workflows.batch.result import BatchResult
from eotasks.workflows.batch.run import run_batch
from tests.builders.batch_tasks import BehaveTask
from tests.builders.batches import facts_batch, manifest_outcomes, read_events
from tests.servers.s3 import S3Server


def test_a_writer_that_died_in_its_line_costs_that_line(tmp_path: Path) -> None:
    place = Place(tmp_path / "a place")
    assert read_events(place) == []
    first = PatchOutcome("p 1", "failed", 1, {"Load": 0.5}, {"Load": 100.0}, "Load", "ümlaut: no file")
    ManifestWriter(place, "features").outcome(first)
    with (tmp_path / "a place" / "manifest.jsonl").open("a") as file:
        file.write('{"version": 2, "stage": "fea')
    ManifestWriter(place, "features").outcome(PatchOutcome("p 2", "done"), fingerprint="f")
    one, other = read_events(place)
    assert (one.outcome, other.outcome) == (first, PatchOutcome("p 2", "done"))
    assert (one.kind, one.stage, one.name, other.facts) == ("outcome", "features", "p 1", {"fingerprint": "f"})
    assert one.at.utcoffset() is not None
    assert one.run != other.run


@pytest.mark.parametrize(("version", "cure"), [(99, "upgrade eotasks"), (1, "remove the manifest")])
def test_other_versions_are_refused(tmp_path: Path, version: int, cure: str) -> None:
    line = {"version": version, "stage": "old", "finished": "2026-01-01T00:00:00+00:00", "name": "a", "state": "done"}
    (tmp_path / "manifest.jsonl").write_text(json.dumps(line) + "\n")
    with pytest.raises(StorageError, match=rf"line 1 has version {version}, this eotasks reads 2: .*{cure}"):
        read_events(Place(tmp_path))


def test_on_s3_the_bytes_sent_grow_with_the_lines(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(s3_server.location())
    sent: list[int] = []
    write = Place.write_bytes

    def count(place: Place, path: str, data: bytes) -> None:
        sent.append(len(data))
        write(place, path, data)

    monkeypatch.setattr(Place, "write_bytes", count)
    monkeypatch.setattr("eotasks.workflows.batch.manifest._FLUSH_SECONDS", 1e6)
    writer = ManifestWriter(place, "many")
    for index in range(1000):
        writer.outcome(PatchOutcome(f"patch {index}", "done", error="x" * 200))
        if index % 20 == 0:
            writer.flush()
    writer.close()
    assert max(sent) < 80_000
    stored = place.extent("batch")[0]
    assert stored > 400_000
    assert sum(sent) < 8 * stored, "one object that grows would be sent 25 times"
    assert [line.outcome.name for line in manifest_outcomes(place)] == [f"patch {index}" for index in range(1000)]


def test_two_writers_on_s3_keep_apart(s3_server: S3Server) -> None:
    place = Place(s3_server.location())
    writers = [ManifestWriter(place, stage) for stage in ("one", "two")]
    for writer in writers:
        writer.batch(patches=1)
    for index in range(20):
        writers[index % 2].outcome(PatchOutcome(f"p{index}", "done"))
    for writer in writers:
        writer.end("complete")
    found = [event.name for event in read_events(place) if event.outcome is not None]
    assert sorted(found, key=str) == sorted(f"p{index}" for index in range(20))


NAMES = [
    "a\u2028b", "c\u2029d", "e\x85f", "g\nh", "i\rj", os.fsdecode(b"m\xfcnchen"), "\ud800", "k" * 250, "ü" * 120,
    " ", "../..", "\x00", "%41", ".hidden", "A", "a", "-x", "n" * 5000,
]  # fmt: skip


@pytest.mark.parametrize("on_s3", [False, True], ids=["disk", "s3"])
def test_any_name_is_kept_with_its_log_and_is_not_run_again(
    on_s3: bool, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    place = Place(request.getfixturevalue("s3_server").location() if on_s3 else tmp_path)
    stage = "st\udcfc\u2028" + "ä" * 90
    node = EONode(BehaveTask())
    patches = {name: {node: {"name": "value_error" if index % 2 else "a"}} for index, name in enumerate(NAMES)}
    for states in (["done", "failed"], ["skipped", "failed"], ["skipped", "failed"]):
        with pytest.warns(PatchFailedWarning):
            result = run_batch(EOWorkflow([node]), patches, executor="serial", place=place, stage=stage)
        assert [outcome.state for outcome in result.outcomes] == states * (len(NAMES) // 2)
        assert {outcome.name for outcome in read_progress(place, stage=stage)[0].outcomes} == set(NAMES)
    assert len(place.names(log_folder(stage))) == len(NAMES) // 2
    write_batch_report(place)


def test_a_repeat_adds_few_lines_however_many_patches_it_skips(tmp_path: Path) -> None:
    workflow, patches = facts_batch(tmp_path, 1200)
    place = Place(tmp_path / "place")
    run_batch(workflow, patches, executor="serial", place=place)
    manifest = tmp_path / "place" / "manifest.jsonl"
    lines = manifest.read_text().count("\n")
    assert len(run_batch(workflow, patches, executor="serial", place=place).skipped) == 1200
    assert manifest.read_text().count("\n") - lines == 5  # batch, three of skipped ones, end
    assert read_progress(place)[0].count("skipped") == 1200


def test_a_full_disk_is_waited_for_and_no_line_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workflow, patches = facts_batch(tmp_path, 6)
    place = Place(tmp_path / "place")
    write = os.write
    refused = []

    def refuse(descriptor: int, data: bytes) -> int:
        if b'"p2"' in data and len(refused) < 3:  # a part of the line is written first, as on a real disk
            refused.append(data)
            write(descriptor, data[:40])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", refuse)
    assert run_batch(workflow, patches, executor="serial", place=place).exit_code == 0
    assert len(refused) == 3
    assert [line.outcome.name for line in manifest_outcomes(place)] == [f"p{index}" for index in range(6)]
    assert run_batch(workflow, patches, executor="serial", place=place).skipped == list(patches)


def test_a_disk_that_stays_full_ends_the_batch_with_a_storage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eotasks.workflows.batch.manifest._OUTAGE_SECONDS", 0.0)
    monkeypatch.setattr("eotasks.workflows.batch.manifest._LAST_SECONDS", 0.0)
    workflow, patches = facts_batch(tmp_path, 3)
    place = Place(tmp_path / "place")
    write = os.write

    def refuse(descriptor: int, data: bytes) -> int:
        if b'"running"' in data or b'"end"' in data:
            raise OSError(errno.EDQUOT, "Disk quota exceeded")
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", refuse)
    with pytest.raises(StorageError, match=r"manifest\.jsonl.*quota"):
        run_batch(workflow, patches, executor="serial", place=place)


def test_a_store_that_is_away_at_the_end_is_waited_for(
    s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(s3_server.location())
    workflow, patches = facts_batch(tmp_path, 3)
    write, away = Place.write_bytes, []

    def refuse(self: Place, path: str, data: bytes) -> None:
        if path.startswith("batch/manifest-") and b'"end"' in data and len(away) < 3:
            away.append(path)
            raise CredentialsError("403") if len(away) == 2 else StorageError("it is away")
        write(self, path, data)

    monkeypatch.setattr(Place, "write_bytes", refuse)
    monkeypatch.setattr("eotasks.workflows.batch.manifest._RETRY_SECONDS", 0.05)
    assert run_batch(workflow, patches, executor="serial", place=place).exit_code == 0
    assert len(away) == 3
    assert read_events(place)[-1].kind == "end"


def test_on_s3_the_last_run_is_the_last_whatever_the_clocks_say(
    s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(s3_server.location())
    node = EONode(BehaveTask())

    def run(name: str, year: int) -> BatchResult:
        class Clock(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
                return datetime.now(tz).replace(year=year)

        monkeypatch.setattr("eotasks.workflows.batch.manifest.datetime", Clock)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PatchFailedWarning)
            return run_batch(EOWorkflow([node]), {"p": {node: {"name": name}}}, executor="serial", place=place)

    assert run("value_error", 2031).failed
    assert run("a", 2030).done
    assert [line.outcome.state for line in manifest_outcomes(place)] == ["failed", "done"]
    assert run("a", 2029).skipped == ["p"]


@pytest.mark.parametrize(
    "change",
    [{"kind": []}, {"version": 1e400}, {"version": None}, {"finished": 5}, {"finished": "0001-01-01T00:00:00+14:00"},
     {"name": ["a"]}, {"state": "odd"}, {"attempts": "many"}, {"seconds_by_step": [1]}, {"error": 7},
     {"seconds_by_step": {"a": "b"}}, {"seconds_by_step": {"a": float("nan")}}, {"kind": "skipped", "names": 5}],
    ids=str,
)  # fmt: skip
def test_a_line_that_is_none_is_passed_over(change: dict[str, object], tmp_path: Path) -> None:
    place = Place(tmp_path)
    ManifestWriter(place, "s").batch(patches=1)
    ManifestWriter(place, "s").outcome(PatchOutcome("p", "done"))
    lines = (tmp_path / "manifest.jsonl").read_text().splitlines()
    bad = json.dumps(json.loads(lines[1]) | change)
    (tmp_path / "manifest.jsonl").write_text("\n".join([lines[0], bad, "[" * 100_000, lines[1], ""]))
    assert [event.kind for event in read_events(place)] == ["batch", "outcome"]
    assert [stage.stage for stage in read_progress(place)] == ["s"]
    node = EONode(BehaveTask())
    assert run_batch(EOWorkflow([node]), {"p": {node: {"name": "a"}}}, executor="serial", place=place, stage="s").done


def test_a_patch_whose_completeness_cannot_be_read_is_made_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    workflow, patches = facts_batch(tmp_path, 2)

    def skip(name: str) -> bool:
        if name == "p0":
            raise StorageError("p0/.eopatch.json is damaged.")
        return True

    result = run_batch(workflow, patches, executor="serial", skip=skip)
    assert (result.done, result.skipped) == (["p0"], ["p1"])
    assert "p0/.eopatch.json is damaged. Patch p0 is made anew." in caplog.messages
