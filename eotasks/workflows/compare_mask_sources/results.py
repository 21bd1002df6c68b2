"""The place of results: figures, samples, picture, page; what an earlier comparison left there is replaced."""

from __future__ import annotations

from pathlib import Path

from eotasks.documents import parse_json_object
from eotasks.errors import ConfigurationError
from eotasks.storage.lease import LEASE_FILE
from eotasks.storage.place import Place, check_folder
from eotasks.workflows.compare_mask_sources.pictures import comparison_figure
from eotasks.workflows.compare_mask_sources.report import build_report, save_picture
from eotasks.workflows.compare_mask_sources.run import Comparison
from eotasks.workflows.compare_mask_sources.tables import KIND, figures_json, memory_csv, runs_csv

FIGURES, RUNS, MEMORY, PICTURE, REPORT = "figures.json", "runs.csv", "memory.csv", "comparison.png", "report.html"


def claim_results(location: str | Path) -> Place:
    """The place for results: new, empty, or that of an earlier comparison.

    :param location: A folder, or ``s3://bucket/prefix``.
    :raises ConfigurationError: when it is a file, or holds something else; nothing is touched then.
    :raises StorageError: on S3, when the bucket is absent or cannot be reached.
    :raises CredentialsError: on S3, when the credentials are refused.
    """
    try:
        place = Place(location)
    except ConfigurationError as error:
        raise ConfigurationError(f"--out: {error}") from error
    if place.is_local:
        check_folder(place.local_path())
    if any(name != LEASE_FILE for name in place.names()) and not _is_ours(place):
        raise ConfigurationError(f"--out {place} holds other things than a comparison: give a new or empty folder.")
    return place


def _is_ours(place: Place) -> bool:
    if place.size(FIGURES) is None:
        return False
    try:
        content = parse_json_object(place.read_bytes(FIGURES), ConfigurationError)
    except (OSError, ConfigurationError):
        return False
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
