"""A sheet of paper on which a picture is set by Pillow: text, lines and images at places in inches.

For the pictures that every product gets: matplotlib takes half a second and 45 MB to come up, which is a sixth of what
masks at 160 m take. Text is in DejaVu Sans, which comes with matplotlib, so that a picture is the same everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw, ImageFont

from eotasks.workflows.report import palette

DPI = 160
LINE = 0.8
"""Points: the width of a frame and of a tick."""

_POINTS = 72
_COMPRESSION = 3
_STEP = 0.5
"""Points by which letters get smaller."""

_HALO = 0.8
"""How much of the picture a halo around text or a line covers."""

Across = Literal["left", "middle", "right"]
Up = Literal["top", "centre", "baseline", "bottom"]
Box = tuple[float, float, float, float]
"""Left, bottom, width, height in inches from the lower left corner of the sheet."""


class Sheet:
    """A white sheet. Places are in inches from its lower left corner, sizes of text and lines in points.

    :param width: Inches.
    :param height: The same.
    """

    def __init__(self, width: float, height: float) -> None:
        self._image = Image.new("RGB", (_pixels(width), _pixels(height)), "white")
        self._draw = ImageDraw.Draw(self._image)
        self.texts: list[str] = []
        """All that is written, in the order in which it was."""

    def text(
        self,
        at: tuple[float, float],
        text: str,
        *,
        size: float,
        color: str = palette.INK,
        bold: bool = False,
        across: Across = "left",
        up: Up = "baseline",
        upright: bool = False,
        halo: str | None = None,
    ) -> None:
        """Writes a line.

        :param at: Where its edges are, or its middle, as ``across`` and ``up`` say.
        :param upright: It is written from below to above; its left side is then its top.
        :param halo: The colour around its letters.
        """
        self.texts.append(text)
        font = _font(size, bold=bold)
        above, below = _reach(size, bold=bold)
        x, y = self._at(*at)
        down = {"top": above, "centre": round(_cap(size, bold=bold) / 2), "baseline": 0, "bottom": -below}[up]
        anchor = {"left": "l", "middle": "m", "right": "r"}[across] + "s"
        if upright:
            self._upright(text, font, (x, y), above + below, color)
            return
        if halo is not None:
            self._shaded(halo, lambda draw: draw.text(
                (x, y + down), text, font=font, fill=255, anchor=anchor, stroke_width=_dots(1.25)
            ))  # fmt: skip
        self._draw.text((x, y + down), text, font=font, fill=color, anchor=anchor)

    def line(
        self, start: tuple[float, float], stop: tuple[float, float], *, color: str, width: float = LINE,
        halo: str | None = None,
    ) -> None:  # fmt: skip
        """Draws a level or an upright line, with blunt ends.

        :param halo: The colour at both its sides, twice as wide in all.
        """
        if halo is not None:
            wide = self._bar(start, stop, width * 2.1)
            self._shaded(halo, lambda draw: draw.rectangle(wide, fill=255))
        self._draw.rectangle(self._bar(start, stop, width), fill=color)

    def rectangle(self, box: Box, *, fill: str | None = None, outline: str | None = None, width: float = LINE) -> None:
        """Draws a rectangle; the middle of its outline is at its edges."""
        left, top, right, bottom = self._corners(box)
        if fill is not None:
            self._draw.rectangle((left, top, right - 1, bottom - 1), fill=fill)
        if outline is not None:
            thick = _dots(width)
            out = thick // 2
            self._draw.rectangle(
                (left - out, top - out, right - 1 + out, bottom - 1 + out), outline=outline, width=thick
            )

    def size_of(self, box: Box) -> tuple[int, int]:
        """Rows and columns of a box."""
        left, top, right, bottom = self._corners(box)
        return bottom - top, right - left

    def picture(self, box: Box, values: NDArray[np.uint8]) -> None:
        """Puts a picture into a box.

        :param values: (h, w, 3), of the size that `size_of` tells.
        """
        left, top, _, _ = self._corners(box)
        self._image.paste(Image.fromarray(values), (left, top))

    def write(self, file: IO[bytes]) -> None:
        """Writes the sheet as PNG; the same sheet gives the same bytes."""
        self._image.save(file, format="PNG", dpi=(DPI, DPI), compress_level=_COMPRESSION)

    def _at(self, x: float, y: float) -> tuple[int, int]:
        return _pixels(x), self._image.height - _pixels(y)

    def _corners(self, box: Box) -> tuple[int, int, int, int]:
        left, bottom, width, height = box
        return *self._at(left, bottom + height), *self._at(left + width, bottom)

    def _bar(self, start: tuple[float, float], stop: tuple[float, float], width: float) -> tuple[int, int, int, int]:
        (x, y), (to_x, to_y), thick = self._at(*start), self._at(*stop), _dots(width)
        if y == to_y:
            return min(x, to_x), y - thick // 2, max(x, to_x) - 1, y - thick // 2 + thick - 1
        return x - thick // 2, min(y, to_y), x - thick // 2 + thick - 1, max(y, to_y) - 1

    def _shaded(self, color: str, draw_on: Callable[[ImageDraw.ImageDraw], None]) -> None:
        mask = Image.new("L", self._image.size)
        draw_on(ImageDraw.Draw(mask))
        box = mask.getbbox()
        if box is not None:
            shade = mask.crop(box).point(lambda value: int(value * _HALO))
            self._image.paste(ImageColor.getrgb(color), box, shade)

    def _upright(
        self, text: str, font: ImageFont.FreeTypeFont, at: tuple[int, int], height: int, color: str
    ) -> None:  # in the middle of its length
        length = int(font.getlength(text)) + 1
        line = Image.new("L", (length, height))
        ImageDraw.Draw(line).text((0, 0), text, font=font, fill=255, anchor="lt")
        turned = line.transpose(Image.Transpose.ROTATE_90)
        self._image.paste(ImageColor.getrgb(color), (at[0], at[1] - length // 2), turned)


def width_of(text: str, size: float, *, bold: bool = False) -> float:
    """Inches that a line takes in letters of a size in points."""
    return _font(size, bold=bold).getlength(text) / DPI


def fitted(text: str, width: float, *, size: float, least: float, bold: bool = False) -> tuple[str, float]:
    """A line that has room: in smaller letters where it needs them, and then without its middle.

    :param width: Inches that there are.
    :param size: Points, where there is room.
    :param least: The smallest letters, in points.
    :return: The line, and the size of its letters.
    """
    while width_of(text, size, bold=bold) > width and size > least:
        size = max(size - _STEP, least)
    shown, left = text, len(text)
    while width_of(shown, size, bold=bold) > width and left > 0:
        left -= 1
        shown = f"{text[: (left + 1) // 2]}…{text[len(text) - left // 2 :]}"
    return shown, size


def _pixels(inches: float) -> int:
    return round(inches * DPI)


def _dots(points: float) -> int:
    return max(round(points * DPI / _POINTS), 1)


@cache
def _font(size: float, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """:param size: Points."""
    # Pillow's own layout: that of Raqm, where a machine has it, puts letters elsewhere.
    return ImageFont.truetype(_font_file(bold=bold), size * DPI / _POINTS, layout_engine=ImageFont.Layout.BASIC)


@cache
def _reach(size: float, *, bold: bool) -> tuple[int, int]:
    """How far letters go above and below the line, in pixels."""
    _, above, _, below = _font(size, bold=bold).getbbox("lp", anchor="ls")
    return round(-above), round(below)


@cache
def _cap(size: float, *, bold: bool) -> float:
    """How high a digit is, in pixels."""
    return -_font(size, bold=bold).getbbox("0", anchor="ls")[1]


@cache
def _font_file(*, bold: bool) -> str:
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    spec = find_spec("matplotlib")
    if spec is not None and spec.origin is not None:
        path = Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / name
        if path.is_file():
            return str(path)
    from matplotlib import get_data_path  # a packager has moved it

    return str(Path(get_data_path()) / "fonts" / "ttf" / name)
