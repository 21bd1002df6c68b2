"""A batch on the screen of whoever calls it from Python: a bar in a terminal, a line now and then elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from eotasks.workflows.bars import progress_bars
from eotasks.workflows.batch.outcomes import PatchOutcome
from eotasks.workflows.console import new_console, print_failed

Listener = Callable[[PatchOutcome], None]
"""Is called with each outcome as it comes."""


@contextmanager
def shown_progress(stage: str, patches: int, *, wanted: bool) -> Iterator[Listener | None]:
    """What shows the outcomes of a batch on stderr while it runs; None where that is not wanted.

    :param patches: How many there are.
    """
    if not wanted:
        yield None
        return
    console = new_console(errors=True)
    with progress_bars(console) as progress:
        task = progress.add_task(stage, total=patches)

        def show(outcome: PatchOutcome) -> None:
            if outcome.missing:
                print_failed(console, f"{outcome.name}, step {outcome.error_step}: {outcome.error}")
            progress.advance(task)

        yield show


def each_of(*listeners: Listener | None) -> Listener | None:
    """One that calls all of them; None where there is none."""
    found = [listener for listener in listeners if listener is not None]

    def call(outcome: PatchOutcome) -> None:
        for listener in found:
            listener(outcome)

    return call if found else None
