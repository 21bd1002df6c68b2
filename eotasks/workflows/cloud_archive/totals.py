"""How far a build is that takes more than one batch: what was there, what is done and what is left, of all products."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eotasks.documents import parse_json_object, refuse_many_values
from eotasks.storage.place import Place
from eotasks.workflows.batch.progress import StageProgress

BUILD_FILE = "build.json"
"""Its name in an archive."""

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
