"""Warnings of what dask computes, which reach the user also where that runs in another process."""

from __future__ import annotations

import sys

from eotasks.errors import EOTasksWarning, warn_caller


def warn_user(text: str, category: type[EOTasksWarning], *details: object) -> None:
    """As ``warn_caller``; in a process of its own, a worker of distributed sends it to its clients.

    :param text: What happened, where, and the cure.
    :param details: What the category takes beside the text.
    """
    distributed = sys.modules.get("distributed")  # where it is not loaded this is no worker
    elsewhere = False
    if distributed is not None:
        try:
            elsewhere = getattr(distributed.get_worker(), "nanny", None) is not None
        except ValueError:  # not in a worker
            elsewhere = False
    if distributed is not None and elsewhere:
        distributed.warn(category(text, *details), category=category)
    else:
        warn_caller(text, category, *details)
