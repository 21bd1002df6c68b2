"""A small chaos trial on Ray; the whole one is ``python -m tests.benchmarks.chaos --executor ray``."""

from __future__ import annotations

import pytest

from tests.benchmarks.chaos.__main__ import Trial, run_trial
from tests.servers.s3 import S3Server

pytest.importorskip("ray", reason="Ray is not installed (eotasks[ray])")

pytestmark = pytest.mark.trial


def test_a_batch_on_ray_survives_killed_workers_and_a_killed_store(s3_own_server: S3Server) -> None:
    # Rarely enough that on a loaded machine, too, no patch is hit by three: that is quarantine, and right.
    trial = Trial(patches=30, seconds=0.2, kill_every=8.0, outage=0.5, executor="ray")
    verdict = run_trial(trial, s3_own_server)
    assert (verdict.complete, verdict.equal, verdict.quarantined) == (30, 30, 0), verdict
    assert len(verdict.runs) <= 2
    assert verdict.kills > 0
