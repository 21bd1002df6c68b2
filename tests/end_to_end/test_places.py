"""A place is a text, a path or a `Place`, wherever one is taken."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from eolearn.core import EOPatch, FeatureType
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

import eotasks
from eotasks.eopatches.clean import clean
from eotasks.eopatches.load import eopatch_info, is_complete, list_eopatches
from eotasks.errors import ConfigurationError
from eotasks.sources.eopatches import list_source_eopatches
from eotasks.storage.place import Place, PlaceLike

FEATURE = (FeatureType.DATA_TIMELESS, "DEM")


class OtherPath:
    """A path of another library."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __fspath__(self) -> str:
        return self.text


def relative(text: str) -> str:
    return os.path.relpath(text)


KINDS: dict[str, Callable[[str], PlaceLike]] = {
    "text": str, "path": Path, "place": Place, "other path": OtherPath, "relative": relative,
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_of_eopatches(kind: str, tmp_path: Path) -> None:
    place = KINDS[kind](str(tmp_path / "patches"))
    patch = EOPatch(bbox=BBox((0, 0, 40, 40), CRS("EPSG:32633")))
    patch[FEATURE] = np.ones((4, 4, 1), dtype=np.float32)
    eotasks.save_eopatch(place, "one", patch)
    eotasks.SaveEOPatchTask(place).execute(patch, name="two")
    assert is_complete(place, "one")
    assert list_eopatches(place) == list_source_eopatches(place) == ["one", "two"]
    assert eopatch_info(place, "one").shape == (4, 4)
    assert eotasks.load_eopatch(place, "one") == eotasks.LoadSavedEOPatchTask(place).execute(name="two") == patch
    loaded = eotasks.LoadEOPatchTask(Place(place), {"DEM": "data_timeless/DEM"}).execute(name="one")
    assert loaded.bbox == patch.bbox
    eotasks.export_eopatch(place, "one", tmp_path / "plain")
    assert clean(place).generations == 0
    task = eotasks.ExportCogTask(FEATURE, folder=place)
    task.execute(patch, name="one")
    assert task.path("one").is_file()


@pytest.mark.parametrize("value", [5, None, 1.5, ["folder"], b"".join], ids=["int", "None", "float", "list", "method"])
def test_what_is_no_place(value: object) -> None:
    with pytest.raises(ConfigurationError, match=r"is no place: give a folder or s3://bucket/prefix"):
        Place(value)  # type: ignore[arg-type]


def test_bytes_are_a_path_of_the_system(tmp_path: Path) -> None:
    class BytesPath:
        def __fspath__(self) -> bytes:
            return os.fsencode(tmp_path)

    assert Place(BytesPath()) == Place(tmp_path)  # type: ignore[arg-type]
