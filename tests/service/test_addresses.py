"""Nothing of a client's is opened as an address or a path: requests that name some are refused, and nobody is asked."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
import requests

from tests.servers.lying import LyingServer
from tests.servers.made_service import PROCESS, SEARCH, STATISTICS, TOKEN, MadeService
from tests.servers.service import request

SCRIPT = """//VERSION=3
function setup() { return {input: ["B04"], output: {bands: 1, sampleType: "FLOAT32"}} }
function evaluatePixel(s) { return [s.B04] }"""


@pytest.fixture
def session(made_service: MadeService) -> requests.Session:
    made_service.times = [dt.datetime(2024, 6, 1, 10, 30)]  # noqa: DTZ001 - naive UTC
    session = requests.Session()
    form = {"client_id": made_service.client_id, "client_secret": made_service.client_secret}
    answer = session.post(f"{made_service.url}{TOKEN}", data={"grant_type": "client_credentials", **form}, timeout=60)
    session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
    return session


def asked(address: str) -> list[tuple[str, dict[str, Any]]]:
    """Requests with an address, or a path, in each place where one could stand."""
    bounds = request()["input"]["bounds"]
    system = {"properties": {"crs": f"{address}/def/crs/EPSG/0/32633"}}
    changes: list[dict[str, Any]] = [
        {"bounds": {**bounds, **system}},
        {"bounds": {**bounds, "properties": {"crs": f"+proj=utm +zone=33 +nadgrids={address}"}}},
        {"bounds": {**bounds, "geometry": address}},
        {"bounds": {**bounds, "geometry": {"type": "Polygon", "coordinates": address}}},
        {"data": {"type": address}},
        {"data": {"dataFilter": {"timeRange": {"from": address, "to": address}}}},
        {"data": {"dataFilter": {"location": address}}},
        {"data": {"id": "a", "processing": {"orthorectify": address}}},
        {"output": {"responses": [{"identifier": address}]}},
        {"output": {"delivery": {"s3": {"url": address}}}},
        {"evalscript": f"//VERSION=3\nimport x from '{address}'"},
        {"evalscript": SCRIPT.replace("return [s.B04]", f"return fetch('{address}')")},
        {"evalscript": SCRIPT.replace("return [s.B04]", f"importScripts('{address}')")},
    ]
    found = [(PROCESS, request(**{"evalscript": SCRIPT, **change})) for change in changes]
    search = {"collections": ["sentinel-2-l1c"]}
    more = ({"collections": [address]}, {"intersects": address}, {"filter": f"eo:cloud_cover < '{address}'"})
    found += [(SEARCH, search | each) for each in (*more, {"filter-crs": address})]
    found.append((STATISTICS, {"input": request()["input"], "aggregation": {"evalscript": address}}))
    return found


@pytest.mark.parametrize("kind", ["address", "path"])
def test_addresses_and_paths_are_refused_and_nobody_is_asked(
    made_service: MadeService, session: requests.Session, lying_server: LyingServer, kind: str
) -> None:
    address = lying_server.url if kind == "address" else "/etc/passwd"
    plain = session.post(f"{made_service.url}{PROCESS}", json=request(evalscript=SCRIPT), timeout=60)
    assert plain.status_code == 200, plain.text
    for path, body in asked(address):
        answer = session.post(f"{made_service.url}{path}", json=body, timeout=60)
        assert answer.status_code in (400, 404), (body, answer.text)
        assert "root:" not in answer.text
    for name in (address, "..%2F..%2Fetc%2Fpasswd", "%2Fetc%2Fpasswd"):
        collection = f"{made_service.url}/api/v1/catalog/1.0.0/collections"
        for url in (f"{collection}/{name}", f"{collection}/sentinel-2-l1c/items/{name}"):
            assert session.get(url, timeout=60).status_code == 404
    assert lying_server.requests == []
