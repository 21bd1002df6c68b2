"""`eotasks water-level`: levels of lakes and reservoirs from Sentinel-2."""

from __future__ import annotations

import argparse
import datetime as dt
from typing import TYPE_CHECKING

from eotasks.errors import ConfigurationError
from eotasks.workflows.bars import StageReporter, progress_bars
from eotasks.workflows.console import (
    Commands,
    ExitCode,
    add_command,
    add_out,
    add_threads,
    new_console,
    new_table,
    print_failed,
    print_line,
)
from eotasks.workflows.water_level.sources.registry import SOURCES

if TYPE_CHECKING:
    import geopandas as gpd
    from rich.console import Console
    from rich.table import Table

    from eotasks.workflows.water_level.run import Outcome, RunOptions
    from eotasks.workflows.water_level.sources.base import PixelSource

DEFAULT_OUT = "results/water-level"
DEFAULT_PICTURES = 20
_IN_SUMMARY = 15
_NOT_LOOKED_AT = "none"

DESCRIPTION = """\
Levels of lakes and reservoirs: for each outline and date the area of its water over that of the outline, or a status
that says why there is none; as table, measured outlines, pictures and a report."""

_EXAMPLES = f"""\
examples:
  eotasks water-level --demo                       simulated lakes with known levels, into {DEFAULT_OUT}
  eotasks water-level --sample                     the lakes of the embedded scene
  eotasks water-level lakes.gpkg --products archive --start 2020-01-01 --end 2020-12-31 --out levels
  eotasks water-level lakes.gpkg --products catalogue.parquet --elevation dem.tif
  eotasks water-level lakes.geojson --eopatches patches --id-column osm_id
  eotasks water-level lakes.gpkg --products archive --method water-monitor
                                                   Otsu of the whole frame, pixels inside of the outline only

outlines: polygons in GeoPackage, GeoJSON, Shapefile, GeoParquet, FlatGeobuf, KML or GML, in any coordinate system. Ids
are those of the column id (BLUEDOT_WB_ID, osm_id), or of --id-column, each once; without such a column outlines are
numbered.

level: water that is connected with the outline counts, inside and outside of it: 1 is a full lake, 0 an empty one,
above 1 a flood. What is no level has a status: too_cloudy (more than --max-cloud of the frame, or --max-water-cloud of
the lake itself, or shadow beside it), frozen (ice or snow on more than --max-ice of the lake), invalid_data (less than
98 % of the frame or the lake has data), no_data, no_cloud_data, invalid_polygon, request_error (the source failed).

files: levels.csv (its columns are in the report), extents.parquet (measured outlines by date, GeoParquet in degrees),
outlines.parquet, pictures/, summary.json, report.html.
"""


def add_parser(commands: Commands) -> None:
    """Register `water-level` with the `eotasks` command."""
    parser = add_command(
        commands,
        "water-level",
        run,
        summary="levels of lakes and reservoirs",
        description=DESCRIPTION,
        epilog=_EXAMPLES,
        failed="the source failed for some lakes",
    )
    parser.add_argument("outlines", nargs="?", metavar="OUTLINES", help="file of polygons; not for --demo")
    pixels = parser.add_argument_group("where the pixels come from (one of them)")
    for source in SOURCES:
        if source.metavar is None:
            pixels.add_argument(source.option, action="store_true", help=source.help)
        else:
            pixels.add_argument(source.option, metavar=source.metavar, help=source.help)
    pixels.add_argument("--start", type=_day, metavar="DATE", help="first day (YYYY-MM-DD)")
    pixels.add_argument("--end", type=_day, metavar="DATE", help="last day (YYYY-MM-DD)")
    pixels.add_argument(
        "--resolution",
        type=float,
        metavar="M",
        help="metres of a pixel (10, coarser for lakes beyond 5000 pixels; 20 of --demo)",
    )
    pixels.add_argument("--bands", metavar="LIST", help="bands of EOPatches in their order, such as B02,B03 (all 13)")
    pixels.add_argument("--seed", type=int, default=42, metavar="N", help="of simulated pixels (42)")
    _add_method(parser)
    add_out(parser, DEFAULT_OUT)
    parser.add_argument(
        "--format", choices=("geoparquet", "gpkg"), default="geoparquet", help="of measured outlines (geoparquet)"
    )
    parser.add_argument(
        "--bluedot-names", action="store_true", help="levels.csv with the columns of the Water Observatory"
    )
    parser.add_argument(
        "--pictures", type=int, default=DEFAULT_PICTURES, metavar="N", help="lakes with pictures of their own (20)"
    )
    add_threads(parser)


def _add_method(parser: argparse.ArgumentParser) -> None:
    method = parser.add_argument_group("how outlines are read and levels measured")
    method.add_argument("--id-column", metavar="NAME", help="column of ids")
    method.add_argument("--name-column", metavar="NAME", help="column of names (name)")
    method.add_argument("--crs", metavar="CRS", help="of a file of outlines that says none, such as EPSG:32633")
    method.add_argument(
        "--method", choices=("bluedot", "water-monitor"), default="bluedot", help="way of measuring (bluedot)"
    )
    method.add_argument(
        "--max-cloud", type=float, default=0.20, metavar="SHARE", help="most cloud in the frame of a lake (0.2)"
    )
    method.add_argument(
        "--max-water-cloud",
        type=_limit,
        default=0.02,
        metavar="SHARE",
        help="most cloud over the lake itself (0.02); none: as the original, which looks at the frame only",
    )
    method.add_argument(
        "--max-ice",
        type=_limit,
        default=0.05,
        metavar="SHARE",
        help="most ice on the lake (0.05); none: not looked for",
    )
    method.add_argument(
        "--max-beyond",
        type=_limit,
        default=0.02,
        metavar="SHARE",
        help="most water beyond the outline of a lake that is not full, over that of other dates (0.02); none: no test",
    )
    method.add_argument(
        "--min-threshold",
        type=_limit,
        default=-0.1,
        metavar="NDWI",
        help="lowest NDWI of water beside a bare shore (-0.1); none: what Otsu's method says",
    )
    method.add_argument(
        "--no-shadows",
        action="store_true",
        help="do not look for cloud shadow, which counts as cloud over the lake",
    )
    method.add_argument(
        "--elevation", metavar="DEM", help="GeoTIFF of heights: no water outside of an outline 15 m above the lake"
    )


def _day(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no day: give YYYY-MM-DD") from error


def _limit(text: str) -> float | None:
    if text == _NOT_LOOKED_AT:
        return None
    try:
        return float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no number: give one, or {_NOT_LOOKED_AT}") from error


def run(arguments: argparse.Namespace) -> ExitCode:
    """Measure levels, and say what came out; 1 when the source failed for some lakes."""
    from eotasks.storage.lease import hold_lease
    from eotasks.workflows.water_level.results import check_format, claim_results, write_results
    from eotasks.workflows.water_level.run import new_task

    if arguments.pictures < 0:
        raise ConfigurationError(f"--pictures {arguments.pictures} is no number of lakes: give 0 or more.")
    check_format(arguments.format)
    options = _options(arguments)
    _check_source(arguments)
    outlines = _given_outlines(arguments)
    place = claim_results(arguments.out)
    source = _source(arguments)
    outlines = _all_outlines(outlines, source)
    new_task(source, outlines, options)  # refuses here what no job could measure
    console = new_console()
    with hold_lease(place, "eotasks water-level") as lease:
        outcome = _measure(source, outlines, options, console)
        lease.check()
        report = write_results(
            outcome,
            place,
            form=arguments.format,
            bluedot_names=arguments.bluedot_names,
            pictures=arguments.pictures,
        )
    _show(outcome, console)
    print_line(console, f"Report: {report}")
    return ExitCode.SOME_FAILED if outcome.failures else ExitCode.DONE


def _options(arguments: argparse.Namespace) -> RunOptions:
    from eotasks.imagery.elevation import ElevationFile
    from eotasks.models.water.measure import WaterLevelSettings
    from eotasks.workflows.water_level.run import RunOptions

    settings = WaterLevelSettings(
        method=arguments.method,
        max_cloud_fraction=arguments.max_cloud,
        max_water_cloud_fraction=arguments.max_water_cloud,
        max_frozen_fraction=arguments.max_ice,
        max_beyond_fraction=arguments.max_beyond,
        min_threshold=arguments.min_threshold,
    )
    elevation = None if arguments.elevation is None else ElevationFile(arguments.elevation)
    if elevation is not None:
        if arguments.method == "water-monitor":
            raise ConfigurationError(
                "--elevation: method water-monitor sees nothing outside of outlines: leave it out."
            )
        elevation.check()
    return RunOptions(
        settings, elevation, shadows=not arguments.no_shadows, threads=arguments.threads, views=arguments.pictures
    )


def _check_source(arguments: argparse.Namespace) -> None:
    given = [each for each in SOURCES if getattr(arguments, each.name)]
    if len(given) != 1:
        raise ConfigurationError(
            f"give one source of pixels, of {', '.join(each.option for each in SOURCES)}, as in: eotasks water-level"
            " --demo"
        )
    if arguments.start is not None and arguments.end is not None and arguments.end < arguments.start:
        raise ConfigurationError(f"--end {arguments.end} lies before --start {arguments.start}: exchange them.")
    if given[0].metavar is None and (arguments.start is not None or arguments.end is not None):
        raise ConfigurationError(f"--start, --end: {given[0].option} has its own dates: leave them out.")
    if given[0].option != "--eopatches" and arguments.bands is not None:
        raise ConfigurationError("--bands is for --eopatches: leave it out.")
    if given[0].option == "--eopatches" and arguments.resolution is not None:
        raise ConfigurationError("--resolution: EOPatches have their own pixels: leave it out.")
    if given[0].option == "--demo" and arguments.outlines is not None:
        raise ConfigurationError("--demo has lakes of its own: leave out OUTLINES, or take --simulated.")


def _source(arguments: argparse.Namespace) -> PixelSource:
    from eotasks.sources.bbox import check_resolution
    from eotasks.workflows.water_level.sources.base import SURROUNDINGS, SourceRequest

    if arguments.resolution is not None:
        check_resolution(arguments.resolution)
    option = next(each for each in SOURCES if getattr(arguments, each.name))
    bands = None if arguments.bands is None else tuple(name.strip() for name in arguments.bands.split(","))
    location = "" if option.metavar is None else getattr(arguments, option.name)
    request = SourceRequest(
        location,
        arguments.start,
        arguments.end,
        arguments.resolution,
        surroundings=0 if arguments.no_shadows else SURROUNDINGS,
        seed=arguments.seed,
        bands=bands,
    )
    return option.open(request)


def _given_outlines(arguments: argparse.Namespace) -> gpd.GeoDataFrame | None:
    from eotasks.water.outlines import read_outlines

    if arguments.outlines is None:
        return None
    return read_outlines(
        arguments.outlines, id_column=arguments.id_column, name_column=arguments.name_column, crs=arguments.crs
    )


def _all_outlines(given: gpd.GeoDataFrame | None, source: PixelSource) -> gpd.GeoDataFrame:
    outlines = source.own_outlines() if given is None else given
    if outlines is None:
        raise ConfigurationError(f"{source.title} come without lakes: give a file of OUTLINES.")
    return outlines


def _measure(source: PixelSource, outlines: gpd.GeoDataFrame, options: RunOptions, console: Console) -> Outcome:
    from eotasks.workflows.water_level.run import measure_lakes

    with progress_bars(console) as progress:
        reporter = StageReporter(progress)
        return measure_lakes(
            source, outlines, options, begin=lambda total: reporter.begin("lakes", total), advance=reporter.advance
        )


def _show(outcome: Outcome, console: Console) -> None:
    console.print(summary_table(outcome))
    for job, error in outcome.failures:
        print_failed(console, f"{job}: {error}")
    if outcome.untold_shadows:
        print_line(
            console,
            f"Warning: on {outcome.untold_shadows} dates of lakes the height of the clouds is not told by what is seen,"
            " and so not where their shadows lie: none is taken for such.",
        )
    if outcome.source.is_simulated:
        print_line(console, "Simulated pixels: these levels say nothing about accuracy in the field.")


def summary_table(outcome: Outcome) -> Table:
    """One screen of what came out."""
    from eotasks.workflows.water_level.tables import summaries

    numbers = ("dates", "levels", "lowest", "highest", "last", *(("error",) if outcome.has_truth else ()))
    table = new_table(
        "lake", *numbers, "without a level", numbers=numbers, title=f"Water levels: {outcome.source.title}", boxed=False
    )
    found = summaries(outcome)
    for each in found[:_IN_SUMMARY]:
        missing = ", ".join(f"{count} {key}" for key, count in each.statuses.items() if key != "valid")
        levels = ["-" if value is None else f"{value:.2f}" for value in (each.lowest, each.highest, each.last)]
        errors = ["-" if each.median_error is None else f"{each.median_error:.1%}"] if outcome.has_truth else []
        table.add_row(each.name or each.id, str(each.dates), str(each.levels), *levels, *errors, missing)
    notes = ["Levels are shares of the nominal area."]
    if outcome.has_truth:
        notes.append("error: median of |level - true level|.")
    if len(found) > _IN_SUMMARY:
        notes.append(f"{len(found) - _IN_SUMMARY} more lakes are in the report.")
    table.caption = " ".join(notes)
    return table
