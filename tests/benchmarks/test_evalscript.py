"""The benchmark of the loop over pixels runs, and its peer gives the same images."""

from __future__ import annotations

import shutil
import sys

import pytest

from tests.benchmarks.evalscript.__main__ import WORKS, main


@pytest.mark.skipif(shutil.which("node") is None, reason="node, the peer, is not installed")
def test_every_script_has_a_row(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["evalscript", "--rounds", "1", "--size", "16"])

    main()

    printed = capsys.readouterr().out
    assert all(name in printed for name in WORKS)
