"""What an install brings, and that it works from a folder whose files carry the names of our rooms."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests import ROOT

pytestmark = pytest.mark.slow

RAISES = "raise RuntimeError('the module of the user, imported by eotasks')\n"
MODULE = ("-m", "eotasks.workflows.cli")
OF_THE_USER = ("models", "workflows", "service", "tests")

SETTINGS = """
[source]
kind = "sample"

[area]
grid = "bbox"
bbox = [336400, 5816280, 338960, 5818840]
crs = "EPSG:32633"
patch_size = 1280
"""

TASK = """
import numpy as np
import eotasks
from eotasks import AddCloudMaskTask
from eolearn.core import EOPatch
from sentinelhub import BBox, CRS

patch = EOPatch(
    bbox=BBox((0, 0, 40, 30), CRS.UTM_33N), timestamps=["2017-02-16"],
    data={"CLP": np.full((1, 3, 4, 1), 0.9, np.float32)},
)
print(eotasks.__file__, int(AddCloudMaskTask().execute(patch).mask["CLM"].sum()))
"""

BATCH = """
import sys
from eolearn.core import EONode, EOWorkflow, FeatureType
import eotasks

if __name__ == "__main__":
    source = EONode(eotasks.LoadSampleTask((FeatureType.DATA, "BANDS"), resolution=160))
    clp = EONode(eotasks.AddCloudProbabilityTask(), inputs=[source])
    clm = EONode(eotasks.AddCloudMaskTask(), inputs=[clp])
    boxes = {"west": eotasks.SAMPLE_BBOX, "east": eotasks.SAMPLE_BBOX}
    result = eotasks.run_batch(
        EOWorkflow.from_endnodes(clm), {name: {source: {"bbox": box}} for name, box in boxes.items()},
        executor=sys.argv[1], workers=2, place=eotasks.Place(sys.argv[1]),
    )
    print(result.done, result.exit_code, result.failed)
"""


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution."""
    folder = tmp_path_factory.mktemp("dist")
    run([sys.executable, "-m", "hatchling", "build", "--directory", str(folder)], ROOT)
    return folder


@pytest.fixture(scope="module")
def installed(distributions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of a fresh environment with the wheel. What it depends on is that of the tests, by a .pth file: a path
    added so brings no .pth files of its own, which would bring the checkout.
    """
    folder = tmp_path_factory.mktemp("fresh")
    run([sys.executable, "-m", "venv", "--without-pip", str(folder)], folder)
    python = folder / "bin" / "python"
    (wheel,) = distributions.glob("*.whl")
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", "--quiet"]
    run([*install, str(wheel)], folder)
    paths = {sysconfig.get_path(kind) for kind in ("purelib", "platlib")}
    (site_packages(python) / "of_the_tests.pth").write_text("".join(f"{path}\n" for path in sorted(paths)))
    return python


@pytest.fixture
def user_folder(tmp_path: Path) -> Path:
    """A user's own modules, none of which may be imported by accident."""
    for name in OF_THE_USER:
        (tmp_path / f"{name}.py").write_text(RAISES)
    (tmp_path / "eotasks.toml").write_text(SETTINGS)
    (tmp_path / "batch.py").write_text(BATCH)
    return tmp_path


def site_packages(python: Path) -> Path:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return python.parent.parent / "lib" / version / "site-packages"


def run(arguments: list[str], folder: Path) -> str:
    """Output of a command that has to succeed, without the checkout on its path; the network stays blocked."""
    guard = ROOT / "tests" / "network_guard"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(guard), *other_paths()])}
    done = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{arguments}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def other_paths() -> list[str]:
    """PYTHONPATH as it was, but for the checkout."""
    given = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    return [path for path in given if ROOT not in [Path(path).resolve(), *Path(path).resolve().parents]]


def test_the_wheel_brings_one_name(installed: Path) -> None:
    entries = {path.name for path in site_packages(installed).iterdir()} - {"of_the_tests.pth"}
    assert {name for name in entries if not name.endswith(".dist-info")} == {"eotasks"}
    assert len(entries) == 2


def test_the_wheel_brings_what_lies_beside_the_code(distributions: Path) -> None:
    (path,) = distributions.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
    package = {
        str(file.relative_to(ROOT))
        for file in (ROOT / "eotasks").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert {name for name in names if name.startswith("eotasks/")} == package
    suffixes = {Path(name).suffix for name in package}
    assert {".css", ".forest", ".gpkg", ".j2", ".jp2", ".json", ".pyi", ".toml", ".typed"} <= suffixes


def test_the_source_distribution_holds_the_package_once(distributions: Path) -> None:
    """The links `models` and `workflows` at the top would double it."""
    (path,) = distributions.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        members = archive.getmembers()
    folders = {member.name.split("/")[1] for member in members}
    assert {"eotasks", "tests"} <= folders
    assert not {"models", "workflows"} & folders
    assert not [member.name for member in members if member.issym() or member.islnk()]
    assert not [member.name for member in members if member.name.endswith((".pyc", ".nbi", ".nbc"))]


def test_a_task_runs(installed: Path, user_folder: Path) -> None:
    printed = run([str(installed), "-c", TASK], user_folder).split()
    assert Path(printed[0]).is_relative_to(site_packages(installed))
    assert printed[1] == "12"


def test_the_command_is_there(installed: Path, user_folder: Path) -> None:
    assert "cloud-mask" in run([str(installed.parent / "eotasks"), "--help"], user_folder)


def test_cloud_mask_of_the_embedded_scene(installed: Path, user_folder: Path) -> None:
    """Started as a module: then the user's folder comes first among the places that modules come from."""
    run([str(installed), *MODULE, "cloud-mask", "--resolution", "160", "--no-quicklook", "--out", "out"], user_folder)
    assert {path.stem[-4:] for path in (user_folder / "out").rglob("*.tif")} == {"_CLP", "_CLM"}


def test_land_cover_plans(installed: Path, user_folder: Path) -> None:
    printed = run([str(installed), *MODULE, "land-cover", "--config", "eotasks.toml", "--dry-run"], user_folder)
    assert "4 of 128 x 128 pixels" in " ".join(printed.split())


@pytest.mark.trial
@pytest.mark.parametrize("executor", ["processes", "ray"])
def test_a_batch_runs(installed: Path, user_folder: Path, executor: str) -> None:
    if executor == "ray":
        pytest.importorskip("ray", reason="Ray is not installed (eotasks[ray])")
    printed = run([str(installed), "batch.py", executor], user_folder)
    assert printed.splitlines()[-1] == "['west', 'east'] 0 []"
