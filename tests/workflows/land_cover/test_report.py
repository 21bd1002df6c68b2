from __future__ import annotations

import re
from dataclasses import fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from eotasks.models.classes import ClassTable, LandCoverClass
from eotasks.models.landcover.areas import AreaEstimates
from eotasks.models.landcover.validation import evaluate
from eotasks.workflows.land_cover.report import area, observations, prediction, runs, validation
from eotasks.workflows.land_cover.report import importance as importance_pictures
from eotasks.workflows.land_cover.report.build import build_report
from eotasks.workflows.land_cover.report.results import ChainResult, Frame, PatchArea
from eotasks.workflows.report import ground, maps, style
from eotasks.workflows.report.raster import Bounds, Raster
from tests.builders.fake_chain import BOUNDS, CLASSES, chain, importance, run_info

PICTURES = (
    "The area in 8 patches",
    "Reference labels",
    "True colour (B04, B03, B02) of 4 July 2017",
    "Valid share of each of the 12 acquisitions",
    "Valid observations per pixel",
    "Mean cloud probability over all acquisitions",
    "NDVI, mean over the valid observations",
    "NDVI of one meadow (214 pixels): 12 observations",
    "Samples per class",
    "Confusion of the test samples",
    "Receiver operating characteristic",
    "The same validation with 5 fixed seeds",
    "Area of each class",
    "Share of the model&#39;s total gain",
    "True colour at the most important date, 4 July 2017",
    "Predicted land cover",
    "Score of the predicted class",
    "A window of 50 × 50 pixels in patch_r00_c00",
    "Wall-clock time of each stage",
    "Work of each step",
)


@pytest.fixture(scope="module")
def full_chain() -> ChainResult:
    return chain()


@pytest.fixture(scope="module")
def full_page(full_chain: ChainResult) -> str:
    return build_report([full_chain]).render()


def captions(page: str) -> list[str]:
    return re.findall(r"<figcaption>(.*?)</figcaption>", page, re.DOTALL)


def test_every_picture_of_the_example_is_there_in_order(full_page: str) -> None:
    found = captions(full_page)
    assert len(found) == len(PICTURES)
    for caption, start in zip(found, PICTURES, strict=True):
        assert re.sub(r"<b>Figure \d+\.</b> ", "", caption).startswith(start)
    assert "Not shown" not in full_page


def test_captions_of_simulated_data_say_so(full_page: str) -> None:
    real = ("The area in", "Reference labels", "Samples per class", "Wall-clock", "Work of each")
    for caption in captions(full_page):
        assert ("Simulated data" in caption) != any(start in caption for start in real), caption
    for start in ("Confusion", "Receiver", "Predicted land cover", "Area of each class"):
        caption = next(text for text in captions(full_page) if start in text)
        assert "says nothing about accuracy in the field" in caption
    assert "show that the chain works, and say nothing about accuracy" in full_page


@pytest.mark.usefixtures("undrawn")
def test_real_data_is_not_called_simulated() -> None:
    page = build_report([chain(name="Real year", simulated=False, provenance=(), source_note="", run=None)]).render()
    assert "imulated" not in page


def test_baseline_stands_beside_the_scores(full_page: str) -> None:
    scores = chain().validation
    assert scores is not None
    assert f"{scores.overall_accuracy:.3f}" in full_page
    assert f"always “Cultivated land”: {scores.baseline_accuracy:.3f}" in full_page


def test_same_result_gives_the_same_page(full_page: str) -> None:
    assert build_report([chain()]).render() == full_page


def settings() -> dict[str, Any]:
    # Asking for the backend chooses one.
    return {str(name): mpl.rcParams[name] for name in mpl.rcParams if name != "backend"}


def test_settings_of_matplotlib_are_left_alone_and_have_no_effect() -> None:
    full = chain()
    result = ChainResult("n", simulated=False, crs="EPSG:32633", patches=full.patches, ndvi_series=full.ndvi_series)
    page = build_report([result]).render()
    with mpl.rc_context():
        mpl.rcParams["font.size"] = 30
        mpl.rcParams["axes.facecolor"] = "red"
        before = settings()
        assert build_report([result]).render() == page
        assert settings() == before


def test_empty_chain_still_gives_a_page_that_names_what_is_missing() -> None:
    page = build_report([ChainResult("Nothing", simulated=False, reasons={"*": "nothing was run"})]).render()
    assert not captions(page)
    for what in ("Area and patches", "True colour", "Confusion matrices", "ROC curves", "Predicted map"):
        assert what in page
    assert ": nothing was run" in page


@pytest.mark.usefixtures("undrawn")
def test_ndvi_alone_gives_a_report_with_the_reason_for_missing_colour() -> None:
    full = chain()
    maps_ = {name: raster for name, raster in full.maps.items() if name not in ("TRUE_COLOR", "MEAN_CLP")}
    rng = np.random.default_rng(0)
    result = chain(
        maps=maps_,
        importance=importance(rng, None),
        inspection=None,
        reasons={"TRUE_COLOR": "the source holds NDVI only", "importance_image": "the source holds NDVI only"},
    )
    page = build_report([result]).render()
    assert "<b>True colour</b>: the source holds NDVI only" in page
    assert "<b>True colour at the most important date</b>: the source holds NDVI only" in page
    assert "<b>Mean cloud probability</b>" in page
    assert "Confusion of the test samples" in page


OPTIONAL = [
    field.name
    for field in fields(ChainResult)
    if field.name not in ("name", "simulated", "source_note", "split_note", "crs")
]


@pytest.mark.trial
@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("name", OPTIONAL)
def test_any_single_field_may_be_missing(full_chain: ChainResult, name: str) -> None:
    empty: dict[str, Any] = {name: getattr(ChainResult("n", simulated=False), name)}
    assert captions(build_report([replace(full_chain, **empty)]).render())


@pytest.mark.usefixtures("undrawn")
def test_single_real_acquisition_shows_mask_and_probability() -> None:
    mask = np.zeros((96, 192), np.uint8)
    mask[:48] = 1
    mask[:, :32] = 255
    scene = ChainResult(
        "Real acquisition",
        simulated=False,
        crs="EPSG:32633",
        maps={
            "CLOUD_MASK": Raster(mask, BOUNDS, datetime.fromisoformat("2017-02-16")),
            "MEAN_CLP": Raster(np.full((96, 192), 0.25, np.float32), BOUNDS),
        },
        frames=[Frame(datetime.fromisoformat("2017-02-16T10:21"), 0.5, 1)],
        reasons={"*": "one acquisition is no time series"},
    )
    page = build_report([scene, chain()]).render()
    found = captions(page)
    assert "Cloud mask of 16 February 2017: 50.0% of the pixels with data" in found[0]
    assert "Cloud probability; area mean 0.25." in found[1]
    assert "1 (2017-02-16)" in page


@pytest.mark.usefixtures("undrawn")
def test_failed_patches_are_named_with_step_and_error() -> None:
    page = build_report([chain(failed="patch_r01_c02")]).render()
    assert "1 patch failed" in page
    assert "Band B10 &lt;is&gt; missing: request it." in page


@pytest.mark.trial
def test_page_of_a_large_area_stays_small(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    large = Raster(rng.random((2500, 2500, 3), np.float32) * 0.3, (0.0, 0.0, 25_000.0, 25_000.0))
    patches = [
        PatchArea(f"p_{row}_{column}", (column * 1e3, row * 1e3, column * 1e3 + 1e3, row * 1e3 + 1e3))
        for row in range(25)
        for column in range(25)
    ]
    path = build_report([ChainResult("n", simulated=False, maps={"TRUE_COLOR": large}, patches=patches)]).save(
        tmp_path / "report.html"
    )
    assert path.stat().st_size < 8_000_000


# --- maps ---


def test_decimated_mean_is_the_mean_of_what_is_known() -> None:
    values = np.arange(35, dtype=np.float32).reshape(5, 7)
    values[0, 0] = np.nan
    values[4, 6] = np.nan
    small = ground.decimate(Raster(values, (0.0, 0.0, 70.0, 50.0)), mean=True, max_pixels=4)
    assert small.values.shape == (3, 4)
    assert small.values[0, 0] == np.float32((1 + 7 + 8) / 3)
    assert small.values[0, 1] == np.float32((2 + 3 + 9 + 10) / 4)
    assert small.values[1, 3] == np.float32((20 + 27) / 2)
    assert np.isnan(small.values[2, 3])
    assert small.bounds == (0.0, -10.0, 80.0, 50.0)


def test_means_are_the_same_some_rows_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(2).random((53, 41), dtype=np.float32)
    values[10:20] = np.nan
    raster = Raster(values, (0.0, 0.0, 41.0, 53.0))
    whole = ground.decimate(raster, mean=True, max_pixels=10).values
    monkeypatch.setattr(ground, "_PIXELS_AT_A_TIME", 500)
    np.testing.assert_array_equal(ground.decimate(raster, mean=True, max_pixels=10).values, whole)


def test_decimated_classes_are_classes_of_the_map() -> None:
    values = np.random.default_rng(0).choice([0, 2, 8], size=(50, 41)).astype(np.uint8)
    small = ground.decimate(Raster(values, (0.0, 0.0, 41.0, 50.0)), mean=False, max_pixels=10)
    assert small.values.shape == (10, 9)
    assert small.values.dtype == np.uint8
    assert (small.values[:, :8] == values[2::5, 2::5]).all()


def test_small_images_are_not_touched() -> None:
    raster = Raster(np.zeros((3, 4)), (0.0, 0.0, 4.0, 3.0))
    assert ground.decimate(raster, mean=True) is raster


def test_true_color_is_the_example_s_stretch_with_holes() -> None:
    values = np.array([[[0.1, 0.21, 0.3], [np.nan, 0.1, 0.1], [0.0, 0.0, 0.0], [0.0, 0.1, -0.1]]])
    picture = maps.true_color_image(values)
    assert picture[0, 0].tolist() == [89, 187, 255, 255]
    assert picture[0, :, 3].tolist() == [255, 0, 0, 255]
    assert picture[0, 3].tolist() == [0, 89, 0, 255]


def test_map_is_drawn_at_its_place_with_north_up() -> None:
    values = np.array([[1, 2], [3, 5]], np.uint8)
    figure = area.classes_figure(
        Raster(values, (300_000.0, 5_000_000.0, 302_000.0, 5_002_000.0)), CLASSES, "EPSG:32633"
    )
    (image,) = figure.axes[0].get_images()
    assert tuple(image.get_extent()) == (300.0, 302.0, 5000.0, 5002.0)
    assert image.origin == "upper"
    drawn = np.asarray(image.get_array())
    assert drawn[0, 0].tolist() == [255, 255, 0, 255]
    assert drawn[1, 1].tolist() == [6, 154, 243, 255]


def test_unlabelled_pixels_are_transparent_and_no_class() -> None:
    values = np.array([[0, 1], [2, 2]], np.uint8)
    figure = area.classes_figure(Raster(values, (0.0, 0.0, 20.0, 20.0)), CLASSES, "EPSG:32633")
    (image,) = figure.axes[0].get_images()
    assert np.asarray(image.get_array())[0, 0, 3] == 0
    assert maps.class_shares(values, CLASSES) == {1: 1 / 3, 2: 2 / 3}


def test_geographic_maps_are_in_degrees_without_a_scale_bar() -> None:
    figure = area.classes_figure(Raster(np.ones((4, 4), np.uint8), (14.0, 46.0, 14.1, 46.1)), CLASSES, "EPSG:4326")
    axes = figure.axes[0]
    assert axes.get_xlabel() == "Longitude (°)"
    assert axes.get_xlim() == (14.0, 14.1)
    assert not axes.lines


@pytest.mark.parametrize(
    ("longest", "expected"), [(0.25, 0.2), (1.0, 1.0), (3.84, 2.0), (5.0, 5.0), (99.0, 50.0), (0.019, 0.01)]
)
def test_scale_bar_has_a_round_length(longest: float, expected: float) -> None:
    assert ground.round_length(longest) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["patch_r00_c00", "patch_r00_c01", "patch_r01_c00"], ["r00_c00", "r00_c01", "r01_c00"]),
        (["patch_r00_c00", "patch_r00_c01"], ["c00", "c01"]),
        (["a_1", "b_1"], ["a_1", "b_1"]),
        (["same_x", "same"], ["same_x", "same"]),
        (["one"], ["one"]),
        ([], []),
    ],
)
def test_short_names(names: list[str], short: list[str]) -> None:
    assert maps.short_names(names) == short


@pytest.mark.parametrize(
    ("bounds", "crs", "text"),
    [
        (BOUNDS, "EPSG:32633", "52.49° N, 12.61° E"),
        ((-70.6, -33.5, -70.4, -33.3), "EPSG:4326", "33.40° S, 70.50° W"),
        (BOUNDS, "", ""),
        (BOUNDS, "EPSG:999999", ""),
    ],
)
def test_centre_of_the_area(bounds: Bounds, crs: str, text: str) -> None:
    assert ground.centre(bounds, crs) == text


def test_hundreds_of_patches_are_drawn_without_labels() -> None:
    patches = [PatchArea(f"p{i}", (i * 100.0, 0.0, i * 100.0 + 100.0, 5000.0)) for i in range(300)]
    figure = area.grid_figure(ChainResult("n", simulated=False, crs="EPSG:32633", patches=patches))
    assert not figure.axes[0].texts


# --- charts ---


def test_compare_tells_agreement_difference_and_no_label() -> None:
    reference = np.array([[1, 2, 0, 3]], np.uint8)
    predicted = np.array([[1, 3, 2, 0]], np.uint8)
    assert prediction.compare(reference, predicted).tolist() == [[1, 2, 0, 0]]


def test_confusion_matrices_show_both_ways_of_normalising() -> None:
    scores = evaluate(np.array([1, 1, 1, 1, 2]), np.array([1, 1, 1, 2, 2]), CLASSES)
    left, right = validation.confusion_figure(scores.matrix).axes
    assert [text.get_text() for text in left.texts] == ["75", "25", "0", "100"]
    assert [text.get_text() for text in right.texts] == ["100", "50", "0", "50"]


@pytest.mark.usefixtures("undrawn")
def test_classes_never_predicted_are_undefined_not_zero() -> None:
    scores = evaluate(np.array([1, 1, 2]), np.array([1, 1, 1]), CLASSES)
    right = validation.confusion_figure(scores.matrix).axes[1]
    assert [text.get_text() for text in right.texts] == ["67", "–", "33", "–"]
    page = build_report([chain(validation=scores)]).render()
    assert "Forest 0%" in page


@pytest.mark.usefixtures("undrawn")
def test_areas_without_an_estimate_are_left_out_with_their_reason() -> None:
    full = chain().areas
    assert full is not None
    first = full.classes[0]
    nan = type(first.area_ha)(float("nan"), float("nan"))
    broken = type(first)(first.class_id, first.name, 1, 12.0, nan, nan, nan, "only one test sample")
    areas = AreaEstimates((broken, *full.classes[1:]), full.overall_accuracy, full.total_ha, 12.0, "Some note.")
    page = build_report([chain(areas=areas)]).render()
    assert "only one test sample" in page
    assert "Some note." in page


def test_most_important_date_and_feature() -> None:
    gain = np.zeros((24, 9))
    gain[13, 6] = 3.0
    gain[2, 0] = 1.0
    found = importance(np.random.default_rng(0), None)
    found = type(found)(gain, found.times, found.names)
    assert importance_pictures.best(found) == (13, 6)
    figure = importance_pictures.importance_figure(found)
    (image,) = [item for axes in figure.axes for item in axes.get_images()]
    assert np.asarray(image.get_array()).shape == (9, 24)
    assert np.asarray(image.get_array())[6, 13] == 0.75


@pytest.mark.parametrize(("shape", "bars"), [((24, 1), 24), ((1, 9), 9)])
def test_importance_of_one_date_or_one_feature_is_a_bar_chart(shape: tuple[int, int], bars: int) -> None:
    full = importance(np.random.default_rng(0), None)
    found = type(full)(full.gain[: shape[0], : shape[1]], full.times[: shape[0]], full.names[: shape[1]])
    (axes,) = importance_pictures.importance_bars(found).axes
    rectangles = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    assert len(rectangles) == bars
    lengths = [bar.get_height() if shape[0] > 1 else bar.get_width() for bar in rectangles]
    assert lengths == pytest.approx((found.gain / found.gain.sum()).ravel())


@pytest.mark.parametrize(
    ("values", "limit"), [([0.0, 0.1], 0.3), ([0.2, 0.56], 0.6), ([1.0, 1.0], 1.0), ([np.nan], 0.3)]
)
def test_cloud_probability_keeps_the_example_s_colours_unless_they_saturate(values: list[float], limit: float) -> None:
    assert observations.clp_limit(Raster(np.array([values]), BOUNDS)) == pytest.approx(limit)


@pytest.mark.parametrize(("total", "decimals"), [(12_000.0, 0), (9_999.0, 1), (100.0, 1), (99.0, 2)])
def test_small_areas_get_decimals(total: float, decimals: int) -> None:
    assert validation.hectare_decimals(total) == decimals


@pytest.mark.usefixtures("undrawn")
def test_one_observation_is_no_series() -> None:
    full = chain().ndvi_series
    assert full is not None
    one = replace(full, times=full.times[:1], ndvi=full.ndvi[:1], masked=full.masked[:1])
    page = build_report([chain(ndvi_series=one)]).render()
    assert "<b>NDVI of one place over time</b>: one observation is no time series" in page


@pytest.mark.usefixtures("undrawn")
def test_a_cloud_mask_without_cloud_is_not_drawn_for_a_year() -> None:
    full = chain()
    for value, shown in ((0, False), (1, True)):
        mask = np.zeros((96, 192), np.uint8)
        mask[0, 0] = value
        page = build_report([replace(full, maps={"CLOUD_MASK": Raster(mask, BOUNDS)})]).render()
        assert ("Cloud mask" in page) is shown


def test_long_roc_curves_are_thinned_but_keep_their_ends() -> None:
    x = np.linspace(0, 1, 50_000)
    thin_x, thin_y = validation.thin(x, np.sqrt(x))
    assert 200 < len(thin_x) <= 402
    assert (thin_x[0], thin_x[-1], thin_y[0], thin_y[-1]) == (0, 1, 0, 1)
    assert np.abs(np.interp(x, thin_x, thin_y) - np.sqrt(x)).max() < 0.005


def test_step_costs_sum_over_patches_in_order() -> None:
    costs = runs.step_costs(run_info().stages)
    assert [(cost.stage, cost.step, cost.patches) for cost in costs] == [
        ("features", "Simulate", 8),
        ("features", "Clouds", 8),
        ("predict", "Predict", 1),
    ]
    assert costs[0].seconds == pytest.approx(8.8)
    assert costs[1].longest == pytest.approx(3.1)
    assert [cost.memory_mb for cost in costs] == [310.0, None, 280.0]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.42, "0.42 s"), (9.96, "10 s"), (48.4, "48 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s"), (7620, "2 h 07 min")],
)
def test_duration(seconds: float, text: str) -> None:
    assert runs.duration(seconds) == text


def test_memory() -> None:
    assert (runs.memory(870.2), runs.memory(2314)) == ("870 MB", "2.31 GB")


@pytest.mark.parametrize("color", ["#ffff00", "#ffffff", "#95d0fc", "#000000", "#054907"])
def test_lines_are_dark_enough_for_white_paper(color: str) -> None:
    rgb = np.array(to_rgb(style.readable(color)))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    assert 1.05 / (linear @ [0.2126, 0.7152, 0.0722] + 0.05) >= 2.59
    if color in ("#000000", "#054907"):
        assert style.readable(color) == color


@pytest.mark.parametrize(
    ("name", "shown"),
    [("CULTIVATED_LAND", "Cultivated land"), ("farm", "farm"), ("Urban Area", "Urban Area"), ("OSM", "OSM")],
)
def test_pretty_names(name: str, shown: str) -> None:
    assert style.pretty(name) == shown


def test_class_names_in_any_script_and_with_markup_are_shown_as_text() -> None:
    table = ClassTable((LandCoverClass(1, "森林", "#054907"), LandCoverClass(2, "a $x_1$ <b>", "#ff0000")))
    raster = Raster(np.array([[1, 2]], np.uint8), (0.0, 0.0, 20.0, 10.0))
    page = build_report(
        [ChainResult("n", simulated=False, classes=table, crs="EPSG:32633", maps={"PREDICTION": raster})]
    )
    assert "a $x 1$ &lt;b&gt; 50.0%" in page.render()


def test_a_dollar_in_a_name_is_drawn_as_one() -> None:
    full = chain(name="Costs $x^$")
    table = ClassTable(tuple(replace(item, name=f"{item.name} $x^$") for item in CLASSES))
    truth = np.repeat([1, 2, 3, 5, 8], 4)
    result = replace(
        full,
        classes=table,
        validation=evaluate(truth, np.roll(truth, 1), table),
        patches=[replace(patch, name=f"{patch.name} $x^$") for patch in full.patches],
        inspection=None if full.inspection is None else replace(full.inspection, label="P $x^$"),
    )
    page = build_report([result], title="Title $x^$").render()
    assert len(captions(page)) == len(PICTURES)
