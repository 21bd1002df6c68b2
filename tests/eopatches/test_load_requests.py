"""What reading and saving EOPatches asks of S3."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np

from eotasks.eopatches.clean import clean
from eotasks.eopatches.files import HEAD_BYTES, write_eopatch
from eotasks.eopatches.load import eopatch_info, is_complete, list_eopatches, load_eopatch
from eotasks.eopatches.save import save_eopatch
from eotasks.storage import s3
from eotasks.storage.place import Place
from tests.builders.eopatches import BANDS, LULC, SIMULATED, SUN_ANGLES, make_eopatch
from tests.servers.s3 import S3Server

NAME = "patch"
BANDS_FILE = "data/BANDS.npy.gz"


@contextmanager
def requests() -> Iterator[list[str]]:
    """The operations that are asked of S3 inside the block, of those with a key its last part too."""
    calls: list[str] = []

    def count(model: Any, params: dict[str, Any], **_: object) -> None:
        key = params["url_path"].rpartition("/")[2] if model.name == "GetObject" else ""
        calls.append(f"{model.name} {key}".strip())

    events = s3.s3_client().meta.events
    events.register("before-call.s3", count, unique_id="count")
    try:
        yield calls
    finally:
        events.unregister("before-call.s3", unique_id="count")


def test_listing_asks_for_pages_and_not_for_patches(s3_server: S3Server) -> None:
    place = Place(s3_server.location())
    names = [f"patch-{number:02d}" for number in range(30)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: place.write_bytes(f"{name}/_current.json", b"{}"), names))
        list(pool.map(lambda name: place.write_bytes(f"{name}/.gen-1/bbox.geojson", b"{}"), names))
    for path in ("plain/bbox.geojson", "plain/data/BANDS.npy", "other/file", ".hidden/_current.json"):
        place.write_bytes(path, b"{}")
    with requests() as calls:
        assert list_eopatches(place) == [*names, "plain"]
        assert clean(place).generations == 0
    assert calls == ["ListObjectsV2", "ListObjectsV2", "HeadBucket", "ListMultipartUploads"]


def test_only_what_is_asked_for_is_fetched(s3_server: S3Server) -> None:
    place = Place(s3_server.location())
    eopatch = make_eopatch()
    eopatch[BANDS] = np.random.default_rng(1).random((2, 64, 64, 3), dtype=np.float32)
    write_eopatch(eopatch, place.child(NAME), [BANDS, LULC, SIMULATED])
    assert place.files(NAME)[BANDS_FILE] > HEAD_BYTES  # its shape is known by less
    always = {"GetObject _current.json", "ListObjectsV2", "GetObject bbox.geojson", "GetObject timestamps.json"}
    with requests() as calls:
        load_eopatch(place, NAME, features=[LULC], optional=[SUN_ANGLES])
    assert set(calls) == always | {"GetObject LULC.npy.gz"}
    assert len(calls) == 7, "two listings, and two looks for a marker"
    with requests() as calls:
        assert eopatch_info(place, NAME).shape == (64, 64)
    assert set(calls) == always | {"GetObject BANDS.npy.gz"}
    save_eopatch(place, NAME, eopatch)
    with requests() as calls:
        load_eopatch(place, NAME, features=[LULC])
    assert sorted(calls) == sorted([*(always - {"ListObjectsV2"}), "GetObject LULC.npy.gz"])


def test_what_a_save_and_loads_of_all_cost(s3_server: S3Server) -> None:
    """Of 5 files of 3 types: in docs/decisions/0006."""
    place = Place(s3_server.location())
    costs = {"GetObject _current.json": 1, "ListObjectsV2": 1, "CopyObject": 5, "DeleteObjects": 1}
    # The generation, the marker twice, the guard; of a first save the objects of folders, and the guard at once.
    for puts in (5 + 4 + 4, 5 + 3 + 1):  # this server does not list the folder itself
        with requests() as calls:
            save_eopatch(place, NAME, make_eopatch())
        assert Counter(calls) == {**costs, "PutObject": puts}
    with requests() as calls:
        assert load_eopatch(place, NAME) == make_eopatch()
    assert len(calls) == 2 + 5
    assert calls.count("ListObjectsV2") == 1
    with requests() as calls:
        assert is_complete(place, NAME)
    assert len(calls) == 2
    with requests() as calls:
        eopatch_info(place, NAME)
    assert calls.count("ListObjectsV2") == 1
    assert len(calls) == 6
