"""Scripts of attackers: each ends as the client's fault and within its limit, and honest scripts beside it go on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest

from eotasks.service.errors import RequestError, ServiceError
from eotasks.service.evalscript.engine import Evaluated
from eotasks.service.evalscript.pool import EnginePool, JobLimits
from eotasks.service.evalscript.setup import SampleType
from eotasks.service.evalscript.workers.sandbox import SandboxLimits
from eotasks.service.evalscript.workers.supervisor import Places
from tests.builders.scripts.attacks import HONEST, OURS, PROTOTYPE, Attack
from tests.builders.scripts.pixels import script_pixels

pytest.importorskip("py_mini_racer", reason="needs the extra 'service'")

ONE = script_pixels(1, 1)
MANY = script_pixels(64, 64)
LIMITS = JobLimits(base_s=0.25, sample_s=0.05, wait_s=200, slow_s=0.2)
"""An attack gets 0.3 s, an honest script of many pixels a minute."""


@pytest.fixture(scope="module")
def pool() -> Iterator[EnginePool]:
    with EnginePool(Places(2), jobs=LIMITS) as pool:
        pool.start()
        yield pool


def outcome(pool: EnginePool, attack: Attack) -> Evaluated | ServiceError:
    try:
        return pool.evaluate(attack.script, MANY if attack.harmless else ONE)
    except ServiceError as error:
        return error


def check_all(pool: EnginePool, attacks: dict[str, Attack]) -> None:
    """Two attackers at a time, and an honest client beside them whose answers are right."""
    stop, wrong = threading.Event(), []

    def be_honest() -> None:
        expected = MANY.sources[0].planes[0].values[0][..., None] * 2
        while not stop.is_set():
            if not np.array_equal(pool.evaluate(HONEST, MANY).images["default"], expected):
                wrong.append("another answer")

    with ThreadPoolExecutor(3) as threads:
        honest = threads.submit(be_honest)
        try:
            results = dict(zip(attacks, threads.map(lambda each: outcome(pool, each), attacks.values()), strict=True))
        finally:
            stop.set()
        honest.result(200)
    assert not wrong
    answered = {name for name, result in results.items() if isinstance(result, Evaluated)}
    assert answered == {name for name, attack in attacks.items() if attack.harmless}
    others = {name: repr(result) for name, result in results.items() if name not in answered}
    assert all(isinstance(results[name], RequestError) for name in others), others
    assert not [text for text in others.values() if "the log of the service" in text]


@pytest.mark.slow
def test_what_the_prototype_was_attacked_with(pool: EnginePool) -> None:
    assert len(PROTOTYPE) == 24
    memory = psutil.Process().memory_info().rss
    check_all(pool, PROTOTYPE)
    assert psutil.Process().memory_info().rss - memory < 64 << 20


@pytest.mark.trial
def test_more_attacks(pool: EnginePool) -> None:
    check_all(pool, OURS)


def test_nothing_of_a_script_outlives_it() -> None:
    leave = HONEST.replace("//VERSION=3", "//VERSION=3\nglobalThis.left = 1; Object.prototype.left = 1; Math.max = 7;")
    look = HONEST.replace("sample.B04 * 2", "typeof left === 'undefined' && typeof Math.max === 'function' ? 1 : 0")
    one = EnginePool(Places(1, spares=0), jobs=LIMITS)
    with one:
        for _ in range(3):
            one.evaluate(leave, MANY)
            assert one.evaluate(look, MANY).images["default"].min() == 1


def test_statistics_get_the_numbers_as_they_are(pool: EnginePool) -> None:
    script = HONEST.replace('sampleType: "FLOAT32"', 'sampleType: "AUTO"')
    image = pool.evaluate(script, MANY, auto=SampleType.FLOAT32).images["default"]
    np.testing.assert_array_equal(image[..., 0], MANY.sources[0].planes[0].values[0] * 2)
    assert pool.evaluate(script, MANY).images["default"].dtype == np.uint8


@pytest.mark.slow
def test_without_a_compiler() -> None:
    attacks = {name: PROTOTYPE[name] for name in ("heap", "endless loop", "endless async loop")}
    with EnginePool(Places(2), jobs=LIMITS, limits=SandboxLimits(jitless=True)) as pool:
        assert pool.start().jitless
        check_all(pool, attacks)
