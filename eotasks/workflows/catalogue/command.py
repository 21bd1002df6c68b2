"""`eotasks catalogue`: add products to a catalogue, search it, and say what it holds."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from eotasks.workflows.bars import StageReporter, progress_bars
from eotasks.workflows.console import (
    Commands,
    ExitCode,
    add_allow_host,
    add_command,
    add_json,
    add_requester_pays,
    add_sign,
    new_console,
    new_table,
    print_failed,
    print_line,
    print_note,
    write_json,
)
from eotasks.workflows.notices import print_warnings, typed_warnings

if TYPE_CHECKING:
    import pystac
    from rich.table import Table

    from eotasks.catalogue.brief.summary import CatalogueSummary
    from eotasks.catalogue.store import Catalogue
    from eotasks.workflows.catalogue.adding import AddResult

DEFAULT_CATALOGUE = "catalogue.parquet"
FAILED = "some products could not be read"
_TABLE_WIDTH = 160

DESCRIPTION = """\
A catalogue of Sentinel-2 products: STAC items in one GeoParquet file, or in a folder of such by time, on disk or on S3,
that LoadScenesTask and any reader of GeoParquet can search."""

EXAMPLES = """\
examples:
  eotasks catalogue add archive/ --catalogue products.parquet
  eotasks catalogue add s3://bucket/tiles --masks results/cloud-mask --catalogue s3://bucket/products.parquet
  eotasks catalogue search --catalogue products.parquet --bbox 12.4 52.4 12.8 52.6 --from 2024-05-01 --to 2024-09-30
  eotasks catalogue search --catalogue products.parquet --tile 33UUU --max-cloud-cover 0.3 --json
  eotasks catalogue search --catalogue https://earth-search.aws.element84.com/v1 --level L2A --bbox 12.4 52.4 12.8 52.6
  eotasks catalogue info --catalogue products.parquet
  eotasks catalogue split products.parquet s3://bucket/products.parquet       one file into parts by time
  eotasks catalogue compact s3://bucket/products.parquet
"""

ADD_EXAMPLES = """\
Looks below each PLACE for .SAFE folders, zips of them, tiles of the AWS buckets and folders with an acquisition.json,
and reads metadata and headers of images, no pixel. A product that is in the catalogue already is described anew, unless
the catalogue has it of a newer processing baseline. Files NAME_CLP.tif, NAME_CLM.tif and NAME_SHADOW.tif of `eotasks
cloud-mask` are found in the same places and below --masks. Every product that is found is in one of the counts.

A catalogue is one file, written anew by each addition. With --parts a new one is a folder of files by time, which gets
small new ones: for more than some 100,000 products. `eotasks catalogue split` makes one of a file.

examples:
  eotasks catalogue add archive/ --catalogue products.parquet
  eotasks catalogue add archive/ --catalogue products.parquet --parts
  eotasks catalogue add S2A_MSIL1C_20240120T105341_N0510_R051_T31TCJ_20240120T125244.SAFE
  eotasks catalogue add s3://bucket/tiles --masks s3://bucket/cloud-mask --catalogue s3://bucket/products.parquet
"""

SEARCH_EXAMPLES = """\
Prints one line a product, ordered by time: what meets the box (degrees unless --crs says otherwise), between the first
and the last day. Products that do not say their cloud cover are shown too.

examples:
  eotasks catalogue search --bbox 12.4 52.4 12.8 52.6 --from 2024-05-01 --to 2024-09-30 --max-cloud-cover 0.3
  eotasks catalogue search --bbox 330000 5814360 345360 5822040 --crs EPSG:32633
  eotasks catalogue search --tile 33UUU --level L1C --json      STAC items, as a FeatureCollection
"""


def add_parser(commands: Commands) -> None:
    """Register `catalogue` with the `eotasks` command."""
    parser = add_command(
        commands,
        "catalogue",
        None,
        summary="find products, keep them in a GeoParquet file, search it",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        failed=FAILED,
    )
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    _add_add(actions)
    _add_search(actions)
    _add_info(actions)
    _add_compact(actions)
    _add_split(actions)


def _add_add(actions: Commands) -> None:
    add = add_command(
        actions,
        "add",
        run_add,
        summary="find products and add them",
        description="Add products to a catalogue; it is made when it is not there.",
        epilog=ADD_EXAMPLES,
        failed=FAILED,
    )
    add.add_argument("places", metavar="PLACE", nargs="+", help="folder, s3://bucket/prefix, or a product")
    add.add_argument(
        "--masks",
        metavar="DIR",
        action="append",
        default=[],
        help="look for CLP, CLM and SHADOW here too; may be repeated",
    )
    add.add_argument("--parts", action="store_true", help="make a new catalogue as a folder of parts by time")
    add_allow_host(add)
    add_sign(add)
    add_requester_pays(add)
    _add_catalogue(add)


def _add_search(actions: Commands) -> None:
    search = add_command(
        actions,
        "search",
        run_search,
        summary="products by area, time, cloud cover, level and tile",
        description="Search a catalogue, or a STAC API when its address is given.",
        epilog=SEARCH_EXAMPLES,
        done="done (also when nothing is found)",
    )
    search.add_argument(
        "--bbox", nargs=4, type=float, metavar=("WEST", "SOUTH", "EAST", "NORTH"), help="box that products meet"
    )
    search.add_argument("--crs", default="EPSG:4326", help="coordinate system of the box (EPSG:4326)")
    search.add_argument("--from", dest="first", metavar="TIME", help="first day or time, UTC")
    search.add_argument("--to", dest="last", metavar="TIME", help="last day (all of it) or time, UTC")
    search.add_argument("--max-cloud-cover", type=float, metavar="C", help="of a whole scene, 0..1")
    search.add_argument("--level", choices=("L1C", "L2A"))
    search.add_argument("--tile", help="tile of the military grid, such as 33UUU")
    search.add_argument("--limit", type=int, metavar="N", help="the first N only")
    add_allow_host(search)
    add_sign(search)
    add_json(search, "a FeatureCollection of STAC items")
    _add_catalogue(search, api=True)


def _add_info(actions: Commands) -> None:
    info = add_command(
        actions,
        "info",
        run_info,
        summary="what a catalogue holds",
        description="Say what a catalogue holds: products, tiles, time, area, levels, masks.",
    )
    add_json(info)
    _add_catalogue(info)


def _add_compact(actions: Commands) -> None:
    compact = add_command(
        actions,
        "compact",
        run_compact,
        summary="put a catalogue in parts in order",
        description="Put the parts of a catalogue in order of time, each of usual size, and remove files that nobody\n"
        "reads any more: those of earlier parts after an hour, and those of writers that were killed. Readers and\n"
        "writers go on meanwhile.",
    )
    compact.add_argument("place", metavar="PLACE", help="the catalogue: a folder or prefix that ends in .parquet")
    add_json(compact)


def _add_split(actions: Commands) -> None:
    split = add_command(
        actions,
        "split",
        run_split,
        summary="make a catalogue in parts of one that is a file",
        description="Make a catalogue in parts by time of one that is a file, which stays as it is.",
    )
    split.add_argument("file", metavar="FILE", help="the catalogue: a file, also s3://…")
    split.add_argument("place", metavar="PLACE", help="the new one: a folder or prefix that ends in .parquet")
    add_json(split)


def _add_catalogue(parser: argparse.ArgumentParser, *, api: bool = False) -> None:
    parser.add_argument(
        "--catalogue",
        metavar="FILE",
        default=DEFAULT_CATALOGUE,
        help=f"GeoParquet file or folder of parts, also s3://…{', or the address of a STAC API' if api else ''}"
        f" ({DEFAULT_CATALOGUE})",
    )


def run_add(arguments: argparse.Namespace) -> ExitCode:
    """Add products; 1 when some of them cannot be read."""
    from eotasks.catalogue.store import Catalogue
    from eotasks.workflows.catalogue.adding import add_products

    console = new_console()
    catalogue = Catalogue(arguments.catalogue, parts=arguments.parts)
    with progress_bars(console) as progress:
        reporter = StageReporter(progress)
        reporter.begin("products", None)
        result = add_products(
            catalogue, arguments.places, masks=arguments.masks, modifier=arguments.sign, progress=reporter.update
        )
    for product, reason in sorted(result.failed.items()):
        print_failed(console, _named(product, reason))
    for product, other in sorted(result.repeated.items()):
        print_line(console, f"Left out: {product}, the same product as {other}")
    print_line(console, _summary(result))
    if result.added + result.replaced + result.kept:
        print_line(console, f"Catalogue: {catalogue.location}")
    return ExitCode.SOME_FAILED if result.failed else ExitCode.DONE


def run_search(arguments: argparse.Namespace) -> ExitCode:
    """Search a catalogue or an API."""
    from eotasks.catalogue.open import catalogue_of
    from eotasks.imagery.files.signing import unsigned

    interval = (arguments.first, arguments.last) if arguments.first or arguments.last else None
    told: list[str] = []
    with typed_warnings(told):
        items = catalogue_of(arguments.catalogue, modifier=arguments.sign).search(
            bbox=arguments.bbox,
            crs=arguments.crs,
            time_interval=interval,
            max_cloud_cover=arguments.max_cloud_cover,
            level=arguments.level,
            tile=arguments.tile,
            limit=arguments.limit,
        )
    if arguments.json:
        features = [unsigned(item).to_dict(include_self_link=False, transform_hrefs=False) for item in items]
        write_json({"type": "FeatureCollection", "features": features})
        for text in told:
            print_note(f"Warning: {text}")
        return ExitCode.DONE
    console = new_console()
    if items:
        # Names of products are for copying: they stay in one piece, on a narrow screen too.
        console.print(items_table(items), width=max(console.width, _TABLE_WIDTH), crop=False)
    print_warnings(console, told)
    print_line(console, f"{len(items)} product{'' if len(items) == 1 else 's'}")
    return ExitCode.DONE


def run_info(arguments: argparse.Namespace) -> ExitCode:
    """Say what a catalogue holds."""
    from eotasks.catalogue.store import Catalogue

    catalogue = Catalogue(arguments.catalogue)
    summary = catalogue.summary()
    if arguments.json:
        write_json(_as_json(catalogue, summary))
    else:
        print_line(new_console(), info_text(catalogue, summary))
    return ExitCode.DONE


def run_compact(arguments: argparse.Namespace) -> ExitCode:
    """Put the parts of a catalogue in order."""
    from eotasks.catalogue.store import Catalogue

    catalogue = Catalogue(arguments.place)
    done = catalogue.compact()
    if arguments.json:
        write_json({"catalogue": catalogue.location, **asdict(done)})
        return ExitCode.DONE
    parts = f"{done.before:,} parts are now {done.after:,}" if done.before != done.after else f"{done.after:,} parts"
    print_line(new_console(), f"{catalogue.location}: {done.items:,} products, {parts}, {done.removed:,} files removed")
    return ExitCode.DONE


def run_split(arguments: argparse.Namespace) -> ExitCode:
    """Make a catalogue in parts of a file."""
    from eotasks.catalogue.store import Catalogue

    catalogue = Catalogue(arguments.file).split(arguments.place)
    summary = catalogue.summary()
    if arguments.json:
        write_json(_as_json(catalogue, summary))
    else:
        print_line(new_console(), info_text(catalogue, summary))
    return ExitCode.DONE


def items_table(items: Sequence[pystac.Item]) -> Table:
    """One line a product."""
    from eotasks.catalogue.fields import CLOUD_ASSETS, baseline_of, cloud_cover_of, level_of, tile_of_item, time_of

    table = new_table(
        "time (UTC)", "tile", "level", "baseline", "cloud", "masks", "product", numbers=["cloud"], boxed=False
    )
    for item in items:
        cover = cloud_cover_of(item)
        table.add_row(
            time_of(item).isoformat(sep=" ", timespec="seconds"),
            tile_of_item(item) or "–",
            level_of(item) or "–",
            baseline_of(item) or "–",
            "–" if cover is None else f"{cover:.0%}",
            ", ".join(kind for kind in CLOUD_ASSETS if kind in item.assets),
            item.id,
        )
    return table


def info_text(catalogue: Catalogue, summary: CatalogueSummary) -> str:
    """What a catalogue holds, in a few lines."""
    if not summary.items:
        return f"{catalogue.location}: no products"
    west, south, east, north = summary.bounds or (0, 0, 0, 0)
    levels = ", ".join(f"{count} {name}" for name, count in summary.levels.items())
    platforms = ", ".join(f"{count} {name}" for name, count in summary.platforms.items())
    return "\n".join(
        (
            f"{catalogue.location}: {summary.items} products of {summary.tiles} tiles",
            f"time      {summary.first} to {summary.last} UTC",
            f"area      {west:.2f} to {east:.2f} degrees east, {south:.2f} to {north:.2f} degrees north",
            f"levels    {levels}",
            f"platforms {platforms}",
            f"masks     {summary.masks} products with CLP and CLM, {summary.shadows} with SHADOW",
        )
    )


def _as_json(catalogue: Catalogue, summary: CatalogueSummary) -> dict[str, Any]:
    return {
        "catalogue": catalogue.location,
        "items": summary.items,
        "first": None if summary.first is None else f"{summary.first.isoformat()}Z",
        "last": None if summary.last is None else f"{summary.last.isoformat()}Z",
        "tiles": summary.tiles,
        "levels": dict(summary.levels),
        "platforms": dict(summary.platforms),
        "masks": summary.masks,
        "shadows": summary.shadows,
        "bounds": None if summary.bounds is None else list(summary.bounds),
    }


def _named(product: str, reason: str) -> str:
    """Most reasons name the product already."""
    return reason if product in reason else f"{product}: {reason}"


def _summary(result: AddResult) -> str:
    parts = [f"{result.added} added", f"{result.replaced} described anew"]
    if result.kept:
        parts.append(f"{result.kept} kept, of a newer baseline")
    if result.repeated:
        parts.append(f"{len(result.repeated)} left out, the same as others")
    parts.append(f"{len(result.failed)} failed")
    shadows = f", {result.shadows} with SHADOW" if result.shadows else ""
    return f"Products: {result.found} found, {', '.join(parts)}; {result.masks} with CLP and CLM{shadows}"
