"""Maps of the report where patches leave corners: what no patch covers is no data, and in no share."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import numpy as np
import pytest
from eolearn.core import EOPatch, FeatureType
from numpy.typing import NDArray
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

from eotasks.area import Patch
from eotasks.models.landcover.validation import evaluate
from eotasks.storage.place import Place
from eotasks.workflows.land_cover.config_file import parse_config
from eotasks.workflows.land_cover.features import ResolvedFeatures
from eotasks.workflows.land_cover.report import collect
from eotasks.workflows.land_cover.report.build import better_than_simulated, build_report
from eotasks.workflows.report.raster import Raster
from tests.builders.fake_chain import CLASSES, chain

TIME = dt.datetime(2017, 7, 1, 10, 0)  # noqa: DTZ001 - EOPatch timestamps are naive UTC
SIDE, METRES = 12, 20
CORNERS = [(0, 0), (0, 1), (1, 0)]
"""Rows and columns of patches: an L, whose corner in the south-east has none."""


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, list[Patch]]:
    """Three patches: 2 to 7 valid observations, half of each labelled, a cloud mask of booleans with a gap of data."""
    folder, patches = tmp_path_factory.mktemp("observed"), []
    for row, column in CORNERS:
        left, top = 330_000 + column * SIDE * METRES, 5_822_040 - row * SIDE * METRES
        box = BBox((left, top - SIDE * METRES, left + SIDE * METRES, top), CRS("EPSG:32633"))
        patch = Patch(f"patch_r{row:02d}_c{column:02d}", box, row, column, SIDE, SIDE)
        eopatch, shape = EOPatch(bbox=box, timestamps=[TIME]), (1, SIDE, SIDE, 1)
        eopatch[FeatureType.MASK_TIMELESS, "VALID_COUNT"] = _counts()
        labels = np.zeros(shape[1:], dtype=np.uint8)
        labels[: SIDE // 2] = 2
        eopatch[FeatureType.MASK_TIMELESS, "LULC"] = labels
        is_data = np.ones(shape, dtype=bool)
        is_data[:, :, : SIDE // 2] = False
        eopatch[FeatureType.MASK, "IS_DATA"] = is_data
        eopatch[FeatureType.MASK, "IS_VALID"] = is_data
        eopatch[FeatureType.MASK, "CLM"] = is_data & (np.arange(SIDE)[:, np.newaxis, np.newaxis] < SIDE // 2)
        eopatch[FeatureType.DATA, "CLP"] = np.full(shape, 0.5, dtype=np.float32)
        eopatch[FeatureType.DATA, "BANDS"] = np.full((*shape[:3], 3), 0.1, dtype=np.float32)
        eopatch.save(str(folder / patch.name))
        patches.append(patch)
    return Place(str(folder)), patches


def _counts() -> NDArray[np.uint16]:
    return (2 + np.arange(SIDE * SIDE) % 6).reshape(SIDE, SIDE, 1).astype(np.uint16)


def drawn(observed: tuple[Place, list[Patch]]) -> dict[collect.Layer, Raster]:
    config = parse_config('[source]\nkind = "sample"\n[features]\nbands = ["B02", "B03", "B04"]\nindices = []')
    return collect.observation_maps(*observed, ResolvedFeatures.of(config), METRES, TIME)


@pytest.mark.parametrize("longest", [2 * SIDE, SIDE, SIDE // 2])
def test_nothing_is_counted_or_drawn_where_no_patch_is(
    longest: int, observed: tuple[Place, list[Patch]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect, "MAX_MAP_SIDE", longest)
    half = longest // 2
    maps = drawn(observed)
    assert {"TRUE_COLOR", "CLOUD_MASK", "REFERENCE", "VALID_COUNT", "MEAN_CLP"} <= maps.keys()
    corner = np.zeros((longest, longest), dtype=bool)
    corner[half:, half:] = True
    for raster in maps.values():
        np.testing.assert_array_equal(raster.covered, ~corner)
    for name in ("TRUE_COLOR", "VALID_COUNT", "MEAN_CLP"):
        assert np.isnan(maps[name].values[corner]).all(), name
    assert np.isfinite(maps["VALID_COUNT"].values[~corner]).all()
    assert (maps["CLOUD_MASK"].values[corner] == 255).all()
    assert (maps["REFERENCE"].values[corner] == 0).all()


def test_why_a_real_date_beats_the_simulated_year() -> None:
    truth = np.repeat([1, 2, 3], 30)
    scores = evaluate(truth, truth, CLASSES)
    simulated = chain()
    assert simulated.validation is not None
    assert simulated.validation.overall_accuracy < scores.overall_accuracy
    real = replace(chain(name="Real acquisition", simulated=False), validation=scores)
    text = better_than_simulated([simulated, replace(real, frames=real.frames[:1])])
    assert text.startswith("The single date of “Real acquisition” scores higher than “Simulated year”")
    assert text.endswith("says nothing about the field.")
    assert better_than_simulated([replace(simulated, validation=scores), real]) == ""
    assert better_than_simulated([simulated]) == better_than_simulated([real]) == better_than_simulated([]) == ""


@pytest.mark.usefixtures("undrawn")
def test_captions_are_about_the_patches(observed: tuple[Place, list[Patch]]) -> None:
    page = build_report([chain(maps=drawn(observed))]).render()
    for text in (
        "Valid observations per pixel: between 2 and 7, median 4.5.",
        "50% of the pixels of the patches have one",
        "50.0% of the pixels with data are flagged as cloud",
        "area mean 0.50",
    ):
        assert text in page
