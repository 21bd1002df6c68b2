"""The `eotasks` command: dispatches to the modules of the commands."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version

from eotasks.models.threads import PASSIVE_WAIT
from eotasks.workflows.arguments import Parser
from eotasks.workflows.console import ExitCode, guarded, run_command


def main(argv: Sequence[str] | None = None) -> ExitCode:
    """Run the command.

    :param argv: Arguments; None takes those of the process.
    """
    # Warnings of libraries are for developers; what a user can act on is an error or a line of the summary.
    warnings.simplefilter("ignore")
    for name, value in PASSIVE_WAIT.items():  # read when an engine is loaded, which has not happened yet
        os.environ.setdefault(name, value)
    given = list(sys.argv[1:] if argv is None else argv)
    parsed: list[argparse.Namespace] = []

    def parse() -> ExitCode:  # loads the modules of commands, and shows helps
        parsed.append(parser(given[0] if given else None).parse_args(given))
        return ExitCode.DONE

    code = guarded(parse)
    return run_command(parsed[0]) if parsed else code


COMMANDS = {
    "land-cover": "eotasks.workflows.land_cover.command",
    "cloud-mask": "eotasks.workflows.cloud_mask.command",
    "evaluate-clouds": "eotasks.workflows.evaluate_clouds.command",
    "catalogue": "eotasks.workflows.catalogue.command",
    "new-config": "eotasks.workflows.new_config.command",
    "status": "eotasks.workflows.status",
    "clean": "eotasks.workflows.clean",
    "doctor": "eotasks.workflows.doctor.command",
}
"""A line for each command: the module whose ``add_parser`` registers it under this name. All else is there."""


def parser(only: str | None = None) -> argparse.ArgumentParser:
    """The command's arguments.

    :param only: The command that will run, when that is known: the modules of the others, half a second of them, stay
        unloaded.
    """
    root = Parser(
        prog="eotasks", description="Cloud masks, time series and land cover from Sentinel-2, as composable tasks."
    )
    root.add_argument("--version", action="version", version=f"eotasks {version('eotasks')}")
    commands = root.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for module in [COMMANDS[only]] if only in COMMANDS else COMMANDS.values():
        import_module(module).add_parser(commands)
    return root


if __name__ == "__main__":
    sys.exit(main())
