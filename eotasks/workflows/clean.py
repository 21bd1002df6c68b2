"""`eotasks clean`: removes what interrupted saves have left of EOPatches, and makes plain folders of older ones."""

from __future__ import annotations

import argparse

from eotasks.workflows.console import Commands, ExitCode, add_command, print_plain

EXAMPLES = """\
examples:
  eotasks clean results/land-cover/observed   unfinished writes and old generations of the EOPatches there
"""


def add_parser(commands: Commands) -> None:
    """Register `clean` with the `eotasks` command."""
    parser = add_command(
        commands,
        "clean",
        run,
        summary="remove what interrupted saves of EOPatches have left",
        description="Removes unfinished writes and superseded generations of saved EOPatches, and makes plain EOPatch"
        " folders of those that an older eotasks or an interrupted save to S3 has left as a generation.",
        epilog=EXAMPLES,
    )
    parser.add_argument("place", metavar="PLACE", help="folder of EOPatches, or s3://bucket/prefix")


def run(arguments: argparse.Namespace) -> ExitCode:
    """Clean a place and say what went."""
    from eotasks.eopatches.clean import clean
    from eotasks.errors import StorageError
    from eotasks.storage.place import Place

    place = Place(arguments.place)
    if not place.exists():
        raise StorageError(f"There is no place {arguments.place}: check the path.")
    if place.is_local and not place.local_path().is_dir():
        raise StorageError(f"{arguments.place} is a file: give a folder of EOPatches.")
    removed = clean(place)
    others = f", {removed.moved} EOPatches made plain folders" if removed.moved else ""
    others += f", {removed.unfinished} unfinished files" if removed.unfinished else ""
    others += f", {removed.uploads} unfinished uploads" if removed.uploads else ""
    print_plain(f"{removed.generations} generations removed{others}, {removed.size / 1e6:.1f} MB\n")
    return ExitCode.DONE
