"""Items of an archive that are not as they should be: shown, or refused by name, and nothing else."""

from __future__ import annotations

import contextlib
import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eotasks.errors import ConfigurationError, ImageryError
from eotasks.storage.place import Place
from eotasks.workflows.cloud_archive.exporting.hrefs import mask_hrefs
from eotasks.workflows.cloud_archive.exporting.items import check_products, level_of_item, parsed_item, shown_item
from eotasks.workflows.cloud_archive.exporting.table import export_schema, row_of_item
from eotasks.workflows.cloud_archive.exporting.tree import Extent
from eotasks.workflows.cloud_archive.item import encode_item, files_of_item, parse_item
from tests.builders.clouds.archives import add_product, build, items
from tests.builders.stac.validation import validate

PARENTS = ("catalog.json", "masks/collection.json", "masks/33U/catalog.json")


@pytest.fixture(scope="module")
def item(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("archive")
    add_product(folder / "source", "A")
    build(folder / "source", folder / "out")
    return items(folder / "out")["A"]


def shown(content: dict[str, Any]) -> dict[str, Any]:
    """As an export does it, without files."""
    parsed = parse_item(json.dumps(content).encode(), "A")
    files_of_item(parsed, "A")
    made = parsed_item(parsed, "A")
    level_of_item(made)
    hrefs = mask_hrefs(Place("/a"), Place("/b"), absolute=False, address=None, copy=False)
    document, absolute = shown_item(made, "masks/33U/A/A.json", "masks/33U/A", hrefs, "all", PARENTS)
    row_of_item(document, absolute, export_schema(content["properties"]["eotasks:settings"]))
    Extent().add([document])
    encode_item(document)
    return document


def paths(value: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Of all values in a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [before, *(path for key, each in inner for path in paths(each, (*before, key)))]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def test_it_is_valid(item: dict[str, Any]) -> None:
    found = shown(item)
    assert validate(found) == 1 + len(found["stac_extensions"])
    assert found["bbox"] == item["bbox"]
    assert {key: found["properties"][key] for key in item["properties"]} == item["properties"]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_value_may_be_another_one(item: dict[str, Any], data: st.DataObject) -> None:
    changed = copy.deepcopy(item)
    path = data.draw(st.sampled_from([each for each in paths(item) if each and "eotasks:settings" not in each]))
    owner = changed
    for key in path[:-1]:
        owner = owner[key]
    if isinstance(owner, dict) and data.draw(st.booleans()):
        del owner[path[-1]]
    else:
        owner[path[-1]] = data.draw(JSON)
    if "eotasks:settings" in (changed.get("properties") or {}):  # items of other settings are refused before
        with contextlib.suppress(ImageryError):
            shown(changed)


def test_no_products_of_such_a_kind() -> None:
    with pytest.raises(ConfigurationError, match="addresses, all, none"):
        check_products("some")


def test_an_export_holds_no_path_of_the_source(item: dict[str, Any], tmp_path: Path) -> None:
    hrefs = mask_hrefs(Place("/a"), Place("/b"), absolute=False, address=None, copy=False)
    for products, expected in (("all", True), ("addresses", False), ("none", False)):
        made = parsed_item(copy.deepcopy(item), "A")
        document, _ = shown_item(made, "masks/33U/A/A.json", "masks/33U/A", hrefs, products, PARENTS)  # type: ignore[arg-type]
        assert ("B01" in document["assets"]) == expected
        validate(document)
