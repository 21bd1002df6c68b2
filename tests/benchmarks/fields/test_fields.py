"""The benchmarks of fields run, and what they print is of all that they looked at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.fields import curve, spectrum


@pytest.mark.trial
def test_every_square_is_in_one_class() -> None:
    (found,) = spectrum.simulated([21], 1, [16], realistic=False, resolution=160)
    assert found.pixels.shape == found.probability.shape == (3 * 6,)
    counts = [int(line.split("|")[2]) for line in spectrum.by_pixels(found).splitlines()[2:]]
    assert sum(counts) == 18
    counts = [int(line.split("|")[2]) for line in spectrum.agreement(found).splitlines()[4:]]
    assert sum(counts) == 18


def test_squares_are_means() -> None:
    values = np.arange(35, dtype=float).reshape(5, 7)
    np.testing.assert_array_equal(spectrum.squares(values, 2), [4, 6, 8, 18, 20, 22])
    assert spectrum.squares(np.stack([values, values], axis=-1), 2).shape == (6, 2)


@pytest.mark.usefixtures("shared_data")
def test_real_series(capsys: pytest.CaptureFixture[str]) -> None:
    assert [len(found.pixels) for _, found in spectrum.real()] == [12, 48]
    curve.main(["--fields", "2", "--count", "2"])
    printed = capsys.readouterr().out
    assert "NDVI of 2 fields (real L2A), 4 observations" in printed
    assert printed.count("| strength") == 5


def test_without_the_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(curve, "SERIES", tmp_path / "none.parquet")
    curve.main([])
    assert "nothing to measure" in capsys.readouterr().out
