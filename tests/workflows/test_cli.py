"""What the command leaves behind in the process that it runs in."""

from __future__ import annotations

import gc
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
