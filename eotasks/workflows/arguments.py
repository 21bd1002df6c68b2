"""The parser of a command line: what it says of a bad argument."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from eotasks.text import did_you_mean, harmless


class Parser(argparse.ArgumentParser):
    """Says of a bad argument what it is and what may have been meant, and prints nothing that a terminal obeys.

    An option that is not known is an error of the command it was given to, with the usage of that.
    """

    def error(self, message: str) -> NoReturn:
        """Prints the usage and the message, and ends with exit code 2."""
        super().error(harmless(message))

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> tuple[Any, list[str]]:  # type: ignore[override]  # argparse has overloads
        """As of argparse, but that arguments which are not known end it here."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(map(self._with_known, unknown))}")
        return found, unknown

    def _with_known(self, argument: str) -> str:
        option = argument.partition("=")[0]
        return argument + (did_you_mean(option, self._option_string_actions) if option.startswith("-") else "")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            meant = did_you_mean(value, action.choices or ())
            raise argparse.ArgumentError(action, f"{error.message}{meant}") from None
