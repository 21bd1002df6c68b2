"""Thousands of requests that schemathesis makes of the OpenAPI description, good ones and bad ones:
``python -m tests.benchmarks.service.described --schemathesis PATH/TO/st``.

schemathesis is no dependency of the project, which needs it for nothing else: install it into an environment of its own
(``python3.13 -m venv /tmp/st && /tmp/st/bin/pip install schemathesis``). It asks `eotasks serve` with a token; a 5xx
and a request without an answer are faults. Beside it, `/health` is asked every second: a service that hangs does not
answer.

The environment has Python 3.13, whatever the project runs with: in 3.11 threads that parse Python at the same time
disturb each other's count of recursions (as in python/cpython#106905). schemathesis, whose four workers do so to print
a strategy, then gives up an operation with "AST constructor recursion depth mismatch", which is no fault of the
service.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import requests

from tests.benchmarks.service.server import Server, build_days, serving

TIMEOUT_S = 120
"""Of one request: the service ends each of them earlier, and says why."""
_METHODS = ("get", "post", "put", "delete", "patch")


def operations(server: Server) -> int:
    """How many the description has."""
    paths = requests.get(f"{server.url}/openapi.json", timeout=60).json()["paths"]
    return sum(name in _METHODS for path in paths.values() for name in path)


def command(program: str, server: Server, cases: int, seed: int) -> list[str]:
    """What is run: schemathesis with as many cases an operation as make so many together."""
    each = -(-cases // operations(server))
    return [
        program, "run", f"{server.url}/openapi.json", "--url", server.url,
        "--header", f"Authorization: Bearer {server.token()}",
        "--checks", "not_a_server_error", "--phases", "coverage,fuzzing", "--max-examples", str(each),
        "--seed", str(seed), "--request-timeout", str(TIMEOUT_S), "--suppress-health-check", "all",
        "--continue-on-failure", "--workers", "4", "--warnings", "off", "--no-shrink",
    ]  # fmt: skip


@dataclass
class Watched:
    """What looks at a service met while a command ran."""

    code: int = 0
    """Of the command."""
    longest_s: float = 0.0
    """Of all looks, with those that had no answer."""
    unanswered: int = 0
    """Looks that had no answer in time, or one that broke off."""


def watched(server: Server, run: Sequence[str], folder: Path, timeout_s: float = TIMEOUT_S) -> Watched:
    """Run a command beside a look at the service each second, and a last one when the command has ended."""
    ended, met = threading.Event(), Watched()

    def look() -> None:
        is_last = False
        while not is_last:
            is_last = ended.wait(1.0)
            begun = time.perf_counter()
            try:
                requests.get(f"{server.url}/health", timeout=timeout_s)
            except requests.RequestException:
                met.unanswered += 1
            met.longest_s = max(met.longest_s, time.perf_counter() - begun)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        met.code = subprocess.run(run, cwd=folder, check=False).returncode
    finally:
        ended.set()
        thread.join()
    return met


def faults_of(server: Server) -> list[str]:
    """Lines of the service's counts that are of answers with 5xx. The token endpoint says 503 when it has no room."""
    lines = requests.get(f"{server.url}/metrics", timeout=60).text.splitlines()
    return [line for line in lines if line.startswith("eotasks_requests_total") and 'status="5' in line]


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints what schemathesis says, and what the service counts; 1 where a request has met a fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schemathesis", default="st", metavar="PROGRAM", help="(st)")
    parser.add_argument("--cases", type=int, default=10_000, help="(10,000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where products and logs are kept; else they are made anew")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        with serving(folder / "described", build_days(folder, 2)) as server:
            run = command(options.schemathesis, server, options.cases, options.seed)
            met = watched(server, run, folder)
            faults = faults_of(server)
    print(f"\n/health took {met.longest_s:.1f} s at most, and had no answer {met.unanswered} times")
    print(f"answers with 5xx: {', '.join(faults) or 'none'}")
    return 1 if met.code or met.unanswered or faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
