"""All that is wrong with a configuration is told at once, with what may have been meant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eotasks.errors import AreaError, ConfigurationError, GridError, message_of
from eotasks.workflows.land_cover.config import LandCoverConfig
from eotasks.workflows.land_cover.config_file import checked_config, parse_config
from eotasks.workflows.land_cover.problems import Causes, all_problems
from eotasks.workflows.land_cover.sources.registry import SOURCES
from tests.builders.command_line import SAMPLE, command, merged, write_config

MANY = """
bbox = [14, 46, 14.2, 46.1]
[source]
kind = "scenes"
products = "products.parquet"
bands = ["B4", "B08"]
collektions = ["a"]
[area]
bbox = [14.0, 46.0, 14.2, 46.1]
crs = "EPSG:32633"
threshold = 0.3
patch_size = 1005
[clouds]
sampling = "meen"
detector = "s2cloudles"
[features]
bands = ["B4"]
[reference]
kind = "sample"
[time]
start = 2018-02-28
[run]
workers = 0
"""

SAID = [
    "area.threshold: unknown key (it belongs to [clouds])",
    "source.collektions: unknown key (did you mean 'collections'?)",
    "bbox: unknown key (it belongs to [area])",
    "time: end 2017-12-31 lies before start 2018-02-28",
    "clouds.sampling: Input should be 'mean' or 'nearest', not 'meen' (did you mean 'mean'?)",
    "run.workers: Input should be greater than or equal to 1, not 0",
    "area: patch_size 1005 m is no whole number of pixels of 10 m",
    "area: bbox [14.0, 46.0, 14.2, 46.1] is in degrees, crs 'EPSG:32633' is not: write crs = 'EPSG:4326'",
    "clouds: there is no detector 's2cloudles' (did you mean 's2cloudless'?)",
    "features.bands: B4 (did you mean 'B04'?) unknown",
    "source.bands: B4 (did you mean 'B04'?) unknown",
    "reference: kind 'sample' does not lie under source 'scenes': give kind 'vector'",
]


def refusal(text: str) -> str:
    with pytest.raises(ConfigurationError) as error:
        parse_config(text)
    return str(error.value)


def test_keys_and_how_they_fit_together_at_once() -> None:
    message = refusal(MANY)
    assert [said for said in SAID if said not in message] == []
    assert message.endswith("All keys: `eotasks land-cover --print-config`.")
    assert "needs file, bbox or patch_grid" not in message, "the box is there, it was only left out of a look"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[source]\nkind = "smple"\n', "source.kind: there is no source 'smple' (did you mean 'sample'?)"),
        ("[source]\n", "source.kind: which source? choose of sample, "),
        ('[sources]\nkind = "sample"\n', "source: a table [source] with its kind is needed"),
        ('[sources]\nkind = "sample"\n', "sources: unknown key (did you mean 'source'?)"),
        ('[source]\nkind = "scenes"\n', "source.products: this key is needed: Folder or s3:// prefix"),
        ('[source]\nkind = "sample"\nproducts = "x"\n', "unknown key (it belongs to [source] of kind 'scenes')"),
        ('[source]\nkind = "sample"\n[area]\nresolution = "ten"\n', "area.resolution: Input should be a valid number"),
        ('[source]\nkind = "sample"\n[area]\nresolution = "ten"\n', "not 'ten'"),
        (
            '[source]\nkind = "sample"\n[area]\nfile = "a"\ncrs = "EPSG:99999"\nbbox = [0, 0, 9, 9]\n',
            "exclude each other",
        ),
        (
            '[source]\nkind = "sample"\n[area]\nfile = "a"\ncrs = "EPSG:99999"\nbbox = [0, 0, 9, 9]\n',
            "'EPSG:99999' is no",
        ),
        ('[source]\nkind = "sample"\n[area]\nbbox = [0, 0, 9, 9]\n', "bbox needs crs, such as 'EPSG:4326'"),
        ('[source]\nkind = "sample"\n[area]\nbbox = [5e5, 0, 6e5, 9]\n', "bbox needs crs, such as 'EPSG:32633'"),
        ('[source]\nkind = "sample"\n[area]\nbbox = [9, 46, 10, 45]\ncrs = "EPSG:4326"\n', "south below north"),
        (
            '[source]\nkind = "sample"\n[area]\nbbox = [9, 46, 10, 47]\ncrs = "EPSG:4326"\ngrid = "bbox"\n',
            "EPSG:4326 is in degrees, not in metres: write grid = 'utm'",
        ),
        (
            '[source]\nkind = "sample"\n[area]\npatch_size = 1e308\nresolution = 1e-308\n',
            "no whole number of pixels",
        ),
        (f"[source]\nkind = {'{a = ' * 99}1{'}' * 99}\n", "source.kind: there is no source "),
        ('[source]\nkind = "sample"\n[run]\nray = "auto"\npatch_timeout = -1\n', "belongs to executor 'ray'"),
        ('[source]\nkind = "sample"\n[run]\nray = "auto"\npatch_timeout = -1\n', "run.patch_timeout: Input should be"),
    ],
)
def test_one_cause(text: str, said: str) -> None:
    message = refusal(text)
    assert said in message
    assert len(message) < 600


def test_a_box_over_the_antimeridian_is_none_of_them() -> None:
    text = '[source]\nkind = "sample"\n[area]\nbbox = [179.5, -17, -179.5, -16]\ncrs = "EPSG:4326"\n'
    assert parse_config(text).area.bbox == (179.5, -17, -179.5, -16)


WRONG: dict[str, tuple[str, Any]] = {
    "area.resolution": ("area", {"resolution": -1}),
    "time": ("time", {"start": "2018-01-01", "end": "2017-01-01"}),
    "clouds.threshold": ("clouds", {"threshold": 7}),
    "features.bands": ("features", {"bands": ["B99"]}),
    "run.executor": ("run", {"executor": "processss"}),
    "reference": ("reference", {"kind": "vector"}),
    "validation.split": ("validation", {"split": "x"}),
    "sampling.fraction": ("sampling", {"fraction": 0}),
    "output.colour": ("output", {"colour": 1}),
}


@settings(deadline=None, max_examples=25)
@given(st.sets(st.sampled_from(sorted(WRONG)), min_size=1))
def test_each_of_several_is_told_and_no_other(keys: set[str]) -> None:
    data: dict[str, Any] = {"source": {"kind": "sample"}, **{WRONG[key][0]: WRONG[key][1] for key in keys}}
    problems = all_problems(LandCoverConfig.model_validate, data, LandCoverConfig, SOURCES)
    assert {problem.key or str(problem).partition(":")[0] for problem in problems} == keys


def test_values_are_not_changed_by_the_look() -> None:
    data: dict[str, Any] = {"source": {"kind": "sample"}, "area": {"resolution": -1, "file": "a"}}
    before = json.dumps(data)
    with pytest.raises(ConfigurationError):
        checked_config(data, where="test")
    assert json.dumps(data) == before


class TestCauses:
    def test_one_is_raised_as_it_was(self) -> None:
        causes = Causes()
        with causes.noted():
            raise AreaError("empty: give another.")
        with causes.noted():
            pass
        with pytest.raises(AreaError, match=r"^empty: give another\.$"):
            causes.refuse()

    def test_several_are_one_error(self) -> None:
        causes = Causes()
        for error in (AreaError("empty."), GridError("no CRS."), AreaError("empty.")):
            with causes.noted():
                raise error
        with pytest.raises(ConfigurationError) as told:
            causes.refuse()
        assert message_of(told.value) == "2 things are wrong: (1) empty; (2) no CRS."

    def test_none(self) -> None:
        Causes().refuse()


AREA = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "properties": {},
            "geometry": {
                "type": "Polygon",
                "coordinates": [[[14.0, 46.0], [14.2, 46.0], [14.2, 46.1], [14.0, 46.1], [14.0, 46.0]]],
            },
        }
    ],
}


def test_files_that_are_wrong_are_told_at_once(tmp_path: Path) -> None:
    """A file in degrees with the grid of the printed template, far from its scene; labels and output beside it."""
    (tmp_path / "area.geojson").write_text(json.dumps(AREA))
    (tmp_path / "out").write_text("a file")
    changes: dict[str, dict[str, object]] = {
        "area": {"bbox": None, "crs": None, "grid": "bbox", "file": str(tmp_path / "area.geojson")},
        "reference": {"kind": "vector", "path": str(tmp_path / "labels.gpkg")},
        "model": {"parameters": {"num_iteration": 8}},
    }
    result = command("land-cover", "--config", write_config(tmp_path, merged(SAMPLE, changes)), "--dry-run")
    assert result.code == 2
    assert result.err.count("\n") == 1
    for said in (
        "5 things are wrong",
        "out' is a file",
        "is in EPSG:4326: write grid = 'utm'",
        "lies outside of the embedded scene",
        "eotasks new-config land-cover --area FILE",
        "There is no label file",
        "num_iteration (did you mean 'num_iterations'?)",
    ):
        assert said in result.err
