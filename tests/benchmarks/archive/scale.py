"""An archive of a million products: plan, state, catalogue and status, with pixels left out.

    python -m tests.benchmarks.archive.scale [--count 10000 100000 1000000] [--folder PLACE]

The source is a catalogue of so many simulated items: ten years, 2,000 tiles, four of five L1C, the others their L2A
siblings. No product is there: workers are stubbed, and what they would leave, the item beside the masks, is made up.
All else runs as it is: planning, the look at what is done, the catalogue, its manifest, compaction, status. Of the
archive all but some thousand products are done before (their rows written as the builder writes them); of the rest a
builder makes a part and is killed (``_exit``) in the middle, and the same command goes on. Each phase is a process of
its own, whose CPU seconds (of it and its threads) and peak memory are told.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pystac
import shapely

from eotasks.catalogue import Catalogue
from eotasks.catalogue.fields import MADE_OF, PRODUCT_ASSET
from eotasks.catalogue.items import add_masks
from eotasks.catalogue.parts.folder import ROWS_OF_PART, PartsFolder
from eotasks.catalogue.parts.manifest import Manifest
from eotasks.catalogue.request import SearchRequest
from eotasks.catalogue.table import schema, table_of
from eotasks.sources.frames import Candidate
from eotasks.storage.place import Place
from eotasks.workflows.batch.manifest import ManifestWriter
from eotasks.workflows.batch.outcomes import PatchOutcome
from eotasks.workflows.batch.result import BatchResult
from eotasks.workflows.cloud_archive import build, cataloguing
from eotasks.workflows.cloud_archive.build import build_archive
from eotasks.workflows.cloud_archive.done import ArchiveState
from eotasks.workflows.cloud_archive.layout import catalogue_of_archive
from eotasks.workflows.cloud_archive.plan import Figures, plan_archive
from eotasks.workflows.cloud_archive.settings import ArchiveSettings
from eotasks.workflows.cloud_archive.source import SourceProduct
from eotasks.workflows.cloud_archive.whole.status import archive_status
from eotasks.workflows.cloud_archive.windows import source_windows
from eotasks.workflows.product_masks.options import CloudMaskOptions
from tests import ROOT
from tests.benchmarks.catalogue import make_searches, simulated_item

COUNTS = (10_000, 100_000, 1_000_000)
START = dt.datetime(2015, 7, 1, tzinfo=dt.UTC)
SECONDS = 3650 * 86_400
TILES = 2_000
SIBLING_OF = 5
"""Each so manieth item is the L2A sibling of the one before."""

LEFT = 8_000
"""Products that the archive does not have at first, at most; a tenth of all where that is less."""

FIGURES = Figures(seconds=1, core_seconds=1, bytes_read=26e6, bytes_written=5e5, requests=60)
OPTIONS = CloudMaskOptions(resolution=160)
LIMIT_MB, PLAN_SECONDS = 1_000, 300

_MADE_UP = ("source", "prepare")
"""Phases that make what is measured."""

PHASES = ("source", "plan", "prepare", "killed", "resumed", "again", "status", "search", "compact", "whole", "append")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, nargs="+", default=COUNTS, metavar="N", help="items of the source")
    parser.add_argument("--folder", help="where catalogues are put and kept; a temporary folder else")
    parser.add_argument(
        "--skip", nargs="+", choices=PHASES, default=(), help="leave these out, as where a folder has what they make"
    )
    parser.add_argument("--phase", choices=PHASES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.phase is not None:
        print(json.dumps(measured(arguments.phase, Path(arguments.folder), arguments.count[0])))
        return
    with tempfile.TemporaryDirectory() as temporary:
        for count in arguments.count:
            report(Path(arguments.folder or temporary) / str(count), count, skip=arguments.skip)


def report(folder: Path, count: int, *, skip: Collection[str] = ()) -> list[dict[str, Any]]:
    """Runs all phases but some, and prints a line of each."""
    folder.mkdir(parents=True, exist_ok=True)
    print(f"\n{count:,} items\n{'phase':<10}{'CPU s':>9}{'wall s':>9}{'peak MB':>9}  what", flush=True)
    results = []
    for phase in PHASES:
        if phase in skip:
            continue
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "tests.benchmarks.archive.scale", "--phase", phase]
        ended = subprocess.run(
            [*command, "--folder", str(folder), "--count", str(count)],
            env=environment, cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if phase == "killed":
            assert ended.returncode == os.EX_SOFTWARE, ended.stderr
            results.append(json.loads((folder / "killed.json").read_text()))
        else:
            assert ended.returncode == 0, ended.stderr
            results.append(json.loads(ended.stdout.splitlines()[-1]))
        one = results[-1]
        print(f"{phase:<10}{one['cpu']:>9.1f}{one['wall']:>9.1f}{one['peak_mb']:>9.0f}  {one['what']}", flush=True)
    over = [each["phase"] for each in results if each["peak_mb"] > LIMIT_MB and each["phase"] not in _MADE_UP]
    slow = [each["phase"] for each in results if each["phase"] == "plan" and each["wall"] > PLAN_SECONDS]
    print("within 1 GB, plan within 5 minutes" if not over + slow else f"OVER THE LIMITS: {', '.join(over + slow)}")
    return results


def measured(phase: str, folder: Path, count: int) -> dict[str, Any]:
    """Runs one phase here."""
    began = time.perf_counter()
    what = _PHASES[phase](folder, count)
    return _figures(phase, began, what)


def _figures(phase: str, began: float, what: str) -> dict[str, Any]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "phase": phase,
        "cpu": used.ru_utime + used.ru_stime,
        "wall": time.perf_counter() - began,
        "peak_mb": used.ru_maxrss / 1024,
        "what": what,
    }


def make_source(folder: Path, count: int) -> str:
    catalogue = _write_catalogue(folder / "source.parquet", count, lambda _: None)
    return f"{sum(file.stat().st_size for file in catalogue.iterdir()) / 1e6:,.0f} MB"


def plan(folder: Path, count: int) -> str:
    found = plan_archive(str(folder / "source.parquet"), OPTIONS, assume=FIGURES)
    assert found.products == products_of(count), (found.products, products_of(count))
    return f"{found.products:,} products, {found.source.paired:,} siblings"


def prepare(folder: Path, count: int) -> str:
    """The archive of a builder that has done all but the last."""
    place, settings = Place(folder / "archive"), ArchiveSettings.of(OPTIONS)
    settings.write(place)
    state = ArchiveState(place, settings, "L1C")
    done = count - left_of(count) * SIBLING_OF // (SIBLING_OF - 1)

    def made_of(index: int) -> str:
        candidate = Candidate(
            f"S2A_{index:09}", "", START.replace(tzinfo=None), "S2A", _tile(index), "05.10", level="L1C"
        )
        return state.made_of(SourceProduct(candidate, ""))

    def rows(indexes: np.ndarray[Any, Any]) -> list[str | None]:
        return [None if index % SIBLING_OF == SIBLING_OF - 1 else made_of(index) for index in indexes.tolist()]

    _write_catalogue(folder / "archive" / "catalogue.parquet", done, rows, total=count)
    return f"{done:,} rows"


def killed(folder: Path, count: int) -> str:
    """A builder that is gone in the middle, with a portion of the catalogue not yet written."""
    began = time.perf_counter()
    stub = _StubbedBatch(stop_after=left_of(count) * 2 // 5)

    def gone() -> None:
        figures = _figures("killed", began, f"{stub.asked:,} of the products were given to workers, then killed")
        (folder / "killed.json").write_text(json.dumps(figures))
        os._exit(os.EX_SOFTWARE)

    stub.gone = gone
    _build(folder, stub)
    raise AssertionError("it was to be killed")


def resumed(folder: Path, count: int) -> str:
    before = left_of(count) * 2 // 5 if (folder / "killed.json").exists() else 0
    stub = _StubbedBatch()
    result = _build(folder, stub)
    again = stub.asked - (left_of(count) - before)
    assert (result.failed, len(result.kept) + len(result.done)) == ({}, products_of(count))
    assert 0 <= again <= cataloguing.PORTION, again
    return (
        f"{len(result.kept):,} known by the catalogue, {stub.asked:,} given to workers, {again:,} of them made before"
    )


def again(folder: Path, count: int) -> str:
    stub = _StubbedBatch()
    result = _build(folder, stub)
    assert (stub.asked, len(result.kept)) == (0, products_of(count))
    return "nothing to do"


def status(folder: Path, count: int) -> str:
    found = archive_status(folder / "archive")
    assert found.catalogue is not None
    assert found.catalogue.items == count
    return f"{found.catalogue.items:,} items, {found.catalogue.masks:,} with masks"


def search(folder: Path, count: int) -> str:
    """Boxes of 10 km, half a year, at most 80 % cloud."""
    catalogue = Catalogue(folder / "archive" / "catalogue.parquet")
    queries = make_searches(200)
    for query in queries[:20]:
        catalogue.search(**query)
    wall, cpu = [], []
    for query in queries:
        began, used = time.perf_counter(), time.process_time()
        catalogue.search(**query)
        wall.append(1e3 * (time.perf_counter() - began))
        cpu.append(1e3 * (time.process_time() - used))
    names = ("p50", "p99")
    shown = {name: (np.percentile(wall, int(name[1:])), np.percentile(cpu, int(name[1:]))) for name in names}
    return "; ".join(f"{name} {both[0]:.0f} ms ({both[1]:.0f} of CPU)" for name, both in shown.items())


def append(folder: Path, count: int) -> str:
    """A day's products, in a process that knows nothing of the catalogue."""
    catalogue = Catalogue(folder / "source.parquet")
    table = rows_of(np.arange(300), lambda _: None, 10_000_000, prefix="day")
    before = {path.name for path in (folder / "source.parquet").glob("part-*")}
    from eotasks.catalogue.parts.writing import add_items

    began = time.perf_counter()
    update = add_items(PartsFolder(Place(catalogue.location)), table)
    seconds = time.perf_counter() - began
    new = [path for path in (folder / "source.parquet").glob("part-*") if path.name not in before]
    assert len(update.added) == table.num_rows
    written = sum(path.stat().st_size for path in new)
    return f"{len(update.added)} items in {seconds:.2f} s: {len(new)} new part of {written / 1e3:.0f} kB"


def compact(folder: Path, count: int) -> str:
    done = catalogue_of_archive(Place(folder / "archive")).compact()
    assert done.items == count
    return f"{done.before} parts are now {done.after}"


def whole(folder: Path, count: int) -> str:
    """Nothing is lost: each product has its masks in the catalogue, made of what the source has now."""
    place = Place(folder / "archive")
    state = ArchiveState(place, ArchiveSettings.of(OPTIONS), "L1C")
    kept = 0
    for window in source_windows(folder / "source.parquet", "L1C", SearchRequest()):
        looked = state.look(window)
        assert not looked.todo, looked.todo[:5]
        kept += len(looked.kept)
    assert kept == products_of(count)
    return f"{kept:,} products and their siblings are there"


_PHASES: Mapping[str, Callable[[Path, int], str]] = {
    "source": make_source, "plan": plan, "prepare": prepare, "killed": killed, "resumed": resumed, "again": again,
    "status": status, "search": search, "append": append, "compact": compact, "whole": whole,
}  # fmt: skip


def products_of(count: int) -> int:
    """Products to mask among so many items."""
    return count - count // SIBLING_OF


def left_of(count: int) -> int:
    """Products that the archive does not have at first."""
    return min(LEFT, products_of(count) // 10) // 4 * 4


class _StubbedBatch:
    """In the place of `run_batch`: each product is done at once, and the manifest says so.

    :param stop_after: Products after which `gone` is called.
    """

    def __init__(self, stop_after: int | None = None) -> None:
        self.asked = 0
        self.gone: Callable[[], None] = lambda: None
        self._stop_after = stop_after

    def __call__(
        self, _: Any, patches: Mapping[str, Any], *, place: Place, stage: str, on_progress: Any, **options: Any
    ) -> BatchResult:
        writer, outcomes = ManifestWriter(place, stage), []
        writer.batch(patches=len(patches), settings=options["configuration"], asked=True, sequence=1)
        for name in patches:
            outcome = PatchOutcome(name, "done", seconds_by_step={"masks": 1.0})
            writer.running(name, 1)
            writer.outcome(outcome, fingerprint="0" * 16)
            outcomes.append(outcome)
            self.asked += 1
            on_progress(outcome)
            if self.asked == self._stop_after:
                self.gone()
        writer.end("complete")
        return BatchResult(stage, outcomes, 1.0, 1, 1)


def _build(folder: Path, stub: _StubbedBatch) -> build.BuildResult:
    def row_of(place: Place, name: str, where: str) -> tuple[pystac.Item, dict[str, str]]:
        row = simulated_item(int(name[4:]), name=name, time=_time(int(name[4:]), _TOTAL[0]), tile=_tile(int(name[4:])))
        masks = {kind: f"{place}/{where}/{name}_{kind}.tif" for kind in ("CLP", "CLM")}
        add_masks(row, masks)
        return row, masks

    _TOTAL[0] = int(folder.name)
    build.run_batch, cataloguing.row_of = stub, row_of  # type: ignore[assignment]
    return build_archive(str(folder / "source.parquet"), folder / "archive", OPTIONS)


_TOTAL = [0]


def _write_catalogue(
    location: Path, count: int, made_of: Callable[[np.ndarray[Any, Any]], Any], *, total: int | None = None
) -> Path:
    """A catalogue in parts of simulated items, as additions in order of time and a compaction leave it."""
    folder = PartsFolder(Place(location))
    parts = []
    for start in range(0, count, ROWS_OF_PART):
        indexes = np.arange(start, min(start + ROWS_OF_PART, count))
        parts.append(folder.write(rows_of(indexes, made_of, total or count), None))
    assert folder.exchange(Manifest(tuple(parts), (), 1), None)
    return location


def rows_of(
    indexes: np.ndarray[Any, Any], made_of: Callable[[np.ndarray[Any, Any]], Any], total: int, *, prefix: str = "S2A"
) -> pa.Table:
    """Simulated items as rows: one item, with what differs put into it.

    :param made_of: What their masks were made of, which have masks then; None for rows without.
    """
    made = made_of(indexes)
    item = simulated_item(0, name="S2A_", time=START, tile="33UUU")
    if made is not None:
        add_masks(item, {"CLP": "x", "CLM": "x"})
    table = table_of([item]).take(pa.array(np.zeros(len(indexes), np.int64)))
    names = [f"{prefix}_{index:09}" for index in indexes]
    sibling = indexes % SIBLING_OF == SIBLING_OF - 1
    own = indexes - sibling
    tile = own % TILES
    west, south = -20 + tile % 60 * 1.0, 35 + tile // 60 % 30 * 1.0
    boxes = shapely.box(west, south, west + 1.4, south + 1.0)
    moments = (own * (SECONDS * 1_000_000 // total)).astype("timedelta64[us]") + np.datetime64(
        START.replace(tzinfo=None), "us"
    )
    masked = [own[place] for place in range(len(own))]
    assets = table.column("assets").combine_chunks()
    keys = [field.name for field in assets.type]
    hrefs = {PRODUCT_ASSET: [f"s3://archive/{name}.SAFE" for name in names]}
    if made is not None:
        for kind in ("CLP", "CLM"):
            hrefs[kind] = [f"/masks/{index:09}_{kind}.tif" for index in masked]
    changed = [_with_href(assets.field(key), hrefs[key]) if key in hrefs else assets.field(key) for key in keys]
    columns: dict[str, Any] = {
        "id": names, "datetime": pa.array(moments, pa.timestamp("us", tz="UTC")),
        "geometry": pa.array(shapely.to_wkb(boxes), pa.binary()),
        "bbox": pa.StructArray.from_arrays(
            [pa.array(each) for each in (west, south, west + 1.4, south + 1.0)], ["xmin", "ymin", "xmax", "ymax"]
        ),
        "grid:code": [f"MGRS-{_tile(index)}" for index in own],
        "eo:cloud_cover": pa.array((own * 37 % 100).astype(float)),
        "processing:level": np.where(sibling, "L2A", "L1C").tolist(),
        "s2:product_uri": pa.nulls(len(names), pa.string()),
        "assets": pa.StructArray.from_arrays(changed, keys),
        MADE_OF: pa.array(made if made is not None else [None] * len(names), pa.string()),
    }  # fmt: skip
    for key, values in columns.items():
        table = table.set_column(table.column_names.index(key), key, [values])
    return table.select(schema().names).cast(schema())


def _with_href(asset: pa.StructArray, hrefs: list[str]) -> pa.StructArray:
    names = [field.name for field in asset.type]
    return pa.StructArray.from_arrays([pa.array(hrefs) if key == "href" else asset.field(key) for key in names], names)


def _tile(index: int) -> str:
    number = index % TILES
    letters = "ABCDEFGHJKLMNPQRSTUV"
    return f"{1 + number % 60:02}U{letters[number // 60 % 20]}{letters[number // 1200 % 20]}"


def _time(index: int, total: int) -> dt.datetime:
    return START + dt.timedelta(microseconds=index * (SECONDS * 1_000_000 // total))


if __name__ == "__main__":
    main()
