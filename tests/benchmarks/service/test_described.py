"""The run of schemathesis, with a program of ours in its place: it is told where to ask, and what it finds counts."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import psutil
import pytest

from tests.benchmarks.service.described import main, watched
from tests.benchmarks.service.server import Server

PROGRAM = f"""#!{sys.executable}
import sys, urllib.request
arguments = sys.argv[1:]
assert arguments[0] == "run"
assert int(arguments[arguments.index("--max-examples") + 1]) > 1
with urllib.request.urlopen(arguments[1]) as answer:
    assert b"/api/v1/process" in answer.read()
sys.exit(int("--fails" in sys.argv[0]))
"""


def test_looks_without_an_answer_are_counted(tmp_path: Path) -> None:
    with socket.socket() as silent:  # takes connections, and says nothing
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        server = Server(f"http://127.0.0.1:{silent.getsockname()[1]}", "", "", psutil.Process(), tmp_path)
        met = watched(server, [sys.executable, "-S", "-c", ""], tmp_path, timeout_s=0.1)
    assert (met.code, met.unanswered) == (0, 1)


@pytest.mark.trial
def test_a_program_in_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, code in (("st", 0), ("st--fails", 1)):
        program = tmp_path / name
        program.write_text(PROGRAM)
        program.chmod(0o755)
        assert main(["--schemathesis", str(program), "--cases", "100", "--folder", str(tmp_path)]) == code
        assert "answers with 5xx: none" in capsys.readouterr().out
