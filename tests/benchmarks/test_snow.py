"""The benchmark of snow masks runs, and its table has a row for every kind of ground."""

from __future__ import annotations

import pytest

from tests.benchmarks.snow import RULES, count, main, years


def test_every_kind_of_ground_is_counted_once() -> None:
    counts = count(years([31], 80.0, 6, realistic=True))
    assert counts["full snow (nine tenths of the pixel)"][0] > 0
    for pixels, *found in counts.values():
        assert len(found) == len(RULES)
        assert all(0 <= each <= pixels for each in found)


def test_the_tables_say_that_they_are_simulated(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--seeds", "31", "--acquisitions", "2", "--resolution", "80"])
    printed = capsys.readouterr().out
    assert printed.count("Simulated years with snow") == 2
    assert printed.count("| flooded fields |") == 2
