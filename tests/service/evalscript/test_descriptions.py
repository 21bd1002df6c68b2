"""What is kept of what scripts declare."""

from __future__ import annotations

from eotasks.service.evalscript.descriptions import Descriptions
from eotasks.service.evalscript.engine import Description
from eotasks.service.evalscript.setup import Input, InputBand, Output, Setup


def description(bands: int) -> Description:
    return Description(Setup((Input((InputBand("B04"),)),), (Output("default", ("B0",) * bands),)))


def test_those_that_were_asked_for_last_are_kept() -> None:
    kept = Descriptions(3, 100)
    for script in "abcd":
        kept.put(script, description(1))
    assert [kept.get(script) is not None for script in "abcd"] == [False, True, True, True]


def test_of_many_names_fewer_are_kept() -> None:
    kept = Descriptions(100, 50)  # each has four: of an input, an output, and a band of each
    for script in "abcdefghijklmn":
        kept.put(script, description(1))
    assert [script for script in "abcdefghijklmn" if kept.get(script) is not None] == [*"cdefghijklmn"]


def test_one_does_not_push_out_all_others() -> None:
    kept = Descriptions(3, 100)
    kept.put("a", description(1))
    kept.put("b", description(1000))
    assert kept.get("a") is not None
    assert kept.get("b") is None
