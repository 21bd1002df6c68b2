"""One V8 isolate with the prelude in it: what of it Python calls, and what comes back."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib import resources
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import MissingDependencyError
from eotasks.extras import install_line
from eotasks.service.errors import EngineError, ScriptError, TooLargeError

if TYPE_CHECKING:
    from py_mini_racer import MiniRacer

_FILES = ("constants", "helpers", "colours", "visualizers", "intrinsics", "scenes", "driver")
"""In the order in which they build on one another: `prelude/NAME.js`."""

_FLAGS = ("--no-turboshaft",)
"""Of V8, beside those of py_mini_racer. Without threads of its own (`--single-threaded`, which py_mini_racer sets) the
newer compiler of V8 14.4 calls Math.round and its like, which the older one has in place. A V8 that knows no such flag
goes on without it, and without what comes behind it: so it is the last."""

_FUNCTIONS = ("mailbox", "allocate", "results", "declare", "arrange", "probe", "execute")
_LINE = re.compile(r"\bevalscript:(\d{1,7})")
_PARSED_LINE = re.compile(r"^<anonymous>:(\d{1,7}): (?:Uncaught )?([^\n]*)")
_THROWN_LINE = re.compile(r"^evalscript:(\d{1,7}): (?:Uncaught )?([^\n]*)")
_OUR_FRAME = re.compile(r"\s*\b(?:service|<anonymous>):\d+(?::\d+)?")
_MESSAGE = 500
_TAMPERED = "The evalscript has changed what it was run with. Leave the built-in objects as they are."


class PixelError(ScriptError):
    """A script that failed at a pixel."""


@cache
def prelude() -> str:
    """The JavaScript that an isolate begins with: one strict function of all files, which gives the driver's."""
    folder = resources.files("eotasks.service.evalscript") / "prelude"
    files = [(folder / f"{name}.js").read_text(encoding="utf-8") for name in _FILES]
    return "(() => {'use strict';\n" + "\n".join(files) + "\n})()\n//# sourceURL=service"


def start_engine(flags: tuple[str, ...] = ()) -> None:
    """Load V8 into this process; a second call does nothing.

    :param flags: Of V8, such as "--jitless"; only those of the first call count.
    :raises MissingDependencyError: when py_mini_racer is not installed.
    """
    try:
        from py_mini_racer import DEFAULT_V8_FLAGS, init_mini_racer
    except ImportError as error:
        raise MissingDependencyError(f"Evalscripts need mini-racer: {install_line('service')}") from error
    init_mini_racer(flags=(*DEFAULT_V8_FLAGS, *flags, *_FLAGS), ignore_duplicate_init=True)


class Context:
    """A world for one script. What a script does in it ends with it. It is made and used in the thread of a running
    event loop, and waits there: so a call changes threads twice, not four times, and needs no thread of its own.

    Nothing is given to the driver as an argument, and nothing but ASCII, well-formed JSON and buffers comes back:
    a script can catch arguments on their way, and what py_mini_racer cannot turn into a Python object hangs it.
    """

    def __init__(self, *, heap_bytes: int | None = None) -> None:
        """:param heap_bytes: Of V8's heap, without buffers; more ends the script."""
        from py_mini_racer import MiniRacer

        self._racer: MiniRacer = MiniRacer()
        if heap_bytes is not None:
            self._racer.set_hard_memory_limit(heap_bytes)
        driver: Any = self._racer.eval(prelude())
        self._functions: dict[str, Any] = {name: driver[name] for name in _FUNCTIONS}
        memory = self._bytes("mailbox")
        self._mailbox = memory[8:]
        self.progress: NDArray[np.float64] = memory[:8].view(np.float64)
        """Pixels that are done; may be read by other threads while a script runs."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the isolate. Arrays of its buffers must not be used from then on."""
        self._mailbox = np.zeros(0, np.uint8)
        self.progress = np.zeros(1)
        self._racer.close()

    def load(self, code: str) -> None:
        """Run a text as a Script.

        :raises ScriptError: when it does not parse or throws; says the line.
        """
        self._evaluate(f"{code}\n;0\n//# sourceURL=evalscript")

    def parses(self, code: str) -> bool:
        """Whether a function of this body is JavaScript; it is not called."""
        from py_mini_racer import JSParseException

        try:
            self._racer.eval(f"(function () {{{code}\n}});0")
        except JSParseException:
            return False
        return True

    def is_script(self, code: str) -> bool:
        """Whether a text is JavaScript, and has no `return` but in functions; it is not run."""
        text = json.dumps(f"throw 0;{code}")
        told = self._racer.eval(
            f"(() => {{ try {{ eval({text}); }} catch (error) {{ return !(error instanceof SyntaxError); }} }})()"
        )
        return told is True

    def call(self, name: str, letter: Any = None) -> Any:
        """Call a function of the driver.

        :param letter: JSON, for those that read the mailbox.
        :return: What it answers: JSON.
        :raises ScriptError: when the script fails in it.
        """
        if letter is not None:
            self._post(json.dumps(letter, separators=(",", ":"), allow_nan=False))
        return _answered(self._invoke(name))

    def buffer(self, size: int) -> NDArray[np.uint8]:
        """Memory of the isolate, for pixels.

        :raises TooLargeError: when there is not as much.
        """
        self._post(str(size))
        answer = self._invoke("allocate")
        if not isinstance(answer, memoryview):
            _answered(answer)
        if not isinstance(answer, memoryview) or len(answer) != size:
            raise EngineError("The engine of evalscripts gave no buffer.")
        return np.frombuffer(answer, np.uint8)

    def results(self, size: int) -> NDArray[np.uint8]:
        """The buffer of the results. Valid until the context is closed.

        :raises ScriptError: when it has not the size that it should.
        """
        answer = self._bytes("results")
        if len(answer) != size:
            raise ScriptError(_TAMPERED)
        return answer

    def _bytes(self, name: str) -> NDArray[np.uint8]:
        answer = self._invoke(name)
        if not isinstance(answer, memoryview):
            raise EngineError("The engine of evalscripts gave no buffer.")
        return np.frombuffer(answer, np.uint8)

    def _post(self, text: str) -> None:
        letter = np.frombuffer(f"{len(text)}\n{text}".encode("ascii"), np.uint8)
        if len(letter) > len(self._mailbox):
            raise TooLargeError(
                f"What the evalscript is told of its scenes takes {len(text):,} bytes. Ask for a shorter time."
            )
        self._mailbox[: len(letter)] = letter

    def _evaluate(self, code: str) -> Any:
        from py_mini_racer import JSEvalException

        try:
            return self._racer.eval(code)
        except JSEvalException as error:
            raise self._script_error(error) from None

    def _invoke(self, name: str) -> Any:
        from py_mini_racer import JSEvalException

        try:
            return self._functions[name]()
        except JSEvalException as error:
            raise self._script_error(error) from None

    def _script_error(self, error: Exception) -> ScriptError:
        """An exception that left the script, without what V8 says of the places."""
        from py_mini_racer import JSOOMException, JSParseException

        text = str(error)
        if isinstance(error, JSOOMException) or self._racer.was_hard_memory_limit_reached():
            return ScriptError("The evalscript takes more memory than it may. Keep less of it between pixels.")
        found = _THROWN_LINE.search(text) or _PARSED_LINE.search(text)
        if found is None:
            return ScriptError("The evalscript was ended. Make it do less.")
        line, message = int(found.group(1)), found.group(2)
        if isinstance(error, JSParseException):
            return ScriptError(f"The evalscript is no JavaScript: line {line}: {message[:_MESSAGE]}. Mend it there.")
        return ScriptError(failure(message, line))


def _answered(answer: Any) -> Any:
    try:
        told = json.loads(answer)
    except (TypeError, ValueError, RecursionError):
        raise ScriptError("The evalscript gives something that is no JSON, or too deep. Give plain objects.") from None
    if not isinstance(told, dict):
        raise ScriptError(_TAMPERED)
    if "error" not in told:
        return told.get("ok")
    error = told["error"]
    if not isinstance(error, dict):
        error = {}
    if error.get("kind") == "large":
        raise ScriptError("What the evalscript gives besides pixels is more than 4 MB. Give less.")
    if error.get("kind") == "memory":
        raise TooLargeError("There is no memory for the pixels of the evalscript. Ask for fewer pixels or bands.")
    found = _LINE.search(str(error.get("stack", "")))
    message = failure(str(error.get("message", "")), int(found.group(1)) if found else None)
    raise PixelError(message) if error.get("stage") == "pixels" else ScriptError(message)


def failure(message: str, line: int | None = None) -> str:
    """What is said of a script that failed: where, what, and that it is the script."""
    where = f" in line {line}" if line is not None else ""
    what = " ".join(_OUR_FRAME.sub("", message).split())[:_MESSAGE] or "something that has no text was thrown"
    return f"The evalscript fails{where}: {what}. Mend it there."
