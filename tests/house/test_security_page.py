"""The page that tells the bounds of reading tells all of them, as they are."""

from __future__ import annotations

from eotasks.limits import LIMITS
from tests import ROOT


def test_each_bound_is_on_the_page_as_it_is() -> None:
    page = (ROOT / "docs" / "security.md").read_text()
    rows = [f"| `{limit.variable}` | {limit.default:,} | {limit.reason} |" for limit in LIMITS]
    assert [line for line in page.splitlines() if line.startswith("| `EOTASKS_MAX_")] == rows
