"""Packed arrays: read by anything, the same bytes for the same array, with ISA-L and without."""

from __future__ import annotations

import gzip
import io
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from eolearn.core import EOPatch, FeatureType
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from numpy.typing import NDArray

from eotasks import FeatureError, StorageError, load_eopatch, save_eopatch
from eotasks.eopatches import packing
from eotasks.eopatches.arrays import read_array, read_header
from eotasks.eopatches.files import write_folder
from eotasks.eopatches.marker import FileFacts
from eotasks.eopatches.save import SaveEOPatchTask, export_eopatch
from tests.builders.eopatches import make_eopatch

WAYS = ["zlib", "isal"]


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    chosen: str = request.param
    if chosen == "isal" and not packing.HAS_ISAL:
        pytest.skip("isal has no wheel for this machine")
    if chosen == "zlib":
        monkeypatch.setattr(packing, "HAS_ISAL", False)
    return chosen


def numpys(array: NDArray[Any]) -> bytes:
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    array=st_numpy.arrays(
        st.one_of(
            st_numpy.boolean_dtypes(),
            st_numpy.integer_dtypes(endianness="?"),
            st_numpy.floating_dtypes(endianness="?"),
            st_numpy.complex_number_dtypes(),
        ),
        st_numpy.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=9),
    ),
    view=st.sampled_from(["as it is", "transposed", "every other"]),
)
def test_what_comes_out_is_what_numpy_writes(way: str, tmp_path: Path, array: NDArray[Any], view: str) -> None:
    if view == "transposed":
        array = array.T
    if view == "every other" and array.ndim:
        array = array[::2]
    file = tmp_path / "a.npy.gz"
    packing.write_packed_array(array, file)
    assert gzip.decompress(file.read_bytes()) == numpys(array)
    found = read_array(file)
    assert found.dtype == array.dtype
    assert numpys(found) == numpys(array)
    with packing.open_packed(file) as stream:
        assert read_header(stream).shape == array.shape


def test_what_is_large_and_noisy(way: str, tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 1 << 16, (3, 700, 900, 2), dtype=np.uint16)
    packing.write_packed_array(array, tmp_path / "a.npy.gz")
    assert np.array_equal(read_array(tmp_path / "a.npy.gz"), array)
    with gzip.open(tmp_path / "a.npy.gz") as stream:
        assert np.array_equal(np.load(stream), array)


def test_the_same_array_gives_the_same_bytes(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = np.arange(4000, dtype=np.float32).reshape(2, 20, 50, 2)
    for name in ("a", "b"):
        packing.write_packed_array(array, tmp_path / f"{name}.npy.gz")
        monkeypatch.setattr("time.time", lambda: 2_000_000_000.0)
    first, second = ((tmp_path / f"{name}.npy.gz").read_bytes() for name in ("a", "b"))
    assert first == second
    assert first[4:8] == bytes(4)  # no time
    assert not first[3]  # no name


@pytest.mark.parametrize("array", [np.array([None]), np.array(["a"], dtype=object)])
def test_no_pickle_is_written(way: str, tmp_path: Path, array: NDArray[Any]) -> None:
    with pytest.raises(ValueError, match="Object arrays"):
        packing.write_packed_array(array, tmp_path / "a.npy.gz")


@pytest.mark.parametrize("damage", ["cut", "longer", "checksum", "length", "middle", "empty"])
def test_damage_is_seen(way: str, tmp_path: Path, damage: str) -> None:
    array = np.random.default_rng(1).normal(size=(2, 30, 30, 3))
    save_eopatch(tmp_path, "p", EOPatch(bbox=make_eopatch().bbox, data_timeless={"X": array[0]}))
    file = tmp_path / "p" / "data_timeless" / "X.npy.gz"
    whole = file.read_bytes()
    file.write_bytes(
        {
            "cut": whole[:-9],
            "longer": whole + b"\x00\x01",
            "checksum": whole[:-8] + bytes([whole[-8] ^ 1]) + whole[-7:],
            "length": whole[:-1] + bytes([whole[-1] ^ 1]),
            "middle": whole[:500] + bytes(40) + whole[540:],
            "empty": b"",
        }[damage]
    )
    with pytest.raises(StorageError, match=r"X\.npy\.gz"):
        load_eopatch(tmp_path, "p")


def test_eo_learn_reads_what_is_saved(way: str, tmp_path: Path) -> None:
    eopatch = make_eopatch(every_kind=True)
    save_eopatch(tmp_path, "p", eopatch)
    assert EOPatch.load(str(tmp_path / "p")) == eopatch == load_eopatch(tmp_path, "p")


@pytest.mark.parametrize(
    "content",
    [b"\x1f\x8b", b"no gzip at all, and longer than its head", b"\x1f\x8b\x08" + b"\xff" * 60],
    ids=["two bytes", "text", "a head alone"],
)
def test_damage_is_an_error_of_value(way: str, tmp_path: Path, content: bytes) -> None:
    """Whatever unpacks it, which raises an EOFError, an OSError or an error of its own."""
    file = tmp_path / "a.npy.gz"
    packing.write_packed_array(np.random.default_rng(1).normal(size=(40, 40)), file)
    whole = file.read_bytes()
    for damaged in (content, whole[:-9], whole[:200] + bytes(40) + whole[240:], whole[:-8] + b"1234" + whole[-4:]):
        file.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"\w"):
            read_array(file)


def twins() -> EOPatch:
    eopatch = EOPatch(bbox=make_eopatch().bbox)
    for value, name in enumerate(("bands", "BANDS")):
        eopatch[FeatureType.DATA_TIMELESS, name] = np.full((2, 2, 1), value)
    return eopatch


def test_names_that_differ_in_case_alone_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FeatureError, match=r"EOPatch 'p': data_timeless/(BANDS|bands) and data_timeless/"):
        save_eopatch(tmp_path, "p", twins())
    with pytest.raises(FeatureError, match=r"The features to save: data_timeless/bands and data_timeless/BANDS differ"):
        SaveEOPatchTask(tmp_path, features=list(twins().get_features()))  # before anything is computed
    SaveEOPatchTask(tmp_path, features=[(FeatureType.DATA, "A"), (FeatureType.MASK, "a")])
    assert not list(tmp_path.rglob("*.npy.gz"))


def test_such_names_of_others_are_exported_where_the_disk_tells_them_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "there" / "p"
    folder.mkdir(parents=True)
    write_folder(twins(), folder, list(twins().get_features()))
    export_eopatch(tmp_path / "there", "p", tmp_path / "first")
    assert load_eopatch(tmp_path, "first") == twins()

    def one_file_for_two(*arguments: Any) -> dict[str, FileFacts]:
        files = write_folder(*arguments)
        return {path: facts for path, facts in files.items() if "BANDS" not in path}

    monkeypatch.setattr("eotasks.eopatches.save.write_folder", one_file_for_two)
    with pytest.raises(StorageError, match="its disk takes data_timeless/BANDS and data_timeless/bands for one file"):
        export_eopatch(tmp_path / "there", "p", tmp_path / "second")
    assert not (tmp_path / "second").exists()


@pytest.mark.parametrize("threads", ["1", "3"])
def test_as_many_threads_pack_as_the_setting_says(
    threads: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: set[int] = set()

    def slow(*arguments: Any) -> None:
        used.add(threading.get_ident())
        time.sleep(0.02)
        packing.write_packed_array(*arguments)

    monkeypatch.setenv("EOTASKS_NUM_THREADS", threads)
    monkeypatch.setattr("eotasks.eopatches.files.write_packed_array", slow)
    eopatch = EOPatch(bbox=make_eopatch().bbox, data_timeless={f"X{index}": np.zeros((2, 2, 1)) for index in range(9)})
    save_eopatch(tmp_path, "p", eopatch)
    assert len(used) == int(threads)
    assert load_eopatch(tmp_path, "p") == eopatch
