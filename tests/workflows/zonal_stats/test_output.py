"""What is written comes back as it was, whatever ids look like to spreadsheets and to pandas."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pyproj
import pytest
import shapely
from hypothesis import example, given, settings
from hypothesis import strategies as st

from eotasks.storage.place import Place
from eotasks.text import printable
from eotasks.workflows.report.cells import cell_text, text_of_cell
from eotasks.workflows.zonal_stats.output import Format, read_result, table_writer
from eotasks.zonal.polygons import Polygons
from eotasks.zonal.table import POLYGON
from eotasks.zonal.vocabulary import ID, TIME, Status

CRS = pyproj.CRS(32633).to_wkt()
LOOKS = ["-A1", "'-A1", "''-A1", "'", "", "NA", "None", "nan", "null", "007", "7", "1e5", "True", "=1+1", " a ", 'a"b,']
SEEN = st.text(max_size=6).map(printable)
FORMULAS = st.text(alphabet="'-+=@ 1aN\"", max_size=4)


def written(folder: Path, ids: list[str] | list[int], file_format: Format) -> pd.DataFrame:
    """The table of polygons of these ids, one row each, as it comes back."""
    square = shapely.box(0, 0, 1, 1)
    kinds = np.array(ids, dtype=object if isinstance(ids[0], str) else int)
    polygons = Polygons(kinds, np.array([square] * len(ids)), (Status.OK,) * len(ids), CRS)
    time = pd.Timestamp("2026-06-01", tz="UTC")
    table = pd.DataFrame({POLYGON: range(len(ids)), TIME: [time] * len(ids), "mean": np.linspace(0, 1, len(ids))})
    place = Place(folder)
    with table_writer(place, polygons, form="long", file_format=file_format) as writer:
        writer.write(table)
    return read_result(place, file_format, has_texts=polygons.has_texts)


@pytest.mark.parametrize("file_format", ["csv", "geoparquet"])
def test_ids_that_look_like_something_else(tmp_path: Path, file_format: Format) -> None:
    found = written(tmp_path, LOOKS, file_format)
    assert found[ID].tolist() == LOOKS
    assert found["mean"].tolist() == pytest.approx(np.linspace(0, 1, len(LOOKS)))


@settings(max_examples=20)
@given(st.lists(SEEN | FORMULAS | st.sampled_from(LOOKS), min_size=1, max_size=20, unique=True))
@example(["\N{FULLWIDTH EQUALS SIGN}1"])
def test_text_ids_of_csv_come_back(ids: list[str]) -> None:
    with TemporaryDirectory() as folder:
        assert written(Path(folder), ids, "csv")[ID].tolist() == ids


@settings(max_examples=10)
@given(st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=20, unique=True))
def test_numbers_of_csv_stay_numbers(ids: list[int]) -> None:
    with TemporaryDirectory() as folder:
        assert written(Path(folder), ids, "csv")[ID].tolist() == ids


@given(SEEN | FORMULAS)
def test_cells_tell_texts_apart(text: str) -> None:
    assert text_of_cell(cell_text(text)) == text
