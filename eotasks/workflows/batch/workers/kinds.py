"""How patches may run: executors, and how worker processes start."""

from __future__ import annotations

from typing import Literal

ExecutorName = Literal["processes", "threads", "ray", "serial"]
"""As `eotasks.workflows.batch.run.run_batch` explains them."""

EXECUTORS: tuple[ExecutorName, ...] = ("processes", "threads", "ray", "serial")

StartMethod = Literal["forkserver", "spawn"]
"""How worker processes start; they are never forked from this one."""

START_METHODS: tuple[StartMethod, ...] = ("forkserver", "spawn")

NO_RAY = "executor='ray' needs Ray, which is not installed: pip install 'eotasks[ray]', or use executor='processes'."
"""For whoever imports a module that needs it."""
