"""The folder of results: numbers, pictures, report; what an earlier evaluation left there is replaced."""

from __future__ import annotations

import json
import re
import shutil
import unicodedata
from pathlib import Path

from models.errors import ConfigurationError
from workflows.evaluate_clouds.detectors import shown
from workflows.evaluate_clouds.pictures import frame_figure
from workflows.evaluate_clouds.report import build_report, save_picture
from workflows.evaluate_clouds.run import Outcome
from workflows.evaluate_clouds.tables import frames_csv, markdown, metrics_json
from workflows.places import Place, atomic_path, check_folder

METRICS, FRAMES, TABLE, REPORT, PICTURES = "metrics.json", "frames.csv", "table.md", "report.html", "pictures"

IN_REPORT = 8
"""Pictures of frames on the page; the folder may hold more."""


def claim_results(folder: str | Path) -> Path:
    """The folder for results: new, empty, or that of an earlier evaluation.

    :raises ConfigurationError: when it is a file, or holds something else; nothing is touched then.
    """
    try:
        path = Path(folder).expanduser()
    except RuntimeError as error:
        raise ConfigurationError(
            f"--out {str(folder)!r} is in a home directory that is not known: write the whole path."
        ) from error
    check_folder(path)
    if path.is_dir() and any(path.iterdir()) and not _is_ours(path / METRICS):
        raise ConfigurationError(f"--out {path} holds other things than an evaluation: give a new or empty folder.")
    return path


def _is_ours(metrics: Path) -> bool:
    """Whether a file is the numbers of an evaluation: others write a metrics.json too, and pictures beside it."""
    try:
        content = json.loads(metrics.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and str(content.get("software", "")).startswith("eotasks ")


def write_results(outcome: Outcome, folder: Path) -> Path:
    """Write everything.

    :return: path of the report.
    :raises StorageError: when the folder cannot be written.
    """
    place = Place(folder)
    place.write_bytes(METRICS, metrics_json(outcome).encode())
    place.write_bytes(FRAMES, frames_csv(outcome).encode())
    place.write_bytes(TABLE, markdown(outcome).encode())
    names = [contestant.name for contestant in shown(outcome.contestants)]
    targets = {contestant.name: contestant.detector.targets for contestant in outcome.contestants}
    pictures = folder / PICTURES
    shutil.rmtree(pictures, ignore_errors=True)
    figures = []
    for rank, view in enumerate(outcome.views):
        figure = frame_figure(view, names, targets)
        pictures.mkdir(parents=True, exist_ok=True)
        file = pictures / f"{_file_name(view.frame)}.png"
        if file.exists():  # names that differ in letters which a file name cannot have
            file = file.with_stem(f"{file.stem}_{rank}")
        with atomic_path(file) as temporary:
            save_picture(figure, temporary)
        if rank < IN_REPORT:
            figures.append((view, figure))
    return build_report(outcome, figures).save(folder / REPORT)


def _file_name(frame: str) -> str:
    plain = unicodedata.normalize("NFKD", frame).encode("ascii", "ignore").decode("ascii")
    return re.sub(r"[^A-Za-z0-9._-]+", "_", plain).strip("._") or "frame"
