"""Whether a process still lives that a file names: the one rule for leases of places and for manifests of batches."""

from __future__ import annotations

import os
import platform
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

ProcessState = Literal["alive", "gone", "unknown"]

_ENDED = frozenset("ZXx")
"""States of a process that has ended, and that perhaps nobody has asked for its exit status."""


@dataclass(frozen=True)
class ProcessIdentity:
    """What tells a process from every other one, of this machine and of others."""

    host: str
    """Name of the machine, for messages: several machines and containers may have the same."""

    pid: int
    machine: str
    """Boot of the machine and, in a container, its own numbering of processes: other numbers say nothing here."""

    started: int
    """When the process began, in clock ticks since the boot: a number may come again for another process.

    Not a time of day, which is another one when the system's clock is set.
    """

    @classmethod
    def current(cls) -> ProcessIdentity:
        """The process that asks."""
        return cls(platform.node(), os.getpid(), machine_id(), _started(os.getpid())[0])

    @classmethod
    def parse(cls, content: object) -> ProcessIdentity | None:
        """From what `dataclasses.asdict` gave, and JSON kept; None where something lacks or is no such value."""
        if not isinstance(content, Mapping):
            return None
        kinds: dict[str, type[Any]] = {"host": str, "pid": int, "machine": str, "started": int}
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
        if not 0 < self.pid < 2**31:  # no number that a process can have
            return "gone"
        try:
            started, state = _started(self.pid)
        except (FileNotFoundError, ProcessLookupError):
            return "unknown" if _is_there(self.pid) else "gone"
        except (OSError, ValueError):
            return "unknown"
        return "gone" if started != self.started or state in _ENDED else "alive"


def is_running(pid: int) -> bool:
    """Whether a number is that of a process of this machine that has not ended; True where that cannot be known."""
    try:
        return _started(pid)[1] not in _ENDED
    except (FileNotFoundError, ProcessLookupError):
        return _is_there(pid)
    except (OSError, ValueError):
        return True


def _started(pid: int) -> tuple[int, str]:
    """When a process began, in clock ticks since the boot, and the letter of its state.

    Not by psutil on Linux: it adds the time of the boot, which moves whenever the clock is set.

    :raises FileNotFoundError: when there is none, or it may not be seen.
    :raises OSError: when the system does not say.
    """
    if not _HAS_PROC:
        import psutil

        try:
            process = psutil.Process(pid)
            return round(process.create_time() * 100), "Z" if process.status() == psutil.STATUS_ZOMBIE else "R"
        except psutil.NoSuchProcess as error:
            raise FileNotFoundError(pid) from error
        except psutil.Error as error:
            raise OSError(str(error)) from error
    facts = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()  # its name may hold spaces and brackets
    return int(facts[19]), facts[0].decode()


_HAS_PROC = Path("/proc/self/stat").exists()


def _is_there(pid: int) -> bool:
    """Whether a process is there that /proc does not show, as where that is mounted with ``hidepid``."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def machine_id() -> str:
    """Tells processes that share their numbers from others: the boot, and the container."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # no Linux
        return f"{uuid.getnode():x}"
