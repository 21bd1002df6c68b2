"""Public scripts, which are not ours to keep: those of a folder that EOTASKS_EVALSCRIPTS names run, each that is known
by its SHA-256 (`collections.txt`) and any other that lies there.

The list was made of `ECHOESProj/eo-custom-scripts` at 6f78eab (folders sentinel-2 and data-fusion below
eo_custom_scripts/custom_scripts) and of the code blocks of `eu-cdse/documentation` at f65bac2 (folder APIs):
``python -m tests.service.evalscript.test_collections FOLDER`` prints it.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from eotasks.service.errors import ServiceError
from eotasks.service.evalscript.isolate import Isolate
from eotasks.service.evalscript.planes import Pixels
from eotasks.service.evalscript.setup import Mosaicking, SampleType
from tests.builders.service.evalscripts import MASKS, scene, source

LIST = Path(__file__).with_name("collections.txt")
FOLDER = os.environ.get("EOTASKS_EVALSCRIPTS")
BLOCK = re.compile(r'evalscript\w* *= *[fr]?"""(.*?)"""|``` *(?:javascript|js|default)\n(.*?)```', re.DOTALL)
ASKED = 0.99
"""Share of the known scripts that have to run; the others are named in the list, with the reason."""


class Listed(NamedTuple):
    """A line of the list."""

    digest: str
    path: str
    reason: str
    """Why it cannot run; empty where it does."""


def listed() -> list[Listed]:
    lines = [line for line in LIST.read_text().splitlines() if line and not line.startswith("#")]
    return [Listed(*[*line.split("\t"), ""][:3]) for line in lines]


def scripts(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Scripts below a folder: files, and blocks of pages that have both functions; each text once."""
    seen = set()
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.suffix == ".js":
            found = [(name, path.read_bytes())]
        elif path.suffix == ".qmd":
            blocks = [a or b for a, b in BLOCK.findall(path.read_text())]
            found = [
                (f"{name}#{i}", block.encode())
                for i, block in enumerate(blocks)
                if "evaluatePixel" in block and "setup" in block
            ]
        else:
            continue
        for each, data in found:
            digest = hashlib.sha256(data).hexdigest()
            if digest not in seen:
                seen.add(digest)
                yield each, data


def drawn(random: np.random.Generator, band: str, scenes: int) -> np.ndarray:
    """A band of 4 x 4 pixels, reflectances unless it is known to be something else."""
    shape = (scenes, 4, 4)
    if band == "dataMask":
        return np.ones(shape, np.uint8)
    if band in MASKS:
        return random.integers(0, {"SCL": 12, "CLM": 2}.get(band, 100), shape).astype(np.uint8)
    if not re.fullmatch(r"B\d\w*", band):
        return random.uniform(1, 60, shape).astype(np.float32)
    return random.integers(1, 9_000, shape).astype(np.uint16)


def run(isolate: Isolate, data: bytes) -> None:
    """Run a script on random pixels, of three scenes where it asks for them.

    :raises ServiceError: when it fails. UnicodeDecodeError: when it is no text.
    """
    text, random = data.decode(), np.random.default_rng(1)
    setup = isolate.describe(text).setup
    sources = []
    for each in setup.inputs:
        one = each.mosaicking is Mosaicking.SIMPLE
        scenes = [scene(month, mosaicking=each.mosaicking, cloud_cover=5.0) for month in ((1,) if one else (1, 2, 3))]
        sources.append(source({}, scenes, datasource=each.datasource))
    kept = isolate.describe(text, sources).kept
    given = []
    for before, positions, declared in zip(sources, kept, setup.inputs, strict=True):
        bands = {band.name: drawn(random, band.name, len(positions)) for band in declared.bands}
        scenes = tuple(before.scenes[i] for i in positions)
        given.append(source(bands, scenes, datasource=before.datasource, considered=before.scenes))
    result = isolate.evaluate(text, Pixels(4, 4, tuple(given)), auto=SampleType.AUTO)
    assert result.setup is not None
    for output in result.setup.outputs:
        assert result.images[output.id].shape == (4, 4, len(output.bands))


def reason(isolate: Isolate, data: bytes) -> str:
    """Why a script does not run; empty where it does."""
    try:
        run(isolate, data)
    except UnicodeDecodeError as error:
        return f"no UTF-8: {error.reason}"
    except ServiceError as error:
        return str(error).split(". ")[0].replace("The evalscript ", "")
    return ""


def test_the_list_has_what_was_asked() -> None:
    lines = listed()

    assert len(lines) > 400
    assert len({line.digest for line in lines}) == len(lines)
    assert all(re.fullmatch(r"[0-9a-f]{64}", line.digest) for line in lines)
    assert sum(not line.reason for line in lines) >= ASKED * len(lines)


@pytest.mark.slow
@pytest.mark.skipif(FOLDER is None, reason="EOTASKS_EVALSCRIPTS names no folder of public scripts")
def test_public_scripts_run(isolate: Isolate) -> None:
    known = {line.digest: line for line in listed()}
    found = dict(scripts(Path(str(FOLDER))))
    assert found, "no script lies in the folder that EOTASKS_EVALSCRIPTS names"
    failed = {name: told for name, data in found.items() if (told := reason(isolate, data))}
    print(f"{len(found) - len(failed)} of {len(found)} public scripts run")
    listed_to_run = {digest for digest, line in known.items() if not line.reason}
    assert not [name for name in failed if hashlib.sha256(found[name]).hexdigest() in listed_to_run], failed
    assert len(failed) <= (1 - ASKED) * len(found), failed


if __name__ == "__main__":
    with Isolate() as made:
        for name, data in scripts(Path(sys.argv[1])):
            print(*(hashlib.sha256(data).hexdigest(), name, reason(made, data)), sep="\t")
