"""An isolate as workers use it: made before it is needed, looked at by another thread, gone with its call."""

from __future__ import annotations

import subprocess
import sys
import threading

import numpy as np
import pytest

from eotasks.errors import MissingDependencyError
from eotasks.service.errors import EngineError, ScriptError
from eotasks.service.evalscript.context import prelude, start_engine
from eotasks.service.evalscript.isolate import Isolate
from eotasks.service.evalscript.loop import AT_ONCE
from tests.builders.service.evalscripts import dn, pixels, simple

IMAGE = pixels({"B04": dn(1, 60, 50)})
FLOATS = simple("return [samples.B04];", output="{bands: 1, sampleType: 'FLOAT32'}")


def test_isolates_may_be_prepared(isolate: Isolate) -> None:
    isolate.prepare()
    isolate.prepare()

    assert isolate.evaluate(simple("return [1];"), IMAGE).images["default"].all()


def test_an_isolate_that_was_prepared_and_never_used_is_closed() -> None:
    with Isolate() as made:
        made.prepare()


def test_how_far_a_script_is(isolate: Isolate) -> None:
    """Some pixels at a time, for another thread."""
    seen = set()
    running = threading.Event()

    def look() -> None:
        while not running.is_set():
            seen.add(isolate.done)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        text = (
            simple("const end = Date.now() + 1; while (n % 50 === 0 && Date.now() < end); n++; return [1];")
            + "let n = 0;"
        )
        isolate.evaluate(text, IMAGE)
    finally:
        running.set()
        thread.join()

    assert isolate.done == 0
    assert len(seen) >= 2
    assert seen <= {*range(0, 3_000, AT_ONCE), 3_000}


def test_a_script_that_fails_leaves_the_next_alone(isolate: Isolate) -> None:
    for _ in range(3):
        with pytest.raises(ScriptError):
            isolate.evaluate(simple("throw 1;"), IMAGE)
        assert isolate.evaluate(simple("return [1];"), IMAGE).images["default"].all()


def test_images_are_not_memory_of_the_isolate(isolate: Isolate) -> None:
    first = isolate.evaluate(simple("return [samples.B04];"), IMAGE).images["default"]
    kept = first.copy()

    isolate.evaluate(simple("return [0];"), IMAGE)

    np.testing.assert_array_equal(first, kept)
    assert first.flags.writeable


def test_an_isolate_is_used_in_its_with() -> None:
    with pytest.raises(EngineError, match="outside"):
        Isolate().evaluate(simple("return [1];"), IMAGE)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "py_mini_racer", None)

    with pytest.raises(MissingDependencyError, match="mini-racer"):
        start_engine()


def test_a_flag_that_a_version_of_v8_may_not_know_is_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """V8 ignores all that come behind it, such as --jitless."""
    told: list[str] = []
    monkeypatch.setattr("py_mini_racer.init_mini_racer", lambda *, flags, **_: told.extend(flags))

    start_engine(("--jitless",))

    assert told[-2:] == ["--jitless", "--no-turboshaft"]


def test_the_prelude_is_one_strict_function_that_names_no_file_of_ours() -> None:
    text = prelude()

    assert text.startswith("(() => {'use strict';")
    assert "sourceURL=service" in text


def test_importing_eotasks_imports_no_engine() -> None:
    code = (
        "import sys, eotasks\n"
        "print([name for name in sys.modules if 'mini_racer' in name or 'eotasks.service' in name])"
    )

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_pixels_and_images_of_a_worker_are_in_memory_once() -> None:
    with Isolate(lends=True) as lending:
        for _ in range(2):
            (room, other) = lending.room([IMAGE.height * IMAGE.width * 2, 24])
            values = room.view(np.uint16).reshape(1, IMAGE.height, IMAGE.width)
            values[:], other[:] = 5_000, 0
            seen = lending.evaluate(simple("return [samples.B04];"), pixels({"B04": values}))
            assert (seen.images["default"] == 128).all()  # the room was for other planes: they are copied
            (room,) = lending.room([IMAGE.height * IMAGE.width * 2])
            values = room.view(np.uint16).reshape(1, IMAGE.height, IMAGE.width)
            values[:] = 10_000
            image = lending.evaluate(simple("return [samples.B04];"), pixels({"B04": values})).images["default"]
            assert image.base is not None
            assert (image == 255).all()
            lending.prepare()
            assert lending.describe(simple("return [1];")).setup.outputs


@pytest.mark.parametrize("size", [(1, 1), (1, AT_ONCE), (3, AT_ONCE + 1), (2 * AT_ONCE, 1)])
def test_all_pixels_are_done_however_many_at_a_time(isolate: Isolate, size: tuple[int, int]) -> None:
    values = np.arange(np.prod(size), dtype=np.uint16).reshape(size)
    image = isolate.evaluate(FLOATS, pixels({"B04": values})).images["default"]
    np.testing.assert_array_equal(image[..., 0], values / np.float32(10_000))


def test_a_failure_tells_how_many_pixels_were_done(isolate: Isolate) -> None:
    text = simple("if (++n > 300) throw new Error('enough'); return [1];") + "let n = 0;"
    with pytest.raises(ScriptError, match=r"300 of 3,000 pixels were done"):
        isolate.evaluate(text, IMAGE)
