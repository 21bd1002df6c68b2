"""Settings that several tasks check."""

from __future__ import annotations

import pytest

from eotasks.errors import ConfigurationError
from eotasks.models.checks import check_number


@pytest.mark.parametrize(
    "value",
    [10**400, -(10**400), float("nan"), True, "1", None],
    ids=["large", "small", "nan", "a truth", "a text", "none"],
)
def test_what_is_no_number_between_limits(value: object) -> None:
    with pytest.raises(ConfigurationError, match="is no share: give a number from 0 to 1"):
        check_number(value, "most", "share", lowest=0, highest=1)
