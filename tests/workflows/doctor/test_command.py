"""`eotasks doctor`: what it looks at, what it says where something lacks, and that it shows no secret."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest

from eotasks import extras
from eotasks.workflows.doctor import looks
from eotasks.workflows.doctor.command import as_text
from eotasks.workflows.doctor.findings import Finding, Group, as_json, faults, looked
from tests.builders.command_line import command

KEY, SECRET = "AKIAABCDEFGHIJKLMNOP", "not-to-be-shown-4711"


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_REQUEST_PAYER", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("SH_CLIENT_ID", "client-id-of-somebody")
    monkeypatch.setenv("SH_CLIENT_SECRET", SECRET)


def state_of(look: Any, name: str) -> Finding:
    return next(finding for finding in looked("group", look).findings if finding.name == name)


def test_a_fit_machine() -> None:
    result = command("doctor", "--json")
    assert (result.code, result.err) == (0, "")
    told = json.loads(result.out)
    assert (told["version"], told["ok"]) == (1, True)
    titles = [group["title"] for group in told["groups"]]
    assert titles == ["software", "extras", "drivers", "kernels", "S3", "services", "machine"]
    names = {finding["name"] for group in told["groups"] for finding in group["findings"]}
    assert names >= {
        "Python", "eotasks", "dependencies", "catalogue", "xarray", "ray", "JP2OpenJPEG", "COG", "GPKG", "PROJ",
        "cloud model", "compiled kernels", "endpoint", "credentials", "Sentinel Hub", "cores", "memory", "workers",
    }  # fmt: skip
    assert SECRET not in result.out
    assert KEY not in result.out


def test_the_screen_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "kernels", lambda: [Finding("cloud model", "fault", "no weights", "Install it again.")])
    result = command("doctor")
    assert (result.code, result.err) == (1, "")
    assert "  FAULT  cloud model" in result.out
    assert "Install it again." in result.out
    assert result.out.endswith("1 faults: cloud model\n")
    assert SECRET not in result.out


def test_a_look_that_fails_is_a_finding() -> None:
    def look() -> Iterator[Finding]:
        yield Finding("first", "ok", "1")
        raise OSError(f"https://user:{SECRET}@host/x cannot be read")

    group = looked("drivers", look)
    assert [finding.state for finding in group.findings] == ["ok", "fault"]
    assert SECRET not in as_text([group])
    assert list(faults([group])) == [group.findings[1]]
    assert as_json([group])["ok"] is False


def test_a_missing_extra_is_no_fault_and_has_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "missing_modules", lambda extra: ["ray"] if extra == "ray" else [])
    finding = state_of(looks.extras, "ray")
    assert (finding.state, finding.cure) == ("off", extras.install_line("ray"))
    assert not any(faults([looked("extras", looks.extras)]))


def test_a_dependency_in_another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def other(name: str) -> str:
        if name == "shapely":
            raise PackageNotFoundError(name)
        return "1.0" if name == "eo-learn" else version(name)

    monkeypatch.setattr(looks, "version", other)
    finding = state_of(looks.software, "dependencies")
    assert finding.state == "fault"
    assert "eo-learn is 1.0, not ==1.5.7" in finding.text
    assert "shapely is not installed" in finding.text
    assert finding.cure == f"Install eotasks again: {extras.install_line(None)}"


@pytest.mark.parametrize(
    ("variables", "name", "state", "text"),
    [
        ({}, "endpoint", "ok", "AWS S3"),
        ({"AWS_ENDPOINT_URL": "http://localhost:9000"}, "endpoint", "ok", "http://localhost:9000"),
        ({}, "credentials", "ok", "found (env), not shown"),
        ({"AWS_NO_SIGN_REQUEST": "YES"}, "credentials", "off", "public buckets only"),
        ({"AWS_REQUEST_PAYER": "requester"}, "requester pays", "ok", "AWS_REQUEST_PAYER=requester"),
        ({"AWS_PROFILE": "absent"}, "group", "fault", "absent"),
        ({"AWS_ENDPOINT_URL": f"http://user:{SECRET}@host"}, "group", "fault", "credentials go elsewhere"),
    ],
)
def test_settings_of_s3(
    variables: dict[str, str], name: str, state: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in variables.items():
        monkeypatch.setenv(key, value)
    finding = state_of(looks.storage, name)
    assert finding.state == state
    assert text in finding.text
    assert SECRET not in as_text([Group("S3", (finding,))])


def test_kernels_that_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def computed(*arguments: object, **options: object) -> None:
        import logging

        logging.getLogger("eotasks.models.compiled").warning("walk is compiled in every process: no folder.")

    monkeypatch.setattr("eotasks.models.clouds.pixel.cloud_probability", computed)
    finding = state_of(looks.kernels, "compiled kernels")
    assert finding.state == "off"
    assert "NUMBA_CACHE_DIR" in finding.cure


def test_little_memory_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eotasks.workflows.batch.workers.sizing.free_memory_mb", lambda: 120.0)
    assert state_of(looks.machine, "memory").text.startswith("120 MB free of ")
    assert state_of(looks.machine, "memory").state == "fault"
    monkeypatch.setenv("EOTASKS_NUM_THREADS", "many")
    assert state_of(looks.machine, "threads").state == "fault"
