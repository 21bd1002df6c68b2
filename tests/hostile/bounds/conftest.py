"""What several modules look at: a product and EOPatches that are sound."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from eotasks.eopatches.save import save_eopatch
from eotasks.storage.place import Place
from tests.builders.eopatches import make_eopatch
from tests.builders.layouts import small_safe


@pytest.fixture(scope="module")
def safe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_safe(tmp_path_factory.mktemp("safe"))


@pytest.fixture(scope="module")
def patch_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """A place with an EOPatch, saved or plain; a generation of an older eotasks."""
    found = {True: tmp_path_factory.mktemp("saved"), False: tmp_path_factory.mktemp("plain")}
    save_eopatch(Place(found[True]), "patch", make_eopatch())
    shutil.copytree(found[True] / "patch", found[False] / "patch", ignore=shutil.ignore_patterns("_current.json"))
    return found
