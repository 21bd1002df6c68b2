"""Field statistics from EOPatches on disk to a table: one image or several, formats, faults, what is done already."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pytest
import shapely
from eolearn.core import EOPatch, FeatureType, OverwritePermission

from eotasks.eopatches.save import save_eopatch
from eotasks.errors import AreaError, FeatureError
from eotasks.limits import Limit
from eotasks.workflows.zonal_stats import pieces, shared_fields
from eotasks.workflows.zonal_stats.run import ZonalResult, zonal_stats
from eotasks.workflows.zonal_stats.shared_fields import times_together
from eotasks.workflows.zonal_stats.sources.images.eopatches import EOPatchSource
from eotasks.zonal.polygons import Polygons, polygons_of
from eotasks.zonal.task import ZonalStatisticsTask
from eotasks.zonal.vocabulary import Status
from tests.builders.zonal.patches import LEFT, TOP, some_polygons, zonal_patch

COLUMNS = 40
CUT = 13


def part(patch: EOPatch, columns: slice) -> EOPatch:
    own = zonal_patch(columns=columns.stop - columns.start, column=columns.start)
    for feature_type, name in patch.get_features():
        if feature_type.is_temporal() and feature_type.is_array():
            own[feature_type, name] = patch[feature_type, name][:, :, columns]
    return own


@pytest.fixture(scope="module")
def patches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One patch, cut into two beside each other."""
    folder = tmp_path_factory.mktemp("zonal")
    for name, columns in (("west", slice(0, CUT)), ("east", slice(CUT, COLUMNS))):
        part(zonal_patch(), columns).save(str(folder / name))
    return folder


@pytest.fixture(scope="module")
def expected() -> pd.DataFrame:
    """The same of the whole patch at once."""
    task = ZonalStatisticsTask(some_polygons(), indices=["NDVI", "B04"], percentiles=(5, 95), id_column="name")
    return task.statistics(zonal_patch())


def measured(patches: Path, out: Path, polygons: Polygons | None = None, **options: object) -> ZonalResult:
    return zonal_stats(
        polygons_of(some_polygons(), id_column="name") if polygons is None else polygons,
        EOPatchSource(str(patches)),
        out,
        **{"indices": ["NDVI", "B04"], "percentiles": (5, 95), "executor": "serial", **options},
    )


def by_keys(table: pd.DataFrame) -> pd.DataFrame:
    texts = table.assign(band=table.band.astype(str), over=table.over.astype(str), status=table.status.astype(str))
    return texts.sort_values(["id", "time", "band", "over"]).reset_index(drop=True)


@pytest.mark.parametrize("file_format", ["geoparquet", "csv"])
def test_several_images_give_the_table_of_one(
    patches: Path, tmp_path: Path, expected: pd.DataFrame, file_format: str
) -> None:
    result = measured(patches, tmp_path / "out", file_format=file_format)
    found = by_keys(result.table())
    pd.testing.assert_frame_equal(found, by_keys(expected), check_dtype=False, rtol=1e-9, atol=1e-9)
    assert result.totals.rows == len(expected)
    assert result.states == {"ok": 14, "no clear pixel": 1}
    assert len(result.totals.smaller) == 1


def test_ids_that_look_otherwise_in_parts(patches: Path, tmp_path: Path) -> None:
    """Decimals, whose digits differ from image to image."""
    fields = some_polygons().assign(name=[Decimal(each) for each in ("1", "100.5", "2.25", "3", "40000")])
    result = measured(patches, tmp_path / "out", polygons_of(fields, id_column="name"), indices=["B04"])
    assert set(result.table().id) == set(fields.name)


def test_large_fields_are_put_together_date_by_date(
    patches: Path, tmp_path: Path, expected: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "KEPT_BYTES", 0)
    monkeypatch.setattr(shared_fields, "CHUNK_BYTES", 1)
    read: list[str] = []
    monkeypatch.setattr(pieces, "_array", lambda found, name: read.append(name) or found[name])
    found = by_keys(measured(patches, tmp_path / "out").table())
    pd.testing.assert_frame_equal(found, by_keys(expected), check_dtype=False, rtol=1e-9, atol=1e-9)
    dates = [int(name.removeprefix("values_")) for name in read if name.startswith("values_")]
    assert dates == [0, 0, 1, 1, 2, 2, 0, 1, 2]  # of both images, and of the one that "beside" is half beside of


def test_what_cannot_be_put_together_is_refused_before_the_work(
    patches: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = LEFT + 10 * CUT
    shapes = [shapely.box(cut - 50, TOP - 200, cut + 50, TOP - 100), shapely.box(cut + 1, TOP - 9, cut + 9, TOP - 1)]
    polygons = polygons_of(gpd.GeoDataFrame(geometry=shapes, crs=32633))
    small = Limit("array bytes", 1_600, "less than 100 pixels of two indices take")
    monkeypatch.setattr(shared_fields, "ARRAY_BYTES", small)
    with pytest.raises(AreaError, match=r"Polygon 0 lies on 2 images, and its 100 pixels .* array bytes \(EOTASKS"):
        measured(patches, tmp_path / "out", polygons)
    assert not (tmp_path / "out/parts").exists()
    monkeypatch.undo()
    monkeypatch.setattr(pieces, "ARRAY_BYTES", Limit("array bytes", 800, "less than half of it takes"))
    failed = measured(patches, tmp_path / "out", polygons).failed
    assert ["EOTASKS_MAX_ARRAY_BYTES allows more" in reason for reason in failed.values()] == [True, True]
    monkeypatch.undo()
    assert measured(patches, tmp_path / "out", polygons).failed == {}


def test_passes_are_not_cut() -> None:
    start = dt.datetime(2020, 5, 1)  # noqa: DTZ001 - EOPatch times are naive
    minutes = ([0, 40, 75], [10, 85, 50])
    times = [[start + dt.timedelta(minutes=each) for each in of_image] for of_image in minutes]
    assert list(times_together(times, 1)) == [[[0], [0]], [[1, 2], [2, 1]]]
    assert list(times_together(times, 9)) == [[[0, 1, 2], [0, 2, 1]]]
    assert list(times_together([[], []], 1)) == []


def test_wide_geoparquet_has_geometries(patches: Path, tmp_path: Path) -> None:
    result = measured(patches, tmp_path / "out", form="wide")
    found = gpd.read_parquet(result.file)
    assert len(found) == 15
    assert found.crs == some_polygons().crs
    fields = some_polygons().set_index("name").geometry
    assert all(shape.equals(fields[name]) for name, shape in zip(found.id, found.geometry, strict=True))
    assert {"NDVI_mean", "NDVI_mean_all", "B04_p95", "cloud_fraction"} <= set(found.columns)


def test_runs_what_is_missing_only(patches: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = measured(patches, out)
    assert first.batch is not None
    assert sorted(first.batch.done) == ["east", "west"]
    (out / "parts/west.npz").unlink()
    again = measured(patches, out, form="wide")
    assert again.batch is not None
    assert (again.batch.done, again.batch.skipped) == (["west"], ["east"])
    other = measured(patches, out, percentiles=(50,))
    assert other.batch is not None
    assert sorted(other.batch.done) == ["east", "west"]
    assert "p50" in other.table()


@pytest.mark.parametrize("saved", [False, True])
def test_measures_what_has_been_written_since(tmp_path: Path, saved: bool) -> None:
    folder, out = tmp_path / "patches", tmp_path / "out"
    for name, column in (("one", 0), ("other", 40)):
        patch = zonal_patch(column=column)
        save_eopatch(folder, name, patch) if saved else patch.save(str(folder / name))
    shapes = [shapely.box(LEFT + x, TOP - 200, LEFT + x + 100, TOP - 100) for x in (100, 500)]
    polygons = polygons_of(gpd.GeoDataFrame(geometry=shapes, crs=32633))
    measured(folder, out, polygons, indices=["B04"])
    changed = zonal_patch()
    changed[FeatureType.DATA, "BANDS"][...] = 0.25
    if saved:
        save_eopatch(folder, "one", changed)
    else:
        changed.save(str(folder / "one"), overwrite_permission=OverwritePermission.OVERWRITE_FEATURES)
    again = measured(folder, out, polygons, indices=["B04"])
    assert again.batch is not None
    assert (again.batch.done, again.batch.skipped) == (["one"], ["other"])
    table = again.table()
    assert table[table.id == 0]["mean"].dropna().unique() == pytest.approx([0.25])


def test_an_image_that_fails_leaves_rows_that_say_so(patches: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "patches"
    shutil.copytree(patches, damaged)
    file = next((damaged / "east/data").glob("BANDS.npy*"))
    file.write_bytes(file.read_bytes()[:200])
    cut = LEFT + 10 * CUT
    across = gpd.GeoDataFrame(
        {"name": ["across"]}, geometry=[shapely.box(cut - 50, TOP - 200, cut + 50, TOP - 100)], crs=32633
    )
    polygons = polygons_of(pd.concat([some_polygons(), across], ignore_index=True), id_column="name")
    result = measured(damaged, tmp_path / "out", polygons)
    assert list(result.failed) == ["east"]
    table = result.table().set_index("id")
    assert set(table.loc["across"].status) == {Status.FAILED}  # half of which is on the image that is there
    assert table.loc["across"].time.isna().all()
    assert set(table.loc["ring"].status) == {Status.FAILED}
    assert table.loc["ring"].time.isna().all()
    assert set(table.loc["beside"].status) == {Status.OK}  # which lies on the other one alone


def test_fields_that_no_image_shows(patches: Path, tmp_path: Path) -> None:
    shapes = [shapely.box(LEFT + 100, TOP - 200, LEFT + 200, TOP - 100), shapely.box(0, 0, 9, 9), None]
    polygons = polygons_quietly(gpd.GeoDataFrame(geometry=shapes, crs=32633))
    table = measured(patches, tmp_path / "out", polygons, indices=["B04"]).table()
    assert table.groupby("id").status.first().tolist() == [Status.OK, Status.OUTSIDE, Status.EMPTY]
    assert len(table) == 6 + 2 + 2
    elsewhere = polygons_of(gpd.GeoDataFrame(geometry=[shapely.box(9, 50, 9.1, 50.1)], crs=4326))
    with pytest.raises(AreaError, match=r"None of the 1 polygons lies on .* 9.000 and 9.100 degrees east"):
        measured(patches, tmp_path / "other", elsewhere)
    assert not (tmp_path / "other/fields.parquet").exists()


def polygons_quietly(frame: gpd.GeoDataFrame) -> Polygons:
    with pytest.warns(UserWarning, match="without an area"):
        return polygons_of(frame)


def test_time_and_masks_are_chosen(patches: Path, tmp_path: Path) -> None:
    source = EOPatchSource(str(patches), masks={"shadow": "none"}, time=("2020-05-02", "2020-05-06"))
    polygons = polygons_of(some_polygons())
    table = zonal_stats(polygons, source, tmp_path / "out", executor="serial").table()
    assert table.time.dt.day.unique().tolist() == [6]
    assert (table.shadow_fraction == 0).all()
    assert source.notes == ()
    none = EOPatchSource(str(patches), time=("2021-01-01", None))
    table = zonal_stats(polygons, none, tmp_path / "none", executor="serial").table()
    assert set(table.status) == {Status.NO_DATA}


def test_masks_that_are_not_there_are_told(tmp_path: Path) -> None:
    patch = zonal_patch()
    for name in ("CLM", "SHADOW", "IS_DATA"):
        del patch[FeatureType.MASK, name]
    patch.save(str(tmp_path / "patches/one"))
    source = EOPatchSource(str(tmp_path / "patches"))
    table = zonal_stats(polygons_of(some_polygons()), source, tmp_path / "out", executor="serial").table()
    assert (table.cloud_fraction == 0).all()
    assert [note.partition(",")[0] for note in source.notes] == [
        f"The EOPatches have no mask/{name}" for name in ("IS_DATA", "CLM", "SHADOW")
    ]
    with pytest.raises(FeatureError, match="has 'mask/CLN'"):
        EOPatchSource(str(tmp_path / "patches"), masks={"cloud_mask": "mask/CLN"}).places(())


class Service:
    """A source that makes its tables itself."""

    title, simulated, notes = "tables", False, ()
    failed: Mapping[str, str] = {"ring": "boom"}

    def __init__(self, table: pd.DataFrame) -> None:
        self.table = table

    def tables(self, polygons: Polygons, quantities: object, percentiles: object, advance: object) -> Iterator[object]:
        yield self.table


def test_a_source_of_tables_is_written_as_it_is(tmp_path: Path, expected: pd.DataFrame) -> None:
    polygons = polygons_of(some_polygons(), id_column="name")
    chosen = expected[expected.id != "ring"]
    table = chosen.assign(polygon=pd.Index(polygons.ids).get_indexer(chosen.id)).drop(columns="id")
    table = table[["polygon", *(name for name in table.columns if name != "polygon")]]
    result = zonal_stats(polygons, Service(table), tmp_path / "out", indices=["NDVI", "B04"], percentiles=(5, 95))
    assert result.failed == {"ring": "boom"}
    found = result.table()
    pd.testing.assert_frame_equal(by_keys(found[found.id != "ring"]), by_keys(chosen), check_dtype=False, rtol=1e-12)
    assert set(found[found.id == "ring"].status) == {Status.OUTSIDE}


@pytest.mark.trial
@pytest.mark.parametrize("executor", ["processes", "ray"])
def test_other_executors_give_the_same(patches: Path, tmp_path: Path, expected: pd.DataFrame, executor: str) -> None:
    found = measured(
        patches, tmp_path / "out", executor=executor, ray="local" if executor == "ray" else None, workers=2
    )
    pd.testing.assert_frame_equal(by_keys(found.table()), by_keys(expected), check_dtype=False, rtol=1e-9, atol=1e-9)
