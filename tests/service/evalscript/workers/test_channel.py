"""Frames: bounds before memory is taken, deadlines that hold against drips, an end that is told."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eotasks.service.errors import EngineError
from eotasks.service.evalscript.workers.channel import Channel, WorkerAnswerError, WorkerGoneError, WorkerLateError


@pytest.fixture
def ends() -> Iterator[tuple[Channel, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Channel(ours, longest_header=100), theirs


def soon() -> float:
    return time.monotonic() + 0.05


def later() -> float:
    return time.monotonic() + 30


def framed(text: bytes, mark: bytes = b"EOW1") -> bytes:
    return mark + struct.pack(">I", len(text)) + text


def test_there_and_back() -> None:
    one, two = socket.socketpair()
    with one, two:
        values = np.arange(12, dtype=">u2").reshape(3, 4)[:, ::2]
        Channel(one, longest_header=9).send({"do": "it", "name": "ä"}, [b"abc", values])
        channel = Channel(two, longest_header=1000)
        assert channel.receive(later()) == {"do": "it", "name": "ä"}
        content = bytearray(3)
        channel.fill(memoryview(content), later())
        assert content == b"abc"
        back = np.empty((3, 2), "<u2")
        channel.fill(memoryview(back.reshape(-1).view(np.uint8)), later())
        assert back.tolist() == values.tolist()


@pytest.mark.parametrize(
    "content",
    [
        framed(b"{}", mark=b"EOW2"),
        b"EOW1" + struct.pack(">I", 2**32 - 1),
        framed(b"[1]"),
        framed(b"{"),
        framed(b'{"a": "\xff"}'),
        framed(b'{"a": "\\ud800"}'),
        framed(b'{"a":' + b"[" * 45 + b"]" * 45),
        framed(b'{"a": ' + b"9" * 94),
    ],
    ids=["mark", "length", "list", "torn", "bytes", "half of a character", "open", "number"],
)
def test_no_message(ends: tuple[Channel, socket.socket], content: bytes) -> None:
    ends[1].sendall(content)
    with pytest.raises(WorkerAnswerError):
        ends[0].receive(later())


@pytest.mark.parametrize("content", [b"", b"EOW", framed(b"{}")[:-1]], ids=["nothing", "half a mark", "half a header"])
def test_the_end_is_told(ends: tuple[Channel, socket.socket], content: bytes) -> None:
    ends[1].sendall(content)
    ends[1].close()
    with pytest.raises(WorkerGoneError):
        ends[0].receive(later())


def test_drips_do_not_move_a_deadline(ends: tuple[Channel, socket.socket]) -> None:
    stop = threading.Event()

    def drip() -> None:
        for byte in framed(b"{" + b" " * 90 + b"}"):
            ends[1].send(bytes([byte]))
            if stop.wait(0.01):
                return

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        with pytest.raises(WorkerLateError):
            ends[0].receive(soon())
    finally:
        stop.set()
        thread.join()


def test_who_does_not_read_is_late(ends: tuple[Channel, socket.socket]) -> None:
    with pytest.raises(WorkerLateError):
        ends[0].send({}, [bytes(1 << 24)], soon())


def test_who_has_ended_takes_nothing(ends: tuple[Channel, socket.socket]) -> None:
    ends[1].close()
    with pytest.raises(WorkerGoneError):
        ends[0].send({}, [bytes(1 << 24)], later())


@given(
    st.binary(max_size=200)
    | st.binary(max_size=99).map(framed)
    | st.text(max_size=30).map(lambda text: framed(json.dumps({"a": text}).encode()))
)
@settings(deadline=None)
def test_any_bytes_are_a_header_or_an_error_of_ours(content: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(content)
        theirs.close()
        with contextlib.suppress(EngineError):
            assert isinstance(Channel(ours, longest_header=100).receive(later()), dict)
