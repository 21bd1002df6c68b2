"""No code of strangers runs: every reader is fed files that try to, in one process that hears of each attempt."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ROOT

PACKAGE = ROOT / "eotasks"

MODULES = frozenset(
    {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "torch", "yaml", "runpy", "code", "ctypes",
     "subprocess", "importlib", "pkg_resources", "pty"}
)  # fmt: skip
CALLS = frozenset({"eval", "exec", "compile", "__import__"})
ATTRIBUTES = frozenset(
    {"system", "popen", "execv", "execve", "execvp", "spawnv", "posix_spawn", "read_pickle", "open_fs", "Booster",
     "entry_points", "register_pickle_by_value"}
)  # fmt: skip
_EXCHANGE = "what a driver and its own workers say to each other, by pipes or Ray's own channels; never a file"

ALLOWED: dict[tuple[str, str], str] = {
    **{
        (f"workflows/batch/{name}.py", "pickle"): _EXCHANGE
        for name in (
            "ray/actor", "workers/pool", "workers/loop", "workers/pickling", "workers/job",
        )
    },
    ("workflows/batch/ray/executor.py", "register_pickle_by_value"): _EXCHANGE,
    ("extras.py", "importlib"): "packages of the extras, by names of ours",
    ("models/clouds/networks/omnicloudmask.py", "torch"): "how many threads it takes; installed by the user",
    ("workflows/cli.py", "importlib"): "modules of commands, by names of ours",
    ("workflows/cloud_mask/run.py", "importlib"): "a module of ours",
    ("workflows/water_level/sources/registry.py", "importlib"): "modules of sources, by names of ours",
    ("workflows/zonal_stats/pieces.py", "np.load"): "no pickles, and no more bytes than the file has",
    ("clouds/detectors/registry.py", "entry_points"): "detectors of packages that the user has installed",
    ("models/forest/lightgbm_model.py", "Booster"): "of a text that is written there, of checked numbers",
    ("imagery/files/signing.py", "importlib"): "the packages planetary_computer and pystac",
    ("s2cloudless/pixel_classifier.py", "Booster"): "of a text that is written here, of checked numbers",
    ("workflows/doctor/looks.py", "system"): "platform.system",
    ("service/evalscript/context.py", "importlib"): "JavaScript of ours, which lies in the package",
    ("service/evalscript/workers/process.py", "subprocess"): "workers: this interpreter, a program of ours",
    ("workflows/compare_mask_sources/processes.py", "subprocess"): "this interpreter, programs of ours",
    ("allocator.py", "ctypes"): "mallopt and malloc_trim of the C library that runs already",
    ("service/evalscript/workers/sandbox.py", "ctypes"): "prctl of the C library that runs already",
    ("storage/exchange.py", "ctypes"): "renameat2 of the C library that runs already",
}  # fmt: skip
"""What may be there, and why. A line that is not needed any more is a fault, too."""


def dangerous(root: Path) -> Iterator[tuple[str, str]]:
    """What of a package can run code that is not its own: its module and the name of what does it."""
    for path in sorted(root.rglob("*.py")):
        where = path.relative_to(root).as_posix()
        for node in ast.walk(ast.parse(path.read_text())):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names if alias.name in MODULES]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module] if node.module in MODULES else []
                names += [alias.name for alias in node.names if alias.name in ATTRIBUTES]
            elif isinstance(node, ast.Call):
                if isinstance(node.func, ast.Name) and node.func.id in CALLS:
                    names = [node.func.id]
                for keyword in node.keywords:
                    on = not (isinstance(keyword.value, ast.Constant) and keyword.value.value is False)
                    if keyword.arg in ("allow_pickle", "shell") and on:
                        names.append(keyword.arg)
            elif isinstance(node, ast.Attribute):
                owner = node.value.id if isinstance(node.value, ast.Name) else ""
                names = [node.attr] if node.attr in ATTRIBUTES else []
                names += ["np.load"] if (owner, node.attr) in (("np", "load"), ("numpy", "load")) else []
            yield from ((where, name) for name in names)


def test_no_module_can_run_code_of_others_but_for_a_reason() -> None:
    assert set(dangerous(PACKAGE)) == set(ALLOWED)


def test_sees_what_it_forbids(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(
        "import pickle\nfrom os import system\nfrom lightgbm import Booster\nnp.load(x, allow_pickle=True)\n"
        "eval('1')\nos.popen('ls')\nrun(shell=True)\nok(allow_pickle=False)\n"
    )
    names = {name for _, name in dangerous(tmp_path)}
    assert names == {"pickle", "system", "Booster", "np.load", "allow_pickle", "eval", "popen", "shell"}


TRIALS = r"""
import gzip, io, json, os, pickle, platform, shutil, sys, warnings, zipfile
from pathlib import Path
warnings.simplefilter("ignore")
import logging
logging.disable(logging.CRITICAL)
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from eotasks.catalogue import Catalogue
from eotasks.catalogue.discovery import find_products
from eotasks.eopatches.files import write_folder
from eotasks.eopatches.load import LoadSavedEOPatchTask, eopatch_info, load_eopatch
from eotasks.eopatches.marker import Marker
from eotasks.errors import EOTasksError
from eotasks.imagery.elevation import ElevationFile
from eotasks.imagery.scene import open_scene
from eotasks.models.forest import Forest
from eotasks.models.landcover.model import load_model
from eotasks.sources.eopatches import LoadEOPatchTask
from eotasks.storage.place import Place
from eotasks.reference.cloud_labels.registry import find_label_set
from eotasks.service.auth.clients import read_clients, signing_key
from eotasks.water import read_outlines
from eotasks.workflows import cli
from eotasks.workflows.cloud_archive.plan import read_figures, read_prices
from eotasks.workflows.cloud_archive.settings import read_settings
from eotasks.workflows.cloud_archive.totals import read_totals, runs_anew
from eotasks.workflows.zonal_stats.parts import read_tables
from eotasks.workflows.zonal_stats.pieces import open_pieces
from eotasks.zonal.polygons import read_polygons
from tests.builders.eopatches import BANDS, LANDUSE, LULC, make_eopatch
import hashlib

root = Path(sys.argv[1]).resolve()
marker, heard, counts, outcome = root / "it ran", [], {}, []


class Payload:
    def __reduce__(self):
        return os.mkdir, (str(marker),)


def hook(event, arguments):
    if not armed:
        return
    if event in ("pickle.find_class", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "subprocess.Popen"):
        heard.append((event, str(arguments)[:100]))
    foreign = [each for each in arguments if isinstance(each, str) and each.startswith(str(root))]
    if event == "exec" and str(getattr(arguments[0], "co_filename", "")).startswith(str(root)):
        heard.append((event, arguments[0].co_filename))
    if event in ("import", "ctypes.dlopen", "sqlite3.load_extension") and foreign:
        heard.append((event, str(foreign)[:100]))


armed = False
platform.processor()  # which a library asks for, starts a program once
sys.addaudithook(hook)


def trial(name, act):
    # One reader of one file.
    global armed
    armed = True
    try:
        act()
        result = "read"
    except EOTasksError:
        result = "refused"
    except SystemExit:
        result = "refused"
    except BaseException as error:
        result = f"{type(error).__name__}"
        outcome.append((name, result, str(error)[:200]))
    armed = False
    counts[result] = counts.get(result, 0) + 1
    if marker.exists():
        heard.append(("ran", name))
        marker.rmdir()


def saved(array, **options):
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


trial("a reader that unpickles", lambda: pickle.loads(pickle.dumps(Payload())))
control, counts = [each[0] for each in heard], {}
heard.clear()
lone = np.array([Payload(), None], dtype=object)
structured = np.zeros(2, dtype=[("a", "f4"), ("b", object)])
structured["b"][0] = Payload()
boxed = np.empty((2, 8, 8, 3), dtype=object)
boxed[...] = Payload()
bundle = io.BytesIO()
np.savez(bundle, a=lone)
pickles = {f"pickle {number}": pickle.dumps(Payload(), number) for number in range(6)}
evil = {
    "object": saved(lone), "boxed": saved(boxed), "structured": saved(structured), "0-d": saved(np.array(Payload())),
    "npz": bundle.getvalue(), "text": b"cos\nmkdir\n(V%s\ntR." % str(marker).encode(), **pickles,
}
vrt = b"<OGRVRTDataSource><OGRVRTLayer name='x'><SrcDataSource>/etc/passwd</SrcDataSource></OGRVRTLayer>"
files = {}  # what lies in a patch, by the name of a way
for name, content in evil.items():
    files[f"{name} as npy"] = {"data/BANDS.npy": content}
    files[f"{name} as npy.gz"] = {"data/BANDS.npy.gz": gzip.compress(content)}
    files[f"{name} in npy.gz, not packed"] = {"data/BANDS.npy.gz": content}
    files[f"{name} as labels"] = {"mask_timeless/LULC.npy": content}
for ending in ("txt", "pkl", "tif", "npz", "o", "zzz", "zarr", "a", "NPY", "npy.bz2", "json"):
    files[f"twin {ending}"] = {f"data/BANDS.{ending}": b"x", "data/BANDS.npy": evil["boxed"]}
for name in ("bbox.pkl", "timestamps.pkl", "timestamp.pkl", "meta_info.pkl", "meta_info.json", "bbox.geojson",
             "timestamps.json", "meta_info/SIMULATED.pkl", "meta_info/SIMULATED.json", "vector_timeless/LANDUSE.gpkg",
             "vector_timeless/LANDUSE.pkl", "vector/LANDUSE.gpkg", "scalar/SUN.npy", "label/L.npy"):
    files[f"pickle as {name}"] = {name: evil["pickle 2"]}
files["vrt as gpkg"] = {"vector_timeless/LANDUSE.gpkg": vrt}
header = {"zarr_format": 2, "shape": [2], "chunks": [2], "dtype": "|O", "compressor": None, "fill_value": 0,
          "order": "C", "filters": [{"id": "pickle"}]}
for dtype in ("|O", "<f4", [["a", "|O"]]):
    files[f"zarr {dtype}"] = {"data/BANDS.zarr/.zarray": json.dumps(header | {"dtype": dtype}).encode(),
                              "data/BANDS.zarr/0": pickle.dumps(lone)}
code = f"import os; os.mkdir({str(marker)!r})".encode()
files["modules beside it"] = {name: code for name in ("sitecustomize.py", "conftest.py", "zarr.py", "data/numpy.py")}


def features_of(content):
    wanted = [BANDS, LULC, LANDUSE]
    return [each for each in wanted if any(path.startswith(f"{each[0].value}/{each[1]}.") for path in content)] or None


plain = root / "plain"
write_folder(make_eopatch(every_kind=True), plain / "clean", [BANDS, LULC, LANDUSE])
for name, content in files.items():
    place = root / "patches"
    shutil.rmtree(place, ignore_errors=True)
    for folder in (place / "patch", place / "saved" / ".gen-000000000000"):
        shutil.copytree(plain / "clean", folder)
        for path, data in content.items():
            for old in [*folder.glob(f"{path.partition('.')[0]}.*")]:
                if old.is_file() and old.relative_to(folder).as_posix() not in content:
                    old.unlink()
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
    facts = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder).as_posix()
        if path.is_file() and not (name.startswith("twin") and relative == "data/BANDS.npy"):
            facts[relative] = {"size": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    (place / "saved" / "_current.json").write_bytes(Marker(folder.name, facts).to_bytes())
    wanted = features_of(content)
    os.chdir(place / "patch")
    for patch in ("patch", "saved"):
        trial(f"load {patch}: {name}", lambda: load_eopatch(Place(place), patch))
        trial(f"info {patch}: {name}", lambda: eopatch_info(place, patch))
        trial(f"task {patch}: {name}", lambda: LoadSavedEOPatchTask(place, features=wanted).execute(name=patch))
        mapping = {each[1]: f"{each[0].value}/{each[1]}" for each in wanted or [BANDS]}
        trial(f"source {patch}: {name}", lambda: LoadEOPatchTask(place, mapping).execute(name=patch))

models = root / "model"
models.mkdir()
for name, content in {**evil, "yaml": b"!!python/object/apply:os.mkdir ['x']", "json": b'{"py/object": "os.mkdir"}',
                      "tree": b"tree\nversion=v4\nobjective=__import__('os').mkdir('x')\nend of trees\n"}.items():
    (models / "model.txt").write_bytes(content)
    (models / "model.json").write_bytes(content)
    trial(f"model: {name}", lambda: load_model(models))
    trial(f"forest: {name}", lambda: Forest.load(models / "model.txt"))
    trial(f"stored forest: {name}", lambda: Forest.from_bytes(b"eotasks forest 1\n" + content))
    (root / "item.json").write_bytes(content)
    trial(f"item: {name}", lambda: open_scene(str(root / "item.json")))
    (root / "c.parquet").write_bytes(content)
    trial(f"catalogue: {name}", lambda: Catalogue(root / "c.parquet").search())
    product = root / "S2A_MSIL1C_20240501T100000_N0510_R022_T33UUU_20240501T120000.SAFE"
    product.mkdir(exist_ok=True)
    for file in ("MTD_MSIL1C.xml", "MTD_TL.xml", "__init__.py", "sitecustomize.py", "manifest.safe"):
        (product / file).write_bytes(content if not file.endswith(".py") else code)
    trial(f"product: {name}", lambda: open_scene(product))
    for command in (
        ["cloud-mask", str(product), "--out", str(root / "out")],
        ["catalogue", "search", str(root / "c.parquet")],
        ["land-cover", str(root / "item.json")],
        ["evaluate-clouds", str(root / "item.json")],
    ):
        trial(f"{command[0]}: {name}", lambda: cli.main(command))

extension = {b"ARROW:extension:name": b"arrow.py_extension_type", b"ARROW:extension:metadata": evil["pickle 2"]}
for kind in ("geometry", "id", "datetime"):
    fields = [
        pa.field(each, pa.binary(), metadata=extension if each == kind else None)
        for each in ("id", "geometry", "datetime")
    ]
    table = pa.table([[b"a"], [b"b"], [b"c"]], schema=pa.schema(fields, metadata={b"pandas": evil["pickle 0"][:9]}))
    pq.write_table(table, root / "c.parquet")
    trial(f"extension type of {kind}", lambda: Catalogue(root / "c.parquet").search(bbox=(0, 0, 1, 1)))
    trial(f"extension type of {kind}, summary", lambda: Catalogue(root / "c.parquet").summary())

fields, out = root / "fields", Place(root / "zonal")
fields.mkdir()
readers = {
    "lakes.parquet": read_outlines, "lakes.geojson": read_outlines, "lakes.gpkg": read_outlines,
    "fields.parquet": read_polygons, "fields.geojson": read_polygons, "fields.gpkg": read_polygons,
    "figures.json": read_figures, "prices.toml": read_prices, "clients.json": read_clients, "key": signing_key,
    "dem.tif": lambda path: ElevationFile(path).check(),
}
for name, content in {**evil, "vrt": vrt}.items():
    for file, read in readers.items():
        (fields / file).write_bytes(content)
        trial(f"{file}: {name}", lambda: read(fields / file))
    for file, set_name in (("masks/a.npy", "cloud-mask-catalogue"), ("a.nc", "kappazeta"),
                           ("a.taco", "cloudsen12-plus"), ("20170710_s2_manual_classification_data.h5", "hollstein")):
        labels = root / "labels"
        shutil.rmtree(labels, ignore_errors=True)
        (labels / "masks").mkdir(parents=True)
        (labels / "subscenes").mkdir()
        (labels / "classification_tags.csv").write_text("scene,shadows_marked\na,1\n")
        (labels / "subscenes" / "a.npy").write_bytes(content)
        (labels / file).write_bytes(content)
        trial(f"{set_name}: {name}", lambda: [each.load() for each in find_label_set(set_name).frames(labels)])
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as packed:
        for member in ("grid", "polygons", "starts", "pixels", "weights", "times"):
            packed.writestr(f"{member}.npy", content)
    for packed in (stream.getvalue(), content):
        out.write_bytes("parts/image.npz", packed)
        trial(f"pieces: {name}", lambda: open_pieces(out, "image", 1).__enter__())
    out.write_bytes("parts/image.parquet", content)
    trial(f"tables: {name}", lambda: list(read_tables(out, "image", pd.DataFrame({"polygon": [0]}), 1)))
    for file in ("archive.json", "build.json", "anew.json"):
        out.write_bytes(file, content)
    for look in (read_settings, read_totals, runs_anew):
        trial(f"{look.__name__}: {name}", lambda: look(out))
for kind in ("geometry", "id"):
    columns = [pa.field(each, pa.binary(), metadata=extension if each == kind else None) for each in ("id", "geometry")]
    geo = json.dumps({"primary_column": "geometry", "columns": {"geometry": {"encoding": "WKB"}}}).encode()
    pq.write_table(pa.table([[b"a"], [b"b"]], schema=pa.schema(columns, {b"geo": geo, b"pandas": evil["pickle 0"]})),
                   fields / "fields.parquet")
    trial(f"extension type of {kind} of fields", lambda: read_polygons(fields / "fields.parquet"))
    trial(f"extension type of {kind} of lakes", lambda: read_outlines(fields / "fields.parquet"))

sys.stdout = sys.__stdout__
print("\n" + json.dumps({"counts": counts, "heard": heard, "bare": outcome, "control": control}))
"""


@pytest.mark.slow
def test_hostile_files_run_no_code(tmp_path: Path) -> None:
    """An audit hook hears of unpickling, of programs that are started and of modules that are loaded."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, "-c", TRIALS, str(tmp_path)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (done.returncode, done.stderr[-3000:])
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["control"] == ["pickle.find_class", "ran"]
    assert told["heard"] == []
    assert told["bare"] == []
    assert sum(told["counts"].values()) > 1_000
    assert told["counts"]["refused"] > 600
