"""What is measured: each side on one stack, and its memory in a process of its own."""

from __future__ import annotations

import gc
import statistics
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import dask
import dask.array
import numpy as np
import xarray
from eolearn.core import EOPatch, FeatureType
from numpy.typing import NDArray

from eotasks.clouds.masks import AddCloudMaskTask
from eotasks.clouds.probability import AddCloudProbabilityTask
from eotasks.models.sentinel2 import BANDS
from eotasks.sources.sample import SAMPLE_BBOX, SAMPLE_TIME, LoadSampleTask
from eotasks.xarray import cloud_mask

LAYOUTS = ("bands last", "bands first", "bands as variables")


@dataclass(frozen=True)
class Row:
    """One layout."""

    layout: str
    eager: list[float]
    lazy: list[float]
    different: int
    """Pixels."""

    eager_cpu: list[float] = field(default_factory=list)
    lazy_cpu: list[float] = field(default_factory=list)
    """Seconds of all threads of this process, which other processes hardly change."""

    @property
    def ratio(self) -> float:
        """Lazy over eager, the median of neighbouring calls."""
        return statistics.median(one / other for one, other in zip(self.lazy, self.eager, strict=True))

    @property
    def cpu_ratio(self) -> float:
        """The same of CPU seconds."""
        return statistics.median(one / other for one, other in zip(self.lazy_cpu, self.eager_cpu, strict=True))


def stack(frames: int, side: int) -> NDArray[np.uint16]:
    """Digital numbers (frames, side, side, 13): the embedded scene, each frame another part of its tiling."""
    patch = LoadSampleTask(resolution=10).execute(bbox=SAMPLE_BBOX)
    scene = np.round(patch[FeatureType.DATA, "BANDS"][0] * 10_000).astype(np.uint16)
    result = np.empty((frames, side, side, len(BANDS)), dtype=np.uint16)
    for index in range(frames):
        rows, columns = (np.arange(side) + 97 * index, np.arange(side) + 151 * index)
        result[index] = np.take(np.take(scene, rows, axis=0, mode="wrap"), columns, axis=1, mode="wrap")
    return result


def measure(values: NDArray[np.uint16], layout: str, chunk: int, repeats: int, threads: int) -> Row:
    """Both sides in turns, after a call of each that is not counted."""
    data = laid_out(values, layout, chunk)
    row = Row(layout, [], [], 0)
    masks: dict[str, Any] = {}
    for turn in range(repeats + 1):
        for name, seconds, cpu_seconds, work in (
            ("eager", row.eager, row.eager_cpu, eager),
            ("lazy", row.lazy, row.lazy_cpu, lazy),
        ):
            began, cpu_began = time.perf_counter(), time.process_time()
            masks[name] = work(values if name == "eager" else data, threads)
            if turn:
                seconds.append(time.perf_counter() - began)
                cpu_seconds.append(time.process_time() - cpu_began)
    return replace(row, different=int(np.count_nonzero(masks["eager"] != masks["lazy"])))


def laid_out(values: NDArray[np.uint16], layout: str, chunk: int) -> Any:
    """The stack as a lazy array or dataset."""
    if layout == "bands last":
        lazy = dask.array.from_array(values, chunks=(1, chunk, chunk, -1))
        return xarray.DataArray(lazy, dims=("time", "y", "x", "band"))
    first = np.ascontiguousarray(np.moveaxis(values, -1, 1))
    array = xarray.DataArray(
        dask.array.from_array(first, chunks=(1, 1, chunk, chunk)), {"band": list(BANDS)}, ("time", "band", "y", "x")
    )
    return array if layout == "bands first" else array.to_dataset("band")


def eager(values: NDArray[np.uint16], threads: int) -> NDArray[np.uint8]:
    patch = EOPatch(bbox=SAMPLE_BBOX, data={"BANDS": values}, timestamps=[SAMPLE_TIME] * len(values))
    patch = AddCloudMaskTask().execute(AddCloudProbabilityTask(threads=threads).execute(patch))
    mask: NDArray[np.uint8] = patch.mask["CLM"][..., 0]
    return mask


def lazy(data: Any, threads: int) -> NDArray[np.uint8]:
    with dask.config.set(scheduler="threads", num_workers=threads):
        mask: NDArray[np.uint8] = cloud_mask(data).values
    return mask


def memory(layout: str | None, frames: int, side: int, chunk: int, threads: int) -> float:
    """Megabytes at most beyond what the process holds after a stack of one chunk.

    :param layout: Of the lazy stack; None for the eager tasks.
    """
    tile = stack(1, chunk)[0]
    if layout is None:
        eager(tile[np.newaxis], threads)
        before = _fresh_peak()
        repeats = -(-side // chunk)
        eager(np.tile(tile[np.newaxis], (frames, repeats, repeats, 1))[:, :side, :side], threads)
    else:
        _drop(layout, tile, 1, chunk, chunk, threads)
        before = _fresh_peak()
        _drop(layout, tile, frames, side, chunk, threads)
    return _status("VmHWM") - before


def _drop(layout: str, tile: NDArray[np.uint16], frames: int, side: int, chunk: int, threads: int) -> None:
    mask = cloud_mask(made_when_asked(layout, tile, frames, side, chunk)).data
    with dask.config.set(scheduler="threads", num_workers=threads):
        mask.map_blocks(lambda each: each[:, :1, :1], chunks=(1, 1, 1), dtype=np.uint8).compute()


def made_when_asked(layout: str, tile: NDArray[np.uint16], frames: int, side: int, chunk: int) -> Any:
    """A stack of one tile again and again, of which every chunk is a copy that is made when it is read."""
    if layout == "bands last":
        last = _copies(tile, frames, side, chunk)
        return xarray.DataArray(last, dims=("time", "y", "x", "band"))
    variables = {
        band: xarray.DataArray(
            _copies(np.ascontiguousarray(tile[..., index : index + 1]), frames, side, chunk)[..., 0],
            dims=("time", "y", "x"),
        )
        for index, band in enumerate(BANDS)
    }
    dataset = xarray.Dataset(variables)
    return dataset if layout == "bands as variables" else dataset.to_array("band")


def _copies(tile: NDArray[np.uint16], frames: int, side: int, chunk: int) -> Any:
    places = dask.array.zeros((frames, side, side, 1), chunks=(1, chunk, chunk, 1), dtype=np.uint8)
    return dask.array.map_blocks(
        lambda block: tile[: block.shape[1], : block.shape[2]][np.newaxis].copy(),
        places,
        dtype=np.uint16,
        chunks=(*places.chunks[:3], (tile.shape[-1],)),
    )


def _fresh_peak() -> float:
    """What is held now; the highest that was held is forgotten (Linux)."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) / 1024
