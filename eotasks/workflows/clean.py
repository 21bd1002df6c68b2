"""`eotasks clean`: removes what interrupted and repeated saves have left of EOPatches."""

from __future__ import annotations

import argparse

from eotasks.workflows.console import Commands, ExitCode, add_command, print_plain

EXAMPLES = """\
examples:
  eotasks clean results/land-cover/observed   old generations and unfinished writes of the EOPatches there
"""


def add_parser(commands: Commands) -> None:
    """Register `clean` with the `eotasks` command."""
    parser = add_command(
        commands,
        "clean",
        run,
        summary="remove old generations of saved EOPatches",
        description="Saving an EOPatch again keeps the generation before it; this removes all but the current ones.",
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
    print_plain(f"{removed.generations} generations removed, {removed.size / 1e6:.1f} MB\n")
    return ExitCode.DONE
