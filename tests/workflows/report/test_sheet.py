"""The sheet that quick-looks are set on: where things lie."""

from __future__ import annotations

import io

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageFont

from eotasks.workflows.report import sheet as sheet_module
from eotasks.workflows.report.cividis import CIVIDIS, cividis
from eotasks.workflows.report.sheet import DPI, Sheet, fitted, width_of


def pixels(sheet: Sheet) -> NDArray[np.uint8]:
    file = io.BytesIO()
    sheet.write(file)
    with Image.open(file) as image:
        return np.asarray(image)


def ink(sheet: Sheet) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what is not white."""
    rows, columns = np.nonzero((pixels(sheet) != 255).any(axis=-1))
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def test_places_are_inches_from_the_lower_left() -> None:
    sheet = Sheet(3, 2)
    assert pixels(sheet).shape == (2 * DPI, 3 * DPI, 3)
    sheet.rectangle((1, 0.5, 0.5, 0.25), fill="black")
    assert ink(sheet) == (DPI, round(1.25 * DPI), round(1.5 * DPI), round(1.5 * DPI))
    assert sheet.size_of((1, 0.5, 0.5, 0.25)) == (DPI // 4, DPI // 2)


def test_a_picture_fills_its_box() -> None:
    sheet = Sheet(2, 2)
    box = 0.5, 0.5, 1.0, 0.5
    sheet.picture(box, np.full((*sheet.size_of(box), 3), 7, np.uint8))
    assert ink(sheet) == (DPI // 2, DPI, round(1.5 * DPI), round(1.5 * DPI))


@pytest.mark.parametrize(("start", "stop", "size"), [((0.5, 1), (1.5, 1), (DPI, 4)), ((1, 0.5), (1, 1.5), (4, DPI))])
def test_lines(start: tuple[float, float], stop: tuple[float, float], size: tuple[int, int]) -> None:
    sheet = Sheet(2, 2)
    sheet.line(start, stop, color="black", width=1.8)
    left, top, right, bottom = ink(sheet)
    assert abs(right - left - size[0]) <= 1
    assert abs(bottom - top - size[1]) <= 1


def test_text_lies_where_its_edges_say() -> None:
    for across, up, low, high in (
        ("left", "top", (0, 0), (1, 1)),
        ("right", "bottom", (-1, -1), (0, 0)),
        ("middle", "centre", (-0.5, -0.5), (0.5, 0.5)),
    ):
        sheet = Sheet(4, 2)
        sheet.text((2, 1), "1,230", size=12, across=across, up=up)  # type: ignore[arg-type]
        left, top, right, bottom = ink(sheet)
        wide, tall = width_of("1,230", 12) * DPI, 36
        assert 2 * DPI + low[0] * wide - 4 <= left < right <= 2 * DPI + high[0] * wide + 4
        assert DPI + low[1] * tall - 4 <= top < bottom <= DPI + high[1] * tall + 4
        assert sheet.texts == ["1,230"]


def test_upright_text_is_turned() -> None:
    sheet = Sheet(2, 4)
    sheet.text((1, 2), "Northing", size=12, upright=True)
    left, top, right, bottom = ink(sheet)
    assert bottom - top > 2 * (right - left)
    assert abs((top + bottom) / 2 - 2 * DPI) < 4


def test_a_halo_is_wider_than_what_it_is_around() -> None:
    plain, ringed = Sheet(2, 2), Sheet(2, 2)
    for sheet, halo in ((plain, None), (ringed, "black")):
        sheet.line((0.5, 1), (1.5, 1), color="gray", width=3, halo=halo)
        sheet.text((0.5, 1.4), "2 km", size=12, color="gray", halo=halo)
    assert ink(ringed)[1] < ink(plain)[1]
    assert ink(ringed)[3] > ink(plain)[3]


def test_colours_are_those_of_matplotlib() -> None:
    table = mpl.colormaps["cividis"]
    assert np.array_equal(CIVIDIS, table(np.arange(256), bytes=True)[:, :3])
    values = np.linspace(-0.1, 1.1, 4001, dtype=np.float32)
    assert np.array_equal(cividis(values), table(values, bytes=True)[:, :3])


def test_letters_lie_where_they_do_on_any_machine() -> None:
    """Raqm, which a machine has or not, would put them elsewhere."""
    for bold in (False, True):
        assert sheet_module._font(10, bold=bold).layout_engine == ImageFont.Layout.BASIC


@pytest.mark.parametrize("bold", [False, True])
@given(text=st.text("AIl_m0 ·", max_size=200), width=st.floats(0.2, 9))
def test_lines_that_have_room(text: str, width: float, *, bold: bool) -> None:
    shown, size = fitted(text, width, size=15, least=9, bold=bold)
    assert width_of(shown, size, bold=bold) <= width
    assert 9 <= size <= 15
    if width_of(text, 15, bold=bold) <= width:
        assert (shown, size) == (text, 15)
    elif width_of(text, 9, bold=bold) <= width:
        assert shown == text
    else:
        head, _, tail = shown.partition("…")
        assert text.startswith(head)
        assert text.endswith(tail)
