from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from eotasks.errors import StorageError
from eotasks.storage.place import Place
from eotasks.workflows import cli
from eotasks.workflows.batch.manifest import ManifestWriter, this_process
from eotasks.workflows.batch.outcomes import PatchOutcome
from eotasks.workflows.batch.progress import read_progress
from eotasks.workflows.batch.report import DATA, REPORT, write_batch_report
from eotasks.workflows.batch.run import run_batch
from tests.builders.batches import behaving, run_failing_batch


@pytest.fixture
def mixed(tmp_path: Path) -> Place:
    """A batch with everything in it, run twice."""
    place = Place(tmp_path / "results")
    workflow, patches = behaving("a", "value_error", "killed", "<b>&")
    run_batch(workflow, {"a": patches["a"]}, executor="serial", place=place, stage="observe")
    run_failing_batch(workflow, patches, workers=2, place=place, stage="observe")
    run_batch(workflow, {"a": patches["a"]}, executor="serial", place=place, stage="map")
    return place


def edit(place: Place, **process: object) -> None:
    """Takes the end away from a manifest, as a killed process leaves it, and says who ran it."""
    path = place.local_path("manifest.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    kept = [line for line in lines if line["kind"] != "end"]
    for line in kept:
        if line["kind"] == "batch":
            line["process"] |= process
    path.write_text("".join(json.dumps(line) + "\n" for line in kept))


def test_progress_counts_the_last_run(mixed: Place) -> None:
    observe, last = read_progress(mixed)
    assert (observe.stage, observe.state, observe.patches, observe.executor) == ("observe", "complete", 4, "processes")
    counts = {state: observe.count(state) for state in ("done", "skipped", "failed", "quarantined")}
    assert counts == {"done": 1, "skipped": 1, "failed": 1, "quarantined": 1}
    assert sorted(outcome.name for outcome in observe.missing) == ["killed", "value_error"]
    assert (observe.lost_workers, observe.waiting, observe.running, observe.interrupted) == (3, 0, [], [])
    assert {cost.step: cost.patches for cost in observe.steps} == {"Behave": 3, "PassOnTask": 1}
    assert (last.stage, last.count("done"), last.missing) == ("map", 1, [])


@pytest.mark.parametrize("patches", [10**400, -1])
def test_a_count_that_cannot_be_is_none(tmp_path: Path, patches: int) -> None:
    writer = ManifestWriter(Place(tmp_path), "observe")
    writer.batch(patches=patches, executor="processes")
    writer.outcome(PatchOutcome("p0", "done"))
    progress = read_progress(Place(tmp_path))[0]
    assert (progress.state, progress.patches) == ("running", 1)


def test_a_run_in_work_shows_what_runs_and_how_fast(tmp_path: Path) -> None:
    place = Place(tmp_path)
    writer = ManifestWriter(place, "observe")
    writer.batch(patches=30, executor="processes")
    for index in range(12):
        writer.running(f"p{index}", 1)
        if index < 10:
            writer.outcome(PatchOutcome(f"p{index}", "done", seconds_by_step={"Load": 1.0, "Save": 3.0 + index}))
    writer.lost("p10", 1, step="Load", error="The worker process ended (SIGKILL).")
    writer.running("p10", 2)
    progress = read_progress(place)[0]
    assert (progress.state, progress.patches, progress.count("done"), progress.waiting) == ("running", 30, 10, 18)
    assert [(patch.name, patch.attempt) for patch in progress.running] == [("p11", 1), ("p10", 2)]
    assert progress.lost_workers == 1
    assert progress.rate is not None
    assert progress.remaining_seconds == pytest.approx(20 / progress.rate)
    assert [cost.step for cost in progress.steps] == ["Save", "Load"]
    assert (progress.steps[0].seconds, progress.steps[0].longest) == (75.0, 12.0)


def test_the_rate_is_that_of_the_last_minutes(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    lines: list[dict[str, object]] = [{"kind": "batch", "patches": 100, "process": this_process()}]
    times = [now - timedelta(hours=10)]
    for index in range(60):  # one an hour, then twenty in ten minutes
        lines.append({"kind": "outcome", "name": f"p{index}", "state": "done", "attempts": 1})
        times.append(now - timedelta(minutes=30 * (60 - index)) / 60)
    text = [
        json.dumps({"version": 2, "stage": "s", "run": "r", "finished": time.isoformat()} | line)
        for time, line in zip(times, lines, strict=True)
    ]
    (tmp_path / "manifest.jsonl").write_text("\n".join(text) + "\n")
    progress = read_progress(Place(tmp_path))[0]
    assert progress.rate == pytest.approx(20 / 600, rel=0.1)
    assert progress.remaining_seconds == pytest.approx(40 * 30, rel=0.1)


def test_a_process_that_is_gone_has_no_running_patches(mixed: Place) -> None:
    edit(mixed, pid=2**22 + 5)
    assert [progress.state for progress in read_progress(mixed)] == ["gone", "gone"]


def test_another_process_of_the_same_number_is_not_ours(mixed: Place) -> None:
    edit(mixed, pid=os.getpid(), started=psutil.Process().create_time() - 1000)
    assert [progress.state for progress in read_progress(mixed)] == ["gone", "gone"]


def test_on_another_machine_silence_is_told(mixed: Place) -> None:
    edit(mixed, host="elsewhere", machine="elsewhere")
    assert [progress.state for progress in read_progress(mixed)] == ["running", "running"]
    path = mixed.local_path("manifest.jsonl")
    path.write_text(path.read_text().replace(f"{datetime.now(UTC):%Y-%m-%d}", "2020-01-01"))
    assert [progress.state for progress in read_progress(mixed)] == ["unknown", "unknown"]


def test_in_another_container_of_the_same_host_numbers_say_nothing(mixed: Place) -> None:
    edit(mixed, machine="another container", pid=2**22 + 5)
    assert [progress.state for progress in read_progress(mixed)] == ["running", "running"]


def test_places_without_a_batch_and_unknown_stages_are_named(mixed: Place, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"has no manifest\.jsonl"):
        read_progress(Place(tmp_path / "empty"))
    with pytest.raises(StorageError, match="has no batch 'x': it has 'observe', 'map'"):
        read_progress(mixed, stage="x")


def test_the_command_shows_it_on_one_screen(mixed: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["status", str(mixed)]) == 1
    told = capsys.readouterr().out
    assert "quarantined  killed, step Behave: The worker process ended (SIGKILL" in told
    assert "failed  value_error, step Behave: ValueError: two lines" in told
    assert "step  Behave:" in told
    assert cli.main(["status", str(mixed), "--stage", "map", "--watch"]) == 0
    assert "observe" not in capsys.readouterr().out


def test_the_command_gives_json(mixed: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["status", str(mixed), "--json"]) == 1
    observe, last = json.loads(capsys.readouterr().out)
    assert observe["counts"] == {
        "done": 1, "failed": 1, "skipped": 1, "quarantined": 1, "running": 0, "interrupted": 0, "waiting": 0,
    }  # fmt: skip
    assert {outcome["name"] for outcome in observe["outcomes"]} == {"a", "value_error", "killed", "<b>&"}
    assert (last["stage"], last["state"]) == ("map", "complete")


def test_a_wrong_place_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["status", str(tmp_path / "nothing")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "nothing").exists()


def test_the_report_has_tables_histograms_and_logs(mixed: Place, tmp_path: Path) -> None:
    target = tmp_path / "out" / "r.html"
    assert cli.main(["status", str(mixed), "--report", str(target)]) == 1
    page = target.read_text()
    assert "data:image/svg+xml" in page
    assert "Histogram of seconds by patch" in page
    assert "raise ValueError" in page, "the log of a failure"
    assert "&lt;b&gt;&amp;" in page
    assert "<b>&<" not in page
    data = json.loads(target.with_suffix(".json").read_text())
    assert (data["version"], [batch["stage"] for batch in data["batches"]]) == (1, ["observe", "map"])


def test_the_report_may_lie_in_the_place_itself(mixed: Place) -> None:
    where = write_batch_report(mixed)
    assert where == f"{mixed}/{REPORT}"
    page = mixed.read_bytes(REPORT)
    assert json.loads(mixed.read_bytes(DATA))["batches"][0]["patches"] == 4
    write_batch_report(mixed)
    assert mixed.read_bytes(REPORT) == page, "the same manifest gives the same page"
    assert read_progress(mixed)[0].patches == 4


def test_logs_that_are_gone_leave_the_message(mixed: Place) -> None:
    mixed.remove("batch/logs")
    write_batch_report(mixed)
    assert b"ValueError: two lines" in mixed.read_bytes(REPORT)


def test_a_report_that_cannot_be_written_is_told(mixed: Place, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="The report cannot be written"):
        write_batch_report(mixed, tmp_path / "file" / "r.html")
