"""A worker of the service whose scripts are Python: what a script that has taken over the engine could do.

`EnginePool(..., module=__name__)` starts it. It confines itself as the real one does, V8 included where a script asks
for it, and then runs what it gets.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from eotasks.service.errors import ScriptError
from eotasks.service.evalscript.engine import Description, Evaluated
from eotasks.service.evalscript.planes import Pixels, SourcePixels
from eotasks.service.evalscript.setup import Input, InputBand, Output, SampleType, Setup
from eotasks.service.evalscript.workers.main import serve

SETUP = Setup((Input((InputBand("B04"),)),), (Output("default", ("B0",), SampleType.FLOAT32),))


class PythonWorld:
    """Runs scripts of Python with `report`, which fails with what it is given, as JSON."""

    def __init__(self) -> None:
        self.done = 0

    def prepare(self) -> None:
        """Nothing to prepare."""

    def room(self, sizes: Sequence[int]) -> list[Any]:
        """Memory of its own."""
        return [np.empty(size, np.uint8) for size in sizes]

    def describe(self, script: str, sources: Sequence[SourcePixels] = ()) -> Description:
        """The set-up of all scripts."""
        self._run(script)
        return Description(SETUP, tuple(tuple(range(len(source.scenes))) for source in sources))

    def evaluate(self, script: str, pixels: Pixels, *, auto: SampleType = SampleType.AUTO) -> Evaluated:
        """What the script names `answer`; else the mean of the first scene's planes."""
        found = self._run(script, pixels, auto)
        if found:
            return found  # type: ignore[no-any-return]  # as the script has it
        mean = np.mean([plane.values[0] for plane in pixels.sources[0].planes], 0, np.float32)
        return Evaluated({"default": np.asarray(mean)[..., None]})

    def _run(self, script: str, pixels: Pixels | None = None, auto: SampleType | None = None) -> Any:
        if script.startswith(("//", "return")):  # the worker's own, which are JavaScript
            return None
        names = {"world": self, "auto": auto, "pixels": pixels, "report": _report, "Evaluated": Evaluated, "np": np}
        exec(script, names)
        return names.get("answer")


def _report(value: object) -> None:
    raise ScriptError(json.dumps(value))


def main(options: Mapping[str, Any]) -> None:
    """Run it; does not return."""
    serve(options, PythonWorld())


class V8World(PythonWorld):
    """The same in a process in which V8 runs."""

    def __init__(self) -> None:
        super().__init__()
        self.javascript("1 + 1")

    @staticmethod
    def javascript(text: str) -> Any:
        """The value of an expression, in a new isolate."""
        from py_mini_racer import MiniRacer

        with MiniRacer() as racer:
            return racer.eval(text)
