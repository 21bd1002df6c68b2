"""Names of folders and files that come from others: what nobody sees, hides or leads elsewhere is refused by name."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from eolearn.core import FeatureType

from eotasks.area import read_patch_grid
from eotasks.eopatches.load import load_eopatch
from eotasks.eopatches.save import save_eopatch
from eotasks.errors import AreaError, ConfigurationError, EOTasksError, StorageError
from eotasks.export.tasks import ExportCogTask
from eotasks.storage.place import Place
from eotasks.text import refuse_name
from eotasks.workflows.product_masks.names import check_name
from tests.builders.command_line import command, tree
from tests.builders.eopatches import make_eopatch
from tests.builders.sample_products import cut_sample

UNSEEN = {
    "line feed": "a\nb", "return": "a\rb", "tab": "a\tb", "ESC": "a\x1b[31mb", "C1": "a\x9bb", "NUL": "a\0b",
    "DEL": "a\x7fb", "override": "a\u202eb", "isolate": "a\u2067b", "mark": "a\u200fb", "zero width": "a\u200bb",
    "joiner": "a\u2060b", "byte order": "\ufeffab", "soft hyphen": "a\xadb", "line separator": "a\u2028b",
    "tag": "a\U000e0041b", "variation": "a\U000e0101b", "surrogate": "a\udcffb", "filler": "a\u3164b",
}  # fmt: skip
ELSEWHERE = {
    "empty": "", "blank": "  ", "dot": ".", "dots": "..", "hidden": ".a", "slash": "a/b", "backslash": "a\\b",
    "up": "../a", "end blank": "a ", "end dot": "a.", "device": "con", "device with an ending": "Lpt1.tif",
}  # fmt: skip
HONEST = (
    "eopatch_r01_c02", "Ljubljana vzhod", "Žalec, Müller & Söhne (2)", "東京", "Ελλάδα", "مصر", "x" * 250, "-12.5_44",
    "a'b\"c", "50%", "#1", "a=b;c", "console", "S2A_MSIL1C_20240120T105341_N0510_R051_T31TCJ_20240120T125244.v2", "~a",
)  # fmt: skip


@pytest.mark.parametrize("name", (UNSEEN | ELSEWHERE).values(), ids=UNSEEN | ELSEWHERE)
def test_no_folder_of_such_a_name_is_made(name: str, tmp_path: Path) -> None:
    place = Place(tmp_path)
    patch = make_eopatch()
    refused: list[tuple[type[EOTasksError], object]] = [
        (StorageError, lambda: save_eopatch(place, name, patch)),
        (StorageError, lambda: load_eopatch(place, name)),
        (
            ConfigurationError,
            lambda: ExportCogTask((FeatureType.DATA, "BANDS"), folder=tmp_path).execute(patch, name=name),
        ),
        (EOTasksError, lambda: check_name(name, "somewhere")),
    ]
    for kind, make in refused:
        assert callable(make)
        with pytest.raises(kind) as caught:
            make()
        assert str(caught.value).isprintable()
    assert tree(tmp_path) == set()


@pytest.mark.parametrize("name", UNSEEN.values(), ids=UNSEEN)
def test_no_path_in_a_place_holds_what_nobody_sees(name: str, tmp_path: Path) -> None:
    place = Place(tmp_path)
    for path in (name, f"folder/{name}", f"{name}/file"):
        with pytest.raises(StorageError, match="is no name inside a place: it holds U"):
            place.write_bytes(path, b"")
        with pytest.raises(StorageError, match="is no name inside a place: it holds U"), place.writing(path):
            pass
        with pytest.raises(StorageError, match="is no name inside a place: it holds U"):
            place.write_if(path, b"", None)
        with pytest.raises(StorageError, match="is no name inside a place: it holds U"):
            place.append_line(path, "")
    assert tree(tmp_path) == set()


@pytest.mark.parametrize("name", HONEST, ids=range(len(HONEST)))
def test_honest_names_stay_allowed(name: str, tmp_path: Path) -> None:
    assert refuse_name(name) is None
    if len(name) < 200:  # a temporary file has a longer name
        Place(tmp_path).write_bytes(f"{name}/{name}", b"1")
        save_eopatch(Place(tmp_path / "patches"), name, make_eopatch())
        assert load_eopatch(Place(tmp_path / "patches"), name)


def test_names_of_a_grid_are_refused_before_work(tmp_path: Path) -> None:
    import geopandas
    import shapely

    boxes = [shapely.box(0, 0, 100, 100), shapely.box(100, 0, 200, 100)]
    for number, name in enumerate(("a\u202eb", "a\x1bb", "con", "a.")):
        grid = tmp_path / f"{number}.gpkg"
        geopandas.GeoDataFrame({"name": ["x", name]}, geometry=boxes, crs=32633).to_file(grid)
        with pytest.raises(AreaError, match="is no name of an EOPatch"):
            read_patch_grid(grid, 10)


def test_a_product_of_such_a_name_fails_before_work_and_the_others_go_on(tmp_path: Path) -> None:
    good = cut_sample(tmp_path / "in" / "good")
    bad = tmp_path / "in" / "evil\n\x1b[31m\u202eT33"
    long = tmp_path / "in" / ("x" * 250)
    for other in (bad, long):
        shutil.copytree(good, other)
    out = tmp_path / "out"
    result = command("cloud-mask", bad, good, long, "--out", out, "--no-quicklook")
    assert result.code == 1
    assert result.out.count("cannot be that of a folder") == 2
    assert "it has 250 bytes, 237 are possible: shorten it" in result.out
    assert {path.name for path in out.iterdir() if not path.name.startswith(".")} == {"good"}
    assert command("cloud-mask", bad, "--out", out).code == 2
