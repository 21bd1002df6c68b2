"""What `import eotasks` costs and shows."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import eotasks

HEAVY = {"eolearn", "matplotlib", "ray", "numba", "lightgbm", "numpy", "rasterio", "sentinelhub"}


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def shown_by(code: str, *options: str) -> str:
    """What a Python of its own with these options puts on the screen."""
    ended = subprocess.run([sys.executable, *options, "-c", code], capture_output=True, text=True, timeout=400)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout + ended.stderr


def test_pulls_in_nothing_heavy() -> None:
    loaded = run_python("import sys, eotasks; print(*{name.split('.')[0] for name in sys.modules})").split()
    assert "eotasks" in loaded
    assert not HEAVY & set(loaded)


UNUSED = {"eolearn", "geopandas", "pandas", "pyarrow", "sentinelhub", "fs", "pyproj", "duckdb", "skimage", "sklearn",
          "lightgbm", "matplotlib", "psutil", "tqdm"}  # fmt: skip
"""What masks of products do without."""

MASK = """
import sys
from eotasks.workflows.cli import main
assert main(["cloud-mask", "--resolution", "160", "--out", sys.argv[1]]) == 0
loaded = set(sys.modules)
print(*{name.split(".")[0] for name in loaded}, *{"scipy.ndimage"} & loaded)
"""


@pytest.mark.slow
def test_masks_load_what_they_use(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", MASK, str(tmp_path / "masks")], check=True, capture_output=True, text=True
    )
    loaded = set(ended.stdout.splitlines()[-1].split())
    assert {"eotasks", "numba", "rasterio"} <= loaded
    assert not (UNUSED | {"scipy.ndimage"}) & loaded


EVERY_NAME = """
import eotasks
for name in eotasks.__all__:
    getattr(eotasks, name)
"""

BATCH = """
import eotasks
from eotasks.workflows.batch.run import run_batch
from eolearn.core import CreateEOPatchTask, EONode, EOWorkflow
from sentinelhub import CRS, BBox
if __name__ == "__main__":
    node = EONode(CreateEOPatchTask())
    patches = {name: {node: {"bbox": BBox((0, 0, 1, 1), CRS.WGS84)}} for name in ("a", "b")}
    assert run_batch(EOWorkflow.from_endnodes(node), patches, workers=2, progress=False).done == ['a', 'b']
"""


def test_no_import_shows_a_warning() -> None:
    """Not even where all of them are to be shown."""
    assert shown_by(EVERY_NAME, "-W", "default") == ""


FILTERS_TAKEN_OUT = """
import warnings
with warnings.catch_warnings():
    import eotasks
warnings.simplefilter("default")
eotasks.load_eopatch
from eotasks import read_area, run_batch
"""


def test_none_where_filters_were_taken_out_since() -> None:
    """As pytest does between two tests, and whoever resets the warnings of a program."""
    assert shown_by(FILTERS_TAKEN_OUT) == ""


def test_no_import_in_a_worker_shows_a_warning(tmp_path: Path) -> None:
    """With the user's wish to see all: otherwise workers show none at all."""
    script = tmp_path / "batch.py"
    script.write_text(BATCH)
    assert shown_by(f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')", "-W", "default") == ""


@pytest.mark.parametrize(
    ("message", "category", "module"),
    [
        ("pkg_resources is deprecated as an API.", "UserWarning", "mine"),
        ("pkg_resources is deprecated as an API.", "UserWarning", "fs_of_mine"),
        ("Deprecated call to `pkg_resources.declare_namespace('mine')`.", "DeprecationWarning", "pkg_resources"),
        ("Deprecated call to `pkg_resources.declare_namespace('fs')`.", "DeprecationWarning", "mine"),
        ("The 'shapely.geos' module is deprecated", "DeprecationWarning", "mine"),
        ("Another", "UserWarning", "fs"),
        ("Another", "DeprecationWarning", "geopandas._compat"),
    ],
)
def test_other_warnings_show(message: str, category: str, module: str) -> None:
    warn = f"warnings.warn_explicit({message!r}, {category}, 'file.py', 1, module={module!r})"
    assert message in shown_by(f"import warnings, eotasks; {warn}", "-W", "default")


def test_every_name_of_the_stub_is_there() -> None:
    for name in eotasks.__all__:
        assert getattr(eotasks, name) is not None


def test_stub_and_names_agree() -> None:
    stub = ast.parse((Path(eotasks.__file__).parent / "__init__.pyi").read_text())
    names = [alias.asname for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert sorted(filter(None, names)) == sorted(eotasks.__all__)
    assert len(names) == len(set(names))


def test_exports_no_name_of_a_submodule() -> None:
    folder = Path(eotasks.__file__).parent
    submodules = {path.stem for path in folder.glob("*.py")} | {path.name for path in folder.iterdir() if path.is_dir()}
    assert not submodules & set(eotasks.__all__)


def test_models_and_imagery_know_no_eopatch() -> None:
    root = Path(eotasks.__file__).parent
    for package in ("models", "imagery"):
        for path in (root / package).rglob("*.py"):
            assert "eolearn" not in imported_packages(path), path


def imported_packages(path: Path) -> set[str]:
    packages = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            packages |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            packages.add(node.module.split(".")[0])
    return packages
