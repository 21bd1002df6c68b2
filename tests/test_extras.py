"""The line that installs an extra: what works in the environment that asks."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from importlib.metadata import Distribution, PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest

from eotasks import extras
from eotasks.errors import MissingDependencyError
from tests import ROOT

IMPORTED_AS = {"pyjwt": "jwt", "mini_racer": "py_mini_racer"}
DISPENSABLE = {"pyseccomp"}
"""What an extra works without, and says so."""


class Installed(Distribution):
    """A distribution with what pip wrote down of its origin."""

    def __init__(self, record: object) -> None:
        self.record = record

    def read_text(self, filename: str) -> str | None:
        return None if self.record is None else json.dumps(self.record)

    def locate_file(self, path: Any) -> Any:
        return path


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    folder = tmp_path / "a clone"
    (folder / "eotasks").mkdir(parents=True)
    (folder / "pyproject.toml").touch()
    (folder / ".venv/bin").mkdir(parents=True)
    for name in ("python", "pip"):
        (folder / ".venv/bin" / name).touch()
    return folder


def line(record: object, monkeypatch: pytest.MonkeyPatch, *, folder: Path, here: Path, pip: bool = True) -> str:
    monkeypatch.setattr(extras, "distribution", lambda name: Installed(record))
    monkeypatch.setattr(extras, "__file__", "/usr/lib/python3/site-packages/eotasks/extras.py")
    monkeypatch.setattr(sys, "executable", str(folder / ".venv/bin/python"))
    monkeypatch.setattr(extras, "find_spec", lambda name: object() if pip else None)
    monkeypatch.chdir(here)
    return extras.install_line("catalogue")


def test_from_a_clone(clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record: dict[str, object] = {"url": clone.as_uri(), "dir_info": {"editable": True}}
    assert line(record, monkeypatch, folder=clone, here=clone) == ".venv/bin/pip install --editable '.[catalogue]'"
    plain = record | {"dir_info": {}}
    assert line(plain, monkeypatch, folder=clone, here=clone) == ".venv/bin/pip install '.[catalogue]'"
    elsewhere = line(plain, monkeypatch, folder=clone, here=tmp_path)
    assert elsewhere == f"'a clone/.venv/bin/pip' install '{clone}[catalogue]'"


@pytest.mark.parametrize(
    ("record", "source"),
    [
        (None, "'eotasks[catalogue]'"),
        ([], "'eotasks[catalogue]'"),
        ({"url": "file:///gone/away"}, "'eotasks[catalogue]'"),
        (
            {"url": "https://user:secret-word@git.example/eotasks.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            "'eotasks[catalogue] @ git+https://git.example/eotasks.git@abc'",
        ),
    ],
    ids=["index", "no record", "a folder that is gone", "repository"],
)
def test_from_elsewhere(
    record: object, source: str, clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = line(record, monkeypatch, folder=clone, here=clone)
    assert found == f".venv/bin/pip install {source}"
    assert line(record, monkeypatch, folder=clone, here=clone, pip=False) == (
        f"uv pip install --python .venv/bin/python {source}"
    )


def test_from_a_wheel(clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = tmp_path / "eotasks-0.1.0-py3-none-any.whl"
    wheel.touch()
    record = {"url": wheel.as_uri(), "archive_info": {}}
    assert line(record, monkeypatch, folder=clone, here=clone).endswith(f"install '{wheel}[catalogue]'")


def test_never_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clone on the path: it is what there is."""

    def absent(name: str) -> Distribution:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(extras, "distribution", absent)
    monkeypatch.chdir(ROOT)
    assert extras.install_line("xarray").endswith("install '.[xarray]'")


def test_the_modules_are_those_of_the_metadata() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        listed = tomllib.load(file)["project"]["optional-dependencies"]
    for extra, modules in extras.EXTRAS.items():
        names = [re.split(r">=|\[", requirement)[0].replace("-", "_") for requirement in listed[extra]]
        imported = {IMPORTED_AS.get(name, name) for name in names} - {"eotasks", *DISPENSABLE}
        assert {module.replace(".", "_") for module in modules} == imported
    assert extras.missing_modules("catalogue") == []


@pytest.mark.parametrize("module", ["duckdb", "pystac_client"])
def test_whoever_lacks_an_extra_is_told_the_line(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from eotasks.catalogue.packages import package

    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError) as error:
        package(module)
    assert str(error.value).endswith(extras.install_line("catalogue"))
