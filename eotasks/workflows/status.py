"""`eotasks status`: how the batches of a place stand, also while they run."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from eotasks.workflows.console import (
    Commands,
    ExitCode,
    add_command,
    add_json,
    new_console,
    new_table,
    print_note,
    write_json,
)
from eotasks.workflows.report.units import duration, memory

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.table import Table

    from eotasks.storage.place import Place
    from eotasks.workflows.batch.progress import StageProgress

_WATCH_SECONDS = 2.0
_WATCH_SHARE = 5.0
"""A large manifest is read less often, so that watching takes at most a fifth of a core."""
_SHOWN = 10
_STEPS = 8

EXAMPLES = """\
examples:
  eotasks status results/land-cover                 counts, rate, what runs, what failed, the slowest steps
  eotasks status s3://bucket/run --watch            the same, shown anew every 2 s until the batch ends
  eotasks status results/land-cover --json          for scripts
  eotasks status results/land-cover --report r.html a page with histograms and the logs of failures, and r.json
"""


def add_parser(commands: Commands) -> None:
    """Register `status` with the `eotasks` command."""
    parser = add_command(
        commands,
        "status",
        run,
        summary="how the batches of a place stand, also while they run",
        description="Reads the manifest that a batch keeps in its place: running, done, failed, quarantined, waiting.",
        epilog=EXAMPLES,
        done="nothing failed so far",
        failed="some patches failed or are quarantined",
    )
    parser.add_argument("place", metavar="PLACE", help="folder of the batch's results, or s3://bucket/prefix")
    parser.add_argument("--stage", metavar="NAME", help="only this batch")
    parser.add_argument("--watch", action="store_true", help="show it again every 2 s until nothing runs any more")
    add_json(parser, "every patch in it")
    parser.add_argument("--report", metavar="FILE.html", help="write a report, and the same as FILE.json beside it")


def run(arguments: argparse.Namespace) -> ExitCode:
    """Show a place; 1 when patches of it failed."""
    from eotasks.storage.place import Place
    from eotasks.workflows.batch.progress import read_progress

    place = Place(arguments.place)
    if arguments.report:
        from eotasks.workflows.batch.report import write_batch_report

        write_batch_report(place, arguments.report, stage=arguments.stage)
    stages = read_progress(place, stage=arguments.stage)
    if arguments.json:
        write_json([stage.to_dict() for stage in stages])
    elif arguments.watch:
        stages = _watch(place, arguments.stage)
    else:
        new_console().print(overview(stages), soft_wrap=True)
    if arguments.report:
        print_note(f"Report: {arguments.report}")
    return ExitCode.SOME_FAILED if any(stage.missing for stage in stages) else ExitCode.DONE


def _watch(place: Place, stage: str | None) -> list[StageProgress]:
    from rich.live import Live

    from eotasks.workflows.batch.progress import read_progress

    stages = read_progress(place, stage=stage)
    with Live(overview(stages), console=new_console(), auto_refresh=False) as live:
        seconds = 0.0
        while any(one.state == "running" for one in stages):
            time.sleep(max(_WATCH_SECONDS, _WATCH_SHARE * seconds))
            start = time.perf_counter()
            stages = read_progress(place, stage=stage)
            seconds = time.perf_counter() - start
            live.update(overview(stages), refresh=True)
    return stages


def overview(stages: Sequence[StageProgress]) -> Group:
    """One screen about some batches."""
    from rich.console import Group

    parts: list[RenderableType] = [_counts(stages)]
    for stage in stages:
        parts += _details(stage)
    return Group(*parts)


def _counts(stages: Sequence[StageProgress]) -> Table:
    """A line a batch; columns of which all batches have none are left out."""
    columns: dict[str, Sequence[object]] = {
        "patches": [stage.patches for stage in stages],
        "done": [stage.count("done") for stage in stages],
        "skipped": [stage.count("skipped") for stage in stages],
        "running": [len(stage.running) for stage in stages],
        "waiting": [stage.waiting + len(stage.interrupted) for stage in stages],
        "failed": [stage.count("failed") for stage in stages],
        "quarantined": [stage.count("quarantined") for stage in stages],
        "lost workers": [stage.lost_workers for stage in stages],
        "time": [duration(stage.seconds) for stage in stages],
        "left": ["" if stage.remaining_seconds is None else duration(stage.remaining_seconds) for stage in stages],
    }
    shown = {title: values for title, values in columns.items() if any(values)}
    table = new_table("batch", "state", *shown, numbers=shown, boxed=False)
    for index, stage in enumerate(stages):
        table.add_row(stage.stage, stage.state, *(str(values[index]) for values in shown.values()))
    return table


def _details(stage: StageProgress) -> list[RenderableType]:
    from rich.text import Text

    lines = [*_activity(stage), *_failures(stage), *_steps(stage)]
    return [Text(""), *map(Text, lines)] if lines else []


def _activity(stage: StageProgress) -> Iterator[str]:
    if stage.rate is not None and stage.state == "running":
        yield f"{stage.stage}: {60 * stage.rate:,.1f} patches a minute"
    for patch in stage.running[:_SHOWN]:
        again = f", attempt {patch.attempt}" if patch.attempt > 1 else ""
        yield f"running  {patch.name}, {duration(max(0.0, patch.seconds))}{again}"
    if stage.interrupted:
        more = ", …" * (len(stage.interrupted) > _SHOWN)
        yield f"interrupted  {', '.join(stage.interrupted[:_SHOWN])}{more}: to be run again by the next call"


def _failures(stage: StageProgress) -> Iterator[str]:
    for outcome in stage.missing[:_SHOWN]:
        yield f"{outcome.state}  {outcome.name}, step {outcome.error_step}: {outcome.error}"
    if len(stage.missing) > _SHOWN:
        yield f"and {len(stage.missing) - _SHOWN} more: --json has them all"
    if stage.count("quarantined"):
        yield "quarantined patches are tried again with retry_quarantined=True (eotasks land-cover --retry-quarantined)"


def _steps(stage: StageProgress) -> Iterator[str]:
    for cost in stage.steps[:_STEPS]:
        peak = "" if cost.peak_memory_mb is None else f", peak {memory(cost.peak_memory_mb)}"
        mean, slowest = duration(cost.seconds / cost.patches), duration(cost.longest)
        yield f"step  {cost.step}: {mean} a patch, slowest {slowest}{peak}"
