"""Fingerprints of configurations, workflows and arguments: they show that a batch is repeated with something changed.

A fingerprint is a short digest of the values themselves, never of addresses or of the order of a set, so that another
process gives the same. Digests only are kept: a manifest shows which key changed and no value of any.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from enum import Enum
from functools import cached_property
from pathlib import PurePath
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
from eolearn.core import EOTask, EOWorkflow

from eotasks.errors import ConfigurationError
from eotasks.workflows.batch.outcomes import step_names

_DIGITS = 16
_EMPTY = b"empty"
_EOLEARN_NOTES = "_private_task_config"
"""Arguments of a task's constructor as eo-learn notes them for its reports; the attributes made of them count."""


def fingerprint(value: object) -> str:
    """A digest of 16 hexadecimal digits: equal values give equal ones, in every process.

    Numbers, text, times, paths, arrays, containers, enumerations, classes and functions by name, functions without a
    name by their code, and any object by what pickle would keep of it. Of what cannot be pickled only the class counts.

    :raises ConfigurationError: when it is nested too deeply.
    """
    digest = hashlib.sha256()
    try:
        for part in _parts(value, ()):
            digest.update(len(part).to_bytes(8, "big") + part)
    except RecursionError as error:
        raise ConfigurationError(
            f"A {type(value).__name__} is nested too deeply to be compared with that of another run: give less of it,"
            " or a batch without a place."
        ) from error
    return digest.hexdigest()[:_DIGITS]


def settings_of(configuration: Mapping[str, Any]) -> dict[str, str]:
    """Fingerprints of a configuration by dotted key, such as ``time.start``."""
    settings: dict[str, str] = {}
    for key, value in configuration.items():
        if isinstance(value, Mapping) and value:
            settings |= {f"{key}.{below}": digits for below, digits in settings_of(value).items()}
        else:
            settings[str(key)] = fingerprint(value)
    return settings


def settings_of_workflow(workflow: EOWorkflow) -> dict[str, str]:
    """Fingerprints of what the steps of a workflow were made with, by step and attribute."""
    names = step_names(workflow)
    settings = {}
    for node in workflow.get_nodes():
        name = names[node.uid]
        settings[name] = fingerprint((type(node.task), [names[before.uid] for before in node.inputs]))
        for attribute, value in _kept_of(node.task).items():
            if attribute != _EOLEARN_NOTES:
                settings[f"{name}.{attribute}"] = fingerprint(value)
    return settings


def _parts(value: object, above: tuple[int, ...]) -> Iterator[bytes]:
    """The value as a stream of bytes, kinds before contents so that 1, "1" and [1] differ.

    :param above: Ids of the objects that this one is part of.
    """
    if value is None or (
        isinstance(value, bool | int | float | complex | str) and type(value).__module__ == "builtins"
    ):
        yield f"{type(value).__name__}:{value!r}".encode()
    elif isinstance(value, bytes | bytearray):
        yield b"bytes:" + bytes(value)
    elif isinstance(value, Enum):
        yield f"enum:{_name(type(value))}.{value.name}".encode()
    elif isinstance(value, PurePath):
        yield f"path:{value}".encode(errors="surrogatepass")  # a name on disk need not be text
    elif isinstance(value, datetime | date | time):
        yield f"{type(value).__name__}:{value.isoformat()}".encode()
    elif isinstance(value, timedelta):
        yield f"timedelta:{value.total_seconds()!r}".encode()
    elif id(value) in above:
        yield b"cycle"
    elif isinstance(value, type | FunctionType | BuiltinFunctionType | ModuleType | CodeType):
        yield from _code(value, (*above, id(value)))
    else:
        yield from _composed(value, (*above, id(value)))


def _composed(value: object, above: tuple[int, ...]) -> Iterator[bytes]:
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        yield f"array:{array.dtype.str}:{array.shape}".encode()
        if array.dtype.hasobject:
            yield from _items(array.ravel().tolist(), above)
        else:
            yield np.ascontiguousarray(array).tobytes()
    elif type(value) in (list, tuple):
        assert isinstance(value, Sequence)
        yield f"{type(value).__name__}:{len(value)}".encode()
        yield from _items(value, above)
    elif type(value) in (set, frozenset):
        assert isinstance(value, set | frozenset)
        yield type(value).__name__.encode()
        yield from sorted(_digest(item, above) for item in value)
    elif type(value) is dict:
        yield f"dict:{len(value)}".encode()
        yield from sorted(_digest(key, above) + _digest(item, above) for key, item in value.items())
    elif isinstance(value, MethodType):
        yield f"method:{value.__name__}".encode()
        yield from _parts(value.__self__, above)
    else:
        yield from _object(value, above)


def _object(value: object, above: tuple[int, ...]) -> Iterator[bytes]:
    """An object by what pickle would keep of it."""
    yield f"object:{_name(type(value))}".encode()
    try:
        reduced = value.__reduce_ex__(4)
        parts = [_plain(value, part) for part in reduced]
    except Exception:  # noqa: BLE001  # runs code of any class; what cannot be pickled counts by its class alone
        return
    if isinstance(reduced, str):
        yield reduced.encode()
    else:
        yield from _items(parts, above)


def _plain(value: object, part: Any) -> Any:
    """A part of what pickle would keep, without iterators and cached values."""
    if isinstance(part, Iterator):
        return list(part)
    return _without_caches(value, part) if type(part) is dict else part


def _without_caches(value: object, state: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of an object that are not just kept for the next time: using it may not change its fingerprint."""
    return {key: kept for key, kept in state.items() if not _is_cached(type(value), key)}


def _kept_of(task: EOTask) -> dict[str, Any]:
    """The attributes of a task that its workers get: what it keeps for the next time, ``__getstate__`` leaves out."""
    try:
        state = task.__getstate__()
    except Exception:  # noqa: BLE001  # runs code of any class; in threads it need not be one that can be pickled
        state = None
    return _without_caches(task, state if isinstance(state, dict) else vars(task))


def _is_cached(kind: type, attribute: object) -> bool:
    return isinstance(attribute, str) and isinstance(getattr(kind, attribute, None), cached_property)


def _code(value: object, above: tuple[int, ...]) -> Iterator[bytes]:
    """Classes, functions and modules by name; a lambda or inner function has none of its own, so its code counts."""
    yield f"code:{_name(value)}".encode()
    if isinstance(value, BuiltinFunctionType) and not isinstance(value.__self__, ModuleType | type):
        yield from _items([value.__self__], above)  # a method of an object
    if isinstance(value, FunctionType) and ("<lambda>" in value.__qualname__ or "<locals>" in value.__qualname__):
        yield from _items([value.__code__, value.__defaults__, value.__kwdefaults__], above)
        yield from _items([_content(cell) for cell in value.__closure__ or ()], above)
    elif isinstance(value, CodeType):
        yield value.co_code
        yield from _items([value.co_consts, value.co_names], above)


def _content(cell: CellType) -> object:
    """What a variable of an inner function has; one that has nothing yet counts as such."""
    try:
        return cell.cell_contents
    except ValueError:
        return _EMPTY


def _items(values: Sequence[object], above: tuple[int, ...]) -> Iterator[bytes]:
    for value in values:
        yield from _parts(value, above)


def _digest(value: object, above: tuple[int, ...]) -> bytes:
    digest = hashlib.sha256()
    for part in _parts(value, above):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()


def _name(value: Any) -> str:
    module = getattr(value, "__module__", None)
    return f"{module}.{getattr(value, '__qualname__', getattr(value, '__name__', ''))}"
