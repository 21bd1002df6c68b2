"""The engine of evalscripts within one process: a fresh V8 isolate for each call. No limit of time is kept here, and
none of memory that could be relied on: that is the business of whoever starts the process (`pool`).
"""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import json
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from eotasks.service.errors import EngineError, ScriptError, TooLargeError
from eotasks.service.evalscript.bodies import load_body
from eotasks.service.evalscript.context import Context, PixelError, start_engine
from eotasks.service.evalscript.declared import body_setup, changed_bands, read_setup
from eotasks.service.evalscript.engine import Description, Evaluated
from eotasks.service.evalscript.loop import DTYPES, Band, Loop, Source, fill_value, kinds, limits
from eotasks.service.evalscript.planes import Pixels, SceneInfo, SourcePixels, TileInfo
from eotasks.service.evalscript.script import Samples, Script
from eotasks.service.evalscript.setup import Mosaicking, SampleType, Setup

P = ParamSpec("P")
T = TypeVar("T")

_PROBES = (0.0, 0.05, 0.2, 0.5, 1.0, 3.0)
"""Reflectances with which a body is asked how many bands it gives."""


class Isolate:
    """Runs scripts, one at a time, each in an isolate of its own."""

    def __init__(
        self,
        *,
        flags: tuple[str, ...] = (),
        heap_bytes: int | None = None,
        max_bytes: int | None = None,
        lends: bool = False,
    ) -> None:
        """
        :param flags: Of V8, such as "--jitless"; they count when this is the first isolate of the process.
        :param heap_bytes: Of V8's heap, without pixels.
        :param max_bytes: Of pixels in and out of one call together.
        :param lends: Images are memory of V8 and no copies: they must not be used after the next call of anything.
        """
        self._flags = flags
        self._heap_bytes = heap_bytes
        self._max_bytes = max_bytes
        self._runner: asyncio.Runner | None = None
        self._ready: Context | None = None
        self._running: Context | None = None
        self._lends = lends
        self._lent: Context | None = None
        self._room: NDArray[np.uint8] | None = None
        self._looking = threading.Lock()

    def __enter__(self) -> Self:
        """Load V8.

        :raises MissingDependencyError: when py_mini_racer is not installed.
        """
        start_engine(self._flags)
        self._runner = asyncio.Runner()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._take_back()
        ready, self._ready = self._ready, None
        if ready is not None:
            ready.close()
        runner, self._runner = self._runner, None
        if runner is not None:
            runner.close()

    @property
    def done(self) -> int:
        """Pixels that the running script has done, some hundred at a time; for other threads."""
        with self._looking:
            return 0 if self._running is None else int(self._running.progress[0])

    def prepare(self) -> None:
        """Make the isolate of the next call now, which takes a few milliseconds, so that the call need not."""
        self._take_back()
        if self._ready is None:
            self._ready = self._run(self._made)

    def room(self, sizes: Sequence[int]) -> list[NDArray[np.uint8]]:
        """Memory of the isolate that the next call gets, so that planes which are read into it are there once.

        :param sizes: Bytes of all planes of the next call, in order.
        :raises TooLargeError: when there is not as much.
        """
        self.prepare()
        assert self._ready is not None
        offsets, size = _laid(sizes)
        room = self._room = self._run(self._ready.buffer, size)
        return [room[offset : offset + each] for offset, each in zip(offsets, sizes, strict=True)]

    def describe(self, script: str, sources: Sequence[SourcePixels] = ()) -> Description:
        """Ask a script what it declares, and with scenes also which of them it keeps and what `updateOutput` changes.

        :param sources: Without pixels, one for each input of the script; empty to ask for the set-up only.
        :raises ScriptError: when the script cannot be read, declares nothing usable, or fails.
        """
        return self._run(self._described, Script(script), tuple(sources))

    def evaluate(self, script: str, pixels: Pixels, *, auto: SampleType = SampleType.AUTO) -> Evaluated:
        """Run a script on pixels.

        :param auto: As for `Engine.evaluate`.
        :raises ScriptError: as `describe`, and when it returns what is no output; says how many pixels were done.
        :raises TooLargeError: when there is no memory for its pixels.
        """
        return self._run(self._evaluated, Script(script), pixels, auto)

    def _described(self, script: Script, sources: Sequence[SourcePixels]) -> Description:
        with self._context() as context:
            setup, _ = _declared(context, script)
            if not sources:
                return Description(setup)
            _check_sources(setup, sources)
            told = context.call("arrange", _letter(setup, sources) | {"output": _counts(setup), "decided": False})
            kept = _kept(told, sources)
            return Description(changed_bands(setup, told["output"]), kept)

    def _evaluated(self, script: Script, pixels: Pixels, auto: SampleType) -> Evaluated:
        room, self._room = self._room, None
        with self._context() as context:
            setup, shape = _declared(context, script)
            setup = _with_type(setup, auto)
            _check_sources(setup, pixels.sources)
            letter = _letter(setup, pixels.sources)
            if setup.hooks - {"updateOutputMetadata"}:
                told = context.call("arrange", letter | {"output": _counts(setup), "decided": True})
                setup = changed_bands(setup, told.get("output") if isinstance(told, dict) else None)
            loop = _loop(setup, shape, pixels)
            work, size = _prepared(context, loop, pixels, self._max_bytes, room)
            try:
                told = context.call("execute", letter | work)
            except TooLargeError as error:
                raise TooLargeError(f"{error} Its results would take {size:,} bytes.") from None
            except PixelError as error:
                done, total = int(context.progress[0]), pixels.height * pixels.width
                raise ScriptError(f"{error} {done:,} of {total:,} pixels were done.") from None
            images = _images(context.results(size), loop)
            if not self._lends:
                images = {name: image.copy() for name, image in images.items()}
            told = _clean(told)
            if self._lends:
                self._lent = context
            return Evaluated(images, told, setup)

    def _run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do work where `Context` wants to be."""

        async def in_loop() -> T:
            return work(*args, **kwargs)

        if self._runner is None:
            raise EngineError("An isolate is used outside of its `with`.")
        return self._runner.run(in_loop())

    @contextmanager
    def _context(self) -> Iterator[Context]:
        self._take_back()
        context, self._ready, self._room = self._ready or self._made(), None, None
        self._running = context
        try:
            yield context
        finally:
            with self._looking:  # nobody reads memory that goes
                self._running = None
            if self._lent is not context:
                context.close()

    def _take_back(self) -> None:
        lent, self._lent = self._lent, None
        if lent is not None:
            lent.close()

    def _made(self) -> Context:
        return Context(heap_bytes=self._heap_bytes)


def _declared(context: Context, script: Script) -> tuple[Setup, Samples | None]:
    if script.is_body:
        bands = load_body(context, script)
        count = context.call("probe", {"bands": len(bands), "values": _PROBES})
        return body_setup(bands, count if isinstance(count, int) else 0), None
    context.load(script.text)
    told = context.call("declare")
    if not isinstance(told, dict) or not isinstance(told.get("length"), int) or told["length"] < 0:
        raise ScriptError("The evalscript has no function evaluatePixel. Write one.")
    return read_setup(script, told)


def _with_type(setup: Setup, auto: SampleType) -> Setup:
    """With this type in the place of AUTO."""
    outputs = [
        replace(each, sample_type=auto) if each.sample_type is SampleType.AUTO else each for each in setup.outputs
    ]
    return replace(setup, outputs=tuple(outputs))


def _check_sources(setup: Setup, sources: Sequence[SourcePixels]) -> None:
    if len(sources) != len(setup.inputs):
        raise ScriptError(
            f"The evalscript declares {len(setup.inputs)} inputs, and other numbers of them when it is run again."
            " Let setup return the same each time."
        )


def _letter(setup: Setup, sources: Sequence[SourcePixels]) -> dict[str, Any]:
    """What the driver is told of the scenes."""
    metadata: dict[str, object] = dict(sources[0].metadata)
    if len(sources) > 1:
        metadata |= {_key(source, i): dict(source.metadata) for i, source in enumerate(sources)}
    told = [
        _told_source(source, i, declared.mosaicking)
        for i, (source, declared) in enumerate(zip(sources, setup.inputs, strict=True))
    ]
    return {"sources": told, "metadata": metadata}


def _key(source: SourcePixels, i: int) -> str:
    return str(i) if source.datasource is None else source.datasource


def _told_source(source: SourcePixels, i: int, mosaicking: Mosaicking) -> dict[str, Any]:
    scenes = source.considered or source.scenes
    told: dict[str, Any] = {
        "key": _key(source, i),
        "scenes": [_told_scene(scene, mosaicking) for scene in scenes],
        "chosen": list(_chosen(source)),
    }
    if mosaicking is not Mosaicking.SIMPLE:
        told["listed"] = "orbits" if mosaicking is Mosaicking.ORBIT else "tiles"
    if source.period is not None:
        told["from"], told["to"] = (_iso(each) for each in source.period)
    return told


def _chosen(source: SourcePixels) -> tuple[int, ...]:
    """Positions of its scenes among those that its hooks were asked of."""
    if not source.considered:
        return tuple(range(len(source.scenes)))
    places = {id(scene): i for i, scene in enumerate(source.considered)}
    equal = {scene: i for i, scene in reversed(list(enumerate(source.considered)))}
    return tuple(places.get(id(scene), equal.get(scene, 0)) for scene in source.scenes)


def _told_scene(scene: SceneInfo, mosaicking: Mosaicking) -> dict[str, str]:
    first = scene.tiles[0].time if scene.tiles else scene.date_from
    tiles = [_told_tile(tile) for tile in scene.tiles]
    if mosaicking is Mosaicking.TILE:
        entry = tiles[0] if tiles else {"date": _iso(first)}
    else:
        entry = {"dateFrom": _iso(scene.date_from), "dateTo": _iso(scene.date_to), "tiles": tiles}
    return {"date": _iso(first), "entry": json.dumps(entry)}


def _told_tile(tile: TileInfo) -> dict[str, Any]:
    told: dict[str, Any] = {"date": _iso(tile.time)}
    if tile.cloud_cover is not None and math.isfinite(tile.cloud_cover):
        told["cloudCoverage"] = tile.cloud_cover
    if tile.bounds is not None:
        told |= json.loads(tile.bounds)
    told["dataPath"] = told["productId"] = tile.id
    told["shId"] = int.from_bytes(hashlib.sha256(tile.id.encode()).digest()[:4], "big") >> 1
    return told


def _iso(time: dt.datetime) -> str:
    return time.replace(microsecond=0).isoformat() + "Z"


def _kept(told: Any, sources: Sequence[SourcePixels]) -> tuple[tuple[int, ...], ...]:
    """What hooks left, checked: a script may say anything."""
    told = told.get("kept") if isinstance(told, dict) else None
    wrong = ScriptError("The hooks of the evalscript leave scenes that there are not. Return some of those given.")
    if not isinstance(told, list) or len(told) != len(sources):
        raise wrong
    kept = []
    for positions, source in zip(told, sources, strict=True):
        if not isinstance(positions, list) or not all(type(each) is int for each in positions):
            raise wrong
        if len(set(positions)) != len(positions) or not set(positions) <= set(range(len(source.scenes))):
            raise wrong
        kept.append(tuple(positions))
    return tuple(kept)


def _counts(setup: Setup) -> dict[str, dict[str, int]]:
    return {each.id: {"bands": len(each.bands)} for each in setup.outputs}


def _loop(setup: Setup, shape: Samples | None, pixels: Pixels) -> Loop:
    sources = []
    view = 0
    for i, (source, declared) in enumerate(zip(pixels.sources, setup.inputs, strict=True)):
        names = [plane.band for plane in source.planes]
        missing = [band.name for band in declared.bands if band.name not in names]
        if missing:
            raise ScriptError(
                f"The evalscript reads other bands when it is run again: {', '.join(missing)}. Let setup return the"
                " same each time."
            )
        scenes = len(source.scenes)
        for plane in source.planes:
            if plane.values.shape != (scenes, pixels.height, pixels.width):
                raise ValueError(f"band {plane.band} has shape {plane.values.shape}, not {scenes} scenes of the image")
        bands = tuple(Band(plane.band, view + k, plane.divisor) for k, plane in enumerate(source.planes))
        if shape is None:  # by position
            bands = tuple(bands[names.index(band.name)] for band in declared.bands)
        view += len(source.planes)
        sources.append(Source(_key(source, i), scenes, bands))
    single = len(sources) == 1 and setup.mosaicking is Mosaicking.SIMPLE
    return Loop(pixels.height, pixels.width, tuple(sources), setup.outputs, shape, single)


def _prepared(
    context: Context, loop: Loop, pixels: Pixels, max_bytes: int | None, room: NDArray[np.uint8] | None
) -> tuple[dict[str, Any], int]:
    """Give the isolate its pixels.

    :param room: Where they are, when they are in it already.
    :return: What the driver is told of the loop, and the bytes of the results.
    """
    planes = [plane for source in pixels.sources for plane in source.planes]
    offsets, size = _laid([plane.values.nbytes for plane in planes])
    count = loop.height * loop.width
    outputs = [(output, np.dtype(DTYPES[output.sample_type])) for output in loop.outputs]
    places, result_size = _laid([count * len(output.bands) * dtype.itemsize for output, dtype in outputs])
    if max_bytes is not None and size + result_size > max_bytes:
        raise TooLargeError(
            f"The pixels of the evalscript take {size + result_size:,} bytes, more than {max_bytes:,}. Ask for fewer"
            " pixels, scenes or bands."
        )
    memory = room if room is not None and room.size == size else context.buffer(size)
    for plane, offset in zip(planes, offsets, strict=True):
        values = np.ascontiguousarray(plane.values)
        if values.ctypes.data == memory.ctypes.data + offset:
            continue
        memory[offset : offset + values.nbytes].view(values.dtype)[:] = values.reshape(-1)
    told = []
    for (output, _), offset in zip(outputs, places, strict=True):
        fill = fill_value(output)
        low, high = (0, 0) if output.sample_type.value == "FLOAT32" else limits(output.sample_type)
        told.append(
            {
                "id": output.id, "type": output.sample_type.value, "bands": len(output.bands), "offset": offset,
                "length": count * len(output.bands), "low": low, "high": high, "fill": None if fill != fill else fill,
            }
        )  # fmt: skip
    views = [
        {"type": kind, "offset": offset, "length": plane.values.size}
        for plane, offset, kind in zip(planes, offsets, kinds([each.values.dtype for each in planes]), strict=True)
    ]
    return {"code": loop.code(), "views": views, "outputs": told, "bytes": result_size}, result_size


def _laid(sizes: Sequence[int]) -> tuple[list[int], int]:
    """Where arrays begin in one buffer, at whole numbers of eight bytes, and how long it is."""
    offsets, size = [], 0
    for each in sizes:
        offsets.append(size)
        size += -(-each // 8) * 8
    return offsets, size


def _images(results: NDArray[np.uint8], loop: Loop) -> dict[str, NDArray[Any]]:
    images = {}
    sizes = [np.dtype(DTYPES[each.sample_type]).itemsize * len(each.bands) for each in loop.outputs]
    count = loop.height * loop.width
    offsets, _ = _laid([count * each for each in sizes])
    for output, offset, size in zip(loop.outputs, offsets, sizes, strict=True):
        flat = results[offset : offset + count * size].view(DTYPES[output.sample_type])
        images[output.id] = flat.reshape(loop.height, loop.width, len(output.bands))
    return images


def _clean(told: Any) -> Any:
    """Without halves of characters, which no file can have."""
    text = json.dumps(told, ensure_ascii=False)
    return json.loads(text.encode("utf-8", "replace").decode()) if told is not None else None
