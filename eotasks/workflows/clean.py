"""`eotasks clean`: removes what interrupted and repeated saves have left of EOPatches."""

from __future__ import annotations

import argparse
import sys

EXAMPLES = """\
examples:
  eotasks clean results/land-cover/observed   old generations and unfinished writes of the EOPatches there
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `clean` with the `eotasks` command."""
    parser = commands.add_parser(
        "clean",
        help="remove old generations of saved EOPatches",
        description="Saving an EOPatch again keeps the generation before it; this removes all but the current ones.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("place", metavar="PLACE", help="folder of EOPatches, or s3://bucket/prefix")
    parser.add_argument("--verbose", action="store_true", help="show the stack of an error")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Clean a place and say what went."""
    from eotasks.eopatches.clean import clean
    from eotasks.errors import StorageError
    from eotasks.storage.place import Place

    place = Place(arguments.place)
    if not place.exists():
        raise StorageError(f"There is no place {arguments.place}: check the path.")
    removed = clean(place)
    sys.stdout.write(f"{removed.generations} generations removed, {removed.size / 1e6:.1f} MB\n")
    return 0
