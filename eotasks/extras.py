"""The optional packages: which extra brings what, and the line that installs one in this very environment."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote, urlsplit

from eotasks.errors import MissingDependencyError
from eotasks.text import redact

EXTRAS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "catalogue": ("duckdb", "duckdb_extension_spatial", "pyarrow", "pystac", "pystac_client"),
        "planetary-computer": ("planetary_computer",),
        "xarray": ("xarray", "rioxarray"),
        "dask": ("dask", "odc.stac"),
        "ray": ("ray",),
        "service": (
            "fastapi",
            "starlette",
            "uvicorn",
            "pydantic_settings",
            "prometheus_client",
            "jwt",
            "py_mini_racer",
        ),
        "zonal": ("exactextract", "whittaker_eilers", "pyarrow"),
        "detectors": ("ukis_csmask", "onnxruntime"),
        "labels": ("h5py", "pyarrow"),
    }
)
"""Extra -> the modules that it brings, for those that a command or a function asks for."""

_PACKAGES = MappingProxyType({"jwt": "pyjwt", "py_mini_racer": "mini-racer"})
"""Modules that are imported by another name than that of their package."""


def install_line(extra: str | None) -> str:
    """The line for a shell that adds an extra to the environment of this process: from where eotasks came there (a
    folder of sources, a file, a repository; no package index has those), or from the index.

    :param extra: One of `EXTRAS`; None installs eotasks alone, and what it needs.
    """
    return f"{_installer()} {_source('' if extra is None else f'[{extra}]')}"


def package_line(requirement: str) -> str:
    """The line for a shell that adds a package to the environment of this process which no extra brings.

    :param requirement: As pip takes it, such as ``"name>=1.8"``.
    """
    return f"{_installer()} {shlex.quote(requirement)}"


def command_line() -> str:
    """What a shell calls the command of this environment by: its name where that is found, else its path."""
    script = Path(sys.executable).parent / "eotasks"
    found = shutil.which("eotasks")
    if not script.is_file():
        return f"{shlex.quote(_seen_from_here(Path(sys.executable)))} -m eotasks.workflows.cli"
    return "eotasks" if found is not None and Path(found) == script else shlex.quote(_seen_from_here(script))


def package_of(module: str) -> str:
    """The name of the package that brings a module of an extra, as pip knows it."""
    return _PACKAGES.get(module, re.sub("[_.]", "-", module))


def missing_modules(extra: str) -> list[str]:
    """Modules of an extra that are not installed; none where it is complete."""
    return [name for name in EXTRAS[extra] if not is_installed(name)]


@dataclass(frozen=True)
class OptionalPackages:
    """Those of an extra that a room of this package imports when it needs them."""

    extra: str
    whose: str
    """Begins messages: "The catalogue needs", "Field statistics need"."""

    def package(self, name: str) -> Any:
        """A module of an optional package.

        :raises MissingDependencyError: when it is not installed.
        """
        try:
            return import_module(name)
        except ImportError as error:
            raise self._missing([name.partition(".")[0]]) from error

    def require(self, *names: str) -> None:
        """Refuse, before any work, what optional packages are missing for; imports none of them.

        :raises MissingDependencyError: when some are not installed.
        """
        missing = [name for name in names if not is_installed(name)]
        if missing:
            raise self._missing(missing)

    def _missing(self, names: list[str]) -> MissingDependencyError:
        plural = "s" * (len(names) > 1)
        return MissingDependencyError(
            f"{self.whose} the package{plural} {', '.join(names)}: {install_line(self.extra)}"
        )


def is_installed(name: str) -> bool:
    """Whether a module could be imported; it is not."""
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # the package that it would lie in
        return False


def _source(extra: str) -> str:
    """What pip is to install; the extra in its brackets."""
    record = _direct_url()
    address, details = str(record.get("url", "")), record.get("vcs_info")
    if isinstance(details, dict):
        return f"'eotasks{extra} @ {details.get('vcs', 'git')}+{redact(address)}@{details.get('commit_id', 'HEAD')}'"
    parts = urlsplit(address)
    path = Path(unquote(parts.path)) if parts.scheme == "file" else Path(__file__).resolve().parent.parent
    if path.suffix in (".whl", ".gz") and path.is_file():
        return shlex.quote(f"{path}{extra}")
    if not ((path / "pyproject.toml").is_file() and (path / "eotasks").is_dir()):
        return f"'eotasks{extra}'"
    folder = record.get("dir_info")
    editable = "--editable " if isinstance(folder, dict) and folder.get("editable") else ""
    return f"{editable}'.{extra}'" if Path.cwd() == path else f"{editable}{shlex.quote(f'{path}{extra}')}"


def _direct_url() -> Mapping[str, object]:
    """What pip wrote down of an install that is not from an index (PEP 610); empty for one that is."""
    try:
        content = json.loads(distribution("eotasks").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _installer() -> str:
    """What installs into this environment; the pip on the path of the shell may belong to another."""
    python = Path(sys.executable)
    if find_spec("pip") is None:  # as in an environment that uv made
        return f"uv pip install --python {shlex.quote(_seen_from_here(python))}"
    if (python.parent / "pip").is_file():
        return f"{shlex.quote(_seen_from_here(python.parent / 'pip'))} install"
    return f"{shlex.quote(_seen_from_here(python))} -m pip install"


def _seen_from_here(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
