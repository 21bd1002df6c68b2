"""How far a build is: of one that takes more than one batch what was there, what is done and what is left, of all
products; of one that makes masks anew that it has not come to its end.
"""

from __future__ import annotations

import json

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eotasks.documents import parse_json_object, refuse_many_values
from eotasks.storage.place import Place
from eotasks.workflows.batch.progress import StageProgress

BUILD_FILE = "build.json"
"""Its name in an archive."""

ANEW_FILE = "anew.json"
"""There while masks are being made anew, and after a run that was killed then: what the catalogue says of them may not
hold, since a product that was being written has lost masks that are as they were to be.
"""

_UNKNOWN = "unknown"
_VERSION = 1
_MOST = 1 << 53


class BuildTotals(BaseModel):
    """Contents of ``build.json``: a build before its present batch."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = Field(_VERSION, ge=_VERSION, le=_VERSION)
    products: int = Field(ge=0, le=_MOST)
    """Of the source, as they were counted at first: those that others stand for are among them."""

    kept: int = Field(0, ge=0, le=_MOST)
    """Whose masks were there."""

    done: int = Field(0, ge=0, le=_MOST)
    failed: int = Field(0, ge=0, le=_MOST)

    def write(self, place: Place) -> None:
        """Write them to an archive.

        :raises StorageError: when that cannot be done.
        """
        place.write_bytes(BUILD_FILE, (self.model_dump_json() + "\n").encode())

    def with_batch(self, batch: StageProgress) -> BuildTotals:
        """With what the present batch has done so far."""
        return self.model_copy(
            update={
                "kept": self.kept + batch.count("skipped"),
                "done": self.done + batch.count("done"),
                "failed": self.failed + len(batch.missing),
            }
        )

    @property
    def left(self) -> int:
        """Products that are not looked at yet."""
        return max(0, self.products - self.kept - self.done - self.failed)


def read_totals(place: Place) -> BuildTotals | None:
    """Those of the last build of an archive; None where it took one batch, or they cannot be read.

    :raises StorageError: when the place cannot be reached.
    """
    found = place.read_if_there(BUILD_FILE)
    if found is None:
        return None
    try:
        content = parse_json_object(found[0], ValueError)
        refuse_many_values(content, ValueError)
        return BuildTotals.model_validate(content)
    except (ValueError, ValidationError):
        return None


def remove_totals(place: Place) -> None:
    """Removes those of an earlier build."""
    place.remove(BUILD_FILE)


def runs_anew(place: Place) -> frozenset[str]:
    """Runs that make masks anew, or did so and were killed or had failures; all that were noted, also by damaged files.

    :raises StorageError: when the place cannot be reached.
    """
    found = place.read_if_there(ANEW_FILE)
    if found is None:
        return frozenset()
    try:
        runs = parse_json_object(found[0], ValueError)["runs"]
        if not (isinstance(runs, list) and all(isinstance(run, str) for run in runs)):
            raise ValueError("no runs")
    except (KeyError, ValueError):
        return frozenset({_UNKNOWN})
    return frozenset(runs)


def begin_anew(place: Place, run: str) -> None:
    """Notes a run before it makes its first masks anew."""
    _write_runs(place, runs_anew(place) | {run})


def end_anew(place: Place, run: str) -> None:
    """Takes it out again when all that it took has its masks; what a damaged file said, too."""
    runs = runs_anew(place)
    if runs:
        _write_runs(place, runs - {run, _UNKNOWN})


def _write_runs(place: Place, runs: frozenset[str]) -> None:
    if runs:
        place.write_bytes(ANEW_FILE, (json.dumps({"runs": sorted(runs)}) + "\n").encode())
    else:
        place.remove(ANEW_FILE)
