"""`eotasks land-cover`: the command line of the land-cover workflow."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from eotasks.errors import ConfigurationError
from eotasks.workflows.batch.outcomes import PatchOutcome
from eotasks.workflows.land_cover.config import LandCoverConfig
from eotasks.workflows.land_cover.config_file import BUILT_IN, DEFAULT_CONFIG, checked_config, load_config, render_toml

if TYPE_CHECKING:
    from eotasks.workflows.land_cover.run import ExampleOutcome, LandCoverExample

DONE, SOME_FAILED = 0, 1
EXECUTORS = ("processes", "threads", "serial", "ray")
RUN_OPTIONS = ("executor", "ray", "workers", "threads")
FULL_RESOLUTION = 10.0

DESCRIPTION = "Land cover from Sentinel-2: from an area of interest to a validated map and an HTML report."
EXAMPLES = f"""\
examples:
  eotasks land-cover                              the embedded sample: one real scene and a simulated year on top of it
  eotasks land-cover --full                       the same at 10 m with 40 acquisitions, in a folder of its own
  eotasks land-cover --print-config > my.toml     a configuration to edit, every field explained
  eotasks land-cover --config my.toml --dry-run   what would be done: patches, dates, requests, bytes
  eotasks land-cover --config my.toml             do it; repeated, it skips patches that are complete
  eotasks land-cover --output s3://bucket/prefix  results on S3; settings as AWS tools have them (AWS_ENDPOINT_URL, ...)
  eotasks land-cover --config my.toml --ray auto  the same on the Ray cluster that this machine is part of

configurations that come along: {", ".join(path.stem for path in sorted(BUILT_IN.glob("*.toml")))} (--config NAME)

exit codes: 0 done, 1 some patches failed, 2 bad input, 70 a fault of eotasks itself, 130 interrupted
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `land-cover` with the `eotasks` command."""
    parser = commands.add_parser(
        "land-cover",
        help="from an area of interest to a validated map",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", metavar="FILE.toml", help="configuration file, or the name of one that comes along")
    parser.add_argument("--full", action="store_true", help="10 m and 40 acquisitions instead of 20 m and 12")
    parser.add_argument("--output", metavar="PLACE", help="folder or s3://bucket/prefix, instead of output.folder")
    parser.add_argument(
        "--seed", type=int, metavar="N", help="seed, instead of the configuration's; those of the validation follow it"
    )
    parser.add_argument(
        "--executor", choices=EXECUTORS, metavar="NAME", help=f"what runs patches: {', '.join(EXECUTORS)}"
    )
    parser.add_argument(
        "--ray", metavar="ADDRESS", help="run on a Ray cluster: auto (the one that runs here), HOST:PORT, or local"
    )
    parser.add_argument(
        "--workers", type=int, metavar="N", help="patches at a time; by default as many as cores and memory allow"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="threads of the engines; shares the cores by default")
    parser.add_argument(
        "--retry-quarantined", action="store_true", help="try patches again that cost an earlier run its workers"
    )
    parser.add_argument("--overwrite", action="store_true", help="remove the results that are there, and start over")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    parser.add_argument("--print-config", action="store_true", help="print the whole configuration and do nothing")
    parser.add_argument("--verbose", action="store_true", help="log what goes on, and show the stack of an error")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; errors of the project pass to the caller, which turns them into one line and exit code 2."""
    logging.basicConfig(level=logging.INFO if arguments.verbose else logging.ERROR)
    config = configuration(arguments)
    if arguments.print_config:
        sys.stdout.write(render_toml(config))
        return DONE
    from eotasks.workflows.land_cover.run import LandCoverExample

    console = Console(stderr=False)
    example = LandCoverExample(config, overwrite=arguments.overwrite, retry_quarantined=arguments.retry_quarantined)
    if arguments.dry_run:
        console.print(dry_run_table(example))
        return DONE
    with console_progress(console) as progress:
        outcome = example.run(ProgressReporter(progress))
    console.print(summary_table(outcome))
    for name, failed in outcome.failed.items():
        console.print(Text.assemble(("failed", "red"), f" {name}, step {failed.error_step!r}: {failed.error}"))
    console.print(f"Report: {outcome.report}", soft_wrap=True, highlight=False, markup=False)
    return SOME_FAILED if outcome.failed else DONE


def configuration(arguments: argparse.Namespace) -> LandCoverConfig:
    """The configuration of a command line: the file, then the options over it."""
    path = DEFAULT_CONFIG if arguments.config is None else _named_config(arguments.config)
    config = load_config(path)
    source, area = config.source, config.area
    if arguments.full:
        larger = source.at_full_size()
        if larger is None:
            raise ConfigurationError("--full belongs to the embedded sample: set area.resolution in your file instead.")
        config = _finer(config, factor=round(area.resolution / FULL_RESOLUTION))
        source, area = larger, area.model_copy(update={"resolution": FULL_RESOLUTION})
    output = (
        config.output if arguments.output is None else config.output.model_copy(update={"folder": arguments.output})
    )
    options = {name: getattr(arguments, name) for name in RUN_OPTIONS if getattr(arguments, name) is not None}
    if "ray" in options:
        options.setdefault("executor", "ray")
    elif "executor" in options:
        options["ray"] = None  # the file's cluster goes with the file's executor
    values = config.model_dump() | {
        "area": area.model_dump(),
        "source": source.model_dump(),
        "output": output.model_dump(),
        "run": config.run.model_dump() | options,
    }
    if arguments.seed is not None:  # the seeds of the validation move along, or nothing but the simulation would change
        seeds = list(range(arguments.seed, arguments.seed + len(config.validation.seeds)))
        values |= {
            "seed": arguments.seed,
            "validation": config.validation.model_dump() | {"seeds": seeds},
        }
    return checked_config(values, where="The command line")


def _finer(config: LandCoverConfig, *, factor: int) -> LandCoverConfig:
    """The same radii on the ground in pixels that are smaller by a factor, and a folder of its own."""
    clouds = {name: getattr(config.clouds, name) * factor for name in ("average_over", "dilation_size")}
    erosion = {"erosion_radius": config.reference.erosion_radius * factor}
    return config.model_copy(
        update={
            "clouds": config.clouds.model_copy(update=clouds),
            "reference": config.reference.model_copy(update=erosion),
            "output": config.output.model_copy(update={"folder": f"{config.output.folder}-full"}),
        }
    )


def _named_config(name: str) -> Path:
    """A file, or one that comes along by its bare name."""
    built_in = BUILT_IN / f"{name}.toml"
    return built_in if not Path(name).exists() and built_in.exists() else Path(name)


def console_progress(console: Console) -> Progress:
    """Progress bars of the stages."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=32),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )


class ProgressReporter:
    """Shows each stage as a bar."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None

    def begin(self, stage: str, total: int) -> None:
        self._task = self._progress.add_task(stage, total=total)

    def advance(self, outcome: PatchOutcome | None = None) -> None:
        if self._task is not None:
            self._progress.advance(self._task)
        if outcome is not None and outcome.missing:
            self._progress.console.print(
                f"{outcome.name} failed in {outcome.error_step}", highlight=False, markup=False
            )

    def end(self) -> None:
        if self._task is not None:
            self._progress.stop_task(self._task)


def dry_run_table(example: LandCoverExample) -> Table:
    """What would be done."""
    table = Table(title=Text(f"{example.config.title}: what would be done"), show_header=False, title_justify="left")
    for key, value in example.describe().items():
        table.add_row(key, Text(value))
    return table


def summary_table(outcome: ExampleOutcome) -> Table:
    """One screen of what came out."""
    table = Table(title=Text(outcome.title), title_justify="left")
    table.add_column("")
    for name in outcome.columns:
        table.add_column(name, justify="right")
    for label, values in outcome.rows:
        table.add_row(label, *values)
    return table
