"""The measure itself: it runs, and says what it counts."""

from __future__ import annotations

import pytest

from tests.benchmarks.temporal.over_time import main


@pytest.mark.trial
def test_tables_of_a_coarse_year(capsys: pytest.CaptureFixture[str]) -> None:
    coarse = ["--seeds", "2", "--acquisitions", "4", "--resolution", "160"]
    main(coarse)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Simulated, realistic, seeds [2], 4 dates each, 160 m"
    assert sum("shadows" in line for line in lines) == 6
    main([*coarse, "--relief", "250"])
    rows = {line.split(" | ")[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "| with heights, in the shade of hills" in rows
