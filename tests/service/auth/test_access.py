"""Who is let in: tokens that are good, and all those that are not."""

from __future__ import annotations

import base64
import json
import stat
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jwt
import pytest
import requests

from eotasks.errors import ConfigurationError
from eotasks.service.auth.clients import Clients, add_client, read_clients, signing_key
from eotasks.service.auth.tokens import TokenSigner
from eotasks.service.errors import UnauthorizedError
from tests.servers.service import Running, request, running_service

TOKEN_PATH = "/auth/realms/main/protocol/openid-connect/token"


@pytest.fixture(scope="module")
def key() -> str:
    return "a key of the tests " * 4


@pytest.fixture(scope="module")
def service(key: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_service(tmp_path_factory.mktemp("service"), token_key=key) as running:
        yield running


def claims_of(service: Running, **changes: object) -> dict[str, object]:
    now = int(time.time())
    claims = {"sub": service.client_id, "aud": "eotasks", "scope": "process", "iat": now, "exp": now + 600}
    return {name: value for name, value in {**claims, **changes}.items() if value is not None}


def parts(token: str) -> list[str]:
    return token.split(".")


def coded(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


def status_of(service: Running, authorization: str | None, *, query: str = "") -> int:
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = requests.post(f"{service.url}/api/v1/process{query}", json=request(), headers=headers, timeout=60)
    if answer.status_code != 200:
        assert answer.json()["error"]["status"] == answer.status_code
    return answer.status_code


def test_a_good_token(service: Running, key: str) -> None:
    assert status_of(service, f"Bearer {service.token()}") == 200
    assert status_of(service, f"bearer {jwt.encode(claims_of(service), key)}") == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": 1_600_000_000},
        {"exp": None},
        {"exp": "never"},
        {"exp": float("inf")},
        {"sub": "nobody"},
        {"sub": None},
        {"sub": 5},
        {"aud": "another"},
        {"aud": None},
        {"scope": None},
        {"iat": None},
    ],
    ids=[
        "expired", "endless", "text", "infinite", "unknown", "nobody", "number", "of another", "for nobody", "no scope",
        "no begin",
    ],
)  # fmt: skip
def test_tokens_of_ours_that_are_not_good(service: Running, key: str, changes: dict[str, object]) -> None:
    assert status_of(service, f"Bearer {jwt.encode(claims_of(service, **changes), key)}") == 401


@pytest.mark.parametrize("scope", ["catalog", "statistics", "", "processes", "PROCESS"])
def test_another_scope(service: Running, key: str, scope: str) -> None:
    assert status_of(service, f"Bearer {jwt.encode(claims_of(service, scope=scope), key)}") == 403


def test_forged(service: Running, key: str) -> None:
    good = jwt.encode(claims_of(service), key)
    head, body, signature = parts(good)
    others = [
        jwt.encode(claims_of(service), "x" * 40),
        jwt.encode(claims_of(service), key, algorithm="HS512"),
        jwt.encode(claims_of(service), None, algorithm="none"),
        f"{coded({'alg': 'none', 'typ': 'JWT'})}.{body}.",
        f"{coded({'alg': 'None'})}.{body}.{signature}",
        f"{coded({'alg': 'RS256'})}.{body}.{signature}",
        f"{head}.{coded(claims_of(service, scope='process catalog'))}.{signature}",
        f"{head}.{body}.{signature[:-4]}AAAA",
        f"{head}.{body}",
        f"{head}.{body}.",
        f"{head}..{signature}",
        good + "." + signature,
        good + "x" * 5_000,
        "....",
        "é",
    ]
    assert {each: status_of(service, f"Bearer {each}".encode().decode("latin-1")) for each in others} == dict.fromkeys(
        others, 401
    )


def test_no_token_and_other_places(service: Running) -> None:
    token = service.token()
    assert status_of(service, None) == 401
    assert status_of(service, None, query=f"?access_token={token}") == 401
    assert status_of(service, "Bearer") == 401
    assert status_of(service, "Bearer ") == 401
    assert status_of(service, f"Basic {token}") == 401
    assert status_of(service, token) == 401
    assert status_of(service, f"Bearer {token}", query="?access_token=x") == 200


def test_a_client_that_was_removed(tmp_path: Path) -> None:
    with running_service(tmp_path) as service:
        token = service.token()
        add_client(tmp_path / "clients.json", "another")
        assert status_of(service, f"Bearer {token}") == 200
        (tmp_path / "clients.json").write_text('{"version": 1, "clients": {}}')
        assert status_of(service, f"Bearer {token}") == 401


@pytest.mark.parametrize("path", [TOKEN_PATH, "/oauth/token", "/api/v1/oauth/token"])
def test_token_by_form_and_by_header(service: Running, path: str) -> None:
    form = {"grant_type": "client_credentials"}
    pair = (service.client_id, service.client_secret)
    by_form = requests.post(
        service.url + path, data={**form, "client_id": pair[0], "client_secret": pair[1]}, timeout=60
    )
    by_header = requests.post(service.url + path, data=form, auth=pair, timeout=60)
    for answer in (by_form, by_header):
        assert answer.json().keys() == {"access_token", "expires_in", "token_type"}
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({"client_id": "nobody", "client_secret": "x"}, 401, "invalid_client"),
        ({"client_id": "", "client_secret": ""}, 401, "invalid_client"),
        ({"client_id": "nobody", "client_secret": "x" * 50_000}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"grant_type": ""}, 400, "unsupported_grant_type"),
        ({"client_id": "nobody", "client_secret": "x" * 150_000}, 400, "unsupported_grant_type"),
        ({f"f{number}": "x" for number in range(50)}, 400, "unsupported_grant_type"),
    ],
    ids=["unknown", "empty", "long", "another grant", "no grant", "very long", "many fields"],
)
def test_no_token(service: Running, form: dict[str, str], status: int, error: str) -> None:
    answer = requests.post(service.url + TOKEN_PATH, data={"grant_type": "client_credentials", **form}, timeout=60)
    assert (answer.status_code, answer.json()["error"]) == (status, error)


def test_unknown_client_and_wrong_secret_are_answered_alike(service: Running) -> None:
    form = {"grant_type": "client_credentials", "client_secret": "wrong"}
    answers = [
        requests.post(service.url + TOKEN_PATH, data={**form, "client_id": client_id}, timeout=60)
        for client_id in (service.client_id, "nobody")
    ]
    assert answers[0].content == answers[1].content
    assert answers[0].status_code == answers[1].status_code


@pytest.mark.parametrize("header", ["Basic", "Basic %%%", "Basic /w==", "Basic OjpeOg=="], ids=str)
def test_headers_that_are_none(service: Running, header: str) -> None:
    answer = requests.post(
        service.url + TOKEN_PATH,
        data={"grant_type": "client_credentials"},
        headers={"Authorization": header},
        timeout=60,
    )
    assert answer.status_code == 401


def test_the_file_holds_no_secret_and_is_its_owners(tmp_path: Path) -> None:
    path = tmp_path / "new" / "clients.json"
    client_id, secret = add_client(path, "QGIS of the office")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert secret not in path.read_text()
    clients = Clients(path)
    assert clients.known(client_id, secret) is not None
    assert clients.known(client_id, secret + " ") is None
    assert clients.known(client_id, "") is None
    other_id, other = add_client(path, "another", ["catalog"])
    assert {client.name: client.scopes for client in read_clients(path).clients.values()} == {
        "QGIS of the office": ("process", "statistics", "catalog"),
        "another": ("catalog",),
    }
    assert clients.known(other_id, other) is not None
    with pytest.raises(ConfigurationError, match="already"):
        add_client(path, "another")
    with pytest.raises(ConfigurationError, match="U\\+001B"):
        add_client(path, "\x1b[2J")


@pytest.mark.parametrize("content", ["", "[]", '{"version": 2}', '{"clients": {"a": {}}}', '{"x": 1}'], ids=str)
def test_a_damaged_file(tmp_path: Path, content: str) -> None:
    (tmp_path / "clients.json").write_text(content)
    with pytest.raises(ConfigurationError, match=r"clients\.json is no file of clients"):
        add_client(tmp_path / "clients.json", "another")


def test_the_key_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "clients.key"
    key = signing_key(path)
    assert (len(key), stat.S_IMODE(path.stat().st_mode)) == (64, 0o600)
    assert signing_key(path) == key
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    path.write_text("short")
    with pytest.raises(ConfigurationError, match="no key"):
        signing_key(path)


def test_the_key_is_whole_whenever_it_is_seen(tmp_path: Path) -> None:
    path, start = tmp_path / "clients.key", threading.Barrier(16)

    def key(_: int) -> str:
        start.wait()
        return signing_key(path)

    with ThreadPoolExecutor(16) as threads:
        keys = list(threads.map(key, range(16)))
    assert (len(set(keys)), len(keys[0])) == (1, 64)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_a_token_ends_at_its_time() -> None:
    now = [1_000.0]
    signer = TokenSigner("k" * 40, 300, lambda: now[0])
    token = signer.make("me", ("process",))
    now[0] = 1_299.9
    assert (signer.read(token).client, signer.read(token).scopes) == ("me", ("process",))
    now[0] = 1_300.0
    with pytest.raises(UnauthorizedError, match="expired"):
        signer.read(token)
    assert "k" * 40 not in repr(signer)


def test_an_open_service_is_of_loopback_by_name_too(tmp_path: Path) -> None:
    with running_service(tmp_path, open=True) as service:
        url, port = f"{service.url}/api/v1/process", service.url.rpartition(":")[2]
        statuses = {
            host: requests.post(url, json=request(), headers={"Host": host}, timeout=60).status_code
            for host in (
                f"localhost:{port}",
                f"127.0.0.1:{port}",
                f"[::1]:{port}",
                f"evil.example:{port}",
                "127.0.0.1.a",
            )
        }
    assert list(statuses.values()) == [200, 200, 200, 403, 403]
    assert not (tmp_path / "clients.key").exists()  # an open service looks at no token
