from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from enum import Enum
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from eolearn.core import EONode, EOTask, EOWorkflow, FeatureType
from hypothesis import given, settings
from hypothesis import strategies as st
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

from eotasks.errors import ConfigurationError
from eotasks.storage.place import Place
from eotasks.workflows.batch.fingerprints import fingerprint, settings_of, settings_of_workflow
from eotasks.workflows.settings import changed_keys
from tests import ROOT
from tests.builders.batch_tasks import AllocateTask, CallTask, PassOnTask


class Color(Enum):
    RED = 1
    BLUE = 2


@dataclass
class Options:
    name: str
    values: dict[str, Any]


class Lazy:
    def __init__(self, value: int) -> None:
        self.value = value

    @cached_property
    def square(self) -> int:
        return self.value**2


class LazyTask(EOTask):
    def __init__(self, lazy: Lazy) -> None:
        self.lazy = lazy

    def execute(self) -> int:
        return self.lazy.square


class KeepingTask(EOTask):
    """Keeps what it has read, and gives it to no worker, as LoadScenesTask does."""

    def __init__(self) -> None:
        self.location = "somewhere"
        self.read: list[int] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "read": None}

    def execute(self) -> None:
        self.read = [1, 2]


class UnpicklableTask(PassOnTask):
    """Refuses to be pickled: of use in threads."""

    def __getstate__(self) -> dict[str, Any]:
        raise TypeError


class Unpicklable:
    def __init__(self, value: int) -> None:
        self.value = value
        self.lock = threading.Lock()


def looped() -> list[object]:
    loop: list[object] = [1]
    loop.append(loop)
    return loop


def plus(amount: int) -> Any:
    return lambda value: value + amount


DIFFERENT = [
    None, True, 1, 1.0, "1", b"1", [1], (1,), {1}, frozenset({1}), {1: 2}, {"1": 2}, [[1], 2], [1, [2]], float("nan"),
    "NaN", dt.date(2026, 1, 1), dt.datetime(2026, 1, 1, tzinfo=dt.UTC), dt.timedelta(1), Color.RED, Color.BLUE,
    np.float32(1), np.float64(1), np.ones(2), np.ones((2, 1)), np.ones(2, np.float32), np.array([1, "a"], dtype=object),
    Path("a"), Path("a/b"), Options("a", {"b": 1}), Options("a", {"b": 2}), Place("/tmp/a"), Place("/tmp/b"),
    BBox((0, 0, 1, 1), CRS.WGS84), BBox((0, 0, 1, 2), CRS.WGS84), FeatureType.DATA, len, sorted, Options, plus(1),
    plus(2), lambda: 1, lambda: 2, partial(max, 1), partial(max, 2), np, looped(), "method".upper, "other".upper,
]  # fmt: skip


def test_different_values_have_different_fingerprints() -> None:
    found: dict[str, object] = {}
    for value in DIFFERENT:
        assert repr(found.setdefault(fingerprint(value), value)) == repr(value)
    assert len(found) == len(DIFFERENT)


def test_equal_values_have_equal_ones() -> None:
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint(Options("a", {"b": np.arange(3)})) == fingerprint(Options("a", {"b": np.arange(3)}))
    assert fingerprint(np.arange(6).reshape(2, 3).T) == fingerprint(np.ascontiguousarray(np.arange(6).reshape(2, 3).T))
    assert fingerprint(plus(1)) == fingerprint(plus(1))
    shared = [1, 2]
    assert fingerprint([shared, shared]) == fingerprint([[1, 2], [1, 2]])


def test_using_an_object_does_not_change_its_fingerprint() -> None:
    lazy = Lazy(3)
    before = fingerprint(lazy), settings_of_workflow(EOWorkflow([EONode(LazyTask(lazy))]))
    assert lazy.square == 9
    assert (fingerprint(lazy), settings_of_workflow(EOWorkflow([EONode(LazyTask(lazy))]))) == before
    assert fingerprint(Lazy(4)) != before[0]


def test_running_a_task_does_not_change_the_settings_of_its_workflow() -> None:
    """In threads the same task runs in this process: what it keeps there made a second run do all patches again."""
    node = EONode(KeepingTask())
    workflow = EOWorkflow([node])
    before = settings_of_workflow(workflow)
    assert "KeepingTask.location" in before
    workflow.execute({})
    assert settings_of_workflow(workflow) == before
    assert settings_of_workflow(EOWorkflow([EONode(UnpicklableTask())]))


def test_of_what_cannot_be_pickled_the_class_counts() -> None:
    assert fingerprint(Unpicklable(1)) == fingerprint(Unpicklable(1))
    assert fingerprint(threading.Lock()) != fingerprint(threading.Event())


@settings(max_examples=50, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
        max_leaves=12,
    )
)
def test_a_copy_has_the_same_fingerprint(value: object) -> None:
    import pickle

    assert fingerprint(pickle.loads(pickle.dumps(value))) == fingerprint(value)


def test_another_process_gives_the_same() -> None:
    values = "[{'b', 'a', 'c', 'd'}, {'x': 1.5, 'y': None}, len, __import__('pathlib').Path('a')]"
    script = f"from eotasks.workflows.batch.fingerprints import fingerprint; print(fingerprint({values}))"
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]), "PYTHONHASHSEED": "77",
    }  # fmt: skip
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], env=environment, capture_output=True, text=True, timeout=400
    )
    assert ended.stdout.strip() == fingerprint(eval(values)), ended.stderr  # our own text


def test_settings_have_dotted_keys_and_show_no_value() -> None:
    told = settings_of({"time": {"start": "2019-01-01", "end": "x"}, "secret": "hunter2", "empty": {}})
    assert sorted(told) == ["empty", "secret", "time.end", "time.start"]
    assert "hunter2" not in str(told)
    assert all(len(value) == 16 for value in told.values())


@pytest.mark.parametrize(
    ("change", "keys"),
    [
        ([AllocateTask(1), AllocateTask(2)], []),
        ([AllocateTask(5), AllocateTask(2)], ["AllocateTask.megabytes"]),
        ([AllocateTask(1), AllocateTask(9)], ["AllocateTask_2.megabytes"]),
        ([AllocateTask(1), PassOnTask()], ["AllocateTask_2", "AllocateTask_2.megabytes", "PassOnTask"]),
        ([AllocateTask(1)], ["AllocateTask_2", "AllocateTask_2.megabytes"]),
        ([CallTask(dict), AllocateTask(2)], ["AllocateTask_2", "AllocateTask_2.megabytes", "AllocateTask.megabytes"]),
    ],
)  # fmt: skip
def test_steps_of_a_workflow_are_told_apart(change: list[Any], keys: list[str]) -> None:
    def workflow(tasks: list[Any]) -> EOWorkflow:
        nodes: list[EONode] = []
        for task in tasks:
            nodes.append(EONode(task, inputs=nodes[-1:]))
        return EOWorkflow(nodes)

    before = settings_of_workflow(workflow([AllocateTask(1), AllocateTask(2)]))
    found = changed_keys(before, settings_of_workflow(workflow(change)))
    assert set(keys) <= set(found)
    assert bool(keys) == bool(found)


def test_any_function_and_any_path_has_a_fingerprint() -> None:
    def recursive(depth: int) -> int:
        return recursive(depth - 1) if depth else 0

    def early() -> object:
        return later

    before = fingerprint(early)
    later = 3
    assert before != fingerprint(early)
    assert later == 3
    assert fingerprint(recursive) == fingerprint(recursive)
    path = Path(os.fsdecode(b"/data/m\xfcnchen.tif"))
    assert fingerprint(path) != fingerprint(Path("/data/m?nchen.tif"))
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ConfigurationError, match="A list is nested too deeply"):
        fingerprint(deep)
    while deep:  # one by one: letting go of all at once would need as deep a stack
        deep = deep[0]
