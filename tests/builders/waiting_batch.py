"""A batch in a process of its own that waits to be looked at, interrupted or killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from eotasks.storage.place import Place
from tests import ROOT

SCRIPT = """
import contextlib, sys, warnings
warnings.simplefilter("ignore")
from pathlib import Path
from eolearn.core import EONode, EOWorkflow
from tests.builders.batch_tasks import WaitTask
from eotasks.storage.lease import hold_lease
from eotasks.storage.place import Place
from eotasks.workflows.batch.run import run_batch
if __name__ == "__main__":
    folder, place, executor, around = Path(sys.argv[1]), Place(sys.argv[2]), sys.argv[3], sys.argv[4]
    node = EONode(WaitTask(folder))
    patches = {name: {node: {"name": name}} for name in ("a", "b", "c", "d")}
    with hold_lease(Place(around), "a command") if around else contextlib.nullcontext():
        run_batch(EOWorkflow([node]), patches, executor=executor, workers=2, place=place)
"""


def until(condition: Callable[[], bool]) -> None:
    """Waits for something that another process does."""
    for _ in range(15_000):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("it did not happen within five minutes")


@contextmanager
def waiting_batch(
    folder: Path, place: Place | None = None, *, executor: str = "processes", around: Place | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A batch of ``a``, ``b``, ``c`` and ``d`` with two workers, whose patches wait for the file ``go`` (`WaitTask`).

    :param place: Of the batch; None: the folder ``place``.
    :param around: A place that the process has the lease of while the batch runs.
    """
    script = folder / "script.py"
    script.write_text(SCRIPT)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    locations = str(place or folder / "place"), executor, str(around or "")
    batch = subprocess.Popen(
        [sys.executable, script, folder, *locations], env=environment, stderr=subprocess.PIPE, text=True
    )
    try:
        until(lambda: (folder / "a.begun").exists() and (folder / "b.begun").exists())
        yield batch
    finally:
        (folder / "go").touch()
        batch.kill()
        batch.communicate(timeout=300)
