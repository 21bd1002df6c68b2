"""A run of `python -m tests.benchmarks.killed_saves` at less length."""

from __future__ import annotations

import pytest

from tests.benchmarks.killed_saves import run_on_disk, run_on_s3
from tests.servers.s3 import S3Server


@pytest.mark.trial
def test_on_disk() -> None:
    outcome = run_on_disk(40)
    assert not outcome.faults
    assert outcome.kills == 40
    assert "refused" not in outcome.plain


@pytest.mark.trial
def test_on_s3(s3_server: S3Server) -> None:
    outcome = run_on_s3(s3_server, 25)
    assert not outcome.faults
    assert outcome.kills == 25
