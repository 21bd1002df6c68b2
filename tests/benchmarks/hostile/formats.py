"""All formats that are read."""

from __future__ import annotations

from tests.benchmarks.hostile import catalogues, models, patches, products, runs
from tests.benchmarks.hostile.format import Format

FORMATS: dict[str, Format] = {
    each.name: each
    for each in (*products.FORMATS, *catalogues.FORMATS, *patches.FORMATS, *models.FORMATS, *runs.FORMATS)
}
