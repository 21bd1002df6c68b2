"""`eotasks archive status`, `verify` and `repair`: what is there, what is wrong with it, and that it is mended."""

from __future__ import annotations

import json
import os
import shutil
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from eotasks.catalogue import store
from eotasks.catalogue.store import Catalogue
from eotasks.errors import ConfigurationError, StorageError
from eotasks.storage.lease import hold_lease
from eotasks.storage.place import Place
from eotasks.workflows.batch.manifest import ManifestWriter
from eotasks.workflows.cloud_archive.settings import ArchiveSettings
from eotasks.workflows.cloud_archive.whole.repair import RepairResult, repair_archive
from eotasks.workflows.cloud_archive.whole.status import archive_status
from eotasks.workflows.cloud_archive.whole.verify import verify_archive
from eotasks.workflows.product_masks.options import CloudMaskOptions
from tests.builders.clouds.archives import add_product, build, images, items, too_bright
from tests.builders.command_line import command
from tests.builders.stac_items import make_item

FOLDER = "masks/33UUU/2017"
A = f"{FOLDER}/A"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An archive of A and B with a sibling of A, and a copy of it."""
    folder = tmp_path_factory.mktemp("archive")
    for name, day in (("A", 16), ("B", 17)):
        add_product(folder / "source", name, day)
    catalogue = Catalogue(folder / "source.parquet")
    assert command("catalogue", "add", folder / "source", "--catalogue", catalogue.location).code == 0
    sibling = make_item("A-L2A", time="2017-02-16T10:21:01", level="L2A")
    catalogue.add([sibling])
    assert sorted(build(catalogue.location, folder / "out").done) == ["A", "B"]
    shutil.copytree(folder / "out", folder / "pristine")
    return folder / "out", folder / "pristine"


@pytest.fixture
def archive(built: tuple[Path, Path]) -> Iterator[Path]:
    """That archive, which is as it was again afterwards."""
    out, pristine = built
    yield out
    shutil.rmtree(out)
    shutil.copytree(pristine, out)


def repair(place: Path, **options: Any) -> RepairResult:
    return repair_archive(place, executor="serial", **options)


def kinds(place: Path, **options: Any) -> list[tuple[str, str]]:
    return [(each.kind, each.folder) for each in verify_archive(place, **options).findings]


def whole(place: Path) -> tuple[dict[str, bytes], dict[str, Any], dict[str, dict[str, str]]]:
    """Images, items, and the masks of each row of the catalogue."""
    rows = Catalogue(place / "catalogue.parquet").search()
    masks = {row.id: {kind: row.assets[kind].href for kind in ("CLP", "CLM") if kind in row.assets} for row in rows}
    return images(place), items(place), masks


def cut(place: Path) -> None:
    os.truncate(place / A / "A_CLM.tif", 100)


def flip(place: Path) -> None:
    path = place / A / "A_CLP.tif"
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)


def lose_file(place: Path) -> None:
    (place / A / "A_CLP.tif").unlink()


def lose_item(place: Path) -> None:
    (place / A / "A.json").unlink()


def spoil_item(place: Path) -> None:
    (place / A / "A.json").write_text('{"id": "A", "assets": {"CLM": {"href": "/etc/passwd"}}, "properties": {}}')


def change_settings(place: Path) -> None:
    item = json.loads((place / A / "A.json").read_text())
    item["properties"]["eotasks:settings"]["threshold"] = 0.5
    (place / A / "A.json").write_text(json.dumps(item))


def spoil_settings(place: Path) -> None:
    item = json.loads((place / A / "A.json").read_text())
    item["properties"]["eotasks:settings"] = 5
    (place / A / "A.json").write_text(json.dumps(item))


def lose_row(place: Path) -> None:
    Catalogue(place / "catalogue.parquet").add([], remove=["A"])


def lose_catalogue(place: Path) -> None:
    lose_row(place)
    Catalogue(place / "catalogue.parquet").add([], remove=["B"])


def lose_folder(place: Path) -> None:
    shutil.rmtree(place / A)


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        pytest.param(cut, [("bad file", A)], marks=pytest.mark.trial),
        (flip, [("bad file", A)]),
        (lose_file, [("missing file", A)]),
        pytest.param(lose_item, [("no item", A)], marks=pytest.mark.trial),
        (spoil_item, [("bad item", A)]),
        pytest.param(change_settings, [("bad item", A)], marks=pytest.mark.trial),
        pytest.param(spoil_settings, [("bad item", A)], marks=pytest.mark.trial),
        pytest.param(lose_row, [("not catalogued", A)], marks=pytest.mark.trial),
        (lose_catalogue, [("not catalogued", A), ("not catalogued", f"{FOLDER}/B")]),
        (lose_folder, [("no masks", A), ("no masks", A)]),
    ],
)
def test_damage_is_found_and_mended(
    archive: Path, damage: Callable[[Path], None], expected: list[tuple[str, str]]
) -> None:
    assert kinds(archive) == []
    before = whole(archive)
    damage(archive)
    assert kinds(archive) == expected
    assert repair(archive).failed == {}
    assert kinds(archive) == []
    assert whole(archive) == before


def test_what_cannot_be_made_again_is_removed_and_built_anew(archive: Path, tmp_path: Path) -> None:
    before = whole(archive)
    moved = (archive.parent / "source").rename(tmp_path / "elsewhere")
    try:
        lose_file(archive)
        result = repair(archive)
        assert (result.made, list(result.failed)) == ((), ["A"])
        rows = Catalogue(archive / "catalogue.parquet").search()
        assert {row.id: "CLM" in row.assets for row in rows} == {"A-L2A": False, "B": True}
    finally:
        moved.rename(archive.parent / "source")
    assert build(archive.parent / "source.parquet", archive).done == ["A"]
    assert whole(archive) == before


def test_a_source_may_be_elsewhere_now(archive: Path, tmp_path: Path) -> None:
    before = whole(archive)[0]
    moved = (archive.parent / "source").rename(tmp_path / "elsewhere")
    try:
        assert {kind for kind, _ in kinds(archive, sample=2)} == {"other values"}
        assert kinds(archive, sample=2, source=moved) == []
        cut(archive)
        result = repair(archive, source=moved)
        assert (result.made, result.failed, whole(archive)[0]) == (("A",), {}, before)
    finally:
        moved.rename(archive.parent / "source")


def test_orphans_are_removed_and_strangers_left(archive: Path) -> None:
    (archive / FOLDER / "gone").mkdir()
    (archive / FOLDER / "gone" / "gone_CLP.tif").write_bytes(b"half")
    (archive / FOLDER / "gone" / "notes.txt").write_text("mine")
    (archive / "masks" / "README").write_text("mine")
    expected = [("unknown file", "masks/README"), ("no item", f"{FOLDER}/gone")]
    assert sorted(kinds(archive)) == sorted(expected)
    repair(archive)
    assert [path.name for path in (archive / FOLDER / "gone").iterdir()] == ["notes.txt"]
    assert (archive / "masks" / "README").exists()


def test_a_moved_archive_is_catalogued_anew(archive: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(archive, moved)
    assert [kind for kind, _ in kinds(moved)] == ["not catalogued"] * 3
    assert sorted(repair(moved).catalogued) == ["A", "B"]
    assert kinds(moved) == []
    for masks in whole(moved)[2].values():
        assert all(href.startswith(f"{moved}/masks/") for href in masks.values())
        assert masks.keys() == {"CLP", "CLM"}


def test_a_sample_is_made_again(archive: Path) -> None:
    found = verify_archive(archive, sample=5)
    assert (sorted(found.sample), found.findings) == (["A", "B"], ())
    assert verify_archive(archive, sample=1).sample == verify_archive(archive, sample=1).sample
    source = archive.parent / "source" / "A"
    kept = source.rename(archive.parent / "kept")
    try:
        add_product(source.parent, "A", change=lambda _, values: values[::-1])
        assert set(kinds(archive, sample=2)) == {("other values", A)}
        shutil.rmtree(source)
        assert kinds(archive, sample=2) == [("other values", A)]
    finally:
        kept.rename(source)


def test_masks_that_were_to_be_removed(tmp_path: Path) -> None:
    """A builder was killed after it had catalogued those of the newer processing."""
    source, out = tmp_path / "source", tmp_path / "out"
    add_product(source, "old")
    build(source, out)
    shutil.copytree(out / FOLDER, tmp_path / "kept")
    add_product(source, "new", sidecar={"processing_baseline": "02.05"})
    build(source, out)
    after = whole(out)
    shutil.copytree(tmp_path / "kept" / "old", out / FOLDER / "old")
    assert kinds(out) == [("not catalogued", f"{FOLDER}/old")]
    repair(out)
    assert (whole(out), kinds(out)) == (after, [])


class TestStatus:
    def test_counts(self, tmp_path: Path) -> None:
        add_product(tmp_path / "source", "A")
        add_product(tmp_path / "source", "bright", 17, change=too_bright)
        build(tmp_path / "source", tmp_path / "out")
        result = command("archive", "status", tmp_path / "out")
        assert result.code == 0
        assert "products  1 (1 L1C) of 1 tiles, 2017-02-16 to 2017-02-16" in result.out
        assert ": 1 done, 1 failed" in result.out
        assert "failed bright: " in result.out
        content = json.loads(command("archive", "status", tmp_path / "out", "--json").out)
        assert (content["build"]["counts"]["done"], list(content["build"]["failed"])) == (1, ["bright"])
        assert content["settings"]["resolution"] == 160

    def test_while_it_runs(self, archive: Path) -> None:
        writer = ManifestWriter(Place(archive), "archive")
        writer.batch(patches=5, executor="processes", workers=1, sequence=9)
        writer.running("C", 1)
        status = archive_status(archive)
        assert status.is_running
        assert status.build is not None
        assert (len(status.build.running), status.build.waiting) == (1, 4)
        with pytest.raises(ConfigurationError, match="is being built"):
            verify_archive(archive)

    def test_no_archive(self, tmp_path: Path) -> None:
        for action in ("status", "verify", "repair"):
            result = command("archive", action, tmp_path)
            assert (result.code, result.err.count("\n")) == (2, 1)
            assert "is no archive" in result.err


def test_the_commands(archive: Path) -> None:
    sound = command("archive", "verify", archive, "--sample", 1)
    assert (sound.code, "Wrong: nothing" in sound.out) == (0, True)
    flip(archive)
    assert command("archive", "verify", archive, "--quick").code == 0
    found = command("archive", "verify", archive, "--json")
    assert (found.code, [each["kind"] for each in json.loads(found.out)["findings"]]) == (1, ["bad file"])
    lose_row(archive)
    result = command("archive", "verify", archive)
    assert "Wrong: 1 bad file, 1 not catalogued" in result.out
    assert command("archive", "verify", archive, "--sample", "-1").code == 2


def test_one_at_a_time(archive: Path) -> None:
    with hold_lease(Place(archive), "eotasks archive build"), pytest.raises(StorageError, match="in use"):
        repair(archive)


class TestMemory:
    """What is in memory does not grow with an archive."""

    def test_items_are_looked_at_in_portions(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        place, products, bytes_each = Place(tmp_path), 60, 100_000
        settings = ArchiveSettings.of(CloudMaskOptions(resolution=160))
        settings.write(place)
        said = {"eotasks:settings": settings.settings, "eotasks:detector_package": settings.detector_package}
        asset = {"href": "./nothing", "file:size": 1, "file:checksum": "none"}
        for number in range(products):
            name, properties = f"P{number}", {**said, "note": "x" * bytes_each}
            item = {"id": name, "assets": {"CLM": asset}, "properties": properties}
            place.write_bytes(f"{FOLDER}/{name}/{name}.json", json.dumps(item).encode())
        monkeypatch.setattr("eotasks.workflows.cloud_archive.whole.verify._PORTION", 4)
        verify_archive(place, checksums=False)  # loads what it needs
        tracemalloc.start()
        found = verify_archive(place, checksums=False)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert found.products == products
        assert {each.kind for each in found.findings} == {"missing file", "not catalogued"}
        assert peak < products * bytes_each / 2

    def test_rows_of_sound_products_are_not_read(self, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        read: list[str] = []

        def items_of(table: Any, where: str) -> Any:
            found = table_items(table, where)
            read.extend(each.id for each in found)
            return found

        table_items = store.items_of
        monkeypatch.setattr(store, "items_of", items_of)
        lose_file(archive)
        assert repair(archive).made == ("A",)
        assert set(read) == {"A", "A-L2A"}

    def test_one_portion_after_the_other(self, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        before = whole(archive)
        monkeypatch.setattr("eotasks.workflows.cloud_archive.whole.repair.PORTION", 1)
        lose_catalogue(archive)
        assert repair(archive).catalogued == ("A", "B")
        assert whole(archive) == before
