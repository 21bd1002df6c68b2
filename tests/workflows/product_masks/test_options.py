"""How shadows are searched: options, their record, and what contradicts itself."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from eotasks.errors import ConfigurationError
from eotasks.models.clouds.shadows.geometric import GeometricMethod
from eotasks.models.clouds.shadows.projection import ProjectionMethod
from eotasks.workflows.cloud_archive.settings import ArchiveSettings
from eotasks.workflows.cloud_mask.command import add_parser
from eotasks.workflows.product_masks.arguments import mask_options
from eotasks.workflows.product_masks.options import CloudMaskOptions


@pytest.mark.parametrize(
    ("given", "recorded", "method"),
    [
        ([], {"shadow_method": "geometric", "beyond": "dark"}, GeometricMethod()),
        (["--beyond", "clear"], {"shadow_method": "geometric", "beyond": "clear"}, GeometricMethod(beyond="clear")),
        (["--shadow-method", "projection"], {"shadow_method": "projection"}, ProjectionMethod()),
    ],
)
def test_the_search_for_shadows_is_recorded(given: list[str], recorded: dict[str, str], method: Any) -> None:
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    options = mask_options(parser.parse_args(["cloud-mask", "--shadows", *given]))
    settings = options.to_dict()
    assert {name: settings.get(name) for name in recorded} == recorded
    assert ("beyond" in settings) is ("beyond" in recorded)
    assert options.shadow_search == method
    assert "shadow_method" not in CloudMaskOptions().to_dict()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shadow_method": "fmask", "shadows": True}, "shadow_method='fmask' is unknown.*'geometric' or 'projection'"),
        ({"beyond": "grey", "shadows": True}, "beyond='grey' is unknown.*'dark' or 'clear'"),
        ({"beyond": "clear"}, "beyond='clear' makes no difference without shadows"),
        ({"beyond": "clear", "shadows": True, "shadow_method": "projection"}, "goes with shadow_method='geometric'"),
        ({"detector": "scl", "shadows": True, "shadow_method": "projection"}, "'scl', which finds shadows itself"),
    ],
)
def test_what_makes_no_difference_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        CloudMaskOptions(**options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"shadows": True}, "; shadows: geometric, dark beyond"),
        ({"shadows": True, "beyond": "clear"}, "; shadows: geometric, clear beyond"),
        ({"shadows": True, "shadow_method": "projection"}, "; shadows: projection"),
        ({}, "grown by 1 px"),
        ({"shadows": True, "detector": "scl"}, "scl at 60 m"),
    ],
)
def test_words_say_how_shadows_are_searched(options: dict[str, Any], words: str) -> None:
    assert CloudMaskOptions(**options).describe().endswith(words)


def test_a_dem_goes_with_shadows_that_are_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    options = CloudMaskOptions(shadows=True, dem="dem.tif")
    assert options.to_dict()["dem"] == "dem.tif"  # the same on any machine
    assert options.describe().endswith("; shadows: geometric, dark beyond, terrain shade apart")
    address = "https://example.com/dem.tif?X-Amz-Signature=SECRET"
    assert "SECRET" not in str(CloudMaskOptions(shadows=True, dem=address).to_dict())
    assert "dem" not in CloudMaskOptions(shadows=True).to_dict()
    with pytest.raises(ConfigurationError, match=r"dem=.*makes no difference without shadows"):
        CloudMaskOptions(dem="dem.tif")
    with pytest.raises(ConfigurationError, match="'scl', which finds shadows itself"):
        CloudMaskOptions(dem="dem.tif", shadows=True, detector="scl")
    with pytest.raises(ConfigurationError, match="not with an archive"):
        ArchiveSettings.of(options)
