"""Tasks for the tests of batches: in a module of their own, since worker processes import them."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from eolearn.core import EOTask

from eotasks.errors import ReflectanceError
from eotasks.storage.temporary import OwnFolder

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
