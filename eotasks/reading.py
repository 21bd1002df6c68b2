"""Files that others may have put there: only regular ones are read, and never more of them than a bound.

A FIFO in the place of a file waits for ever, a device has no end, and a file may grow while it is read. What is refused
is an OSError as the system raises them, so that whoever reads names the file as for any other fault.
"""

from __future__ import annotations

import errno
import io
import lzma
import os
import stat
import struct
import zipfile
import zlib
from typing import IO

from eotasks.limits import Limit

ZIP_DAMAGES = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, RuntimeError, ValueError, OverflowError,
    IndexError,
)  # fmt: skip
"""What zipfile raises over bytes that are no zip, or one of a kind that it does not know (a NotImplementedError). There
is also the OSError of bz2, which has no number."""

_CHUNK = 1 << 20
_KINDS = {
    stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device",
}  # fmt: skip


def check_packing(archive: zipfile.ZipFile) -> None:
    """Refuse a zip with files that are packed by LZMA, as few programs write: each says how much memory is taken before
    a byte of it is unpacked, up to 4 GB.

    :raises ValueError: with the reason, for the end of a message.
    """
    packed = [entry.filename for entry in archive.infolist() if entry.compress_type == zipfile.ZIP_LZMA]
    if packed:
        raise ValueError(f"{packed[0][-200:]} in it is packed by LZMA, which is not read: pack it anew, by deflate")


def check_regular(path: str | os.PathLike[str], limit: Limit | None = None) -> None:
    """Refuse what a library is not to open. Links are followed.

    :raises OSError: when it is absent, no regular file, or has more bytes than the limit.
    """
    facts = os.stat(path)  # noqa: PTH116 - of any path
    _check(facts)
    if limit is not None and facts.st_size > limit.value:
        raise too_large(limit, facts.st_size)


def open_regular(path: str | os.PathLike[str]) -> io.BufferedReader:
    """A file opened for reading.

    :raises OSError: when it is absent, may not be read, or is no regular file.
    """
    check_regular(path)  # first: to open a device may do something
    # Between the two it may have become a FIFO, at which an open without this flag would wait.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        _check(os.fstat(descriptor))
        return open(descriptor, "rb")  # noqa: PTH123 - of a descriptor
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: str | os.PathLike[str], limit: Limit) -> bytes:
    """The content of a file; its size is looked at first.

    :raises OSError: as `open_regular`, and when it has more bytes than the limit.
    """
    with open_regular(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > limit.value:
            raise too_large(limit, size)
        content = stream.read(min(size, limit.value) + 1)
        # Files that grow meanwhile, and those of /proc, are longer than they say.
        return content if len(content) <= size else content + read_stream(stream, limit, len(content))


def read_stream(stream: IO[bytes], limit: Limit, before: int = 0) -> bytes:
    """What is left of a stream whose length nobody knows, such as one that is unpacked.

    :param before: Bytes of it that are read already and count too.
    :raises OSError: when there are more bytes than the limit.
    """
    content = io.BytesIO()  # hands its bytes over without a copy
    while chunk := stream.read(_CHUNK):
        content.write(chunk)
        if before + content.tell() > limit.value:
            raise too_large(limit)
    return content.getvalue()


def too_large(limit: Limit, found: int | None = None) -> OSError:
    """The error of a file that has more bytes than a limit."""
    return OSError(errno.EFBIG, limit.excess(found))


def _check(facts: os.stat_result) -> None:
    kind = stat.S_IFMT(facts.st_mode)
    if kind == stat.S_IFDIR:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if kind != stat.S_IFREG:
        raise OSError(errno.EINVAL, f"is {_KINDS.get(kind, 'something else')}, no file")
