"""What all commands share: how they are registered, their options and exit codes, and how they show things."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from eotasks.errors import AreaError
from eotasks.workflows import bars, cli, console
from tests.builders.command_line import command
from tests.builders.waiting_batch import until

HEAVY = {"rich", "eolearn", "sentinelhub", "rasterio", "matplotlib", "numba", "lightgbm", "ray", "duckdb"}

GREET = """
from eotasks.errors import AreaError
from eotasks.workflows.console import Commands, ExitCode, add_command, add_out, add_threads

def add_parser(commands: Commands) -> None:
    parser = add_command(
        commands, "greet", run, summary="greet people", description="Greets.", epilog="examples:\\n  eotasks greet you",
        failed="some were out",
    )
    parser.add_argument("name")
    add_out(parser, "results/greet")
    add_threads(parser)

def run(arguments):
    problems = {
        "ours": AreaError("two\\nlines: cure"), "theirs": PermissionError(13, "Permission denied", "x"),
        "stop": KeyboardInterrupt(), "bug": KeyError("k"),
    }
    if arguments.name in problems:
        raise problems[arguments.name]
    print(arguments.name, arguments.out, arguments.threads)
    return ExitCode.SOME_FAILED if arguments.name == "nobody" else ExitCode.DONE
"""

UNREAD = """
import argparse, sys
from eotasks.workflows import console
def run(arguments):
    sys.stdin.readline()
    if sys.argv[1] == "rich":
        console.print_line(console.new_console(), "a")
    else:
        console.write_json("a")
    return console.ExitCode.DONE
sys.exit(console.run_command(argparse.Namespace(run=run, verbose=False)))
"""

LOADED = """
import sys
from eotasks.workflows.cli import main
try:
    code = main()
except SystemExit as end:
    code = end.code
sys.stderr.write(" ".join(sys.modules))
sys.exit(code)
"""


def leaves(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parsers of a command that run something: itself, or its actions."""
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not groups:
        yield parser
    for group in groups:
        for inner in group.choices.values():
            yield from leaves(inner)


def shown(width: int = 40) -> tuple[Console, io.StringIO]:
    screen = console.new_console()
    screen.file = io.StringIO()
    screen.width = width
    return screen, screen.file


class TestRegistry:
    @pytest.mark.parametrize("name", cli.COMMANDS)
    def test_each_command_is_one_of_the_house(self, name: str) -> None:
        for parser in leaves(cli.parser(name)):
            assert parser.prog.startswith(f"eotasks {name}"), "the module registers the name of its line"
            assert parser.description
            assert "exit codes: 0 " in (parser.epilog or "")
            assert "2 bad input, 70 a fault of eotasks" in (parser.epilog or "")
            told = " ".join((parser.epilog or "").split())
            assert all(f" {code:d} " in told for code in console.ExitCode if code != console.ExitCode.SOME_FAILED)
            options = parser._option_string_actions
            assert "--verbose" in options
            assert ("--out" in options) == ("--output" in options)
            assert options.get("--threads", argparse.Action([], "threads", type=int)).type is int
        assert "examples:" in command(name, "--help").out

    @pytest.fixture
    def greet(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A command more: its module, and its line in the registry."""
        (tmp_path / "greet_command.py").write_text(GREET)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setitem(cli.COMMANDS, "greet", "greet_command")

    @pytest.mark.usefixtures("greet")
    def test_a_command_takes_a_module_and_a_line(self) -> None:
        assert "greet people" in command("--help").out
        told = command("greet", "--help")
        codes = (
            "exit codes: 0 done, 1 some were out, 2 bad input, 70 a fault of eotasks itself, 130 interrupted, 141 the"
        )
        assert f"{codes} reader of the output has gone" in " ".join(told.out.split())
        assert "folder or s3://bucket/prefix for results (results/greet)" in " ".join(told.out.split())
        assert command("greet", "you", "--threads", "2").out == "you results/greet 2\n"
        for spelling in ("--out", "--output"):
            assert command("greet", "you", spelling, "there").out == "you there None\n"

    @pytest.mark.usefixtures("greet")
    @pytest.mark.parametrize(
        ("name", "code", "last"),
        [
            ("you", 0, ""),
            ("nobody", 1, ""),
            ("ours", 2, "eotasks: two lines: cure"),
            ("theirs", 2, "eotasks: [Errno 13] Permission denied: 'x'. Check the path, the rights and the space."),
            ("stop", 130, "eotasks: interrupted; the same command goes on where this one stopped."),
            ("bug", 70, "eotasks: a fault of eotasks itself: KeyError: 'k'"),
        ],
    )
    def test_how_it_ends_is_its_exit_code(self, name: str, code: int, last: str) -> None:
        result = command("greet", name)
        assert result.code == code
        lines = result.err.splitlines()
        assert (lines[-1] if lines else "") == last
        assert len(lines) <= 1 or code == console.ExitCode.OWN_FAULT, "the stack is for faults of ours"
        if code == console.ExitCode.BAD_INPUT:
            assert "Traceback" in command("greet", name, "--verbose").err

    @pytest.mark.parametrize(
        ("arguments", "code", "both"),
        [
            (["--help"], 141, False),
            (["--help"], 141, True),
            (["land-cover", "--print-config"], 141, False),
            (["doctor", "--json"], 141, False),
            (["landcover"], 2, True),
            (["clean", "/nowhere"], 2, False),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
    )
    def test_no_command_complains_of_a_closed_pipe(self, arguments: list[str], code: int, both: bool) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        line = [sys.executable, "-m", "eotasks.workflows.cli", *arguments]
        ended = subprocess.run(line, stdout=writer, stderr=writer if both else subprocess.PIPE, timeout=400)
        os.close(writer)
        assert ended.returncode == code
        if not both:
            assert b"Broken pipe" not in ended.stderr
            assert b"Traceback" not in ended.stderr
            assert bool(ended.stderr) == (code == 2)

    def test_streams_that_are_closed_from_the_beginning_lead_nowhere(self) -> None:
        line = f"exec {shlex.quote(sys.executable)} -m eotasks.workflows.cli clean /nowhere"
        for closed in (">&-", "2>&-", ">&- 2>&-"):
            ended = subprocess.run(["sh", "-c", f"{line} {closed}"], capture_output=True, text=True, timeout=400)
            assert ended.returncode == 2
            assert "Traceback" not in ended.stderr

    @pytest.mark.parametrize(
        ("arguments", "meant"),
        [
            (["landcover"], "land-cover"),
            (["cloud_mask"], "cloud-mask"),
            (["catalogue", "seerch"], "search"),
            (["cloud-mask", "--thrshold", "0.4"], "--threshold"),
            (["land-cover", "--retry-quarentined"], "--retry-quarantined"),
            (["cloud-mask", "--preset", "eolearn"], "eo-learn"),
            (["catalogue", "search", "--level", "l1c"], "L1C"),
            (["new-config", "landcover"], "land-cover"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else value,
    )
    def test_what_was_meant(self, arguments: list[str], meant: str) -> None:
        result = command(*arguments)
        assert result.code == 2
        assert f"(did you mean '{meant}'?)" in result.err

    def test_an_option_is_told_by_the_command_it_was_given_to(self) -> None:
        result = command("cloud-mask", "--elevation", "3")
        assert result.err.startswith("usage: eotasks cloud-mask ")
        assert result.err.endswith("error: unrecognized arguments: --elevation\n")

    @pytest.mark.parametrize("options", [[], ["-u"]], ids=["buffered", "unbuffered"])
    @pytest.mark.parametrize("way", ["rich", "write"])
    def test_a_reader_that_has_gone_is_no_failure(self, way: str, options: list[str]) -> None:
        """As after `| head`: neither a message nor the exit code of failed patches."""
        line = [sys.executable, *options, "-c", UNREAD, way]
        process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.close()
        _, error = process.communicate(b"begin\n", timeout=400)
        assert (process.returncode, error) == (141, b"")

    def test_another_broken_pipe_is_an_error(self, capfd: pytest.CaptureFixture[str]) -> None:
        def run(_: argparse.Namespace) -> console.ExitCode:
            raise BrokenPipeError(32, "Broken pipe")

        assert console.run_command(argparse.Namespace(run=run, verbose=False)) == console.ExitCode.BAD_INPUT
        assert "Broken pipe" in capfd.readouterr().err

    @pytest.mark.parametrize("arguments", [["--help"], ["clean", "--help"], ["status", "--help"], ["cloud-mask", "-h"]])
    def test_help_loads_nothing_heavy(self, arguments: list[str]) -> None:
        assert not HEAVY & loaded_by(*arguments)

    def test_a_command_without_bars_loads_no_rich(self, tmp_path: Path) -> None:
        assert "rich" not in loaded_by("clean", str(tmp_path))


def loaded_by(*arguments: str) -> set[str]:
    """Top-level names of the modules that a command line has loaded in a process of its own."""
    ended = subprocess.run([sys.executable, "-c", LOADED, *arguments], capture_output=True, text=True, timeout=400)
    assert ended.returncode == 0, ended.stderr
    assert "eotasks.workflows.console" in ended.stderr.split()
    return {name.partition(".")[0] for name in ended.stderr.split()}


def _wrapped(*errors: BaseException) -> None:
    """Raises the last of some errors, each because of the one before or while it was dealt with."""
    try:
        if errors[1:]:
            _wrapped(*errors[:-1])
    except BaseException as before:
        if isinstance(errors[-1], OSError):
            raise errors[-1]  # noqa: B904 - in the course of dealing with it
        raise errors[-1] from before
    raise errors[-1]


@pytest.mark.parametrize(
    ("errors", "code", "message"),
    [
        ((KeyboardInterrupt(), RuntimeError("Error calling __set_name__")), 130, "interrupted"),
        ((KeyboardInterrupt(), OSError(5, "cannot clean up")), 130, "interrupted"),
        ((KeyboardInterrupt(), ImportError("half"), AreaError("no area")), 130, "interrupted"),
        ((KeyError("k"), AreaError("no area")), 2, "no area"),
    ],
    ids=["while a class is made", "while it cleans up", "twice wrapped", "no interrupt"],
)
def test_an_interrupt_is_one_whatever_others_make_of_it(
    errors: tuple[BaseException, ...], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def run() -> console.ExitCode:
        _wrapped(*errors)
        raise AssertionError

    assert console.guarded(run) == code
    told = capsys.readouterr().err
    assert told.startswith(f"eotasks: {message}")
    assert "Traceback" not in told


class TestScreen:
    ODD = "results/[red]a[/red]/:cat:/" + "x" * 60 + " y [/]"

    def test_lines_are_shown_as_they_are_in_one_piece(self) -> None:
        screen, text = shown()
        console.print_line(screen, f"Results: {self.ODD}")
        console.print_failed(screen, f"{self.ODD}: why")
        assert text.getvalue() == f"Results: {self.ODD}\nfailed {self.ODD}: why\n"

    @pytest.mark.parametrize("boxed", [True, False])
    def test_tables_cut_nothing_and_read_no_markup(self, boxed: bool) -> None:
        screen, text = shown()
        table = console.new_table("name", "[b]", numbers=["[b]"], title="[i]all", boxed=boxed)
        table.add_row(self.ODD, "1")
        table.add_row("short", "22")
        screen.print(table)
        lines = text.getvalue().splitlines()
        assert lines[0].strip() == "[i]all"
        words = "".join(line.replace("│", " ") for line in lines).split()
        assert "[b]" in text.getvalue()
        assert "".join(words).count("x") == 60
        assert "…" not in text.getvalue()
        assert next(line for line in lines if "short" in line).rstrip(" │").endswith(" 22")

    def test_a_table_without_header(self) -> None:
        screen, text = shown()
        table: Table = console.new_table("", "", header=False)
        table.add_row("key", "value")
        screen.print(table)
        assert len(text.getvalue().splitlines()) == 3

    def test_stages_are_bars_with_counts(self) -> None:
        screen, text = shown(120)
        screen._force_terminal = True
        with bars.progress_bars(screen) as progress:
            reporter = bars.StageReporter(progress)
            reporter.begin("[observe]", 3)
            reporter.advance()
            reporter.line(self.ODD)
            reporter.end()
            reporter.begin("products", None)
            reporter.update(2, 5)
        assert self.ODD in text.getvalue()
        assert "━" in text.getvalue()
        shown_lines = text.getvalue().splitlines()
        assert any("[observe]" in line and "1/3" in line for line in shown_lines)
        assert any("products" in line and "2/5" in line for line in shown_lines)

    def test_elsewhere_each_stage_is_a_line_when_it_has_ended(self) -> None:
        """A file, a pipe, nohup, cron: no bars, no moving of a cursor."""
        screen, text = shown(40)
        with contextlib.suppress(KeyError), bars.progress_bars(screen) as progress:
            reporter = bars.StageReporter(progress)
            reporter.begin("[observe]", 2)
            reporter.advance()
            reporter.line(self.ODD)
            reporter.advance()
            reporter.end()
            reporter.begin("products", None)
            reporter.update(2, 5)
            part = progress.add_task("one product", total=3, transient=True)
            progress.update(part, completed=3)
            raise KeyError  # what was cut short is told, too
        lines = text.getvalue().splitlines()
        assert [line.rpartition(",")[0] for line in lines] == ["", "[observe]: 2/2", "products: 2/5"]
        assert lines[0] == self.ODD

    def test_elsewhere_long_work_has_a_line_now_and_then(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bars, "FIRST_SECONDS", 0.01)
        monkeypatch.setattr(bars, "MOST_SECONDS", 0.01)
        screen, text = shown(40)
        with bars.progress_bars(screen) as progress:
            reporter = bars.StageReporter(progress)
            reporter.begin("observe", 9)
            reporter.update(4, 9)
            progress.add_task("a patch that takes its time", total=None, transient=True)
            until(lambda: text.getvalue().count("observe: 4/9, ") >= 2)
        assert "; a patch that takes its time: " in text.getvalue()
        assert text.getvalue().endswith(" s\n")
        assert not [thread for thread in threading.enumerate() if thread.name == "eotasks-progress"]

    def test_records_do_not_tear_the_bars(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """On a terminal, rich shows above the bars what goes to stderr; a handler that keeps the old one passes by."""
        root, error = logging.Logger("root"), io.StringIO()
        monkeypatch.setattr(logging, "root", root)
        monkeypatch.setattr(sys, "stderr", error)
        console.set_up_logging(verbose=True)
        screen, text = shown(120)
        screen._force_terminal = True
        with bars.progress_bars(screen):
            root.info("while it runs")
            root.debug("too much")
        root.info("afterwards")
        assert "INFO:root:while it runs" in text.getvalue()
        assert error.getvalue() == "INFO:root:afterwards\n"

    def test_without_verbose_errors_alone_are_logged(self, monkeypatch: pytest.MonkeyPatch) -> None:
        root, error = logging.Logger("root"), io.StringIO()
        monkeypatch.setattr(logging, "root", root)
        monkeypatch.setattr(sys, "stderr", error)
        console.set_up_logging(verbose=False)
        root.warning("a warning")
        root.error("an error")
        assert error.getvalue() == "ERROR:root:an error\n"

    def test_json_passes_any_pipe(self, capsys: pytest.CaptureFixture[str]) -> None:
        content = {"name": "Škofja Loka \udcff"}
        console.write_json(content)
        told = capsys.readouterr().out
        assert told.isascii()
        assert json.loads(told) == content
