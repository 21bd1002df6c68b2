"""How many workers a pool has, and who uses one."""

from __future__ import annotations

import time
from dataclasses import dataclass

from eotasks.service.evalscript.workers.process import WorkerProcess


@dataclass(frozen=True)
class Places:
    """How many workers there are and what each does before it is replaced."""

    workers: int
    """Jobs that run at the same time."""

    spares: int = 1
    """Workers that stand ready beside them."""

    slow: int = 2
    """Jobs that take long and run beside the others, in workers that are started for them."""

    waiting: int = 64
    """Jobs that wait for a worker; more are refused at once."""

    jobs: int = 500
    """Jobs of one worker."""

    resident_bytes: int = 400 << 20
    """Memory that an idle worker may hold on to."""


class Lease:
    """A worker, for one job."""

    def __init__(self, worker: WorkerProcess) -> None:
        self.worker = worker
        self.is_slow = False
        self.started = time.monotonic()
