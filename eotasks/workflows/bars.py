"""Progress of long work: bars in a terminal, elsewhere (a file, a pipe, nohup, cron, Slurm) a line now and then.

rich is imported when something is shown, as in `eotasks.workflows.console`.
"""

from __future__ import annotations

import functools
import threading
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from eotasks.workflows.console import print_line, reader_is_gone
from eotasks.workflows.report.units import duration

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, Task, TaskID

FIRST_SECONDS = 10.0
MOST_SECONDS = 60.0
"""Between two lines: at first, and at most. In between a tenth of the time that the work has taken."""


def progress_bars(console: Console) -> Progress:
    """Progress of long work; a context. Each part has a name, a count and the time it has taken.

    In a terminal, parts are bars. Elsewhere they are lines: one for each part that has ended, and one of those that run
    whenever some time has passed. A part with the field ``transient`` is named by the latter only.
    """
    if not _shows_bars(console):
        return _lines_class()(console=console, disable=True)
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=32),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )


def _shows_bars(console: Console) -> bool:
    if console.is_jupyter:
        return find_spec("ipywidgets") is not None  # without it, rich warns at every turn of a bar
    # Output is led through a bar while it is on the screen, which two threads at once would tangle.
    return console.is_terminal and not console.is_dumb_terminal and _is_main_thread()


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


@functools.cache
def _lines_class() -> type[Progress]:
    from rich.progress import Progress

    class Lines(Progress):
        """Shows nothing by itself: a thread writes lines of the parts that run, and each that ends has one."""

        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self._ended = threading.Event()
            self._thread: threading.Thread | None = None
            self._told: dict[TaskID, float] = {}
            """Parts whose end was written, and at which count."""

        def start(self) -> None:
            self._ended.clear()
            self._thread = threading.Thread(target=self._write_now_and_then, name="eotasks-progress", daemon=True)
            self._thread.start()

        def stop(self) -> None:
            self._ended.set()
            if self._thread is not None:
                self._thread.join()
                self._thread = None
            for task in self.tasks:
                self._write_end(task)

        def update(self, task_id: TaskID, **changes: Any) -> None:
            super().update(task_id, **changes)
            self._write_if_done(task_id)

        def advance(self, task_id: TaskID, advance: float = 1) -> None:
            super().advance(task_id, advance)
            self._write_if_done(task_id)

        def stop_task(self, task_id: TaskID) -> None:
            super().stop_task(task_id)
            self._write_end(self._tasks[task_id])

        def _write_if_done(self, task_id: TaskID) -> None:
            if self._tasks[task_id].finished:
                self._write_end(self._tasks[task_id])

        def _write_end(self, task: Task) -> None:
            if task.visible and not task.fields.get("transient") and self._told.get(task.id) != task.completed:
                self._told[task.id] = task.completed
                print_line(self.console, _words(task))

        def _write_now_and_then(self) -> None:
            start = time.monotonic()
            while not self._ended.wait(min(MOST_SECONDS, max(FIRST_SECONDS, (time.monotonic() - start) / 10))):
                with self._lock:
                    parts = [task for task in self._tasks.values() if task.visible and not task.finished]
                    line = "; ".join(_words(task) for task in parts if task.stop_time is None)
                if line and not reader_is_gone(self.console.file):  # the thread of the work is to notice that
                    print_line(self.console, line)

    return Lines


def _words(task: Task) -> str:
    of = "" if task.total is None else f"/{task.total:.0f}"
    count = "" if task.total is None and not task.completed else f" {task.completed:.0f}{of},"
    return f"{task.description}:{count} {duration(task.elapsed or 0.0)}"


class StageReporter:
    """Shows each stage of some work as a bar, one below the other."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None

    def begin(self, stage: str, total: int | None) -> None:
        """A stage is begun; None: how much it is to do is not known yet."""
        self._task = self._progress.add_task(stage, total=total)

    def advance(self) -> None:
        """One more is done."""
        if self._task is not None:
            self._progress.advance(self._task)

    def update(self, done: int, total: int) -> None:
        """So many are done, of so many."""
        if self._task is not None:
            self._progress.update(self._task, completed=done, total=total)

    def end(self) -> None:
        """The stage has ended."""
        if self._task is not None:
            self._progress.stop_task(self._task)

    def line(self, text: str) -> None:
        """Shows a line above the bars."""
        print_line(self._progress.console, text)
