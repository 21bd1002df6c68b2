"""What checks of hostile input cost honest input: this checkout and another one in turns, as ratios.

Run it with ``python -m tests.benchmarks.overhead --other CHECKOUT`` from a checkout, where CHECKOUT is that of an older
commit (``git worktree add ../before COMMIT``). Every measurement has a process of its own, of which the seconds of the
case alone count, without imports; both sides take turns, and the ratio is that of the medians. Look at the ratios:
times of a shared machine mean little by themselves.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

REPEATS = 9
ITEMS = 5_000
PATCH, PRODUCT, CATALOGUE = "patches", "product", "products.parquet"
PLAIN = "plain"


def build(folder: Path) -> None:
    """What the cases read: a product, a patch of 500 x 500 pixels, a catalogue. Written by this checkout."""
    import numpy as np

    from eotasks.catalogue import Catalogue
    from tests.builders.eopatches import BANDS, LULC, make_eopatch
    from tests.builders.layouts import small_safe, stac_item
    from tests.builders.stac_items import footprint, make_item

    product = small_safe(folder / PRODUCT)
    (folder / "item.json").write_text(json.dumps(_with_offsets(stac_item(product, folder))))
    eopatch = make_eopatch(every_kind=True)
    eopatch[BANDS] = np.random.default_rng(0).random((2, 500, 500, 3), dtype=np.float32)
    eopatch[LULC] = np.zeros((500, 500, 1), np.uint8)
    eopatch.save(str(folder / PATCH / PLAIN))
    Catalogue(folder / CATALOGUE).add(
        make_item(f"S2A_{number}", footprint(number % 100, 40 + number // 100 % 40)) for number in range(ITEMS)
    )


def _with_offsets(item: dict[str, object]) -> dict[str, object]:
    assets = item["assets"]
    assert isinstance(assets, dict)
    for asset in assets.values():
        asset["raster:bands"] = [{"scale": 0.0001, "offset": -0.1}]
    return item


def _cloud_mask(folder: Path) -> Callable[[], object]:
    from eotasks.workflows.cli import main

    product = next((folder / PRODUCT).glob("*.SAFE"))
    out = folder / f"out-{os.getpid()}"

    def run() -> None:
        status = main(["cloud-mask", str(product), "--out", str(out), "--overwrite"])
        if status:
            raise SystemExit(f"cloud-mask ended with {status}")
        shutil.rmtree(out)

    return run


def _product(folder: Path) -> Callable[[], object]:
    from eotasks.catalogue.items import item_of
    from eotasks.imagery.scene import open_scene

    product = next((folder / PRODUCT).glob("*.SAFE"))
    return lambda: item_of(open_scene(product))


def _item(folder: Path) -> Callable[[], object]:
    from eotasks.imagery.scene import open_scene

    return lambda: open_scene(folder / "item.json")


def _plain_patch(folder: Path) -> Callable[[], object]:
    from eotasks.eopatches.load import load_eopatch
    from eotasks.storage.place import Place

    place = Place(folder / PATCH)
    return lambda: load_eopatch(place, PLAIN)


def _saved_patch(folder: Path) -> Callable[[], object]:
    """Each checkout loads what it has saved itself: older ones do not read the marker of newer ones."""
    from eotasks.eopatches.load import load_eopatch
    from eotasks.eopatches.save import save_eopatch
    from eotasks.storage.place import Place

    place = Place(folder / f"saved-{os.getpid()}")
    save_eopatch(place, "saved", load_eopatch(Place(folder / PATCH), PLAIN))
    return lambda: load_eopatch(place, "saved")


def _search(folder: Path) -> Callable[[], object]:
    from eotasks.catalogue import Catalogue

    catalogue = Catalogue(folder / CATALOGUE)
    return lambda: catalogue.search(bbox=(10, 45, 12, 47), max_cloud_cover=0.5)


CASES: dict[str, tuple[Callable[[Path], Callable[[], object]], int]] = {
    "cloud-mask": (_cloud_mask, 3),
    "describe a product": (_product, 20),
    "describe an item": (_item, 200),
    "load a saved patch": (_saved_patch, 10),
    "load a plain patch": (_plain_patch, 10),
    "search a catalogue": (_search, 20),
}
"""What makes a case ready, and how often it runs in a process after one run to warm up."""


def measure(case: str, folder: Path) -> float:
    """Seconds of a run, the least of a process."""
    prepare, runs = CASES[case]
    run = prepare(folder)
    run()
    seconds = []
    for _ in range(runs):
        began = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def in_process(checkout: Path, case: str, folder: Path) -> float:
    """The same in a process that imports eotasks and the builders from a checkout."""
    command = [sys.executable, "-P", str(Path(__file__).resolve()), "--measure", case, "--folder", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{case} in {checkout} failed:\n{done.stderr}")
    return float(done.stdout.split()[-1])


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--other", type=Path, help="checkout to compare with")
    parser.add_argument("--repeats", type=int, default=REPEATS, help=f"processes of each side ({REPEATS})")
    parser.add_argument("--cases", nargs="+", choices=[*CASES], default=[*CASES], metavar="CASE")
    parser.add_argument("--measure", choices=[*CASES], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(measure(arguments.measure, arguments.folder))
        return
    if arguments.other is None:
        parser.error("--other CHECKOUT is needed")
    here, other = Path(__file__).resolve().parents[2], arguments.other.resolve()
    with tempfile.TemporaryDirectory(prefix="eotasks-overhead-") as name:
        build(Path(name))
        print("| case | this, ms | other, ms | ratio |\n| --- | --- | --- | --- |")
        for case in arguments.cases:
            pairs = [[in_process(side, case, Path(name)) for side in (here, other)] for _ in range(arguments.repeats)]
            mine, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
            print(f"| {case} | {mine * 1000:.2f} | {theirs * 1000:.2f} | {mine / theirs:.3f} |", flush=True)


if __name__ == "__main__":
    main()
