"""Which of the items that are added and those that are there stay: the rule of every catalogue."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eotasks.catalogue.fields import baseline_of
from eotasks.catalogue.packages import package

if TYPE_CHECKING:
    import pyarrow as pa
    import pystac


@dataclass(frozen=True)
class CatalogueUpdate:
    """What an addition did."""

    added: tuple[str, ...]
    """Items that were not there."""

    replaced: tuple[str, ...]
    """Items that were there, of the same or an older baseline."""

    kept: tuple[str, ...]
    """Items that were there, of a newer baseline than the one given."""


def newest(items: Iterable[pystac.Item]) -> dict[str, pystac.Item]:
    """Items by id; of two the one of the newer baseline, else the later."""
    found: dict[str, pystac.Item] = {}
    for item in items:
        if item.id not in found or (baseline_of(item) or "") >= (baseline_of(found[item.id]) or ""):
            found[item.id] = item
    return found


def update_of(there: Mapping[str, str], given: Mapping[str, str]) -> CatalogueUpdate:
    """What becomes of items that are given.

    :param there: Baselines of the items that are there and are not taken out, by id; those given suffice.
    :param given: The same of those given, each id once.
    """
    kept = {name for name, baseline in given.items() if name in there and there[name] > baseline}
    return CatalogueUpdate(
        added=tuple(name for name in given if name not in there),
        replaced=tuple(name for name in given if name in there and name not in kept),
        kept=tuple(sorted(kept)),
    )


def baselines(table: pa.Table) -> dict[str, str]:
    """Baselines of the items of a table by id. The newest of each id: a file that others have changed may have one
    twice.
    """
    names, values = table.column("id").to_pylist(), table.column("s2:processing_baseline").to_pylist()
    found: dict[str, str] = {}
    for name, baseline in zip(names, values, strict=True):
        found[name] = max(found.get(name, ""), baseline or "")
    return found


def without(table: pa.Table, names: Collection[str]) -> pa.Table:
    """A table without the items of some ids."""
    if not names:
        return table
    pa = package("pyarrow")
    gone = frozenset(names)
    return table.filter(pa.array([name not in gone for name in table.column("id").to_pylist()], type=pa.bool_()))
