"""Loaded once by the fork server, so that workers start at once and share these pages.

Only modules that may be forked: forking a process that has run OpenMP or numba breaks its pools. The threads of
OpenBLAS (numpy, scipy) and of jemalloc (pyarrow) end before a fork and start again after it, by handlers of their own.
"""

from __future__ import annotations

import warnings

from eotasks.workflows.batch.workers.entry import ignore_library_warnings

ignore_library_warnings()
# Python 3.12 and newer warn of any thread in a process that forks, also of those.
warnings.filterwarnings(
    "ignore", r".* is multi-threaded, use of fork\(\)", DeprecationWarning, r"multiprocessing\.forkserver"
)

import eotasks.workflows.batch.workers.loop  # noqa: E402, F401  # after the filter that keeps its warnings off the screen
