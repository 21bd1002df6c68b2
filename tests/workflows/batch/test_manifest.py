"""The lines of a batch: on disk, on S3, unfinished and of other versions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eotasks.errors import StorageError
from eotasks.storage.place import Place
from eotasks.workflows.batch.manifest import ManifestWriter, read_events
from eotasks.workflows.batch.outcomes import PatchOutcome
from tests.builders.batches import manifest_outcomes
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
