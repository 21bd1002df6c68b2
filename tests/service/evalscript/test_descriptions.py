"""What is kept of what scripts declare."""

from __future__ import annotations

from eotasks.service.evalscript.descriptions import Descriptions
from eotasks.service.evalscript.engine import Description
from eotasks.service.evalscript.setup import Input, InputBand, Output, Setup


def test_of_descriptions_few_are_kept() -> None:
    def description(bands: int) -> Description:
        return Description(Setup((Input((InputBand("B04"),)),), (Output("default", ("B0",) * bands),)))

    kept = Descriptions(3, 100)
    for script, bands in {"a": 1, "b": 1, "c": 1, "d": 1}.items():
        kept.put(script, description(bands))
    assert [kept.get(script) is not None for script in "abcd"] == [False, True, True, True]
    kept.get("b")
    kept.put("e", description(90))
    assert [kept.get(script) is not None for script in "bcde"] == [True, False, False, True]
    kept.put("f", description(1000))
    assert [kept.get(script) for script in "bef"] == [None] * 3
