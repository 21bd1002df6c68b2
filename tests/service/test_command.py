"""`eotasks serve`: what is refused before anything starts, the clients it makes, and what it prints."""

from __future__ import annotations

import json
import re
import socket
import stat
from pathlib import Path

import pytest

from eotasks.catalogue.store import Catalogue
from eotasks.errors import ConfigurationError
from eotasks.service import command as serve_command
from eotasks.service import demo
from eotasks.service.auth.access import SCOPES
from eotasks.service.auth.clients import Clients
from eotasks.service.serving import check, listen
from eotasks.service.settings import load_settings
from eotasks.workflows.cli import main
from eotasks.workflows.console import ExitCode


@pytest.fixture
def catalogue(tmp_path: Path) -> str:
    """A catalogue of nothing."""
    path = str(tmp_path / "products.parquet")
    Catalogue(path).add([])
    return path


def test_a_client_is_made_and_can_ask(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "clients.json"
    assert main(["serve", "add-client", "QGIS", "--clients", str(path)]) == ExitCode.DONE
    told = capsys.readouterr().out
    found = re.search(r"client_id +(\S+)\nclient_secret +(\S+)\n", told)
    assert found is not None
    client = Clients(path).known(found[1], found[2])
    assert client is not None
    assert (client.name, client.scopes) == ("QGIS", SCOPES)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_client_of_one_scope_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "clients.json"
    arguments = ["serve", "add-client", "stats", "--scope", "statistics", "--clients", str(path), "--json"]
    assert main(arguments) == ExitCode.DONE
    told = json.loads(capsys.readouterr().out)
    assert told["scopes"] == ["statistics"]
    assert Clients(path).known(told["client_id"], told["client_secret"]) is not None


def test_the_file_may_be_named_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EOTASKS_SERVICE_CLIENTS_FILE", str(tmp_path / "there.json"))
    assert main(["serve", "add-client", "QGIS"]) == ExitCode.DONE
    assert (tmp_path / "there.json").exists()


def test_the_scopes_are_those_of_the_service() -> None:
    assert serve_command.SCOPES == SCOPES


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "no products"),
        (["--catalogue", "absent.parquet", "--open"], "There is no catalogue absent.parquet"),
        (["--catalogue", "absent/", "--open"], "There is nothing at absent"),
        (["--catalogue", "CATALOGUE"], "has no clients"),
        (["--catalogue", "CATALOGUE", "--open", "--host", "0.0.0.0"], "open is for loopback"),
        (["--catalogue", "CATALOGUE", "--open", "--port", "70000"], "port"),
        (["--catalogue", "CATALOGUE", "--open", "--workers", "0"], "workers"),
        (["--catalogue", "CATALOGUE", "--open", "--host", "no.such.host.invalid"], "open is for loopback"),
    ],
    ids=["nothing", "no catalogue", "no folder", "no clients", "open to all", "port", "workers", "host"],
)
def test_refused(
    arguments: list[str],
    said: str,
    catalogue: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    given = [catalogue if each == "CATALOGUE" else each for each in arguments]
    assert main(["serve", *given]) == ExitCode.BAD_INPUT
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1


def test_a_damaged_catalogue(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "products.parquet").write_bytes(b"PAR1 and no more")
    assert main(["serve", "--open", "--catalogue", str(tmp_path / "products.parquet")]) == ExitCode.BAD_INPUT
    told = capsys.readouterr()
    assert "products.parquet" in told.err
    assert told.out == ""


def test_a_port_in_use(catalogue: str, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["serve", "--catalogue", catalogue, "--open", "--port", str(port)]) == ExitCode.BAD_INPUT
    assert f"port {port}: Address already in use" in capsys.readouterr().err


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(serve_command, "missing_modules", lambda extra: ["fastapi"] if extra == "service" else [])
    assert main(["serve", "--demo"]) == ExitCode.BAD_INPUT
    told = capsys.readouterr().err
    assert "needs the package fastapi" in told
    assert "[service]'" in told


@pytest.mark.parametrize("how", ["--catalogue", "EOTASKS_SERVICE_CATALOGUES", "EOTASKS_SERVICE_ARCHIVE"])
def test_a_demonstration_with_other_products(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    given = [how, str(tmp_path)] if how.startswith("--") else []
    if not given:
        monkeypatch.setenv(how, str(tmp_path))
    assert main(["serve", "--demo", *given]) == ExitCode.BAD_INPUT
    assert "brings its own products" in capsys.readouterr().err
    assert not list(tmp_path.iterdir()), "nothing is made for it"


def test_an_archive_of_the_demonstration_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "make_demo", lambda folder: "days.parquet")
    monkeypatch.setenv("EOTASKS_SERVICE_ARCHIVE", str(tmp_path / "of-others"))
    given = {"archive": str(tmp_path)}
    assert load_settings(given | demo.demo_settings(given)).archive == str(tmp_path)


def test_a_demonstration_for_clients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "make_demo", lambda folder: "days.parquet")
    assert load_settings(demo.demo_settings({})).open
    given = {"clients_file": tmp_path / "clients.json"}
    assert not load_settings(given | demo.demo_settings(given)).open


def test_open_and_clients(catalogue: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clients = str(tmp_path / "clients.json")
    assert main(["serve", "--catalogue", catalogue, "--open", "--clients", clients]) == ExitCode.BAD_INPUT
    assert "names who is answered: leave out one" in capsys.readouterr().err


OPEN, CLIENTS = {"EOTASKS_SERVICE_OPEN": "true"}, {"EOTASKS_SERVICE_CLIENTS_FILE": "clients.json"}


@pytest.mark.parametrize(
    ("arguments", "variables", "both"),
    [
        (["--clients", "clients.json"], OPEN, ["open", "clients.json"]),
        (["--open"], CLIENTS, ["open", "clients.json"]),
        ([], OPEN | CLIENTS, ["open", "clients.json"]),
        (["--open"], {"EOTASKS_SERVICE_BASE_URL": "https://masks.example.org"}, ["open", "masks.example.org"]),
        (["--host", "0.0.0.0"], OPEN, ["open", "0.0.0.0"]),
        (["--open"], {"EOTASKS_SERVICE_CORS_ORIGINS": "*"}, ["open", "cors_origins"]),
        (["--open"], {"EOTASKS_SERVICE_STORE_MASKS": "1"}, ["store_masks", "archive"]),
        (["--open", "--archive", " "], {"EOTASKS_SERVICE_STORE_MASKS": "1"}, ["store_masks", "archive"]),
        (["--open"], {"EOTASKS_SERVICE_SCRIPT_S": "90"}, ["script_s=90", "script_ceiling_s=60"]),
        (["--open"], {"EOTASKS_SERVICE_SCRIPT_BYTES": "3000000"}, ["script_bytes=3000000", "request_bytes=2000000"]),
        (["--open"], {"EOTASKS_SERVICE_BURST": "5"}, ["burst=5", "requests_per_minute"]),
        (["--open", "--workers", "250"], {"EOTASKS_SERVICE_MEMORY_MB": "512"}, ["memory_mb=512", "workers=250"]),
        (["--demo", "--open", "--clients", "clients.json"], {}, ["--open", "clients.json"]),
        (["--demo", "--open"], CLIENTS, ["open", "clients.json"]),
        (["--demo", "--host", "0.0.0.0"], {}, ["--demo", "0.0.0.0"]),
        (["--demo"], {"EOTASKS_SERVICE_HOST": "0.0.0.0"}, ["--demo", "0.0.0.0"]),
        (["--demo"], {"EOTASKS_SERVICE_STORE_MASKS": "1"}, ["store_masks", "archive"]),
        (["--open", "add-client", "QGIS"], {}, ["--open", "add-client"]),
        (["--demo", "add-client", "QGIS"], {}, ["--demo", "add-client"]),
        (["--catalogue", "a.parquet", "add-client", "QGIS"], {}, ["--catalogue", "add-client"]),
        (["--clients", "a.json", "add-client", "QGIS", "--clients", "b.json"], {}, ["a.json", "b.json"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else ",".join(each[16:] for each in value),
)
def test_what_cannot_be_had_together_is_refused_and_named(
    arguments: list[str],
    variables: dict[str, str],
    both: list[str],
    catalogue: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    has_products = "--demo" in arguments or "add-client" in arguments
    given = arguments if has_products else [*arguments, "--catalogue", catalogue]
    before = sorted(tmp_path.iterdir())
    assert main(["serve", *given]) == ExitCode.BAD_INPUT
    told = capsys.readouterr().err
    assert all(each in told for each in both), told
    assert told.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before, "nothing is made"


@pytest.mark.parametrize(
    ("given", "variables", "is_open"),
    [
        ({}, {}, True),
        ({}, CLIENTS, False),
        ({}, {"EOTASKS_SERVICE_OPEN": "false"}, False),
        ({"clients_file": Path("c.json")}, {}, False),
        ({"host": "0.0.0.0", "clients_file": Path("c.json")}, {}, False),
        ({"open": True}, {"EOTASKS_SERVICE_OPEN": "false"}, True),
    ],
)
def test_whom_a_demonstration_is_for(
    given: dict[str, object], variables: dict[str, str], is_open: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "make_demo", lambda folder: "days.parquet")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert load_settings(given | demo.demo_settings(given)).open is is_open


@pytest.mark.parametrize("before", [True, False])
def test_a_client_of_a_service_that_is_open_now(before: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client may be made before `open` is left out; --clients may be on either side."""
    monkeypatch.setenv("EOTASKS_SERVICE_OPEN", "true")
    named = ["--clients", str(tmp_path / "there.json")]
    arguments = [*named, "add-client", "QGIS"] if before else ["add-client", "QGIS", *named]
    assert main(["serve", *arguments]) == ExitCode.DONE
    assert (tmp_path / "there.json").exists()


def test_a_damaged_file_of_clients(catalogue: str, tmp_path: Path) -> None:
    (tmp_path / "clients.json").write_text("{")
    with pytest.raises(ConfigurationError, match="no file of clients"):
        check(load_settings({"catalogues": (catalogue,), "clients_file": tmp_path / "clients.json"}))


def test_a_free_port_is_said() -> None:
    with listen(load_settings({"port": 0})) as (listening, settings):
        assert settings.url == f"http://127.0.0.1:{listening.getsockname()[1]}"
        assert settings.port


def test_lines_to_paste_are_python() -> None:
    settings = load_settings({"open": True})
    text = serve_command.start_text(settings)
    assert "memory    4,096 MB" in text
    lines = "\n".join(serve_command.paste_text(settings))
    code = lines.partition("\n\n")[2]
    assert "OAUTHLIB_INSECURE_TRANSPORT" in code
    compile(code, "pasted", "exec")
    secure = serve_command.paste_text(load_settings({"base_url": "https://masks.example"}))
    assert "OAUTHLIB" not in "\n".join(secure)
