"""What the command leaves behind in the process that it runs in."""

from __future__ import annotations

import gc
import importlib.util
import sys
from collections.abc import Callable

import pytest

from eotasks.workflows import cli


def test_the_process_of_another_program_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    at_end: list[Callable[[], None]] = []
    monkeypatch.setattr("atexit.register", at_end.append)
    monkeypatch.setattr("atexit.unregister", lambda function: function in at_end and at_end.remove(function))
    before = gc.get_threshold()
    for _ in range(2):
        with pytest.raises(SystemExit):
            cli.main(["clean", "--help"])
    assert at_end == []
    assert gc.get_threshold() == before
    monkeypatch.setattr("sys.argv", ["eotasks", "clean", "--help"])
    for _ in range(2):
        with pytest.raises(SystemExit):
            cli.main()
    assert at_end == [gc.freeze], "once"


def test_an_interrupt_while_it_is_imported_shows_no_stack(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another copy of the module, whose import of the console is interrupted."""

    class Interrupt:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "eotasks.workflows.console":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "eotasks.workflows.console")
    monkeypatch.setattr(sys, "meta_path", [Interrupt(), *sys.meta_path])
    spec = importlib.util.spec_from_file_location("another_cli", cli.__file__)
    assert spec is not None
    assert spec.loader is not None
    with pytest.raises(SystemExit) as end:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    assert end.value.code == cli.ExitCode.INTERRUPTED
    assert end.value.__suppress_context__
    assert capsys.readouterr().err == "eotasks: interrupted before it began.\n"
