"""`python_worker` in a process in which V8 runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eotasks.service.evalscript.workers.main import serve
from tests.servers.workers.python import V8World


def main(options: Mapping[str, Any]) -> None:
    """Run it; does not return."""
    serve(options, V8World())
