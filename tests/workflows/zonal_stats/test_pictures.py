"""Pictures of field statistics: what is drawn, of which dates, and that drawing bad tables is refused."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image
from shapely.geometry import MultiPolygon, box

from eotasks.errors import ConfigurationError, FeatureError
from eotasks.workflows.report.style import time_values
from eotasks.workflows.zonal_stats.pictures import (
    CLEAR,
    MASKED,
    FieldImage,
    chosen_images,
    field_figure,
    field_pages,
    spread,
    write_picture,
)
from eotasks.zonal.series import field_series
from tests.builders.zonal.field_tables import dates, field_table

COUNT = 12
MEANS = (0.4 + 0.3 * np.sin(np.arange(COUNT) / 3))[np.newaxis, :, np.newaxis]
CLOUD = np.where(np.arange(COUNT) % 3 == 1, 0.9, 0.0)[np.newaxis]
TABLE = field_table(["meadow"], ["NDVI"], MEANS, cloud=CLOUD)


def images(count: int = COUNT) -> list[FieldImage]:
    outline = MultiPolygon([box(2, 2, 5, 5), box(6, 6, 8, 8)])
    picture = np.full((10, 10, 3), 120, np.uint8)
    return [FieldImage(time, picture, (0.0, 0.0, 10.0, 10.0), outline) for time in dates(count)]


def markers(axes: mpl.axes.Axes, marker: str) -> np.ndarray:
    """(n, 2) of the points of a kind."""
    (line,) = (each for each in axes.lines if each.get_marker() == marker and len(each.get_xdata()))
    return np.column_stack(line.get_data())


def test_every_observation_is_drawn_once_as_what_it_is() -> None:
    axes = field_figure(TABLE, "meadow").axes[0]
    days, masked = time_values(dates(COUNT)), CLOUD[0] > 0
    np.testing.assert_allclose(markers(axes, "o"), np.column_stack([days[~masked], MEANS[0, ~masked, 0]]))
    np.testing.assert_allclose(markers(axes, "x"), np.column_stack([days[masked], MEANS[0, masked, 0] * 0.1]))
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == ["clear (8)", "masked (4)", "smoothed", "without a mask"]


def test_images_have_a_frame_that_says_whether_they_are_used() -> None:
    figure = field_figure(TABLE, "meadow", images=images(6), title="A meadow")
    strip = figure.axes[2]
    assert len(strip.images) == 6
    frames = [to_hex(line.get_color()) for line in strip.lines if len(line.get_xdata()) == 5 and line.get_zorder() == 4]
    assert frames == [MASKED if number % 3 == 1 else CLEAR for number in range(6)]
    assert [text.get_text() for text in strip.texts][:2] == ["1 Mar", "9 Mar"]
    assert figure.get_suptitle() == "A meadow"


def test_many_images_are_thinned_evenly() -> None:
    chosen = spread(images()[::-1], 4)
    assert [each.time for each in chosen] == [dates(COUNT)[index] for index in (0, 4, 7, 11)]
    assert [each.time for each in spread(images(3), 4)] == dates(3)


def test_a_field_without_a_curve_and_one_that_was_never_seen() -> None:
    """With a single clear date, and with none that has data."""
    lonely = field_table(["x"], ["NDVI"], MEANS[:, :3], cloud=np.array([[1.0, 0, 1]]))
    legend = [text.get_text() for text in field_figure(lonely, "x").axes[0].get_legend().get_texts()]
    assert legend == ["clear (1)", "masked (2)", "without a mask"]
    unseen = field_table(["x"], ["NDVI"], MEANS[:, :3], no_data=np.ones((1, 3)))
    legend = [text.get_text() for text in field_figure(unseen, "x").axes[0].get_legend().get_texts()]
    assert legend == ["clear (0)", "masked (0)", "without a mask"]


def test_pages_have_all_fields_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eotasks.workflows.zonal_stats.pictures.PER_PAGE", 3)
    names = [f"field {number}" for number in range(5)]
    table = field_table(names, ["B04", "NDVI"], np.repeat(np.repeat(MEANS[:, :4], 5, axis=0), 2, axis=2))
    pages = list(field_pages(table))
    shown = [[each.get_title(loc="left") for each in page.axes if each.get_visible()] for page in pages]
    assert shown == [names[:3], names[3:]]
    assert [page.get_suptitle() for page in pages] == [
        "NDVI of 5 fields, page 1 of 2",
        "NDVI of 5 fields, page 2 of 2",
    ]
    (page,) = field_pages(table, "B04", fields=["field 4", "field 1"], title="Two")
    assert [each.get_title(loc="left") for each in page.axes] == ["field 4", "field 1"]


def test_a_picture_is_written_whole_and_the_same_each_time(tmp_path: Path) -> None:
    for name in ("one.png", "other.png"):
        write_picture(field_figure(TABLE, "meadow", images=images(2)), tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "other.png").read_bytes()
    with Image.open(tmp_path / "one.png") as picture:
        assert picture.size[0] == 1600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.png", "other.png"]


def test_names_of_others_are_text_and_settings_of_matplotlib_stay() -> None:
    before = dict(mpl.rcParams)
    table = TABLE.assign(id="$x^2$ " + "long " * 100)
    figure = field_figure(table, table["id"].iloc[0])
    assert len(figure.get_suptitle()) < 80
    assert next(field_pages(table)).axes[0].get_title(loc="left").startswith("$x^2$")
    assert dict(mpl.rcParams) == before


def test_says_what_it_cannot_draw() -> None:
    with pytest.raises(FeatureError, match="no row of EVI"):
        field_figure(TABLE, "meadow", "EVI")
    with pytest.raises(FeatureError, match="field 'wood'"):
        list(field_pages(TABLE, fields=["wood"]))
    with pytest.raises(ConfigurationError, match="No field to draw"):
        list(field_pages(TABLE, "EVI"))


def test_images_are_of_dates_that_were_seen_most_of_them_clear() -> None:
    series = field_series(TABLE, "meadow", "NDVI")
    chosen = [each.time for each in chosen_images(images(), series, 6)]
    assert [time in {dates(COUNT)[index] for index in (1, 4, 7, 10)} for time in chosen].count(True) == 2
    assert chosen == sorted(chosen)
    assert len(chosen) == 6
    assert len(chosen_images(images(2), series, 6)) == 2
    stray = FieldImage(dt.datetime(2024, 3, 3), np.zeros((2, 2, 3), np.uint8), (0, 0, 1, 1))  # noqa: DTZ001
    assert len(field_figure(TABLE, "meadow", images=[stray]).axes) == 2  # it has no row: nothing says that it is clear
