"""The tests of s2cloudless itself pass with the drop-in in its place, unmodified.

They are those of the last source distribution of PyPI that has them, 1.7.0 (release 1.7.3 changed their quotes), and
read the scene that came with 1.2.0. Neither is part of this repository.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests import ROOT

DATA = "EOTASKS_BENCHMARK_DATA"
SUITE, SCENE = "s2cloudless-1.7.0", "s2cloudless-1.2.0"
FILES = {
    "test_cloud_detector.py": f"{SUITE}/tests/test_cloud_detector.py",
    "test_pixel_classifier.py": f"{SUITE}/tests/test_pixel_classifier.py",
    "TestInputs/input_arrays.npz": f"{SCENE}/s2cloudless/TestInputs/input_arrays.npz",
}
"""Of the third module, test_utils, every test that release 1.7.3 still has asks Sentinel Hub."""

IN_ITS_PLACE = """
import importlib.util, sys
installed = importlib.util.find_spec("s2cloudless").origin
import eotasks.s2cloudless
eotasks.s2cloudless.__file__ = installed  # the tests look for the weights beside it, where the drop-in has them from
sys.modules["s2cloudless"] = eotasks.s2cloudless
"""

TESTS_IN_THE_SUITE = 20


@pytest.mark.slow
def test_passes_with_the_drop_in(tmp_path: Path) -> None:
    folder = Path(os.environ.get(DATA, ""))
    archives = [folder / f"{name}.tar.gz" for name in (SUITE, SCENE)]
    if not os.environ.get(DATA) or not all(path.is_file() for path in archives):
        names = " and ".join(path.name for path in archives)
        pytest.skip(f"{DATA} names no folder with {names} (CONTRIBUTING.md)")
    for path in archives:
        with tarfile.open(path) as archive:
            for name, member in FILES.items():
                if member.startswith(f"{path.name.removesuffix('.tar.gz')}/"):
                    content = archive.extractfile(member)
                    assert content is not None
                    (tmp_path / name).parent.mkdir(exist_ok=True)
                    (tmp_path / name).write_bytes(content.read())
    (tmp_path / "conftest.py").write_text(IN_ITS_PLACE)
    (tmp_path / "test_place.py").write_text(
        "from s2cloudless import S2PixelCloudDetector, PixelClassifier\n"
        "def test_is_ours():\n"
        "    assert S2PixelCloudDetector.__module__.startswith('eotasks.')\n"
        "    assert PixelClassifier.__module__.startswith('eotasks.')\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error::UserWarning", "."],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{TESTS_IN_THE_SUITE + 1} passed" in done.stdout
