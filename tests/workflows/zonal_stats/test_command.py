"""`eotasks zonal-stats` as it is typed."""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.image import imread

from eotasks.errors import ConfigurationError
from eotasks.workflows.cli import main
from eotasks.workflows.zonal_stats import joining
from eotasks.workflows.zonal_stats.demo import demo_fields
from eotasks.workflows.zonal_stats.sources.entry import WORKER_OPTIONS
from eotasks.workflows.zonal_stats.sources.images.simulated import SimulatedSource
from eotasks.workflows.zonal_stats.sources.registry import SOURCES, add_source_options
from eotasks.zonal.quantities import quantities_of
from tests.builders.zonal.patches import some_polygons, zonal_patch

SERIAL = ("--executor", "serial")


def test_the_demo_needs_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joining, "SHOWN", 2)  # panels cost most of the time
    out = tmp_path / "out"
    options = ["--dates", "2", "--resolution", "160", "--out", str(out), "--percentiles", "5,95", "--format", "csv"]
    assert main(["zonal-stats", "--demo", *SERIAL, *options]) == 0
    shown = capsys.readouterr().out
    table = pd.read_csv(out / "fields.csv")
    fields = demo_fields()
    assert sorted(table.id.unique()) == sorted(fields.ids)
    assert {"p05", "p95"} <= set(table.columns)
    for text in ("Simulated data", f"Table: {out}/fields.csv", f"{len(fields)}", f"{len(table):,}"):
        assert text in shown
    pictures = sorted((out / "pictures").iterdir())
    assert [f"Picture: {each}" in shown for each in pictures] == [True, True]
    assert pictures[1].name == "fields.png"
    for each in pictures:
        assert imread(each)[..., :3].std() > 0.05


def test_eopatches_and_a_file_of_fields(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    zonal_patch().save(str(tmp_path / "patches/one"))
    fields = tmp_path / "fields.geojson"
    some_polygons().to_crs(4326).to_file(fields, engine="pyogrio")
    options = [
        "--pictures",
        "0",
        "--id",
        "name",
        "--index",
        "NDVI",
        "--index",
        "R=B04/B08",
        "--form",
        "wide",
        "--time",
        "2020-05-06/..",
    ]
    command = ["zonal-stats", str(fields), "--eopatches", str(tmp_path / "patches"), "--out", str(tmp_path / "out")]
    assert main([*command, *SERIAL, *options]) == 0
    found = pd.read_parquet(tmp_path / "out/fields.parquet")
    assert len(found) == 10
    assert "R_mean_all" in found.columns
    file = next((tmp_path / "patches/one/data").glob("BANDS.npy*"))
    file.write_bytes(file.read_bytes()[:200])
    assert main([*command, *SERIAL, *options, "--overwrite"]) == 1
    assert "failed one" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no FIELDS"),
        (["--simulated"], "no FIELDS"),
        (["--demo", "--eopatches", "x"], "several sources"),
        (["--demo", "--percentiles", "five"], "give numbers from 0 to 100"),
        (["--demo", "--index", "B99"], "no band 'B99'"),
        (["--demo", "--ray", "local", *SERIAL], "leave out one of them"),
        (["--demo", "--resolution", "7"], "no whole number of such pixels"),
        (["--demo", "--time", "2030-01-01"], "No date of the simulated year"),
        (["absent.gpkg", "--simulated"], "is not there"),
        (["absent.gpkg"], "no source"),
        (["--demo", "--pictures", "-1"], "give 0 or more"),
        (["--demo", "--pictures", "25"], "give 0 or more, to 24"),
        (["--demo", "--clouds", "none"], "--clouds belongs to --products and --sentinelhub, and does nothing with"),
        (["--demo", "--cloud-mask", "none"], "--cloud-mask belongs to --eopatches"),
        (["f", "--eopatches", "x", "--seed", "0"], "--seed belongs to --simulated"),
        (["f", "--eopatches", "x", "--resolution", "10"], "--resolution belongs to"),
        (["f", "--products", "x", "--collection", "y"], "--collection belongs to --sentinelhub"),
        (["f", "--products", "x", "--ray", "local"], "--ray belongs to --eopatches and --simulated"),
        (["f", "--products", "x", "--executor", "serial"], "--executor belongs to"),
        (["f", "--sentinelhub", "--workers", "2"], "--workers belongs to"),
        (["f", "--sentinelhub", "--timeout", "9"], "--timeout belongs to"),
        (["f", "--sentinelhub", "--masks", "x"], "--masks belongs to --products"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_line(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["zonal-stats", *arguments, "--out", str(out)]) == 2
    assert message in capsys.readouterr().err
    assert not (out / "fields.parquet").exists()


def test_help_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["zonal-stats", "--help"])
    shown = capsys.readouterr().out
    assert "eotasks zonal-stats --demo" in shown
    assert "NDVI, NDWI" in shown


def test_the_simulated_year_passes_date_by_date() -> None:
    source = SimulatedSource(acquisitions=3, resolution=160, time=("2017-03-01", None))
    quantities = quantities_of(["NDVI", "B02"])
    places = source.places(quantities)
    assert [place.grid.shape for place in places] == [(48, 96)]
    frames = list(source.frames(places[0], quantities))
    assert [frame.values.shape for frame in frames] == [(48, 96, 2)] * len(source.indices)
    assert len(source.indices) < 3


@pytest.mark.parametrize(
    ("time", "dates"),
    [(("20170301", None), 2), (("2017-03-01T00:00:00Z", "2017-12-31"), 2), ((None, "2017-03-01T00:00+02:00"), 1)],
)
def test_times_of_the_simulated_year_are_read(time: tuple[str | None, str | None], dates: int) -> None:
    assert len(SimulatedSource(acquisitions=3, resolution=160, time=time).indices) == dates


@pytest.mark.parametrize(
    ("time", "message"),
    [(("spring", None), "'spring' is no day"), ((None, "2017-13"), "is no day"),
     (("2017-05-01", "2017-04-01"), "exchange them"), (("2030-01-01", None), "to the end")],
)  # fmt: skip
def test_times_that_are_none_are_refused(time: tuple[str | None, str | None], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        SimulatedSource(acquisitions=3, resolution=160, time=time)


def test_every_option_is_of_a_source() -> None:
    """An option that no source lists would be taken and do nothing with the others."""
    parser = argparse.ArgumentParser()
    add_source_options(parser)
    found = {option for action in parser._actions for option in action.option_strings} - {"-h", "--help"}
    listed = {option for entry in SOURCES for option in entry.options} - set(WORKER_OPTIONS)
    assert found == listed | {f"--{entry.name}" for entry in SOURCES}
