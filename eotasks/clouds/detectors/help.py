"""The list of detectors in the help of commands."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eotasks.clouds.detectors.protocol import Need

_WIDTH = 22


def detector_list(available: Collection[Need] | None = None) -> str:
    """A line for each detector: ours, then those of plugins, with what is known to be wrong with them.

    :param available: Leave out those of ours that need more than this beside bands, and the baselines. None for all.
    """
    from eotasks.clouds.detectors.registry import detectors, suited

    lines = []
    for each in detectors():
        if available is not None and each.package is None and each.name not in suited(available):
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
