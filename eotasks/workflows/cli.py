"""The `eotasks` command: dispatches, and turns the project's errors into one line and an exit code."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version

from eotasks.errors import EOTasksError
from eotasks.models.threads import PASSIVE_WAIT

BAD_INPUT = 2
OWN_FAULT = 70
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    :param argv: Arguments; None takes those of the process.
    :return: 0 done, 1 some patches failed, 2 bad input, 70 a fault of eotasks itself, 130 interrupted.
    """
    # Warnings of libraries are for developers; what a user can act on is an error or a line of the summary.
    warnings.simplefilter("ignore")
    for name, value in PASSIVE_WAIT.items():  # read when an engine is loaded, which has not happened yet
        os.environ.setdefault(name, value)
    given = list(sys.argv[1:] if argv is None else argv)
    arguments = parser(given[0] if given else None).parse_args(given)
    try:
        return int(arguments.run(arguments))
    except EOTasksError as error:
        return _tell(" ".join(str(error).split()), BAD_INPUT, stack=arguments.verbose)
    except OSError as error:  # a full disk, a folder without rights: nothing of ours, and no bug either
        return _tell(f"{error}. Check the path, the rights and the space.", BAD_INPUT, stack=arguments.verbose)
    except KeyboardInterrupt:
        return _tell("interrupted; the same command goes on where this one stopped.", INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - a fault of ours may not look like "some patches failed" to a script
        return _tell(f"a fault of eotasks itself: {type(error).__name__}: {error}", OWN_FAULT, stack=True)


def _tell(message: str, code: int, *, stack: bool = False) -> int:
    if stack:
        traceback.print_exc()
    print(f"eotasks: {message}", file=sys.stderr)  # noqa: T201 - the command's own voice
    return code


COMMANDS = {
    "land-cover": "eotasks.workflows.land_cover.command",
    "cloud-mask": "eotasks.workflows.cloud_mask.command",
    "evaluate-clouds": "eotasks.workflows.evaluate_clouds.command",
    "catalogue": "eotasks.workflows.catalogue.command",
    "status": "eotasks.workflows.status",
    "clean": "eotasks.workflows.clean",
}
"""Modules that bring a command each, by their ``add_parser``."""


def parser(only: str | None = None) -> argparse.ArgumentParser:
    """The command's arguments.

    :param only: The command that will run, when that is known: the modules of the others, half a second of them, stay
        unloaded.
    """
    root = argparse.ArgumentParser(
        prog="eotasks", description="Cloud masks, time series and land cover from Sentinel-2, as composable tasks."
    )
    root.add_argument("--version", action="version", version=f"eotasks {version('eotasks')}")
    commands = root.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for module in [COMMANDS[only]] if only in COMMANDS else COMMANDS.values():
        import_module(module).add_parser(commands)
    return root


if __name__ == "__main__":
    sys.exit(main())
