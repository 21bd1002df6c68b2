"""A batch in a process of its own whose patches come upon secrets: run as ``python -m tests.hostile.secret_batch``."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Literal

import requests
from eolearn.core import EONode, EOTask, EOWorkflow

from eotasks.errors import ImageryError
from eotasks.storage.place import Place
from eotasks.workflows.batch.run import run_batch
from eotasks.workflows.console import set_up_logging

LOGGER = logging.getLogger(__name__)


class AskTask(EOTask):
    """Asks a server at an address that holds secrets, and fails as the name of its patch says."""

    def execute(self, *, name: str) -> str:
        address = os.environ["SECRET_ADDRESS"]
        LOGGER.warning("%s asks %s with %s\n%s", name, address, os.environ["AWS_SECRET_ACCESS_KEY"], {"token": address})
        if name == "ours":
            raise ImageryError(f"{address}: not there.")
        if name == "requests":
            requests.get(address, timeout=5)
        if name == "caused":
            try:
                requests.get(address, timeout=5)
            except requests.RequestException as error:
                raise ValueError(os.environ["AWS_SESSION_TOKEN"]) from error
        if name == "lost":
            os._exit(1)
        return name


def main(folder: str, executor: Literal["processes", "threads"]) -> None:
    """Runs the batch with its manifest and logs in a folder."""
    warnings.simplefilter("ignore")
    set_up_logging(verbose=True)
    node = EONode(AskTask())
    patches = {name: {node: {"name": name}} for name in ("good", "ours", "requests", "caused", "lost")}
    if executor != "processes":
        del patches["lost"]
    result = run_batch(
        EOWorkflow([node]), patches, place=Place(Path(folder)), stage="secrets", executor=executor, workers=2
    )
    for outcome in result.outcomes:
        sys.stdout.write(f"{outcome}\n")


if __name__ == "__main__":
    main(sys.argv[1], "processes" if sys.argv[2] == "processes" else "threads")
