"""What a worker process gives up before it runs scripts of strangers, and what of it holds on this machine.

Three walls, each of which stands without the others: limits of the kernel (memory, processor time, files), a user
without rights where the service runs as root, and a list of the system calls that V8 and Python need once everything
is loaded (seccomp): whatever is not on it fails with EPERM. JavaScript has no call for any of them; the walls are for
faults of the engine.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import resource
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

_MIB = 1 << 20
_HEAP_BYTES = 512 * _MIB
_AROUND_BYTES = 256 * _MIB
"""For what is neither heap nor pixels: code, messages, the two isolates that are there for a moment."""


@dataclass(frozen=True)
class SandboxLimits:
    """What a worker may take, for its whole life."""

    memory_bytes: int = 1024 * _MIB
    """For heap, buffers and pixels: on top of what a worker has at rest, it becomes RLIMIT_DATA. Pixels and images are
    there once, in memory of V8."""

    cpu_seconds: int = 600
    """RLIMIT_CPU. The deadline of a job is the parent's business; this ends a worker whose parent cannot."""

    seccomp: bool = True
    """False for machines on which a system call that is needed is missing from the list."""

    jitless: bool = False
    """JavaScript is interpreted, some seven times slower, and no memory of the worker can become code any more."""

    @property
    def heap_bytes(self) -> int:
        """Of V8's heap: half of the memory, and no more of it for those who get more for their pixels."""
        return min(self.memory_bytes // 2, _HEAP_BYTES)

    @classmethod
    def for_pixels(cls, size: int, *, jitless: bool = False) -> SandboxLimits:
        """Those of workers whose jobs have pixels and images of so many bytes together."""
        return cls(memory_bytes=_HEAP_BYTES + _AROUND_BYTES + size, jitless=jitless)


@dataclass(frozen=True)
class SandboxState:
    """What holds of a worker, as the log and `/health` tell it."""

    seccomp: bool
    reason: str = ""
    """Why there is no seccomp."""

    user: str = ""
    """What the worker runs as: "nobody" where the service is root's, else "own"."""

    jitless: bool = False
    limits: Mapping[str, int] = field(default_factory=dict)
    """Those of the kernel that were set: "memory_bytes", "cpu_seconds", "open_files", "file_bytes", "core_bytes"."""

    @property
    def text(self) -> str:
        """In one line."""
        seccomp = "on" if self.seccomp else f"OFF ({self.reason})"
        limits = ", ".join(f"{name} {value:,}" for name, value in self.limits.items())
        engine = "; no code is compiled" if self.jitless else ""
        return f"seccomp {seccomp}; user: {self.user}; {limits or 'NO LIMITS'}{engine}"

    def as_json(self) -> dict[str, Any]:
        """For `/health` and for the parent."""
        return {**asdict(self), "limits": dict(self.limits)}


_PLAIN_CALLS = (
    # bytes of descriptors that are open
    "read", "write", "writev", "recvfrom", "close", "poll", "ppoll", "getsockname", "getsockopt",
    "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2",
    # memory
    "munmap", "mremap", "madvise", "brk", "membarrier", "pkey_alloc", "pkey_free",
    # threads and their locks
    "futex", "futex_waitv", "set_robust_list", "rseq", "gettid", "getpid", "sched_yield", "sched_getaffinity",
    "exit", "exit_group",
    # signals to itself, and time
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall",
    "clock_gettime", "clock_getres", "gettimeofday", "time", "nanosleep", "clock_nanosleep", "getrandom", "getrusage",
)  # fmt: skip
"""Found by strace over a worker's jobs (errors, time-outs, collections of garbage, threads), and their like."""

_CLONE_THREAD = 0x00010000
_FIONBIO = 0x5421
_LOW_BITS = 0xFFFF_FFFF
_MAP_KIND, _MAP_PRIVATE_ANONYMOUS = 0x23, 0x22
_PROT_EXEC = 0x4
_SOCK_KIND, _SOCK_STREAM = 0xF, 1
_AF_UNIX = 1
_PR_SET_PDEATHSIG, _PR_SET_NAME, _PR_SET_VMA = 1, 15, 0x53564D41
_NOBODY = 65534
_OPEN_FILES = 64


def follow_parent(parent: int) -> None:
    """End with the parent: at once where the kernel does that (Linux); elsewhere the channel tells.

    The kernel means the *thread* that started this process, which has to live as long as the process shall.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def limit(limits: SandboxLimits) -> dict[str, int]:
    """Set the limits of the kernel for this process, once everything is loaded.

    :return: Those that were set; a system may know no limit of memory.
    """
    with contextlib.suppress(OSError):  # where memory is short, the kernel is to end this process and not the service
        Path("/proc/self/oom_score_adj").write_text("1000")
    rest = _data_bytes()
    wanted = {
        "memory_bytes": (resource.RLIMIT_DATA, rest + limits.memory_bytes),
        "cpu_seconds": (resource.RLIMIT_CPU, limits.cpu_seconds),
        "open_files": (resource.RLIMIT_NOFILE, _OPEN_FILES),
        "file_bytes": (resource.RLIMIT_FSIZE, 0),
        "core_bytes": (resource.RLIMIT_CORE, 0),
    }
    done = {}
    for name, (kind, value) in wanted.items():
        hard = resource.getrlimit(kind)[1]
        most = value if hard == resource.RLIM_INFINITY else min(value, hard)
        with contextlib.suppress(OSError, ValueError):
            # Past the soft limit of time comes SIGXCPU, past the hard one SIGKILL, which others send, too.
            resource.setrlimit(kind, (max(1, most - 1) if kind == resource.RLIMIT_CPU else most, most))
            done[name] = most - rest if kind == resource.RLIMIT_DATA else most
    return done


def _data_bytes() -> int:
    """What RLIMIT_DATA counts of this process now: with V8 some 600 MB, most of it reserved and not touched."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/status").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == "VmData":
                return int(value.split()[0]) << 10
    return 0


def confine(limits: SandboxLimits, done: Mapping[str, int], parent: int) -> SandboxState:
    """Give up the rights of root and all system calls that are not needed, once everything is loaded.

    :param done: What `limit` set.
    :param parent: As for `follow_parent`.
    """
    rules, reason = _prepare_filter(jitless=limits.jitless) if limits.seccomp else (None, "turned off")
    user = _become_nobody()
    follow_parent(parent)  # another user's wish is forgotten
    if rules is not None:
        try:
            rules.load()
        except OSError as error:
            reason = f"the kernel refuses it: {error}"
    return SandboxState(not reason, reason, user, limits.jitless, done)


def _become_nobody() -> str:
    if os.geteuid() != 0:
        return "own"
    try:
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    except (OSError, AttributeError):
        return "root"
    return "nobody"


def _prepare_filter(*, jitless: bool) -> tuple[Any, str]:
    """:return: The list, to be loaded for all threads of the process; None and why where there is none."""
    if sys.platform != "linux":
        return None, f"{sys.platform} has none"
    try:
        import pyseccomp
    except ImportError:
        return None, "the package pyseccomp is not installed"
    except (RuntimeError, OSError) as error:
        return None, f"{error}: install libseccomp2"
    try:
        return _rules(pyseccomp, jitless=jitless), ""
    except (OSError, ValueError) as error:
        return None, f"libseccomp refuses it: {error}"


def _rules(seccomp: Any, *, jitless: bool) -> Any:
    """The list. Pointers cannot be looked at, so calls whose sense is behind one are left out."""
    Arg, EQ, MASKED = seccomp.Arg, seccomp.EQ, seccomp.MASKED_EQ  # noqa: N806 - as the package calls them
    rules = seccomp.SyscallFilter(seccomp.ERRNO(errno.EPERM))
    rules.set_attr(seccomp.Attr.CTL_TSYNC, 1)

    def allow(name: str, *conditions: Any) -> None:
        with contextlib.suppress(ValueError, OSError):  # a call that this processor does not have
            rules.add_rule(seccomp.ALLOW, name, *conditions)

    for name in _PLAIN_CALLS:
        allow(name)
    allow("clone", Arg(0, MASKED, _CLONE_THREAD, _CLONE_THREAD))  # threads, no processes
    rules.add_rule(seccomp.ERRNO(errno.ENOSYS), "clone3")  # its flags are behind a pointer: the C library takes clone
    code = [Arg(2, MASKED, _PROT_EXEC, 0)] if jitless else []
    # No files, and nothing shared, which RLIMIT_DATA does not count.
    allow("mmap", Arg(3, MASKED, _MAP_KIND, _MAP_PRIVATE_ANONYMOUS), *code)
    allow("mprotect", *code)
    allow("pkey_mprotect", *code)
    allow("sendto", Arg(4, EQ, 0))  # to the other end only
    allow("socketpair", Arg(0, EQ, _AF_UNIX), Arg(1, MASKED, _SOCK_KIND, _SOCK_STREAM))  # of event loops
    allow("ioctl", Arg(1, MASKED, _LOW_BITS, _FIONBIO))
    for command in (1, 2, 3, 4):  # F_GETFD, F_SETFD, F_GETFL, F_SETFL
        allow("fcntl", Arg(1, EQ, command))
    allow("prctl", Arg(0, EQ, _PR_SET_NAME))
    allow("prctl", Arg(0, EQ, _PR_SET_VMA))
    allow("prlimit64", Arg(0, EQ, 0), Arg(2, EQ, 0))  # asked, not set
    allow("tgkill", Arg(0, EQ, os.getpid()))  # abort()
    return rules
