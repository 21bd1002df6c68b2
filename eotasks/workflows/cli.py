"""The `eotasks` command: dispatches to the modules of the commands."""

from __future__ import annotations

import sys

try:
    import argparse
    import atexit
    import contextlib
    import gc
    import os
    import warnings
    from collections.abc import Iterator, Sequence
    from importlib import import_module
    from typing import Any

    from eotasks.models.threads import OPENJPEG_INLINE, PASSIVE_WAIT
    from eotasks.workflows.arguments import Parser
    from eotasks.workflows.console import ExitCode, guarded, print_plain, run_command
except KeyboardInterrupt:  # what says it otherwise is not there yet, and the stack of an import helps nobody
    sys.stderr.write("eotasks: interrupted before it began.\n")
    raise SystemExit(130) from None  # as ExitCode.INTERRUPTED

_NEW_OBJECTS = 10_000


def main(argv: Sequence[str] | None = None) -> ExitCode:
    """Run the command.

    :param argv: Arguments; None takes those of the process, which is then the command's own and ends with it.
    """
    # Warnings of libraries are for developers; what a user can act on is an error or a line of the summary.
    warnings.simplefilter("ignore")
    for name, value in {**PASSIVE_WAIT, **OPENJPEG_INLINE}.items():  # read when an engine is loaded: none is yet
        os.environ.setdefault(name, value)
    if argv is None:
        # When Python ends it looks for cycles once more, among half a million objects of libraries: a seventh of the
        # time that a short command takes. The memory is given back all the same. In the process of another program,
        # which gives the arguments, finalizers of its cycles would no longer run.
        atexit.unregister(gc.freeze)  # once, however often this is called
        atexit.register(gc.freeze)
    with _few_collections():
        return _run(list(sys.argv[1:] if argv is None else argv))


def _run(given: list[str]) -> ExitCode:
    parsed: list[argparse.Namespace] = []

    def parse() -> ExitCode:  # loads the modules of commands, and shows helps
        parsed.append(parser(given[0] if given else None).parse_args(given))
        return ExitCode.DONE

    code = guarded(parse)
    return run_command(parsed[0]) if parsed else code


@contextlib.contextmanager
def _few_collections() -> Iterator[None]:
    """Has Python look for cycles after 10,000 new objects, not 700: libraries that are loaded make none, and half a
    million objects, for which it looked 480 times, a fourteenth of what a short command takes.
    """
    before = gc.get_threshold()
    gc.set_threshold(_NEW_OBJECTS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


COMMANDS = {
    "land-cover": "eotasks.workflows.land_cover.command",
    "cloud-mask": "eotasks.workflows.cloud_mask.command",
    "evaluate-clouds": "eotasks.workflows.evaluate_clouds.command",
    "water-level": "eotasks.workflows.water_level.command",
    "zonal-stats": "eotasks.workflows.zonal_stats.command",
    "compare-mask-sources": "eotasks.workflows.compare_mask_sources.command",
    "archive": "eotasks.workflows.cloud_archive.command",
    "catalogue": "eotasks.workflows.catalogue.command",
    "new-config": "eotasks.workflows.new_config.command",
    "status": "eotasks.workflows.status",
    "clean": "eotasks.workflows.clean",
    "doctor": "eotasks.workflows.doctor.command",
    "serve": "eotasks.service.command",
}
"""A line for each command: the module whose ``add_parser`` registers it under this name. All else is there."""


class _Version(argparse.Action):
    """Says the version, which takes a look through all that is installed: when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import version

        print_plain(f"eotasks {version('eotasks')}\n")
        parser.exit()


def parser(only: str | None = None) -> argparse.ArgumentParser:
    """The command's arguments.

    :param only: The command that will run, when that is known: the modules of the others, half a second of them, stay
        unloaded.
    """
    root = Parser(
        prog="eotasks", description="Cloud masks, time series and land cover from Sentinel-2, as composable tasks."
    )
    root.add_argument(
        "--version", action=_Version, nargs=0, default=argparse.SUPPRESS, help="show program's version number and exit"
    )
    commands = root.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for module in [COMMANDS[only]] if only in COMMANDS else COMMANDS.values():
        import_module(module).add_parser(commands)
    return root


if __name__ == "__main__":
    sys.exit(main())
