"""The looks at a machine: software, extras, drivers, kernels, storage, services, the machine itself."""

from __future__ import annotations

import logging
import multiprocessing
import os
import platform
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path

from eotasks.errors import CredentialsError, EOTasksError, message_of
from eotasks.extras import EXTRAS, install_line, missing_modules, package_of
from eotasks.workflows.doctor.findings import Finding
from eotasks.workflows.report.units import duration, memory, size

_RASTER_DRIVERS = {
    "GTiff": "GeoTIFF",
    "COG": "Cloud Optimized GeoTIFF, for results",
    "JP2OpenJPEG": "JPEG 2000, for products",
}
_VECTOR_DRIVERS = {"GPKG": "GeoPackage", "GeoJSON": "GeoJSON", "ESRI Shapefile": "Shapefile"}
_OLDEST, _NEWEST = (3, 11), (3, 13)
_LEAST_FREE_MB = 1000.0
_LEAST_FREE_BYTES = 1e9
_OWN_SERVERS = "Where items lead to servers inside of your own network: --allow-host HOST, or EOTASKS_ALLOWED_HOSTS."
_VARIABLES = ("EOTASKS_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "NUMBA_CACHE_DIR", "GDAL_NUM_THREADS")


def software() -> Iterator[Finding]:
    """Python, eotasks, and its dependencies in the versions that it asks for."""
    found = platform.python_version()
    fits = _OLDEST <= sys.version_info[:2] <= _NEWEST
    yield Finding(
        "Python",
        "ok" if fits else "fault",
        f"{found}, {sys.executable}",
        "" if fits else "eotasks needs Python 3.11 to 3.13: make the environment anew with one.",
    )
    yield Finding("eotasks", "ok", f"{version('eotasks')}, {Path(__file__).resolve().parents[2]}")
    wrong = []
    names = []
    for requirement in requires("eotasks") or ():
        text, _, marker = requirement.partition(";")
        if "extra" in marker:
            continue
        names.append(re.split(r"[^\w.-]", text.strip())[0])
        if (reason := _unmet(names[-1], text)) is not None:
            wrong.append(reason)
    if wrong:
        yield Finding("dependencies", "fault", "; ".join(wrong), f"Install eotasks again: {install_line(None)}")
    else:
        yield Finding("dependencies", "ok", f"all {len(names)}, in versions that eotasks asks for")
    listed = ("eo-learn", "sentinelhub", "s2cloudless", "numpy", "numba", "lightgbm")
    yield Finding("versions", "ok", ", ".join(f"{name} {version(name)}" for name in listed))


def _unmet(name: str, requirement: str) -> str | None:
    """What is wrong with an installed package; None when it is as it is asked for."""
    try:
        found = version(name)
    except PackageNotFoundError:
        return f"{name} is not installed"
    if find_spec("packaging") is None:  # comes with others of them
        return None
    from packaging.requirements import Requirement

    wanted = Requirement(requirement).specifier
    return None if wanted.contains(found, prereleases=True) else f"{name} is {found}, not {wanted}"


def extras() -> Iterator[Finding]:
    """The optional packages, and the line that installs them here."""
    for extra, modules in EXTRAS.items():
        missing = missing_modules(extra)
        if missing:
            yield Finding(extra, "off", f"without {', '.join(missing)}", install_line(extra))
            continue
        if extra == "catalogue":
            from eotasks.catalogue.packages import database

            database()  # its parts have to fit each other
        packages = map(package_of, modules)
        yield Finding(extra, "ok", ", ".join(f"{package} {version(package)}" for package in packages))


def drivers() -> Iterator[Finding]:
    """GDAL, as rasterio and pyogrio carry it."""
    import pyogrio
    import rasterio
    from rasterio.env import Env

    with Env() as environment:
        rasters = environment.drivers()
    yield Finding("GDAL", "ok", f"{rasterio.__gdal_version__} (rasterio {rasterio.__version__})")
    for name, what in _RASTER_DRIVERS.items():
        yield _driver(name, what, present=name in rasters, package="rasterio")
    vectors = pyogrio.list_drivers(write=True)
    told = ".".join(map(str, pyogrio.__gdal_version__))
    yield Finding("GDAL of vectors", "ok", f"{told} (pyogrio {pyogrio.__version__})")
    for name, what in _VECTOR_DRIVERS.items():
        yield _driver(name, what, present=name in vectors, package="pyogrio")
    if "GDAL_DATA" in os.environ or "PROJ_LIB" in os.environ or "PROJ_DATA" in os.environ:
        named = [name for name in ("GDAL_DATA", "PROJ_DATA", "PROJ_LIB") if name in os.environ]
        yield Finding(
            "environment", "off", f"{', '.join(named)} set", "Of another GDAL they break this one: unset them if so."
        )
    import pyproj

    try:
        pyproj.Transformer.from_crs("EPSG:4326", "EPSG:32633", always_xy=True).transform(15.0, 50.0)
        yield Finding("PROJ", "ok", pyproj.proj_version_str)
    except pyproj.exceptions.ProjError as error:
        yield Finding("PROJ", "fault", message_of(error), "Unset PROJ_LIB and PROJ_DATA, or install pyproj again.")


def _driver(name: str, what: str, *, present: bool, package: str) -> Finding:
    cure = "" if present else f"Install {package} from its wheel: pip install --force-reinstall --only-binary :all:"
    return Finding(name, "ok" if present else "fault", what, cure and f"{cure} {package}")


def kernels() -> Iterator[Finding]:
    """The compiled engine and the models, by using them on one pixel."""
    import numba
    import numpy as np

    from eotasks.models.clouds.pixel import cloud_probability

    with _warnings_of("eotasks") as told:
        start = time.perf_counter()
        cloud_probability(np.zeros((1, 10), dtype=np.float32), threads=1)
        first = time.perf_counter() - start
        start = time.perf_counter()
        cloud_probability(np.zeros((1, 10), dtype=np.float32), threads=1)
        seconds = time.perf_counter() - start
    kept = not any("in every process" in line for line in told)
    yield Finding("cloud model", "ok", f"works; first call {duration(first)}, then {duration(seconds)}")
    folder = os.environ.get("NUMBA_CACHE_DIR") or "__pycache__ of the package, or the user's cache folder"
    yield Finding(
        "compiled kernels",
        "ok" if kept else "off",
        f"numba {numba.__version__}, kept in {folder}" if kept else "compiled anew in every process, for seconds",
        "" if kept else "Set NUMBA_CACHE_DIR to a folder of your own that nobody else can write to.",
    )


@contextmanager
def _warnings_of(name: str) -> Iterator[list[str]]:
    """What a logger says meanwhile."""
    told: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(record.getMessage())

    logger, listener = logging.getLogger(name), Listener(logging.WARNING)
    logger.addHandler(listener)
    try:
        yield told
    finally:
        logger.removeHandler(listener)


def storage() -> Iterator[Finding]:
    """S3 as this environment sets it; no server is asked but that of a cloud's machine for its own credentials."""
    from eotasks.storage.s3_connection import connection

    found = connection()
    settings = found.settings
    yield Finding("endpoint", "ok", str(settings))
    yield Finding("region", "ok" if settings.region else "off", settings.region or "none named: us-east-1")
    yield Finding("addressing", "ok", settings.addressing)
    credentials = None if settings.anonymous else found.session.get_credentials()
    if credentials is None:
        yield Finding(
            "credentials",
            "off",
            "none: public buckets only",
            "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE.",
        )
    else:
        yield Finding("credentials", "ok", f"found ({credentials.method}), not shown")
    payer = os.environ.get("AWS_REQUEST_PAYER")
    yield Finding(
        "requester pays",
        "ok" if payer else "off",
        f"AWS_REQUEST_PAYER={payer}" if payer else "not asked for",
        "" if payer else "Buckets whose readers pay, such as sentinel-s2-l1c, want AWS_REQUEST_PAYER=requester.",
    )


def services() -> Iterator[Finding]:
    """Sentinel Hub's account, and servers that items may lead to."""
    from eotasks.imagery.files.origin import ALLOWED_HOSTS
    from eotasks.sources.sentinelhub.account import load_credentials

    try:
        config = load_credentials()
    except CredentialsError as error:
        yield Finding("Sentinel Hub", "off", "no account", message_of(error))
    else:
        yield Finding("Sentinel Hub", "ok", f"credentials found, not shown; {config.sh_base_url}")
    hosts = os.environ.get(ALLOWED_HOSTS)
    yield Finding("own servers", "ok" if hosts else "off", hosts or "none allowed", "" if hosts else _OWN_SERVERS)


def machine() -> Iterator[Finding]:
    """Cores, memory, room, and how workers start."""
    import psutil

    from eotasks.models.threads import available_cores, resolve_threads
    from eotasks.workflows.batch.workers.sizing import free_memory_mb

    cores, all_cores = available_cores(), os.cpu_count() or 1
    yield Finding("system", "ok", f"{platform.system()} {platform.release()}, {platform.machine()}")
    yield Finding("cores", "ok", str(cores) if cores == all_cores else f"{cores} of {all_cores} may be used")
    try:
        yield Finding("threads", "ok", f"{resolve_threads()} for an engine")
    except EOTasksError as error:
        yield Finding("threads", "fault", message_of(error))
    free, whole = free_memory_mb(), psutil.virtual_memory().total / 1e6
    enough = free >= _LEAST_FREE_MB
    yield Finding(
        "memory",
        "ok" if enough else "fault",
        f"{memory(free)} free of {memory(whole)}",
        "" if enough else "A worker takes some hundred MB at least: end something, or raise the container's limit.",
    )
    for name, folder in (("temporary files", tempfile.gettempdir()), ("this folder", str(Path.cwd()))):
        room = shutil.disk_usage(folder).free
        writable = os.access(folder, os.W_OK)
        is_fine = writable and room >= _LEAST_FREE_BYTES
        yield Finding(
            name,
            "ok" if is_fine else "off",
            f"{folder}: {size(room)} free" if writable else f"{folder} cannot be written",
            "" if is_fine else ("Set TMPDIR to a folder with more room." if name == "temporary files" else ""),
        )
    methods = multiprocessing.get_all_start_methods()
    yield Finding("workers", "ok", "fork server" if "forkserver" in methods else "spawn: each starts in some seconds")
    given = [f"{name}={os.environ[name]}" for name in _VARIABLES if name in os.environ]
    if given:
        yield Finding("environment", "ok", ", ".join(given))
