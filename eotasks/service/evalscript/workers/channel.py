"""The stream between the service and a worker: headers with a bound, bytes into memory that is there, a deadline."""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eotasks.documents import parse_json_object
from eotasks.service.errors import EngineError

_MARK = b"EOW1"
_PREFIX = struct.Struct(">4sI")


class WorkerGoneError(EngineError):
    """The other end of a stream is closed."""


class WorkerLateError(EngineError):
    """A deadline is over."""


class WorkerAnswerError(EngineError):
    """What came is no message, or none that can be an answer."""


class Channel:
    """One end of a stream.

    :param end: A connected stream socket, which becomes the channel's own.
    :param longest_header: Bytes of a header that comes.
    """

    def __init__(self, end: socket.socket, *, longest_header: int) -> None:
        self.end = end
        self._longest_header = longest_header

    def send(
        self, header: dict[str, Any], blobs: Sequence[bytes | NDArray[Any]] = (), deadline: float | None = None
    ) -> None:
        """Send a message.

        :param blobs: What follows the header; arrays in C order.
        :param deadline: By `time.monotonic`; None waits.
        :raises WorkerGoneError: when the other end is closed.
        :raises WorkerLateError: when it does not take the message in time.
        """
        text = json.dumps(header, separators=(",", ":"), allow_nan=False).encode()
        self._send(memoryview(_PREFIX.pack(_MARK, len(text)) + text), deadline)
        for blob in blobs:
            self._send(as_bytes(_little(blob)) if isinstance(blob, np.ndarray) else memoryview(blob), deadline)

    def receive(self, deadline: float | None = None) -> dict[str, Any]:
        """The header of the next message.

        :raises WorkerGoneError: when the other end is closed.
        :raises WorkerLateError: when the header has not come in time.
        :raises WorkerAnswerError: when it is none: no mark, too long, no JSON object, too deep.
        """
        prefix = bytearray(_PREFIX.size)
        self.fill(memoryview(prefix), deadline)
        mark, length = _PREFIX.unpack(prefix)
        if mark != _MARK or length > self._longest_header:
            raise WorkerAnswerError("A message of an engine has no header, or one that is too long.")
        text = bytearray(length)
        self.fill(memoryview(text), deadline)
        return parse_json_object(bytes(text), _refuse)

    def fill(self, memory: memoryview, deadline: float | None = None) -> None:
        """The next bytes, as many as there is room for.

        :raises WorkerGoneError: as `receive`.
        :raises WorkerLateError: as `receive`.
        """
        while memory:
            count = self._act(self.end.recv_into, memory, deadline)
            if not count:
                raise WorkerGoneError("An engine has ended.")
            memory = memory[count:]

    def close(self) -> None:
        """Close this end."""
        self.end.close()

    def _send(self, content: memoryview, deadline: float | None) -> None:
        while content:
            content = content[self._act(self.end.send, content, deadline) :]

    def _act(self, act: Any, memory: memoryview, deadline: float | None) -> int:
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            raise WorkerLateError("An engine took too long.")
        try:
            self.end.settimeout(left)
            return int(act(memory))
        except TimeoutError:
            raise WorkerLateError("An engine took too long.") from None
        except OSError as error:
            raise WorkerGoneError("An engine has ended.") from error


def as_bytes(values: NDArray[Any]) -> memoryview:
    """The memory of an array in C order, byte by byte."""
    return values.reshape(-1).view(np.uint8).data


def _refuse(reason: str) -> Exception:
    return WorkerAnswerError(f"A message of an engine is no message: {reason}.")


def _little(values: NDArray[Any]) -> NDArray[Any]:
    """In C order and little-endian; the same array where it is so."""
    return np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
