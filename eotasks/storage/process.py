"""Whether a process still lives that a file names: the one rule for leases of places and for manifests of batches."""

from __future__ import annotations

import os
import platform
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import psutil

ProcessState = Literal["alive", "gone", "unknown"]

_SAME_START = 2.0
"""Seconds that two readings of the start of one process may differ by."""


@dataclass(frozen=True)
class ProcessIdentity:
    """What tells a process from every other one, of this machine and of others."""

    host: str
    """Name of the machine, for messages: several machines and containers may have the same."""

    pid: int
    machine: str
    """Boot of the machine and, in a container, its own numbering of processes: other numbers say nothing here."""

    started: float
    """When the process began, seconds since 1970: a number may come again for another process."""

    @classmethod
    def current(cls) -> ProcessIdentity:
        """The process that asks."""
        return cls(platform.node(), os.getpid(), machine_id(), psutil.Process().create_time())

    @classmethod
    def parse(cls, content: object) -> ProcessIdentity | None:
        """From what `dataclasses.asdict` gave, and JSON kept; None where something lacks or is no such value."""
        if not isinstance(content, Mapping):
            return None
        kinds: dict[str, type[Any]] = {"host": str, "pid": int, "machine": str, "started": float}
        try:
            return cls(**{each.name: kinds[each.name](content[each.name]) for each in fields(cls)})
        except (KeyError, TypeError, ValueError, OverflowError):
            return None

    @property
    def is_current(self) -> bool:
        """Whether it is this process itself."""
        return self.pid == os.getpid() and self.state() == "alive"

    def state(self) -> ProcessState:
        """Whether the process is there: "unknown" on another machine, or in another container.

        A process that has ended and that nobody has asked for its exit status (a zombie) is gone.
        """
        if self.machine != machine_id():
            return "unknown"
        try:
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.started) > _SAME_START or process.status() == psutil.STATUS_ZOMBIE:
                return "gone"
        except (psutil.NoSuchProcess, ValueError, OverflowError):  # no number that a process can have
            return "gone"
        except psutil.Error:
            return "unknown"
        return "alive"


def machine_id() -> str:
    """Tells processes that share their numbers from others: the boot, and the container."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # no Linux
        return f"{uuid.getnode():x} {psutil.boot_time():.0f}"
