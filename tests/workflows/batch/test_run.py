from __future__ import annotations

import logging
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from eolearn.core import EONode, EOWorkflow

from eotasks.errors import (
    BatchError,
    ConfigurationError,
    MissingDependencyError,
    PatchFailedWarning,
    ScaleWarning,
    StorageError,
)
from eotasks.storage.place import Place
from eotasks.workflows.batch.outcomes import PatchOutcome
from eotasks.workflows.batch.run import run_batch
from tests import ROOT
from tests.builders.batch_tasks import AllocateTask
from tests.builders.batches import behaving, facts, facts_batch, manifest_outcomes, run_failing_batch, states


def test_processes_name_each_failure_and_go_on(tmp_path: Path) -> None:
    workflow, patches = behaving("a", "value_error", "exit", "killed", "own_error", "unpicklable_error", "b")
    result = run_failing_batch(workflow, patches, workers=2, place=Place(tmp_path), stage="test")
    assert [outcome.name for outcome in result.outcomes] == list(patches)
    assert result.done == ["a", "b"]
    assert result.exit_code == 1
    errors = {outcome.name: outcome.error for outcome in result.failed}
    assert all(outcome.error_step == "Behave" for outcome in result.failed)
    assert errors["value_error"] == "ValueError: two lines"
    assert errors["own_error"] == "BANDS of p7: raw DN. Divide."
    assert "exit code 3" in str(errors["exit"])
    assert "SIGKILL" in str(errors["killed"])
    assert "stubborn" in str(errors["unpicklable_error"])
    assert "raise ValueError" in str(result.outcomes[1].traceback)
    lines = manifest_outcomes(Place(tmp_path))
    assert sorted(line.outcome.name for line in lines) == sorted(patches)
    assert {line.outcome.name: line.outcome.state for line in lines} == states(result)
    assert {line.stage for line in lines} == {"test"}


def test_failures_are_a_warning_of_the_caller_that_can_be_made_an_error(tmp_path: Path) -> None:
    workflow, patches = behaving("value_error", "a", *(f"b{index}" for index in range(5)))
    place = Place(tmp_path)
    with pytest.warns(PatchFailedWarning) as caught:
        run_batch(workflow, patches, executor="serial", place=place, stage="a/b")
    assert [warning.filename for warning in caught] == [__file__]
    assert str(caught[0].message) == (
        f"1 of 7 patches of batch 'a/b' failed (value_error): logs are in {tmp_path}/batch/logs/a%2Fb."
        " First value_error, step Behave: ValueError: two lines"
    )
    assert place.names("batch/logs/a%2Fb") == ["value_error.log"]
    node = workflow.get_nodes()[0]
    failing = {f"p{index}": {node: {"name": "value_error"}} for index in range(7)}
    with pytest.raises(PatchFailedWarning, match=r"7 of 7 .* \(p0, p1, p2, p3, p4, …\): result\.failed has the errors"):
        run_batch(workflow, failing, executor="serial")


def test_what_workers_warn_of_is_told_once_for_each_kind_and_kept(tmp_path: Path) -> None:
    workflow, patches = behaving("a", "warns 1", "warns 2", "b")
    with pytest.warns(ScaleWarning) as caught:
        result = run_batch(workflow, patches, workers=1, place=tmp_path, progress=False)
    told = "Patch warns 1 (and 1 more patches of batch 'batch'): BANDS of warns 1: numbers up to 100."
    assert [(str(each.message), each.filename) for each in caught] == [(told, __file__)]
    kept = {name: [f"ScaleWarning: BANDS of {name}: {text}." for text in ("numbers up to 100", "no scale is named")]
            for name in ("warns 1", "warns 2")}  # fmt: skip
    assert {outcome.name: [*outcome.warnings] for outcome in result.outcomes if outcome.warnings} == kept
    lines = {line.outcome.name: line.outcome.warnings for line in manifest_outcomes(Place(tmp_path))}
    assert lines == {"a": (), "b": ()} | kept
    assert "warned   ScaleWarning, 2 patches, first warns 1: BANDS of warns 1: numbers up to 100." in str(result)
    assert run_batch(workflow, patches, workers=1, place=tmp_path, progress=False).skipped == [*patches]
    with warnings.catch_warnings():
        warnings.simplefilter("error", ScaleWarning)
        with pytest.raises(ScaleWarning, match="warns 1"):
            run_batch(workflow, patches, workers=1, place=tmp_path, progress=False, overwrite=True)


@pytest.mark.parametrize("executor", ["serial", "threads"])
def test_in_this_process_warnings_are_given_where_they_arise(executor: Any) -> None:
    workflow, patches = behaving("warns 1")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = run_batch(workflow, patches, executor=executor, progress=False)
    assert "BANDS of warns 1: numbers up to 100." in [str(each.message) for each in caught]
    assert result.outcomes[0].warnings == ()


@pytest.mark.parametrize("executor", ["serial", "threads"])
def test_in_this_process_the_outcomes_are_the_same(executor: str, capfd: pytest.CaptureFixture[str]) -> None:
    workflow, patches = behaving("a", "value_error", "own_error", "b")
    result = run_failing_batch(workflow, patches, executor=executor, workers=2)
    assert states(result) == {"a": "done", "value_error": "failed", "own_error": "failed", "b": "done"}
    assert result.failed[0].error == "ValueError: two lines"
    assert list(result.outcomes[0].seconds_by_step) == ["Behave", "PassOnTask"]
    assert list(result.outcomes[1].seconds_by_step) == ["Behave"]
    assert capfd.readouterr() == ("", "")


def test_workers_are_other_processes_with_their_threads_and_this_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARK", "set after the fork server started")
    monkeypatch.setenv("EOTASKS_NUM_THREADS", "7")
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    workflow, patches = facts_batch(tmp_path, 4)
    result = run_batch(workflow, patches, workers=2, threads=3)
    assert (result.exit_code, result.workers, result.threads) == (0, 2, 3)
    told = facts(tmp_path)
    assert os.getpid() not in {one["pid"] for one in told}
    assert len({one["pid"] for one in told}) <= 2
    environment = {
        "EOTASKS_NUM_THREADS": "3",
        "OMP_NUM_THREADS": "3",
        "OMP_WAIT_POLICY": "PASSIVE",
        "MARK": "set after the fork server started",
    }
    assert [one["environment"] for one in told] == [environment] * 4
    assert os.environ["EOTASKS_NUM_THREADS"] == "7"


def test_spawn_gives_the_same(tmp_path: Path) -> None:
    workflow, patches = facts_batch(tmp_path, 2)
    assert run_batch(workflow, patches, workers=1, threads=1, start_method="spawn").done == ["p0", "p1"]
    assert len({one["pid"] for one in facts(tmp_path)} | {os.getpid()}) == 2


def test_threads_run_in_this_process_with_the_shared_setting(tmp_path: Path) -> None:
    workflow, patches = facts_batch(tmp_path, 3)
    run_batch(workflow, patches, executor="threads", workers=2, threads=5)
    assert {one["pid"] for one in facts(tmp_path)} == {os.getpid()}
    assert all(str(one["thread"]).startswith("eotasks") for one in facts(tmp_path))
    assert "EOTASKS_NUM_THREADS" not in os.environ or os.environ["EOTASKS_NUM_THREADS"] != "5"


def test_complete_patches_are_skipped_and_progress_is_told(tmp_path: Path) -> None:
    workflow, patches = facts_batch(tmp_path, 3)
    told: list[PatchOutcome] = []
    result = run_batch(workflow, patches, executor="serial", skip=lambda name: name == "p1", on_progress=told.append)
    assert states(result) == {"p0": "done", "p1": "skipped", "p2": "done"}
    assert result.skipped == ["p1"]
    assert result.exit_code == 0
    assert result.outcomes[1].attempts == 0
    assert sorted(outcome.name for outcome in told) == ["p0", "p1", "p2"]
    assert not (tmp_path / "p1.json").exists()


def test_all_skipped_starts_nothing(tmp_path: Path) -> None:
    workflow, patches = facts_batch(tmp_path, 2)
    assert run_batch(workflow, patches, skip=lambda _: True).skipped == ["p0", "p1"]
    assert facts(tmp_path) == []


def test_memory_of_a_step_is_its_peak(tmp_path: Path) -> None:
    small = EONode(AllocateTask(1), name="small")
    large = EONode(AllocateTask(200), inputs=[small], name="large")
    after = EONode(AllocateTask(1), inputs=[large], name="after")
    result = run_batch(EOWorkflow([small, large, after]), {"p": {}}, workers=1)
    memory = result.outcomes[0].peak_memory_mb_by_step
    assert memory["large"] - memory["small"] == pytest.approx(200, abs=20)
    assert memory["after"] == pytest.approx(memory["small"], abs=20)


def test_steps_of_one_name_are_numbered() -> None:
    first = EONode(AllocateTask(1))
    second = EONode(AllocateTask(1), inputs=[first])
    result = run_batch(EOWorkflow([first, second]), {"p": {}}, executor="serial")
    assert list(result.outcomes[0].seconds_by_step) == ["AllocateTask", "AllocateTask_2"]


def test_logs_of_workers_reach_this_process(caplog: pytest.LogCaptureFixture) -> None:
    workflow, patches = behaving("noisy", "value_error")
    with caplog.at_level(logging.WARNING):
        run_failing_batch(workflow, patches, workers=1)
    assert [record.getMessage() for record in caplog.records] == ["said in noisy"]


def test_an_error_in_progress_ends_the_batch_and_its_workers() -> None:
    workflow, patches = behaving("a", "b", "c")

    def refuse(_: PatchOutcome) -> None:
        raise StorageError("the disk is full")

    with pytest.raises(StorageError, match="the disk is full"):
        run_batch(workflow, patches, workers=2, on_progress=refuse)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"executor": "cluster"}, "cluster"), ({"workers": 0}, "workers=0"), ({"threads": 0}, "threads=0"),
     ({"start_method": "fork"}, "'fork'")],
)  # fmt: skip
def test_arguments_are_checked(arguments: dict[str, object], message: str) -> None:
    workflow, patches = behaving("a")
    with pytest.raises(ConfigurationError, match=message):
        run_batch(workflow, patches, **arguments)  # type: ignore[arg-type]  # wrong on purpose


def test_a_working_directory_that_is_gone_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(BatchError, match="working directory is gone"):
        run_batch(*behaving("a"), executor="serial")


def test_no_patches_is_an_error() -> None:
    with pytest.raises(BatchError, match="has no patches"):
        run_batch(behaving()[0], {})


def test_ray_is_asked_for_by_name_when_it_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "eotasks.workflows.batch.ray.executor", raising=False)
    workflow, patches = behaving("a")
    with pytest.raises(MissingDependencyError, match=r"install .*\[ray\]"):
        run_batch(workflow, patches, executor="ray", place=Place(tmp_path), skip=lambda _: True)
    assert list(tmp_path.iterdir()) == []


SCRIPT = """
import warnings
warnings.simplefilter("ignore")
from eotasks.workflows.batch.run import run_batch
from tests.builders.batches import behaving
{guard}
    workflow, patches = behaving("noisy", "value_error", "a")
    result = run_batch(workflow, patches, workers=2, progress=False)
    print(len(result.done))
"""


def run_script(tmp_path: Path, guard: str) -> subprocess.CompletedProcess[str]:
    script = tmp_path / "a script.py"
    script.write_text(SCRIPT.format(guard=guard))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    return subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, timeout=400)


def test_workers_keep_library_warnings_off_the_screen(tmp_path: Path) -> None:
    ended = run_script(tmp_path, 'if __name__ == "__main__":')
    assert (ended.returncode, ended.stdout) == (0, "2\n"), ended.stderr
    assert ended.stderr == "said in noisy\n"


@pytest.mark.slow
def test_a_script_from_standard_input_has_workers_too() -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    ended = subprocess.run(
        [sys.executable, "-"], input=SCRIPT.format(guard="if True:"), env=environment, capture_output=True, text=True,
        timeout=400,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (0, "2\n"), ended.stderr


@pytest.mark.slow
def test_a_script_without_its_guard_is_told_so(tmp_path: Path) -> None:
    ended = run_script(tmp_path, "if True:")
    assert ended.returncode != 0
    assert "BatchError: A worker process ended while it was starting" in ended.stderr
    assert "__main__" in ended.stderr.splitlines()[-1]
