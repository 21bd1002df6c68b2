"""JSON and TOML of others: of a size and depth that a document has, of the type that is due, fit to be kept and shown.

Python's own readers take what no honest writer writes and what fails later and elsewhere: a hundred thousand levels
(RecursionError), numbers of ten thousand digits, characters that no file and no terminal can have. Three bytes of a
document (``{},``) are up to ninety in memory, so what separates its values is counted before it is parsed
(`check_signs`). Half a million values of a wrong type are half a gigabyte of errors to pydantic, which counts them all
(`refuse_many_values`).
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from eotasks.limits import DOCUMENT_LEVELS, DOCUMENT_SIGNS, DOCUMENT_VALUES, MEGABYTE, RECORD_BYTES
from eotasks.text import shortened

if TYPE_CHECKING:
    from pydantic import ValidationError

_FIELD, _REASON = 60, 300
"""Characters that are shown of the name of a field, and of what is wrong with it."""

Refuse = Callable[[str], Exception]
"""Makes the error of a document, from what is wrong with it."""


def parse_json(content: bytes | str, refuse: Refuse) -> Any:
    """The value of a JSON document, of any type.

    NaN and infinity, which Python writes and JSON has not, are taken: whoever uses a number looks at it. Of keys that
    come twice the last one counts.

    :param refuse: Makes the error: ``lambda reason: ImageryError(f"{where}: {reason}. Fetch it again.")``.
    :raises Exception: what ``refuse`` makes, when it is no JSON, too large, too deep, or holds NUL or halves of
        characters.
    """
    with _bounded(content, refuse, "no JSON"):
        value = json.loads(content)
        _check_depth(value)
        # Such characters are in bytes that are no ASCII, in escapes, or in UTF-16 and UTF-32, which are full of NUL.
        signs = ("\\u", "\0") if isinstance(content, str) else (b"\\u", b"\0")
        if not content.isascii() or any(sign in content for sign in signs):  # type: ignore[operator]
            _check_text(value)
        return value


def parse_json_object(content: bytes | str, refuse: Refuse) -> dict[str, Any]:
    """The object of a JSON document.

    :raises Exception: as `parse_json`, and when it is a value of another type.
    """
    value = parse_json(content, refuse)
    if not isinstance(value, dict):
        raise refuse("no JSON object")
    return value


def parse_toml(content: bytes | str, refuse: Refuse) -> dict[str, Any]:
    """The table of a TOML document.

    :raises Exception: what ``refuse`` makes, when it is no UTF-8, no TOML, too large or too deep.
    """
    with _bounded(content, refuse, "no valid TOML"):
        value = tomllib.loads(content if isinstance(content, str) else content.decode())
        _check_depth(value)
        _check_text(value)
        return value


def check_signs(content: bytes | str) -> None:
    """Refuse a document of more values than any has, before a reader of JSON or TOML makes an object of each.

    :raises ValueError: when it has; with the reason.
    """
    if len(content) > DOCUMENT_SIGNS.value and (count := _signs(content)) > DOCUMENT_SIGNS.value:
        raise ValueError(DOCUMENT_SIGNS.excess(count))


def check_signs_of(stream: IO[bytes]) -> None:
    """As `check_signs`, of a document that somebody else parses; read to its end.

    :raises ValueError: when it has too many; with the reason.
    """
    count = 0
    while chunk := stream.read(MEGABYTE):
        count += _signs(chunk)
        if count > DOCUMENT_SIGNS.value:
            raise ValueError(DOCUMENT_SIGNS.excess())


def refuse_many_values(value: Any, refuse: Refuse) -> None:
    """For a document that pydantic looks at next: it makes an error of each value of a wrong type, a kilobyte each.

    :raises Exception: what ``refuse`` makes, when the document has too many values.
    """
    count, nodes = 1, [value]
    while nodes:
        node = nodes.pop()
        values = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        count += len(values)
        nodes += [child for child in values if type(child) is dict or type(child) is list]
    if count > DOCUMENT_VALUES.value:
        raise refuse(DOCUMENT_VALUES.excess(count))


def first_problem(error: ValidationError, whole: str) -> str:
    """The first field of a document that does not fit, and why.

    :param whole: What the document is called when it is none of its fields.
    """
    problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
    field = ".".join(shortened(str(part), _FIELD) for part in problem["loc"]) or whole
    return f"{field}: {shortened(problem['msg'], _REASON)}"


def _signs(content: bytes | str) -> int:
    """What each value but the first has before it, and each object and list in it. Those in texts count as well.

    By what is left without them, piece by piece: a third of the time of counting each.
    """
    count = 0
    for start in range(0, len(content), MEGABYTE):
        piece = content[start : start + MEGABYTE]
        piece = piece.encode("utf-8", "replace") if isinstance(piece, str) else piece
        count += len(piece) - len(piece.translate(None, b",:=[{"))
    return count


@contextmanager
def _bounded(content: bytes | str, refuse: Refuse, fault: str) -> Iterator[None]:
    if len(content) > RECORD_BYTES.value:
        raise refuse(RECORD_BYTES.excess(len(content)))
    try:
        check_signs(content)
    except ValueError as error:
        raise refuse(str(error)) from None
    try:
        yield
    except RecursionError:
        raise refuse(f"more than {DOCUMENT_LEVELS.value} levels of nesting") from None
    except ValueError as error:
        raise refuse(f"{fault} ({str(error)[:200]})") from error


def _check_depth(value: Any) -> None:
    """Level by level, as a call for each would end where the reader's own does.

    :raises RecursionError: when there are too many.
    """
    level: list[Any] = [value]
    for _ in range(DOCUMENT_LEVELS.value + 1):
        below: list[Any] = []
        for node in level:
            values = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
            below += [child for child in values if type(child) is dict or type(child) is list]
        if not below:
            return
        level = below
    raise RecursionError


def _check_text(value: Any) -> None:
    """:raises ValueError: for NUL, and for half of a character of two."""
    nodes = [value]
    while nodes:
        node = nodes.pop()
        if isinstance(node, dict):
            nodes += [*node, *node.values()]
        elif isinstance(node, list):
            nodes += node
        elif isinstance(node, str):
            node.encode()
            if "\0" in node:
                raise ValueError("NUL in a text")
