"""The benchmark of hostile files runs, finds what it is to find, and finds it again."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from eotasks.errors import ImageryError
from eotasks.limits import ATTEMPTS
from tests.benchmarks.hostile import __main__ as command
from tests.benchmarks.hostile.format import Format
from tests.benchmarks.hostile.formats import FORMATS
from tests.benchmarks.hostile.guard import CANARY
from tests.benchmarks.hostile.mutations import mutated
from tests.benchmarks.hostile.runner import run_format, run_here

QUICK = ("card", "configuration", "sidecar", "aws-info", "item", "scene-labels", "eopatch-marker", "forest")
"""Formats of which a hundred cases take less than a second."""


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.filterwarnings("ignore::eotasks.errors.EOTasksWarning")  # of what was changed: it is read
def test_a_hundred_cases_of_a_format(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ATTEMPTS.variable, "1")  # as the cases of some formats do
    found = run_here(name, range(100), tmp_path)
    assert [(seed, fault, error) for seed, fault, error in found if fault] == []
    assert any(error is None for _, _, error in found)
    assert any(error is not None for _, _, error in found)


def test_the_same_seed_is_the_same_file() -> None:
    sample = b'{"a": [1, 2, {"b": "c"}], "d": null}'
    for seed in range(50):
        one, other = (mutated(random.Random(seed), [sample], "json") for _ in range(2))
        assert one == other


def _fails(folder: Path) -> object:
    def read(content: bytes) -> object:
        {
            ord("a"): lambda: None,
            ord("b"): lambda: (_ for _ in ()).throw(ImageryError("no")),
            ord("c"): lambda: [][1],
            ord("d"): lambda: __import__("os").abort(),
            ord("e"): lambda: __import__("time").sleep(60),
            ord("f"): CANARY.read_bytes,
            ord("g"): lambda: __import__("subprocess").run(["true"], check=True),
            ord("h"): lambda: bytearray(10**12),
        }[content[0]]()
        return None

    return [b"a"], read


def test_every_kind_of_fault_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Crashes and hangs cost the case that did it, and no other."""
    monkeypatch.setitem(FORMATS, "made", Format("made", "bytes", _fails))  # type: ignore[arg-type]
    letters = iter(b"abcdefgha")
    order = {seed: bytes([letter]) for seed, letter in enumerate(letters)}
    monkeypatch.setattr("tests.benchmarks.hostile.runner._Cases.content", lambda _, seed: order[seed])
    result = run_format("made", len(order), 0, 2)
    kinds = {(fault.seed, fault.kind) for fault in result.faults}
    assert kinds == {(2, "bare"), (3, "crash"), (4, "hang"), (5, "outside"), (6, "outside"), (7, "memory")}
    assert (result.accepted, result.refused, result.cases) == (2, 1, 9)


def test_a_case_is_shown_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.replay("card:3") == 0
    assert "bytes: b" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="FORMAT:SEED"):
        command.replay("nothing")
