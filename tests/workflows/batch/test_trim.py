"""The manifest of a batch without what nobody asks for any more."""

from __future__ import annotations

import pytest

from eotasks.storage.place import Place
from eotasks.workflows.batch.manifest import ManifestWriter, iter_events
from eotasks.workflows.batch.outcomes import PatchOutcome
from eotasks.workflows.batch.trim import trim_manifest
from tests.servers.s3 import S3Server


@pytest.fixture(params=["disk", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: object) -> Place:
    if request.param == "disk":
        return Place(str(tmp_path))
    server: S3Server = request.getfixturevalue("s3_server")
    return Place(server.location())


def write_run(place: Place, stage: str, sequence: int, **states: str) -> None:
    writer = ManifestWriter(place, stage)
    writer.batch(settings={"a": str(sequence)}, asked=True, sequence=sequence, patches=len(states))
    for name, state in states.items():
        writer.running(name, 1)
        writer.outcome(PatchOutcome(name, state, error="bad" if state != "done" else None))  # type: ignore[arg-type]
    writer.end("complete")


def test_failures_and_the_last_head_stay(place: Place) -> None:
    write_run(place, "archive", 1, A="done", B="quarantined", C="failed")
    write_run(place, "other", 2, A="done")
    write_run(place, "archive", 3, C="done", D="done")
    assert not trim_manifest(place, "archive")
    assert trim_manifest(place, "archive", above=10)
    left = list(iter_events(place))
    ours = [each for each in left if each.stage == "archive"]
    assert [(each.kind, each.name) for each in ours] == [("batch", None), ("end", None), ("outcome", "B")]
    assert ours[0].facts["sequence"] == 3
    assert [each.kind for each in left if each.stage == "other"] == ["batch", "running", "outcome", "end"]
    write_run(place, "archive", 4, E="done")
    assert [each.facts["sequence"] for each in iter_events(place) if each.kind == "batch"][-1] == 4
