"""The parser of a command line: what it says of a bad argument."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
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
        """As of argparse, but that arguments which are not known end it here, and so does a command, or an action of
        one, that was left out: what comes in its place is no misspelt one.
        """
        self._refuse_without_action(sys.argv[1:] if args is None else args)
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(map(self._with_known, unknown))}")
        return found, unknown

    def _refuse_without_action(self, args: Sequence[str]) -> None:
        actions = next((each for each in self._actions if isinstance(each, argparse._SubParsersAction)), None)
        if (
            actions is None
            or not actions.required
            or any(each in self._option_string_actions or each in actions.choices for each in args)
        ):
            return
        first, names = next(iter(args), ""), list(actions.choices)
        if first and not first.startswith("-") and (did_you_mean(first, names) or not _is_place(first)):
            return  # misspelt, which argparse says
        fitting = [name for name, parser in actions.choices.items() if _knows(parser, args)]
        chosen = fitting[0] if len(fitting) == 1 else names[0] if len(names) == 1 else str(actions.metavar)
        listed = f"choose of {', '.join(names)}" if len(names) > 1 else f"the only one is {names[0]}"
        kind = str(actions.metavar).lower()
        self.error(f"no {kind} is given; {listed}. As in: {self.prog} {shlex.join([chosen, *args])}")

    def _with_known(self, argument: str) -> str:
        option = argument.partition("=")[0]
        return argument + (did_you_mean(option, self._option_string_actions) if option.startswith("-") else "")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            meant = did_you_mean(value, action.choices or ())
            raise argparse.ArgumentError(action, f"{error.message}{meant}") from None


def _is_place(argument: str) -> bool:
    """Whether it is meant as a file or folder, and not as a command: it is there, or has a separator or an ending."""
    return any(character in argument for character in "/\\.") or os.path.lexists(argument)


def _options(args: Sequence[str]) -> Iterator[str]:
    return (each.partition("=")[0] for each in args if each.startswith("--"))


def _knows(parser: argparse.ArgumentParser, args: Sequence[str]) -> bool:
    """Whether a command has all options that are given, and there are any."""
    known: Mapping[str, argparse.Action] = parser._option_string_actions
    given = list(_options(args))
    return bool(given) and all(option in known for option in given)
