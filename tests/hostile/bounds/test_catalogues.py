"""Items and catalogues that hold more than any, or whose names are patterns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from eotasks.catalogue.store import Catalogue
from eotasks.errors import ImageryError, StorageError
from eotasks.imagery.files.origin import Origin
from eotasks.imagery.products.stac import describe_item
from eotasks.limits import (
    CATALOGUE_BYTES,
    CATALOGUE_ROWS,
    ITEM_ASSETS,
)
from tests.builders.stac_items import make_item


def test_assets_of_an_item_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    item = make_item("S2A_MSIL1C_20170216T102101_N0204_R065_T33UUU_20170216T102204").to_dict()
    item["assets"] = {f"a{number}": {"href": "/a"} for number in range(1001)}
    with pytest.raises(ImageryError, match=f"1,001, more than 1,000 item assets .{ITEM_ASSETS.variable}"):
        describe_item(item, Origin.of("/a/b.json"))


@pytest.fixture
def catalogues(tmp_path: Path) -> Iterator[Path]:
    """A catalogue in a folder, of one item that has the name of the folder."""
    for name in ("ab", "ac"):
        (tmp_path / name).mkdir()
        Catalogue(tmp_path / name / "c.parquet").add([make_item(f"other {name}")])
        Catalogue(tmp_path / f"{name}.parquet").add([make_item(f"other {name}")])
    return tmp_path  # type: ignore[return-value]  # a fixture


@pytest.mark.parametrize(
    "name",
    ["a*.parquet", "a?.parquet", "a[bc].parquet", "[!x]b.parquet", "*.parquet", "**.parquet", "a*/c.parquet",
     "**/c.parquet", "a?/c.parquet", "[a]b/c.parquet", "{ab,ac}.parquet", "a'b.parquet", "id=x/c.parquet",
     "eo:cloud_cover=5/c.parquet", "a b.parquet", "%s.parquet"],
)  # fmt: skip
def test_names_of_catalogues_are_no_patterns(catalogues: Path, name: str) -> None:
    (catalogues / name).parent.mkdir(exist_ok=True)
    catalogue = Catalogue(catalogues / name)
    catalogue.add([make_item("own")])
    assert [item.id for item in catalogue.search()] == ["own"]
    assert catalogue.summary().items == 1
    assert [item.id for item in catalogue.search(tile="33UUU", max_cloud_cover=0.5)] == ["own"]


def test_names_of_catalogues_that_cannot_be_said(catalogues: Path) -> None:
    catalogue = Catalogue(catalogues / "a\\*.parquet")
    catalogue.add([make_item("own")])
    with pytest.raises(ImageryError, match="Rename the catalogue"):
        catalogue.search()


def test_rows_of_a_catalogue_are_counted(catalogues: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue = Catalogue(catalogues / "ab.parquet")
    monkeypatch.setenv(CATALOGUE_BYTES.variable, "500")
    with pytest.raises(StorageError, match=CATALOGUE_BYTES.variable):
        catalogue.search()
    monkeypatch.setenv(CATALOGUE_BYTES.variable, str(10**6))
    catalogue.add([make_item(f"{number}") for number in range(5)])
    monkeypatch.setenv(CATALOGUE_ROWS.variable, "5")
    with pytest.raises(ImageryError, match=f"6, more than 5 catalogue rows .{CATALOGUE_ROWS.variable}"):
        catalogue.search()
    with pytest.raises(ImageryError, match=CATALOGUE_ROWS.variable):
        catalogue.add([make_item("new")])


def test_values_that_are_stored_once_and_stand_in_many_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    Catalogue(tmp_path / "a.parquet").add([make_item("a")])
    table = pq.read_table(tmp_path / "a.parquet")
    long = pa.array(["x" * 10**6] * 60)
    many = pa.concat_tables([table] * 60)
    pq.write_table(
        many.set_column(many.schema.get_field_index("s2:product_uri"), "s2:product_uri", long), tmp_path / "b.parquet"
    )
    assert (tmp_path / "b.parquet").stat().st_size < 3_000_000
    monkeypatch.setenv(CATALOGUE_BYTES.variable, "20000000")
    with pytest.raises(ImageryError, match=CATALOGUE_BYTES.variable):
        Catalogue(tmp_path / "b.parquet").search()
