"""What several modules of tests ask of a refusal."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from eotasks.errors import (
    EOTasksError,
)

OUTSIDE = ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+00:01")
"""Times that lie in no year from 1 to 9999, in UTC."""


def refuses(read: Callable[[], object], *words: str) -> None:
    """By an error of ours, in one line that is not endless."""
    with pytest.raises(EOTasksError) as raised:
        read()
    message = str(raised.value)
    assert type(raised.value) is not EOTasksError
    assert "\n" not in message
    assert len(message) < 3000
    assert all(word in message for word in words)
