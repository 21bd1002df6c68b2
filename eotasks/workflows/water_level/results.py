"""What a run leaves behind: the table, measured outlines, pictures and the report."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path

import geopandas as gpd
from matplotlib.figure import Figure

from eotasks.errors import MissingDependencyError
from eotasks.extras import install_line, is_installed
from eotasks.storage.place import Place
from eotasks.water.columns import TIME
from eotasks.workflows.report.place import claim_place
from eotasks.workflows.report.style import styled
from eotasks.workflows.water_level.pictures import lake_title, outline_figure, series_figure
from eotasks.workflows.water_level.report import PICTURE_DPI, build_report
from eotasks.workflows.water_level.run import Outcome
from eotasks.workflows.water_level.tables import LakeSummary, levels_csv, summaries, summary_json

SUMMARY, LEVELS, EXTENTS, OUTLINES = "summary.json", "levels.csv", "extents", "outlines"
PICTURES, REPORT = "pictures", "report.html"
FORMATS = {"geoparquet": "parquet", "gpkg": "gpkg"}
"""Of extents and outlines -> ending."""

_LONGEST_NAME = 80


def check_format(name: str) -> None:
    """:raises MissingDependencyError: what writes it is not installed."""
    if name == "geoparquet" and not is_installed("pyarrow"):
        raise MissingDependencyError(
            f"GeoParquet needs pyarrow, which is not installed: {install_line('zonal')}, or give --format gpkg."
        )


def claim_results(location: str | Path) -> Place:
    """The place for results, as `claim_place` has it."""
    return claim_place(location, file=SUMMARY, is_ours=_is_ours, what="water levels")


def _is_ours(content: Mapping[str, object]) -> bool:
    return str(content.get("software", "")).startswith("eotasks ") and "lakes" in content


def write_results(
    outcome: Outcome, place: Place, *, form: str = "geoparquet", bluedot_names: bool = False, pictures: int = 20
) -> str:
    """Writes everything, the report last.

    :param form: Of extents and outlines: "geoparquet" or "gpkg".
    :param bluedot_names: levels.csv has the columns of the Water Observatory.
    :param pictures: Lakes that get pictures of their own.
    :return: Path or S3 location of the report.
    :raises StorageError: the place cannot be written.
    """
    place.write_bytes(SUMMARY, summary_json(outcome).encode())
    place.write_bytes(LEVELS, levels_csv(outcome, bluedot_names=bluedot_names).encode())
    ending = FORMATS[form]
    for other in FORMATS.values():
        for name in (EXTENTS, OUTLINES):
            place.remove(f"{name}.{other}")
    _write_vector(place, f"{EXTENTS}.{ending}", _extents(outcome))
    _write_vector(place, f"{OUTLINES}.{ending}", outcome.outlines.to_crs(outcome.levels.crs))
    place.remove(PICTURES)
    chosen = [each for each in summaries(outcome) if each.dates][:pictures]
    return str(build_report(outcome, _pictures(outcome, chosen, place)).save(f"{place}/{REPORT}"))


def _extents(outcome: Outcome) -> gpd.GeoDataFrame:
    """Measured outlines: of dates with a level, empty ones too."""
    valid = outcome.levels[outcome.levels["status"] == "valid"]
    columns = ["id", "name", TIME, "level", "area", "nominal_area", "threshold", "algorithm_status", "sensor"]
    return valid[[*columns, "geometry"]].reset_index(drop=True)


def _write_vector(place: Place, name: str, frame: gpd.GeoDataFrame) -> None:
    with place.writing(name) as temporary:
        if name.endswith(".parquet"):
            frame.to_parquet(temporary, index=False)
        else:
            frame.to_file(temporary, driver="GPKG", layer=Path(name).stem, engine="pyogrio", index=False)


def _pictures(
    outcome: Outcome, chosen: list[LakeSummary], place: Place
) -> Iterator[tuple[LakeSummary, Figure | None, Figure | None]]:
    """Draws and writes the pictures of one lake after the other."""
    for number, summary in enumerate(chosen, start=1):
        name = f"{number:03d}_{_file_name(summary.id)}"
        title = lake_title(summary.name, summary.id) + (", simulated" if outcome.source.is_simulated else "")
        series = None
        if summary.dates > 1:
            series = series_figure(outcome.levels[outcome.levels["id"] == summary.id], title)
            _save(series, place, f"{PICTURES}/{name}_levels.png")
        view = outcome.views.get(summary.id)
        outlines = None if view is None else outline_figure(view, title)
        if outlines is not None:
            _save(outlines, place, f"{PICTURES}/{name}_outlines.png")
        yield summary, series, outlines


@styled
def _save(figure: Figure, place: Place, name: str) -> None:
    with place.writing(name) as temporary:
        figure.savefig(temporary, format="png", dpi=PICTURE_DPI, facecolor="white", metadata={"Software": None})


def _file_name(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode("ascii")
    return re.sub(r"[^A-Za-z0-9._-]+", "_", plain).strip("._")[:_LONGEST_NAME] or "lake"
