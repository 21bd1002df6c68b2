"""What is wrong with a configuration: all causes in one message, each with its key, and what may have been meant."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from eotasks.errors import ConfigurationError, EOTasksError, message_of
from eotasks.text import did_you_mean, excerpt
from eotasks.workflows.land_cover.sections import SectionError

_NAMED = 12
"""Problems that a message names."""
_ROUNDS = 6
_CHARACTERS = 500
"""Of one problem."""
_ALL_KEYS = "All keys: `eotasks land-cover --print-config`"

Location = tuple[str | int, ...]
Validate = Callable[[Mapping[str, object]], object]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong."""

    key: str
    """Dotted; empty where several keys do not fit together."""

    text: str
    """What is wrong, and the cure."""

    location: Location = ()
    """As pydantic has it."""

    is_unknown_key: bool = False

    def __str__(self) -> str:
        return f"{self.key}: {self.text}" if self.key else self.text


class Causes:
    """Errors of checks that do not depend on each other, told together."""

    def __init__(self) -> None:
        self.errors: list[EOTasksError] = []

    @contextmanager
    def noted(self) -> Iterator[None]:
        """A check whose error is kept for the end; what follows the block runs whether it failed or not."""
        try:
            yield
        except EOTasksError as error:
            self.note(error)

    def note(self, error: EOTasksError) -> None:
        """Keeps an error, once."""
        if message_of(error) not in map(message_of, self.errors):
            self.errors.append(error)

    def refuse(self) -> None:
        """Raises what there is: a single error as it was.

        :raises ConfigurationError: several are wrong; each is in the message.
        :raises EOTasksError: one is.
        """
        if not self.errors:
            return
        if len(self.errors) == 1:
            raise self.errors[0]
        told = "; ".join(
            f"({number}) {message_of(error).rstrip('.')}" for number, error in enumerate(self.errors, start=1)
        )
        raise ConfigurationError(f"{len(self.errors)} things are wrong: {told}.") from self.errors[0]


def in_one_line(problems: Sequence[Problem]) -> str:
    """Problems for a message, some of them where there are many."""
    more = f"; and {len(problems) - _NAMED} more problems" * (len(problems) > _NAMED)
    keys = f". {_ALL_KEYS}" if any(each.is_unknown_key for each in problems[:_NAMED]) else ""
    return f"{'; '.join(str(each).rstrip('.') for each in problems[:_NAMED])}{more}{keys}."


def all_problems(
    validate: Validate, data: Mapping[str, object], model: type[BaseModel], sources: Mapping[str, type[BaseModel]]
) -> list[Problem]:
    """Everything that is wrong with values that were refused.

    pydantic looks at how keys fit together only where each of them is usable. So unusable ones are left out, and the
    rest is looked at again; what is said then of a key that was left out does not count.

    :param validate: Raises a ValidationError.
    :param model: The class of the whole configuration.
    :param sources: The classes of the table ``source``, by kind.
    """
    left = copy.deepcopy(dict(data))
    problems: list[Problem] = []
    left_out: list[str] = []
    for _ in range(_ROUNDS):
        found = _problems_of(validate, left, model, sources)
        new = [each for each in found if str(each) not in map(str, problems) and not _is_of(each, left_out)]
        problems += new
        removed = {each: _remove(left, each.location, sources) for each in found}
        left_out += [name for each, name in removed.items() if name is not None and not each.is_unknown_key]
        if not any(removed.values()):
            break
    return problems


def _problems_of(
    validate: Validate, data: Mapping[str, object], model: type[BaseModel], sources: Mapping[str, type[BaseModel]]
) -> list[Problem]:
    try:
        validate(data)
    except ValidationError as error:
        return [problem for item in error.errors(include_url=False) for problem in _told(dict(item), model, sources)]
    return []


def _told(item: dict[str, Any], model: type[BaseModel], sources: Mapping[str, type[BaseModel]]) -> Iterator[Problem]:
    location: Location = item["loc"]
    key = ".".join(str(part)[:60] for part in location if part not in sources)
    kind, given, context = item["type"], item.get("input"), item.get("ctx", {})
    text = re.sub(r"^Value error, ", "", item["msg"][:_CHARACTERS])
    reason = context.get("error")
    if isinstance(reason, SectionError):
        for each in reason.problems:
            yield Problem(key, each[:_CHARACTERS], location)
        return
    if kind == "extra_forbidden":
        text = _of_unknown_key(location, model, sources)
    elif kind == "union_tag_invalid":
        key, tag = f"{key}.kind", context.get("tag")
        text = f"there is no source {excerpt(tag)}{did_you_mean(tag, sources)}: choose of {', '.join(sources)}"
    elif kind == "union_tag_not_found":
        key, text = f"{key}.kind", f"which source? choose of {', '.join(sources)}"
    elif kind == "missing":
        description = _description(location, model, sources)
        text = "this key is needed" + (f": {description}" if description else "")
        if key == "source":
            text = f"a table [source] with its kind is needed: choose of {', '.join(sources)}"
    elif kind == "literal_error":
        known = re.findall(r"'([^']*)'", str(context.get("expected", "")))
        text = f"{text}, not {excerpt(given)}{did_you_mean(given, known)}"
    elif isinstance(given, str | int | float | bool) and kind != "value_error":
        text = f"{text}, not {excerpt(given)}"
    yield Problem(key, text, location, is_unknown_key=kind == "extra_forbidden")


def _of_unknown_key(location: Location, model: type[BaseModel], sources: Mapping[str, type[BaseModel]]) -> str:
    name = str(location[-1])
    table = _table_of(location[:-1], model, sources)
    meant = did_you_mean(name, table.model_fields) if table is not None else ""
    if not meant:
        homes = [title for title, section in _tables(model, location, sources) if name in section.model_fields]
        meant = f" (it belongs to {' or '.join(homes)})" if homes else ""
    return f"unknown key{meant}"


def _tables(
    model: type[BaseModel], location: Location, sources: Mapping[str, type[BaseModel]]
) -> Iterator[tuple[str, type[BaseModel]]]:
    """The tables of a configuration, by how a message names them."""
    yield "the top of the file, before the first table", model
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel) and name != "source":
            yield f"[{name}]", field.annotation
    for kind, section in sources.items():
        if kind not in location:
            yield f"[source] of kind {kind!r}", section


def _table_of(
    location: Location, model: type[BaseModel], sources: Mapping[str, type[BaseModel]]
) -> type[BaseModel] | None:
    """The class of the table at a location; None where there is none."""
    table: type[BaseModel] = model
    for part in location:
        if part in sources:
            table = sources[str(part)]
        elif part != "source":
            field = table.model_fields.get(str(part))
            inner = None if field is None else field.annotation
            if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
                return None
            table = inner
    return table


def _description(location: Location, model: type[BaseModel], sources: Mapping[str, type[BaseModel]]) -> str:
    table = _table_of(location[:-1], model, sources)
    field = None if table is None else table.model_fields.get(str(location[-1]))
    return (field.description or "").rstrip(".") if field is not None else ""


def _is_of(problem: Problem, left_out: Sequence[str]) -> bool:
    """Whether a problem may be one of keys that were left out only."""
    words = set(re.findall(r"\w+", str(problem)))
    return any(name in words for name in left_out)


def _remove(data: dict[str, Any], location: Location, sources: Mapping[str, type[BaseModel]]) -> str | None:
    """Takes the key at a location out of the values; its name, None where it is not there."""
    if location[:1] == ("source",) and len(location) == 1:
        return None  # without a source nothing fits together
    table: Any = data
    names = [part for part in location if part not in sources]
    for number, part in enumerate(names):
        if not isinstance(table, dict) or part not in table:
            return None
        last = number + 1 == len(names) or not isinstance(table[part], dict)
        if last:
            del table[part]
            return str(part)
        table = table[part]
    return None
