"""`eotasks land-cover`: the command line of the land-cover workflow."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from eotasks.errors import ConfigurationError
from eotasks.workflows.bars import StageReporter, progress_bars
from eotasks.workflows.console import (
    Commands,
    ExitCode,
    add_allow_host,
    add_command,
    add_out,
    add_overwrite,
    add_requester_pays,
    add_sign,
    add_threads,
    new_console,
    new_table,
    print_failed,
    print_line,
    print_plain,
)
from eotasks.workflows.land_cover.config_file import BUILT_IN, DEFAULT_CONFIG, checked_config, load_config, render_toml
from eotasks.workflows.notices import print_warnings, typed_warnings

if TYPE_CHECKING:
    from rich.table import Table

    from eotasks.workflows.batch.outcomes import PatchOutcome
    from eotasks.workflows.land_cover.config import LandCoverConfig
    from eotasks.workflows.land_cover.run import ExampleOutcome, LandCoverExample

EXECUTORS = ("processes", "threads", "serial", "ray")
RUN_OPTIONS = ("executor", "ray", "workers", "threads", "patch_timeout")
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
"""


def add_parser(commands: Commands) -> None:
    """Register `land-cover` with the `eotasks` command."""
    parser = add_command(
        commands,
        "land-cover",
        run,
        summary="from an area of interest to a validated map",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        failed="some patches failed",
    )
    parser.add_argument("--config", metavar="FILE.toml", help="configuration file, or the name of one that comes along")
    parser.add_argument("--full", action="store_true", help="10 m and 40 acquisitions instead of 20 m and 12")
    add_out(parser, help="folder or s3://bucket/prefix for results, instead of output.folder")
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
    add_threads(parser, default="a worker's share of the cores")
    parser.add_argument(
        "--patch-timeout",
        type=float,
        metavar="SECONDS",
        help="end a patch that takes longer; three times quarantine it",
    )
    parser.add_argument(
        "--retry-quarantined", action="store_true", help="try patches again that cost an earlier run its workers"
    )
    add_overwrite(parser, "remove the results that are there, and start over")
    add_allow_host(parser)
    add_sign(parser)
    add_requester_pays(parser)
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    parser.add_argument("--print-config", action="store_true", help="print the whole configuration and do nothing")


def run(arguments: argparse.Namespace) -> ExitCode:
    """Make the map, and say what came out; 1 when patches failed."""
    config = configuration(arguments)
    if arguments.print_config:
        print_plain(render_toml(config))
        return ExitCode.DONE
    from eotasks.workflows.land_cover.run import LandCoverExample

    console = new_console()
    told: list[str] = []
    with typed_warnings(told):
        example = LandCoverExample(config, overwrite=arguments.overwrite, retry_quarantined=arguments.retry_quarantined)
    if arguments.dry_run:
        with typed_warnings(told):
            console.print(dry_run_table(example))
        print_warnings(console, told)
        return ExitCode.DONE
    with progress_bars(console) as progress:
        outcome = example.run(ProgressReporter(progress))
    console.print(summary_table(outcome))
    if outcome.note:
        print_line(console, outcome.note)
    for name, failed in outcome.failed.items():
        print_failed(console, f"{name}, step {failed.error_step!r}: {failed.error}")
    print_warnings(console, told)
    print_line(console, f"Report: {outcome.report}")
    return ExitCode.SOME_FAILED if outcome.failed else ExitCode.DONE


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
    if arguments.sign is not None:
        if "sign" not in type(source).model_fields:
            raise ConfigurationError(f"--sign: source {source.kind!r} reads no STAC items: leave it out.")
        source = source.model_copy(update={"sign": arguments.sign})
    output = config.output if arguments.out is None else config.output.model_copy(update={"folder": arguments.out})
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


class ProgressReporter(StageReporter):
    """Shows each stage as a bar, and patches that fail above it."""

    def advance(self, outcome: PatchOutcome | None = None) -> None:
        super().advance()
        if outcome is not None and outcome.missing:
            self.line(f"{outcome.name} failed in {outcome.error_step}")


def dry_run_table(example: LandCoverExample) -> Table:
    """What would be done."""
    table = new_table("", "", header=False, title=f"{example.config.title}: what would be done")
    for key, value in example.describe().items():
        table.add_row(key, value)
    return table


def summary_table(outcome: ExampleOutcome) -> Table:
    """One screen of what came out."""
    table = new_table("", *outcome.columns, numbers=outcome.columns, title=outcome.title)
    for label, values in outcome.rows:
        table.add_row(label, *values)
    return table
