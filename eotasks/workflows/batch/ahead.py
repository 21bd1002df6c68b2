"""What of a worker's next patch is done while it has this one: reading, which waits for servers most of its time.

A task has a part that can be done before the turn of its patch comes where it has a method ``prepare`` that takes the
arguments of its ``execute``, which has one more, ``prepared``: a :class:`Prepared`, or None. A worker prepares
one patch, the one that it will get next, in a thread of its own. Errors and warnings of the preparation are those of
its own patch: they come out when its turn has come. Records that it logs go to the log of the process as they come.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any, Generic, TypeVar

from eolearn.core import EOWorkflow

from eotasks.errors import EOTasksWarning
from eotasks.workflows.batch.warned import give_again, warnings_aside

PREPARE = "prepare"
"""Name of the method of a task."""

PREPARED = "prepared"
"""Name of the argument of ``execute``."""

_Value = TypeVar("_Value")


class Prepared(Generic[_Value]):
    """Something that is made in a thread of its own. The thread does not keep a process that ends.

    :param make: Makes it.
    """

    def __init__(self, make: Callable[[], _Value]) -> None:
        self._make: Callable[[], _Value] | None = make
        self._made: list[_Value] = []
        self._error: BaseException | None = None
        self._warned: list[EOTasksWarning] = []
        self._thread = threading.Thread(target=self._run, name="eotasks-ahead", daemon=True)
        self._thread.start()

    @property
    def runs(self) -> bool:
        """Whether it is being made."""
        return self._thread.is_alive()

    def result(self) -> _Value:
        """What was made, once; waits for it. Warns of what its making warned of.

        :raises BaseException: what its making raised.
        """
        self._thread.join()
        give_again(self._warned)
        if self._error is not None:
            raise self._error
        return self._made.pop()

    def _run(self) -> None:
        make, self._make = self._make, None
        assert make is not None
        with warnings_aside(self._warned):
            try:
                self._made.append(make())
            except BaseException as error:  # noqa: BLE001  # goes to whoever asks for the result
                self._error = error


def prepares(workflow: EOWorkflow) -> bool:
    """Whether a workflow has a task of which a part can be done ahead."""
    return any(has_part_ahead(node.task) for node in workflow.get_nodes())


def has_part_ahead(task: object) -> bool:
    """Whether a task has a method ``prepare`` whose result its ``execute`` takes: others may have one of that name."""
    prepare, execute = getattr(task, PREPARE, None), getattr(task, "execute", None)
    return callable(prepare) and callable(execute) and PREPARED in signature(execute).parameters


class Ahead:
    """The patch that a worker prepares; at most one, also where another worker has got it in the end.

    :param workflow: Of the worker.
    """

    def __init__(self, workflow: EOWorkflow) -> None:
        self._tasks = {node.uid: node.task for node in workflow.get_nodes() if has_part_ahead(node.task)}
        self._index: int | None = None
        self._prepared: dict[str, Prepared[Any]] = {}

    def begin(self, index: int, arguments: Mapping[str, Mapping[str, object]]) -> None:
        """Prepares a patch; not, where the one before, which nobody asked for, is still being prepared.

        :param index: Of the patch.
        :param arguments: Of its tasks, by the uid of their nodes.
        """
        if any(each.runs for each in self._prepared.values()):
            return
        self._index = index
        self._prepared = {
            uid: Prepared(_bound(task, arguments[uid])) for uid, task in self._tasks.items() if uid in arguments
        }

    def take(self, index: int) -> dict[str, Prepared[Any]]:
        """What is prepared of a patch whose turn has come, by the uid of nodes; of another one nothing is kept."""
        if index != self._index:
            if not any(each.runs for each in self._prepared.values()):
                self._prepared = {}
            return {}
        found, self._prepared, self._index = self._prepared, {}, None
        return found


def _bound(task: Any, arguments: Mapping[str, object]) -> Callable[[], Any]:
    return lambda: task.prepare(**arguments)
