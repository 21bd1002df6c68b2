"""Catalogues in parts: what is added and found is what one file would have, whoever writes and reads meanwhile."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import os
import random
import threading
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import box

from eotasks.catalogue import Catalogue
from eotasks.catalogue.parts import compaction, folder, writing
from eotasks.catalogue.parts.ids import digests_of, may_have
from eotasks.catalogue.parts.manifest import MANIFEST, Manifest, Part, parse_manifest
from eotasks.errors import ConfigurationError, ImageryError, StorageError
from tests.builders.command_line import command
from tests.builders.stac_items import footprint, make_item
from tests.servers.s3 import S3Server


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return Catalogue(tmp_path / "c.parquet", parts=True)


def at(day: int, hour: int = 10) -> str:
    return (dt.datetime(2024, 1, 1) + dt.timedelta(days=day, hours=hour)).isoformat()  # noqa: DTZ001 - of an item


def manifest_of(catalogue: Catalogue) -> Manifest:
    return parse_manifest(Path(catalogue.location, MANIFEST).read_bytes(), "here")


def names(catalogue: Catalogue, **arguments: Any) -> list[str]:
    return [item.id for item in catalogue.search(**arguments)]


def test_an_addition_writes_no_other_part(catalogue: Catalogue) -> None:
    catalogue.add([make_item("A", time=at(0))])
    before = {path: path.stat().st_mtime_ns for path in Path(catalogue.location).glob("part-*")}
    catalogue.add([make_item("B", time=at(1)), make_item("C", time=at(1))])
    after = {path: path.stat().st_mtime_ns for path in Path(catalogue.location).glob("part-*")}
    assert (before.items() <= after.items(), len(after)) == (True, 2)
    assert [each.rows for each in manifest_of(catalogue).parts] == [1, 2]


def test_a_search_reads_parts_of_its_time_and_place_alone(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue.add([make_item("A", time=at(0))])
    catalogue.add([make_item("B", time=at(40))])
    catalogue.add([make_item("C", box(20, 40, 21, 41), time=at(80))])
    catalogue.add([make_item("D", box(179.5, 0, 180.5, 1), time=at(80))])
    read: list[int] = []
    real = folder.PartsFolder.paths

    def noted(self: folder.PartsFolder, parts: list[Part]) -> list[str]:
        read.append(len(parts))
        return real(self, parts)

    monkeypatch.setattr(folder.PartsFolder, "paths", noted)
    assert names(catalogue, time_interval=("2024-02-01", "2024-02-20")) == ["B"]
    assert names(catalogue, bbox=(20, 40, 21, 41)) == ["C"]
    assert names(catalogue, bbox=(-179.9, 0.2, -179.8, 0.4)) == ["D"]
    assert names(catalogue, bbox=(179.7, 0.2, 179.8, 0.4)) == ["D"]
    assert names(catalogue, bbox=(0, 0, 1, 1)) == []
    assert read == [1, 1, 1, 1, 0]


@pytest.mark.slow
@settings(max_examples=2, deadline=None)
@given(st.integers(0, 10_000))
def test_is_what_one_file_would_be(seed: int) -> None:
    """Additions, replacements and removals in any order, with small parts, then put in order."""
    from tempfile import TemporaryDirectory

    chance = random.Random(seed)
    with TemporaryDirectory() as where, pytest.MonkeyPatch.context() as patch:
        patch.setattr(folder, "ROWS_OF_PART", 8)
        patch.setattr(writing, "ROWS_OF_PART", 8)
        patch.setattr(writing, "_FANOUT", 3)
        patch.setattr(compaction, "ROWS_OF_PART", 8)
        one, parts = Catalogue(f"{where}/one.parquet"), Catalogue(f"{where}/parts.parquet", parts=True)
        for _ in range(5):
            items = {
                name: make_item(
                    name,
                    footprint(chance.uniform(-179, 178), chance.uniform(-80, 79)),
                    time=at(chance.randrange(60), chance.randrange(24)),
                    baseline=chance.choice(["04.00", "05.10"]),
                )
                for name in (f"I{chance.randrange(40):02}" for _ in range(chance.randrange(12)))
            }
            remove = [f"I{chance.randrange(40):02}" for _ in range(chance.randrange(3))]
            assert one.add(items.values(), remove=remove) == parts.add(items.values(), remove=remove)
        requests: list[dict[str, Any]] = [
            {}, {"limit": 3}, {"bbox": (-90, -45, 60, 45)}, {"time_interval": (at(10)[:10], at(30)[:10]), "limit": 5},
        ]  # fmt: skip
        expected = [[item.to_dict() for item in one.search(**each)] for each in requests]
        assert [[item.to_dict() for item in parts.search(**each)] for each in requests] == expected
        done = parts.compact()
        assert [[item.to_dict() for item in parts.search(**each)] for each in requests] == expected
        assert done.items == len(expected[0])
        order = manifest_of(parts).parts
        assert all(a.last <= b.first for a, b in itertools.pairwise(order))
        assert done.after == len(order) <= 1 + len(expected[0]) // 4
        split = one.split(f"{where}/split.parquet") if one.exists() else parts
        assert [[item.to_dict() for item in split.search(**each)] for each in requests] == expected


def test_many_small_additions_make_few_parts(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "_FANOUT", 3)
    for day in range(7):
        catalogue.add([make_item(f"I{day}", time=at(day))])
    assert len(manifest_of(catalogue).parts) == 1
    assert names(catalogue) == [f"I{day}" for day in range(7)]


def test_writers_readers_and_a_compaction_at_once(catalogue: Catalogue) -> None:
    """Nothing is lost, and a reader finds at each moment all that was added before."""
    catalogue.add([make_item("0")])
    problems: list[str] = []
    done = threading.Event()

    def write(writer: int) -> None:
        for number in range(6):
            Catalogue(catalogue.location).add([make_item(f"W{writer}-{number}", time=at(number))])

    def read() -> None:
        before: set[str] = set()
        while not done.is_set():
            now = set(names(Catalogue(catalogue.location)))
            if not before <= now:
                problems.append(f"lost {before - now}")
            before = now

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(2)]
    reader = threading.Thread(target=read)
    for each in (*threads, reader):
        each.start()
    for _ in range(2):
        catalogue.compact()
    for each in threads:
        each.join()
    done.set()
    reader.join()
    assert problems == []
    assert sorted(names(catalogue)) == sorted(["0", *(f"W{w}-{n}" for w in range(2) for n in range(6))])


def test_a_writer_that_is_killed_leaves_files_that_count_for_nothing(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue.add([make_item("A")])

    def killed(*_: object) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(folder.PartsFolder, "exchange", killed)
        with pytest.raises(KeyboardInterrupt):
            catalogue.add([make_item("B")])
    assert names(catalogue) == ["A"]
    assert len(list(Path(catalogue.location).glob("part-*"))) == 2
    assert catalogue.compact().removed == 0  # they may be of a writer that is about to name them
    old = time.time() - 2 * writing.KEEP_SECONDS
    for path in Path(catalogue.location).glob("*-*"):
        os.utime(path, (old, old))
    assert catalogue.compact().removed == 2
    assert len(list(Path(catalogue.location).glob("part-*"))) == 1
    assert catalogue.add([make_item("B")]).added == ("B",)


def test_files_of_earlier_parts_stay_for_those_who_read_them(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue.add([make_item("A")])
    catalogue.add([make_item("A", cloud=50)])
    assert len(list(Path(catalogue.location).glob("part-*"))) == 2
    assert len(manifest_of(catalogue).retired) == 1
    monkeypatch.setattr(writing, "KEEP_SECONDS", -10)
    catalogue.add([make_item("B", time=at(3))])
    assert len(list(Path(catalogue.location).glob("part-*"))) == 2
    assert manifest_of(catalogue).retired == ()


def test_a_reader_whose_part_is_gone_looks_again(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue.add([make_item("A")])
    assert names(catalogue) == ["A"]
    stale = catalogue._folder.current()
    monkeypatch.setattr(writing, "KEEP_SECONDS", -10)
    other = Catalogue(catalogue.location)
    other.add([make_item("A", cloud=50)])
    other.add([make_item("B", time=at(3))])
    with monkeypatch.context() as patch:
        patch.setattr(folder.PartsFolder, "current", lambda _: stale)
        assert sorted(names(catalogue)) == ["A", "B"]
    part = manifest_of(catalogue).parts[0]
    Path(catalogue.location, part.file).unlink()
    with pytest.raises(StorageError, match="cannot be read"):
        names(catalogue)


def test_ids_are_read_of_the_part_where_their_file_is_lost_or_damaged(catalogue: Catalogue) -> None:
    catalogue.add([make_item("A")])
    (ids,) = Path(catalogue.location).glob("_ids-*")
    ids.write_bytes(b"1234")
    assert Catalogue(catalogue.location).add([make_item("A")]).replaced == ("A",)
    next(path for path in Path(catalogue.location).glob("_ids-*") if path != ids).unlink()
    assert Catalogue(catalogue.location).add([make_item("A")]).replaced == ("A",)


@settings(max_examples=30, deadline=None)
@given(st.sets(st.text(max_size=4), max_size=9), st.sets(st.text(max_size=4), max_size=9))
def test_an_id_that_is_there_is_never_missed(there: set[str], wanted: set[str]) -> None:
    assert may_have(digests_of(there), digests_of(wanted)) == bool(there & wanted)


def test_other_readers_of_folders_see_the_parts(catalogue: Catalogue) -> None:
    import geopandas

    catalogue.add([make_item("A")])
    catalogue.add([make_item("B", time=at(3))])
    assert sorted(pq.read_table(catalogue.location).column("id").to_pylist()) == ["A", "B"]
    (first, _) = sorted(Path(catalogue.location).glob("part-*"))
    assert geopandas.read_parquet(first).crs.to_string() == "OGC:CRS84"


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"version": 2}, "upgrade it"),
        ({"generation": -1}, "no whole number"),
        ({"parts": {}}, "no list"),
        ({"parts": [{}]}, "no list of the parts"),
        ({"parts": [{"name": "../secret"}]}, "another name"),
        ({"parts": [{"name": "part-0123456789abcdef/../../x"}]}, "another name"),
        ({"parts": [{"rows": 1e9}]}, "no whole number"),
        ({"parts": [{"rows": 10**12}]}, "EOTASKS_MAX_CATALOGUE_ROWS"),
        ({"parts": [{"bytes": 10**12}]}, "EOTASKS_MAX_CATALOGUE_BYTES"),
        ({"parts": [{"first": 1 << 61}]}, "no list of the parts"),
        ({"parts": [{"first": True}]}, "no time"),
        ({"parts": [{"boxes": [[0, 0, 1e300, 1]]}]}, "a box of no place"),
        ({"parts": [{"boxes": [[0, 0, float("nan"), 1]]}]}, "a box of no place"),
        ({"parts": [{}, {}]}, "names a part twice"),
        ({"retired": [{"name": "catalogue", "at": 0}]}, "another name"),
        ({"parts": [[1] * 300_000]}, "EOTASKS_MAX_DOCUMENT_VALUES"),
    ],
)
def test_manifests_that_are_none(change: dict[str, Any], match: str) -> None:
    part = {"name": "part-0123456789abcdef", "rows": 1, "bytes": 1, "first": 0, "last": 0, "boxes": [[0, 0, 1, 1]]}
    content: dict[str, Any] = {"version": 1, "generation": 1, "parts": [part], "retired": []} | change
    if isinstance(content["parts"], list) and all(isinstance(each, dict) for each in content["parts"]):
        whole = match != "no list of the parts" or "first" in str(change)
        content["parts"] = [(part if whole else {}) | each for each in content["parts"]]
    with pytest.raises((ImageryError, ConfigurationError), match=match):
        parse_manifest(json.dumps(content).encode(), "here")


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_by_name(data: bytes) -> None:
    with pytest.raises(ImageryError, match=MANIFEST):
        parse_manifest(data, "here")


def test_hostile_parts_are_refused(catalogue: Catalogue, tmp_path: Path) -> None:
    catalogue.add([make_item("A"), make_item("B", time=at(4))])
    (part,) = Path(catalogue.location).glob("part-*")
    data = part.read_bytes()
    part.write_bytes(data[: len(data) // 2])
    with pytest.raises(ImageryError, match="cannot be read as a catalogue"):
        names(catalogue)
    part.unlink()
    os.mkfifo(part)
    with pytest.raises(StorageError, match="cannot be read"):
        names(catalogue)
    part.unlink()
    part.symlink_to(tmp_path / "nowhere")
    with pytest.raises(StorageError, match="cannot be read"):
        names(catalogue)


def test_what_is_there_stays_as_it_is(tmp_path: Path) -> None:
    """A file stays a file, and parts stay parts, whoever adds."""
    Catalogue(tmp_path / "file.parquet").add([make_item("A")])
    Catalogue(tmp_path / "file.parquet", parts=True).add([make_item("B")])
    assert (tmp_path / "file.parquet").is_file()
    Catalogue(tmp_path / "parts.parquet", parts=True).add([make_item("A")])
    Catalogue(tmp_path / "parts.parquet/").add([make_item("B")])
    assert (tmp_path / "parts.parquet").is_dir()
    for name in ("file.parquet", "parts.parquet"):
        assert names(Catalogue(tmp_path / name)) == ["A", "B"]
    with pytest.raises(ConfigurationError, match="one file"):
        Catalogue(tmp_path / "file.parquet").compact()
    with pytest.raises(ConfigurationError, match="in parts already"):
        Catalogue(tmp_path / "parts.parquet").split(tmp_path / "new.parquet")
    with pytest.raises(ConfigurationError, match="is there already"):
        Catalogue(tmp_path / "file.parquet").split(tmp_path / "parts.parquet")
    for look in (Catalogue(tmp_path / "none.parquet", parts=True).search, Catalogue(tmp_path / "none.parquet").compact):
        with pytest.raises(StorageError, match="no such catalogue"):
            look()


def test_on_s3(s3_server: S3Server) -> None:
    location = s3_server.location("c.parquet")
    Catalogue(location, parts=True).add([make_item("A"), make_item("B", time=at(4))])
    catalogue = Catalogue(location)
    assert names(catalogue) == ["B", "A"]
    Catalogue(location).add([make_item("C", time=at(5)), make_item("A", cloud=50)])
    assert names(catalogue) == ["B", "C", "A"]
    assert catalogue.compact().items == 3
    assert catalogue.summary().items == 3
    assert names(Catalogue(location), time_interval=("2024-01-06", "2024-01-07")) == ["C"]


def test_the_commands(tmp_path: Path) -> None:
    Catalogue(tmp_path / "file.parquet").add([make_item("A"), make_item("B", time=at(3))])
    assert (
        "2 products of 1 tiles" in command("catalogue", "split", tmp_path / "file.parquet", tmp_path / "p.parquet").out
    )
    Catalogue(tmp_path / "p.parquet").add([make_item("C", time=at(4))])
    assert "3 products, 2 parts are now 1" in command("catalogue", "compact", tmp_path / "p.parquet").out
    assert json.loads(command("catalogue", "compact", tmp_path / "p.parquet", "--json").out)["items"] == 3
    assert command("catalogue", "compact", tmp_path / "file.parquet").code == 2
    assert "C" in command("catalogue", "search", "--catalogue", tmp_path / "p.parquet").out
