"""What `import eotasks` costs and shows."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import eotasks

HEAVY = {"eolearn", "matplotlib", "ray", "numba", "lightgbm", "numpy", "rasterio", "sentinelhub"}


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def test_pulls_in_nothing_heavy() -> None:
    loaded = run_python("import sys, eotasks; print(*{name.split('.')[0] for name in sys.modules})").split()
    assert "eotasks" in loaded
    assert not HEAVY & set(loaded)


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
