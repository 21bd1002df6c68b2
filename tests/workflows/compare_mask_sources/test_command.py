"""The command: what it refuses, measures, writes and says; processes that it starts and ends."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
import time
from functools import partial
from pathlib import Path

import psutil
import pytest
from matplotlib.image import imread

from eotasks.errors import BatchError, MissingDependencyError
from eotasks.workflows.compare_mask_sources import endpoint, measure, results, run, tables, ways
from eotasks.workflows.compare_mask_sources.endpoint import Endpoint, demonstration
from eotasks.workflows.compare_mask_sources.measure import thinned
from eotasks.workflows.compare_mask_sources.plan import COMPUTED, S2CLOUDLESS, SERVICE, Job, make_plan
from eotasks.workflows.compare_mask_sources.processes import cores, cpu_of_family, last_words
from eotasks.workflows.compare_mask_sources.processes import running as started
from tests.builders.clouds.compared_runs import made_up, no_demonstration, patch_report
from tests.builders.command_line import Result, command

YEAR = ("2024-01-01", "2024-12-31")
NOWHERE = Endpoint("http://127.0.0.1:9", "http://127.0.0.1:9/token", "any", "a-secret-word")


@pytest.fixture(autouse=True)
def no_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    for name in ("SH_CLIENT_ID", "SH_CLIENT_SECRET", "SH_PROFILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> run.Comparison:
    """Of figures that were made up."""
    plan = make_plan(patches=3, dates=YEAR, repeats=3, with_s2cloudless=True)
    return run.compare(plan, NOWHERE, tmp_path_factory.mktemp("runs"), service="made up", measured=made_up)


def compared(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> Result:
    """The command, without a service and without processes."""
    monkeypatch.setattr(endpoint, "demonstration", no_demonstration)
    monkeypatch.setattr(run, "compare", partial(run.compare, measured=made_up))
    return command("compare-mask-sources", *arguments)


def test_figures_picture_and_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    done = compared(monkeypatch, "--patches", "3", "--out", out)
    assert done.code == 0, done.err
    assert sorted(path.name for path in out.iterdir()) == [
        "comparison.png", "figures.json", "memory.csv", "report.html", "runs.csv",
    ]  # fmt: skip
    figures = json.loads((out / "figures.json").read_text())
    # repeats of 1, 2 and 3 s a patch, and as much again for computing
    assert figures["median"][SERVICE]["seconds"] == 6
    assert figures["median"][COMPUTED]["seconds"] == 12
    assert figures["service_over"] == {COMPUTED: figures["service_over"][COMPUTED]}
    assert figures["service_over"][COMPUTED]["seconds"] == 0.5
    assert figures["service_over"][COMPUTED]["bytes"] == 1
    assert figures["plan"]["patches"] == 3
    assert figures["plan"]["acquisitions"] == 6
    assert figures["simulated"] is True
    (agreement,) = figures["agreement"]
    assert (agreement["pixels"], agreement["both_cloud"], agreement["only_second"]) == (3 * 49, 3 * 10, 3 * 5)
    rows = list(csv.DictReader(io.StringIO((out / "runs.csv").read_text())))
    assert [row["way"] for row in rows] == [SERVICE, COMPUTED, COMPUTED, SERVICE, SERVICE, COMPUTED]
    for row in rows:
        parts = sum(float(row[name]) for name in ("answers_s", "pauses_s", "computing_s", "other_s"))
        assert parts == pytest.approx(float(row["seconds"]))
        assert int(row["requests_process"]) + int(row["requests_catalog"]) == int(row["request_count"]) == 9
    assert len((out / "memory.csv").read_text().splitlines()) == 1 + 6 * 100
    picture = imread(out / "comparison.png")
    assert picture.shape[1] > 1000
    assert picture[..., :3].std() > 0.05
    page = (out / "report.html").read_text()
    for text in ("0.50 of the time", "simulated", "AddCloudProbabilityTask", "6.0 s", "12.0 s"):
        assert text in page
    assert "0.50 of the time" in done.out
    assert "pixels are simulated" in " ".join(done.out.split())


def test_results_of_the_same_kind_are_replaced_and_others_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undrawn: None
) -> None:
    monkeypatch.setattr(results, "save_picture", lambda figure, path: path.write_bytes(b""))
    out = tmp_path / "out"
    for _ in range(2):
        assert compared(monkeypatch, "--patches", "1", "--repeats", "1", "--out", out).code == 0
    assert "One repeat" in (out / "report.html").read_text()
    (out / "figures.json").write_text('{"software": "eotasks 1"}')
    before = (out / "report.html").read_bytes()
    refused = compared(monkeypatch, "--patches", "1", "--repeats", "1", "--out", out)
    assert refused.code == 2
    assert "holds other things" in refused.err
    assert (out / "report.html").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--patches", "0"], "--patches 0"),
        (["--size", "505"], "50.5 pixels"),
        (["--dates", "2024-06-01", "2024-05-01"], "time_interval"),
        (["--center", "12", "52"], "--center is for a service that runs"),
        (["--base-url", "127.0.0.1:8080"], "no address of a service"),
        (["--base-url", "https://user:word@masks.example.org"], "no address of a service"),
        (["--base-url", "https://masks.example.org"], "SH_CLIENT_ID"),
        (["--profile", "nobody"], "'nobody'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_work_is_refused(arguments: list[str], message: str, tmp_path: Path) -> None:
    done = command("compare-mask-sources", *arguments, "--out", tmp_path / "out")
    assert done.code == 2
    assert message in done.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://masks.example.org", "plain http"),
        ("https://sh.dataspace.copernicus.eu", "no CLM and CLP"),
    ],
)
def test_services_that_are_not_asked(url: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SH_CLIENT_ID", "somebody")
    monkeypatch.setenv("SH_CLIENT_SECRET", "a-secret-word")
    done = command("compare-mask-sources", "--base-url", url, "--out", tmp_path / "out")
    assert done.code == 2
    assert message in done.err
    assert "a-secret-word" not in done.err


def test_a_service_that_runs_is_asked_with_the_users_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SH_CLIENT_ID", "somebody")
    monkeypatch.setenv("SH_CLIENT_SECRET", "a-secret-word")
    found = endpoint.existing("http://localhost:8080/", None)
    assert found.token_url == "http://localhost:8080/auth/realms/main/protocol/openid-connect/token"
    assert not found.is_demonstration
    assert "a-secret-word" not in repr(found)
    given = found.environment(tmp_path)
    assert given["SH_CLIENT_SECRET"] == "a-secret-word"
    assert given["OAUTHLIB_INSECURE_TRANSPORT"] == "1"
    profile = (tmp_path / "sentinelhub" / "config.toml").read_text()
    assert 'sh_base_url = "http://localhost:8080"' in profile
    assert "a-secret-word" not in profile
    secure = endpoint.existing("https://masks.example.org", None)
    assert "OAUTHLIB_INSECURE_TRANSPORT" not in secure.environment(tmp_path)


def test_what_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "missing_modules", lambda extra: ["fastapi"] if extra == "service" else [])
    with pytest.raises(MissingDependencyError, match=r"fastapi.*--base-url"):
        endpoint.require_service()
    monkeypatch.setattr(ways, "is_installed", lambda name: False)
    assert "s2cloudless" in command("compare-mask-sources", "--with-s2cloudless").err


def test_medians_and_the_run_of_the_lines(comparison: run.Comparison) -> None:
    assert [each.repeat for each in comparison.of(SERVICE)] == [0, 1, 2]
    assert comparison.middle(COMPUTED).repeat == 1
    assert comparison.median(COMPUTED, "computing_s") == 6
    assert comparison.middle(SERVICE).patch_ends == (4.0, 7.0, 10.0)
    assert set(comparison.agreements) == {(SERVICE, COMPUTED), (SERVICE, S2CLOUDLESS), (COMPUTED, S2CLOUDLESS)}
    assert comparison.agreements[COMPUTED, S2CLOUDLESS].same == 1
    header, rows = tables.summary_header(comparison), tables.summary_rows(comparison)
    assert header[-2:] == ("service / computed", "service / s2cloudless")
    assert all(len(row) == len(header) == 6 for row in rows)
    assert ("requests", "9", "9", "9", "1.00", "1.00") in rows
    assert "0.50 of the time, 0.50 of the processor time, 0.67 of the memory" in tables.conclusion(comparison)
    assert tables.conclusion(comparison).count("of the time") == 2


def test_the_embedded_scene_is_not_called_simulated(
    comparison: run.Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not comparison.simulated  # nothing is known of a service that was not started here
    real = [patch_report(1.0, 1.0, times=["2017-02-16T10:21:01"])]

    def measured(job: Job, place: Endpoint, folder: Path, *, repeat: int = 0) -> measure.Run:
        report = {"patches": real, "cpu_s": 1.0}
        return measure.run_of(job.way, repeat, report, [], began=0.0, whole_s=1.0, service_cpu_s=None)

    with no_demonstration(tmp_path, ()) as place:
        plan = make_plan(patches=1, dates=YEAR, repeats=1)
        found = run.compare(plan, place, tmp_path / "real", service="made up", measured=measured)
        assert not found.simulated
        real[0]["acquisitions"].append("2024-02-15T10:21:01")
        assert run.compare(plan, place, tmp_path / "both", service="made up", measured=measured).simulated
    assert [figure.name for figure in tables.shown(found)].count("service_cpu_s") == 0


def test_ways_with_other_acquisitions_are_not_compared(tmp_path: Path) -> None:
    def another(job: Job, place: Endpoint, folder: Path, *, repeat: int = 0) -> measure.Run:
        made = made_up(job, place, folder, repeat=repeat)
        patches = [patch_report(1.0, 1.0, times=["2024-03-01T10:00:00"])]
        return made if job.way == SERVICE else measure.run_of(
            job.way, repeat, {"patches": patches, "cpu_s": 1.0}, [], began=0.0, whole_s=1.0, service_cpu_s=None
        )  # fmt: skip

    with pytest.raises(BatchError, match="other acquisitions"):
        run.compare(make_plan(patches=1, dates=YEAR), NOWHERE, tmp_path, service="made up", measured=another)


def test_a_process_is_measured_from_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "WORKER", "tests.builders.clouds.compared_runs")
    job = make_plan(patches=1, dates=YEAR).job(SERVICE)
    found = measure.measure(job, NOWHERE, tmp_path / "run", repeat=2)
    profile, secret, threads, home = found.acquisitions[0]
    assert (profile, secret, threads) == (endpoint.PROFILE, "a-secret-word", "1")
    assert Path(home) == tmp_path / "run" / "settings"
    assert found.repeat == 2
    assert found.peak_mb == 12_345.0  # what the kernel says counts where it is more than was sampled
    assert 0 < found.start_s < found.patch_ends[0] <= found.whole_s
    assert found.service_cpu_s is None


class EndsSoon:
    """The process of the tests, said to end after some looks at it."""

    pid = os.getpid()
    looks = 4

    def poll(self) -> int | None:
        self.looks -= 1
        return None if self.looks > 0 else 0

    def wait(self) -> int:
        return 0


def test_memory_is_sampled_until_a_process_ends() -> None:
    began = time.monotonic()
    samples = measure.sampled(EndsSoon(), began)  # type: ignore[arg-type]
    assert len(samples) == 3
    assert [second for second, _ in samples] == sorted(second for second, _ in samples)
    own = psutil.Process().memory_info().rss / measure.MEGABYTE
    assert all(megabytes == pytest.approx(own, rel=0.5) for _, megabytes in samples)


@pytest.mark.parametrize(("way", "boxes", "message"), [("fails", 1, "no acquisitions"), (SERVICE, 0, "nothing to do")])
def test_a_process_that_fails_says_why(
    way: str, boxes: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "WORKER", "tests.builders.clouds.compared_runs")
    job = Job(way, ((0.0, 0.0, 10.0, 10.0),) * boxes, "EPSG:32633", 10, YEAR)
    with pytest.raises(BatchError, match=message):
        measure.measure(job, NOWHERE, tmp_path)


@pytest.mark.slow
def test_a_service_that_does_not_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EOTASKS_SERVICE_PROT", "80")
    with pytest.raises(BatchError, match="EOTASKS_SERVICE_PROT"), demonstration(tmp_path, ()):
        pytest.fail("it must not start")


def test_processes_end_with_their_block(tmp_path: Path) -> None:
    with started("http.server", ["0", "--bind", "127.0.0.1"], {}, tmp_path / "output", tmp_path / "log") as process:
        assert cpu_of_family(process.pid) is not None
        assert process.poll() is None
    assert process.returncode is not None
    assert cpu_of_family(process.pid) is None
    assert cpu_of_family(None) is None


def test_last_words_of_a_process(tmp_path: Path) -> None:
    assert last_words(tmp_path / "nothing") == ""
    (tmp_path / "words").write_text("first\nlast\n\n")
    assert last_words(tmp_path / "words") == "last"


def test_cores_are_shared_out() -> None:
    client, others = cores()
    if sys.platform.startswith("linux"):
        known = os.sched_getaffinity(0)
        assert client in known
        assert set(others) <= known
        assert client not in others or len(known) == 1


def test_long_runs_keep_their_peaks() -> None:
    samples = [(float(second), 100.0) for second in range(1000)]
    samples[777] = (777.0, 900.0)
    kept = thinned(samples, 100)
    assert len(kept) == 100
    assert (777.0, 900.0) in kept
    assert thinned(samples[:7], 100) == samples[:7]
    assert thinned([], 100) == []


@pytest.mark.trial
def test_from_nothing_to_the_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    out = tmp_path / "out"
    spring = ("--dates", "2024-01-01", "2024-04-10")
    done = command("compare-mask-sources", "--patches", "2", "--size", "200", "--repeats", "1", *spring, "--out", out)
    assert done.code == 0, done.err
    figures = json.loads((out / "figures.json").read_text())
    runs = {each["way"]: each for each in figures["runs"]}
    dates = figures["plan"]["acquisitions"]
    assert dates >= 4
    assert runs[SERVICE]["requests"] == runs[COMPUTED]["requests"] == {"token": 1, "catalog": 2, "process": dates}
    assert runs[SERVICE]["bytes"] > 0
    assert runs[COMPUTED]["computing_s"] > runs[SERVICE]["computing_s"]
    assert runs[COMPUTED]["peak_mb"] > runs[SERVICE]["peak_mb"]
    assert runs[SERVICE]["service_cpu_s"] > 0
    assert figures["agreement"][0]["same"] > 0.8
    assert (out / "comparison.png").stat().st_size > 20_000
