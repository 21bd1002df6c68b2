"""The files of one EOPatch folder."""

from __future__ import annotations

import pytest

from eotasks.eopatches.files import EOPatchFolder
from eotasks.eopatches.parts import is_readable, looks_plain
from eotasks.errors import StorageError
from eotasks.storage.place import Place
from tests.builders.eopatches import BANDS, LULC, SIMULATED


@pytest.mark.parametrize("path", ["../x", "data/../../x", "/etc/x", "data//x", "data/B.npy/../../x", "./x"])
def test_names_do_not_lead_out(path: str) -> None:
    """The key of an object may hold anything, also what a file system takes for its parent folder."""
    with pytest.raises(StorageError, match="no name of a file in an EOPatch"):
        EOPatchFolder(Place("s3://bucket/patch"), "EOPatch s3://bucket/patch", {path: {}})


def test_features_are_what_eo_learn_takes_for_them() -> None:
    paths = [
        "bbox.geojson", "timestamps.json", "mask_timeless/LULC.npy", "data/BANDS.npy", "data/BANDS.npy.gz",
        "meta_info/SIMULATED.json", "data/.DS_Store", "data/README", "data/older/B.npy", "figures/a.png",
    ]  # fmt: skip
    folder = EOPatchFolder(Place("anywhere"), "EOPatch", {path: {} for path in paths})
    assert folder.features == (BANDS, LULC, SIMULATED)


@pytest.mark.parametrize(
    ("names", "is_listed", "is_loaded"),
    [
        (["bbox.geojson", "data", "timestamps.json"], True, True),
        (["bbox.geojson", "meta_info.json"], True, True),
        (["timestamps.json", "mask"], True, True),  # refused by what is missing
        (["bbox.geojson"], False, True),
        (["data", "mask"], False, False),
        (["bbox", "data"], False, False),
        ([".bbox.geojson", "data.csv"], False, False),
        ([], False, False),
    ],
    ids=lambda value: "+".join(value) or "nothing" if isinstance(value, list) else None,
)
def test_what_is_a_plain_eopatch(names: list[str], is_listed: bool, is_loaded: bool) -> None:
    assert (looks_plain(names), is_readable(names)) == (is_listed, is_loaded)
