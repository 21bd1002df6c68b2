"""What a call from Python gets of a batch: a summary of one screen, warnings or an error, progress on stderr."""

from __future__ import annotations

import html.parser
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest

from eotasks.errors import PatchesFailedError, PatchFailedWarning
from eotasks.storage.place import Place
from eotasks.workflows.batch.outcomes import PatchOutcome
from eotasks.workflows.batch.progress import read_progress
from eotasks.workflows.batch.report import write_batch_report
from eotasks.workflows.batch.result import BatchResult
from eotasks.workflows.batch.run import run_batch
from tests import ROOT
from tests.builders.batches import behaving, run_failing_batch

ESCAPE = "\x1b[31m"

SCRIPT = """
import warnings
import eotasks
from tests.builders.batches import behaving
if __name__ == "__main__":
    warnings.simplefilter("ignore")
    workflow, patches = behaving("a", "own_error", "b")
    print(eotasks.run_batch(workflow, patches, executor="serial", place="place", stage="observe"))
"""


def result_of(*outcomes: PatchOutcome, place: Place | None = None) -> BatchResult:
    return BatchResult("observe", outcomes, 75.0, 2, 1, place=place)


def many(failed: int = 300) -> BatchResult:
    done = [PatchOutcome(f"d{i}", "done", seconds_by_step={f"step{k}": 1.0 for k in range(20)}) for i in range(500)]
    bad = [
        PatchOutcome(f"f{i}", "failed", error_step="LoadTask", error="no such product " + "x" * 5000)
        for i in range(failed)
    ]
    return result_of(*done, *bad, place=Place("/results"))


class TestSummary:
    def test_one_screen_whatever_the_number_of_patches(self) -> None:
        lines = str(many()).splitlines()
        assert lines[0] == "Batch 'observe': 500 of 800 patches complete, 300 missing, 1 min 15 s"
        assert len(lines) < 24
        assert max(map(len, lines)) < 400
        assert "logs     /results/batch/logs/observe" in lines
        assert "failed   and 292 more, all in result.failed" in lines

    def test_what_a_good_batch_has_to_say(self) -> None:
        assert str(result_of(PatchOutcome("a", "done", seconds_by_step={"LoadTask": 2.0}))).splitlines() == [
            "Batch 'observe': 1 of 1 patches complete, 1 min 15 s",
            "patches  1 done",
            "workers  2, with 1 thread each",
            "step     LoadTask: 2 s a patch, slowest 2 s",
        ]
        assert str(result_of(PatchOutcome("a", "skipped", attempts=0))).splitlines()[1:] == [
            "patches  1 complete before"
        ]

    def test_without_a_place_it_says_how_to_have_logs(self) -> None:
        told = str(result_of(PatchOutcome("a", "quarantined", error="the worker process ended")))
        assert "1 quarantined" in told
        assert "a: the worker process ended" in told
        assert "give run_batch a place" in told

    def test_repr_is_a_line(self) -> None:
        assert repr(many()) == "<Batch 'observe': 500 of 800 patches complete, 300 missing, 1 min 15 s>"

    def test_html_of_hostile_names(self) -> None:
        bad = PatchOutcome(f"<script>alert(1)</script>{ESCAPE}", "failed", error_step="<b>", error="&amp; 'x' \"y\"")
        page = result_of(bad, place=Place("/<i>"))._repr_html_()

        class Tags(html.parser.HTMLParser):
            found: ClassVar[set[str]] = set()

            def handle_starttag(self, tag: str, attrs: object) -> None:
                self.found.add(tag)

        Tags().feed(page)
        assert Tags.found == {"table", "caption", "b", "tr", "th", "td"}
        assert "&lt;script&gt;" in page
        assert "\x1b" not in page + str(result_of(bad))


class TestFailures:
    def test_the_warning_names_the_reason_and_the_logs(self, tmp_path: Path) -> None:
        workflow, patches = behaving("a", "own_error")
        with pytest.warns(PatchFailedWarning) as record:
            result = run_batch(workflow, patches, executor="serial", place=str(tmp_path), progress=False)
        told = str(record[0].message)
        assert re.search(r"1 of 2 patches of batch 'batch' failed \(own_error\): logs are in .*logs/batch\.", told)
        assert f"First own_error, step {result.failed[0].error_step}: {result.failed[0].error}" in told
        log = result.log_of("own_error")
        assert log is not None
        assert "Traceback" in Path(log).read_text()
        assert result.logs == str(Path(log).parent)

    def test_raise_on_failure(self, tmp_path: Path) -> None:
        workflow, patches = behaving("a", "own_error")
        with pytest.raises(PatchesFailedError, match="1 of 2 patches") as error:
            run_batch(workflow, patches, executor="serial", place=tmp_path, raise_on_failure=True, progress=False)
        result = error.value.result
        assert isinstance(result, BatchResult)
        assert result.done == ["a"]
        again = pickle.loads(pickle.dumps(error.value))
        assert (str(again), str(again.result)) == (str(error.value), str(result))
        workflow, patches = behaving("a")
        assert run_batch(workflow, patches, executor="serial", raise_on_failure=True, progress=False).failed == []


class TestPlaces:
    """A place may be a text or a path wherever one is taken."""

    @pytest.mark.parametrize("kind", [str, Path, Place])
    def test_of_a_batch(self, kind: type, tmp_path: Path) -> None:
        workflow, patches = behaving("a")
        place = kind(str(tmp_path))
        assert run_batch(workflow, patches, executor="serial", place=place, progress=False).place == Place(tmp_path)
        assert [stage.stage for stage in read_progress(place)] == ["batch"]
        assert write_batch_report(place) == f"{tmp_path}/batch/report.html"
        assert run_batch(workflow, patches, executor="serial", place=place, progress=False).skipped == ["a"]


class TestProgress:
    def test_a_script_without_a_terminal_has_lines_on_stderr(self, tmp_path: Path) -> None:
        script = tmp_path / "script.py"
        script.write_text(SCRIPT)
        ended = subprocess.run(
            [sys.executable, script],
            cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=400,
        )
        lines = ended.stderr.splitlines()
        assert lines[0].startswith("failed own_error, step ")
        assert lines[1].startswith("observe: 3/3, ")
        assert len(lines) == 2
        assert ended.stdout.startswith("Batch 'observe': 2 of 3 patches complete, 1 missing, ")
        assert f"logs     {tmp_path}/place/batch/logs/observe\n" in ended.stdout

    @pytest.mark.parametrize(
        ("listens", "progress", "shown"),
        [(False, None, True), (True, None, False), (True, True, True), (False, False, False)],
    )
    def test_who_listens_shows_it_himself(
        self, listens: bool, progress: bool | None, shown: bool, capsys: pytest.CaptureFixture[str]
    ) -> None:
        heard: list[str] = []
        workflow, patches = behaving("a", "own_error")
        run_failing_batch(
            workflow,
            patches,
            executor="serial",
            progress=progress,
            on_progress=(lambda outcome: heard.append(outcome.name)) if listens else None,
        )
        assert ("batch: 2/2, " in capsys.readouterr().err) is shown
        assert heard == (["a", "own_error"] if listens else [])
