"""The server: what is looked at before it starts, its socket, and one process or several behind it."""

from __future__ import annotations

import inspect
import os
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from eotasks.allocator import share_arenas
from eotasks.catalogue.open import catalogue_of
from eotasks.catalogue.request import SearchRequest
from eotasks.catalogue.store import Catalogue
from eotasks.errors import ConfigurationError
from eotasks.service.auth.clients import read_clients, signing_key
from eotasks.service.settings import ServiceSettings
from eotasks.service.traffic.buckets import SHARED_VARIABLE, make_shared
from eotasks.service.traffic.connection import BoundedConnection
from eotasks.service.traffic.log import set_up_json_log
from eotasks.storage.location import is_web
from eotasks.storage.place import Place
from eotasks.text import redacted

_BACKLOG = 1024
_CONNECTIONS = 1000
"""Of a process; others are answered 503 at once."""
_SIGN_S = 15
"""In which a process has to give a sign of life before it is replaced. One that starts, or draws large images on a
machine that does much else, may be silent for more than uvicorn's 5 s; an end of the service waits as long for it."""
_COUNTS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""As `eotasks.service.metrics` has it, which may only be imported when it is set."""

_APPLICATION = "eotasks.service.build:from_environment"


def check(settings: ServiceSettings) -> None:
    """Refuse what cannot work, before anything starts.

    :raises ConfigurationError: no catalogue, or one that is not there; no client that could ask.
    :raises EOTasksError: a catalogue that is damaged, or cannot be reached.
    """
    if not settings.catalogues:
        raise ConfigurationError(
            "The service has no products: name their catalogue (--catalogue FILE), or take those of --demo."
        )
    for location in settings.catalogues:
        if location.endswith((".parquet", ".geoparquet")) or is_web(location):
            catalogue = catalogue_of(location)
            if not isinstance(catalogue, Catalogue):
                continue
            if catalogue.exists():
                catalogue.count(SearchRequest())  # reads it: one that is damaged is refused here
            else:
                raise ConfigurationError(
                    f"There is no catalogue {redacted(location)}: make one with"
                    f" eotasks catalogue add PRODUCTS --catalogue {redacted(location)}."
                )
        elif not Place(location).names(""):
            raise ConfigurationError(
                f"There is nothing at {redacted(location)}: give a catalogue or a folder of products."
            )
    if not settings.open and not read_clients(settings.clients_file).clients:
        raise ConfigurationError(
            f"{settings.clients_file} has no clients, so nobody could ask: make one with eotasks serve add-client NAME,"
            " or serve yourself alone with --open."
        )


@contextmanager
def listen(settings: ServiceSettings) -> Iterator[tuple[socket.socket, ServiceSettings]]:
    """The socket that the service listens at, and the settings with the port that it has.

    :raises ConfigurationError: when the address is not this machine's, or its port is in use.
    """
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        listening = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise ConfigurationError(f"The service cannot listen at {settings.host!r}: {_why(error)}.") from error
    with listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(address)
            listening.listen(_BACKLOG)
        except OSError as error:
            raise ConfigurationError(
                f"The service cannot listen at {settings.host} port {settings.port}: {_why(error)}. Give another"
                " --port, or 0 for one that is free."
            ) from error
        yield listening, settings.model_copy(update={"port": listening.getsockname()[1]})


def serve(settings: ServiceSettings, listening: socket.socket, announce: Callable[[], None]) -> None:
    """Answer requests until a signal ends it, and those under way before it ends.

    :param announce: Called when all is ready but the first request.
    :raises EOTasksError: when a catalogue or the engine does not work.
    """
    set_up_json_log()
    share_arenas()
    if not settings.open and settings.token_key is None:
        signing_key(settings.key_file)  # once, before several processes look for it
    options: dict[str, Any] = {
        "http": BoundedConnection,
        "ws": "none",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
        "timeout_keep_alive": 15,
        "limit_concurrency": _CONNECTIONS,
        "timeout_graceful_shutdown": settings.shutdown_s,
    }
    if settings.workers > 1:
        announce()
        _serve_by_many(settings, listening, options)
        return
    from eotasks.service.build import build_app, leave_process

    server = uvicorn.Server(uvicorn.Config(build_app(settings, leave=leave_process), **options))
    # One that comes before the server looks out for it ends it as well; one that the server gives on when it has ended
    # ends nothing else.
    before = signal.signal(signal.SIGTERM, lambda *_: setattr(server, "should_exit", True))
    try:
        announce()
        server.run(sockets=[listening])
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)


def _serve_by_many(settings: ServiceSettings, listening: socket.socket, options: dict[str, Any]) -> None:
    """Processes that share the socket; they are told the settings by their environment."""
    with tempfile.TemporaryDirectory(prefix="eotasks-counts-") as counts:
        os.environ.update(settings.environment())
        os.environ[_COUNTS_FOLDER] = counts
        if "timeout_worker_healthcheck" in inspect.signature(uvicorn.Config).parameters:  # older ones wait 5 s
            options |= {"timeout_worker_healthcheck": _SIGN_S}
        rates = Path(counts) / "rates"
        make_shared(rates)
        os.environ[SHARED_VARIABLE] = str(rates)
        try:
            uvicorn.run(_APPLICATION, factory=True, workers=settings.workers, fd=listening.fileno(), **options)
        finally:  # of a folder that is gone then
            os.environ.pop(SHARED_VARIABLE, None)


def _why(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error.strerror or error)
