"""What workers say to the parent: plain values as JSON, never pickled.

Unpickling imports modules and runs code of whatever class a task has logged or raised: what cannot be rebuilt in the
parent, or ends it, would end the whole batch. So a log record travels as its texts and numbers, and an exception as the
name of its class, its message in one line and its stack.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from datetime import datetime
from typing import Any

from eolearn.core.eonode import ExceptionInfo, NodeStats
from eolearn.core.eoworkflow import WorkflowResults

from eotasks.errors import message_of
from eotasks.text import harmless, shortened
from eotasks.workflows.batch.workers.job import PatchReport, record_text

MESSAGE_BYTES = 64 * 1024**2
"""Above what any message has; a worker that announces more is not one of ours any more."""

_VALUE_CHARACTERS = 2_000
_LARGE = 1 << 63
_NOT_SENT = frozenset({"msg", "args", "exc_info", "exc_text", "stack_info"})


def encode(kind: str, content: object = None) -> bytes:
    """A message: ``ready``; ``step`` with the uid of the node that begins; ``log`` with a record; ``report``, or ``last
    report`` of a worker that ends with it; ``refused`` with the reason.
    """
    if isinstance(content, logging.LogRecord):
        content = _plain_record(content)
    elif isinstance(content, PatchReport):
        content = _plain_report(content)
    return json.dumps([kind, content]).encode()  # ASCII: file names that are no text may be in it


def decode(data: bytes) -> tuple[str, Any]:
    """Kind and content of a message.

    :raises ValueError: when it is none.
    """
    try:
        kind, content = json.loads(data)
        if kind == "log":
            content = _record(content)
        elif kind in ("report", "last report"):
            content = _report(content)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"no message of a worker: {message_of(error)}") from error
    return str(kind), content


def _plain_record(record: logging.LogRecord) -> dict[str, object]:
    """The attributes of a record; of those that are no text or number (of ``extra=``) the text."""
    values = {str(key): _plain(value) for key, value in vars(record).items() if key not in _NOT_SENT}
    return values | {"msg": harmless(record_text(record))}


def _plain(value: object) -> object:
    if value is None or type(value) in (bool, float) or (type(value) is int and -_LARGE < value < _LARGE):
        return value
    return shortened(value if type(value) is str else _text(value), _VALUE_CHARACTERS)


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001  # runs code of any class
        return f"<{type(value).__name__}>"


def _record(content: dict[str, Any]) -> logging.LogRecord:
    record = logging.makeLogRecord(content)
    record.name, record.msg, record.levelno = str(record.name), str(record.msg), int(record.levelno)
    record.created = float(record.created)
    return record


def _plain_report(report: PatchReport) -> dict[str, object]:
    results = report.results
    stats = [
        [uid, of.node_name, of.start_time.isoformat(), of.end_time.isoformat(), _plain_failure(of.exception_info)]
        for uid, of in results.stats.items()
    ]
    return {
        "index": report.index,
        "times": [results.start_time.isoformat(), results.end_time.isoformat()],
        "stats": stats,
        "peaks": dict(report.peaks),
        "attempts": report.attempts,
        "error": report.error,
        "log": report.log,
        "warnings": report.warnings,
    }


def _report(content: dict[str, Any]) -> PatchReport:
    start, end = map(datetime.fromisoformat, content["times"])
    stats = {
        uid: NodeStats(uid, name, datetime.fromisoformat(begun), datetime.fromisoformat(ended), _failure(failure))
        for uid, name, begun, ended, failure in content["stats"]
    }
    return PatchReport(
        content["index"],
        WorkflowResults({}, start, end, stats),
        content["peaks"],
        attempts=content["attempts"],
        error=content["error"],
        log=content["log"],
        warnings=tuple(map(str, content["warnings"])),
    )


def _plain_failure(failure: ExceptionInfo | None) -> dict[str, object] | None:
    if failure is None:
        return None
    error = failure.exception
    arguments: tuple[object, ...] = BaseException.args.__get__(error)  # type: ignore[attr-defined]  # not a property of the class
    if not all(value is None or type(value) in (bool, int, float, str) for value in arguments):
        arguments = ()
    return {
        "class": [type(error).__module__, type(error).__qualname__],
        "arguments": [_plain(value) for value in arguments],
        "text": message_of(error),
        "traceback": failure.traceback,
        "origin": failure.origin,
    }


def _failure(content: dict[str, Any] | None) -> ExceptionInfo | None:
    if content is None:
        return None
    module, name = content["class"]
    error = _exception(module, name, content["arguments"]) or RuntimeError(content["text"])
    return ExceptionInfo(error, traceback=content["traceback"], origin=content["origin"])


def _exception(module: str, name: str, arguments: list[Any]) -> BaseException | None:
    """An exception of a class that this process has loaded, made by Python's own means: nothing is imported, and no
    code of the class runs. None where there is no such class.
    """
    kind = vars(sys.modules[module]).get(name) if module in sys.modules else None
    if isinstance(kind, type) and issubclass(kind, BaseException):
        with contextlib.suppress(Exception):
            base = next(each for each in kind.__mro__ if each.__module__ == "builtins")
            error = base.__new__(kind, *arguments)
            return error if isinstance(error, BaseException) else None
    return None
