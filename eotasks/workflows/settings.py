"""Whether results were made with the same settings: one comparison for every workflow that goes on where it stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_NAMED, _CHARACTERS = 5, 100


def changed_keys(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Keys whose values differ, or that only one of both has, sorted; inner ones dotted, such as ``time.start``.

    A key that is absent and one whose value is None are the same; so are inner keys of which all are None.
    """
    return sorted(_changed(before, now))


def in_words(keys: Sequence[str]) -> str:
    """Keys for a message: some of them, and cut, since they may be of a file of somebody else."""
    more = f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
    return ", ".join(key[:_CHARACTERS] for key in keys[:_NAMED]) + more


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    changed = []
    for key in before.keys() | now.keys():
        first, second = before.get(key), now.get(key)
        first, second = _filled(first, second), _filled(second, first)
        if isinstance(first, Mapping) and isinstance(second, Mapping):
            changed += [f"{key}.{inner}" for inner in _changed(first, second)]
        elif first != second:
            changed.append(key)
    return changed


def _filled(value: Any, other: Any) -> Any:
    """A value to be compared with another: where there is none, and the other has inner keys, none of those."""
    return {} if value is None and isinstance(other, Mapping) else value
