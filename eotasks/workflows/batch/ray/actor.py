"""What a worker process of Ray does: it takes the workflow, then one patch at a time.

The class travels to the cluster by value: a process of Ray learns first where this package lies and which settings
count, since engines read theirs when they load. So nothing but the standard library stands at the top here.
"""

from __future__ import annotations

import logging
import os
import pickle
import queue
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from platform import python_version_tuple
from typing import Any

_BROKEN = 1


class RayWorker:
    """An actor that runs patches. Messages to the driver are those of `eotasks.workflows.batch.workers.messages`; the
    report is the last one of a patch.

    :param environment: Variables that are set here, those of the threads among them.
    :param paths: Where the driver finds modules; those that exist here are searched too, after this machine's own.
    :param folder: The driver's working directory, on which relative paths of tasks rest; used where it exists.
    :param level: Level of the driver's root logger.
    """

    def __init__(self, environment: Mapping[str, str], paths: Sequence[str], folder: str, level: int) -> None:
        os.environ.update(environment)
        if os.path.isdir(folder):  # noqa: PTH112  # one import less before engines read their threads
            os.chdir(folder)
        sys.path.extend(path for path in paths if path not in sys.path and os.path.exists(path))  # noqa: PTH110  # zips too
        self._level = level
        self._jobs: queue.SimpleQueue[tuple[bytes, Callable[[str, object], None]]] = queue.SimpleQueue()
        self._send: Callable[[str, object], None] | None = None
        self._workflow: Any = None

    def prepare(self, workflow: bytes, versions: Mapping[str, str]) -> dict[str, str]:
        """Loads the workflow.

        :param workflow: Pickled.
        :param versions: Of Python and of packages on the driver, which have to be the same here.
        :return: Facts of this process; with ``refused``, the reason why no patch can run here.
        """
        facts = self.facts()
        host = facts["host"]
        try:
            from importlib.metadata import version as version_of

            from eotasks.workflows.batch.workers.entry import ignore_library_warnings
            from eotasks.workflows.batch.workers.loop import rebuild_error, set_up_process

            found = {"Python": ".".join(python_version_tuple()[:2]), "eotasks": version_of("eotasks")}
        except ImportError as error:
            return facts | {
                "refused": f"Node {host} of the Ray cluster cannot load eotasks ({error}): install the same version of"
                " eotasks in the environment (image) of every node."
            }
        for name, version in versions.items():
            if found[name] != version:
                return facts | {
                    "refused": f"Node {host} of the Ray cluster has {name} {found[name]}, and this process {version}:"
                    " install the same version everywhere."
                }
        ignore_library_warnings()
        set_up_process(self._level, self._forward)
        try:
            self._workflow = pickle.loads(workflow)  # noqa: S301  # of our own driver
        except BaseException as error:  # noqa: BLE001  # unpickling imports and runs the user's modules; the driver gets the error
            return facts | {"refused": rebuild_error(error)}
        threading.Thread(target=self._work, name="eotasks-patches", daemon=True).start()
        return facts

    def facts(self) -> dict[str, str]:
        """Where this process is."""
        return {"host": socket.gethostname(), "pid": str(os.getpid())}

    def execute(self, job: bytes) -> Iterator[bytes]:
        """Runs a patch; messages come while it runs."""
        from eotasks.workflows.batch.workers.messages import encode

        messages: queue.SimpleQueue[tuple[str, bytes, threading.Event]] = queue.SimpleQueue()

        def send(kind: str, content: object) -> None:
            received = threading.Event()
            messages.put((kind, encode(kind, content), received))
            if kind == "step":
                received.wait()  # the driver knows the step before it begins, should it be the end of this process

        self._jobs.put((job, send))
        kind = ""
        while not kind.endswith("report"):
            kind, message, received = messages.get()
            yield message  # comes back when the driver has received it, as it holds us to one message at a time
            received.set()

    def _work(self) -> None:
        """One patch after the other, in a thread of their own: the actor's own hands out the messages meanwhile."""
        from eotasks.workflows.batch.ahead import Ahead
        from eotasks.workflows.batch.warned import warnings_of_threads
        from eotasks.workflows.batch.workers.job import execute_packed_job
        from eotasks.workflows.batch.workers.loop import is_worn_out, step_memory

        memory, ahead = step_memory(), Ahead(self._workflow)
        with warnings_of_threads():
            while True:
                job, send = self._jobs.get()
                self._send = send
                try:
                    report = execute_packed_job(
                        self._workflow, job, memory=memory, on_step=lambda uid: send("step", uid), ahead=ahead  # noqa: B023  # called before the next
                    )  # fmt: skip
                    self._send = None
                    send("last report" if is_worn_out() else "report", report)
                except BaseException:
                    logging.getLogger(__name__).exception("A patch ends its worker.")
                    os._exit(_BROKEN)  # or the driver would wait for ever

    def _forward(self, kind: str, content: object) -> None:
        """Passes a log record on to the driver, as long as a patch runs."""
        if self._send is not None:
            self._send(kind, content)
