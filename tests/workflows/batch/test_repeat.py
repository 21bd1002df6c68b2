"""A batch that is called again in its place: what is skipped, done anew, refused."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from eolearn.core import EONode, EOWorkflow

from eotasks.errors import ConfigurationError, StorageError
from eotasks.storage.place import Place
from eotasks.workflows.batch.outcomes import PatchOutcome
from eotasks.workflows.batch.progress import read_progress
from eotasks.workflows.batch.result import BatchResult
from eotasks.workflows.batch.run import run_batch
from tests.builders.batch_tasks import AllocateTask, FlagTask
from tests.builders.batches import (
    Arguments,
    behaving,
    facts_batch,
    manifest_outcomes,
    read_events,
    run_failing_batch,
    states,
)
from tests.servers.s3 import S3Server


def flagged(folder: Path, *names: str, option: int = 1) -> tuple[EOWorkflow, Arguments]:
    node = EONode(FlagTask(folder, option), name="Flag")
    return EOWorkflow([node]), {name: {node: {"name": name}} for name in names}


def run(folder: Path, *names: str, option: int = 1, **options: object) -> BatchResult:
    workflow, patches = flagged(folder, *names, option=option)
    start = run_failing_batch if any((folder / f"{name}.fails").exists() for name in names) else run_batch
    return start(workflow, patches, executor="serial", place=Place(folder / "place"), **options)  # type: ignore[arg-type]


def calls(folder: Path) -> list[str]:
    path = folder / "calls.txt"
    return path.read_text().split() if path.exists() else []


def test_a_repeat_does_what_failed_and_what_is_new(tmp_path: Path) -> None:
    (tmp_path / "b.fails").touch()
    assert states(run(tmp_path, "a", "b")) == {"a": "done", "b": "failed"}
    (tmp_path / "b.fails").unlink()
    result = run(tmp_path, "a", "b", "c")
    assert states(result) == {"a": "skipped", "b": "done", "c": "done"}
    assert states(run(tmp_path, "a", "b", "c")) == {"a": "skipped", "b": "skipped", "c": "skipped"}
    assert calls(tmp_path) == ["a", "b", "b", "c"]


def test_another_stage_is_another_batch(tmp_path: Path) -> None:
    run(tmp_path, "a", stage="one")
    assert states(run(tmp_path, "a", stage="two")) == {"a": "done"}


def test_overwrite_runs_everything(tmp_path: Path) -> None:
    run(tmp_path, "a", configuration={"x": 1})
    assert states(run(tmp_path, "a", configuration={"x": 2}, overwrite=True)) == {"a": "done"}
    assert states(run(tmp_path, "a", configuration={"x": 2})) == {"a": "skipped"}
    assert calls(tmp_path) == ["a", "a"]


def test_a_changed_configuration_is_named_and_nothing_runs(tmp_path: Path) -> None:
    before = {"time": {"start": "2019", "end": "2020"}, "model": {"trees": 100, "old": 1}, "title": "t"}
    run(tmp_path, "a", configuration=before)
    now = {"time": {"start": "2019", "end": "2021"}, "model": {"trees": 100, "new": 1}, "title": "t"}
    with pytest.raises(ConfigurationError, match=r"\(model\.new, model\.old, time\.end changed\).*overwrite=True"):
        run(tmp_path, "a", "b", configuration=now)
    assert calls(tmp_path) == ["a"]
    assert states(run(tmp_path, "a", "b", configuration=before)) == {"a": "skipped", "b": "done"}


def test_many_changed_keys_are_counted(tmp_path: Path) -> None:
    run(tmp_path, "a", configuration={f"k{index}": 1 for index in range(9)})
    with pytest.raises(ConfigurationError, match=r"k0, k1, k2, k3, k4 and 4 more changed"):
        run(tmp_path, "a", configuration={f"k{index}": 2 for index in range(9)})


def test_no_value_of_a_configuration_is_kept(tmp_path: Path) -> None:
    run(tmp_path, "a", configuration={"service": {"client_secret": "hunter2-hunter2"}})
    assert "hunter2" not in (tmp_path / "place/manifest.jsonl").read_text()


def test_what_other_steps_made_is_made_anew_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run(tmp_path, "a")
    with caplog.at_level("INFO", logger="eotasks.workflows.batch.history"):
        assert states(run(tmp_path, "a", option=2)) == {"a": "done"}
    assert "other settings before: Flag.option changed" in caplog.text
    assert states(run(tmp_path, "a", option=2)) == {"a": "skipped"}
    assert states(run(tmp_path, "a", option=1)) == {"a": "done"}, "the newest outcome counts, not the first"


def test_other_arguments_of_a_patch_run_it_again(tmp_path: Path) -> None:
    node = EONode(AllocateTask(1))
    place = Place(tmp_path)
    for value, state in ((1, "done"), (1, "skipped"), (2, "done")):
        result = run_batch(EOWorkflow([node]), {"p": {node: {"value": value}}}, executor="serial", place=place)
        assert states(result) == {"p": state}


def test_skip_decides_where_it_is_given(tmp_path: Path) -> None:
    run(tmp_path, "a", "b")
    assert states(run(tmp_path, "a", "b", skip=lambda name: name == "b")) == {"a": "done", "b": "skipped"}


def test_what_is_lost_runs_again(tmp_path: Path) -> None:
    """Whoever decides what is skipped."""
    run(tmp_path, "a", "b", "c")
    assert states(run(tmp_path, "a", "b", "c", again={"b", "z"})) == {"a": "skipped", "b": "done", "c": "skipped"}
    assert states(run(tmp_path, "a", "b", skip=lambda _: True, again=["a"])) == {"a": "done", "b": "skipped"}
    assert calls(tmp_path) == ["a", "b", "c", "b", "a"]


def test_a_quarantined_patch_is_not_tried_again_unless_asked(tmp_path: Path) -> None:
    workflow, patches = behaving("a", "killed")
    place = Place(tmp_path)
    first = run_failing_batch(workflow, patches, workers=2, place=place)
    assert states(first) == {"a": "done", "killed": "quarantined"}
    assert first.outcomes[1].attempts == 3
    assert (first.quarantined, first.exit_code) == (["killed"], 1)
    assert [event.facts["attempts"] for event in read_events(place) if event.kind == "lost"] == [1, 2]
    second = run_failing_batch(workflow, patches, workers=2, place=place)
    assert states(second) == {"a": "skipped", "killed": "quarantined"}
    assert (second.outcomes[1].attempts, second.exit_code) == (0, 1)
    assert "SIGKILL" in str(second.outcomes[1].error)
    third = run_failing_batch(workflow, patches, workers=2, place=place, retry_quarantined=True)
    assert third.outcomes[1].attempts == 3


def test_a_patch_that_kills_once_is_done_by_its_second_attempt(tmp_path: Path) -> None:
    (tmp_path / "b.kills").touch()
    workflow, patches = flagged(tmp_path, "a", "b", "c")
    result = run_batch(workflow, patches, workers=2, place=Place(tmp_path / "place"))
    assert (states(result), result.exit_code) == ({"a": "done", "b": "done", "c": "done"}, 0)
    assert {outcome.name: outcome.attempts for outcome in result.outcomes} == {"a": 1, "b": 2, "c": 1}


def test_logs_of_what_failed_are_kept_in_the_place(tmp_path: Path) -> None:
    workflow, patches = behaving("noisy", "noisy_error", "value_error")
    place = Place(tmp_path)
    run_failing_batch(workflow, patches, workers=1, place=place, stage="a/b")
    folder = "batch/logs/a%2Fb"
    assert place.names(folder) == ["noisy_error.log", "value_error.log"]
    log = place.read_bytes(f"{folder}/noisy_error.log").decode()
    assert "step Behave: ValueError: after words" in log
    assert "WARNING tests.noise: said in noisy_error" in log
    assert "Traceback" in log


def test_the_log_of_a_dead_worker_is_what_it_had_said(tmp_path: Path) -> None:
    workflow, patches = behaving("noisy_killed")
    run_failing_batch(workflow, patches, workers=1, place=Place(tmp_path))
    log = Place(tmp_path).read_bytes("batch/logs/batch/noisy_killed.log").decode()
    assert "WARNING tests.noise: said in noisy_killed" in log
    assert "SIGKILL" in log


def test_a_place_that_cannot_be_written_is_told_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "place").write_text("a file")
    with pytest.raises(StorageError):
        run(tmp_path, "a")
    assert calls(tmp_path) == []


def test_a_log_that_cannot_be_kept_does_no_harm(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "place/batch").mkdir(parents=True)
    (tmp_path / "place/batch/logs").write_text("a file is in the way")
    (tmp_path / "a.fails").touch()
    assert states(run(tmp_path, "a", "b")) == {"a": "failed", "b": "done"}
    assert "The log of patch a cannot be kept" in caplog.text


def test_on_s3_the_manifest_is_the_same(s3_server: S3Server, tmp_path: Path) -> None:
    place = Place(s3_server.location())
    workflow, patches = facts_batch(tmp_path, 300)
    result = run_batch(workflow, patches, executor="serial", place=place)
    assert result.exit_code == 0
    kinds = [event.kind for event in read_events(place)]
    assert (kinds[0], kinds[-1], kinds.count("running"), kinds.count("outcome")) == ("batch", "end", 300, 300)
    assert len(run_batch(workflow, patches, executor="serial", place=place).skipped) == 300


def test_on_s3_logs_and_progress_are_there_while_it_runs(s3_server: S3Server) -> None:
    place = Place(s3_server.location())
    workflow, patches = behaving("value_error", "a", "b")
    seen = []

    def look(outcome: PatchOutcome) -> None:
        if outcome.name == "b":
            while len(manifest_outcomes(place)) < 2:  # the thread writes every two seconds
                time.sleep(0.1)
            seen.append(place.names("batch/logs/batch"))
            seen.append([progress.state for progress in read_progress(place)])

    run_failing_batch(workflow, patches, executor="serial", place=place, on_progress=look)
    assert seen == [["value_error.log"], ["running"]]
    assert read_progress(place)[0].state == "complete"
