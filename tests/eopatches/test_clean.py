"""`eotasks clean`."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import numpy as np
import pytest
from eolearn.core import EOPatch, FeatureType
from sentinelhub import CRS, BBox

from eotasks.eopatches.save import load_eopatch, save_eopatch
from eotasks.storage.place import Place
from eotasks.workflows.cli import main


def test_removes_all_generations_but_the_current_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = Place(tmp_path)
    for value in (1, 2, 3):
        eopatch = EOPatch(bbox=BBox((0, 0, 20, 20), CRS.UTM_33N), timestamps=[dt.datetime.fromisoformat("2020-01-01")])
        eopatch[FeatureType.DATA, "A"] = np.full((1, 2, 2, 1), value, np.float32)
        save_eopatch(place, "p", eopatch)
    long_ago = dt.datetime.fromisoformat("2020-01-01").timestamp()
    for path in (tmp_path / "p").rglob("*"):
        os.utime(path, (long_ago, long_ago))
    assert main(["clean", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("2 generations removed")
    assert len(list((tmp_path / "p").glob(".gen-*"))) == 1
    assert load_eopatch(place, "p")[FeatureType.DATA, "A"].max() == 3


def test_a_place_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["clean", str(tmp_path / "absent")]) == 2
    assert "check the path" in capsys.readouterr().err
