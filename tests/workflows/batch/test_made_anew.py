"""A run that makes all anew and is killed: what it had begun is not taken for done by what was there before."""

from __future__ import annotations

from pathlib import Path

from eotasks.storage.place import Place
from eotasks.workflows.batch.manifest import ManifestWriter
from eotasks.workflows.batch.run import run_batch
from tests.builders.batches import behaving, states


def test_a_patch_that_was_begun_again_is_not_done(tmp_path: Path) -> None:
    workflow, patches = behaving("a", "b")

    def run() -> dict[str, str]:
        return states(run_batch(workflow, patches, executor="serial", place=tmp_path, progress=False))

    assert run() == {"a": "done", "b": "done"}
    assert run() == {"a": "skipped", "b": "skipped"}
    ManifestWriter(Place(tmp_path), "batch").running("b", 1)  # and then it was killed
    assert run() == {"a": "skipped", "b": "done"}
    assert run() == {"a": "skipped", "b": "skipped"}
