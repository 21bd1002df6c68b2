"""A build in several windows and batches makes what one makes, and says how far it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eotasks.catalogue import Catalogue
from eotasks.storage.place import Place
from eotasks.workflows.batch import trim
from eotasks.workflows.cloud_archive import build as building
from eotasks.workflows.cloud_archive import windows
from eotasks.workflows.cloud_archive.totals import BUILD_FILE, BuildTotals, read_totals
from eotasks.workflows.cloud_archive.whole.status import archive_status
from tests.builders.clouds.archives import add_product, build, images, items, too_bright
from tests.builders.command_line import command


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A catalogue in parts of four products, one of them bad."""
    for day, name in enumerate("ABC"):
        add_product(tmp_path / "products", name, 10 + day)
    add_product(tmp_path / "products", "bright", 14, change=too_bright)
    catalogue = tmp_path / "source.parquet"
    assert command("catalogue", "add", tmp_path / "products", "--catalogue", catalogue, "--parts").code == 0
    assert Catalogue(catalogue).is_parted()
    return catalogue


@pytest.mark.slow
def test_several_batches_make_what_one_makes(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = build(source, tmp_path / "one")
    assert (sorted(one.done), list(one.failed)) == (["A", "B", "C"], ["bright"])
    monkeypatch.setattr(windows, "ROWS", 1)
    monkeypatch.setattr(building, "BATCH", 2)
    monkeypatch.setattr(trim, "TRIM_BYTES", 0)
    out = tmp_path / "out"
    result = build(source, out)
    assert (result.done, result.failed, result.kept) == (one.done, one.failed, [])
    assert (images(out), items(out)) == (images(tmp_path / "one"), items(tmp_path / "one"))
    status = archive_status(out)
    assert status.totals == BuildTotals(products=4, kept=0, done=3, failed=1)
    assert status.totals is not None
    assert status.totals.left == 0
    assert "all       4 products: 3 done, 1 failed" in command("archive", "status", out).out
    assert json.loads(command("archive", "status", out, "--json").out)["build"]["totals"]["left"] == 0
    again = build(source, out)
    assert (again.done, sorted(again.kept), list(again.failed)) == ([], ["A", "B", "C"], ["bright"])
    assert archive_status(out).totals == BuildTotals(products=4, kept=3, done=0, failed=1)


def test_totals_that_are_none(tmp_path: Path) -> None:
    place = Place(tmp_path)
    assert read_totals(place) is None
    for text in (
        "",
        "[]",
        '{"products": -1}',
        '{"products": 1, "version": 2}',
        '{"products": 1, "more": 2}',
        "{" * 9999,
    ):
        (tmp_path / BUILD_FILE).write_text(text)
        assert read_totals(place) is None
    BuildTotals(products=5, done=2).write(place)
    assert read_totals(place) == BuildTotals(products=5, done=2)
