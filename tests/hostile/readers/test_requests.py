"""Requests of strangers to the service: what is told of them is short, whatever they hold."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from eotasks.errors import EOTasksError
from eotasks.service.api.body import model_of
from eotasks.service.contract.fis import fis_request
from eotasks.service.contract.ground import area_of
from eotasks.service.contract.request import EXAMPLE, ProcessRequest
from eotasks.text import redact

LONG = "x" * 100_000
MOST = 2_000


def processed(change: Callable[[dict[str, Any]], object]) -> None:
    document = copy.deepcopy(EXAMPLE)
    change(document)
    asked = model_of(json.dumps(document).encode(), "application/json", ProcessRequest)
    area_of(asked.input.bounds, width=asked.output.width, height=asked.output.height)


REQUESTS: dict[str, Callable[[], object]] = {
    "a width of 4,000 digits": lambda: processed(lambda document: document["output"].update(width=10**4000)),
    "a height below 0 of as many": lambda: processed(lambda document: document["output"].update(height=-(10**4000))),
    "fields of endless names": lambda: processed(lambda document: document.update({LONG: 1, f"{LONG}y": 2})),
    "a parameter of an endless name": lambda: fis_request({LONG: "1"}),
    "a layer of an endless name": lambda: fis_request({"LAYER": LONG}),
    "a time without an end": lambda: fis_request({"LAYER": "NDVI", "BBOX": "1,2,3,4", "TIME": LONG}),
    "a box of endless numbers": lambda: fis_request({"LAYER": "NDVI", "TIME": "2019-06-01", "BBOX": f"1,2,3,{LONG}"}),
    "a system of an endless name": lambda: fis_request(
        {"LAYER": "NDVI", "TIME": "2019-06-01", "BBOX": "1,2,3,4", "CRS": LONG}
    ),
}


@pytest.mark.parametrize("kind", REQUESTS)
def test_refusals_of_requests_are_short(kind: str) -> None:
    with pytest.raises(EOTasksError) as refused:
        REQUESTS[kind]()
    assert len(str(refused.value)) < MOST


@pytest.mark.parametrize("name", ["token", "X-Amz-Signature", "sig", "client_secret"])
def test_a_secret_in_the_quoted_name_of_an_object_is_not_repeated(name: str) -> None:
    """Servers repeat what they were asked for, as they were asked."""
    assert redact(f"GET /bucket/a.gpkg%3F{name}%3Dabc123456") == f"GET /bucket/a.gpkg%3F{name}%3D***"
    assert redact(f"/b/a%3Fx%3D1%26{name}%3Dabc&b") == f"/b/a%3Fx%3D1%26{name}%3D***&b"
