"""`eotasks archive`: cloud masks of every product of a source, made once, kept whole."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from eotasks.workflows.cloud_archive.reports import (
    build_json,
    looking_bar,
    print_build,
    print_plan,
    print_repair,
    print_status,
    print_verification,
    repair_json,
    verification_json,
)
from eotasks.workflows.console import (
    Commands,
    ExitCode,
    add_allow_host,
    add_command,
    add_json,
    add_out,
    add_overwrite,
    add_requester_pays,
    add_sign,
    add_threads,
    new_console,
    print_note,
    write_json,
)
from eotasks.workflows.notices import print_warnings, typed_warnings
from eotasks.workflows.product_masks.arguments import add_mask_arguments, mask_options
from eotasks.workflows.product_masks.options import AVAILABLE

if TYPE_CHECKING:
    from eotasks.catalogue.request import SearchRequest

RESOLUTION = 160
"""Metres, as the service has it."""

DESCRIPTION = """\
An archive of cloud masks: CLP, CLM and SHADOW of every product of a source, one Cloud Optimized GeoTIFF each with a
STAC item beside them, and a catalogue of the products with their masks. Run again it takes what is new."""

EXAMPLES = """\
examples:
  eotasks archive plan products.parquet --workers 8         what it will cost, measured on a few of the products
  eotasks archive build products.parquet --out masks        every L1C product of a catalogue
  eotasks archive build s3://bucket/tiles --out s3://bucket/masks --workers 8
  eotasks archive build https://stac.example.org/v1 --out masks --time 2024-05-01/2024-09-30 --bbox 12 52 13 53
  eotasks archive status masks                              what is there and what goes on, also while it is built
  eotasks archive verify masks --sample 10                  checksums, orphans and holes; ten products made again
  eotasks archive repair masks                              does what verify finds
"""

_PLAN = """\
Seconds are those of one thread, reading and writing with it; hours take it that workers do not wait for each other.
Bytes read are those of servers, or of files.

prices, all optional: currency = "USD", core_hour, gigabyte_read, gigabyte_written, gigabyte_month, thousand_requests

examples:
  eotasks archive plan s3://bucket/tiles --workers 16 --prices prices.toml
  eotasks archive plan products.parquet --json > here.json
  eotasks archive plan https://stac.example.org/v1 --time 2024-05-01/2024-09-30 --assume here.json
"""

_BUILD = """\
SOURCE is a catalogue (FILE.parquet), the address of a STAC API, a folder, or s3://bucket/prefix. Its L1C products are
masked on the grid of their tile, from its corner; L2A products of the same acquisitions gain the masks in the
catalogue of the archive, PLACE/catalogue.parquet. With --detector scl it is the other way round.

A repeated command makes what is new, what failed, and what was processed anew since, whose older masks it removes. What
is known is not looked at again; --overwrite makes all of it anew, and is what other settings need. One builder at a
time has a place, a second one is refused. Killed, it goes on where it was.

Bad products are named, the others are made (exit code 1). Of products that show the same pixels the newest is made.
Two products that are parts of one acquisition of a tile are both made, each for itself; who reads puts them together.

detectors:
DETECTORS

examples:
  eotasks archive build archive/ --out masks --shadows
  eotasks archive build products.parquet --out masks --sampling nearest      CLP as Sentinel Hub computes it
  eotasks archive build products.parquet --out /share/masks --ray auto       on a Ray cluster
"""


def add_parser(commands: Commands) -> None:
    """Register `archive` with the `eotasks` command."""
    parser = add_command(
        commands,
        "archive",
        None,
        summary="cloud masks of every product of an archive, kept whole",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        failed="some products failed",
    )
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    _add_plan(actions)
    _add_build(actions)
    _add_status(actions)
    _add_verify(actions)
    _add_repair(actions)


def _build_epilog() -> str:
    from eotasks.clouds.detectors.registry import detector_list

    return _BUILD.replace("DETECTORS", detector_list(AVAILABLE))


def _add_plan(actions: Commands) -> None:
    plan = add_command(
        actions,
        "plan",
        run_plan,
        summary="what an archive will cost",
        description="Count the products of a source, measure a few of them here, and say what all will take. Nothing is"
        "\nwritten.",
        epilog=_PLAN,
    )
    plan.add_argument("source", metavar="SOURCE", help="catalogue, STAC API, folder or s3://bucket/prefix")
    add_out(plan, metavar="PLACE", help="the archive: products that it has are not counted")
    add_search(plan)
    add_mask_arguments(plan, resolution=RESOLUTION)
    plan.add_argument("--workers", type=int, metavar="N", default=1, help="for the hours, one core each (1)")
    plan.add_argument("--measure", type=int, metavar="N", default=3, help="products to measure, at random (3)")
    plan.add_argument("--seed", type=int, metavar="S", default=0, help="which N (0)")
    plan.add_argument("--assume", metavar="FILE", help="figures of a product instead, of a plan's --json elsewhere")
    plan.add_argument("--prices", metavar="FILE", help="what is paid for, TOML, see below")
    add_json(plan)


def _add_build(actions: Commands) -> None:
    build = add_command(
        actions,
        "build",
        run_build,
        summary="make the masks that an archive has not",
        description="Make the masks of all products of a source that an archive has not.",
        epilog=_build_epilog,
        failed="some products failed",
    )
    build.add_argument("source", metavar="SOURCE", help="catalogue, STAC API, folder or s3://bucket/prefix")
    add_out(build, metavar="PLACE", help="the archive: a folder or s3://bucket/prefix")
    add_search(build)
    add_mask_arguments(build, resolution=RESOLUTION)
    where = build.add_mutually_exclusive_group()
    where.add_argument("--workers", type=int, metavar="N", help="products at a time (as memory and cores allow)")
    where.add_argument("--ray", metavar="ADDRESS", help="run on a Ray cluster: auto, HOST:PORT, or local")
    add_threads(build, default="the cores, shared among the workers")
    build.add_argument("--timeout", type=float, metavar="S", help="seconds that a product may take (any time)")
    build.add_argument(
        "--retry-quarantined", action="store_true", help="try products again that have cost three workers"
    )
    add_overwrite(build, "make all masks anew, also with other settings")
    add_json(build)


def _add_place(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("place", metavar="PLACE", help="the archive: a folder or s3://bucket/prefix")


def _add_status(actions: Commands) -> None:
    status = add_command(
        actions,
        "status",
        run_status,
        summary="what an archive has, and what its builder does",
        description="Say what an archive has and how its builder stands, also while it runs.",
    )
    _add_place(status)
    add_json(status)


def _add_verify(actions: Commands) -> None:
    verify = add_command(
        actions,
        "verify",
        run_verify,
        summary="whether an archive is whole",
        description="Look whether an archive is whole: checksums of all images, files without items, items without"
        "\nfiles, the catalogue against both, and a sample that is made again. Nothing is written.",
        done="it is whole",
        failed="something is wrong",
    )
    _add_place(verify)
    _add_looks(verify)
    add_json(verify)


def _add_repair(actions: Commands) -> None:
    repair = add_command(
        actions,
        "repair",
        run_repair,
        summary="make an archive whole",
        description="Do what verify finds: make damaged masks again from their sources, catalogue what is not, and"
        "\nremove files without an item and rows without masks.",
        done="it is whole",
        failed="some masks could not be made again",
    )
    _add_place(repair)
    _add_looks(repair)
    repair.add_argument("--workers", type=int, metavar="N", help="products at a time (as memory and cores allow)")
    add_threads(repair, default="the cores, shared among the workers")
    add_json(repair)


def _add_looks(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quick", action="store_true", help="sizes of images only, no checksums")
    parser.add_argument("--sample", type=int, metavar="N", default=0, help="make N products again and compare (0)")
    parser.add_argument("--seed", type=int, metavar="S", default=0, help="which N (0)")
    parser.add_argument("--source", metavar="SOURCE", help="where the products are now (where their items say)")
    add_allow_host(parser)
    add_sign(parser)
    add_requester_pays(parser)


def add_search(parser: argparse.ArgumentParser) -> None:
    """Adds the options that say which products of a source are meant, and how it is reached."""
    parser.add_argument("--time", metavar="FIRST[/LAST]", help="days or times, UTC; .. leaves an end open")
    parser.add_argument(
        "--bbox", nargs=4, type=float, metavar=("WEST", "SOUTH", "EAST", "NORTH"), help="degrees; products that meet it"
    )
    parser.add_argument("--max-cloud-cover", type=float, metavar="C", help="of a whole scene, 0..1")
    add_allow_host(parser)
    add_sign(parser)
    add_requester_pays(parser)


def request_of(arguments: argparse.Namespace) -> SearchRequest:
    """The search that a command line asks for.

    :raises EOTasksError: a value that cannot be searched for.
    """
    from eotasks.catalogue.request import SearchRequest

    interval = None
    if arguments.time is not None:
        first, slash, last = arguments.time.partition("/")
        ends = [None if end in ("", "..") else end for end in (first, last if slash else first)]
        interval = (ends[0], ends[1])
    return SearchRequest.of(bbox=arguments.bbox, time_interval=interval, max_cloud_cover=arguments.max_cloud_cover)


def run_build(arguments: argparse.Namespace) -> ExitCode:
    """Build; 1 when products failed."""
    from eotasks.errors import ConfigurationError
    from eotasks.workflows.cloud_archive.build import build_archive

    if arguments.out is None:
        raise ConfigurationError("--out PLACE: name the archive, a folder or s3://bucket/prefix.")
    options, request = mask_options(arguments), request_of(arguments)
    console = new_console()
    told: list[str] = []
    with typed_warnings(told), looking_bar() as look:
        result = build_archive(
            arguments.source,
            arguments.out,
            options,
            request=request,
            executor="processes" if arguments.ray is None else "ray",
            ray=arguments.ray,
            workers=arguments.workers,
            threads=arguments.threads,
            patch_timeout=arguments.timeout,
            modifier=arguments.sign,
            overwrite=arguments.overwrite,
            retry_quarantined=arguments.retry_quarantined,
            on_source=look,
            progress=not arguments.json,
        )
    if arguments.json:
        write_json(build_json(result))
        for text in told:
            print_note(f"Warning: {text}")
    else:
        print_build(console, result, options)
        print_warnings(console, told)
    return ExitCode.SOME_FAILED if result.failed else ExitCode.DONE


def run_plan(arguments: argparse.Namespace) -> ExitCode:
    """Say what an archive will cost."""
    from eotasks.workflows.cloud_archive.plan import plan_archive, read_figures, read_prices

    options, request = mask_options(arguments), request_of(arguments)
    assume = None if arguments.assume is None else read_figures(arguments.assume)
    prices = None if arguments.prices is None else read_prices(arguments.prices)
    told: list[str] = []
    with typed_warnings(told), looking_bar() as look:
        plan = plan_archive(
            arguments.source,
            options,
            request=request,
            out=arguments.out,
            workers=arguments.workers,
            measured=arguments.measure,
            assume=assume,
            prices=prices,
            seed=arguments.seed,
            modifier=arguments.sign,
            on_source=look,
        )
    if arguments.json:
        write_json(plan.to_dict())
        for text in told:
            print_note(f"Warning: {text}")
    else:
        console = new_console()
        print_plan(console, plan)
        print_warnings(console, told)
    return ExitCode.DONE


def run_status(arguments: argparse.Namespace) -> ExitCode:
    """Say how an archive stands."""
    from eotasks.workflows.cloud_archive.status import archive_status

    status = archive_status(arguments.place)
    if arguments.json:
        write_json(status.to_dict())
    else:
        print_status(new_console(), status)
    return ExitCode.DONE


def run_verify(arguments: argparse.Namespace) -> ExitCode:
    """Look whether an archive is whole; 1 when it is not."""
    from eotasks.workflows.cloud_archive.verify import verify_archive

    with looking_bar() as look:
        found = verify_archive(
            arguments.place,
            checksums=not arguments.quick,
            sample=_sample(arguments),
            seed=arguments.seed,
            source=arguments.source,
            modifier=arguments.sign,
            progress=look,
        )
    if arguments.json:
        write_json(verification_json(found))
    else:
        print_verification(new_console(), found)
    return ExitCode.SOME_FAILED if found.findings else ExitCode.DONE


def run_repair(arguments: argparse.Namespace) -> ExitCode:
    """Make an archive whole; 1 when masks could not be made again."""
    from eotasks.workflows.cloud_archive.repair import repair_archive

    told: list[str] = []
    with typed_warnings(told):
        result = repair_archive(
            arguments.place,
            checksums=not arguments.quick,
            sample=_sample(arguments),
            seed=arguments.seed,
            source=arguments.source,
            workers=arguments.workers,
            threads=arguments.threads,
            modifier=arguments.sign,
            progress=not arguments.json,
        )
    if arguments.json:
        write_json(repair_json(result))
        for text in told:
            print_note(f"Warning: {text}")
    else:
        console = new_console()
        print_repair(console, result)
        print_warnings(console, told)
    return ExitCode.SOME_FAILED if result.failed else ExitCode.DONE


def _sample(arguments: argparse.Namespace) -> int:
    from eotasks.errors import ConfigurationError

    sample: int = arguments.sample
    if sample < 0:
        raise ConfigurationError(f"--sample {sample}: give a number of products, 0 for none.")
    return sample
