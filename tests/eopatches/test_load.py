"""One reader of stored EOPatches: saved ones and plain folders, on disk and on a real S3 server."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import pickle
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from eolearn.core import EOPatch, FeatureType
from eolearn.core.exceptions import EODeprecationWarning
from numpy.typing import NDArray

from eotasks.eopatches.clean import clean
from eotasks.eopatches.files import write_eopatch
from eotasks.eopatches.load import (
    LoadSavedEOPatchTask,
    eopatch_info,
    eopatch_version,
    feature_shape,
    is_complete,
    list_eopatches,
    load_eopatch,
)
from eotasks.eopatches.save import save_eopatch
from eotasks.errors import FeatureError, MissingDependencyError, StorageError
from eotasks.features import Feature
from eotasks.storage.place import Place
from tests.builders.eopatches import BANDS, LANDUSE, LULC, SIMULATED, SUN_ANGLES, make_eopatch, save_as_generation
from tests.servers.s3 import S3Server

NAME = "patch"
FEATURES = [BANDS, LULC, SIMULATED, SUN_ANGLES, LANDUSE]
BANDS_FILE = "data/BANDS.npy.gz"


@pytest.fixture
def plain(place: Place) -> Place:
    """A place with a plain EOPatch folder, as eo-learn writes it."""
    write_eopatch(make_eopatch(), place.child(NAME), list(make_eopatch().get_features()))
    assert load_eopatch(place, NAME) == make_eopatch()
    return place


@pytest.fixture(params=["saved", "generation", "plain"])
def stored(request: pytest.FixtureRequest, place: Place) -> Place:
    """A place with an EOPatch of every kind of feature."""
    if request.param == "saved":
        save_eopatch(place, NAME, make_eopatch(every_kind=True))
    elif request.param == "generation":
        save_as_generation(place, NAME, make_eopatch(every_kind=True))
    else:
        write_eopatch(make_eopatch(every_kind=True), place.child(NAME), FEATURES)
    return place


def folder_of(place: Place) -> str:
    """Where the files of the patch are: its current generation, or the folder itself."""
    found = place.read_if_there(f"{NAME}/_current.json")
    generation = None if found is None else json.loads(found[0])["generation"]
    return NAME if generation is None else f"{NAME}/{generation}"


def npy(array: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def gzipped(array: NDArray[Any]) -> bytes:
    return gzip.compress(npy(array), mtime=0)


class TestEveryReading:
    """Saved or plain, on disk or on S3: the same."""

    def test_whole(self, stored: Place) -> None:
        assert load_eopatch(stored, NAME) == make_eopatch(every_kind=True)
        assert load_eopatch(stored.child(NAME), None) == make_eopatch(every_kind=True)
        assert load_eopatch(stored.child(NAME), NAME) == make_eopatch(every_kind=True)
        assert LoadSavedEOPatchTask(stored.location).execute(name=NAME) == make_eopatch(every_kind=True)

    def test_lists(self, stored: Place) -> None:
        assert list_eopatches(stored) == list_eopatches(stored.child(NAME)) == [NAME]

    @pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature[1])
    def test_one_feature(self, stored: Place, feature: Feature) -> None:
        loaded = load_eopatch(stored, NAME, features=[feature])
        assert loaded.get_features() == [feature]
        assert (loaded.bbox, loaded.timestamps) == (make_eopatch().bbox, make_eopatch().timestamps)

    def test_optional_features(self, stored: Place) -> None:
        absent = (FeatureType.DATA, "NDVI")
        loaded = load_eopatch(stored, NAME, features=[LULC], optional=[SIMULATED, absent])
        assert set(loaded.get_features()) == {LULC, SIMULATED}
        assert load_eopatch(stored, NAME, features=[]).get_features() == []

    def test_a_feature_that_is_not_there(self, stored: Place) -> None:
        with pytest.raises(FeatureError, match=r"no feature data/X, data/Y, there are: data/BANDS, mask_timeless/LULC"):
            load_eopatch(stored, NAME, features=[(FeatureType.DATA, "X"), BANDS, (FeatureType.DATA, "Y")])

    def test_info(self, stored: Place) -> None:
        info = eopatch_info(stored, NAME)
        assert (info.name, info.bbox, info.shape) == (NAME, make_eopatch().bbox, (8, 8))
        assert list(info.timestamps) == make_eopatch().timestamps
        assert info.features == tuple(sorted(f"{ftype.value}/{name}" for ftype, name in FEATURES))
        assert eopatch_info(stored.child(NAME)) == eopatch_info(stored.location, NAME) == info

    def test_shape_of_a_feature(self, stored: Place) -> None:
        assert feature_shape(stored, NAME, BANDS) == make_eopatch()[BANDS].shape
        assert feature_shape(stored, NAME, (FeatureType.DATA, "ABSENT")) is None

    def test_version(self, stored: Place) -> None:
        """S3 tells times in seconds, so the file gets another size."""
        version = eopatch_version(stored, NAME)
        assert eopatch_version(stored.child(NAME)) == eopatch_version(stored.location, NAME) == version
        path = f"{folder_of(stored)}/{BANDS_FILE}"
        stored.write_bytes(path, stored.read_bytes(path) + b"more")
        assert eopatch_version(stored, NAME) != version

    def test_damage_of_what_is_not_asked_for_does_not_matter(self, stored: Place) -> None:
        path = f"{folder_of(stored)}/{BANDS_FILE}"
        stored.write_bytes(path, b"x" * (stored.size(path) or 0))
        assert load_eopatch(stored, NAME, features=[LULC]).get_features() == [LULC]
        for features in (None, [BANDS]):
            with pytest.raises(StorageError, match=rf"EOPatch .*/{NAME}: file {BANDS_FILE} .*The patch is damaged"):
                load_eopatch(stored, NAME, features=features)

    def test_no_such_patch(self, stored: Place) -> None:
        with pytest.raises(StorageError, match=rf"'absent' .*is not there, the EOPatches there are: {NAME}\."):
            load_eopatch(stored, "absent")
        with pytest.raises(StorageError, match=rf"is no EOPatch, the EOPatches in it are: {NAME}\."):
            eopatch_info(stored)

    def test_pickles_are_not_read(self, stored: Place) -> None:
        """Neither where a checksum by the same hand agrees with them."""
        content = npy(np.array([[Exploit()], [Exploit()]], dtype=object))
        if stored.exists(f"{NAME}/_current.json"):
            marker = json.loads(stored.read_bytes(f"{NAME}/_current.json"))
            facts = marker["files"]["scalar/SUN_ANGLES.npy.gz"]
            packed = gzip.compress(content, mtime=0)
            facts |= {"size": len(packed), "sha256": hashlib.sha256(packed).hexdigest()}
            stored.write_bytes(f"{NAME}/_current.json", json.dumps(marker).encode())
            stored.write_bytes(f"{folder_of(stored)}/scalar/SUN_ANGLES.npy.gz", packed)
        else:
            stored.write_bytes(f"{NAME}/scalar/SUN_ANGLES.npy.gz", gzip.compress(content, mtime=0))
        with pytest.raises(
            StorageError, match=r"scalar/SUN_ANGLES.npy.gz cannot be read to its end \(values of type object"
        ):
            load_eopatch(stored, NAME)
        assert not EXPLOITED


EXPLOITED: list[str] = []


class Exploit:
    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return EXPLOITED.append, ("read",)


class TestSaved:
    def test_damage_is_named(self, place: Place) -> None:
        save_eopatch(place, NAME, make_eopatch())
        file = f"{folder_of(place)}/{BANDS_FILE}"
        content = place.read_bytes(file)
        place.write_bytes(file, content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(StorageError, match=rf"{BANDS_FILE} has another sha256"):
            load_eopatch(place, NAME)
        assert load_eopatch(place, NAME, features=[LULC]).get_features() == [LULC]
        assert eopatch_info(place, NAME).shape == (8, 8)
        place.write_bytes(file, content[:-1])
        for read in (load_eopatch, eopatch_info):
            with pytest.raises(StorageError, match=rf"{BANDS_FILE} has \d+ bytes instead of \d+"):
                read(place, NAME)
        assert not is_complete(place, NAME)
        place.remove(file)
        for read in (load_eopatch, eopatch_info):
            with pytest.raises(StorageError, match=rf"{BANDS_FILE} is missing"):
                read(place, NAME)
        assert not is_complete(place, NAME)

    def test_of_another_version_asks_for_an_upgrade(self, place: Place) -> None:
        save_eopatch(place, NAME, make_eopatch())
        content = place.read_bytes(f"{NAME}/_current.json").replace(b'"version": 2', b'"version": 7')
        place.write_bytes(f"{NAME}/_current.json", content)
        for read in (load_eopatch, eopatch_info, is_complete):
            with pytest.raises(StorageError, match=r"_current.json has version 7.*upgrade eotasks"):
                read(place, NAME)
        place.write_bytes(f"{NAME}/.gen-0123456789ab/file", b"")
        with pytest.raises(StorageError, match="upgrade"):
            clean(place)

    def test_without_a_bounding_box(self, place: Place) -> None:
        """eo-learn still makes such patches; they are saved and loaded as they are."""
        with pytest.warns(EODeprecationWarning, match="without providing a BBox"):
            save_eopatch(place, NAME, EOPatch(mask_timeless={"LULC": make_eopatch()[LULC]}))
        with pytest.warns(EODeprecationWarning, match="without providing a BBox"):
            assert load_eopatch(place, NAME).get_features() == [LULC]
        with (
            pytest.warns(EODeprecationWarning, match="without providing a BBox"),
            pytest.raises(FeatureError, match="no bounding box"),
        ):
            eopatch_info(place, NAME)

    def test_a_patch_in_a_place_that_is_a_patch_of_its_name(self, place: Place) -> None:
        """What is saved under a name is what is loaded under it."""
        outer = place.child(NAME)
        write_eopatch(make_eopatch(0.25), outer, [BANDS])
        assert load_eopatch(outer, NAME) == load_eopatch(place, NAME)
        save_eopatch(outer, NAME, make_eopatch(0.5))
        assert load_eopatch(outer, NAME)[BANDS].max() == 0.5
        assert load_eopatch(place, NAME)[BANDS].max() == 0.25

    def test_a_generation_is_an_eopatch_itself(self, place: Place) -> None:
        generation = place.child(NAME).child(save_as_generation(place, NAME, make_eopatch()))
        (name,) = list_eopatches(generation)
        assert load_eopatch(generation, name) == load_eopatch(generation, None) == make_eopatch()


class TestPlain:
    def test_what_eo_learn_has_saved_is_loaded(self, place: Place) -> None:
        make_eopatch().save(NAME, filesystem=place.filesystem)
        assert list_eopatches(place) == [NAME]
        assert load_eopatch(place, NAME) == make_eopatch()
        assert not is_complete(place, NAME)
        assert clean(place).generations == 0
        save_eopatch(place, NAME, make_eopatch(0.5))
        assert load_eopatch(place, NAME) == make_eopatch(0.5)

    @pytest.mark.parametrize(
        ("path", "content", "message"),
        [
            pytest.param(BANDS_FILE, b"cut off", rf"file {BANDS_FILE} cannot be read to its end", id="no gzip"),
            pytest.param(
                BANDS_FILE, gzipped(np.zeros((2, 8, 8, 3)))[:-4], rf"file {BANDS_FILE} cannot be read", id="no checksum"
            ),
            pytest.param(BANDS_FILE, gzip.compress(b"\x93NUMPY", mtime=0), f"{BANDS_FILE} cannot be read", id="header"),
            pytest.param(
                BANDS_FILE, gzipped(np.zeros((3, 8, 8, 3))), r"data/BANDS has 3 frames, the timestamps are 2", id="more"
            ),
            pytest.param(
                "meta_info/SIMULATED.json.gz", b"{", r"SIMULATED.json.gz cannot be read to its end", id="meta"
            ),
            pytest.param("timestamps.json", b"[", r"file timestamps.json cannot be read to its end", id="half times"),
            pytest.param("timestamps.json", b"[]", r"BANDS has 2 frames, the timestamps are 0", id="no times"),
            pytest.param("timestamps.json", b'["x"]', r"timestamps cannot be read to its end", id="bad times"),
            pytest.param("timestamps.json", None, r"BANDS has 2 frames, the timestamps are 0", id="no file of times"),
            pytest.param("bbox.geojson", b"{", r"file bbox.geojson cannot be read to its end", id="half a box"),
            pytest.param("bbox.geojson", b"{}", r"bounding box or timestamps cannot be read", id="no box"),
            pytest.param(
                "bbox.geojson", None, r"has no file bbox.geojson.*writer did not come to the end", id="no file of a box"
            ),
        ],
    )
    def test_that_is_not_whole_is_refused_by_the_file(
        self, plain: Place, path: str, content: bytes | None, message: str
    ) -> None:
        there = plain.files(NAME)
        assert path in there
        if content is None:
            plain.remove(f"{NAME}/{path}")
        else:
            plain.write_bytes(f"{NAME}/{path}", content)
        with pytest.raises(StorageError, match=message) as caught:
            load_eopatch(plain, NAME)
        assert "\n" not in str(caught.value)

    def test_damaged_polygons_are_named(self, place: Place) -> None:
        write_eopatch(make_eopatch(every_kind=True), place.child(NAME), FEATURES)
        path = f"{NAME}/vector_timeless/LANDUSE.gpkg.gz"
        content = gzip.decompress(place.read_bytes(path))
        place.write_bytes(path, gzip.compress(content[:200], mtime=0))
        with pytest.raises(StorageError, match=r"file vector_timeless/LANDUSE.gpkg.gz cannot be read"):
            load_eopatch(place, NAME)

    def test_eo_learn_itself_loads_half_a_patch(self, tmp_path: Path) -> None:
        """Why our loader looks: eo-learn takes a folder whose writer died for a patch."""
        make_eopatch().save(str(tmp_path / NAME))
        (tmp_path / NAME / "bbox.geojson").unlink()
        for file in (tmp_path / NAME / "data").iterdir():
            file.unlink()
        with pytest.warns(EODeprecationWarning, match="without providing a BBox"):
            assert EOPatch.load(str(tmp_path / NAME)).get_features() == [LULC, SIMULATED]
        with pytest.raises(StorageError, match="has nothing in its folder data"):
            load_eopatch(Place(tmp_path), NAME)

    def test_an_empty_folder_of_what_is_not_asked_for_does_not_matter(self, tmp_path: Path) -> None:
        make_eopatch().save(str(tmp_path / NAME))
        (tmp_path / NAME / "label").mkdir()
        assert load_eopatch(Place(tmp_path), NAME, features=[BANDS])[BANDS].max() == 0.25
        with pytest.raises(StorageError, match="has nothing in its folder label"):
            load_eopatch(Place(tmp_path), NAME)

    def test_a_folder_that_a_save_through_pyfilesystem_left_empty_on_s3(self, s3_server: S3Server) -> None:
        place = Place(s3_server.location())
        make_eopatch().save(NAME, filesystem=place.filesystem)
        place.filesystem.makedir(f"{NAME}/label")
        with pytest.raises(StorageError, match="has nothing in its folder label"):
            load_eopatch(place, NAME)

    def test_other_files_do_not_matter(self, plain: Place) -> None:
        for path in ("notes.json", "figures/a.png", "data/.DS_Store", "data/older/BANDS.npy", "mask_timeless/README"):
            plain.write_bytes(f"{NAME}/{path}", b"{")
        assert load_eopatch(plain, NAME) == make_eopatch()
        assert eopatch_info(plain, NAME).features == ("data/BANDS", "mask_timeless/LULC", "meta_info/SIMULATED")

    def test_arrays_that_are_not_packed(self, plain: Place) -> None:
        plain.write_bytes(f"{NAME}/data/BANDS.npy", npy(make_eopatch()[BANDS]))
        plain.remove(f"{NAME}/{BANDS_FILE}")
        assert load_eopatch(plain, NAME) == make_eopatch()
        assert eopatch_info(plain, NAME).shape == (8, 8)
        plain.write_bytes(f"{NAME}/data/BANDS.npy", npy(make_eopatch()[BANDS])[:-1])
        with pytest.raises(StorageError, match=r"file data/BANDS.npy cannot be read to its end"):
            load_eopatch(plain, NAME)

    def test_values_are_taken_as_they_are(self, plain: Place) -> None:
        """eo-learn checks types when a feature is set, and not when it is loaded: there are patches that break them."""
        labels = np.full((8, 8, 1), 0.5)
        plain.write_bytes(f"{NAME}/mask_timeless/LULC.npy.gz", gzipped(labels))
        np.testing.assert_array_equal(load_eopatch(plain, NAME)[LULC], labels)

    def test_names_of_older_eo_learn(self, plain: Place) -> None:
        times = plain.read_bytes(f"{NAME}/timestamps.json")
        plain.remove(f"{NAME}/timestamps.json")
        plain.write_bytes(f"{NAME}/timestamp.json.gz", gzip.compress(times, mtime=0))
        with pytest.warns(EODeprecationWarning, match="deprecated naming `timestamp`"):
            assert load_eopatch(plain, NAME) == make_eopatch()
        with pytest.warns(EODeprecationWarning, match="deprecated naming `timestamp`"):
            assert list(eopatch_info(plain, NAME).timestamps) == make_eopatch().timestamps

    def test_meta_information_in_one_file_of_older_eo_learn(self, plain: Place) -> None:
        plain.write_bytes(f"{NAME}/meta_info.json", b'{"maxcc": 0.8}')
        with pytest.warns(EODeprecationWarning, match="old-style meta-info"):
            assert dict(load_eopatch(plain, NAME).meta_info) == {"maxcc": 0.8, "SIMULATED": True}
        assert load_eopatch(plain, NAME, features=[BANDS]).get_features() == [BANDS]

    def test_pickles_of_older_eo_learn_are_refused(self, plain: Place) -> None:
        plain.write_bytes(f"{NAME}/data/OLD.pkl.gz", gzip.compress(pickle.dumps(np.zeros((2, 8, 8, 1))), mtime=0))
        assert load_eopatch(plain, NAME, features=[BANDS]).get_features() == [BANDS]
        for features in (None, [(FeatureType.DATA, "OLD")]):
            with pytest.raises(StorageError, match=r"data/OLD\.pkl\.gz: an EOPatch of eo-learn before 1\.0.*1\.2\.1"):
                load_eopatch(plain, NAME, features=features)

    def test_links_are_followed_inside_of_a_patch_and_to_it(self, tmp_path: Path) -> None:
        make_eopatch().save(str(tmp_path / "elsewhere"))
        patch = tmp_path / "place" / NAME
        shutil.copytree(tmp_path / "elsewhere", patch / "real")
        for entry in (patch / "real").iterdir():
            (patch / entry.name).symlink_to(entry)
        (tmp_path / "place" / "linked").symlink_to(tmp_path / "elsewhere")
        place = Place(tmp_path / "place")
        assert list_eopatches(place) == ["linked", NAME]
        assert load_eopatch(place, NAME) == load_eopatch(place, "linked") == make_eopatch()
        assert eopatch_info(place.child("linked")).name == "elsewhere"

    def test_a_bounding_box_alone_is_a_patch_when_it_is_asked_for(self, place: Place) -> None:
        write_eopatch(make_eopatch(), place.child("alone"), [])
        place.remove("alone/timestamps.json")
        assert load_eopatch(place, "alone").get_features() == []
        assert list_eopatches(place) == []
        with pytest.raises(FeatureError, match="no feature with pixels, there are none"):
            eopatch_info(place, "alone")


class TestZarr:
    """Arrays of eo-learn's `use_zarr`, where zarr is installed; it is no dependency of eotasks."""

    @pytest.fixture
    def zarred(self, plain: Place) -> Place:
        header = {"zarr_format": 2, "shape": [2, 8, 8, 3], "chunks": [2, 8, 8, 3], "dtype": "<f4", "compressor": None}
        header |= {"fill_value": 0, "order": "C", "filters": None}
        plain.write_bytes(f"{NAME}/data/BANDS.zarr/.zarray", json.dumps(header).encode())
        plain.write_bytes(f"{NAME}/data/BANDS.zarr/0.0.0.0", np.full((2, 8, 8, 3), 0.5, np.float32).tobytes())
        plain.remove(f"{NAME}/{BANDS_FILE}")
        return plain

    def test_size(self, zarred: Place) -> None:
        assert eopatch_info(zarred, NAME).shape == (8, 8)

    def test_values(self, zarred: Place) -> None:
        if not {"zarr", "s3fs"} <= set(sys.modules):  # eo-learn has imported both, or uses neither
            with pytest.raises(MissingDependencyError, match=r"install `zarr`"):
                load_eopatch(zarred, NAME)
            assert load_eopatch(zarred, NAME, features=[LULC]).get_features() == [LULC]
        else:
            assert load_eopatch(zarred, NAME) == make_eopatch(0.5)


def test_info_reads_a_header_alone(tmp_path: Path) -> None:
    """An array cut off behind its header does not matter to it."""
    make_eopatch().save(str(tmp_path / NAME))
    (tmp_path / NAME / BANDS_FILE).unlink()
    (tmp_path / NAME / "data" / "BANDS.npy").write_bytes(npy(make_eopatch()[BANDS])[:128])
    assert eopatch_info(tmp_path, NAME).shape == (8, 8)
    (tmp_path / NAME / "data" / "BANDS.npy").write_bytes(npy(make_eopatch()[BANDS])[:50])
    with pytest.raises(StorageError, match=r"file data/BANDS.npy cannot be read to its end"):
        eopatch_info(tmp_path, NAME)


def test_features_may_be_lists_as_json_has_them(tmp_path: Path) -> None:
    place, pair = Place(tmp_path), list(BANDS)
    save_eopatch(place, "p", make_eopatch(), features=[pair])
    for patch in (
        load_eopatch(place, "p", features=[pair]),
        load_eopatch(place, "p", features=[], optional=[pair]),
        LoadSavedEOPatchTask(place, features=[pair]).execute(name="p"),
    ):
        assert patch.get_features() == [BANDS]
    assert is_complete(place, "p", features=[pair])
    with pytest.raises(FeatureError, match="has no feature data/CLP, there are: data/BANDS"):
        load_eopatch(place, "p", features=[[FeatureType.DATA, "CLP"]])


def test_a_patch_that_is_absent_costs_no_listing_of_all_and_names_a_few(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(8):
        place.write_bytes(f"p{number}/_current.json", b"{}")
    place.write_bytes("logs/log", b"")
    if place.is_local:
        place.local_path("file").touch()
        place.local_path("p3/_current.json").unlink()
    monkeypatch.setattr(Place, "entries", lambda *_: pytest.fail("a listing of all"))
    third = "p4" if place.is_local else "p3"
    names = f"p0, p1, p2, {third}, {'p5' if place.is_local else 'p4'}"
    with pytest.raises(StorageError, match=rf"there are: {names}, ... \(9 folders in all\)\."):
        load_eopatch(place, "absent")
