"""A process that measures the multi-temporal cloud model against its original, or what a long series costs."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import sys
import time
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from eolearn.core import EOPatch, FeatureType
from numpy.typing import NDArray
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

from eotasks.clouds.temporal import AddMultiTemporalCloudProbabilityTask
from eotasks.workflows.batch.workers.memory import MEGABYTE, ResettablePeak, SampledPeak
from tests.benchmarks.forest.data import EO_LEARN_MASK, temporal_series

PEER = "eo_learn_mask_1_4_2"
BANDS, IS_DATA = (FeatureType.DATA, "BANDS"), (FeatureType.MASK, "IS_DATA")
CLP, CLP_MULTI = (FeatureType.DATA, "CLP"), (FeatureType.DATA, "CLP_MULTI")
CLM_INTERSSIM = (FeatureType.MASK, "CLM_INTERSSIM")
RESULTS = (CLP, CLP_MULTI, CLM_INTERSSIM)


@dataclass(frozen=True)
class Case:
    """One row: a resolution, and the radii that go with it."""

    name: str
    resolution: float | None
    average_over: int
    dilation_size: int


CASES = (
    Case("pixels of 10 m", None, 4, 2),
    Case("resolution 20 m", 20, 4, 2),
    Case("resolution 120 m", 120, 16, 8),
)


@dataclass
class Measured:
    """What came of a row."""

    input: str
    seconds: dict[str, list[float]]
    """Of ours and theirs, a number a repeat; one directly follows the other."""

    differences: dict[str, float] = field(default_factory=dict)
    """Of each result, the largest absolute difference."""

    cpu_seconds: dict[str, list[float]] = field(default_factory=dict)
    """As ``seconds``, of CPU time, which hardly knows what else runs on the machine."""


@dataclass(frozen=True)
class Long:
    """What a long series cost."""

    seconds: float
    peak_mb: float
    """Of the whole process, input and output included."""

    input_mb: float
    output_mb: float
    before_mb: float
    """Of the process with its input, before the call."""


def measure(case: Case, repeats: int, threads: int, frames: int | None, side: int | None) -> Measured:
    """One row of the table."""
    patch, words = _patch(frames, side)
    calls: dict[str, Callable[[EOPatch], EOPatch]] = {"ours": _ours(case, threads).execute, "theirs": _theirs(case)}
    first = {name: _called(calls[name], patch) for name in calls}  # compiles, loads the models
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    cpu_seconds: dict[str, list[float]] = {name: [] for name in calls}
    for repeat in range(repeats):
        for name in list(calls)[:: 1 - 2 * (repeat % 2)]:
            start, used = time.perf_counter(), time.process_time()
            _called(calls[name], patch)
            cpu_seconds[name].append(time.process_time() - used)
            seconds[name].append(time.perf_counter() - start)
    differences = {
        feature[1]: float(np.abs(first["ours"][feature].astype(float) - first["theirs"][feature]).max(initial=0))
        for feature in RESULTS
    }
    return Measured(words, seconds, differences, cpu_seconds)


def measure_long(frames: int, side: int, threads: int) -> Long:
    """Ours alone on a long series of 13 bands, float32, made by repeating the real one."""
    patch, _ = _patch(None, None)
    bands = np.empty((frames, side, side, 13), dtype=np.float32)
    is_data = np.empty((frames, side, side, 1), dtype=bool)
    for index in range(frames):
        source = index % len(patch[BANDS])
        bands[index][..., [0, 1, 3, 4, 7, 8, 9, 10, 11, 12]] = _repeated(patch[BANDS][source], side)
        bands[index][..., [2, 5, 6]] = 0
        is_data[index] = _repeated(patch[IS_DATA][source], side)
    long = _patch_of(bands, is_data, 10.0)
    task = _ours(CASES[0], threads)
    task.execute(patch)
    monitor = ResettablePeak() if ResettablePeak.available() else SampledPeak()
    monitor.start()
    before = monitor.stop()
    monitor.start()
    start = time.perf_counter()
    task.execute(long)
    seconds, peak = time.perf_counter() - start, monitor.stop()
    results = sum(long[feature].nbytes for feature in RESULTS)
    return Long(seconds, peak, (bands.nbytes + is_data.nbytes) / MEGABYTE, results / MEGABYTE, before)


def _repeated(image: NDArray[Any], side: int) -> NDArray[Any]:
    """An image mirrored until it fills a square."""
    height, width = image.shape[:2]
    margins = ((0, max(0, side - height)), (0, max(0, side - width)), (0, 0))
    return np.pad(image, margins, mode="symmetric")[:side, :side]


def _patch(frames: int | None, side: int | None) -> tuple[EOPatch, str]:
    series = temporal_series()
    bands, valid = series.bands[:frames, :side, :side], series.valid[:frames, :side, :side]
    words = f"{series.origin}, {len(bands)} frames of {bands.shape[1]} x {bands.shape[2]}"
    return _patch_of(bands, valid[..., np.newaxis], 100 / series.sigma), words


def _patch_of(bands: NDArray[Any], is_data: NDArray[Any], metres: float) -> EOPatch:
    count, height, width = bands.shape[:3]
    bbox = BBox((465_180, 5_079_240, 465_180 + width * metres, 5_079_240 + height * metres), CRS.UTM_33N)
    start = dt.datetime.fromisoformat("2017-01-01T10:00:00")
    times = [start + dt.timedelta(days=5 * index) for index in range(count)]
    return EOPatch(bbox=bbox, timestamps=times, data={"BANDS": bands}, mask={"IS_DATA": is_data})


def _ours(case: Case, threads: int) -> AddMultiTemporalCloudProbabilityTask:
    return AddMultiTemporalCloudProbabilityTask(
        BANDS,
        CLP_MULTI,
        mask_feature=CLM_INTERSSIM,
        mono_probability_feature=CLP,
        is_data_feature=IS_DATA,
        resolution=case.resolution,
        average_over=case.average_over,
        dilation_size=case.dilation_size,
        boolean=True,
        threads=threads,
    )


def _theirs(case: Case) -> Callable[[EOPatch], EOPatch]:
    """The task of the wheel. Its threads are those of the environment."""
    from lightgbm import Booster

    module = _module()
    names = (module.CloudMaskTask.MONO_CLASSIFIER_NAME, module.CloudMaskTask.MULTI_CLASSIFIER_NAME)
    texts = EO_LEARN_MASK.read(*(f"eolearn/mask/models/{name}" for name in names))
    with contextlib.redirect_stdout(io.StringIO()):  # warnings about its training parameters
        mono, multi = (Booster(model_str=text.decode("utf-8")) for text in texts)
    task: Callable[[EOPatch], EOPatch] = module.CloudMaskTask(
        data_feature=BANDS,
        is_data_feature=IS_DATA,
        all_bands=False,
        processing_resolution=case.resolution,
        mono_features=(CLP[1], None),
        multi_features=(CLP_MULTI[1], None),
        mask_feature=CLM_INTERSSIM,
        average_over=case.average_over,
        dilation_size=case.dilation_size,
        mono_classifier=mono,
        multi_classifier=multi,
    ).execute
    return task


def _module() -> Any:
    """The original's module out of the wheel, whose checksum is pinned, without its package: that needs more."""
    package = types.ModuleType(PEER)
    package.__path__ = []
    sys.modules[PEER] = package
    sources = EO_LEARN_MASK.read("eolearn/mask/utils.py", "eolearn/mask/cloud_mask.py")
    for name, source in zip(("utils", "cloud_mask"), sources, strict=True):
        module = types.ModuleType(f"{PEER}.{name}")
        module.__package__, module.__file__ = PEER, f"{name}.py"
        sys.modules[module.__name__] = module
        exec(compile(source, f"{PEER}/{name}.py", "exec", dont_inherit=True), module.__dict__)
    return sys.modules[f"{PEER}.cloud_mask"]


def _called(call: Callable[[EOPatch], EOPatch], patch: EOPatch) -> EOPatch:
    return call(patch.copy())
