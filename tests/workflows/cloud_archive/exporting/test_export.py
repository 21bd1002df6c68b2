"""`eotasks archive export-stac`: what pystac, the schemas and other readers find in an export."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import geopandas
import pyarrow.parquet as pq
import pystac
import pytest

from eotasks.catalogue.store import Catalogue
from eotasks.errors import ConfigurationError, StorageError
from eotasks.storage.lease import hold_lease
from eotasks.storage.place import Place
from eotasks.workflows.batch.manifest import ManifestWriter
from eotasks.workflows.cloud_archive.exporting.export import ExportResult, export_stac
from eotasks.workflows.product_masks.options import CloudMaskOptions
from tests.builders.clouds.archives import add_product, build
from tests.builders.command_line import command
from tests.builders.stac.validation import core_schemas, extension_schemas, validate
from tests.builders.stac_items import make_item

L1C, L2A = "cloud-masks-l1c", "cloud-masks-l2a"
GROUP = "33U/33UUU/2017"
MASKS = "masks/33UUU/2017"
KINDS = ("CLP", "CLM", "SHADOW")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of A and B with a sibling of A that lies on a server."""
    folder = tmp_path_factory.mktemp("archive")
    for name, day in (("A", 16), ("B", 17)):
        add_product(folder / "source", name, day)
    catalogue = Catalogue(folder / "source.parquet")
    assert command("catalogue", "add", folder / "source", "--catalogue", catalogue.location).code == 0
    sibling = make_item("A-L2A", time="2017-02-16T10:21:01", level="L2A")
    sibling.add_asset("B04", pystac.Asset("https://example.org/A/B04.jp2", roles=["data"]))
    catalogue.add([sibling])
    options = CloudMaskOptions(resolution=160, shadows=True)
    assert sorted(build(catalogue.location, folder / "masks", options=options).done) == ["A", "B"]
    return folder / "masks"


@pytest.fixture
def archive(built: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(built, tmp_path / "masks")
    return tmp_path / "masks"


def documents(out: Path) -> dict[str, dict[str, Any]]:
    """All files of JSON of an export, by their paths in it."""
    files = [each for each in out.rglob("*.json") if not each.name.startswith(".")]
    return {str(each.relative_to(out)): json.loads(each.read_text()) for each in sorted(files)}


def contents(out: Path) -> dict[str, bytes]:
    """All files of an export."""
    return {str(each.relative_to(out)): each.read_bytes() for each in sorted(out.rglob("*")) if each.is_file()}


def walked(out: Path) -> dict[str, pystac.Item]:
    """Items that a reader comes to, by their ids; all that links lead to is there."""
    root = pystac.Catalog.from_file(str(out / "catalog.json"))
    items = list(root.get_items(recursive=True))
    assert len({item.id for item in items}) == len(items)
    for item in items:
        assert item.get_parent() is not None
        assert item.get_root() is root
        assert isinstance(item.get_collection(), pystac.Collection)
    return {item.id: item for item in items}


def hrefs(item: pystac.Item) -> dict[str, str]:
    return {kind: str(item.assets[kind].get_absolute_href()) for kind in KINDS}


class TestTree:
    def test_all_files_are_valid_and_all_links_lead_somewhere(self, built: Path, tmp_path: Path) -> None:
        result = export_stac(built, tmp_path / "stac")
        assert (result.items, result.failed) == ({L1C: 2, L2A: 1}, {})
        found = documents(tmp_path / "stac")
        below = ("33U/33UUU/2017/catalog.json", "33U/33UUU/catalog.json", "33U/catalog.json", "collection.json")
        catalogues = {"catalog.json", *(f"{name}/{path}" for name in (L1C, L2A) for path in below)}
        assert {path for path in found if found[path]["type"] != "Feature"} == catalogues
        for path, content in found.items():
            assert validate(content) == 1 + len(content.get("stac_extensions", ())), path
            for link in content["links"]:
                if not link["href"].startswith("https://"):
                    assert (tmp_path / "stac" / path).parent.joinpath(link["href"]).is_file(), (path, link)
        extensions = {each.split("/")[3] for each in found[f"{L1C}/{GROUP}/A/A.json"]["stac_extensions"]}
        assert extensions >= {"classification", "raster", "processing", "file", "projection"}
        items = walked(tmp_path / "stac")
        assert sorted(items) == ["A", "A-L2A", "B"]
        for name, of in (("A", "A"), ("B", "B"), ("A-L2A", "A")):
            assert {kind: Path(href).resolve() for kind, href in hrefs(items[name]).items()} == {
                kind: (built / f"{MASKS}/{of}/{of}_{kind}.tif").resolve() for kind in KINDS
            }

    def test_the_validator_of_the_community_says_the_same(self, built: Path, tmp_path: Path) -> None:
        validator = pytest.importorskip("stac_validator.stac_validator")
        export_stac(built, tmp_path / "stac")
        schemas = {uri: str(file) for uri, file in extension_schemas().items()}
        for number, (uri, schema) in enumerate(core_schemas().items()):
            (tmp_path / f"{number}.json").write_text(json.dumps(schema))
            schemas[uri] = str(tmp_path / f"{number}.json")
        for path in documents(tmp_path / "stac"):
            stac = validator.StacValidate(str(tmp_path / "stac" / path), schema_map=dict(schemas))
            assert stac.run(), stac.message

    def test_a_collection_says_what_is_in_it(self, built: Path, tmp_path: Path) -> None:
        export_stac(built, tmp_path / "stac")
        found = pystac.Collection.from_file(str(tmp_path / f"stac/{L1C}/collection.json"))
        assert [str(each)[:19] for each in found.extent.temporal.intervals[0]] == [
            "2017-02-16 10:21:01",
            "2017-02-17 10:21:01",
        ]
        boxes = [item.bbox for item in found.get_items(recursive=True)]
        assert found.extent.spatial.bboxes == [list(boxes[0] or ())]
        assert sorted(found.item_assets) == sorted(KINDS)
        assert found.extra_fields["eotasks:settings"]["shadows"] is True
        assert found.assets["items"].roles == ["collection-mirror"]
        assert Path(str(found.assets["items"].get_absolute_href())).is_file()

    def test_what_is_of_no_tile_has_a_catalogue_too(self, archive: Path, tmp_path: Path) -> None:
        (archive / "masks/other").mkdir()
        shutil.move(archive / "masks/33UUU/2017", archive / "masks/other/2017")
        catalogue = Catalogue(archive / "catalogue.parquet")
        rows = catalogue.search()
        for row in rows:
            for kind in KINDS:
                if kind in row.assets:
                    row.assets[kind].href = row.assets[kind].href.replace("/33UUU/", "/other/")
        catalogue.add(rows)
        result = export_stac(archive, tmp_path / "stac")
        assert result.items == {L1C: 2, L2A: 1}
        assert set(walked(tmp_path / "stac")) == {"A", "A-L2A", "B"}
        assert (tmp_path / f"stac/{L1C}/other/2017/A/A.json").is_file()


class TestHrefs:
    def test_an_archive_and_the_export_in_it_can_be_moved(self, archive: Path, tmp_path: Path) -> None:
        export_stac(archive, archive / "stac")
        archive.rename(tmp_path / "elsewhere")
        for item in walked(tmp_path / "elsewhere/stac").values():
            assert all(Path(href).is_file() for href in hrefs(item).values())

    def test_copies_need_nothing_else(self, archive: Path, tmp_path: Path) -> None:
        expected = {each.name: each.read_bytes() for each in archive.rglob("*.tif")}
        export_stac(archive, tmp_path / "stac", copy=True)
        shutil.rmtree(archive)
        (tmp_path / "stac").rename(tmp_path / "moved")
        items = walked(tmp_path / "moved")
        for name, of in (("A", "A"), ("A-L2A", "A"), ("B", "B")):
            for href in hrefs(items[name]).values():
                assert Path(href).read_bytes() == expected[Path(href).name]
                assert Path(href).name.startswith(f"{of}_")
        assert len(list((tmp_path / "moved").rglob("*.tif"))) == len(expected)  # a sibling has none of its own

    @pytest.mark.parametrize("copy", [False, True], ids=["archive", "copies"])
    def test_an_address_that_others_reach(self, built: Path, tmp_path: Path, copy: bool) -> None:
        export_stac(built, tmp_path / "stac", address="https://data.example.org/m", copy=copy)
        home = f"{L1C}/{GROUP}/A" if copy else f"{MASKS}/A"
        expected = {kind: f"https://data.example.org/m/{home}/A_{kind}.tif" for kind in KINDS}
        items = walked(tmp_path / "stac")
        assert hrefs(items["A"]) == hrefs(items["A-L2A"]) == expected

    @pytest.mark.parametrize(
        ("products", "l1c", "l2a"),
        [("addresses", set(), {"B04"}), ("all", {"B01", "eotasks:product"}, {"B04"}), ("none", set(), set())],
    )
    def test_assets_of_the_products(
        self, built: Path, tmp_path: Path, products: Any, l1c: set[str], l2a: set[str]
    ) -> None:
        """By default none of this machine: others could not read it, and its path is nobody's business."""
        export_stac(built, tmp_path / "stac", products=products)
        items = walked(tmp_path / "stac")
        for name, expected in (("A", l1c), ("A-L2A", l2a)):
            kept = items[name].assets.keys() - set(KINDS)
            assert kept >= expected
            assert bool(kept) == bool(expected)
        text = "".join(json.dumps(each) for each in documents(tmp_path / "stac").values())
        assert (str(built.parent / "source") in text) == (products == "all")
        for content in documents(tmp_path / "stac").values():
            validate(content)


class TestTable:
    def test_rows_are_the_items(self, built: Path, tmp_path: Path) -> None:
        arrow = pytest.importorskip("stac_geoparquet.arrow")
        export_stac(built, tmp_path / "stac", products="all")
        for name in (L1C, L2A):
            rows = arrow.stac_table_to_items(pq.read_table(tmp_path / f"stac/{name}/items.parquet"))
            items = {path: each for path, each in documents(tmp_path / f"stac/{name}").items() if "assets" in each}
            items = {each["id"]: each for each in items.values() if each["type"] == "Feature"}
            found = {row["id"]: without_nulls(row) for row in rows}
            assert found.keys() == items.keys()
            for key, item in items.items():
                expected = without_nulls(item)
                for kind in KINDS:
                    path = Path(found[key]["assets"][kind]["href"])
                    there = tmp_path / f"stac/{name}/{GROUP}/{key}" / expected["assets"][kind]["href"]
                    assert path.is_absolute()
                    assert path.resolve() == there.resolve()
                    expected["assets"][kind]["href"] = str(path)
                expected["links"] = found[key]["links"]
                assert same_times(found[key]) == same_times(expected)

    def test_others_read_it(self, built: Path, tmp_path: Path) -> None:
        export_stac(built, tmp_path / "stac")
        file = tmp_path / f"stac/{L1C}/items.parquet"
        frame = geopandas.read_parquet(file)
        assert list(frame["id"]) == ["A", "B"]
        assert frame.crs.to_string() == "OGC:CRS84"
        geo = json.loads(pq.read_metadata(file).metadata[b"geo"])
        assert geo["columns"]["geometry"]["bbox"] == list(frame.total_bounds)
        assert [item.id for item in Catalogue(file).search(bbox=(12, 52, 13, 53), tile="33UUU")] == ["A", "B"]


class TestAgain:
    def test_what_has_not_changed_is_not_written(self, archive: Path, tmp_path: Path) -> None:
        out = tmp_path / "stac"
        assert counts(export_stac(archive, out, copy=True)) == (3, 0, 0)
        before, changed = contents(out), {each: each.stat().st_mtime_ns for each in out.rglob("*") if "A" in each.name}
        assert counts(export_stac(archive, out, copy=True)) == (0, 3, 0)
        assert contents(out) == before
        assert {each: each.stat().st_mtime_ns for each in changed} == changed

    def test_it_becomes_what_a_new_one_is(self, archive: Path, tmp_path: Path) -> None:
        """A product has gone, with its folder; another way of hrefs; and what the user put beside it stays."""
        out = tmp_path / "stac"
        export_stac(archive, out, copy=True)
        (out / "index.html").write_text("a browser")
        shutil.rmtree(archive / f"{MASKS}/A")
        result = export_stac(archive, out)
        assert (result.items, result.removed) == ({L1C: 1}, 2)
        assert sorted(walked(out)) == ["B"]
        export_stac(archive, tmp_path / "new")
        left = contents(out)
        assert left.pop("index.html") == b"a browser"
        assert without_paths(left, out) == without_paths(contents(tmp_path / "new"), tmp_path / "new")
        assert not [each for each in out.rglob("*") if each.is_dir() and not any(each.iterdir())]

    @pytest.mark.slow
    def test_an_export_that_ends_anywhere_leaves_what_can_be_read(
        self, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Writes fail, here and there: nothing is half-written, no link leads nowhere, and the next export ends it."""
        out = tmp_path / "stac"
        gone = tmp_path / "gone"
        real, countdown = Place.write_bytes, [-1]

        def write(place: Place, path: str, data: bytes) -> None:
            if place == Place(out):
                countdown[0] -= 1
                if countdown[0] == 0:
                    raise StorageError("the disk is full")
            real(place, path, data)

        monkeypatch.setattr(Place, "write_bytes", write)
        export_stac(archive, tmp_path / "before")
        shutil.move(archive / f"{MASKS}/A", gone)
        export_stac(archive, tmp_path / "after")
        expected = {name: without_paths(contents(tmp_path / name), tmp_path / name) for name in ("before", "after")}
        for number in range(1, 30, 3):
            shutil.rmtree(out, ignore_errors=True)
            countdown[0] = number
            with_failure(archive, out)  # of a new one: B alone
            if countdown[0] > 0:
                break
            assert not (out / "catalog.json").exists()
            assert export_stac(archive, out).items == {L1C: 1}
            assert without_paths(contents(out), out) == expected["after"]
            shutil.move(gone, archive / f"{MASKS}/A")
            countdown[0] = number
            with_failure(archive, out)  # of one that is there, with A too
            assert "B" in walked(out)
            for content in documents(out).values():
                validate(content)
            assert export_stac(archive, out).items == {L1C: 2, L2A: 1}
            assert without_paths(contents(out), out) == expected["before"]
            shutil.move(archive / f"{MASKS}/A", gone)
        assert number > 5


class TestRefused:
    def test_a_folder_that_holds_other_things(self, built: Path, tmp_path: Path) -> None:
        (tmp_path / "stac").mkdir()
        (tmp_path / "stac/notes.txt").write_text("mine")
        for out, text in (
            (tmp_path / "stac", "holds other things"),
            (built, "holds other things"),
            (built.parent, "holds other things"),
            (built / "masks/33UUU", "among the masks"),
            (tmp_path / "stac/notes.txt", "is a file"),
        ):
            with pytest.raises(ConfigurationError, match=text):
                export_stac(built, out)
        assert contents(tmp_path) == {"stac/notes.txt": b"mine"}

    def test_the_export_of_another_archive(self, archive: Path, tmp_path: Path) -> None:
        shutil.copytree(archive, tmp_path / "other")
        export_stac(archive, tmp_path / "stac", copy=True)
        (tmp_path / "stac/cloud-masks-l1c/README.txt").write_text("mine")
        before = contents(tmp_path / "stac")
        with pytest.raises(ConfigurationError, match=r"is the export of .*masks: give a folder of its own"):
            export_stac(tmp_path / "other", tmp_path / "stac", copy=True)
        assert contents(tmp_path / "stac") == before
        assert export_stac(archive, tmp_path / "stac", copy=True).removed == 0
        assert (tmp_path / "stac/cloud-masks-l1c/README.txt").read_text() == "mine"
        (tmp_path / "stac/.eotasks-export.json").write_text("{")
        with pytest.raises(ConfigurationError, match="has a damaged"):
            export_stac(archive, tmp_path / "stac", copy=True)

    def test_no_archive_and_none_yet(self, archive: Path, tmp_path: Path) -> None:
        with pytest.raises(StorageError, match="is no archive"):
            export_stac(tmp_path / "none", tmp_path / "stac")
        shutil.rmtree(archive / "masks")
        with pytest.raises(ConfigurationError, match="has no masks yet"):
            export_stac(archive, tmp_path / "stac")
        assert not (tmp_path / "stac").exists()

    def test_while_a_builder_or_another_export_is_at_work(self, archive: Path, tmp_path: Path) -> None:
        with hold_lease(Place(tmp_path / "stac"), "another"), pytest.raises(StorageError, match="another"):
            export_stac(archive, tmp_path / "stac")
        writer = ManifestWriter(Place(archive), "archive")
        writer.batch(patches=5, executor="processes", workers=1, sequence=9)
        writer.running("C", 1)
        with pytest.raises(ConfigurationError, match="is being built"):
            export_stac(archive, tmp_path / "stac")

    @pytest.mark.parametrize("copy", [False, True], ids=["linked", "copied"])
    def test_damaged_masks_are_named_and_the_others_shown(self, archive: Path, tmp_path: Path, copy: bool) -> None:
        os.truncate(archive / f"{MASKS}/A/A_CLM.tif", 100)
        result = export_stac(archive, tmp_path / "stac", copy=copy)
        assert result.failed.keys() == {"A"}
        assert "A_CLM.tif: 100 bytes" in result.failed["A"]
        assert sorted(walked(tmp_path / "stac")) == ["B"]

    def test_what_is_copied_is_compared_with_its_checksum(self, archive: Path, tmp_path: Path) -> None:
        path = archive / f"{MASKS}/A/A_CLP.tif"
        path.write_bytes(path.read_bytes()[:-1] + b"?")
        assert export_stac(archive, tmp_path / "linked").failed == {}
        result = export_stac(archive, tmp_path / "copied", copy=True)
        assert "is damaged" in result.failed["A"]
        assert sorted(walked(tmp_path / "copied")) == ["B"]

    @pytest.mark.parametrize(
        "change",
        [
            lambda item: item.pop("assets"),
            lambda item: item.update(id="C"),
            lambda item: item.update(geometry={"type": "Point", "coordinates": [1, 2]}),
            lambda item: item["properties"].update({"eotasks:settings": {}}),
            lambda item: item["properties"].update({"s2:of-others": 1}),
            lambda item: item["assets"]["CLM"].update(href="../../../../elsewhere.tif"),
            lambda item: item["assets"].update({"B01": {"href": "https://u:p@example.org/B01.jp2"}}),
        ],
        ids=["no assets", "other id", "no place", "other settings", "a property", "an href", "a secret"],
    )
    def test_items_that_are_not_of_the_archive(self, archive: Path, tmp_path: Path, change: Any) -> None:
        path = archive / f"{MASKS}/A/A.json"
        item = json.loads(path.read_text())
        change(item)
        path.write_text(json.dumps(item))
        result = export_stac(archive, tmp_path / "stac")
        assert result.failed.keys() == {"A"}
        assert "u:p" not in str(result.failed)
        assert sorted(walked(tmp_path / "stac")) == ["B"]


class TestCommand:
    def test_says_what_it_did(self, archive: Path, tmp_path: Path) -> None:
        out = tmp_path / "stac"
        done = command("archive", "export-stac", archive, "--out", out)
        assert done.code == 0
        assert "Items: 3 new or changed, 0 failed" in done.out
        assert f"Catalogue: {out}/catalog.json" in done.out
        assert "products: 3/3" in done.err
        os.truncate(archive / f"{MASKS}/B/B_CLM.tif", 100)
        again = command("archive", "export-stac", archive, "--out", out, "--json")
        assert again.code == 1
        told = json.loads(again.out)
        assert (told["kept"], told["removed"], list(told["failed"])) == (2, 0, ["B"])
        assert list(out.glob("**/B/B.json"))  # what was shown of it stays

    def test_refusals_and_help(self, archive: Path) -> None:
        assert "--out FOLDER" in command("archive", "export-stac", archive).err
        assert command("archive", "export-stac", archive, "--out", "x", "--absolute", "--address", "s3://b").code == 2
        shown = command("archive", "export-stac", "--help").out
        assert "eotasks archive export-stac masks --out masks/stac" in shown
        assert "1 some products could not be shown" in shown


def with_failure(archive: Path, out: Path) -> None:
    try:
        export_stac(archive, out)
    except StorageError as error:
        assert "the disk is full" in str(error)  # noqa: PT017 - the last one does not fail


def counts(result: ExportResult) -> tuple[int, int, int]:
    assert not result.failed
    return result.written, result.kept, result.removed


def without_paths(files: dict[str, bytes], out: Path) -> dict[str, Any]:
    """Files of an export, the tables as rows: their hrefs name the folder of copies."""
    rows = {}
    for path in [each for each in files if each.endswith(".parquet")]:
        del files[path]
        rows[path] = pq.read_table(out / path).to_pylist()
    return {**files, **rows}


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(each) for key, each in value.items() if each is not None}
    return [without_nulls(each) for each in value] if isinstance(value, list) else value


def same_times(item: dict[str, Any]) -> dict[str, Any]:
    """Times as one text, which may be written with or without parts of a second."""
    item["properties"] |= {
        key: str(item["properties"][key]).replace("+00:00", "Z").replace(".000000Z", "Z")
        for key in ("datetime", "s2:generation_time")
        if key in item["properties"]
    }
    return item
