"""The place of results: figures, samples, picture, page; what an earlier comparison left there is replaced."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from eotasks.storage.place import Place
from eotasks.workflows.compare_mask_sources.pictures import comparison_figure
from eotasks.workflows.compare_mask_sources.report import build_report, save_picture
from eotasks.workflows.compare_mask_sources.run import Comparison
from eotasks.workflows.compare_mask_sources.tables import KIND, figures_json, memory_csv, runs_csv
from eotasks.workflows.report.place import claim_place

FIGURES, RUNS, MEMORY, PICTURE, REPORT = "figures.json", "runs.csv", "memory.csv", "comparison.png", "report.html"


def claim_results(location: str | Path) -> Place:
    """The place for results, as `claim_place` has it."""
    return claim_place(location, file=FIGURES, is_ours=_is_ours, what="a comparison")


def _is_ours(content: Mapping[str, object]) -> bool:
    return content.get("comparison") == KIND


def write_results(comparison: Comparison, place: Place) -> str:
    """Write everything, the page last.

    :return: Path or S3 location of the page.
    :raises StorageError: when the place cannot be written.
    """
    place.write_bytes(FIGURES, figures_json(comparison).encode())
    place.write_bytes(RUNS, runs_csv(comparison).encode())
    place.write_bytes(MEMORY, memory_csv(comparison).encode())
    figure = comparison_figure(comparison)
    with place.writing(PICTURE) as temporary:
        save_picture(figure, temporary)
    return str(build_report(comparison, figure).save(f"{place}/{REPORT}"))
