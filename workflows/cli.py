"""The `eotasks` command: dispatches, and turns the project's errors into one line and an exit code."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from importlib.metadata import version

from models.errors import EOTasksError
from models.threads import PASSIVE_WAIT

BAD_INPUT = 2
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    :param argv: Arguments; None takes those of the process.
    :return: 0 done, 1 some patches failed, 2 bad input, 130 interrupted.
    """
    # Warnings of libraries are for developers; what a user can act on is an error or a line of the summary.
    warnings.simplefilter("ignore")
    for name, value in PASSIVE_WAIT.items():  # read when an engine is loaded, which has not happened yet
        os.environ.setdefault(name, value)
    arguments = parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except EOTasksError as error:
        if getattr(arguments, "verbose", False):
            raise
        print(f"eotasks: {' '.join(str(error).split())}", file=sys.stderr)  # noqa: T201 - the command's own voice
        return BAD_INPUT
    except OSError as error:  # a full disk, a folder without rights: nothing of ours, and no bug either
        if getattr(arguments, "verbose", False):
            raise
        print(f"eotasks: {error}. Check the path, the rights and the space.", file=sys.stderr)  # noqa: T201
        return BAD_INPUT
    except KeyboardInterrupt:
        print("eotasks: interrupted; the same command goes on where this one stopped.", file=sys.stderr)  # noqa: T201
        return INTERRUPTED


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    from workflows.land_cover.command import add_parser

    root = argparse.ArgumentParser(
        prog="eotasks", description="Cloud masks, time series and land cover from Sentinel-2, as composable tasks."
    )
    root.add_argument("--version", action="version", version=f"eotasks {version('eotasks')}")
    commands = root.add_subparsers(title="commands", required=True, metavar="COMMAND")
    add_parser(commands)
    return root


if __name__ == "__main__":
    sys.exit(main())
