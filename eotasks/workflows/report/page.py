"""The shell of every report: one self-contained HTML file made of sections, figures, tables and notices.

The file holds its style and its pictures, names no other file or address and runs no script, so that it can be mailed,
archived and opened anywhere.
"""

from __future__ import annotations

import base64
import io
import re
import unicodedata
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import jinja2
import matplotlib as mpl

from eotasks.errors import ConfigurationError, StorageError
from eotasks.storage.location import Location
from eotasks.storage.place import place_of
from eotasks.text import harmless

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ImageFormat = Literal["png", "svg"]
_MEDIA = {"png": "image/png", "svg": "image/svg+xml"}
_TEMPLATES = Path(__file__).parent / "templates"
_CSS_PIXELS_PER_INCH = 96
_POINTS_PER_INCH = 72


@dataclass(frozen=True)
class Cell:
    """One cell of a table: its text, and a colour swatch before it where it names a class."""

    text: str
    color: str | None = None
    """``#rrggbb``."""

    number: bool = False
    """The text is a formatted number: aligned right where its whole column is."""


CellValue = str | int | float | None | Cell
"""What a table takes: numbers are formatted and aligned right, None becomes a dash."""


@dataclass(frozen=True)
class KeyFigure:
    """A number that deserves large type: its label, the formatted value, and a short note."""

    label: str
    value: str
    note: str = ""


@dataclass(eq=False)
class _Text:
    kind: ClassVar[str] = "text"
    text: str


@dataclass(eq=False)
class _Notice:
    kind: ClassVar[str] = "notice"
    text: str


@dataclass(eq=False)
class _Picture:
    kind: ClassVar[str] = "figure"
    source: str
    caption: str
    alt: str
    width: int
    height: int


@dataclass(eq=False)
class _Table:
    kind: ClassVar[str] = "table"
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    numeric: Sequence[bool]
    caption: str
    folded: bool


@dataclass(eq=False)
class _KeyFigures:
    kind: ClassVar[str] = "key_figures"
    figures: Sequence[KeyFigure]


@dataclass(eq=False)
class _Code:
    kind: ClassVar[str] = "code"
    title: str
    text: str


@dataclass(eq=False)
class _Absent:
    kind: ClassVar[str] = "absent"
    items: Sequence[tuple[str, str]]


_Block = _Text | _Notice | _Picture | _Table | _KeyFigures | _Code | _Absent


@dataclass(eq=False)
class Section:
    """A heading and what stands under it, in the order in which it was added. Sections nest."""

    kind: ClassVar[str] = "section"
    title: str
    items: list[_Block | Section] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        """True when nothing stands under the heading."""
        return not self.items

    def section(self, title: str, text: str | None = None) -> Section:
        """Add a section one level down."""
        section = _new_section(title, text)
        self.items.append(section)
        return section

    def text(self, text: str) -> None:
        """Add paragraphs of plain text, separated by blank lines."""
        self.items.extend(_Text(part.strip()) for part in re.split(r"\n\s*\n", text) if part.strip())

    def notice(self, text: str) -> None:
        """Add a paragraph that must not be overlooked."""
        self.items.append(_Notice(text))

    def figure(
        self, figure: Figure, caption: str, *, alt: str, image_format: ImageFormat = "png", dpi: float = 110
    ) -> None:
        """Add a picture; it is drawn now, so the figure can be dropped afterwards.

        :param figure: a matplotlib figure, not necessarily of pyplot.
        :param caption: plain text under the picture; its number is set in front of it.
        :param alt: what the picture shows, for those who cannot see it. Must not be empty.
        :param image_format: ``"png"`` for maps and photographs, ``"svg"`` for charts (sharp at any size).
        :param dpi: pixels per inch of the PNG. The page shows the figure at its size in inches, or smaller, without
            the empty margins.
        :raises ConfigurationError: when alt or caption is empty.
        """
        if not alt.strip() or not caption.strip():
            raise ConfigurationError("a figure of a report needs a caption and an alt text: give both.")
        data, (width, height) = _draw(figure, image_format, dpi)
        source = f"data:{_MEDIA[image_format]};base64,{base64.b64encode(data).decode('ascii')}"
        self.items.append(_Picture(source, caption, alt, width, height))

    def table(
        self, header: Sequence[str], rows: Iterable[Sequence[CellValue]], caption: str = "", *, folded: bool = False
    ) -> None:
        """Add a table; its first column names the rows.

        :param header: titles of the columns; all empty for a table without a header.
        :param folded: show only the caption until the reader opens it.
        :raises ConfigurationError: when a row has another length than the header.
        """
        values = [list(row) for row in rows]
        for row in values:
            if len(row) != len(header):
                raise ConfigurationError(
                    f"a row of the table {caption!r} has {len(row)} cells, its header {len(header)}: make them equal."
                )
        numeric = [_is_numeric(column) for column in zip(*values, strict=True)] or [False] * len(header)
        cells = [[_cell(value) for value in row] for row in values]
        self.items.append(_Table(list(header), cells, numeric, caption, folded))

    def key_figures(self, figures: Iterable[KeyFigure]) -> None:
        """Add a row of numbers in large type."""
        listed = list(figures)
        if listed:
            self.items.append(_KeyFigures(listed))

    def code(self, title: str, text: str) -> None:
        """Add preformatted text that the reader can unfold."""
        self.items.append(_Code(title, text.rstrip()))

    def absent(self, items: Mapping[str, str]) -> None:
        """Name what is not shown: thing -> reason. Things with the same reason stand together."""
        by_reason: dict[str, list[str]] = {}
        for what, reason in items.items():
            by_reason.setdefault(reason, []).append(what)
        if items:
            self.items.append(_Absent([(", ".join(things), reason) for reason, things in by_reason.items()]))


class Report:
    """One HTML page.

    :param title: heading and window title.
    :param subtitle: one sentence under it.
    :param notices: what the reader must know before anything else.
    """

    def __init__(self, title: str, *, subtitle: str = "", notices: Sequence[str] = ()) -> None:
        self.title = title
        self.subtitle = subtitle
        self.notices = list(notices)
        self.sections: list[Section] = []

    def section(self, title: str, text: str | None = None) -> Section:
        """Add a section and return it to be filled."""
        section = _new_section(title, text)
        self.sections.append(section)
        return section

    def render(self) -> str:
        """Return the page: HTML with everything in it. The same content gives the same page."""
        anchors = _anchors(self.sections)
        template = _environment().get_template("report.html.j2")
        return template.render(
            report=self,
            anchors=anchors,
            numbers=_numbers(self.sections),
            outline=[_outline(section, anchors) for section in self.sections],
        )

    def save(self, path: Location) -> Location:
        """Write the page, whole or not at all; folders on the way are made.

        :param path: A file on disk, or ``s3://bucket/key``.
        :return: the path, as it was given.
        :raises StorageError: when it cannot be written there.
        :raises CredentialsError: when S3 refuses the credentials.
        """
        content = self.render()
        place, name = place_of(path)
        try:
            with place.writing(name) as temporary:
                temporary.write_text(content, encoding="utf-8")
        except OSError as error:
            reason = error.strerror or str(error)
            raise StorageError(f"cannot write the report {str(path)!r} ({reason}): give a writable path.") from error
        return path


def _new_section(title: str, text: str | None) -> Section:
    section = Section(title)
    if text:
        section.text(text)
    return section


def _draw(figure: Figure, image_format: ImageFormat, dpi: float) -> tuple[bytes, tuple[int, int]]:
    """The image, and its width and height on the page in CSS pixels."""
    buffer = io.BytesIO()
    # A fixed salt and no date: the same figure gives the same bytes.
    with mpl.rc_context({"svg.hashsalt": "eotasks", "svg.fonttype": "path"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # class names may be in any script
        metadata = {"Date": None, "Creator": None} if image_format == "svg" else {"Software": None}
        figure.savefig(
            buffer,
            format=image_format,
            dpi=dpi,
            metadata=metadata,
            facecolor="white",
            bbox_inches="tight",
            pad_inches=0.06,
        )
    data = buffer.getvalue()
    width, height = _svg_inches(data) if image_format == "svg" else (size / dpi for size in _png_pixels(data))
    return data, (round(width * _CSS_PIXELS_PER_INCH), round(height * _CSS_PIXELS_PER_INCH))


def _png_pixels(data: bytes) -> tuple[int, int]:
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def _svg_inches(data: bytes) -> tuple[float, float]:
    box = re.search(rb'viewBox="0 0 ([\d.]+) ([\d.]+)"', data)
    if box is None:
        raise ConfigurationError("matplotlib wrote an SVG without a size: use the image format png.")
    return float(box[1]) / _POINTS_PER_INCH, float(box[2]) / _POINTS_PER_INCH


def _is_numeric(column: Sequence[CellValue]) -> bool:
    numbers = [value for value in column if value is not None]
    return bool(numbers) and all(_is_number(value) for value in numbers)


def _is_number(value: CellValue) -> bool:
    if isinstance(value, Cell):
        return value.number
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cell(value: CellValue) -> Cell:
    if isinstance(value, Cell):
        return value
    if value is None or (isinstance(value, float) and value != value):
        return Cell("–")
    if isinstance(value, bool | str):
        return Cell(str(value))
    return Cell(f"{value:,}" if isinstance(value, int) else f"{value:,.3g}")


def _walk(sections: Iterable[Section]) -> Iterator[Section | _Block]:
    for section in sections:
        yield section
        for item in section.items:
            if isinstance(item, Section):
                yield from _walk([item])
            else:
                yield item


def _numbers(sections: Sequence[Section]) -> dict[_Block | Section, int]:
    numbers: dict[_Block | Section, int] = {}
    count = {"figure": 0, "table": 0}
    for item in _walk(sections):
        if item.kind in count and not (isinstance(item, _Table) and not item.caption):
            count[item.kind] += 1
            numbers[item] = count[item.kind]
    return numbers


def _anchors(sections: Sequence[Section]) -> dict[Section, str]:
    anchors: dict[Section, str] = {}
    used = {"content"}
    for item in _walk(sections):
        if not isinstance(item, Section):
            continue
        plain = unicodedata.normalize("NFKD", item.title).encode("ascii", "ignore").decode("ascii").lower()
        stem = re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or "section"
        anchor, count = stem, 2
        while anchor in used:
            anchor, count = f"{stem}-{count}", count + 1
        used.add(anchor)
        anchors[item] = anchor
    return anchors


def _outline(section: Section, anchors: Mapping[Section, str]) -> dict[str, object]:
    children = [{"anchor": anchors[item], "title": item.title} for item in section.items if isinstance(item, Section)]
    return {"anchor": anchors[section], "title": section.title, "children": children}


def _shown_text(value: object) -> object:
    """What a page shows of a text: no secret, everything seen, nothing that turns the direction of what follows."""
    done = hasattr(value, "__html__")  # HTML that the template has made already, and pictures
    return harmless(value, lines=True) if isinstance(value, str) and not done else value


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown_text,
        trim_blocks=True,
        lstrip_blocks=True,
    )
