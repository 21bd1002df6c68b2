"""What a script's `setup` gives, whatever its dialect, read and checked into one form."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from eotasks.service.errors import ScriptError
from eotasks.service.evalscript.script import Samples, Script
from eotasks.service.evalscript.setup import Input, InputBand, Mosaicking, Output, SampleType, Setup

MAX_INPUTS = 20
MAX_INPUT_BANDS = 100
MAX_OUTPUTS = 100
MAX_BANDS = 300
"""Of one output."""

HOOKS = ("preProcessScenes", "filterScenes", "updateOutput", "updateOutputMetadata")

_ID = re.compile(r"(?!__)[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
"""Ids of outputs become names of files."""
_BAND = re.compile(r"(?!__)[A-Za-z_][A-Za-z0-9_]{0,63}")
_SOURCE = re.compile(r"(?!__)[A-Za-z0-9_][A-Za-z0-9_.: -]{0,63}")
_LABEL = 64
_NO_BAND = "dataMask"
"""Read where a script names no band: it says where there is something."""
_KEYS = "Return {input, output} from setup."


def read_setup(script: Script, told: Mapping[str, Any]) -> tuple[Setup, Samples]:
    """Read what the driver says of a script that has `evaluatePixel`.

    :param told: "setup" (whether there is one), "value" (what it returned), "calls" (of V1), "hooks", "length".
    :raises ScriptError: when it declares nothing usable.
    """
    told_hooks = _mapping(told.get("hooks"))
    hooks = frozenset(name for name in HOOKS if told_hooks.get(name) is True)
    value, calls = told.get("value"), _mapping(told.get("calls"))
    if not told.get("setup"):
        if script.version == 3:
            raise ScriptError("The evalscript has no setup function, which version 3 needs. " + _KEYS)
        declared = _Old(script.sample_bands, 3, None)
    elif isinstance(value, Mapping) and "input" in value:
        return _read_v3(value, hooks, numbered=script.takes_sources_by_number), Samples.OBJECT
    elif isinstance(value, Mapping) and "components" in value:
        declared = _Old(_names(value["components"], "components"), None, value)
    elif "components" in calls:
        declared = _Old(_names(calls["components"], "setInputComponents"), calls.get("count", 3), None)
    else:
        raise ScriptError("The setup function of the evalscript declares no input. " + _KEYS)
    several = "filterScenes" in hooks or "preProcessScenes" in hooks or not script.reads_first_sample_only
    return declared.setup(hooks, Mosaicking.ORBIT if several else Mosaicking.SIMPLE), Samples.ARRAY


def body_setup(bands: Sequence[str], count: int) -> Setup:
    """The set-up of a script that is the body of a function of bands.

    :param count: Bands that it returns; 0 where that is not known.
    """
    number = min(count, 4) if count > 0 else 3
    return Setup(
        inputs=(Input(tuple(InputBand(band) for band in bands) or (InputBand(_NO_BAND),)),),
        outputs=(Output("default", _numbered(number)),),
    )


def changed_bands(setup: Setup, told: Any) -> Setup:
    """A set-up with the numbers of bands that `updateOutput` has left.

    :param told: {id: {"bands": number}}; None where there is no `updateOutput`.
    """
    if told is None:
        return setup
    outputs = []
    for output in setup.outputs:
        entry = _mapping(_mapping(told).get(output.id))
        bands = _bands(entry.get("bands", len(output.bands)), output.id)
        same = len(bands) == len(output.bands)
        outputs.append(output if same else Output(output.id, bands, output.sample_type, output.nodata))
    return Setup(setup.inputs, tuple(outputs), setup.hooks)


def _read_v3(value: Mapping[str, Any], hooks: frozenset[str], *, numbered: bool) -> Setup:
    """:param numbered: Whether the script asks for its sources by number; else inputs without a source are one."""
    mosaicking = _mosaicking(value.get("mosaicking"), Mosaicking.SIMPLE)
    given = value["input"]
    if not isinstance(given, list):
        given = [given]
    if all(isinstance(each, str) for each in given):
        given = [{"bands": given}]
    if not 1 <= len(given) <= MAX_INPUTS:
        raise ScriptError(f"The evalscript declares {len(given)} inputs: 1 to {MAX_INPUTS} may be.")
    inputs = _distinct([_input(each, mosaicking) for each in given])
    if not numbered and all(each.datasource is None and each.mosaicking is inputs[0].mosaicking for each in inputs):
        inputs = (_united(inputs),)
    outputs = value.get("output", {"bands": 3})
    return Setup(inputs, _outputs(outputs if isinstance(outputs, list) else [outputs], "bands"), hooks)


class _Old:
    """What V1 and V2 declare: bands, and numbers of output components."""

    def __init__(self, bands: Sequence[str], count: Any, value: Mapping[str, Any] | None) -> None:
        self.bands = bands
        self.count = count
        self.value = value

    def setup(self, hooks: frozenset[str], mosaicking: Mosaicking) -> Setup:
        """:param mosaicking: Where the script does not say it."""
        bands = tuple(InputBand(name) for name in dict.fromkeys(self.bands))
        if not bands:
            raise ScriptError("The evalscript reads no band. Declare its input in setup.")
        if self.value is None:
            outputs: tuple[Output, ...] = (Output("default", _bands(self.count, "default")),)
        else:
            mosaicking = _mosaicking(self.value.get("mosaicking"), mosaicking)
            given = self.value.get("output", [{"id": "default", "componentCount": 3}])
            outputs = _outputs(given if isinstance(given, list) else [given], "componentCount")
        return Setup((Input(bands, mosaicking=mosaicking),), outputs, hooks)


def _input(given: Any, default: Mosaicking) -> Input:
    if not isinstance(given, Mapping):
        raise ScriptError('An input of the evalscript is no object: write {bands: ["B04"]}.')
    names = _names(given.get("bands"), "bands")
    units = given.get("units")
    if not names:  # a script that looks at scenes only
        names, units = [_NO_BAND], None
    if isinstance(units, list) and len(units) == 1:
        units = units[0]
    if units is None or isinstance(units, str):
        units = [units] * len(names)
    if not isinstance(units, list) or len(units) != len(names):
        raise ScriptError("The units of an input are one for all of its bands, or a list with one for each band.")
    bands: dict[str, InputBand] = {}
    for name, unit in zip(names, units, strict=True):
        if unit is not None and not isinstance(unit, str):
            raise ScriptError(f'The unit of band {name} is no text: write "REFLECTANCE" or "DN".')
        bands.setdefault(name, InputBand(name, unit.upper()[:_LABEL] if unit else None))
    source = given.get("datasource")
    if source is not None and not (isinstance(source, str) and _SOURCE.fullmatch(source)):
        raise ScriptError("The datasource of an input is no id: letters, digits, dots, hyphens and underscores.")
    metadata = given.get("metadata") or []
    if not isinstance(metadata, list) or not all(isinstance(each, str) for each in metadata):
        raise ScriptError('The metadata of an input are a list of names: write metadata: ["bounds"].')
    return Input(
        bands=tuple(bands.values()),
        datasource=source,
        mosaicking=_mosaicking(given.get("mosaicking"), default),
        metadata=frozenset(each[:_LABEL] for each in metadata[:10]),
    )


def _united(inputs: Sequence[Input]) -> Input:
    """Inputs of one source, such as bands of several units, as one."""
    bands: dict[str, InputBand] = {}
    for each in inputs:
        for band in each.bands:
            if bands.setdefault(band.name, band).units != band.units:
                raise ScriptError(f"The evalscript reads band {band.name} in two units: name it once.")
    metadata = frozenset().union(*(each.metadata for each in inputs))
    return Input(tuple(bands.values()), mosaicking=inputs[0].mosaicking, metadata=metadata)


def _distinct(inputs: Sequence[Input]) -> tuple[Input, ...]:
    """Each source once."""
    sources = [each.datasource for each in inputs]
    twice = {each for each in sources if each is not None and sources.count(each) > 1}
    if twice:
        raise ScriptError(f"Two inputs have the datasource {min(twice)!r}: name it once, with all bands.")
    return tuple(inputs)


def _outputs(given: Sequence[Any], count: str) -> tuple[Output, ...]:
    if not 1 <= len(given) <= MAX_OUTPUTS:
        raise ScriptError(f"The evalscript declares {len(given)} outputs: 1 to {MAX_OUTPUTS} may be.")
    outputs = [_output(each, count) for each in given]
    ids = [each.id for each in outputs]
    twice = [each for each in ids if ids.count(each) > 1]
    if twice:
        raise ScriptError(f"Two outputs of the evalscript have the id {twice[0]!r}: give each its own.")
    return tuple(outputs)


def _output(given: Any, count: str) -> Output:
    if not isinstance(given, Mapping):
        raise ScriptError('An output of the evalscript is no object: write {id: "default", bands: 1}.')
    name = given.get("id", "default")
    if not isinstance(name, str) or not _ID.fullmatch(name) or name == "userdata":
        raise ScriptError(
            f"The id of an output is {str(name)[:_LABEL]!r}: letters, digits, dots, hyphens and underscores may be, not"
            " userdata."
        )
    kind = given.get("sampleType", "AUTO")
    if not isinstance(kind, str) or kind.upper() not in SampleType.__members__:
        known = ", ".join(SampleType.__members__)
        raise ScriptError(f"The sampleType of output {name!r} is {str(kind)[:_LABEL]!r}: there are {known}.")
    default = 3 if count == "componentCount" else 1
    return Output(
        id=name,
        bands=_bands(given.get(count, default), name),
        sample_type=SampleType[kind.upper()],
        nodata=_nodata(given.get("nodataValue"), name),
    )


def _bands(given: Any, output: str) -> tuple[str, ...]:
    """:param given: A number, or names."""
    if isinstance(given, list):
        names = [each if isinstance(each, str) else str(each) for each in given]
        if not 1 <= len(names) <= MAX_BANDS or len(set(names)) != len(names):
            raise ScriptError(f"Output {output!r} has {len(names)} bands: 1 to {MAX_BANDS} may be, of different names.")
        if not all(0 < len(each) <= _LABEL and each.isprintable() for each in names):
            raise ScriptError(f"A band of output {output!r} has a name that is empty, long or cannot be printed.")
        return tuple(names)
    number = given
    if isinstance(number, str) and number.strip().isdigit() and len(number) < 9:
        number = int(number)
    whole = isinstance(number, (int, float)) and not isinstance(number, bool) and float(number).is_integer()
    if not whole or not 0 <= number <= MAX_BANDS:
        raise ScriptError(
            f"Output {output!r} has {str(given)[:_LABEL]} bands: write a number up to {MAX_BANDS}, or names."
        )
    return _numbered(max(int(number), 1))  # as many bands as scenes, of which there are none: no data


def _numbered(count: int) -> tuple[str, ...]:
    return tuple(f"B{i}" for i in range(count))


def _nodata(given: Any, output: str) -> float | None:
    if given is None:
        return None
    try:
        value = float(given)
    except (TypeError, ValueError):
        raise ScriptError(f"The nodataValue of output {output!r} is no number.") from None
    if math.isinf(value):
        raise ScriptError(f"The nodataValue of output {output!r} is infinite: no file can say that.")
    return value


def _mosaicking(given: Any, default: Mosaicking) -> Mosaicking:
    if given is None:
        return default
    if not isinstance(given, str) or given.upper() not in Mosaicking.__members__:
        known = ", ".join(Mosaicking.__members__)
        raise ScriptError(f"The mosaicking of the evalscript is {str(given)[:_LABEL]!r}: there are {known}.")
    return Mosaicking[given.upper()]


def _names(given: Any, where: str) -> list[str]:
    if isinstance(given, str):
        given = [given]
    if not isinstance(given, list) or not all(isinstance(each, str) and _BAND.fullmatch(each) for each in given):
        raise ScriptError(f'The evalscript has something else than names of bands in {where}: write ["B04", "B08"].')
    if len(given) > MAX_INPUT_BANDS:
        raise ScriptError(f"The evalscript reads {len(given)} bands of one source: at most {MAX_INPUT_BANDS} may be.")
    return list(given)


def _mapping(given: Any) -> Mapping[str, Any]:
    return given if isinstance(given, Mapping) else {}
