"""The workflow as the bytes that go to workers; what cannot go there is named before any work starts."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable

from eolearn.core import EOWorkflow

from eotasks.errors import BatchError
from eotasks.workflows.batch.workers.job import PatchJob


def pickled_workflow(
    workflow: EOWorkflow, jobs: Iterable[PatchJob], dumps: Callable[[object], bytes] = pickle.dumps
) -> bytes:
    """The workflow as bytes.

    :param dumps: What pickles.
    :raises BatchError: when it or the arguments of a patch cannot be pickled; it names what cannot.
    """
    cure = "use a function of a module instead of a lambda or an open handle, or executor='threads'"
    for job in jobs:
        if (error := _pickle_error(job, dumps)) is not None:
            raise BatchError(f"The arguments of patch {job.name!r} cannot go to a worker ({error}): {cure}.")
    for node in workflow.get_nodes():
        if (error := _pickle_error(node.task, dumps)) is not None:
            culprits = [name for name, value in vars(node.task).items() if _pickle_error(value, dumps) is not None]
            what = f" (attribute {', '.join(culprits)})" if culprits else ""
            raise BatchError(f"Task {node.get_name()}{what} cannot go to a worker ({error}): {cure}.")
    return dumps(workflow)


def _pickle_error(value: object, dumps: Callable[[object], bytes]) -> str | None:
    try:
        dumps(value)
    except Exception as error:  # noqa: BLE001  # pickling runs code of any class; the caller names what it could not
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
    return None
