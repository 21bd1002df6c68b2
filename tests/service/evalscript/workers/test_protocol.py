"""Messages: what goes in comes out; what a worker that lies says is an error of ours, and takes no memory."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import socket
import time
import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eotasks.service.errors import ScriptError, ScriptTimeoutError, ServiceError
from eotasks.service.evalscript.engine import Description, Evaluated
from eotasks.service.evalscript.planes import Pixels, Plane, SceneInfo, SourcePixels, TileInfo
from eotasks.service.evalscript.setup import Input, InputBand, Mosaicking, Output, SampleType, Setup
from eotasks.service.evalscript.workers.channel import Channel, WorkerAnswerError
from eotasks.service.evalscript.workers.protocol import (
    LONGEST_ANSWER,
    LONGEST_JOB,
    Bounds,
    Job,
    describe_job,
    described,
    evaluate_job,
    evaluated,
    failed,
    progress_of,
    read_description,
    read_evaluated,
    read_script,
    read_sources,
)

BOUNDS = Bounds(1 << 20, 1 << 10)
TIME = dt.datetime(2020, 5, 17, 10, 0, 31, 5, tzinfo=dt.UTC).replace(tzinfo=None)
SETUP = Setup(
    (
        Input((InputBand("B04"), InputBand("CLP", "DN")), "one", Mosaicking.ORBIT, frozenset({"bounds"})),
        Input((InputBand("B8A", "REFLECTANCE"),), None),
    ),
    (
        Output("default", ("red", "green"), SampleType.UINT16, 65535.0),
        Output("index", ("B0",), SampleType.FLOAT32, float("nan")),
    ),
    frozenset({"filterScenes"}),
)


def later() -> float:
    return time.monotonic() + 30


def through(job: Job, longest: int = LONGEST_ANSWER, more: bytes = b"") -> tuple[dict[str, Any], Channel]:
    """What the other end gets of a message."""
    one, two = socket.socketpair()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
    with one:
        Channel(one, longest_header=0).send(job.header, job.blobs, later())
        one.sendall(more)
    channel = Channel(two, longest_header=longest)
    return channel.receive(later()), channel


def test_a_job_comes_as_it_was_sent() -> None:
    values = np.arange(2 * 3 * 4, dtype=np.uint16).reshape(2, 3, 4)
    scenes = (
        SceneInfo(TIME, TIME, (TileInfo(TIME, "S2A_1", 12.5), TileInfo(TIME, "S2B_ä"))),
        SceneInfo(TIME, TIME + dt.timedelta(1), ()),
    )
    source = SourcePixels(
        scenes,
        (Plane("B04", values, 1e4), Plane("x", values.astype(np.float32)), Plane("m", np.ones((2, 3, 4), np.uint8))),
        "one",
        {"serviceVersion": "1", "bounds": {"bbox": [1.5, 2]}},
        (TIME, TIME + dt.timedelta(3)),
        (SceneInfo(TIME, TIME, ()), scenes[1], scenes[0]),
    )
    pixels = Pixels(3, 4, (source, SourcePixels((), ())))
    header, channel = through(evaluate_job("let ä = 1", pixels), LONGEST_JOB)
    assert (header["do"], read_script(header, channel)) == ("evaluate", "let ä = 1")
    back = read_sources(header, channel)
    channel.close()
    assert back[1] == pixels.sources[1]
    assert replace(back[0], planes=()) == replace(source, planes=())
    for got, sent in zip(back[0].planes, source.planes, strict=True):
        assert (got.band, got.divisor, got.values.dtype) == (sent.band, sent.divisor, sent.values.dtype)
        np.testing.assert_array_equal(got.values, sent.values)


def test_scenes_that_are_equal_are_told_apart() -> None:
    twins = (SceneInfo(TIME, TIME, ()), SceneInfo(TIME, TIME, ()), SceneInfo(TIME, TIME, ()))
    pixels = Pixels(1, 1, (SourcePixels(twins[1:], considered=twins),))
    header, channel = through(evaluate_job("", pixels), LONGEST_JOB)
    read_script(header, channel)
    (back,) = read_sources(header, channel)
    channel.close()
    assert [[scene is other for other in back.considered] for scene in back.scenes] == [
        [False, True, False],
        [False, False, True],
    ]


def test_a_description_comes_as_it_was_told() -> None:
    header, channel = through(described(Description(SETUP, ((0, 2), ()))))
    channel.close()
    back = read_description(header, [3, 0])
    assert back.kept == ((0, 2), ())
    assert back.setup.inputs == SETUP.inputs
    assert back.setup.hooks == SETUP.hooks
    assert back.setup.outputs[0] == SETUP.outputs[0]
    assert np.isnan(back.setup.outputs[1].nodata)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["i1", "u1", "i2", "u2", "f4", ">f4"])
def test_images_come_as_they_were_given(kind: str) -> None:
    values = np.arange(24).reshape(3, 4, 2).astype(kind)
    header, channel = through(evaluated(Evaluated({"default": values, "b": values[..., :1]}, {"a": [1, None]}, SETUP)))
    back = read_evaluated(header, channel, (3, 4), BOUNDS, later())
    channel.close()
    np.testing.assert_array_equal(back.images["default"], values)
    np.testing.assert_array_equal(back.images["b"], values[..., :1])
    assert back.images["default"].dtype == values.dtype.newbyteorder("=")
    assert back.user_data == {"a": [1, None]}
    assert back.setup is not None


def test_failures_are_errors() -> None:
    with pytest.raises(ScriptTimeoutError, match="late"):
        read_description(failed(ScriptTimeoutError("late")).header, ())
    with pytest.raises(ScriptError, match=r"^bad"):
        read_evaluated(failed(ScriptError("bad" * 9999)).header, None, (1, 1), BOUNDS, 0)  # type: ignore[arg-type]


def test_a_script_of_halves_of_characters_is_refused() -> None:
    with pytest.raises(ScriptError, match="halves"):
        describe_job("'\ud800'", ())


def test_user_data_that_are_no_json_are_the_scripts_fault() -> None:
    with pytest.raises(ScriptError, match="user data"):
        evaluated(Evaluated({}, float("nan")))


def images(**changes: object) -> dict[str, Any]:
    image = {"id": "default", "type": "<f4", "bands": 1}
    return {"say": "evaluated", "setup": None, "images": [image], "user_data": None, **changes}


LIES: dict[str, dict[str, Any]] = {
    "other answer": {"say": "described"},
    "no images": {"say": "evaluated", "setup": None},
    "images of no list": images(images={"a": 1}),
    "image of no object": images(images=[1]),
    "type of objects": images(images=[{"id": "a", "type": "|O", "bands": 1}]),
    "long type": images(images=[{"id": "a", "type": "<f8", "bands": 1}]),
    "type of no text": images(images=[{"id": "a", "type": ["<f4"], "bands": 1}]),
    "negative": images(images=[{"id": "a", "type": "<f4", "bands": -1}]),
    "truth": images(images=[{"id": "a", "type": "<f4", "bands": True}]),
    "half a band": images(images=[{"id": "a", "type": "<f4", "bands": 1.5}]),
    "a billion bands": images(images=[{"id": "a", "type": "<f4", "bands": 10**9}]),
    "no name": images(images=[{"id": None, "type": "<f4", "bands": 1}]),
    "long name": images(images=[{"id": "a" * 300, "type": "<f4", "bands": 1}]),
    "twice": images(images=[{"id": "a", "type": "<f4", "bands": 0}] * 2),
    "many": images(images=[{"id": str(i), "type": "|u1", "bands": 0} for i in range(1000)]),
    "negative user data": images(user_data=-1),
    "text for a length": images(user_data="9"),
    "set-up of a list": images(setup=[]),
    "set-up of nothing": images(setup={"hooks": [], "inputs": [], "outputs": []}),
    "failure without a reason": {"say": "failed", "error": "script"},
    "failure of no kind": {"say": "failed", "error": "engine", "message": ""},
}


@pytest.mark.parametrize("header", LIES.values(), ids=LIES)
def test_lies_are_no_answers(header: dict[str, Any]) -> None:
    got, channel = through(Job(header, []), more=bytes(4))
    with pytest.raises(WorkerAnswerError):
        read_evaluated(got, channel, (1, 1), BOUNDS, later())
    channel.close()


@pytest.mark.parametrize(
    "header",
    [images(images=[{"id": "a", "type": "<f4", "bands": 3000}]), images(user_data=1 << 40)],
    ids=["images", "user data"],
)
def test_more_than_is_given_out_takes_no_memory(header: dict[str, Any]) -> None:
    got, channel = through(Job(header, []))
    tracemalloc.start()
    try:
        with pytest.raises(ScriptError, match="more than the"):
            read_evaluated(got, channel, (2500, 2500), BOUNDS, later())
        assert tracemalloc.get_traced_memory()[1] < 1 << 16
    finally:
        tracemalloc.stop()
        channel.close()


@pytest.mark.parametrize(
    "content", [b"NaN", b"[1e999]", b'"\\ud800"', b'"\\u0000"', b"{", b"[" * 1000, b'{"a":' * 200 + b"1" + b"}" * 200]
)
def test_user_data_that_would_break_the_answer(content: bytes) -> None:
    got, channel = through(Job(images(images=[], user_data=len(content)), [content]))
    with pytest.raises((ScriptError, WorkerAnswerError)):
        read_evaluated(got, channel, (1, 1), Bounds(1, 10_000), later())
    channel.close()


@pytest.mark.parametrize(
    "kept",
    [[[0]], [[0], [1], [2]], [[3], []], [[-1], []], [[0, 0], []], [[True], []], [["0"], []], [0, []], "ab", None],
)
def test_scenes_that_are_not_there_are_not_kept(kept: object) -> None:
    with pytest.raises(WorkerAnswerError):
        read_description({**described(Description(SETUP)).header, "kept": kept}, [3, 0])


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("inputs", 0, "bands", 0), ["B04"]),
        (("inputs", 0, "bands", 0, 0), 4),
        (("inputs", 0, "bands", 0, 1), 4),
        (("inputs", 0, "mosaicking"), "ALL"),
        (("inputs", 0, "datasource"), 1),
        (("inputs", 0, "metadata"), [1]),
        (("inputs", 0), None),
        (("outputs", 0, "id"), 7),
        (("outputs", 0, "bands"), 10**9),
        (("outputs", 0, "bands"), ["x"] * 5000),
        (("outputs", 0, "type"), "FLOAT64"),
        (("outputs", 0, "nodata"), "none"),
        (("outputs", 0, "nodata"), [1]),
        (("outputs", 0), []),
        (("outputs",), []),
        (("hooks",), {"a": 1}),
    ],
)
def test_no_such_set_up(path: tuple[Any, ...], value: object) -> None:
    header = json.loads(json.dumps(described(Description(SETUP)).header))
    node = header["setup"]
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = value
    with pytest.raises(WorkerAnswerError):
        read_description(header, ())


def test_progress() -> None:
    assert progress_of({"say": "progress", "done": 5}) == 5
    assert progress_of({"say": "evaluated"}) is None
    for lie in (-1, 1.5, "1", None, True, 2**60):
        with pytest.raises(WorkerAnswerError):
            progress_of({"say": "progress", "done": lie})


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5000) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from(["<f4", "|u1", "evaluated", "described", "failed", "script", "SIMPLE", "AUTO", "default"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["id", "type", "bands", "say", "setup", "inputs", "outputs", "nodata"]), inner),
    max_leaves=10,
)  # fmt: skip
KEYS = ["say", "setup", "images", "user_data", "kept", "error", "message"]


@given(st.dictionaries(st.sampled_from(KEYS), VALUES), st.binary(max_size=50))
@settings(deadline=None)
def test_a_worker_that_says_anything(changes: dict[str, Any], more: bytes) -> None:
    job, bounds = Job({**images(), **changes}, []), Bounds(1000, 100)
    one, two = socket.socketpair()
    with one, two, contextlib.suppress(ServiceError):
        Channel(one, longest_header=0).send(job.header, [more], later())
        one.close()
        channel = Channel(two, longest_header=LONGEST_ANSWER)
        result = read_evaluated(channel.receive(later()), channel, (2, 3), bounds, later())
        assert sum(image.nbytes for image in result.images.values()) <= bounds.image_bytes
        assert all(image.shape[:2] == (2, 3) for image in result.images.values())
    header = {**described(Description(SETUP)).header, **changes}
    with contextlib.suppress(ServiceError):
        assert read_description(header, ()).kept == ()
