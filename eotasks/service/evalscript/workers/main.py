"""A worker: one process that runs scripts of strangers, one after the other, and has nothing but their pixels.

Started by `pool` as a fresh interpreter, with an environment without secrets and one descriptor, the stream to the
service. It loads what it needs, runs a script of ours so that everything is loaded, gives up what `sandbox` takes, and
answers jobs (`protocol`) until the stream ends.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import select
import signal
import socket
import threading
import traceback
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from eotasks.service.errors import RequestError, TooLargeError
from eotasks.service.evalscript.engine import Description, Evaluated
from eotasks.service.evalscript.planes import Pixels, Plane, SceneInfo, SourcePixels, TileInfo
from eotasks.service.evalscript.setup import SampleType
from eotasks.service.evalscript.workers.channel import Channel, WorkerGoneError
from eotasks.service.evalscript.workers.protocol import (
    LONGEST_JOB,
    OUT_OF_MEMORY,
    Job,
    described,
    evaluated,
    failed,
    plane_sizes,
    read_script,
    read_sources,
)
from eotasks.service.evalscript.workers.sandbox import SandboxLimits, confine, follow_parent, limit

_LOOK_SECONDS = 0.1
"""How often the service is told how many pixels are done, while a script runs."""


class World(Protocol):
    """What runs scripts, as `isolate.Isolate` does: each in an isolate of its own, which nothing of it outlives."""

    def prepare(self) -> None:
        """Do before the next script comes what needs not wait for it."""
        ...

    def describe(self, script: str, sources: Sequence[SourcePixels] = ()) -> Description:
        """As `Engine.describe`."""
        ...

    def room(self, sizes: Sequence[int]) -> Sequence[NDArray[np.uint8]]:
        """Memory that the planes of the next call are read into, of so many bytes each.

        :raises TooLargeError: when there is not as much.
        """
        ...

    def evaluate(self, script: str, pixels: Pixels, *, auto: SampleType = SampleType.AUTO) -> Evaluated:
        """As `Engine.evaluate`; the images are used before the next call only."""
        ...

    @property
    def done(self) -> int:
        """Pixels that the script has done; asked by another thread while it runs."""
        ...


def main(options: Mapping[str, Any]) -> None:
    """Run a worker of V8; does not return.

    :param options: As `process` writes them.
    """
    from eotasks.service.evalscript.isolate import Isolate

    limits = SandboxLimits(**options["limits"])
    flags = ("--jitless",) if limits.jitless else ()
    # V8 counts its heap alone: a script that fills it ends, and the process only when buffers and pixels are too many.
    with Isolate(flags=flags, heap_bytes=limits.heap_bytes, lends=True) as isolate:
        serve(options, isolate)


def serve(options: Mapping[str, Any], world: World) -> None:
    """Run a worker; does not return."""
    code = 1
    try:
        _Worker(options, world).run()
    except WorkerGoneError:
        code = 0
    except MemoryError:
        code = OUT_OF_MEMORY
    except Exception:  # noqa: BLE001 - whatever it was, the process ends
        traceback.print_exc()  # the service tells the last line in its log
    finally:
        # Not sys.exit: V8's threads can hang an interpreter that ends, and handlers at exit are nobody's here.
        os._exit(code)


class _Worker:
    def __init__(self, options: Mapping[str, Any], world: World) -> None:
        self._parent = int(options["parent"])
        follow_parent(self._parent)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._channel = Channel(socket.socket(fileno=options["channel"]), longest_header=LONGEST_JOB)
        self._world = world
        self._limits = SandboxLimits(**options["limits"])
        self._speaking = threading.Lock()
        self._is_evaluating = False

    def run(self) -> NoReturn:
        threading.Thread(target=self._watch, daemon=True).start()
        self._do_jobs_of_ours()
        self._world.prepare()
        state = confine(self._limits, limit(self._limits), self._parent)
        self._say({"say": "ready", "sandbox": state.as_json()})
        while True:
            self._say(*self._answer(self._channel.receive()))
            self._world.prepare()
            self._say({"say": "rested"})

    def _answer(self, header: Mapping[str, Any]) -> Job:
        script = read_script(header, self._channel)
        sources = read_sources(header, self._channel, self._room(header))
        try:
            if header["do"] == "describe":
                return described(self._world.describe(script, sources))
            self._is_evaluating = True
            try:
                pixels = Pixels(header["height"], header["width"], sources)
                return evaluated(self._world.evaluate(script, pixels, auto=SampleType(header["auto"])))
            finally:
                with self._speaking:  # after this, nothing of its progress is told
                    self._is_evaluating = False
        except RequestError as error:
            return failed(error)

    def _room(self, header: Mapping[str, Any]) -> Sequence[NDArray[np.uint8]]:
        sizes = plane_sizes(header)
        try:
            return self._world.room(sizes) if sizes else ()
        except TooLargeError as error:  # the stream is full of pixels: there is no way back
            raise MemoryError(str(error)) from None

    def _say(self, header: dict[str, Any], blobs: Sequence[bytes | NDArray[Any]] = ()) -> None:
        with self._speaking:
            self._channel.send(header, blobs)

    def _watch(self) -> None:
        """Ends the process when the service has, and tells how far a script is."""
        poll = select.poll()
        poll.register(self._channel.end, getattr(select, "POLLRDHUP", 0))  # POLLHUP and POLLERR come unasked
        while not poll.poll(_LOOK_SECONDS * 1000):
            with self._speaking, contextlib.suppress(Exception):  # a world that ends at this moment
                if self._is_evaluating:
                    self._channel.send({"say": "progress", "done": self._world.done})
        os._exit(0)

    def _do_jobs_of_ours(self) -> None:
        """Loads everything that jobs need, as no file can be opened later: answers, and a failure."""
        time = dt.datetime(2020, 1, 1, tzinfo=dt.UTC).replace(tzinfo=None)
        scene = SceneInfo(time, time, (TileInfo(time, "ours", 0.0),))
        source = SourcePixels((scene,), (Plane("B04", np.ones((1, 2, 2), np.float32)),))
        described(self._world.describe(_OURS))
        evaluated(self._world.evaluate(_OURS, Pixels(2, 2, (source,))))
        for script in ("return B04 + ", "//VERSION=3\nfunction setup() { throw new Error('ours') }"):
            with contextlib.suppress(RequestError):
                self._world.describe(script)


_OURS = """//VERSION=3
function setup() { return {input: ["B04"], output: {bands: 1, sampleType: "FLOAT32"}} }
function evaluatePixel(sample) { return [sample.B04] }
function updateOutputMetadata(scenes, inputMetadata, outputMetadata) { outputMetadata.userData = {ours: true} }
"""
