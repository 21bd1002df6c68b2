"""Which pixels of 254 in a file of CLP are 255."""

from __future__ import annotations

import base64
import zlib

import numpy as np
import pytest

from eotasks.models.clouds.postprocess import NO_DATA
from eotasks.workflows.product_masks.images import CERTAIN_PIXELS, certain_tag, exact_clp, stored_probability

PROBABILITY = np.random.default_rng(5).choice([0.0, 0.5, 0.9961, 0.9979, 0.9981, 1.0], (37, 53)).astype(np.float32)
IS_DATA = np.random.default_rng(6).random(PROBABILITY.shape) > 0.2


def test_the_exact_numbers_come_back() -> None:
    stored, tag = stored_probability(PROBABILITY, IS_DATA), certain_tag(PROBABILITY, IS_DATA)
    assert stored[IS_DATA].max() == 254
    exact = exact_clp(stored, tag)
    np.testing.assert_array_equal(exact[IS_DATA], np.rint(PROBABILITY[IS_DATA] * np.float32(255)))
    np.testing.assert_array_equal(exact[~IS_DATA], NO_DATA)


def test_files_without_certain_pixels_have_no_tag() -> None:
    assert certain_tag(np.minimum(PROBABILITY, np.float32(0.9979)), IS_DATA) is None
    assert certain_tag(PROBABILITY, np.zeros_like(IS_DATA)) is None
    wide = np.broadcast_to(np.float32(1), (1, CERTAIN_PIXELS + 1))
    assert certain_tag(wide, np.broadcast_to(np.True_, wide.shape)) is None


@pytest.mark.parametrize(
    "tag",
    [None, "", "no base64", *(base64.b64encode(each).decode() for each in (b"no zlib", zlib.compress(b"short")))],
    ids=["none", "empty", "letters", "bytes", "short"],
)  # fmt: skip
def test_a_tag_of_others_changes_nothing(tag: str | None) -> None:
    stored = stored_probability(PROBABILITY, IS_DATA)
    np.testing.assert_array_equal(exact_clp(stored, tag), stored)


def test_a_tag_has_a_say_about_254_alone() -> None:
    every = base64.b64encode(zlib.compress(b"\xff" * (-(-PROBABILITY.size // 8) + 1_000_000))).decode()
    stored = stored_probability(PROBABILITY, IS_DATA)
    exact = exact_clp(stored, every)
    np.testing.assert_array_equal(exact[stored < 254], stored[stored < 254])
