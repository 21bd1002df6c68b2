"""Loaded once by the fork server, so that workers start at once and share these pages.

Only modules that start no threads of their own: forking a process that has run OpenMP or numba breaks its pools.
"""

from __future__ import annotations

from eotasks.workflows.batch.workers.entry import ignore_library_warnings

ignore_library_warnings()

import eotasks.workflows.batch.workers.loop  # noqa: E402, F401  # after the filter that keeps its warnings off the screen
