"""The command's manners: what it shows without doing anything, how it ends, and whose results it leaves alone."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from eotasks.errors import ConfigurationError, ProductSkippedWarning
from eotasks.storage.place import Place
from eotasks.workflows.land_cover.claim import CONFIG_FILE, INPUTS_FILE, claim_place, remove_results
from eotasks.workflows.land_cover.config_file import load_config, parse_config
from eotasks.workflows.land_cover.run import LandCoverExample, chain_configs
from eotasks.workflows.land_cover.sources.simulated import SimulatedSource
from tests import ROOT
from tests.builders.command_line import EOPATCHES, SAMPLE, Sections, command, merged, tree, write_config
from tests.builders.inputs.land_cover import SERVICE, Prepare, eopatches, nothing, write_labels


def test_verbose_shows_where_an_error_comes_from() -> None:
    result = command("land-cover", "--verbose", "--config", "absent.toml")
    assert result.code == 2
    assert "Traceback" in result.err
    assert result.err.splitlines()[-1].startswith("eotasks: There is no configuration 'absent.toml': check")


def test_a_fault_of_ours_does_not_look_like_failed_patches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(self: object, reporter: object) -> None:
        raise KeyError("ours")

    monkeypatch.setattr("eotasks.workflows.land_cover.run.LandCoverExample.run", run)
    result = command("land-cover", "--config", write_config(tmp_path, SAMPLE))
    assert result.code == 70
    assert "Traceback" in result.err
    assert result.err.splitlines()[-1] == "eotasks: a fault of eotasks itself: KeyError: 'ours'"


def test_results_and_inputs_need_folders_of_their_own(tmp_path: Path) -> None:
    """--overwrite must never reach what a run is made of."""
    eopatches()(tmp_path)
    folder = tmp_path / str(EOPATCHES["source"]["folder"])
    before = tree(folder)
    for output in (folder, folder.parent, folder / "results"):
        config = write_config(tmp_path, merged(EOPATCHES, {"output": {"folder": str(output)}}))
        result = command("land-cover", "--config", config, "--overwrite")
        assert (result.code, result.err.count("\n")) == (2, 1), result.err
        assert "source.folder" in result.err
    assert tree(folder) == before


def test_another_content_of_an_input_is_another_configuration(tmp_path: Path) -> None:
    labels = tmp_path / "labels.gpkg"
    labels.write_bytes(b"one")
    sections = merged(SAMPLE, {"reference": {"kind": "vector", "path": str(labels), "column": "c"}})
    config = load_config(write_config(tmp_path, sections))
    place = Place(str(tmp_path / "results"))
    assert claim_place(place, config)
    assert not claim_place(place, config)
    labels.write_bytes(b"two")
    with pytest.raises(ConfigurationError, match=r"content of reference\.path changed"):
        claim_place(place, config)


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (PermissionError(13, "Permission denied", "results"), 2, ["Permission denied: 'results'", "rights"]),
        (KeyboardInterrupt(), 130, ["interrupted", "goes on where this one stopped"]),
    ],
)
def test_what_comes_from_outside_is_one_line_too(
    error: BaseException, code: int, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(self: object, reporter: object) -> None:
        raise error

    monkeypatch.setattr("eotasks.workflows.land_cover.run.LandCoverExample.run", run)
    result = command("land-cover", "--config", write_config(tmp_path, SAMPLE))
    assert (result.code, result.err.count("\n")) == (code, 1)
    for word in words:
        assert word in result.err


def test_help_shows_examples() -> None:
    assert "land-cover" in command("--help").out
    shown = command("land-cover", "--help")
    assert (shown.code, shown.err) == (0, "")
    for word in ("examples:", "eotasks land-cover --config my.toml --dry-run", "exit codes", "slovenia_2019"):
        assert word in shown.out


def test_printed_configuration_is_that_of_the_run(tmp_path: Path) -> None:
    """What is printed reads back as what it was printed from, options included."""
    options = ["--seed", "7", "--threads", "1", "--workers", "2", "--output", "elsewhere", "--full"]
    printed = command("land-cover", *options, "--print-config")
    assert (printed.code, printed.err) == (0, "")
    config = parse_config(printed.out)
    assert (config.seed, config.validation.seeds) == (7, (7, 8, 9, 10, 11))
    assert (config.run.threads, config.run.workers, config.output.folder) == (1, 2, "elsewhere")
    assert config.area.resolution == 10
    assert isinstance(config.source, SimulatedSource)
    assert config.source.acquisitions == 40
    (tmp_path / "my.toml").write_text(printed.out, encoding="utf-8")
    assert command("land-cover", "--config", tmp_path / "my.toml", "--print-config").out == printed.out


DRY_RUNS: dict[str, tuple[Sections, Prepare, list[str]]] = {
    "sample": (SAMPLE, nothing, ["4 of 64 x 64 pixels at 20 m", "1: 2017-02-16", "nothing is downloaded", "MB"]),
    "simulated": (
        merged(SAMPLE, {"source": {"kind": "simulated", "acquisitions": 5, "real_acquisition": True}}), nothing,
        ["4 of 64 x 64", "5: 2017-", "the real acquisition alone: 4 patches", "nothing is downloaded"],
    ),
    "eopatches": (EOPATCHES, eopatches(), ["4 of 24 x 24 pixels at 10 m", "8: 2017-01-10", "nothing is downloaded"]),
    "sentinelhub": (
        SERVICE, write_labels,
        ["4 of 64 x 64", "asked of the service", "requests", "download", "processing units", "Sentinel Hub needs an"],
    ),
}  # fmt: skip


@pytest.mark.usefixtures("no_account")
@pytest.mark.parametrize("kind", DRY_RUNS)
def test_dry_run_tells_and_writes_nothing(kind: str, tmp_path: Path) -> None:
    sections, prepare, words = DRY_RUNS[kind]
    prepare(tmp_path)
    config = write_config(tmp_path, sections)
    before = tree(tmp_path)
    result = command("land-cover", "--config", config, "--dry-run")
    assert (result.code, result.err) == (0, "")
    told = " ".join(result.out.replace("│", " ").split())
    for word in [*words, "held out", "results"]:
        assert word in told
    assert tree(tmp_path) == before


def test_dry_run_tells_warnings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def describe(_: LandCoverExample) -> dict[str, str]:
        warnings.warn("2 products are left out.", ProductSkippedWarning, stacklevel=1)
        return {"products": "1"}

    monkeypatch.setattr(LandCoverExample, "describe", describe)
    result = command("land-cover", "--config", write_config(tmp_path, SAMPLE), "--dry-run")
    assert result.code == 0
    assert "\nWarning: 2 products are left out.\n" in result.out


def test_text_of_the_user_is_shown_as_it_is(tmp_path: Path) -> None:
    config = write_config(tmp_path, SAMPLE)
    config.write_text('title = "Area [/7] of [red]"\n' + config.read_text())
    result = command("land-cover", "--config", config, "--dry-run")
    assert result.out.startswith("Area [/7] of [red]: what would be done")


def test_results_of_another_configuration_stay(tmp_path: Path) -> None:
    out = tmp_path / "out"
    [(_, config)] = chain_configs(load_config(write_config(tmp_path, SAMPLE)))
    claim_place(Place(str(out)), config)
    before = (out / CONFIG_FILE).read_bytes()
    changed = write_config(tmp_path, merged(SAMPLE, {"clouds": {"threshold": 0.5}, "valid": {"water": "keep"}}))
    for option in ([], ["--dry-run"]):
        result = command("land-cover", "--config", changed, *option)
        assert (result.code, result.err.count("\n")) == (2, 1)
        for word in (str(out), "clouds.threshold, valid.water changed", "output.folder", "--overwrite"):
            assert word in result.err
    assert tree(out) == {CONFIG_FILE, INPUTS_FILE}
    assert (out / CONFIG_FILE).read_bytes() == before


def test_what_no_stored_patch_depends_on_may_change(tmp_path: Path) -> None:
    place = Place(str(tmp_path / "out"))
    assert claim_place(place, load_config(write_config(tmp_path, SAMPLE)))
    changes: Sections = {
        "run": {"threads": 2},
        "model": {"parameters": {"num_leaves": 7}},
        "validation": {"seeds": [1]},
        "sampling": {"per_class": 30},
        "output": {"scores": True},
    }
    changed = load_config(write_config(tmp_path, merged(SAMPLE, changes)))
    assert not claim_place(place, changed)
    assert parse_config(place.read_bytes(CONFIG_FILE).decode()) == changed


@pytest.mark.parametrize("option", [[], ["--overwrite"]])
def test_a_folder_of_other_things_is_left_alone(option: list[str], tmp_path: Path) -> None:
    """Neither mixed with results nor, with --overwrite, removed."""
    out = tmp_path / "out"
    (out / "features").mkdir(parents=True)
    (out / "config.toml").write_text("a setting of somebody else")
    result = command("land-cover", "--config", write_config(tmp_path, SAMPLE), *option)
    assert (result.code, result.err.count("\n")) == (2, 1)
    for word in (str(out), "config.toml, features", "empty output.folder"):
        assert word in result.err
    assert tree(out) == {"features", "config.toml"}


def test_output_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("notes")
    result = command("land-cover", "--config", write_config(tmp_path, SAMPLE))
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "is a file: choose a folder" in result.err
    assert (tmp_path / "out").read_text() == "notes"


def test_overwrite_removes_results_and_nothing_else(tmp_path: Path) -> None:
    place = Place(str(tmp_path / "out"))
    claim_place(place, load_config(write_config(tmp_path, SAMPLE)))
    for name in ("observed/a/x.npy", "land_cover_EPSG_32633.tif", "manifest.jsonl", "notes of mine.txt"):
        place.write_bytes(name, b"x")
    remove_results(place)
    assert place.names() == ["notes of mine.txt"]
    place.remove("notes of mine.txt")
    claim_place(place, load_config(write_config(tmp_path, SAMPLE)))
    remove_results(place)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_process_of_its_own_prints_nothing_but_the_result(tmp_path: Path) -> None:
    """Warnings of libraries do not reach the screen, and bad input reaches the exit code."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-W", "default", "-m", "eotasks.workflows.cli", "land-cover", *arguments]
        return subprocess.run(line, capture_output=True, text=True, cwd=ROOT, timeout=400)

    done = run("--config", str(write_config(tmp_path, SAMPLE)), "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    assert "what would be done" in done.stdout
    refused = run("--config", "absent.toml")
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_a_run_without_a_terminal_has_lines_and_styles_on_request(tmp_path: Path) -> None:
    eopatches()(tmp_path)
    result = command("land-cover", "--config", write_config(tmp_path, merged(EOPATCHES, {"output": {"styles": True}})))
    assert result.code == 0, result.err
    told = result.out.splitlines()
    for stage in ("observe: 4/4, ", "train and validate: 2/2, ", "map: 4/4, ", "mosaic: 1/1, ", "report: 1/1, "):
        assert sum(line.startswith(stage) for line in told) == 1, stage
    out = tmp_path / "out"
    assert (out / "land_cover.qml").is_file()
    assert len(list((out / "maps").rglob("*.qml"))) == len(list((out / "maps").rglob("*.tif"))) == 4
    remove_results(Place(out))
    assert not out.exists()
