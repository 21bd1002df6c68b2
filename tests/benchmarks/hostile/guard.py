"""What a reader may not do with a file of a stranger, and what notices when it does it all the same.

Python's own calls are seen by an audit hook; what native code opens (GDAL, Arrow, DuckDB) by a watch of the system on
one folder that no case has any business with, which the hostile words of `tests.benchmarks.hostile.mutations` name.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

MEGABYTE = 1 << 20
_ALLOWED = tuple(
    os.path.realpath(path)
    for path in {sys.prefix, sys.base_prefix, *sysconfig.get_paths().values(), *map(os.path.abspath, sys.path)}
    if path
)
_SYSTEM = ("/proc/", "/sys/", "/dev/", "/usr/share/", "/usr/lib/", "/lib/", "/etc/localtime", "/etc/mime.types")
_FORBIDDEN = frozenset(
    {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "pickle.find_class", "marshal.loads", "os.fork"}
)
_OUTWARD = frozenset({"socket.connect", "socket.getaddrinfo"})
IN_OPEN = 0x20

CANARY = Path(tempfile.gettempdir(), "eotasks-hostile", "canary")
"""A file that hostile words name, and nobody has any business with."""


class Guard:
    """Notes what readers do beyond reading their own folder. One for a process: an audit hook stays for ever.

    :param folder: The only folder whose files may be opened.
    :param online: Whether addresses may be asked for: an item from afar names its server. None is reached anyway.
    """

    def __init__(self, folder: Path, *, online: bool) -> None:
        self._roots = (os.path.realpath(folder), *_ALLOWED)
        self._online = online
        self._noted: list[str] = []
        self._on = False
        self._watch = _watched(CANARY)
        sys.addaudithook(self._hook)

    def watching(self, call: Callable[[], Any]) -> Any:
        """What a call gives, while everything that it does is noted."""
        self._on = True
        try:
            return call()
        finally:
            self._on = False

    def noted(self) -> Sequence[str]:
        """What was noted since it was asked the last time."""
        found, self._noted = self._noted, []
        if self._watch is not None:
            try:
                os.read(self._watch, 4096)
                found.append("native code opened a file outside")
            except BlockingIOError:
                pass
        return found

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._on:
            return
        if event == "open":
            self._note_open(arguments[0], arguments[1])
        elif event in _FORBIDDEN:
            if not _is_of_python():
                self._noted.append(f"{event} {str(arguments)[:80]}")
        elif event in _OUTWARD:
            if not self._online:
                self._noted.append(f"{event} {str(arguments[-2:])[:80]}")
            raise ConnectionRefusedError("nothing is reached from a case")

    def _note_open(self, path: Any, mode: Any) -> None:
        if not isinstance(path, str | bytes | os.PathLike):
            return
        text = os.path.realpath(os.fsdecode(path))
        if text.startswith(self._roots) or text.startswith(_SYSTEM):
            return
        if isinstance(mode, str) and "r" not in mode and "+" not in mode:
            self._noted.append(f"wrote {text[:80]}")
        else:
            self._noted.append(f"opened {text[:80]}")


def _is_of_python() -> bool:
    """Whether a module is being imported, or numba reads its own cache of compiled kernels."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if "importlib" in frame.f_code.co_filename or "/numba/core/caching.py" in frame.f_code.co_filename:
            return True
        frame = frame.f_back
    return False


def _watched(path: Path) -> int | None:
    """A descriptor that has something to read once a file was opened; None where the system cannot tell."""
    path.parent.mkdir(exist_ok=True)
    if not path.exists():  # another process may watch it already
        path.write_text("root:x:0:0\n")
    library = ctypes.CDLL(None, use_errno=True)
    try:
        descriptor = int(library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        watched = int(library.inotify_add_watch(descriptor, os.fsencode(path), IN_OPEN))
    except AttributeError:  # no Linux
        return None
    return descriptor if descriptor >= 0 and watched >= 0 else None


def limit_memory(beyond: int) -> None:
    """Allows this process so many bytes more than it has; none of its crashes leaves a core file."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    allowed = pages * resource.getpagesize() + beyond
    resource.setrlimit(resource.RLIMIT_AS, (allowed, allowed))


def peak_memory() -> int:
    """Bytes of memory that this process has had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
