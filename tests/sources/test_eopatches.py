from __future__ import annotations

import datetime as dt
import gzip
import hashlib
import json
import pickle
import shutil
import zlib
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
from eolearn.core import EOPatch, FeatureType, OverwritePermission
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox
from shapely.geometry import box

from eotasks.eopatches.load import eopatch_info
from eotasks.errors import (
    AreaError,
    ConfigurationError,
    FeatureError,
    ReflectanceError,
    ScaleWarning,
    StorageError,
    TooFewFramesError,
)
from eotasks.sources.eopatches import LoadEOPatchTask, list_source_eopatches
from tests.builders.clouds.spectra import GRASS, stack

BBOX = BBox((500_000, 5_000_000, 500_080, 5_000_060), CRS("EPSG:32633"))
TIMES = [dt.datetime(2017, month, 15, 10, 30) for month in (1, 4, 7, 10)]  # noqa: DTZ001 - naive UTC


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two EOPatches, and something else beside them."""
    place = tmp_path / "my patches"
    for name, seed in (("north", 1), ("south", 2)):
        make_eopatch(seed).save(str(place / name))
    (place / "figures").mkdir()
    (place / "notes.txt").write_text("not an EOPatch")
    return place


def make_eopatch(seed: int) -> EOPatch:
    rng = np.random.default_rng(seed)
    patch = EOPatch(bbox=BBOX, timestamps=TIMES)
    patch.data["B"] = rng.random((4, 6, 8, 2), dtype=np.float32)
    patch.data["PROBA"] = rng.integers(0, 256, (4, 6, 8, 1), dtype=np.uint8)
    patch.mask["CLOUDS"] = rng.random((4, 6, 8, 1)) > 0.5
    patch.mask["SCL"] = rng.integers(2, 12, (4, 6, 8, 1), dtype=np.uint8)
    patch.mask["dataMask"] = np.ones((4, 6, 8, 1), dtype=np.uint8)
    patch.mask_timeless["classes"] = rng.integers(0, 9, (6, 8, 1)).astype(np.int32)
    patch.mask_timeless["ids"] = rng.integers(1000, 2000, (6, 8, 1)).astype(np.int32)
    patch.scalar["CLOUD_SHARE"] = rng.random((4, 1))
    patch[FeatureType.VECTOR, "FIRES"] = gpd.GeoDataFrame(
        {"TIMESTAMP": TIMES, "geometry": [box(500_000, 5_000_000, 500_010 + i, 5_000_010) for i in range(4)]}, crs=32633
    )
    return patch


def files_of(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(file.relative_to(folder)): (file.stat().st_size, file.stat().st_mtime_ns)
        for file in folder.rglob("*")
        if file.is_file()
    }


def test_list(folder: Path) -> None:
    assert list_source_eopatches(folder) == ["north", "south"]
    assert list_source_eopatches(folder / "north") == ["north"]


def test_list_without_any(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(AreaError, match="no such folder"):
        list_source_eopatches(tmp_path / "absent")
    with pytest.raises(AreaError, match="no EOPatch in it"):
        list_source_eopatches(folder / "figures")


def test_info(folder: Path) -> None:
    info = eopatch_info(folder, "south")
    assert info.name == "south"
    assert info.bbox == BBOX
    assert info.shape == (6, 8)
    assert list(info.timestamps) == TIMES
    assert "mask/CLOUDS" in info.features
    assert eopatch_info(folder / "south") == info


def test_info_reads_headers_alone(folder: Path) -> None:
    """Arrays cut off behind their header do not matter to it."""
    header = 10 + 118
    for file in (folder / "north").rglob("*.npy.gz"):
        with gzip.open(file) as stream:
            array = np.load(stream)
        plain = file.with_suffix("")
        np.save(plain, array)
        plain.write_bytes(plain.read_bytes()[:header])
        file.unlink()
    assert eopatch_info(folder, "north").shape == (6, 8)


def test_load_under_the_projects_names_and_types(folder: Path) -> None:
    task = LoadEOPatchTask(
        folder,
        {
            "BANDS": "data/B", "CLP": "data/PROBA", "CLM": "mask/CLOUDS", "IS_DATA": "mask/dataMask",
            "LULC": "mask_timeless/classes", "COVER": "scalar/CLOUD_SHARE", "FIRES": "vector/FIRES",
        },
    )  # fmt: skip
    before = files_of(folder)
    patch = pickle.loads(pickle.dumps(task)).execute(name="north")
    original = make_eopatch(1)
    assert patch.bbox == BBOX
    assert patch.timestamps == TIMES
    assert len(patch.get_features()) == 7
    np.testing.assert_array_equal(patch.data["BANDS"], original.data["B"])
    assert patch.data["CLP"].dtype == np.float32
    np.testing.assert_array_equal(patch.data["CLP"], original.data["PROBA"].astype(np.float32) / np.float32(255))
    assert patch.mask["CLM"].dtype == np.uint8
    np.testing.assert_array_equal(patch.mask["CLM"], original.mask["CLOUDS"])
    assert patch.mask["IS_DATA"].dtype == bool
    assert patch.mask_timeless["LULC"].dtype == np.uint8
    np.testing.assert_array_equal(patch.mask_timeless["LULC"], original.mask_timeless["classes"])
    assert files_of(folder) == before


@pytest.mark.parametrize(
    ("start", "end", "kept"),
    [
        (None, None, [0, 1, 2, 3]),
        (dt.date(2017, 4, 15), None, [1, 2, 3]),
        (None, dt.date(2017, 4, 15), [0, 1]),
        (dt.date(2017, 7, 15), dt.date(2017, 7, 15), [2]),
        (dt.datetime(2017, 4, 15, 10, 31), None, [2, 3]),  # noqa: DTZ001 - naive UTC
        (dt.datetime(2017, 4, 15, 12, 30, tzinfo=dt.timezone(dt.timedelta(hours=2))), None, [1, 2, 3]),
    ],
)
def test_interval(folder: Path, start: dt.date | None, end: dt.date | None, kept: list[int]) -> None:
    features = {"BANDS": "data/B", "LULC": "mask_timeless/classes", "FIRES": "vector/FIRES"}
    patch = LoadEOPatchTask(folder, features, start=start, end=end).execute(name="north")
    assert patch.timestamps == [TIMES[index] for index in kept]
    np.testing.assert_array_equal(patch.data["BANDS"], make_eopatch(1).data["B"][kept])
    assert list(patch[FeatureType.VECTOR, "FIRES"].TIMESTAMP) == [TIMES[index] for index in kept]
    assert patch.mask_timeless["LULC"].shape == (6, 8, 1)


def test_timeless_features_alone_need_no_time(folder: Path) -> None:
    patch = LoadEOPatchTask(folder, {"LULC": "mask_timeless/classes"}, start=dt.date(2030, 1, 1)).execute(name="north")
    assert patch.timestamps is None
    assert patch.mask_timeless["LULC"].shape == (6, 8, 1)


def test_nothing_inside_the_interval(folder: Path) -> None:
    task = LoadEOPatchTask(folder, {"BANDS": "data/B"}, start=dt.date(2018, 1, 1))
    with pytest.raises(TooFewFramesError, match=r"none of its 4 timestamps \(2017-01-15 to 2017-10-15\)"):
        task.execute(name="north")


def test_missing_feature_lists_those_there_are(folder: Path) -> None:
    with pytest.raises(FeatureError, match=r"no feature data/NDVI, there are: data/B, data/PROBA, mask/CLOUDS"):
        LoadEOPatchTask(folder, {"NDVI": "data/NDVI", "BANDS": "data/B"}).execute(name="north")


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ({"CLM": "mask/SCL"}, "CLM holds 2, 3.*0 clear, 1 cloud, 255 no data"),
        ({"LULC": "mask_timeless/ids"}, "no class numbers"),
    ],
)
def test_values_that_break_the_conventions(folder: Path, features: dict[str, str], message: str) -> None:
    with pytest.raises(FeatureError, match=message):
        LoadEOPatchTask(folder, features).execute(name="north")


@pytest.mark.parametrize("name", ["absent", "..", "../my patches/north", "figures"])
def test_no_such_eopatch(folder: Path, name: str) -> None:
    with pytest.raises(StorageError, match=r"north, south|is no name of an EOPatch"):
        LoadEOPatchTask(folder, {"BANDS": "data/B"}).execute(name=name)


def test_damaged_array_is_named(folder: Path) -> None:
    file = next((folder / "north" / "data").glob("B.npy*"))
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(StorageError, match=r"north: file data/B\.npy\.gz cannot be read"):
        LoadEOPatchTask(folder, {"BANDS": "data/B"}).execute(name="north")


def test_overwritten_bytes_are_named(folder: Path) -> None:
    file = folder / "north" / "data" / "B.npy.gz"
    content = bytearray(file.read_bytes())
    content[30:90] = b"\xff" * 60
    file.write_bytes(content)
    with pytest.raises(zlib.error):
        gzip.decompress(content)
    with pytest.raises(StorageError, match=r"north: file data/B\.npy\.gz cannot be read"):
        LoadEOPatchTask(folder, {"BANDS": "data/B"}).execute(name="north")


def test_overwritten_bytes_of_a_header_are_named(folder: Path) -> None:
    for file in (folder / "north").rglob("*.npy.gz"):
        content = bytearray(file.read_bytes())
        content[20:60] = b"\xff" * 40
        file.write_bytes(content)
    with pytest.raises(StorageError, match=r"npy\.gz cannot be read"):
        eopatch_info(folder, "north")


def test_simulated_data_stay_marked(folder: Path) -> None:
    note = {"simulated": True, "seed": 42}
    patch = make_eopatch(3)
    patch[FeatureType.META_INFO, "SIMULATED"] = note
    patch[FeatureType.META_INFO, "maxcc"] = 0.8
    patch.save(str(folder / "made"))
    task = LoadEOPatchTask(folder, {"LULC": "mask_timeless/classes"})
    assert dict(task.execute(name="made").meta_info) == {"SIMULATED": note}
    assert not task.execute(name="north").meta_info


def test_timestamps_with_a_time_zone_become_utc(folder: Path) -> None:
    summer = dt.timezone(dt.timedelta(hours=2))
    aware = [time.replace(tzinfo=dt.UTC).astimezone(summer) for time in TIMES]
    patch = make_eopatch(1)
    patch.timestamps = aware
    fires = patch[FeatureType.VECTOR, "FIRES"]
    patch[FeatureType.VECTOR, "FIRES"] = fires.assign(TIMESTAMP=aware)
    patch.save(str(folder / "aware"))
    assert list(eopatch_info(folder, "aware").timestamps) == TIMES
    features = {"BANDS": "data/B", "FIRES": "vector/FIRES"}
    loaded = LoadEOPatchTask(folder, features, start=dt.date(2017, 4, 15)).execute(name="aware")
    assert loaded.timestamps == TIMES[1:]
    np.testing.assert_array_equal(loaded.data["BANDS"], patch.data["B"][1:])
    assert list(loaded[FeatureType.VECTOR, "FIRES"].TIMESTAMP) == TIMES[1:]


def test_timestamps_that_do_not_fit(folder: Path) -> None:
    file = folder / "north" / "timestamps.json"
    times = json.loads(file.read_text())
    file.write_text(json.dumps(times[:3]))
    with pytest.raises(StorageError, match="data/B has 4 frames, the timestamps are 3"):
        LoadEOPatchTask(folder, {"BANDS": "data/B"}).execute(name="north")
    file.unlink()
    with pytest.raises(StorageError, match="data/B has 4 frames, the timestamps are 0"):
        LoadEOPatchTask(folder, {"BANDS": "data/B"}).execute(name="north")
    with pytest.raises(FeatureError, match="no timestamps"):
        LoadEOPatchTask(folder, {"FIRES": "vector/FIRES"}).execute(name="north")


def test_generations_of_the_projects_own_storage(folder: Path) -> None:
    current = folder / "west" / ".gen-2"
    shutil.copytree(folder / "north", folder / "west" / ".gen-1")
    shutil.copytree(folder / "south", current)
    marker = folder / "west" / "_current.json"
    contents = {path: path.read_bytes() for path in current.rglob("*") if path.is_file()}
    files = {
        path.relative_to(current).as_posix(): {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for path, content in contents.items()
    }
    marker.write_text(json.dumps({"version": 1, "generation": ".gen-2", "files": files}))
    assert list_source_eopatches(folder) == ["north", "south", "west"]
    assert eopatch_info(folder, "west").name == "west"
    patch = LoadEOPatchTask(folder, {"BANDS": "data/B"}).execute(name="west")
    np.testing.assert_array_equal(patch.data["BANDS"], make_eopatch(2).data["B"])
    with (current / "bbox.geojson").open("a") as stream:
        stream.write(" ")
    with pytest.raises(StorageError, match=r"west: file bbox\.geojson has \d+ bytes instead of"):
        eopatch_info(folder, "west")
    shutil.rmtree(current)
    with pytest.raises(StorageError, match="is missing"):
        eopatch_info(folder, "west")
    marker.write_text(json.dumps({"version": 9, "generation": ".gen-2", "files": files}))
    with pytest.raises(StorageError, match=r"version 9.*upgrade"):
        eopatch_info(folder, "west")
    marker.write_text("{")
    with pytest.raises(StorageError, match=r"_current\.json is damaged"):
        eopatch_info(folder, "west")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"features": {}}, "say what to load"),
        ({"features": {"CLM": "clouds"}}, "no 'feature_type/NAME'"),
        ({"features": {"CLM": "clouds/CLM"}}, "The types are data, data_timeless"),
        ({"features": {"CLM": "mask/"}}, "no 'feature_type/NAME'"),
        ({"features": {"": "mask/CLM"}}, "no name of a feature"),
        (
            {"features": {"CLM": "mask/CLM"}, "start": dt.date(2018, 1, 1), "end": dt.date(2017, 1, 1)},
            "lies before",
        ),
    ],
)
def test_refused_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        LoadEOPatchTask("anywhere", **arguments)


def test_the_real_slovenian_eopatch(shared_data: Path) -> None:
    place = shared_data / "slovenia"
    assert list_source_eopatches(place) == ["eopatch"]
    info = eopatch_info(place, "eopatch")
    assert info.shape == (101, 100)
    assert len(info.timestamps) == 68
    features = {
        "NDVI": "data/NDVI", "CLP": "data/CLP_S2C", "CLM": "mask/CLM_S2C", "IS_DATA": "mask/IS_DATA",
        "LULC": "mask_timeless/LULC", "FARM_REGISTER": "vector_timeless/LULC",
    }  # fmt: skip
    task = LoadEOPatchTask(place / "eopatch", features, start=dt.date(2017, 1, 1), end=dt.date(2017, 12, 31))
    patch = task.execute()
    assert patch.timestamps is not None
    assert len(patch.timestamps) == 36
    assert patch.data["NDVI"].shape == (36, 101, 100, 1)
    assert sorted(np.unique(patch.mask_timeless["LULC"])) == [0, 1, 2, 3, 4, 8]
    assert len(patch.vector_timeless["FARM_REGISTER"]) == 88
    np.testing.assert_array_equal(task.execute(name="eopatch").data["NDVI"], patch.data["NDVI"])


@pytest.fixture
def with_bands(tmp_path: Path) -> Path:
    """An EOPatch of digital numbers, one pixel of one frame without data."""
    patch = EOPatch(bbox=BBOX, timestamps=TIMES)
    patch.data["DN"] = np.full((4, 6, 8, 2), 2500, dtype=np.uint16)
    patch.mask["dataMask"] = np.ones((4, 6, 8, 1), dtype=bool)
    patch.mask["dataMask"][1, 2, 3] = False
    patch.data["FLOAT_DN"] = patch.data["DN"].astype(np.float32)
    patch.data["NAN"] = np.full((4, 6, 8, 2), 0.25, dtype=np.float32)
    patch.data["NAN"][1, 2, 3] = np.nan
    patch.save(str(tmp_path / "patch"))
    return tmp_path / "patch"


def test_bands_become_reflectance(with_bands: Path) -> None:
    patch = LoadEOPatchTask(with_bands, {"BANDS": "data/DN"}).execute()
    assert patch.data["BANDS"].dtype == np.float32
    assert np.all(patch.data["BANDS"] == np.float32(0.25))


def test_nan_is_taken_where_there_is_no_data(with_bands: Path) -> None:
    masked = LoadEOPatchTask(with_bands, {"BANDS": "data/NAN", "IS_DATA": "mask/dataMask"}).execute()
    unmasked = LoadEOPatchTask(with_bands, {"BANDS": "data/NAN"}).execute()
    for patch in (masked, unmasked):
        assert np.isnan(patch.data["BANDS"]).sum() == 2


@pytest.mark.parametrize(("source", "reason"), [("data/FLOAT_DN", "raw digital numbers"), ("data/NAN", "NaN")])
def test_values_that_are_no_reflectance_are_refused(with_bands: Path, source: str, reason: str) -> None:
    patch = EOPatch.load(str(with_bands))
    patch.mask["dataMask"] = np.ones((4, 6, 8, 1), dtype=bool)
    patch.save(str(with_bands), overwrite_permission=OverwritePermission.OVERWRITE_FEATURES)
    with pytest.raises(ReflectanceError, match=reason) as caught:
        LoadEOPatchTask(with_bands, {"BANDS": source, "IS_DATA": "mask/dataMask"}).execute()
    assert "data/BANDS of 2017-0" in str(caught.value)


def stored(tmp_path: Path, **features: Any) -> Any:
    patch = EOPatch(bbox=BBOX, timestamps=TIMES[:1])
    for name, values in features.items():
        kind = FeatureType.MASK if name == "IS_DATA" else FeatureType.DATA
        patch[kind, name] = values
    patch.save(str(tmp_path / "one"))
    mapped = {name: f"{'mask' if name == 'IS_DATA' else 'data'}/{name}" for name in features}
    return lambda **options: LoadEOPatchTask(tmp_path, mapped, **options).execute(name="one")


def test_probability_in_percent_by_its_name(tmp_path: Path) -> None:
    percent = np.zeros((1, 6, 8, 1), np.uint8)
    percent[0, :3] = 100
    load: Any = stored(tmp_path, CLP=percent)
    loaded = load(scales={"CLP": "percent"}).data["CLP"]
    assert loaded.dtype == np.float32
    assert np.array_equal(loaded, percent / np.float32(100))
    with pytest.warns(ScaleWarning, match=r"EOPatch .*one: CLP: uint8 that ends at exactly 100"):
        load()
    assert load(scales={"CLP": "0..255"}).data["CLP"].max() == np.float32(100 / 255)
    with pytest.raises(ConfigurationError, match=r"scales\['CLP'\]='dn' is unknown: give '0\.\.1'"):
        load(scales={"CLP": "dn"})
    with pytest.raises(ConfigurationError, match="'NDVI' has no scale here: they are of CLP"):
        load(scales={"NDVI": "percent"})


@pytest.mark.parametrize(
    ("values", "message"),
    [(np.full((1, 6, 8, 1), 40, np.int16), "no cloud probability"), (np.full((1, 6, 8, 1), 40.0), "by 100")],
    ids=["int16", "float percent"],
)
def test_probability_of_another_scale_is_refused(tmp_path: Path, values: Any, message: str) -> None:
    load: Any = stored(tmp_path, CLP=values)
    with pytest.raises(FeatureError, match=rf"one: CLP: .*{message}"):
        load()
    assert np.allclose(load(scales={"CLP": "percent"}).data["CLP"], 0.4)


def test_probability_keeps_its_nan(tmp_path: Path) -> None:
    values = np.full((1, 6, 8, 1), 0.25, np.float32)
    values[0, 0] = np.nan
    load: Any = stored(tmp_path, CLP=values)
    assert np.array_equal(load().data["CLP"], values, equal_nan=True)


def test_bands_of_another_scale(tmp_path: Path) -> None:
    honest = stack(GRASS, side=8)[:, :6].repeat(2, axis=1)[:, :6]
    honest = np.concatenate([honest, honest], axis=2)[:, :, :16]
    load: Any = stored(tmp_path, BANDS=np.round(honest * 255).astype(np.int16))
    with pytest.raises(ReflectanceError, match=r"one: data/BANDS: whole numbers that end at .*by 255"):
        load()
    assert np.allclose(load(scales={"BANDS": "0..255"}).data["BANDS"], honest, atol=0.003)


def test_a_mask_of_data_holds_0_and_1(tmp_path: Path) -> None:
    values = np.ones((1, 6, 8, 1), np.uint8)
    values[0, 0] = 0
    load: Any = stored(tmp_path, IS_DATA=values)
    assert np.array_equal(load().mask["IS_DATA"], values == 1)
    values[0, 1] = 255
    load = stored(tmp_path / "other", IS_DATA=values)
    with pytest.raises(FeatureError, match=r"IS_DATA holds 255, a mask of data holds 0 and 1"):
        load()


@pytest.mark.parametrize("old", [["bbox.pkl", "timestamp.pkl"], ["bbox.pkl.gz"], ["meta_info.pkl"]], ids=" ".join)
def test_pickled_eopatches_of_old_eo_learn_are_named_with_the_way(tmp_path: Path, old: list[str]) -> None:
    (tmp_path / "old" / "data").mkdir(parents=True)
    np.save(tmp_path / "old" / "data" / "BANDS.npy", np.zeros((2, 8, 8, 13), np.float32))
    for name in {"bbox.pkl", *old}:
        (tmp_path / "old" / name).write_bytes(pickle.dumps(list(BBOX)))
    with pytest.raises(StorageError, match=r"EOPatch .*old: .*\.pkl.*eo-learn before 1\.0.*1\.0 to 1\.2\.1"):
        LoadEOPatchTask(tmp_path, {"BANDS": "data/BANDS"}).execute(name="old")
