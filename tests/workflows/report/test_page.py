from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from eotasks.errors import ConfigurationError, StorageError
from eotasks.workflows.report.page import Cell, CellValue, ImageFormat, KeyFigure, Report, Section

VOID = {"meta", "img", "br", "hr", "link", "rect"}


class Page(HTMLParser):
    """Checks that tags close in order, and collects tags with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def picture() -> Figure:
    figure = Figure(figsize=(4, 2))
    figure.subplots().plot([1, 2, 4])
    return figure


def full_report() -> Report:
    report = Report("A <title>", subtitle="sub & title", notices=["Simulated <b>data</b>"])
    first = report.section("Results", "One.\n\nTwo.")
    first.key_figures([KeyFigure("Accuracy", "0.91", "of 100")])
    first.figure(picture(), "A line.", alt='A "rising" line', image_format="svg")
    first.table(["Class", "Count"], [[Cell("Forest", "#054907"), 1200], ["Water", None]], "Counts.")
    inner = first.section("Results")
    inner.figure(picture(), "Another line.", alt="The same line")
    inner.table(["Key", "Value"], [["a", 0.5]], "Folded.", folded=True)
    inner.code("Configuration", "seed = 42 # <none>")
    inner.notice("Look here.")
    inner.absent({"True colour": "NDVI only", "Mean NDVI": "NDVI only", "Seeds": ""})
    return report


def test_page_is_well_formed_and_self_contained() -> None:
    html = full_report().render()
    page = Page(html)
    assert not page.all("script")
    assert not page.all("link")
    assert all(str(image["src"]).startswith("data:image/") for image in page.all("img"))
    assert all(str(link["href"]).startswith("#") for link in page.all("a"))
    assert "http" not in re.sub(r"data:[^\"]*|http-equiv", "", html)


def test_text_is_escaped() -> None:
    html = full_report().render()
    assert "A &lt;title&gt;" in html
    assert "Simulated &lt;b&gt;data&lt;/b&gt;" in html
    assert "seed = 42 # &lt;none&gt;" in html
    assert "<b>data" not in html


def test_every_link_of_the_contents_leads_to_one_heading() -> None:
    page = Page(full_report().render())
    ids = [str(attrs["id"]) for _, attrs in page.tags if attrs.get("id")]
    assert len(ids) == len(set(ids))
    targets = [str(link["href"]).removeprefix("#") for link in page.all("a")]
    assert targets == ["content", "results", "results-2"]
    assert set(targets) <= set(ids)


@pytest.mark.parametrize("title", ["content", "figure.1", "Ωμέγα", "!"])
def test_any_title_gets_an_anchor_of_its_own(title: str) -> None:
    report = Report("r")
    for _ in range(2):
        report.section(title).figure(picture(), "c", alt="a")
    ids = [str(attrs["id"]) for _, attrs in Page(report.render()).tags if attrs.get("id")]
    assert len(ids) == len(set(ids))


def test_figures_and_tables_are_numbered_in_reading_order() -> None:
    report = Report("r")
    outer = report.section("outer")
    second = report.section("second")
    second.figure(picture(), "last", alt="a")
    inner = outer.section("inner")
    inner.figure(picture(), "middle", alt="a")
    outer.figure(picture(), "between", alt="a")
    outer.table(["x"], [["without caption"]])
    outer.table(["x"], [["y"]], "with caption")
    html = report.render()
    assert re.findall(r"<b>Figure (\d)\.</b> (\w+)", html) == [("1", "middle"), ("2", "between"), ("3", "last")]
    assert re.findall(r"<b>Table (\d)\.</b>", html) == ["1"]


@pytest.mark.parametrize("image_format", ["png", "svg"])
def test_figure_is_embedded_with_its_size_and_the_same_bytes_every_time(image_format: ImageFormat) -> None:
    pages = []
    for _ in range(2):
        report = Report("r")
        report.section("s").figure(picture(), "c", alt="a", image_format=image_format)
        pages.append(report.render())
    assert pages[0] == pages[1]
    image = Page(pages[0]).all("img")[0]
    head, data = str(image["src"]).split(",", 1)
    content = base64.b64decode(data)
    assert content.startswith(b"\x89PNG" if image_format == "png" else b"<?xml")
    assert "svg" in head if image_format == "svg" else "png" in head
    assert 200 < int(str(image["width"])) <= 4 * 96 + 12
    assert 100 < int(str(image["height"])) <= 2 * 96 + 12


@pytest.mark.parametrize(("caption", "alt"), [("", "a"), ("c", " ")])
def test_figure_needs_caption_and_alt(caption: str, alt: str) -> None:
    with pytest.raises(ConfigurationError, match="caption and an alt text"):
        Section("s").figure(picture(), caption, alt=alt)


def test_letters_that_the_font_lacks_do_not_warn() -> None:
    figure = picture()
    figure.axes[0].set_title("\u6797")
    Section("s").figure(figure, "c", alt="a")


def test_numbers_are_aligned_and_missing_ones_are_dashes() -> None:
    report = Report("r")
    rows: list[list[CellValue]] = [
        ["a", 1234567, 0.12345, Cell("1.0 ± 0.1", number=True), True],
        ["b", None, float("nan"), None, False],
    ]
    report.section("s").table(["name", "count", "share", "estimate", "flag"], rows, "c")
    html = report.render()
    assert html.count('<th scope="col" class="number">') == 3
    assert "1,234,567" in html
    assert "0.123" in html
    assert html.count("–</td>") == 3
    assert "<td>True</td>" in html


def test_row_of_another_length_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="has 1 cells, its header 2"):
        Section("s").table(["a", "b"], [["x"]], "t")


def test_absent_things_with_the_same_reason_stand_together() -> None:
    html = full_report().render()
    assert "<b>True colour, Mean NDVI</b>: NDVI only" in html
    assert "<li><b>Seeds</b></li>" in html


def test_nothing_absent_adds_nothing() -> None:
    section = Section("s")
    section.absent({})
    section.key_figures([])
    assert section.empty


def test_saved_whole_and_over_an_older_report(tmp_path: Path) -> None:
    path = tmp_path / "a folder" / "report.html"
    Report("old").save(path)
    report = full_report()
    assert report.save(path) == path
    assert path.read_text("utf-8") == report.render()
    assert [item.name for item in path.parent.iterdir()] == ["report.html"]


def test_unwritable_place_is_a_storage_error_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="Check the path"):
        Report("r").save(tmp_path / "file" / "report.html")
    (tmp_path / "report.html").mkdir()
    with pytest.raises(StorageError, match="cannot write the report"):
        Report("r").save(tmp_path / "report.html")
    assert sorted(item.name for item in tmp_path.iterdir()) == ["file", "report.html"]
