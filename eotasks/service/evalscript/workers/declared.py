"""What a script declares, as JSON: written by workers, read by a service that believes none of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeVar

from eotasks.service.evalscript.setup import Input, InputBand, Mosaicking, Output, SampleType, Setup
from eotasks.service.evalscript.workers.channel import WorkerAnswerError

INPUTS, OUTPUTS, BANDS = 100, 200, 3_000
"""The most of a set-up."""
_TEXT = 256
"""Characters of a name."""

_Kind = TypeVar("_Kind", Mosaicking, SampleType)


def setup_header(setup: Setup) -> dict[str, Any]:
    """In a worker: a set-up as JSON."""
    return {
        "inputs": [
            {
                "bands": [[band.name, band.units] for band in each.bands],
                "datasource": each.datasource,
                "mosaicking": each.mosaicking,
                "metadata": sorted(each.metadata),
            }
            for each in setup.inputs
        ],
        "outputs": [
            {"id": each.id, "bands": each.bands, "type": each.sample_type, "nodata": _number(each.nodata)}
            for each in setup.outputs
        ],
        "hooks": sorted(setup.hooks),
    }


def read_setup(value: object) -> Setup:
    """In the service: a set-up that a worker tells.

    :raises WorkerAnswerError: when it is none.
    """
    if not isinstance(value, dict):
        raise WorkerAnswerError("The engine tells no set-up.")
    hooks = frozenset(_texts(value, "hooks", 10))
    inputs = tuple(_read_input(each) for each in read_list(value, "inputs", INPUTS))
    outputs = tuple(_read_output(each) for each in read_list(value, "outputs", OUTPUTS))
    if not inputs or not outputs:
        raise WorkerAnswerError("The engine tells a set-up without inputs or outputs.")
    return Setup(inputs, outputs, hooks)


def _read_input(value: object) -> Input:
    if not isinstance(value, dict):
        raise WorkerAnswerError("The engine tells an input that is none.")
    bands = []
    for pair in read_list(value, "bands", BANDS):
        if not isinstance(pair, list) or len(pair) != 2:
            raise WorkerAnswerError("The engine tells a band that is none.")
        band = dict(zip(("name", "units"), pair, strict=True))
        bands.append(InputBand(read_text(band, "name"), _text_or_none(band, "units")))
    return Input(
        tuple(bands),
        _text_or_none(value, "datasource"),
        _member(Mosaicking, value, "mosaicking"),
        frozenset(_texts(value, "metadata", 100)),
    )


def _read_output(value: object) -> Output:
    if not isinstance(value, dict):
        raise WorkerAnswerError("The engine tells an output that is none.")
    nodata = value.get("nodata")
    if nodata is not None:
        try:
            nodata = float(nodata)
        except (TypeError, ValueError, OverflowError):
            raise WorkerAnswerError("The engine tells a value of no data that is no number.") from None
    return Output(
        read_text(value, "id"), tuple(_texts(value, "bands", BANDS)), _member(SampleType, value, "type"), nodata
    )


def _number(value: float | None) -> float | str | None:
    """JSON has no NaN, which is a usual value of no data."""
    return value if value is None or math.isfinite(value) else str(value)


def read_whole(value: Mapping[str, Any], key: str, most: int) -> int:
    """A whole number of 0 to the most.

    :raises WorkerAnswerError: when it is none.
    """
    number = value.get(key)
    if type(number) is not int or not 0 <= number <= most:
        raise WorkerAnswerError(f"The engine tells a {key!r} that cannot be.")
    return number


def read_list(value: Mapping[str, Any], key: str, most: int) -> list[Any]:
    """A list of at most so many values.

    :raises WorkerAnswerError: when it is none.
    """
    found = value.get(key)
    if not isinstance(found, list) or len(found) > most:
        raise WorkerAnswerError(f"The engine tells {key!r} that cannot be.")
    return found


def read_text(value: Mapping[str, Any], key: str) -> str:
    """A short text.

    :raises WorkerAnswerError: when it is none.
    """
    text = value.get(key)
    if not isinstance(text, str) or len(text) > _TEXT:
        raise WorkerAnswerError(f"The engine tells a {key!r} that cannot be.")
    return text


def _text_or_none(value: Mapping[str, Any], key: str) -> str | None:
    return None if value.get(key) is None else read_text(value, key)


def _texts(value: Mapping[str, Any], key: str, most: int) -> list[str]:
    return [read_text({key: each}, key) for each in read_list(value, key, most)]


def _member(kind: type[_Kind], value: Mapping[str, Any], key: str) -> _Kind:
    try:
        return kind(read_text(value, key))
    except ValueError:
        raise WorkerAnswerError(f"The engine tells a {key!r} that cannot be.") from None
