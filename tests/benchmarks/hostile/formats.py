"""All formats that are read."""

from __future__ import annotations

from tests.benchmarks.hostile.format import Format
from tests.benchmarks.hostile.readers import (
    archives,
    catalogues,
    labels,
    models,
    patches,
    products,
    runs,
    services,
    tables,
    vectors,
)

FORMATS: dict[str, Format] = {
    each.name: each
    for module in (products, catalogues, patches, models, runs, labels, tables, vectors, archives, services)
    for each in module.FORMATS
}
