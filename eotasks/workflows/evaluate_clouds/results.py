"""The place of results: numbers, pictures, report; what an earlier evaluation left there is replaced."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from eotasks.storage.place import Place
from eotasks.workflows.evaluate_clouds.comparison.picture import comparison_figure
from eotasks.workflows.evaluate_clouds.comparison.rows import comparison_csv, rows_of
from eotasks.workflows.evaluate_clouds.contestants import without_baselines
from eotasks.workflows.evaluate_clouds.pictures import errors_figure, frame_figure
from eotasks.workflows.evaluate_clouds.report import build_report, save_picture
from eotasks.workflows.evaluate_clouds.run import Outcome
from eotasks.workflows.evaluate_clouds.tables import frames_csv, markdown, metrics_json
from eotasks.workflows.report.place import claim_place

METRICS, FRAMES, TABLE, REPORT, PICTURES = "metrics.json", "frames.csv", "table.md", "report.html", "pictures"
COMPARISON, COMPARISON_PICTURE = "comparison.csv", "comparison.png"
"""Those and the report hold times, which no second run repeats; the other files do not."""

IN_REPORT = 8
"""Pictures of frames on the page; the folder may hold more."""


def claim_results(location: str | Path) -> Place:
    """The place for results, as `claim_place` has it."""
    return claim_place(location, file=METRICS, is_ours=_is_ours, what="an evaluation")


def _is_ours(content: Mapping[str, object]) -> bool:
    return str(content.get("software", "")).startswith("eotasks ")


def write_results(outcome: Outcome, place: Place) -> str:
    """Write everything, the report last.

    :return: Path or S3 location of the report.
    :raises StorageError: when the place cannot be written.
    """
    place.write_bytes(METRICS, metrics_json(outcome).encode())
    place.write_bytes(FRAMES, frames_csv(outcome).encode())
    place.write_bytes(TABLE, markdown(outcome).encode())
    place.write_bytes(COMPARISON, comparison_csv(outcome).encode())
    compared = _comparison(outcome, place)
    names = [contestant.name for contestant in without_baselines(outcome.contestants)]
    targets = {contestant.name: contestant.targets for contestant in outcome.contestants}
    place.remove(PICTURES)
    figures = []
    taken: set[str] = set()
    for rank, view in enumerate(outcome.views):
        figure = frame_figure(view, names, targets)
        name = _file_name(view.frame)
        if name in taken:  # names that differ in letters which a file name cannot have
            name = f"{name}_{rank}"
        taken.add(name)
        with place.writing(f"{PICTURES}/{name}.png") as temporary:
            save_picture(figure, temporary)
        if rank < IN_REPORT:
            figures.append((view, figure))
    # One at a time: dozens of figures would be held at once, of which the page takes the PNG alone.
    errors = ((each, errors_figure(each, names, targets)) for each in outcome.scene_errors)
    return build_report(outcome, figures, errors, compared).save(f"{place}/{REPORT}")


def _comparison(outcome: Outcome, place: Place) -> Figure | None:
    """The picture of all detectors, where there are several and pictures are wanted."""
    place.remove(COMPARISON_PICTURE)
    rows = rows_of(outcome, without_baselines(outcome.contestants))
    if len({row.detector for row in rows}) < 2 or not outcome.views:
        return None
    scenes = outcome.collection.title
    if outcome.collection.simulated and "simulated" not in scenes:
        scenes += " (simulated)"
    figure = comparison_figure(rows, f"Detectors of clouds on {scenes}")
    with place.writing(COMPARISON_PICTURE) as temporary:
        save_picture(figure, temporary)
    return figure


_LONGEST_NAME = 150
"""Characters of a picture's name: a file system takes 255, with those of a temporary file."""


def _file_name(frame: str) -> str:
    plain = unicodedata.normalize("NFKD", frame).encode("ascii", "ignore").decode("ascii")
    return re.sub(r"[^A-Za-z0-9._-]+", "_", plain).strip("._")[:_LONGEST_NAME] or "frame"
