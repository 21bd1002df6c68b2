"""How several processes are started."""

from __future__ import annotations

import os
import socket
from typing import Any

import pytest

from eotasks.service import serving
from eotasks.service.settings import load_settings
from eotasks.service.traffic.buckets import SHARED_VARIABLE


@pytest.mark.parametrize("is_new", [True, False])
def test_a_silent_process_is_replaced_in_its_time(monkeypatch: pytest.MonkeyPatch, is_new: bool) -> None:
    """Processes of uvicorn that say nothing for 5 s are replaced; versions before 0.37 cannot be told otherwise."""
    told: dict[str, Any] = {}

    def old(app: str, workers: int) -> None: ...

    def new(app: str, workers: int, timeout_worker_healthcheck: int) -> None: ...

    monkeypatch.setattr(serving, "set_up_json_log", lambda: None)
    monkeypatch.setattr(serving, "share_arenas", lambda: True)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr(
        serving.uvicorn, "run", lambda _, **options: told.update(options, shared=os.environ[SHARED_VARIABLE])
    )
    monkeypatch.setattr(serving.uvicorn, "Config", new if is_new else old)
    with socket.socket() as listening:
        serving.serve(load_settings({"open": True, "workers": 3}), listening, lambda: None)
    assert told["workers"] == 3
    assert "rates" in told["shared"]
    assert SHARED_VARIABLE not in os.environ  # its folder is gone
    assert told.get("timeout_worker_healthcheck") == (15 if is_new else None)
