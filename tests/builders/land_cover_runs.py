"""Runs of `eotasks land-cover` on four small EOPatches into any place, and what they leave there."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from eotasks.eopatches.load import list_eopatches, load_eopatch
from eotasks.storage.place import Place
from tests.builders.command_line import EOPATCHES, PATCHES, Result, Sections, command, merged, write_config

SECTIONS: Sections = merged(EOPATCHES, {"validation": {"seeds": [42]}, "output": {"scores": True}})
SAME_BYTES = (".tif", ".xml", "metrics.json", "model.txt", "model.json")


def run_to(place: Place, folder: Path, sections: Sections, *options: str) -> Result:
    config = write_config(folder, merged(sections, {"output": {"folder": place.location}}))
    return command("land-cover", "--config", config, *options)


def results(place: Place) -> dict[str, bytes]:
    """What the same seed gives again, to the byte."""
    return {path: place.read_bytes(path) for path in place.files() if path.endswith(SAME_BYTES)}


def assert_equal_places(one: Place, other: Place) -> None:
    first, second = results(one), results(other)
    assert first.keys() == second.keys()
    assert len(first) == 4 * 3 + 2 + 3  # maps with their classes, scores; mosaic with its classes; numbers, model
    assert [path for path in first if first[path] != second[path]] == []
    for kind in ("observed", "features", "predictions"):
        assert list_eopatches(one.child(kind)) == list_eopatches(other.child(kind)) == sorted(PATCHES)
        for name in PATCHES:
            patch, again = load_eopatch(one.child(kind), name), load_eopatch(other.child(kind), name)
            assert patch.bbox == again.bbox
            assert patch.timestamps == again.timestamps
            assert patch.get_features() == again.get_features()
            for feature in patch.get_features():
                if feature[0].is_array():
                    np.testing.assert_array_equal(patch[feature], again[feature])
