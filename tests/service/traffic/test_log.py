"""Lines of the log: JSON, without secrets, one for each event."""

from __future__ import annotations

import json
import logging
import sys

from eotasks.service.traffic.log import FIELDS, JsonFormatter


def line_of(message: str, **more: object) -> dict[str, object]:
    record = logging.LogRecord("eotasks.service", logging.INFO, __file__, 1, message, (), None)
    for name, value in more.items():
        setattr(record, name, value)
    text = JsonFormatter().format(record)
    assert text.isascii()
    assert "\n" not in text
    content = json.loads(text)
    assert isinstance(content, dict)
    return content


def test_a_line() -> None:
    line = line_of("request", **{FIELDS: {"status": 200, "path": "/api/v1/process\x1b[2J\nforged", "client": None}})
    assert (line["message"], line["level"], line["status"], line["client"]) == ("request", "info", 200, None)
    assert line["path"] == "/api/v1/process\\x1b[2J\\nforged"


def test_secrets_are_left_out() -> None:
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJl"
    line = line_of(f"Authorization: Bearer {token}", **{FIELDS: {"address": "https://user:word@host/?sig=abc"}})
    assert token not in json.dumps(line)
    assert line["address"] == "https://host/"


def test_a_stack() -> None:
    try:
        raise ValueError("client_secret=abcdefgh1234")
    except ValueError:
        line = line_of("failed", exc_info=sys.exc_info())
    assert "ValueError" in str(line["stack"])
    assert "abcdefgh1234" not in str(line["stack"])
