"""Reading label sets that are to be refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from eotasks.errors import EOTasksError, ReferenceDataError
from eotasks.reference.cloud_labels.registry import find_label_set


def refused(name: str, folder: Path, words: str = "") -> None:
    """When its frames are looked for, or when one is read: by one line of ours."""
    with pytest.raises(EOTasksError, match=words) as raised:
        read(name, folder)
    assert isinstance(raised.value, ReferenceDataError), repr(raised.value)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 3000


def read(name: str, folder: Path) -> None:
    for source in find_label_set(name).frames(folder):
        source.load()
