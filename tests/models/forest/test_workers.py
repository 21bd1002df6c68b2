"""The forest in copies, threads and worker processes: the values do not depend on who asks."""

from __future__ import annotations

import copy
import functools
import multiprocessing
import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from eotasks.models.forest import Forest
from tests.models.forest.oracle import assert_same_bits, edge_rows, model_text, random_tree


@functools.cache
def text(outputs: int = 1) -> str:
    generator = np.random.default_rng(21)
    choices = [list(generator.normal(size=40)) for _ in range(5)]
    trees = [random_tree(generator, 120, choices, [0, 2, 4, 10]) for _ in range(6 * outputs)]
    objective = "binary sigmoid:1" if outputs == 1 else f"multiclass num_class:{outputs}"
    return model_text(trees, features=5, outputs=outputs, objective=objective)


@functools.cache
def rows() -> NDArray[np.float64]:
    return np.asarray(edge_rows(text(), 9001, seed=3))


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickled_forest_is_the_same(outputs: int, protocol: int) -> None:
    forest = Forest.from_text(text(outputs))
    expected = forest.predict(rows())
    for other in (pickle.loads(pickle.dumps(forest, protocol)), copy.copy(forest), copy.deepcopy(forest)):
        assert_same_bits(other.predict(rows()), expected)
        assert (other.n_features, other.n_outputs) == (5, outputs)
        assert other.feature_names == forest.feature_names


@pytest.mark.parametrize("outputs", [1, 3])
def test_its_own_bytes_are_the_same_forest_and_the_same_bytes(outputs: int) -> None:
    forest = Forest.from_text(text(outputs))
    blob = forest.to_bytes()
    other = Forest.from_bytes(blob)
    assert_same_bits(other.predict(rows()), forest.predict(rows()))
    assert_same_bits(other.predict(rows(), raw_score=True), forest.predict(rows(), raw_score=True))
    assert other.to_bytes() == blob == Forest.from_text(text(outputs)).to_bytes()
    assert other.feature_names == forest.feature_names


@pytest.mark.parametrize("threads", [1, 2, 3, 16])
@pytest.mark.parametrize("count", [1, 2, 500, 9001])
def test_threads_do_not_change_values(threads: int, count: int) -> None:
    forest = Forest.from_text(text())
    expected = np.concatenate([forest.predict(row[np.newaxis], threads=1) for row in rows()[:count:97]])
    assert_same_bits(forest.predict(rows()[:count], threads=threads)[::97], expected)


def test_calls_of_several_threads_at_once() -> None:
    forest = Forest.from_text(text(3))
    parts = np.array_split(rows(), 12)
    expected = forest.predict(rows(), threads=1)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(functools.partial(forest.predict, threads=2), parts))
    assert_same_bits(np.concatenate(found), expected)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_worker_processes(method: str) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    forest = Forest.from_text(text())
    expected = forest.predict(rows(), threads=2)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as pool:
        # A method of ours: a function of this module would have each worker load LightGBM too.
        found = [pool.submit(forest.predict, rows(), threads=threads) for threads in (1, 2)]
    for values in found:
        assert_same_bits(values.result(timeout=400), expected)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
def test_a_pool_forked_after_the_forest_was_used(tmp_path: Path) -> None:
    """The project never forks, its users may: threads of the parent are gone in the child, and nothing waits for them.

    In a process of its own, so that a hang ends with it and Python's warning about fork and threads stays there.
    """
    (tmp_path / "model.txt").write_text(text(), encoding="utf-8")
    np.save(tmp_path / "rows.npy", rows())
    code = (
        "import multiprocessing, sys, numpy as np\n"
        "from eotasks.models.forest import Forest\n"
        "folder = sys.argv[1]\n"
        "forest = Forest.load(folder + '/model.txt')\n"
        "rows = np.load(folder + '/rows.npy')\n"
        "expected = forest.predict(rows, threads=3)\n"
        "def again(threads):\n"
        "    return np.array_equal(forest.predict(rows, threads=threads), expected)\n"
        "with multiprocessing.get_context('fork').Pool(2) as pool:\n"
        "    print(pool.map_async(again, [1, 2, 3, 2]).get(timeout=400))\n"
        "print(again(3))\n"
    )
    command = [sys.executable, "-W", "ignore", "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert done.stdout.split("\n")[:2] == ["[True, True, True, True]", "True"], done.stderr
