"""The list of detectors in the help of commands."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

_WIDTH = 22


def detector_list(suits: Callable[[str], bool] = lambda _: True) -> str:
    """A line for each detector: ours, then those of plugins, with what is known to be wrong with them.

    :param suits: Which of ours are listed, by name.
    """
    from eotasks.clouds.detectors.registry import BUILT_IN, detectors

    lines = []
    for each in detectors():
        if each.name in BUILT_IN and each.package is None and not suits(each.name):
            continue
        text = each.description if each.package is None else f"{each.description} ({each.package})"
        lines.append(f"  {each.name:<{_WIDTH}}  {text if each.problem is None else f'{each.problem} ({each.package})'}")
    return "\n".join(lines)


class DetectorHelp(argparse.Action):
    """`--help` of a command whose examples list the detectors: the list is made when it is asked for.

    :param examples: Makes the text below the options.
    """

    def __init__(self, option_strings: Sequence[str], dest: str, *, examples: Callable[[], str], help: str) -> None:  # noqa: A002
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help=help)
        self._examples = examples

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,  # noqa: ARG002 - as argparse calls it
        values: str | Sequence[Any] | None,  # noqa: ARG002
        option_string: str | None = None,  # noqa: ARG002
    ) -> None:
        """Print the help and leave."""
        parser.epilog = self._examples()
        parser.print_help()
        parser.exit()
