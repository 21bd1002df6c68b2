"""`eotasks zonal-stats`: statistics of fields, date by date."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from eotasks.errors import ConfigurationError
from eotasks.workflows.console import (
    Commands,
    ExitCode,
    add_command,
    add_out,
    add_overwrite,
    new_console,
    new_table,
    print_failed,
    print_line,
)
from eotasks.workflows.notices import print_warnings, typed_warnings
from eotasks.workflows.zonal_stats.options import (
    DEFAULT_OUT,
    EXECUTORS,
    FORMATS,
    FORMS,
    SHOWN,
    add_demo,
    numbers_of,
    words_of,
)
from eotasks.workflows.zonal_stats.sources.registry import add_source_options, source_of

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from eotasks.workflows.batch.workers.kinds import ExecutorName
    from eotasks.workflows.zonal_stats.run import ZonalResult
    from eotasks.workflows.zonal_stats.sources.base import Source
    from eotasks.zonal.polygons import Polygons

DESCRIPTION = (
    "Mean, standard deviation, minimum, maximum, median and percentiles of indices and bands for every field and date,"
    "\nover clear pixels and over all, with the parts of the field under cloud, in shadow and without data."
)
_EXAMPLES = """\
FIELDS is a GeoPackage, GeoJSON, GeoParquet or Shapefile of polygons, in any coordinate system, on disk or S3. Pixels
count with the part of them that lies in the field, exactly. The table has the columns
  id, time (UTC), band, over (clear or all), mean, std, min, max, median, p05 ..., pixels, area_pixels, cloud_fraction,
  shadow_fraction, no_data_fraction, status
in wide form one row for each field and date: NDVI_mean over clear pixels, NDVI_mean_all over all, and so on. The status
is ok where any pixel is clear: take rows with little under cloud and shadow, as the pictures do (at most 0.3).

indices: INDICES,
  bands by their names (B04), or a formula: "NDVI=(B08-B04)/(B08+B04)"

examples:
  eotasks zonal-stats --demo                             fields west of Berlin over a simulated year: table and picture
  eotasks zonal-stats fields.gpkg --simulated --id name  fields of yours there
  eotasks zonal-stats fields.gpkg --products folder/of/SAFE --level L2A --id name
  eotasks zonal-stats fields.gpkg --eopatches patches/ --id name --percentiles 5,95
  eotasks zonal-stats fields.geojson --eopatches s3://bucket/patches --index NDVI --index NDMI --form wide --format csv
  eotasks zonal-stats fields.gpkg --products catalogue.parquet --time 2024-04-01/2024-09-30 --mean-spectrum
  eotasks zonal-stats fields.gpkg --sentinelhub mine --time 2024-04-01/2024-09-30
  eotasks zonal-stats fields.parquet --eopatches /share/patches --out /share/result --ray auto
"""


def examples() -> str:
    """The text below the options."""
    from eotasks.series import INDICES
    from eotasks.zonal.quantities import FORMULAS

    return _EXAMPLES.replace("INDICES", ", ".join((*INDICES, *FORMULAS)))


def add_parser(commands: Commands) -> None:
    """Register `zonal-stats` with the `eotasks` command."""
    parser = add_command(
        commands,
        "zonal-stats",
        run,
        summary="statistics of fields, date by date",
        description=DESCRIPTION,
        epilog=examples,
        failed="some images or products could not be read, or a service failed",
    )
    parser.add_argument("fields", nargs="?", metavar="FIELDS", help="file of polygons, or s3://bucket/key")
    add_demo(parser)
    parser.add_argument("--id", metavar="COLUMN", help="column that tells polygons apart (numbers from 0)")
    parser.add_argument("--layer", metavar="NAME", help="of a file with several")
    parser.add_argument("--crs", metavar="CRS", help="of a file that says none, such as EPSG:32633")
    parser.add_argument("--index", action="append", metavar="NAME", help="index, band, formula; may be repeated (NDVI)")
    parser.add_argument("--percentiles", metavar="P,P,...", help="0..100, such as 5,95 (none)")
    parser.add_argument(
        "--mean-spectrum", action="store_true", help="add bands, and what the cloud model says of their means (L1C)"
    )
    parser.add_argument("--time", metavar="FIRST[/LAST]", help="days, UTC; .. leaves an end open (all)")
    parser.add_argument("--form", choices=FORMS, default=FORMS[0], help="a row for each band, or for each date (long)")
    parser.add_argument("--format", choices=FORMATS, default=FORMATS[0], help="of the table (geoparquet)")
    add_out(parser, DEFAULT_OUT)
    add_source_options(parser)
    parser.add_argument("--executor", choices=EXECUTORS, help="what runs the images (processes)")
    parser.add_argument("--ray", metavar="ADDRESS", help="Ray cluster: auto, HOST:PORT, or local")
    parser.add_argument("--workers", type=int, metavar="N", help="images at a time (as memory and cores allow)")
    parser.add_argument("--timeout", type=float, metavar="S", help="seconds that an image may take (any time)")
    parser.add_argument(
        "--pictures",
        type=int,
        default=1,
        metavar="N",
        help=f"fields to draw one by one, {SHOWN} at most (1); 0: no pictures",
    )
    add_overwrite(parser, "measure everything anew, also what has been measured with these settings")


def run(arguments: argparse.Namespace) -> ExitCode:
    """Measure fields, and say what came out; 1 when images failed."""
    told: list[str] = []
    console = new_console()
    with typed_warnings(told):
        polygons, source = _inputs(arguments)
        result = _measure(arguments, polygons, source, console)
        pictures = _draw(result, source, arguments.pictures)
    _show(result, source, console)
    print_warnings(console, told)
    print_line(console, f"Table: {result.file}")
    for picture in pictures:
        print_line(console, f"Picture: {picture}")
    return ExitCode.SOME_FAILED if result.failed else ExitCode.DONE


def _inputs(arguments: argparse.Namespace) -> tuple[Polygons, Source]:
    from eotasks.workflows.zonal_stats.demo import demo_fields
    from eotasks.zonal.polygons import read_polygons

    if not 0 <= arguments.pictures <= SHOWN:
        raise ConfigurationError(
            f"--pictures {arguments.pictures} is no number of pictures: give 0 or more, to {SHOWN}."
        )
    if arguments.demo and arguments.fields is not None:
        raise ConfigurationError("--demo has fields of its own: leave out FIELDS, or take --simulated.")
    if arguments.demo:
        arguments.simulated = True
    elif arguments.fields is None:
        raise ConfigurationError("no FIELDS: give a file of polygons, or --demo for the embedded ones.")
    source = source_of(arguments)
    if arguments.fields is None:
        return demo_fields(), source
    return read_polygons(arguments.fields, id_column=arguments.id, layer=arguments.layer, crs=arguments.crs), source


def _measure(arguments: argparse.Namespace, polygons: Polygons, source: Source, console: Console) -> ZonalResult:
    from eotasks.workflows.bars import StageReporter, progress_bars
    from eotasks.workflows.zonal_stats.run import zonal_stats

    executor: ExecutorName = arguments.executor or ("processes" if arguments.ray is None else "ray")
    if arguments.ray is not None and executor != "ray":
        raise ConfigurationError(f"--ray with --executor {executor}: leave out one of them.")
    reporter: list[StageReporter] = []

    def advance(done: int, total: int) -> None:
        if not reporter:
            reporter.append(StageReporter(progress))
            reporter[0].begin("table", total)
        reporter[0].update(done, total)

    with progress_bars(console) as progress:
        return zonal_stats(
            polygons,
            source,
            arguments.out,
            indices=_indices(arguments),
            mean_spectrum=arguments.mean_spectrum,
            percentiles=numbers_of(arguments.percentiles),
            form=arguments.form,
            file_format=arguments.format,
            executor=executor,
            ray=arguments.ray,
            workers=arguments.workers,
            patch_timeout=arguments.timeout,
            overwrite=arguments.overwrite,
            progress=True,
            advance=advance,
        )


def _indices(arguments: argparse.Namespace) -> list[str]:
    """Those that are named, and the bands that a mean spectrum needs."""
    from eotasks.models.sentinel2 import CLOUD_BANDS

    named = arguments.index or ["NDVI"]
    return [*named, *(band for band in CLOUD_BANDS if arguments.mean_spectrum and band not in named)]


def _draw(result: ZonalResult, source: Source, count: int) -> list[str]:
    """Pictures; where they fail, a warning: the table is written."""
    from eotasks.errors import EOTasksError, EOTasksWarning, message_of, warn_caller
    from eotasks.workflows.zonal_stats.drawing import draw_fields

    try:
        return draw_fields(result, source, count) if count else []
    except EOTasksError as error:
        warn_caller(f"No pictures: {message_of(error)}", EOTasksWarning)
        return []


def _show(result: ZonalResult, source: Source, console: Console) -> None:
    print_line(console, f"Field statistics of {source.title}")
    console.print(summary_table(result))
    for note in source.notes:
        print_line(console, note)
    for name, reason in result.failed.items():
        print_failed(console, f"{name}: {reason}")
    if result.failed and result.batch is not None:
        print_line(console, f"Logs: {result.batch.logs}; the same command runs what is missing.")


def summary_table(result: ZonalResult) -> Table:
    """One screen of what came out."""
    totals = result.totals
    table = new_table("", "number", numbers=("number",), header=False, boxed=False)
    table.add_row("fields", f"{len(result.polygons):,}")
    if totals.smaller:
        table.add_row("  smaller than a pixel", f"{len(totals.smaller):,}")
    table.add_row("dates", f"{len(totals.times):,}")
    rows = (
        totals.rows if result.form == "long" else totals.rows // (2 * len(result.bands))
    )  # of clear pixels and of all
    table.add_row(f"rows ({result.form}: {words_of(result.bands)})", f"{rows:,}")
    table.add_row("fields and dates", "")
    for status, count in sorted(result.states.items(), key=lambda each: -each[1]):
        table.add_row(f"  {status}", f"{count:,}")
    return table
