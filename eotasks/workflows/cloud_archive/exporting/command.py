"""`eotasks archive export-stac`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from eotasks.workflows.cloud_archive.reports import counts_in_words, looking_bar
from eotasks.workflows.console import (
    Commands,
    ExitCode,
    add_command,
    add_json,
    add_out,
    new_console,
    print_failed,
    print_line,
    write_json,
)

if TYPE_CHECKING:
    from rich.console import Console

    from eotasks.workflows.cloud_archive.exporting.export import ExportResult

EXPORT_EXAMPLE = """\
  eotasks archive export-stac masks --out masks/stac        a static STAC catalogue and GeoParquet, for any client
"""

_DESCRIPTION = """\
Write an archive as a static STAC catalogue: catalog.json, a collection a level, catalogues by zone, tile and year, and
items valid by the schemas of STAC and its extensions; and all items of a collection as GeoParquet."""

_EPILOG = """\
Items lead to the masks by relative paths, so that archive and export can be moved together, as when one lies in the
other. --absolute writes where they are instead, --address where others reach them, and --copy puts them into the
export, which then needs nothing else. The GeoParquet files have absolute hrefs in any case.

A repeated command replaces what has changed and removes what the archive has no more. A folder that holds other things
is refused. Damaged masks are named, the others are shown (exit code 1).

examples:
  eotasks archive export-stac masks --out masks/stac
  eotasks archive export-stac s3://bucket/masks --out s3://bucket/masks/stac
  eotasks archive export-stac masks --out stac --address https://data.example.org/masks
  eotasks archive export-stac masks --out s3://public/clouds --copy --products none
"""


def add_export(actions: Commands) -> None:
    """Register `archive export-stac`."""
    export = add_command(
        actions,
        "export-stac",
        run_export,
        summary="write an archive as a static STAC catalogue and GeoParquet",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        failed="some products could not be shown",
    )
    export.add_argument("place", metavar="PLACE", help="the archive: a folder or s3://bucket/prefix")
    add_out(export, metavar="FOLDER", help="a folder or s3://bucket/prefix: new, or of an earlier export")
    where = export.add_mutually_exclusive_group()
    where.add_argument("--absolute", action="store_true", help="absolute hrefs of masks: where the archive is")
    where.add_argument("--address", metavar="URL", help="absolute hrefs of masks: where others reach the archive")
    export.add_argument("--copy", action="store_true", help="copy the masks into the export (with --address, its own)")
    export.add_argument(
        "--products",
        choices=("addresses", "all", "none"),
        default="addresses",
        help="assets of the products that items keep: those on S3 and the web, all, or none (addresses)",
    )
    add_json(export)


def run_export(arguments: argparse.Namespace) -> ExitCode:
    """Export; 1 when products could not be shown."""
    from eotasks.errors import ConfigurationError
    from eotasks.workflows.cloud_archive.exporting.export import export_stac

    if arguments.out is None:
        raise ConfigurationError("--out FOLDER: name the catalogue, a folder or s3://bucket/prefix.")
    with looking_bar() as look:
        result = export_stac(
            arguments.place,
            arguments.out,
            absolute=arguments.absolute,
            address=arguments.address,
            copy=arguments.copy,
            products=arguments.products,
            progress=look,
        )
    if arguments.json:
        write_json(export_json(result))
    else:
        print_export(new_console(), result)
    return ExitCode.SOME_FAILED if result.failed else ExitCode.DONE


def print_export(console: Console, result: ExportResult) -> None:
    """What came of an export: failures by name, counts, the root."""
    for name, reason in result.failed.items():
        print_failed(console, reason if name in reason else f"{name}: {reason}")
    for name, count in result.items.items():
        print_line(console, f"Collection: {name}, {count:,} items")
    counts = {
        "new or changed": result.written,
        "as before": result.kept,
        "removed": result.removed,
        "failed": len(result.failed),
    }
    print_line(console, f"Items: {counts_in_words(counts)}")
    print_line(console, f"Catalogue: {result.out}/catalog.json")


def export_json(result: ExportResult) -> dict[str, Any]:
    """The same for scripts."""
    return {
        "archive": str(result.place),
        "catalogue": f"{result.out}/catalog.json",
        "collections": dict(result.items),
        "written": result.written,
        "kept": result.kept,
        "removed": result.removed,
        "failed": dict(result.failed),
    }
