"""The optional packages of the catalogue, imported when they are needed."""

from __future__ import annotations

import functools
import threading
from pathlib import Path
from typing import Any

from eotasks.errors import MissingDependencyError
from eotasks.extras import OptionalPackages, install_line
from eotasks.limits import CATALOGUE_BYTES

EXTRA = "catalogue"
_PACKAGES = OptionalPackages(EXTRA, "The catalogue needs")
package, require = _PACKAGES.package, _PACKAGES.require

_WORKING_BYTES = 1 << 28
"""That DuckDB may take in any case."""

_LOCK = threading.Lock()


def database() -> Any:
    """A DuckDB cursor in memory with the spatial functions, for the thread that asks.

    The extension is the one of PyPI, loaded from its file: nothing is downloaded, and nothing else is loaded by itself.

    :raises MissingDependencyError: when DuckDB or its extension is not installed, or their versions differ.
    """
    with _LOCK:
        cursor = _connection().cursor()
        cursor.execute("SET TimeZone = 'UTC'")  # times of others without a zone are compared as such of UTC
        cursor.execute(f"SET memory_limit = '{max(_WORKING_BYTES, CATALOGUE_BYTES.value)}B'")
        return cursor


@functools.cache
def _connection() -> Any:
    duckdb = package("duckdb")
    folder = Path(package("duckdb_extension_spatial").__file__).parent / "extensions"
    file = folder / f"v{duckdb.__version__}" / "spatial.duckdb_extension"
    if not file.is_file():
        there = ", ".join(sorted(each.name for each in folder.glob("v*"))) or "none"
        raise MissingDependencyError(
            f"duckdb {duckdb.__version__} and duckdb-extension-spatial ({there}) do not fit together:"
            f" {install_line(EXTRA)}"
        )
    connection = duckdb.connect(
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "temp_directory": "",  # or what does not fit is put into the current folder
        }
    )
    quoted = str(file).replace("'", "''")
    try:
        connection.execute(f"LOAD '{quoted}'")
        connection.execute("SET parquet_metadata_cache = true")
    except duckdb.Error as error:
        raise MissingDependencyError(
            f"DuckDB's spatial extension cannot be loaded ({str(error).splitlines()[0]}): {install_line(EXTRA)}"
        ) from error
    return connection
