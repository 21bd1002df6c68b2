"""`eotasks catalogue`: what a user types, and what a script reads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eotasks.catalogue import Catalogue
from eotasks.errors import CredentialsError
from eotasks.sources.sample import sample_path
from eotasks.workflows.catalogue import adding
from eotasks.workflows.catalogue.adding import add_products
from eotasks.workflows.cli import main
from tests.builders.layouts import SIDE, sidecar_part
from tests.builders.stac_items import make_item
from tests.servers.stac import StacServer

NAME = "T33UUU_20170216"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    shutil.copytree(sample_path(), tmp_path / "archive" / NAME)
    return tmp_path / "archive"


@pytest.fixture
def filled(archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    file = tmp_path / "products.parquet"
    assert main(["catalogue", "add", str(archive), "--catalogue", str(file)]) == 0
    assert "1 added, 0 described anew, 0 failed; 0 with CLP and CLM" in capsys.readouterr().out
    return file


def test_bad_products_are_named_and_the_others_go_on(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (archive / "broken.SAFE").mkdir()
    (archive / "broken.SAFE" / "notes.txt").write_text("")
    (archive / "cut.zip").write_bytes(b"PK")
    file = tmp_path / "products.parquet"
    assert main(["catalogue", "add", str(archive), "--catalogue", str(file)]) == 1
    out = capsys.readouterr().out
    assert "1 added, 0 described anew, 2 failed" in out
    assert "broken.SAFE" in out
    assert "cut.zip" in out
    assert [item.id for item in Catalogue(file).search()] == [NAME]


def test_places_without_products_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A search of the catalogue that is not made would ask for this very command."""
    for name in ("photos", "papers"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "notes.txt").write_text("")
    file = tmp_path / "products.parquet"
    for places in (["photos"], ["photos", "papers"]):
        assert main(["catalogue", "add", *(str(tmp_path / each) for each in places), "--catalogue", str(file)]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"eotasks: There is no product below {tmp_path / 'photos'}")
        for words in (*places, str(file), "Looked for: .SAFE folders, zips", "acquisition.json", "or a product itself"):
            assert words in error
    assert not file.exists()


def test_every_product_is_in_one_of_the_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is wrong with one: the others are added. Portions of two, so that repetitions lie in several."""
    monkeypatch.setattr(adding, "PORTION", 2)
    everywhere = np.ones((SIDE, SIDE), dtype=bool)
    archive = tmp_path / "archive"
    for name, time in (("a/P", 1), ("b/P", 1), ("z/P", 1), ("a/Q", 2), ("b/Q", 3), ("R", 4)):
        sidecar_part(
            archive / Path(name).parent, Path(name).name, 1000, everywhere, baseline=None,
            time=f"2024-05-0{time}T10:00:00",
        )  # fmt: skip
    (archive / "broken.SAFE").mkdir()
    (archive / "broken.SAFE" / "notes.txt").write_text("")
    (archive / "cut.zip").write_bytes(b"PK")
    real = adding.item_of

    def spoilt(scene: Any) -> Any:
        item = real(scene)
        if scene.name == "R":
            item.properties["x:unknown"] = 1
        return item

    monkeypatch.setattr(adding, "item_of", spoilt)
    result = add_products(Catalogue(tmp_path / "c.parquet"), [str(archive)])
    assert (result.found, result.added, result.replaced, result.kept) == (8, 2, 0, 0)
    assert result.repeated == {str(archive / name): str(archive / "a" / "P") for name in ("b/P", "z/P")}
    assert sorted(Path(each).name for each in result.failed) == ["Q", "R", "broken.SAFE", "cut.zip"]
    assert "of the same name Q: rename one" in result.failed[str(archive / "b" / "Q")]
    assert "x:unknown" in result.failed[str(archive / "R")]
    assert sorted(item.id for item in Catalogue(tmp_path / "c.parquet").search()) == ["P", "Q"]
    assert main(["catalogue", "add", str(archive), "--catalogue", str(tmp_path / "c.parquet")]) == 1
    out = capsys.readouterr().out
    assert "8 found, 0 added, 2 described anew, 2 left out, the same as others, 4 failed" in out
    assert f"Left out: {archive / 'b' / 'P'}, the same product as {archive / 'a' / 'P'}" in out.replace("\n", " ")


def test_refused_credentials_end_nothing_but_where_they_open_nothing(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(sample_path(), archive / "closed")
    real = adding.open_scene

    def refusing(location: str, **options: Any) -> Any:
        if "closed" in location:
            raise CredentialsError("s3://bucket: access denied")
        return real(location, **options)

    monkeypatch.setattr(adding, "open_scene", refusing)
    result = add_products(Catalogue(tmp_path / "c.parquet"), [str(archive)])
    assert (result.added, list(result.failed)) == (1, [str(archive / "closed")])
    with pytest.raises(CredentialsError, match="access denied"):
        add_products(Catalogue(tmp_path / "d.parquet"), [str(archive / "closed")])


def test_masks_are_found_elsewhere(archive: Path, filled: Path, tmp_path: Path) -> None:
    folder = tmp_path / "masks" / NAME
    folder.mkdir(parents=True)
    for kind in ("CLP", "CLM", "SHADOW"):
        (folder / f"{NAME}_{kind}.tif").write_bytes(b"")
    add = ["catalogue", "add", str(archive), "--masks", str(tmp_path / "masks"), "--catalogue", str(filled)]
    assert main(add) == 0
    item = Catalogue(filled).search()[0]
    for kind in ("CLP", "CLM", "SHADOW"):
        assert item.assets[kind].href == str(folder / f"{NAME}_{kind}.tif")
    assert (Catalogue(filled).summary().masks, Catalogue(filled).summary().shadows) == (1, 1)


def test_search(filled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    search = ["catalogue", "search", "--catalogue", str(filled)]
    box = ["--bbox", "330000", "5814360", "345360", "5822040", "--crs", "EPSG:32633"]
    assert main([*search, *box, "--from", "2017-02-16", "--to", "2017-02-16"]) == 0
    out = capsys.readouterr().out
    assert NAME in out
    assert "1 product\n" in out
    assert main([*search, "--tile", "34TDK"]) == 0
    assert capsys.readouterr().out == "0 products\n"
    assert main([*search, "--json"]) == 0
    collection: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert [feature["id"] for feature in collection["features"]] == [NAME]


def test_a_search_tells_what_it_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """Among the lines of the screen; beside JSON on stderr."""
    items = [make_item(name).to_dict(include_self_link=False) | {"collection": "sentinel-2-l1c"} for name in "AB"]
    server = StacServer([items[0], items[1] | {"geometry": {"type": "Point", "coordinates": [12.5, 52.5]}}])
    server.thread.start()
    try:
        search = ["catalogue", "search", "--catalogue", server.url]
        assert main(search) == 0
        out = capsys.readouterr().out
        assert main([*search, "--json"]) == 0
        script = capsys.readouterr()
    finally:
        server.close()
    assert "1 product\n" in out
    assert [feature["id"] for feature in json.loads(script.out)["features"]] == ["A"]
    for text in (out, script.err):
        assert "Warning: The STAC API" in text
        assert "1 items are left out. STAC item 'B'" in text


def test_info(filled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["catalogue", "info", "--catalogue", str(filled)]) == 0
    assert "1 products of 1 tiles" in capsys.readouterr().out
    assert main(["catalogue", "info", "--json", "--catalogue", str(filled)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["items"], told["levels"], told["first"]) == (1, {"L1C": 1}, "2017-02-16T10:21:01Z")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["add", "nowhere"], "nothing is there"),
        (["search", "--max-cloud-cover", "80"], "0 to 1"),
        (["search"], "no such catalogue"),
        (["search", "--catalogue", "c.json"], ".parquet"),
    ],
)
def test_bad_input(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["catalogue", *arguments]) == 2
    assert message in capsys.readouterr().err
