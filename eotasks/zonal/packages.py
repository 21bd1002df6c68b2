"""The optional packages of field statistics, imported when they are needed."""

from __future__ import annotations

import importlib
from typing import Any

from eotasks.errors import MissingDependencyError
from eotasks.extras import install_line, is_installed

EXTRA = "zonal"


def package(name: str) -> Any:
    """A module of an optional package.

    :raises MissingDependencyError: when it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingDependencyError(
            f"Field statistics need the package {name.partition('.')[0]}: {install_line(EXTRA)}"
        ) from error


def require(*names: str) -> None:
    """Refuse, before any work, what optional packages are missing for; imports none of them.

    :raises MissingDependencyError: some are not installed.
    """
    missing = [name for name in names if not is_installed(name)]
    if missing:
        raise MissingDependencyError(
            f"Field statistics need the package{'s' * (len(missing) > 1)} {', '.join(missing)}: {install_line(EXTRA)}"
        )
