from __future__ import annotations

import pytest

from eotasks.errors import ConfigurationError
from eotasks.limits import LIMITS, METADATA_BYTES, PRODUCT_FILES, Limit


def test_the_environment_sets_another_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    assert METADATA_BYTES.variable == "EOTASKS_MAX_METADATA_BYTES"
    assert METADATA_BYTES.value == METADATA_BYTES.default
    monkeypatch.setenv("EOTASKS_MAX_METADATA_BYTES", " 5000 ")
    assert METADATA_BYTES.value == 5000
    assert METADATA_BYTES.excess(6000) == (
        "6,000, more than 5,000 metadata bytes (EOTASKS_MAX_METADATA_BYTES allows more)"
    )
    assert PRODUCT_FILES.excess() == "more than 20,000 product files (EOTASKS_MAX_PRODUCT_FILES allows more)"


@pytest.mark.parametrize("text", ["0", "-1", "many", "1e9", "²", "1.5", "9" * 4000, "inf"])
def test_a_bound_that_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("EOTASKS_MAX_METADATA_BYTES", text)
    with pytest.raises(ConfigurationError, match="EOTASKS_MAX_METADATA_BYTES"):
        _ = METADATA_BYTES.value


def test_each_bound_has_a_name_of_its_own() -> None:
    assert len({limit.variable for limit in LIMITS}) == len(LIMITS)
    assert all(isinstance(limit, Limit) and limit.reason for limit in LIMITS)
