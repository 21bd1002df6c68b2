"""`eotasks.durable`: content before name, the umask's rights, and names of any length."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from eotasks.durable import atomic_folder, atomic_path, make_folder
from eotasks.eopatches import save, swap
from eotasks.eopatches.save import export_eopatch, save_eopatch
from eotasks.export.cog import write_cog
from eotasks.models.landcover.model import _save_to_folder
from eotasks.storage.place import Place
from eotasks.workflows.report.page import Report
from tests.builders.eopatches import make_eopatch


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What is flushed and renamed, in its order."""
    found: list[str] = []

    def record(name: str) -> None:
        real = getattr(os, name)

        def call(first: int | Path, *others: object) -> object:
            path = Path(f"/proc/self/fd/{first}").readlink() if isinstance(first, int) else Path(others[0])  # type: ignore[call-overload]  # a path
            found.append(f"{name} {path.relative_to(tmp_path.parent)}")
            return real(first, *others)

        monkeypatch.setattr(os, name, call)

    for name in ("fsync", "replace"):
        record(name)
    return found


@pytest.mark.parametrize("over", [False, True], ids=["first save", "over another"])
def test_files_of_a_patch_are_on_the_disk_before_it_has_its_name(
    tmp_path: Path, steps: list[str], monkeypatch: pytest.MonkeyPatch, over: bool
) -> None:
    """A power cut after the exchange would else leave empty files in place of the good ones."""
    if over:
        save_eopatch(Place(tmp_path), "p", make_eopatch(0.5))
    real = swap.put_in_place
    begun: list[int] = []

    def put(new: Path, target: Path, tag: str | None) -> None:
        begun.append(len(steps))
        steps.append(f"in place {new.relative_to(tmp_path.parent)}")
        real(new, target, tag)

    monkeypatch.setattr(save, "put_in_place", put)
    steps.clear()
    save_eopatch(Place(tmp_path), "p", make_eopatch())
    (here,) = begun
    temporary = steps[here].removeprefix("in place ")
    there = [path.relative_to(tmp_path / "p") for path in (tmp_path / "p").rglob("*") if path.name != "_current.json"]
    order = {path: steps.index(f"fsync {temporary}/{path}") for path in there}
    assert len(there) > 6
    assert all(place < here for place in order.values())
    assert all(order[path] < order[path.parent] for path in there if len(path.parts) > 1)
    marker = steps.index(f"replace {temporary}/_current.json")
    assert max(order.values()) < marker < here, "the marker vouches for the others"
    assert steps[marker + 1 : here] == [f"fsync {temporary}"]
    assert steps[here + 1 :] == [f"fsync {tmp_path.name}"]


@pytest.mark.parametrize("writer", ["write_bytes", "write_if", "upload", "writing"])
def test_content_is_flushed_before_its_name_and_the_folder_after(tmp_path: Path, steps: list[str], writer: str) -> None:
    place = Place(tmp_path / "new" / "place")
    if writer == "write_bytes":
        place.write_bytes("a", b"1")
    elif writer == "write_if":
        place.write_if("a", b"1", None)
    elif writer == "upload":
        place.upload("a", Path(__file__))
    else:
        with place.writing("a") as path:
            path.write_bytes(b"1")
    top = tmp_path.name
    assert steps[:2] == [f"fsync {top}", f"fsync {top}/new"], "folders that were made"
    assert steps[2].startswith(f"fsync {top}/new/place/.tmp-")
    assert steps[3:] == [f"replace {top}/new/place/a", f"fsync {top}/new/place"]


@pytest.fixture(params=[0o002, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_files_of_every_writer_honour_the_umask(tmp_path: Path, umask: int) -> None:
    place, eopatch = Place(tmp_path / "place"), make_eopatch(every_kind=True)
    save_eopatch(place, "a", eopatch)
    export_eopatch(place, "a", tmp_path / "plain" / "patch")
    place.append_line("manifest.jsonl", "line")
    place.write_bytes("batch/log", b"1")
    place.write_if("lease", b"1", None)
    place.upload("upload", Path(__file__))
    with place.writing("grid.gpkg") as path, sqlite3.connect(path) as database:
        database.execute("CREATE TABLE a (b)")
    database.close()
    write_cog(tmp_path / "map.tif", np.ones((4, 4), np.uint8), crs=32633, bounds=(0, 0, 40, 40))
    _save_to_folder(tmp_path / "model", {"model.txt": "a", "model.json": "b"})
    Report("Title").save(tmp_path / "report.html")
    found = {path: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    right = {path: (0o777 if path.is_dir() else 0o666) & ~umask for path in found}
    wrong = {str(path): oct(mode) for path, mode in found.items() if mode != right[path]}
    assert not wrong
    assert len(found) > 30


@pytest.mark.parametrize("name", ["a" * 255, "ä" * 127, "a" * 250 + ".tif", "\udcfc" * 255, "é" * 120 + ".json"])
def test_names_may_be_as_long_as_the_disk_takes_them(tmp_path: Path, name: str) -> None:
    with atomic_path(tmp_path / name) as temporary:
        assert temporary.suffix == Path(name).suffix
        temporary.write_bytes(b"1")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_folder_is_put_in_place_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for target in (tmp_path / "new", tmp_path / "empty"):
        with pytest.raises(ZeroDivisionError), atomic_folder(target) as folder:
            (folder / f"half{1 // 0}").touch()
        with atomic_folder(target) as folder:
            (folder / "a").touch()
        assert [path.name for path in target.iterdir()] == ["a"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "new"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list any folder")
def test_a_folder_that_may_not_be_listed_is_written_to(tmp_path: Path) -> None:
    tmp_path.chmod(0o300)
    try:
        make_folder(tmp_path / "a")
        with atomic_path(tmp_path / "b") as temporary:
            temporary.touch()
    finally:
        tmp_path.chmod(0o700)
