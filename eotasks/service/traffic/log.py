"""The log of the service: a line of JSON for each event, without secrets."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

from eotasks.errors import stack_of
from eotasks.text import harmless, shortened

_CHARACTERS = 4_000
"""Of a text."""

FIELDS = "eotasks_fields"
"""In the `extra` of a record: what else its line says."""

REQUESTS = logging.getLogger("eotasks.service.requests")
"""A line for each request."""


class JsonFormatter(logging.Formatter):
    """A record as a line of JSON in ASCII."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _text(record.getMessage()),
        }
        for name, value in getattr(record, FIELDS, {}).items():
            line[name] = _text(value) if isinstance(value, str) else value
        if record.exc_info and record.exc_info[1] is not None:
            line["stack"] = shortened(stack_of(record.exc_info[1]), 2 * _CHARACTERS)
        return json.dumps(line)


def set_up_json_log(level: int = logging.INFO) -> None:
    """Sends records of the service and of uvicorn to stderr as JSON; others from warnings on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in ("eotasks.service", "uvicorn.error"):
        logging.getLogger(name).setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True


def _text(value: str) -> str:
    return harmless(shortened(value, _CHARACTERS))
