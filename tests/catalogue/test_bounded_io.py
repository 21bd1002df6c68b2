"""What a user is told of a STAC API that cannot be asked."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from requests import ConnectionError as NotConnected
from requests import Session
from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool
from urllib3.exceptions import MaxRetryError, NameResolutionError

from tests.builders.command_line import command


def test_a_name_that_no_server_has_is_told_without_pools_and_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    def request(*_: Any, **__: Any) -> None:
        missing = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        unknown = NameResolutionError("stac.example", HTTPSConnection("stac.example"), missing)
        raise NotConnected(MaxRetryError(HTTPSConnectionPool("stac.example"), "/v1", unknown)) from missing

    monkeypatch.setattr(Session, "request", request)
    result = command("catalogue", "search", "--catalogue", "https://stac.example/v1")
    assert (result.code, result.out) == (2, "")
    assert "https://stac.example/v1: cannot be asked (Failed to resolve 'stac.example'" in result.err
    assert "Check its address." in result.err
    assert "Connection" not in result.err
