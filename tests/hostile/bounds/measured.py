"""What hostile input costs: each case runs in a child process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from tests import ROOT

_CHILD = """
import json, os, resource, sys, time
{setup}
def most():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
def one(code):
    open("/proc/self/clear_refs", "w").write("5")  # the peak begins anew
    before, begun = most(), time.monotonic()
    try:
        exec(code, globals())
        outcome = "no error"
    except BaseException as error:
        outcome = f"{{type(error).__name__}}: {{error}}"
    return outcome, most() - before, time.monotonic() - begun
for name, code in json.loads(sys.argv[1]).items():
    r, w = os.pipe()
    child = os.fork()
    if not child:
        os.write(w, json.dumps(one(code)).encode())
        os._exit(0)
    os.close(w)
    with os.fdopen(r, "rb") as answers:
        print(json.dumps([name, *json.loads(answers.read() or b'["died", 1e9, 0]')]), flush=True)
    os.waitpid(child, 0)
"""


@dataclass(frozen=True)
class Cost:
    """What came out of a case, and what it took."""

    outcome: str
    megabytes: float
    """Of memory at most, above that of the process before."""

    seconds: float


def measured(setup: str, cases: Mapping[str, str], **environment: str) -> dict[str, Cost]:
    """Runs each case after the setup, in a process forked for it."""
    child = subprocess.run(
        [sys.executable, "-c", _CHILD.format(setup=setup), json.dumps(dict(cases))],
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}", **environment},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    found = {name: Cost(*rest) for name, *rest in map(json.loads, child.stdout.splitlines())}
    for name, cost in found.items():
        print(f"{name:40} {cost.megabytes:7.0f} MB {cost.seconds:6.2f} s  {cost.outcome[:150]}")
    return found
