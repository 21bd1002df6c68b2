"""The word that was meant, for messages. What may be printed is tested in tests/hostile."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eotasks.models.sentinel2 import BANDS
from eotasks.text import did_you_mean, nearest_word, unknown_words

COMMANDS = ("land-cover", "cloud-mask", "evaluate-clouds", "catalogue", "status", "clean")


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("B4", BANDS, "B04"),
        ("b8a", BANDS, "B8A"),
        ("B13", BANDS, None),
        ("B8A", ("B07", "B08", "B09"), None),
        ("slc", ("s2cloudless", "scl"), "scl"),
        ("nvdi", ("NDWI", "NDVI"), "NDVI"),
        ("landcover", COMMANDS, "land-cover"),
        ("cloud_mask", COMMANDS, "cloud-mask"),
        ("catalog", COMMANDS, "catalogue"),
        ("threshhhold", ("threshold", "average_over"), "threshold"),
        ("slovenia", ("slovenia_2019", "sample"), "slovenia_2019"),
        ("", COMMANDS, None),
        ("xyz", COMMANDS, None),
        ("elevation", ("dilation", "resolution"), None),
        ("geometric", ("s2cloudless", "shadows-geometric", "shadows-projection"), "shadows-geometric"),
        ("shadows", ("s2cloudless", "shadows-geometric", "shadows-projection"), None),
        ("x" * 1000, COMMANDS, None),
        (7, COMMANDS, None),
        ("anything", (), None),
    ],
)
def test_nearest(word: object, known: tuple[str, ...], meant: str | None) -> None:
    assert nearest_word(word, known) == meant


def test_words_of_a_message() -> None:
    assert did_you_mean("status", COMMANDS) == "", "what is known needs no other"
    assert unknown_words(["B4", "elevation"], BANDS) == "B4 (did you mean 'B04'?), elevation"


@given(st.text(), st.lists(st.text(max_size=20), max_size=8))
def test_it_is_one_of_the_known_and_the_same_each_time(word: str, known: list[str]) -> None:
    found = nearest_word(word, known)
    assert found is None or found in known
    assert found == nearest_word(word, known)


@given(st.sampled_from(COMMANDS), st.data())
def test_one_letter_that_is_missing_is_found(command: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(command) - 1))
    assert nearest_word(command[:at] + command[at + 1 :], COMMANDS) == command
