"""A small chaos trial; the whole one is ``python -m tests.benchmarks.chaos``."""

from __future__ import annotations

import pytest

from tests.benchmarks.chaos.__main__ import Trial, run_trial, table
from tests.servers.s3 import S3Server

pytestmark = pytest.mark.trial


def test_a_batch_survives_killed_workers_and_a_killed_store(s3_own_server: S3Server) -> None:
    trial = Trial(patches=40, seconds=0.1, kill_every=1.0, outage=0.5)
    verdict = run_trial(trial, s3_own_server)
    assert (verdict.complete, verdict.equal, verdict.quarantined) == (40, 40, 0), verdict
    assert len(verdict.runs) <= 2
    assert verdict.kills > 1
    assert "| equal to an undisturbed run | 40 of 40 |" in table(trial, verdict)
