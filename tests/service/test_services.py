"""What endpoints are given."""

from __future__ import annotations

from unittest.mock import Mock

import pytest
from starlette.requests import Request

from eotasks.service.services import Services
from eotasks.service.settings import ServiceSettings
from eotasks.service.traffic.state import CLIENT_STATE


@pytest.mark.parametrize(("is_open", "client"), [(False, "me"), (True, "127.0.0.9")])
def test_whose_work_a_request_is(is_open: bool, client: str) -> None:
    services = Services(ServiceSettings(open=is_open), Mock(), Mock(), Mock(), Mock())
    request = Request({"type": "http", "state": {CLIENT_STATE: "me"}, "client": ("127.0.0.9", 1234)})

    assert services.work_for(request).client == client
