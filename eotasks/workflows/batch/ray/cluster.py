"""Ray clusters: joining one, starting one on this machine, and what fits on its nodes."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from eotasks.errors import BatchError, ConfigurationError, MissingDependencyError, reason_of
from eotasks.models.threads import available_cores
from eotasks.workflows.batch.workers.kinds import no_ray
from eotasks.workflows.batch.workers.memory import MEGABYTE

try:
    import ray
    from ray._private import ray_constants
    from ray._private import worker as ray_driver
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
except ImportError as error:
    raise MissingDependencyError(no_ray()) from error

LOGGER = logging.getLogger(__name__)

ADDRESS_VARIABLE = "RAY_ADDRESS"
LOCAL, AUTO = "local", "auto"

_CONNECT_SECONDS = 10.0
_ANSWER_SECONDS = 60.0
_STORE_BYTES = 128 * 1024**2
"""Of the object store of a cluster of our own: workflows go through it, pixels never do."""

_FORWARDED = ("EOTASKS_", "AWS_", "GDAL_", "CPL_", "VSI_", "SH_", "SENTINELHUB_")
"""Beginnings of the variables that workers on other machines get: addresses and credentials of stores and services."""


@dataclass(frozen=True)
class Node:
    """A machine of the cluster, as Ray counts it."""

    name: str
    """Its address."""

    cpus: int
    """All of its CPUs."""

    memory_mb: float
    """All the memory that Ray gives away there."""


@dataclass(frozen=True)
class Request:
    """What a worker asks Ray for."""

    cpus: int
    """As many as each engine has threads."""

    memory_mb: float = 0.0
    """0 asks for none: then CPUs alone decide."""

    def capacity(self, nodes: list[Node]) -> int:
        """How many such workers fit on the nodes when nobody else uses them."""
        return sum(self._on(node) for node in nodes)

    def _on(self, node: Node) -> int:
        by_cpus = node.cpus // self.cpus
        return by_cpus if not self.memory_mb else min(by_cpus, int(node.memory_mb // self.memory_mb))

    def __str__(self) -> str:
        """As messages show it."""
        memory = f" and {self.memory_mb:,.0f} MB" if self.memory_mb else ""
        return f"{self.cpus} CPU{'s' * (self.cpus > 1)}{memory}"


def nodes() -> list[Node]:
    """The machines of the cluster that are alive."""
    found = []
    for node in _alive():
        resources = node["Resources"]
        memory = float(resources.get("memory", 0)) / MEGABYTE
        found.append(Node(str(node["NodeManagerAddress"]), int(resources.get("CPU", 0)), memory))
    return found


def _alive() -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]  # Ray has few hints


@contextlib.contextmanager
def ray_cluster(address: str | None = None, *, cpus: int | None = None) -> Iterator[None]:
    """The Ray cluster that batches inside the block run on; starting one takes seconds, so hold it over all batches.

    A cluster that this process has joined already is used, and left as it is. Otherwise this process joins the one at
    the address and leaves it at the end. One that is started here listens on this machine's loopback only, has no
    dashboard, and ends with the block.

    :param address: ``auto`` joins the cluster that runs on this machine, ``HOST:PORT`` another one; ``local`` starts
        one here. None: ``RAY_ADDRESS``, else ``local``.
    :param cpus: CPUs of a cluster that is started here; None are the cores.
    :raises ConfigurationError: when the address is no address.
    :raises BatchError: when there is no cluster, it cannot be reached, or it has other versions of Python or Ray.
    """
    if ray.is_initialized():
        yield
        return
    address = _checked_address(address or os.environ.get(ADDRESS_VARIABLE) or LOCAL)
    with _ray_output_logged():
        _start(cpus or available_cores()) if address == LOCAL else _join(address)
        try:
            yield
        finally:
            ray.shutdown()


def is_local_cluster() -> bool:
    """Whether all nodes of the cluster are this machine."""
    here = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]  # Ray has few hints
    return {node.name for node in nodes()} <= {"127.0.0.1", here}


def check_reach(folder: Path) -> None:
    """Refuses a folder for results that is not on every machine of the cluster.

    :param folder: Exists here.
    :raises ConfigurationError: names the machines that do not see it.
    """
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".ray-") as seen:
        missing = [
            node["NodeManagerAddress"] for node in _alive() if not _has_file(node["NodeID"], Path(seen.name).resolve())
        ]
    if missing:
        raise ConfigurationError(
            f"{folder} is not on {', '.join(missing)} of the Ray cluster: choose a folder that all its machines share,"
            " or s3://bucket/prefix."
        )


def _has_file(node: str, path: Path) -> bool:
    """Whether a machine has a file; one that does not answer soon is left to the batch."""
    where = NodeAffinitySchedulingStrategy(node, soft=False)
    answer = ray.remote(os.path.exists).options(num_cpus=0, scheduling_strategy=where).remote(str(path))
    try:
        return bool(ray.get(answer, timeout=_ANSWER_SECONDS))
    except ray.exceptions.RayError as error:
        LOGGER.warning("A node of the Ray cluster does not say whether it sees %s: %s", path, reason_of(error))
        return True


def worker_environment() -> dict[str, str]:
    """Variables that a worker gets from this process: all on this machine, on others addresses and credentials.

    Ray's own stay those of its processes.
    """
    here = is_local_cluster()
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("RAY_") and (here or name.startswith(_FORWARDED))
    }


def module_paths() -> list[str]:
    """Where this process finds modules, for workers that search there too."""
    return [str(Path(path).resolve()) for path in sys.path]


def _checked_address(address: str) -> str:
    if address in (AUTO, LOCAL):
        return address
    if address.startswith("ray://"):
        raise ConfigurationError(
            f"Ray address {address}: a batch does not run through Ray's client, whose connection loses workers'"
            " messages: run the command on a machine of the cluster with 'auto' (`ray job submit` does that)."
        )
    if not re.fullmatch(r"[^\s/:@]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5}", address):
        redacted = address.rpartition("@")[2]  # before it there may be a secret
        raise ConfigurationError(f"Ray address {redacted!r} is none: give 'auto', 'local' or HOST:PORT.")
    return address


def _start(cpus: int) -> None:
    """Starts a cluster of our own, which other machines cannot reach."""
    options: dict[str, Any] = {"num_cpus": cpus, "object_store_memory": _STORE_BYTES, "_node_ip_address": "127.0.0.1"}
    # Ray replaces 127.0.0.1 by the machine's address, and then listens on all of them; this switch keeps it.
    with _replaced(ray_constants, "ENABLE_RAY_CLUSTER", value=False):
        _initialise(LOCAL, **options)


def _join(address: str) -> None:
    """Joins a running cluster."""
    if address != AUTO:
        parts = urlsplit(f"//{address}")
        try:  # Ray itself waits for minutes, and then ends the process
            socket.create_connection((str(parts.hostname), parts.port or 0), timeout=_CONNECT_SECONDS).close()
        except (OSError, ValueError, OverflowError) as error:
            raise BatchError(
                f"No Ray cluster answers at {address} ({error}): check the address, and that the port is open."
            ) from error
    _initialise(address)


def _initialise(address: str, **options: Any) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    terminate = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(
            address=address,
            include_dashboard=False if address == LOCAL else None,
            configure_logging=False,
            log_to_driver=False,
            **options,
        )
    except ConnectionError as error:
        cure = "start one (`ray start --head`), give the address of one, or 'local' for one of its own"
        if _asks_for_token(error):
            cure = "it asks for a token: set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH"
        raise BatchError(f"No Ray cluster can be joined at {address!r} ({reason_of(error)}): {cure}.") from error
    except (RuntimeError, OSError, ValueError) as error:
        what = "started on this machine" if address == LOCAL else f"joined at {address!r}"
        raise BatchError(f"Ray cannot be {what}: {reason_of(error)}") from error
    finally:  # Ray's own ends the process with no time to write the manifest
        if threading.current_thread() is threading.main_thread() and terminate is not None:
            signal.signal(signal.SIGTERM, terminate)


def _asks_for_token(error: BaseException | None) -> bool:
    while error is not None:
        if type(error).__name__ == "AuthenticationError" or "InvalidAuthToken" in str(error):
            return True
        error = error.__cause__
    return False


@contextlib.contextmanager
def _ray_output_logged() -> Iterator[None]:
    """Ray's messages go to the log, not to the output of the command; its warnings too, which nobody can act on."""
    logger = logging.getLogger("ray")
    level = logger.level
    logger.setLevel(logging.ERROR)

    def log(data: dict[str, Any], *_: object, **__: object) -> None:
        for line in data.get("lines", ()):
            LOGGER.info("Ray: %.200s", line)

    try:
        with _replaced(ray_driver, "print_to_stdstream", value=log):
            yield
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def _replaced(module: Any, name: str, *, value: object) -> Iterator[None]:
    """Another value for a name of Ray's inside the block; nothing happens in a version of Ray that lacks it."""
    if not hasattr(module, name):
        yield
        return
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)
