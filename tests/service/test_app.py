"""What is about every request: health, counts, the description, headers, and the end of the service."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests

from eotasks.service import app
from eotasks.service.traffic.log import FIELDS, REQUESTS
from tests.builders.waiting_batch import until
from tests.servers.service import FakeEngine, Running, request, running_service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_service(tmp_path_factory.mktemp("service"), open=True, body_s=0.5) as running:
        yield running


def get(service: Running, path: str, **headers: str) -> requests.Response:
    return requests.get(f"{service.url}{path}", headers=headers, timeout=60)


def test_health(service: Running) -> None:
    answer = get(service, "/health")
    assert answer.status_code == 200
    assert answer.json()["status"] == "ok"
    assert answer.json()["requests"] == answer.json()["lookups"] == {"running": 0, "waiting": 0}


def test_the_load_of_the_catalogue_is_told(tmp_path: Path) -> None:
    started, go_on = threading.Event(), threading.Event()

    def wait(*_: object) -> list[object]:
        started.set()
        go_on.wait(60)
        return []

    with running_service(tmp_path, open=True, search=SimpleNamespace(find=wait)) as service:
        asked = {"collections": ["sentinel-2-l1c"], "bbox": [13, 45, 14, 46], "datetime": "2024-01-01T00:00:00Z/.."}
        thread = threading.Thread(target=lambda: service.post("/api/v1/catalog/1.0.0/search", asked, token=""))
        thread.start()
        try:
            assert started.wait(60)
            told = get(service, "/health").json()
        finally:
            go_on.set()
            thread.join()
        schema = get(service, "/openapi.json").json()["components"]["schemas"]["HealthAnswer"]
    assert told["lookups"] == {"running": 1, "waiting": 0}
    assert told["requests"] == {"running": 0, "waiting": 0}
    assert told.keys() <= schema["properties"].keys()


def test_counts(service: Running) -> None:
    def count() -> float:
        found = re.search(
            r'eotasks_requests_total\{route="/api/v1/process",status="200"\} (\S+)', get(service, "/metrics").text
        )
        return float(found[1]) if found else 0.0

    before = count()
    service.post("/api/v1/process", request(), token="")
    assert count() == before + 1
    get(service, "/any/thing")
    text = get(service, "/metrics").text
    assert 'route="other",status="404"' in text
    assert "any/thing" not in text


@pytest.mark.parametrize("path", ["/api/v1/batch/process", "/api/v1/async/process", "/ogc/wms/x", f"/{'x' * 9_000}"])
def test_what_is_not_there_is_told_with_what_there_is(service: Running, path: str) -> None:
    answer = get(service, path)
    assert answer.status_code == 404
    told = answer.json()["error"]["message"]
    assert path[:20] in told
    assert "/api/v1/process" in told
    assert "nothing is done in batches" in told
    assert len(told) < 500


def test_the_description_is_whole(service: Running) -> None:
    content = get(service, "/openapi.json").json()
    text = json.dumps(content)
    assert "$defs" not in text
    for reference in re.findall(r'"#/components/schemas/(\w+)"', text):
        assert reference in content["components"]["schemas"]
    assert content["servers"] == [{"url": service.url}]
    assert {"/api/v1/process", "/health"} <= set(content["paths"])


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_the_page_asks_no_other_host(service: Running, path: str) -> None:
    answer = get(service, path)
    assert "/api/v1/process" in answer.text
    assert "http" not in answer.text.replace(service.url, "")
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


def test_pages_of_others_may_ask_with_a_token(tmp_path: Path) -> None:
    asked = {"Origin": "https://map.example", "Access-Control-Request-Method": "POST"}
    with running_service(tmp_path) as service:
        url = f"{service.url}/api/v1/process"
        answer = requests.options(url, headers=asked, timeout=60)
        assert answer.headers["access-control-allow-origin"] == "*"
        refused = requests.post(url, data="{", headers={"Origin": "https://map.example"}, timeout=60)
        assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, "*")


SITE = "https://map.example"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://127.0.0.1:8888"}, 200),
        ({"Origin": "http://localhost"}, 200),
        ({"Origin": "https://[::1]:3000"}, 200),
        ({"Origin": SITE}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": f"{SITE}.evil.example"}, 403),
        ({"Origin": "http://localhost.evil.example"}, 403),
        ({"Origin": "http://127.0.0.1@evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "image"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "iframe"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document"}, 200),
        ({"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "empty"}, 200),
        ({}, 200),
    ],
    ids=str,
)
def test_pages_that_may_ask_an_open_service(open_to_one: Running, headers: dict[str, str], status: int) -> None:
    answer = requests.get(f"{open_to_one.url}/health", headers=headers, timeout=60)
    assert answer.status_code == status
    asked = {"Access-Control-Request-Method": "POST", **headers}
    before = requests.options(f"{open_to_one.url}/api/v1/process", headers=asked, timeout=60)
    for each in (answer, before):
        let_in = status == 200 and "Origin" in headers
        assert each.headers.get("access-control-allow-origin") == (headers["Origin"] if let_in else None)


@pytest.fixture(scope="module")
def open_to_one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_service(tmp_path_factory.mktemp("open"), open=True, cors_origins=[SITE]) as running:
        yield running


def test_headers(service: Running) -> None:
    first, second = get(service, "/health"), get(service, "/health", **{"X-Request-Id": "forged"})
    assert first.headers["x-request-id"] != second.headers["x-request-id"] != "forged"
    assert first.headers["x-content-type-options"] == "nosniff"


def test_the_log_has_a_line_for_a_request(service: Running, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", REQUESTS.name)
    answer = service.post("/api/v1/process?token=s3cret-value", request(), token="s3cret-token")
    lines: list[Any] = []

    def is_logged() -> bool:
        """The line comes when the answer is out, which the client may have before."""
        lines[:] = [getattr(record, FIELDS) for record in caplog.records if record.name == REQUESTS.name]
        return any(each["request"] == answer.headers["x-request-id"] for each in lines)

    until(is_logged)
    [line] = [each for each in lines if each["request"] == answer.headers["x-request-id"]]
    assert (line["method"], line["path"], line["status"], line["client"]) == ("POST", "/api/v1/process", 200, "open")
    assert line["sent"] == len(answer.content)
    assert "s3cret" not in json.dumps(lines)


def test_a_body_that_does_not_come(service: Running) -> None:
    host, _, port = service.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(b"POST /api/v1/process HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{")
        assert connection.recv(12) == b"HTTP/1.1 408"


def test_a_client_that_goes_is_no_fault(service: Running, caplog: pytest.LogCaptureFixture) -> None:
    host, _, port = service.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(b"POST /api/v1/process HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{")
    assert get(service, "/health").status_code == 200
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_requests_under_way_are_answered_at_the_end(tmp_path: Path) -> None:
    reached, gate, answers = threading.Event(), threading.Event(), []

    def wait() -> None:
        reached.set()
        gate.wait(60)

    with running_service(tmp_path, open=True, engine=FakeEngine(wait)) as service:
        asking = threading.Thread(
            target=lambda: answers.append(service.post("/api/v1/process", request(), token="").status_code)
        )
        asking.start()
        assert reached.wait(60)
        threading.Timer(0.1, gate.set).start()
    asking.join()
    assert answers == [200]


@pytest.mark.parametrize("ends", [True, False], ids=["with the engine", "not at all"])
def test_requests_that_do_not_end_in_time_are_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: bool
) -> None:
    monkeypatch.setattr(app, "END_S", 60 if ends else 0.1)
    reached, gate, done, ended = threading.Event(), threading.Event(), threading.Event(), []

    def wait() -> None:
        reached.set()
        gate.wait(60)
        ended.append("job")
        done.set()

    def close() -> None:
        ended.append("engine")
        if ends:
            gate.set()

    engine = FakeEngine(wait, close, lambda: ended.append("left"))
    with running_service(tmp_path, open=True, engine=engine, shutdown_s=1) as service:
        host, _, port = service.url.removeprefix("http://").partition(":")
        body = json.dumps(request()).encode()
        connection = socket.create_connection((host, int(port)), timeout=60)
        connection.sendall(
            b"POST /api/v1/process HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        )
        assert reached.wait(60)
    connection.close()
    gate.set()
    assert done.wait(60)
    assert ended == (["engine", "job"] if ends else ["engine", "left", "job"])


def test_the_catalogue_does_not_wait_for_pixels(tmp_path: Path) -> None:
    reached, gate = threading.Event(), threading.Event()

    def block() -> None:
        reached.set()
        gate.wait(60)

    search = {"collections": ["sentinel-2-l1c"], "datetime": "2024-06-01T00:00:00Z/2024-06-02T00:00:00Z"}
    with running_service(tmp_path, engine=FakeEngine(block), open=True, concurrent=1, waiting=0) as service:
        asking = threading.Thread(target=lambda: service.post("/api/v1/process", request(), token=""))
        asking.start()
        assert reached.wait(60)
        assert service.post("/api/v1/process", request(), token="").status_code == 429
        answer = service.post("/api/v1/catalog/1.0.0/search", search, token="")
        gate.set()
        asking.join()
    assert answer.status_code == 200
    assert answer.json()["context"]["returned"] == 0


def test_too_many_wait(tmp_path: Path) -> None:
    reached, gate, answers = threading.Event(), threading.Event(), []

    def wait() -> None:
        reached.set()
        gate.wait(60)

    with running_service(tmp_path, open=True, engine=FakeEngine(wait), concurrent=1, waiting=0) as service:
        asking = threading.Thread(
            target=lambda: answers.append(service.post("/api/v1/process", request(), token="").status_code)
        )
        asking.start()
        assert reached.wait(60)
        refused = service.post("/api/v1/process", request(), token="")
        gate.set()
        asking.join()
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1000")
    assert answers == [200]
