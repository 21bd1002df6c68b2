"""The benchmark of the batch's own cost runs, on few patches."""

from __future__ import annotations

import pytest

from tests.benchmarks.batch import __main__ as batch


@pytest.mark.trial
def test_all_sides_run_and_the_table_names_them() -> None:
    with batch.sides() as chosen:
        found = batch.measure(chosen, 12, 2, 1)
    text = batch.table(found, 12, 2)
    for name in ("eo-learn EOExecutor", "run_batch, no manifest", "run_batch, manifest on disk"):
        assert len(found[name]) == 1
        assert f"| {name} |" in text


def test_the_verdict_follows_the_median() -> None:
    text = batch.table({"run_batch, fast": [1.0, 2.0, 50.0], "run_batch, slow": [25.0], "eo-learn": [99.0]}, 10, 2)
    assert "| run_batch, fast | 2.00 | 1.00 to 50.00 | under 20 ms: met |" in text
    assert "| run_batch, slow | 25.00 | 25.00 to 25.00 | under 20 ms: missed |" in text
    assert "| eo-learn | 99.00 | 99.00 to 99.00 |  |" in text
