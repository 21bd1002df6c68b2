"""Tasks for the tests of batches: in a module of their own, since worker processes import them."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy as np
from eolearn.core import EOTask

from eotasks.errors import ReflectanceError, ScaleWarning
from eotasks.storage.temporary import OwnFolder
from eotasks.workflows.batch.ahead import Prepared

LOGGER = logging.getLogger("tests.faults")

ENVIRONMENT = ("EOTASKS_NUM_THREADS", "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "MARK")


class WriteFactsTask(EOTask):
    """Writes facts of the process it runs in to ``FOLDER/NAME.json``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def execute(self, *, name: str) -> str:
        facts = {
            "pid": os.getpid(),
            "thread": threading.current_thread().name,
            "environment": {key: os.environ.get(key) for key in ENVIRONMENT},
            "lightgbm_loaded": "lightgbm" in sys.modules,
        }
        (self.folder / f"{name}.json").write_text(json.dumps(facts))
        return name


class LeaveFilesTask(EOTask):
    """Leaves temporary files behind; "killed" ends its worker, too."""

    def execute(self, *, name: str) -> str:
        OwnFolder()
        with tempfile.NamedTemporaryFile(delete=False) as file:
            file.write(b"x")
        if name == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        return file.name


class PassOnTask(EOTask):
    """Hands its input on."""

    def execute(self, value: object) -> object:
        return value


class BehaveTask(EOTask):
    """Does what the name of its patch says."""

    def execute(self, *, name: str) -> np.ndarray:
        if name == "value_error":
            raise ValueError("two\nlines")
        if name.startswith("warns"):
            for text in ("numbers up to 100", "numbers up to 100", "no scale is named"):
                warnings.warn(f"BANDS of {name}: {text}.", ScaleWarning, stacklevel=2)
            warnings.warn("of a library", UserWarning, stacklevel=2)
        if name == "own_error":
            raise ReflectanceError("BANDS of p7: raw DN. Divide.")
        if name == "unpicklable_error":
            raise _StubbornError(threading.Lock())
        if name == "exit":
            os._exit(3)
        if name == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if name.startswith("noisy"):
            warnings.warn("nobody can act on this", UserWarning, stacklevel=1)
            logging.getLogger("tests.noise").warning("said in %s", name)
        if name == "noisy_error":
            raise ValueError("after words")
        if name == "noisy_killed":
            os.kill(os.getpid(), signal.SIGKILL)
        return np.ones(4)


class _StubbornError(Exception):
    def __init__(self, lock: object) -> None:
        super().__init__("stubborn")
        self.lock = lock


class FlagTask(EOTask):
    """Notes its calls in ``calls.txt``; fails while there is ``NAME.fails``, and kills once for ``NAME.kills``."""

    def __init__(self, folder: Path, option: int) -> None:
        self.folder = folder
        self.option = option

    def execute(self, *, name: str) -> None:
        with (self.folder / "calls.txt").open("a") as calls:
            calls.write(f"{name}\n")
        if (self.folder / f"{name}.fails").exists():
            raise ValueError(f"{name} fails")
        if (self.folder / f"{name}.kills").exists():
            (self.folder / f"{name}.kills").unlink()
            os.kill(os.getpid(), signal.SIGKILL)


class WaitTask(EOTask):
    """Says that it has begun by ``NAME.begun``, and goes on when there is ``go``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def execute(self, *, name: str) -> None:
        (self.folder / f"{name}.begun").touch()
        while not (self.folder / "go").exists():
            time.sleep(0.02)


class CallTask(EOTask):
    """Calls a function."""

    def __init__(self, function: Callable[[], object]) -> None:
        self.function = function

    def execute(self) -> object:
        return self.function()


class AllocateTask(EOTask):
    """Holds an array of some megabytes for a moment."""

    def __init__(self, megabytes: int) -> None:
        self.megabytes = megabytes

    def execute(self, value: object = None) -> int:
        return int(np.ones(self.megabytes * 1024**2, dtype=np.uint8).sum() > 0)


class PredictTask(EOTask):
    """Predicts with a LightGBM model file and writes the predictions."""

    def __init__(self, model: Path, folder: Path) -> None:
        self.model = model
        self.folder = folder

    def execute(self, *, name: str, seed: int) -> str:
        loaded_before = "lightgbm" in sys.modules
        import lightgbm

        features = np.random.default_rng(seed).random((500, 8))
        booster = lightgbm.Booster(model_file=str(self.model))
        np.savez(self.folder / name, scores=booster.predict(features), loaded_before=loaded_before)
        return name


def not_rebuilt(error: type[Exception]) -> object:
    raise error("made only where it was born")


class UnrebuildableTask(EOTask):
    """Pickles, but cannot be unpickled.

    :param error: What unpickling raises.
    """

    def __init__(self, error: type[Exception] = RuntimeError) -> None:
        self.error = error

    def execute(self) -> None:
        return None

    def __reduce__(self) -> tuple[Callable[[type[Exception]], object], tuple[type[Exception]]]:
        return not_rebuilt, (self.error,)


class TwoArgumentsError(Exception):
    """Pickles, and cannot be unpickled."""

    def __init__(self, one: object, two: object) -> None:
        super().__init__(f"{one} and {two}")


class MuteError(Exception):
    """Cannot be printed."""

    def __str__(self) -> str:
        raise RuntimeError("nothing to say")

    __repr__ = __str__


class LeavingError(Exception):
    """Ends the process that prints it."""

    def __str__(self) -> str:
        raise SystemExit(7)

    __repr__ = __str__


class DeadlyError(Exception):
    """Ends the process that unpickles it."""

    def __reduce__(self) -> tuple[Callable[[int], NoReturn], tuple[int]]:
        return os._exit, (9,)


class Unprintable:
    """A value whose text cannot be made."""

    def __repr__(self) -> str:
        raise RuntimeError("no text")


class Unrebuildable:
    """An argument that pickles, and fails where it is unpickled."""

    def __init__(self, error: type[BaseException] = RuntimeError) -> None:
        self.error = error

    def __reduce__(self) -> tuple[Callable[[type[BaseException]], object], tuple[type[BaseException]]]:
        return fail, (self.error,)


def fail(error: type[BaseException]) -> NoReturn:
    raise error("made only where it was born")


def of_a_module_that_only_the_worker_has() -> type[Exception]:
    """An exception class of a module that exists in this process alone."""
    module = types.ModuleType("made_in_a_worker")
    module.MadeError = type("MadeError", (Exception,), {"__module__": module.__name__})  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module
    return module.MadeError  # type: ignore[no-any-return, attr-defined]


def deep(level: int = 0) -> int:
    return deep(level + 1) + 1


def _because(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


RAISED: dict[str, Callable[[], BaseException]] = {
    "two arguments": lambda: TwoArgumentsError(1, 2),
    "of the worker only": lambda: of_a_module_that_only_the_worker_has()("made here"),
    "mute": MuteError,
    "leaving": LeavingError,
    "deadly": lambda: DeadlyError("unpickle me"),
    "system exit": lambda: SystemExit(3),
    "interrupt": lambda: KeyboardInterrupt("not by the user"),
    "wrapped interrupt": lambda: _because(RuntimeError("error while a class was made"), KeyboardInterrupt()),
    "generator exit": GeneratorExit,
    "memory": lambda: MemoryError("all gone"),
    "undecodable": lambda: ValueError("cannot read " + os.fsdecode(b"/data/m\xfcnchen.tif")),
    "long": lambda: ValueError("x" * 3_000_000),
    "group": lambda: ExceptionGroup("several", [ValueError("one"), TwoArgumentsError(1, 2)]),
    "large number": lambda: ValueError(10**5000),
}
"""What a patch raises by its name."""

LOGGED: dict[str, Callable[[], None]] = {
    "log extra": lambda: LOGGER.warning("by extra", extra={"error": TwoArgumentsError(1, 2), "count": 3}),
    "log mute": lambda: LOGGER.warning("by argument %s", MuteError()),
    "log arguments": lambda: LOGGER.warning("%d items", "many"),
    "log key": lambda: LOGGER.warning("%(absent)s", {"present": 1}),
    "log message": lambda: LOGGER.warning(Unprintable()),
    "log undecodable": lambda: LOGGER.warning("read %s", os.fsdecode(b"m\xfc.tif")),
    "log long": lambda: LOGGER.warning("%s", "y" * 5_000_000),
}
"""What a patch that is well logs by its name."""


class FaultTask(EOTask):
    """Does what its patch is named after."""

    def execute(self, *, name: str, value: object = None) -> object:
        if name in RAISED:
            LOGGER.warning("about to raise")
            raise RAISED[name]()
        if name in LOGGED:
            LOGGED[name]()
        if name == "recursion":
            return deep()
        if name == "descriptors":
            self.held = []
            while True:
                self.held.append(os.open(os.devnull, os.O_RDONLY))
        if name == "twice":
            os.fork()  # both go on as the worker
        if name == "pool":
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                return pool.apply(abs, (-3,))
        if name == "unprintable result":
            return Unprintable()
        if name == "closes all":
            os.closerange(3, 256)
        if name == "writes anywhere":
            for descriptor in range(3, 64):
                try:
                    os.write(descriptor, b"\x00\x00\x00\x05hello\x7f\xff\xff\xff")
                except OSError:
                    continue
            time.sleep(1)
        return None


class HangTask(EOTask):
    """``hang`` and ``native`` never end, ``stopped`` stops its process, ``fork`` starts children all the time;
    ``orphan`` dies with a child that stays. Children are files named by their process id.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def execute(self, *, name: str) -> None:
        if name == "hang":
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            (self.folder / str(child.pid)).touch()
            child.wait()
        if name == "fork":
            for _ in range(200):
                if os.fork() == 0:
                    (self.folder / str(os.getpid())).touch()
                    time.sleep(60)
                    os._exit(0)
                time.sleep(0.05)
        if name == "stopped":
            os.kill(os.getpid(), signal.SIGSTOP)
        if name == "orphan":
            if os.fork() == 0:
                time.sleep(60)
                os._exit(0)
            os.kill(os.getpid(), signal.SIGKILL)


class PreparingTask(EOTask):
    """Prepares patches before their turn, and writes whether it has. "deadly" ends the process that prepares or runs
    it, "faulty" cannot be prepared, "warning" warns when it is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def prepare(self, *, name: str) -> str:
        if name == "deadly":
            os.kill(os.getpid(), signal.SIGKILL)
        if name == "faulty":
            raise ReflectanceError("faulty: cannot be prepared.")
        if name == "warning":
            warnings.warn("warning: prepared", ScaleWarning, stacklevel=1)
        return name

    def execute(self, *, name: str, prepared: Prepared[str] | None = None) -> None:
        made = self.prepare(name=name) if prepared is None else prepared.result()
        time.sleep(0.1)
        (self.folder / name).write_text(f"{made} {'prepared' if prepared is not None else 'not prepared'}")
