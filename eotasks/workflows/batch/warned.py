"""What a patch warns of while it runs: a worker has no screen of its own, so it goes with the report of the patch."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from eotasks import errors
from eotasks.errors import WARNING_FILTERS, EOTasksWarning, give_warning
from eotasks.text import shortened

_WARNINGS = 20
"""That are kept of a patch."""

_CHARACTERS = 2_000

_THREAD = threading.local()


@contextmanager
def warnings_aside(into: list[EOTasksWarning]) -> Iterator[None]:
    """Warnings of ours that this thread gives inside the block go to a list: they are of another patch than the one
    that the process runs.
    """
    _THREAD.aside = into
    try:
        yield
    finally:
        del _THREAD.aside


def give_again(warned: Sequence[EOTasksWarning]) -> None:
    """Gives warnings that were put aside."""
    for message in warned:
        give_warning(message)


@contextmanager
def warnings_of_threads() -> Iterator[None]:
    """Keeps what threads put aside also between two patches. What the user asked of Python (``-W``) holds."""
    with warnings.catch_warnings():
        if not sys.warnoptions:
            warnings.simplefilter("always", EOTasksWarning)
        show = warnings.showwarning

        def keep(message: Warning | str, category: type[Warning], *where: Any, **options: Any) -> None:
            if not _is_aside(message):
                show(message, category, *where, **options)

        warnings.showwarning = keep
        yield


def _is_aside(message: Warning | str) -> bool:
    """Whether a warning is put aside, which is done."""
    aside: list[EOTasksWarning] | None = getattr(_THREAD, "aside", None)
    if aside is None or not isinstance(message, EOTasksWarning):
        return False
    aside.append(message)
    return True


@contextmanager
def kept_warnings() -> Iterator[list[str]]:
    """Keeps warnings of ours that are given inside the block, each once, as "ScaleWarning: what it says".

    The filters belong to the process, which must run one patch at a time. What the user asked of Python (``-W``) holds.
    """
    kept: dict[str, None] = {}
    texts: list[str] = []
    before = warnings.catch_warnings()
    with WARNING_FILTERS:  # a thread that prepares the next patch may be changing them as well
        before.__enter__()
        if not sys.warnoptions:
            warnings.simplefilter("always", EOTasksWarning)
        show = warnings.showwarning

        def keep(message: Warning | str, category: type[Warning], *where: Any, **options: Any) -> None:
            if _is_aside(message):
                return
            if not issubclass(category, EOTasksWarning):
                show(message, category, *where, **options)
            elif len(kept) < _WARNINGS:
                kept[f"{category.__name__}: {shortened(str(message), _CHARACTERS)}"] = None

        warnings.showwarning = keep
    try:
        yield texts
    finally:
        with WARNING_FILTERS:
            before.__exit__(None, None, None)
        texts.extend(kept)


def warning_class(kind: str) -> type[EOTasksWarning]:
    """The class of that name; the base of all for one of a plugin."""
    found = vars(errors).get(kind)
    return found if isinstance(found, type) and issubclass(found, EOTasksWarning) else EOTasksWarning
