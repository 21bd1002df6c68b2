"""What both sides of the benchmark share: the steps, what each of them gets, and how a run is set up.

Nothing heavy is imported here: the process that compares reads it too.
"""

from __future__ import annotations

import datetime as dt
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Side = Literal["ours", "eo-learn"]
SIDES: tuple[Side, Side] = ("ours", "eo-learn")

YEAR = 2017
STEP_DAYS = 15
SAMPLED_FRACTION = 0.25
SEED = 42
THRESHOLD, AVERAGE_OVER, DILATION_SIZE = 0.4, 4, 2
"""Of the cloud mask: the defaults of both sides."""

CLOUD_RESOLUTION = 160
"""Metres at which the embedded example computes its cloud probability."""

MODEL_BANDS = ("B02", "B03", "B04", "B08", "B11", "B12")
INDEX_NAMES = ("NDVI", "NDWI", "NDBI")


@dataclass(frozen=True)
class StepInput:
    """What a step starts from: the same for both sides."""

    stage: str
    """The prepared patch."""

    features: tuple[str, ...]
    """Names of the features it gets of that patch."""


STEPS: dict[str, StepInput] = {
    "cloud probability": StepInput("observed", ("BANDS", "IS_DATA")),
    "cloud probability 160 m": StepInput("observed", ("BANDS", "IS_DATA")),
    "cloud mask": StepInput("observed", ("CLP", "IS_DATA")),
    "valid data + count": StepInput("observed", ("CLM", "IS_DATA")),
    "indices": StepInput("observed", ("BANDS",)),
    "labels from vectors": StepInput("observed", ("IS_DATA",)),
    "filter": StepInput("kept", ("BANDS", *INDEX_NAMES, "IS_VALID", "LULC")),
    "merge": StepInput("filtered", ("BANDS", *INDEX_NAMES)),
    "resample in time": StepInput("filtered", ("FEATURES", "IS_VALID", "LULC")),
    "erode": StepInput("resampled", ("LULC",)),
    "sample": StepInput("resampled", ("FEATURES", "LULC_ERODED")),
    "train": StepInput("samples", ("FEATURES_SAMPLED", "LULC_ERODED_SAMPLED")),
    "predict": StepInput("resampled", ("FEATURES",)),
    "export": StepInput("resampled", ("PREDICTION",)),
    "save": StepInput("resampled", ("FEATURES", "LULC", "LULC_ERODED")),
    "load": StepInput("resampled", ()),
}
"""In the order of the chain. "load" reads what "save" of its own side wrote."""

ALTERNATIVES = ("cloud probability 160 m",)
"""Steps that stand in for the one before them, so they do not count in the sum."""

SAMPLES_STAGE = "samples"
"""The stage with the samples of all patches together; the others have one patch each."""


@dataclass(frozen=True)
class Setup:
    """One run of the benchmark; it travels to the processes."""

    folder: Path
    patch_size: int = 256
    patches: int = 1
    dates: int = 12
    resolution: float = 20
    rounds: int = 100
    threads: int = 1
    calls: int = 9
    """A short step is called up to this often and counts with its fastest call: the others met something else on the
    machine. Its memory is that of the first call."""

    @property
    def reference(self) -> Path:
        """The polygons with class ids."""
        return self.folder / "reference.gpkg"

    def stage(self, name: str, patch: int) -> Path:
        """A prepared patch."""
        return self.folder / f"{name}-{patch}.pickle"

    def outcome(self, side: Side, step: str, patch: int) -> Path:
        """What a step of a side made of a patch."""
        return self.folder / f"{side}-{step.replace(' ', '-')}-{patch}.npz"

    def patches_of(self, step: str) -> range:
        """Numbers of the patches that a step works on."""
        return range(1 if STEPS[step].stage == SAMPLES_STAGE else self.patches)


@dataclass(frozen=True)
class Prepared:
    """What came of the preparation."""

    frames: int
    min_valid_fraction: float
    samples: int
    classes: int
    versions: dict[str, str]


@dataclass(frozen=True)
class Measured:
    """One step on one side, over all patches."""

    seconds: float
    """Wall time: the sum over the patches."""

    cpu_seconds: float
    """CPU time of the process likewise; what else runs on the machine hardly changes it."""

    memory_mb: float
    """Highest resident memory above what the process held when the step began."""

    peak_mb: float
    """Highest resident memory of the process."""

    first_seconds: float | None
    """The very first call of the process, on a corner of a patch: imports, compilation, loading of weights."""


def effective_hours(times: Sequence[dt.datetime], targets: Sequence[dt.datetime]) -> tuple[list[float], list[float]]:
    """Observation and target times in hours as eo-learn 1.5.7's interpolation takes them.

    Observations count from the first one and are rounded to hours. Targets count from the first target, plus the whole
    days between the two dates: the time of day of the first observation is dropped from their distance.
    """
    hour = 3600
    observed = [round((time - times[0]).total_seconds() / hour) for time in times]
    offset = int((targets[0].date() - times[0].date()).total_seconds()) // hour
    wanted = [round((time - targets[0]).total_seconds() / hour) + offset for time in targets]
    return [float(value) for value in observed], [float(value) for value in wanted]


def write_pickle(path: Path, value: object) -> None:
    """Keep an object for the other processes of this run."""
    with path.open("wb") as file:
        pickle.dump(value, file, protocol=5)


def read_pickle(path: Path) -> Any:
    """What `write_pickle` kept."""
    with path.open("rb") as file:
        return pickle.load(file)
