"""Configuration: what is read, what is refused and in which words, and that what is printed reads back."""

from __future__ import annotations

import typing
from pathlib import Path

import pytest
from pydantic import BaseModel

from eotasks.clouds.detectors.registry import BUILT_IN as BUILT_IN_DETECTORS
from eotasks.errors import ConfigurationError
from eotasks.models.clouds.presets import mask_settings
from eotasks.workflows.land_cover.config import LandCoverConfig
from eotasks.workflows.land_cover.config_file import BUILT_IN, load_config, parse_config, render_toml

MINIMAL = '[source]\nkind = "simulated"\n'


@pytest.mark.parametrize("path", sorted(BUILT_IN.glob("*.toml")), ids=lambda path: path.stem)
def test_printed_configuration_reads_back_as_the_same(path: Path) -> None:
    config = load_config(path)
    assert parse_config(render_toml(config)) == config


def test_every_field_is_printed_under_a_comment() -> None:
    lines = render_toml(parse_config(MINIMAL)).splitlines()
    for number, line in enumerate(lines):
        key = line.removeprefix("# ").split(" =")[0]
        if line and not line.startswith(("[", " ", "]")) and " =" in line and key.isidentifier():
            assert lines[number - 1].startswith("# "), line


def sections(model: type[BaseModel]) -> typing.Iterator[type[BaseModel]]:
    yield model
    for field in model.model_fields.values():
        candidates = [field.annotation, *typing.get_args(field.annotation)]
        for each in candidates:
            if isinstance(each, type) and issubclass(each, BaseModel):
                yield from sections(each)


@pytest.mark.parametrize("section", list(sections(LandCoverConfig)), ids=lambda each: each.__name__)
def test_every_field_has_a_description_and_none_only_as_its_default(section: type[BaseModel]) -> None:
    """TOML has no null: a field that may be None but has another default could not be printed and read back."""
    for name, field in section.model_fields.items():
        assert field.description, name
        if type(None) in typing.get_args(field.annotation):
            assert field.default is None, name


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ["source"]),
        ("x = ", ["no valid TOML"]),
        (MINIMAL + "acquisition = 3\n", ["source.acquisition", "unknown key", "--print-config"]),
        (MINIMAL + "[cloud]\n", ["cloud", "unknown key"]),
        ("version = 2\n" + MINIMAL, ["version 2", "upgrade"]),
        ('[source]\nkind = "landsat"\n', ["landsat", "sentinelhub"]),
        (MINIMAL + '[features]\nbands = ["B99"]\n', ["features.bands", "B99", "B8A"]),
        (MINIMAL + "[features]\nbands = []\nindices = []\n", ["neither bands nor indices"]),
        (MINIMAL + "[area]\nbbox = [0, 0, 1, 1]\n", ["area", "crs"]),
        (MINIMAL + '[area]\nbbox = [0, 0, 1, 1]\ncrs = "EPSG:4326"\nfile = "a.gpkg"\n', ["file and bbox"]),
        ('[source]\nkind = "sentinelhub"\n[reference]\nkind = "feature"\n', ["sentinelhub", "bbox"]),
        (MINIMAL + "[time]\nstart = 2018-01-01\nend = 2017-01-01\n", ["time", "before start"]),
        (MINIMAL + '[reference]\nkind = "vector"\n', ["reference", "path"]),
        (MINIMAL + '[reference]\nclasses = { a = "Moor" }\n', ["Moor", "Wetland"]),
        (MINIMAL + "[clouds]\nthreshold = 2\n", ["clouds.threshold", "less than or equal to 1"]),
        ('[source]\nkind = "eopatches"\nfolder = "x"\nfeatures = {}\n', ["reference", "sample"]),
        (MINIMAL + '[clouds]\ndetector = "fmask"\n', ["clouds", "no detector 'fmask'", "multi-temporal"]),
        (MINIMAL + '[clouds]\ndetector = "scl"\n', ["clouds", "'scl' needs a scene classification", "multi-temporal"]),
        (MINIMAL + '[clouds]\ndetector = "all-clear"\n', ["clouds", "baseline"]),
        (MINIMAL + '[clouds]\ndetector = "multi-temporal"\nthreshold = 0.3\n', ["threshold = 0.3 is no setting"]),
        (MINIMAL + '[clouds]\nmethod = "source"\ndetector = "multi-temporal"\n', ["goes with method 'single-scene'"]),
        (MINIMAL + 'acquisitions = 1\n[clouds]\ndetector = "multi-temporal"\n', ["compares frames", "2 or more"]),
        ('[source]\nkind = "sample"\n[clouds]\ndetector = "multi-temporal"\n', ["single acquisition"]),
        (MINIMAL + "[area]\npatch_size = inf\n", ["area.patch_size", "finite"]),
        (MINIMAL + "[area]\ncentre_patch = 3\n", ["area", "centre_patch", "file or bbox"]),
        (MINIMAL + '[features]\nindices = ["NDVI", "NDVI"]\n', ["features.indices", "NDVI", "more than once"]),
        (MINIMAL + "[validation]\nseeds = [1, 1]\n", ["validation.seeds", "more than once"]),
        (MINIMAL + '[reference]\nkind = "raster"\npath = "a"\nclasses = { x = "Forest" }\n', ["x", "whole numbers"]),
    ],
)
def test_refuses_in_one_line_that_names_the_thing(text: str, names: list[str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_config(text)
    message = str(caught.value)
    assert "\n" not in message
    for name in names:
        assert name in message


def test_the_settings_of_clouds_are_the_same_for_every_detector() -> None:
    """The defaults are those of the preset "eo-learn", and what a detector does not use may stay at its default."""
    default = parse_config(MINIMAL).clouds
    assert default.found_by is BUILT_IN_DETECTORS["s2cloudless"]
    assert default.detector_settings.mask == mask_settings("eo-learn")
    chosen = parse_config(MINIMAL + '[clouds]\ndetector = "multi-temporal"\nresolution = 80\n').clouds
    assert chosen.detector_settings.resolution == 80
    assert "multi-temporal: clouds seen through time" in str(type(chosen).model_fields["detector"].description)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="There is no configuration"):
        load_config(tmp_path / "absent.toml")


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    text = (
        '[source]\nkind = "sentinelhub"\n[area]\nfile = "area.gpkg"\n'
        '[reference]\nkind = "vector"\npath = "/labels.gpkg"\n'
    )
    (tmp_path / "config.toml").write_text(text)
    config = load_config(tmp_path / "config.toml")
    assert config.area.file == str(tmp_path / "area.gpkg")
    assert config.reference.path == "/labels.gpkg"


def test_the_original_example_is_complete() -> None:
    """Area, 5 km patches, bands, dates, steps and test patches as published."""
    config = load_config(BUILT_IN / "slovenia_2019.toml")
    assert (config.area.patch_size, config.area.resolution, config.area.buffer) == (5000, 10, 500)
    assert config.source.kind == "sentinelhub"
    assert config.features.bands == ("B02", "B03", "B04", "B08", "B11", "B12")
    assert config.features.indices == ("NDVI", "NDWI", "NDBI")
    assert (config.time.start.isoformat(), config.time.end.isoformat()) == ("2019-01-01", "2019-12-31")
    assert (config.valid.min_valid_fraction, config.features.step_days, config.sampling.fraction) == (0.8, 15, 0.25)
    assert config.validation.test_patches == (0, 8, 16, 19, 20)


def test_a_single_date_has_its_own_defaults_and_no_series() -> None:
    sample = '[source]\nkind = "sample"\n'
    config = parse_config(sample)
    assert (config.valid.min_valid_fraction, config.valid.min_frames, len(config.features.bands)) == (0, 1, 13)
    said = parse_config(sample + '[features]\nbands = ["B04"]\n[valid]\nmin_valid_fraction = 0.5\n')
    assert (said.valid.min_valid_fraction, said.features.bands) == (0.5, ("B04",))
    with pytest.raises(ConfigurationError, match="single acquisition"):
        parse_config(sample + "[features]\nstep_days = 15\n")
    with pytest.raises(ConfigurationError, match="valid"):
        parse_config("valid = 3\n" + sample)


def test_paths_of_a_configuration_that_comes_along_are_where_you_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_config(BUILT_IN / "slovenia_2019.toml").area.file == str(tmp_path / "svn_border.geojson")
