"""`eotasks compare-mask-sources`: masks of a service, or masks computed of its bands: what each costs."""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from eotasks.errors import ConfigurationError
from eotasks.workflows.bars import StageReporter, progress_bars
from eotasks.workflows.console import Commands, ExitCode, add_command, add_out, new_console, new_table, print_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from eotasks.workflows.compare_mask_sources.endpoint import Endpoint
    from eotasks.workflows.compare_mask_sources.plan import Plan
    from eotasks.workflows.compare_mask_sources.run import Comparison

DEFAULT_OUT = "results/compare-mask-sources"
DEFAULT_DATES = ("2024-01-01", "2024-12-31")
"""The simulated year of `eotasks serve --demo`."""

DESCRIPTION = """\
Six bands with CLM and CLP of a service against ten bands of which the masks are computed: time, bytes, requests and
memory of a process on one core, in the same patches at the same dates. Without --base-url it starts `eotasks serve
--demo` for itself."""

EXAMPLES = """\
examples:
  eotasks compare-mask-sources                                25 patches of 500 m of the demonstration, three times
  eotasks compare-mask-sources --patches 4 --repeats 1        a first look
  eotasks compare-mask-sources --with-s2cloudless             and the package s2cloudless as a third way
  eotasks compare-mask-sources --mask-resolution 160          compute masks at the size of those of the service
  eotasks compare-mask-sources --base-url https://masks.example.org --center 14.5 46.05 --dates 2019-01-01 2019-12-31

The folder of results gets report.html, comparison.png (memory over time), figures.json, runs.csv and memory.csv.
Credentials of a service are those of SH_CLIENT_ID and SH_CLIENT_SECRET, or of a profile of the sentinelhub package; one
that is open takes any. Nothing else should run meanwhile; the load of the machine is in the report.
"""


def add_parser(commands: Commands) -> None:
    """Register `compare-mask-sources` with the `eotasks` command."""
    parser = add_command(
        commands,
        "compare-mask-sources",
        run,
        summary="what masks of a service cost, against computing them",
        description=DESCRIPTION,
        epilog=EXAMPLES,
    )
    parser.add_argument("--patches", type=int, default=25, metavar="N", help="patches, side by side (25)")
    parser.add_argument("--size", type=float, default=500, metavar="M", help="metres of a side of a patch (500)")
    parser.add_argument("--resolution", type=float, default=10, metavar="M", help="metres of a pixel (10)")
    parser.add_argument(
        "--dates",
        nargs=2,
        default=DEFAULT_DATES,
        metavar=("FIRST", "LAST"),
        help="first and last day; all acquisitions between are taken, however cloudy (2024-01-01 2024-12-31)",
    )
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="runs of each way, in turns (3)")
    parser.add_argument(
        "--mask-resolution", type=float, metavar="M", help="metres at which masks are computed (those of the bands)"
    )
    parser.add_argument(
        "--with-s2cloudless", action="store_true", help="also the package s2cloudless, on the same ten bands"
    )
    parser.add_argument("--base-url", metavar="URL", help="address of a service that runs (one of its own is started)")
    parser.add_argument("--profile", metavar="NAME", help="profile of the sentinelhub package that names the service")
    parser.add_argument(
        "--center",
        nargs=2,
        type=float,
        metavar=("LON", "LAT"),
        help="middle of the patches in degrees (that of the demonstration)",
    )
    add_out(parser, DEFAULT_OUT)


def run(arguments: argparse.Namespace) -> ExitCode:
    """Measure, and say what came out."""
    from eotasks.storage.lease import hold_lease
    from eotasks.workflows.compare_mask_sources.results import claim_results, write_results

    plan = _plan(arguments)
    place = claim_results(arguments.out)
    console = new_console()
    with (
        tempfile.TemporaryDirectory(prefix="eotasks-compare-") as folder,
        hold_lease(place, "eotasks compare-mask-sources") as lease,
    ):
        comparison = _compare(arguments, plan, Path(folder), console)
        lease.check()
        report = write_results(comparison, place)
    _show(comparison, console)
    print_line(console, f"Report: {report}")
    return ExitCode.DONE


def _plan(arguments: argparse.Namespace) -> Plan:
    from eotasks.workflows.compare_mask_sources.plan import make_plan
    from eotasks.workflows.compare_mask_sources.ways import require_s2cloudless

    if arguments.with_s2cloudless:
        require_s2cloudless()
    first, last = arguments.dates
    center = None if arguments.center is None else (arguments.center[0], arguments.center[1])
    if center is not None and not _names_service(arguments):
        raise ConfigurationError("--center is for a service that runs: give --base-url or --profile, or leave it out.")
    return make_plan(
        patches=arguments.patches,
        size=arguments.size,
        resolution=arguments.resolution,
        dates=(first, last),
        repeats=arguments.repeats,
        center=center,
        mask_resolution=arguments.mask_resolution,
        with_s2cloudless=arguments.with_s2cloudless,
    )


def _names_service(arguments: argparse.Namespace) -> bool:
    return arguments.base_url is not None or arguments.profile is not None


@contextlib.contextmanager
def _service(arguments: argparse.Namespace, folder: Path) -> Iterator[tuple[Endpoint, str]]:
    """The service, and what it is in words."""
    from eotasks.workflows.compare_mask_sources.endpoint import demonstration, existing
    from eotasks.workflows.compare_mask_sources.processes import cores

    if _names_service(arguments):
        endpoint = existing(arguments.base_url, arguments.profile)
        yield endpoint, endpoint.base_url
        return
    with demonstration(folder, cores()[1]) as endpoint:
        yield endpoint, "eotasks serve --demo, started for this: a simulated year over the embedded scene"


def _compare(arguments: argparse.Namespace, plan: Plan, folder: Path, console: Console) -> Comparison:
    from eotasks.workflows.compare_mask_sources.run import compare

    with progress_bars(console) as progress:
        reporter = StageReporter(progress)
        reporter.begin("the service is looked at" if _names_service(arguments) else "the service starts", None)
        with _service(arguments, folder) as (endpoint, service):
            reporter.end()
            reporter.begin("runs", len(plan.ways) + len(plan.order))
            return compare(plan, endpoint, folder / "runs", service=service, advance=reporter.advance)


def _show(comparison: Comparison, console: Console) -> None:
    from eotasks.workflows.compare_mask_sources import tables

    console.print(summary_table(comparison))
    console.print(agreement_table(comparison))
    print_line(console, tables.conclusion(comparison))
    if comparison.simulated:
        print_line(console, tables.SIMULATED)


def summary_table(comparison: Comparison) -> Table:
    """Medians, a column for each way."""
    from eotasks.workflows.compare_mask_sources import tables

    plan, header = comparison.plan, tables.summary_header(comparison)
    title = (
        f"{len(plan.boxes)} patches of {plan.size:g} m at {plan.resolution:g} m, {comparison.acquisitions} acquisitions"
        f" together, median of {plan.repeats}"
    )
    table = new_table(*header, numbers=header[1:], title=title, boxed=False)
    for row in tables.summary_rows(comparison):
        table.add_row(*row)
    table.caption = comparison.machine.client_words
    return table


def agreement_table(comparison: Comparison) -> Table:
    """How masks agree."""
    from eotasks.workflows.compare_mask_sources import tables

    table = new_table(*tables.AGREEMENT_HEADER, numbers=tables.AGREEMENT_HEADER[1:], boxed=False)
    for row in tables.agreement_rows(comparison):
        table.add_row(*row)
    return table
