"""What the service and a worker say to each other, over a stream of bytes (`channel`).

A message is a header, and after it as many bytes as the header tells. Before the header stand ``EOW1`` and its length,
a big-endian unsigned integer of four bytes; the header is a JSON object in UTF-8. Arrays are raw bytes, little-endian,
in C order. Nothing of it can be executed, and nothing is particular to an engine or to Python.

To a worker: ``{"do": "describe", "script": bytes, "sources": [..]}``, then the script in UTF-8; or ``{"do":
"evaluate", "script": bytes, "height": .., "width": .., "auto": "AUTO" or "FLOAT32", "sources": [..]}``, then the script
and the planes of all sources. What a source is, is in `source_header`.

From a worker, first of all ``{"say": "ready", "sandbox": {..}}``; of a job any number of ``{"say": "progress", "done":
pixels}``, then one of

- ``{"say": "described", "setup": {..}, "kept": [[..], ..]}``
- ``{"say": "evaluated", "setup": {..} or null, "images": [{"id": .., "type": "<f4", "bands": ..}, ..], "user_data":
  bytes or null}``, then the images, and the user data as JSON
- ``{"say": "failed", "error": "script", "timeout" or "large", "message": ".."}``

When it can take the next job, it says ``{"say": "rested"}``.

The service believes nothing of what a worker says: a script may have taken it over. Lengths are compared with what the
request can give before memory is taken for them, and every value is looked at.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eotasks.documents import parse_json
from eotasks.service.errors import RequestError, ScriptError, ScriptTimeoutError, TooLargeError
from eotasks.service.evalscript.engine import Description, Evaluated
from eotasks.service.evalscript.planes import Pixels, Plane, SceneInfo, SourcePixels, TileInfo
from eotasks.service.evalscript.setup import SampleType
from eotasks.service.evalscript.workers.channel import Channel, WorkerAnswerError, as_bytes
from eotasks.service.evalscript.workers.declared import (
    BANDS,
    OUTPUTS,
    read_list,
    read_setup,
    read_text,
    read_whole,
    setup_header,
)

TYPES = ("|i1", "|u1", "<i2", "<u2", "<f4")
"""Of images and planes."""

FAILURES: Mapping[str, type[RequestError]] = MappingProxyType(
    {"script": ScriptError, "timeout": ScriptTimeoutError, "large": TooLargeError}
)
"""What a worker may say that a client did wrong."""

LONGEST_ANSWER = 1 << 19
"""Bytes of a header that comes from a worker; that of a script with a thousand bands has some ten thousand."""
LONGEST_JOB = 1 << 28
"""Bytes of a header that goes to a worker."""

OUT_OF_MEMORY = 12
"""Exit status of a worker that had no memory for what is around the script."""

_MESSAGE = 2_000


class Bounds(NamedTuple):
    """What an answer may be of."""

    image_bytes: int
    user_data_bytes: int


class Job(NamedTuple):
    """A message, and what follows it."""

    header: dict[str, Any]
    blobs: Sequence[bytes | NDArray[Any]] = ()


def describe_job(script: str, sources: Sequence[SourcePixels]) -> Job:
    """Ask what a script declares.

    :raises ScriptError: when it is no text.
    """
    content = _encoded(script)
    headers = [source_header(replace(source, planes=())) for source in sources]
    return Job({"do": "describe", "script": len(content), "sources": headers}, [content])


def evaluate_job(script: str, pixels: Pixels, auto: SampleType = SampleType.AUTO) -> Job:
    """Ask for what a script makes of pixels.

    :param auto: As for `Engine.evaluate`.

    :raises ScriptError: when it is no text.
    """
    content = _encoded(script)
    header = {
        "do": "evaluate",
        "script": len(content),
        "height": pixels.height,
        "width": pixels.width,
        "auto": auto,
        "sources": [source_header(source) for source in pixels.sources],
    }
    return Job(header, [content, *(plane.values for source in pixels.sources for plane in source.planes)])


def source_header(source: SourcePixels) -> dict[str, Any]:
    """A source without its pixels; times are UTC.

    "scenes" are those that hooks choose from; "chosen" are the positions of those that have pixels, null for all.
    """
    scenes = source.considered or source.scenes
    return {
        "datasource": source.datasource,
        "metadata": source.metadata,
        "period": None if source.period is None else [each.isoformat() for each in source.period],
        "scenes": [
            {
                "from": scene.date_from.isoformat(),
                "to": scene.date_to.isoformat(),
                "tiles": [[tile.time.isoformat(), tile.id, tile.cloud_cover, tile.bounds] for tile in scene.tiles],
            }
            for scene in scenes
        ],
        "chosen": _positions(source.scenes, scenes) if source.considered else None,
        "planes": [
            {
                "band": plane.band,
                "type": plane.values.dtype.newbyteorder("<").str,
                "scenes": plane.values.shape[0],
                "divisor": plane.divisor,
            }
            for plane in source.planes
        ],
    }


def read_script(header: Mapping[str, Any], channel: Channel) -> str:
    """In a worker: the script of a job whose header came."""
    content = bytearray(header["script"])
    channel.fill(memoryview(content))
    return content.decode()


def plane_sizes(header: Mapping[str, Any]) -> list[int]:
    """In a worker: bytes of the planes that come with a job, in order."""
    return [math.prod(_shape(each, header)) * np.dtype(each["type"]).itemsize for each in _planes(header)]


def read_sources(
    header: Mapping[str, Any], channel: Channel, room: Iterable[NDArray[np.uint8]] | None = None
) -> tuple[SourcePixels, ...]:
    """In a worker: the sources of a job, with their pixels, once the script is read.

    :param room: Memory for the planes, as `plane_sizes` has them; some of their own without it.
    """
    places = (np.empty(size, np.uint8) for size in plane_sizes(header)) if room is None else iter(room)
    return tuple(_read_source(source, header, channel, places) for source in header["sources"])


def _planes(header: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [each for source in header["sources"] for each in source["planes"]]


def _shape(plane: Mapping[str, Any], header: Mapping[str, Any]) -> tuple[int, int, int]:
    return plane["scenes"], header["height"], header["width"]


def described(description: Description) -> Job:
    """In a worker: its answer."""
    setup = setup_header(description.setup)
    return Job({"say": "described", "setup": setup, "kept": list(map(list, description.kept))})


def evaluated(result: Evaluated) -> Job:
    """In a worker: its answer.

    :raises ScriptError: when the user data are no JSON.
    """
    images = [np.ascontiguousarray(values, values.dtype.newbyteorder("<")) for values in result.images.values()]
    try:
        user_data = None if result.user_data is None else json.dumps(result.user_data, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ScriptError(f"The user data of the evalscript cannot be written as JSON: {error}.") from error
    header = {
        "say": "evaluated",
        "setup": None if result.setup is None else setup_header(result.setup),
        "images": [
            {"id": name, "type": image.dtype.str, "bands": image.shape[-1]}
            for name, image in zip(result.images, images, strict=True)
        ],
        "user_data": None if user_data is None else len(user_data),
    }
    return Job(header, [*images, *([] if user_data is None else [user_data])])


def failed(error: RequestError) -> Job:
    """In a worker: its answer, where a script fails."""
    kind = next((name for name, each in FAILURES.items() if type(error) is each), "script")
    return Job({"say": "failed", "error": kind, "message": str(error)[:_MESSAGE]})


def progress_of(header: Mapping[str, Any]) -> int | None:
    """In the service: the pixels that are done, of a message that tells them; None of any other.

    :raises WorkerAnswerError: when it is no number.
    """
    return read_whole(header, "done", 2**53) if header.get("say") == "progress" else None


def read_description(header: Mapping[str, Any], scenes: Sequence[int]) -> Description:
    """In the service: the answer to `describe`.

    :param scenes: Of each source, how many were given.
    :raises ScriptError: when the script fails.
    :raises WorkerAnswerError: when it is no such answer.
    """
    _expect(header, "described")
    kept = read_list(header, "kept", len(scenes))
    if len(kept) != (len(scenes) if scenes else 0):
        raise WorkerAnswerError("The engine tells kept scenes of other sources than there are.")
    for positions, count in zip(kept, scenes, strict=True):
        if not isinstance(positions, list) or len(positions) > count:
            raise WorkerAnswerError("The engine keeps more scenes than there are.")
        if any(type(each) is not int or not 0 <= each < count for each in positions) or len(set(positions)) < len(
            positions
        ):
            raise WorkerAnswerError("The engine keeps a scene that is not there.")
    return Description(read_setup(header.get("setup")), tuple(map(tuple, kept)))


def read_evaluated(
    header: Mapping[str, Any], channel: Channel, shape: tuple[int, int], bounds: Bounds, deadline: float
) -> Evaluated:
    """In the service: the answer to `evaluate`, with its images.

    :param shape: Rows and columns.
    :raises ScriptError: when the script fails, or gives more than it may.
    :raises WorkerAnswerError: when it is no such answer.
    """
    _expect(header, "evaluated")
    setup = None if header.get("setup") is None else read_setup(header["setup"])
    declared = []
    for each in read_list(header, "images", OUTPUTS):
        if not isinstance(each, dict) or each.get("type") not in TYPES:
            raise WorkerAnswerError("The engine gives an image of no known type.")
        declared.append((read_text(each, "id"), np.dtype(each["type"]), read_whole(each, "bands", BANDS)))
    size = sum(shape[0] * shape[1] * bands * kind.itemsize for _, kind, bands in declared)
    if size > bounds.image_bytes:
        raise ScriptError(
            f"The outputs of the evalscript take {size:,} bytes, more than the {bounds.image_bytes:,} of one request."
            " Ask for fewer pixels, or declare fewer bands."
        )
    length = None if header.get("user_data") is None else read_whole(header, "user_data", 2**53)
    if length is not None and length > bounds.user_data_bytes:
        raise ScriptError(
            f"The user data of the evalscript take {length:,} bytes, more than the {bounds.user_data_bytes:,} that"
            " are given out."
        )
    if len({name for name, _, _ in declared}) < len(declared):
        raise WorkerAnswerError("The engine gives two images of one name.")
    images = {}
    for name, kind, bands in declared:
        image = np.empty((*shape, bands), kind)
        channel.fill(as_bytes(image), deadline)
        images[name] = image.astype(kind.newbyteorder("="), copy=False)
    return Evaluated(images, None if length is None else _read_user_data(channel, length, deadline), setup)


def _read_user_data(channel: Channel, length: int, deadline: float) -> Any:
    content = bytearray(length)
    channel.fill(memoryview(content), deadline)
    value = parse_json(bytes(content), lambda reason: ScriptError(f"The user data of the evalscript: {reason}."))
    nodes = [value]
    while nodes:
        node = nodes.pop()
        nodes += node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        if isinstance(node, float) and not math.isfinite(node):
            raise WorkerAnswerError("The engine gives user data that are no JSON.")
    return value


def _encoded(script: str) -> bytes:
    try:
        return script.encode()
    except UnicodeEncodeError as error:
        raise ScriptError("The evalscript holds halves of characters: send it as UTF-8.") from error


def _positions(scenes: Sequence[SceneInfo], among: Sequence[SceneInfo]) -> list[int]:
    """Where scenes are among others; equal ones are told apart as long as they are the same objects."""
    same = {id(scene): position for position, scene in enumerate(among)}
    return [same[id(scene)] if id(scene) in same else among.index(scene) for scene in scenes]


def _read_source(
    source: Mapping[str, Any], header: Mapping[str, Any], channel: Channel, room: Iterator[NDArray[np.uint8]]
) -> SourcePixels:
    time = dt.datetime.fromisoformat
    scenes = tuple(
        SceneInfo(
            time(scene["from"]),
            time(scene["to"]),
            tuple(TileInfo(time(when), name, cover, bounds=bounds) for when, name, cover, bounds in scene["tiles"]),
        )
        for scene in source["scenes"]
    )
    planes = []
    for each in source["planes"]:
        values = next(room).view(each["type"]).reshape(_shape(each, header))
        channel.fill(as_bytes(values))
        planes.append(Plane(each["band"], values, each["divisor"]))
    period, chosen = source["period"], source["chosen"]
    return SourcePixels(
        scenes if chosen is None else tuple(scenes[position] for position in chosen),
        tuple(planes),
        source["datasource"],
        source["metadata"],
        None if period is None else (time(period[0]), time(period[1])),
        () if chosen is None else scenes,
    )


def _expect(header: Mapping[str, Any], kind: str) -> None:
    if header.get("say") == "failed":
        message = header.get("message")
        if not isinstance(message, str):
            raise WorkerAnswerError("The engine tells no reason.")
        failure = header.get("error")
        if not isinstance(failure, str) or failure not in FAILURES:
            raise WorkerAnswerError("The engine tells a failure of no known kind.")
        raise FAILURES[failure](message[:_MESSAGE])
    if header.get("say") != kind:
        raise WorkerAnswerError("The engine answers something else.")
