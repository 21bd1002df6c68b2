"""Two folders of a disk that change their names in one operation, where system and disk know how.

Linux has ``renameat2(RENAME_EXCHANGE)`` (ext4, xfs, btrfs, tmpfs, ...), macOS ``renamex_np(RENAME_SWAP)`` (APFS). NFS,
SMB and some layered file systems of containers have neither: `ExchangeUnsupportedError` tells.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_RENAME_SWAP = 2
"""Of macOS."""

_UNSUPPORTED = frozenset({errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EXDEV, errno.EBUSY})
"""EXDEV: what overlayfs says of folders of a lower layer. EBUSY: of one that a disk is mounted at."""


class ExchangeUnsupportedError(OSError):
    """System or disk cannot exchange two names."""


def exchange_folders(first: Path, second: Path) -> None:
    """Each gets the name of the other, at once: nobody sees one of them absent.

    :raises ExchangeUnsupportedError: when system or disk cannot; nothing has happened.
    :raises OSError: when it fails.
    """
    call = _system_call()
    if call is None:
        raise ExchangeUnsupportedError(errno.ENOSYS, os.strerror(errno.ENOSYS), str(second))
    code = call(os.fsencode(first), os.fsencode(second))
    if code:
        kind = ExchangeUnsupportedError if code in _UNSUPPORTED else OSError
        raise kind(code, os.strerror(code), str(second))


@functools.cache
def _system_call() -> Callable[[bytes, bytes], int] | None:
    """Exchanges two paths; gives 0 or the error's number."""
    library = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "darwin":
        rename, flags = getattr(library, "renamex_np", None), (_RENAME_SWAP,)
        places: tuple[int, ...] = ()
    else:
        rename, flags = getattr(library, "renameat2", None), (_RENAME_EXCHANGE,)
        places = (_AT_FDCWD,)
    if rename is None:  # an older C library
        return None

    def call(first: bytes, second: bytes) -> int:
        return ctypes.get_errno() if rename(*places, first, *places, second, *flags) else 0

    return call
