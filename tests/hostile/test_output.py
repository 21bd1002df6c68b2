"""What is printed is harmless: nothing that a terminal obeys, no markup of others, nothing unseen, at every exit."""

from __future__ import annotations

import ast
import io
import json
import logging
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest
from rich.progress import Progress

from eotasks.errors import EOTasksWarning, ImageryError, ProductSkippedWarning, message_of, stack_of
from eotasks.models.classes import ClassTable, LandCoverClass
from eotasks.storage.place import Place
from eotasks.text import printable
from eotasks.workflows.bars import progress_bars
from eotasks.workflows.batch.manifest import ManifestWriter
from eotasks.workflows.batch.outcomes import PatchOutcome
from eotasks.workflows.batch.report import write_batch_report
from eotasks.workflows.console import (
    HarmlessFormatter,
    new_console,
    new_table,
    print_failed,
    print_line,
    set_up_streams,
    write_json,
)
from eotasks.workflows.report.page import Report
from tests import ROOT
from tests.builders.command_line import command
from tests.builders.fake_chain import chain
from tests.builders.stac_items import make_item

ESCAPE = "\x1b[31mred\x1b]8;;http://x\x07link\x1b]8;;\x07"
UNSEEN = {
    "ESC": "\x1b[2J", "C1": "\x9b31m", "NUL": "\0", "BEL": "\x07", "BS": "\b", "CR": "\r", "DEL": "\x7f",
    "NEL": "\x85", "right-to-left override": "\u202e", "isolate": "\u2066", "right-to-left mark": "\u200f",
    "Arabic letter mark": "\u061c", "zero width space": "\u200b", "zero width joiner": "\u200d",
    "word joiner": "\u2060",
    "byte order mark": "\ufeff", "soft hyphen": "\xad", "line separator": "\u2028", "paragraph separator": "\u2029",
    "tag": "\U000e0041", "variation selector": "\U000e0100", "lone surrogate": "\udc80", "Hangul filler": "\u3164",
    "combining grapheme joiner": "\u034f", "interlinear annotation": "\ufff9", "music": "\U0001d173",
}  # fmt: skip
MARKUP = "[red]b[/] [/no] [red"


def is_harmless(text: str) -> bool:
    return printable(text, lines=True) == text


@pytest.mark.parametrize("character", UNSEEN.values(), ids=UNSEEN)
def test_what_is_not_seen_is_written_out(character: str) -> None:
    shown = printable(f"a{character}b")
    assert shown.isprintable()
    assert shown.startswith("a\\")
    assert shown == printable(shown)


def test_lines_stay_where_lines_are_due() -> None:
    assert printable("a\n\tb\r\nc\rd", lines=True) == "a\n\tb\nc\\rd"
    assert printable("a\n\tb") == "a\\n\\tb"


@pytest.mark.parametrize(
    "name", ["Ljubljana vzhod", "Žalec, Müller & Söhne", "東京 33UUU", "Ελλάδα", "مصر", "x" * 250, "a-b_c.d (2)", "🌍"]
)
def test_honest_text_is_as_it_was(name: str) -> None:
    assert printable(name) == name


# The screen


@pytest.mark.parametrize("character", UNSEEN.values(), ids=UNSEEN)
def test_no_way_to_the_screen_lets_it_through(character: str, capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Group
    from rich.text import Text

    text = f"a{character}b{MARKUP}"
    console = new_console()
    print_line(console, text)
    print_failed(console, text)
    table = new_table("name", text, title=text)
    table.caption = text
    table.add_row(text, Text(text, "red"))
    console.print(table, width=120)
    console.print(Group(Text(text), text), soft_wrap=True)
    out = capsys.readouterr().out
    assert is_harmless(out)
    assert out.count(printable(text)) >= 6  # rich leaves out what rings and goes back, in a `Text` of its own


def test_bars_show_names_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    with progress_bars(new_console()) as progress:
        assert isinstance(progress, Progress)
        progress.add_task(f"{MARKUP}\u202e{ESCAPE}", total=1, completed=1)
    out = capsys.readouterr().out
    assert is_harmless(out)
    assert "[red]b[/]" in out
    assert isinstance(progress.console, Console)


def test_on_a_terminal_the_only_sequences_are_ours() -> None:
    from rich.console import Console

    kind = type(new_console())
    assert issubclass(kind, Console)
    out = io.StringIO()
    terminal = kind(file=out, force_terminal=True, color_system="standard", markup=False, emoji=False, highlight=False)
    print_failed(terminal, f"{ESCAPE}: why")
    assert out.getvalue() == "\x1b[31mfailed\x1b[0m " + printable(ESCAPE) + ": why\n"


def test_json_is_ascii_without_anything_a_terminal_obeys(capsys: pytest.CaptureFixture[str]) -> None:
    content = {"name": "".join(UNSEEN.values()), MARKUP: [ESCAPE, 1, None, 1.5]}
    write_json(content)
    out = capsys.readouterr().out
    assert out.isascii()
    assert is_harmless(out)
    assert json.loads(out) == content


# Errors, warnings, logs, stacks


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def test_errors_and_warnings_of_ours_are_harmless_text() -> None:
    error = ImageryError(f"{ESCAPE}\u202e: not read.")
    assert is_harmless(str(error))
    assert is_harmless(repr(error))
    assert issubclass(ProductSkippedWarning, EOTasksWarning)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.warn(f"{ESCAPE} is left out", ProductSkippedWarning, stacklevel=1)
    assert is_harmless(warnings.formatwarning(str(caught[0].message), ProductSkippedWarning, "f", 1))


def test_an_error_that_cannot_say_what_it_is_has_its_kind() -> None:
    assert message_of(Unspeakable()) == "Unspeakable: its message cannot be read (RuntimeError)"
    assert message_of(ValueError(f"a\n{ESCAPE}")) == f"ValueError: a {printable(ESCAPE)}"
    assert "Unspeakable" in stack_of(Unspeakable())


def test_a_record_is_one_line_and_its_stack_is_harmless() -> None:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(HarmlessFormatter(logging.BASIC_FORMAT))
    logger = logging.Logger("hostile")
    logger.addHandler(handler)
    try:
        raise OSError(ESCAPE)
    except OSError as cause:
        try:
            raise ValueError("x\u202e") from cause
        except ValueError:
            logger.exception("a product\nERROR:root:forged %s", ESCAPE)
    first, *stack = out.getvalue().splitlines()
    assert first == f"ERROR:hostile:a product\\nERROR:root:forged {printable(ESCAPE)}"
    assert is_harmless(out.getvalue())
    assert any(line.startswith("OSError: ") for line in stack)


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-command-\x1b[2J"],
        ["status", f"/nowhere/{ESCAPE}"],
        ["status", "/nowhere", f"--{ESCAPE}"],
        ["cloud-mask", f"/nowhere/{ESCAPE}", "--format", ESCAPE],
        ["cloud-mask", f"/nowhere/{ESCAPE}\u202e", "--no-quicklook"],
        ["cloud-mask", "--detector", ESCAPE],
        ["catalogue", "search", "--catalogue", f"{ESCAPE}.parquet"],
        ["catalogue", "search", "--level", ESCAPE],
        ["catalogue", "search", "--crs", ESCAPE, "--bbox", "0", "0", "1", "1"],
        ["catalogue", "add", f"/nowhere/{ESCAPE}"],
        ["evaluate-clouds", f"/nowhere/{ESCAPE}"],
        ["land-cover", "--config", f"/nowhere/{ESCAPE}.toml"],
        ["clean", f"/nowhere/{ESCAPE}\u202e"],
    ],
    ids=lambda arguments: "-".join(argument for argument in arguments if argument.isprintable()),
)
def test_bad_arguments_are_told_without_what_a_terminal_obeys(arguments: list[str], tmp_path: Path) -> None:
    result = command(*arguments, *(["--verbose"] if arguments[0] == "status" else []))
    assert result.code == 2
    assert result.err
    assert is_harmless(result.out + result.err)
    assert "\\x1b" in result.err


def test_a_fault_of_ours_is_told_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from eotasks.workflows import clean

    def fail(_: object) -> None:
        raise LookupError(ESCAPE)

    monkeypatch.setattr(clean, "run", fail)
    result = command("clean", "x")
    assert result.code == 70
    assert is_harmless(result.err)
    assert result.err.count("LookupError") >= 2  # in the stack, and in the line


def test_an_error_in_a_thread_is_told_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from eotasks.workflows.console import set_up_logging

    monkeypatch.setattr(threading, "excepthook", threading.__excepthook__)
    set_up_logging(verbose=False)

    def fail() -> None:
        raise LookupError(ESCAPE)

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    err = capsys.readouterr().err
    assert "LookupError" in err
    assert is_harmless(err)


def test_names_of_bytes_that_are_no_text_are_told(tmp_path: Path) -> None:
    """A file's name of other bytes than UTF-8 ends no command by an error of encoding."""
    folder = tmp_path.as_posix().encode() + b"/caf\xe9"
    run = subprocess.run(
        [sys.executable, "-m", "eotasks.workflows.cli", "status", folder], capture_output=True, check=False
    )
    assert run.returncode == 2
    assert b"caf\\udce9" in run.stderr


def test_a_screen_that_lacks_a_letter_ends_no_command(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    set_up_streams()
    print_line(new_console(), "Žalec –")
    sys.stdout.flush()
    assert written.getvalue() == b"\\u017dalec \\u2013\n"


# Batches and catalogues of others


@pytest.fixture
def hostile_batch(tmp_path: Path) -> Place:
    place = Place(tmp_path / "batch")
    name = f"patch{ESCAPE}\u202e"
    half = f"{name}\ud800"  # as JSON can write it
    writer = ManifestWriter(place, f"stage{ESCAPE}")
    writer.batch(patches=2, settings={}, executor="serial")
    writer.running(name, 1)
    failed = PatchOutcome(name, "failed", error_step=f"step{ESCAPE}{MARKUP}", error=f"why\u202e {ESCAPE}{MARKUP}")
    writer.outcome(failed)
    writer.log(name, f"<script>alert(1)</script>{ESCAPE}")
    writer.end("complete")
    line = json.loads((tmp_path / "batch" / "manifest.jsonl").read_text().splitlines()[2]) | {"name": half}
    place.append_line("manifest.jsonl", json.dumps(line))
    return place


def test_status_of_a_hostile_manifest(hostile_batch: Place, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    plain = command("status", str(hostile_batch), "--report", str(page))
    assert plain.code == 1
    assert is_harmless(plain.out + plain.err)
    assert "[red]b[/]" in plain.out
    read = command("status", str(hostile_batch), "--json")
    assert read.out.isascii()
    assert is_harmless(read.out)
    text = page.read_text()
    assert is_harmless(text)
    assert "<script" not in text


def test_batch_report_lies_beside_the_manifest(hostile_batch: Place) -> None:
    assert is_harmless(Path(write_batch_report(hostile_batch)).read_text())


def test_search_of_a_hostile_catalogue(tmp_path: Path) -> None:
    from eotasks.catalogue.store import Catalogue

    item = make_item(f"{MARKUP}\u202e{ESCAPE}")
    file = tmp_path / "c.parquet"
    Catalogue(file).add([item])
    found = command("catalogue", "search", "--catalogue", file)
    assert found.code == 0
    assert is_harmless(found.out)
    assert "[red]b[/]" in found.out
    assert json.loads(command("catalogue", "search", "--catalogue", file, "--json").out)["features"][0]["id"] == item.id


# Pages and pictures


def test_a_page_shows_all_that_is_in_a_text() -> None:
    report = Report(f"title{ESCAPE}", subtitle="\u202esub", notices=["\u2066x"])
    section = report.section(f"section\u200b{ESCAPE}<b>", f"text{ESCAPE}<script>")
    section.table([f"head{ESCAPE}"], [[f"cell\u202e{ESCAPE}<img>"]], f"caption{ESCAPE}")
    section.code(f"code{ESCAPE}", f"line\nline{ESCAPE}")
    section.absent({f"absent{ESCAPE}": f"why{ESCAPE}"})
    page = report.render()
    assert is_harmless(page)
    assert "<script" not in page
    assert "<img>" not in page
    assert "&lt;img&gt;" in page


@pytest.mark.parametrize("character", UNSEEN.values(), ids=UNSEEN)
def test_a_class_of_an_unseen_name_is_refused(character: str) -> None:
    from eotasks.errors import ConfigurationError

    with pytest.raises(ConfigurationError, match="class with id 1"):
        LandCoverClass(1, f"a{character}b", "#000000")


@pytest.mark.trial
def test_pictures_show_names_of_classes_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither mathematics between dollars, nor an underscore that hides a legend, nor HTML."""
    from eotasks.workflows.land_cover.report.build import build_report

    classes = chain().classes
    assert classes is not None
    names = ["$\\frac{1}{0}$", "_hidden", "<script>alert(1)</script>", "\\input{x}", "{}", "%s $ & #", "a" * 200]
    hostile = [
        LandCoverClass(item.id, names[index % len(names)] + "." * (index // len(names)), item.color)
        for index, item in enumerate(classes)
    ]
    renamed = ClassTable(tuple(hostile))
    monkeypatch.setattr("tests.builders.fake_chain.CLASSES", renamed)
    page = build_report([chain()]).render()
    assert "<script" not in page
    assert is_harmless(page)
    assert "&lt;script&gt;" in page


# The contract


def test_nothing_else_writes_to_the_screen() -> None:
    """`print`, `sys.stdout`, `sys.stderr`, `traceback`, consoles of rich and handlers of logs: in the console alone.

    And in the service's log, which is lines of JSON for other programs, where its processes end, and where the command
    begins, before there is a console.
    """
    service = {"service/traffic/log.py", "service/build.py", "service/evalscript/workers/main.py"}
    allowed = {"workflows/cli.py", "workflows/console.py", "errors.py", "models/clouds/weights/__main__.py"} | service
    found = []
    for path in sorted((ROOT / "eotasks").rglob("*.py")):
        name = path.relative_to(ROOT / "eotasks").as_posix()
        if name in allowed:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            called = node.func if isinstance(node, ast.Call) else None
            if isinstance(called, ast.Name) and called.id in ("print", "Console"):
                found.append(f"{name}:{called.lineno} {called.id}")
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                word = f"{node.value.id}.{node.attr}"
                if word in ("sys.stdout", "sys.stderr", "logging.basicConfig", "logging.StreamHandler") or (
                    node.value.id == "traceback"
                ):
                    found.append(f"{name}:{node.lineno} {word}")
    assert found == []
