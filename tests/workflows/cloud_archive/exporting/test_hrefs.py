"""Hrefs from an export to the masks of its archive."""

from __future__ import annotations

import posixpath
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eotasks.errors import ConfigurationError
from eotasks.storage.place import Place
from eotasks.workflows.cloud_archive.exporting.hrefs import MaskHrefs, mask_hrefs

HOME, ITEM = "masks/33UUU/2017/A", "cloud-masks-l1c/33U/33UUU/2017/A"


def hrefs(archive: Path | str, out: Path | str, **options: object) -> MaskHrefs:
    given = {"absolute": False, "address": None, "copy": False, **options}
    return mask_hrefs(Place(archive), Place(out), **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("archive", "out", "options", "expected"),
    [
        ("/a/m", "/a/m/stac", {}, f"../../../../../../{HOME}/A_CLM.tif"),
        ("/a/m", "/b", {}, f"../../../../../../a/m/{HOME}/A_CLM.tif"),
        ("s3://b/m", "s3://b/m/stac", {}, f"../../../../../../{HOME}/A_CLM.tif"),
        ("s3://b", "s3://b/stac", {}, f"../../../../../../{HOME}/A_CLM.tif"),
        ("/a/m", "/b", {"absolute": True}, f"/a/m/{HOME}/A_CLM.tif"),
        ("s3://b/m", "/b", {"absolute": True}, f"s3://b/m/{HOME}/A_CLM.tif"),
        ("/a/m", "s3://b", {"address": "https://d.org/m/"}, f"https://d.org/m/{HOME}/A_CLM.tif"),
        ("/a/m", "s3://b", {"address": "s3://c/m"}, f"s3://c/m/{HOME}/A_CLM.tif"),
    ],
)
def test_they_lead_to_the_masks(archive: str, out: str, options: dict[str, object], expected: str) -> None:
    assert hrefs(archive, out, **options).of_item("A_CLM.tif", HOME, ITEM) == expected


FOLDERS = st.lists(st.sampled_from(["a", "b", "masks", "Ä ö", "x%20y"]), max_size=4).map("/".join)


@given(FOLDERS, FOLDERS, st.sampled_from(["/nowhere/at/all", "s3://bucket"]))
def test_they_lead_to_the_masks_from_wherever_to_wherever(archive: str, out: str, root: str) -> None:
    """By the rule of RFC 3986, which is that of paths too."""
    places = f"{root}/{archive}".rstrip("/"), f"{root}/{out}".rstrip("/")
    found = hrefs(*places).of_item("A_CLM.tif", HOME, ITEM)
    scheme, there = ("s3://", f"{places[1]}/{ITEM}"[5:]) if root.startswith("s3") else ("", f"{places[1]}/{ITEM}")
    assert found.startswith("../")
    assert f"{scheme}{posixpath.normpath(f'{there}/{found}')}" == f"{places[0]}/{HOME}/A_CLM.tif"


@pytest.mark.parametrize(
    ("options", "in_item", "in_table"),
    [
        ({}, "./A_CLM.tif", f"/b/{ITEM}/A_CLM.tif"),
        ({"absolute": True}, f"/b/{ITEM}/A_CLM.tif", f"/b/{ITEM}/A_CLM.tif"),
        ({"address": "https://d.org"}, f"https://d.org/{ITEM}/A_CLM.tif", f"https://d.org/{ITEM}/A_CLM.tif"),
    ],
    ids=["relative", "absolute", "address"],
)
def test_to_copies(options: dict[str, object], in_item: str, in_table: str) -> None:
    found = hrefs("s3://bucket/m", "/b", copy=True, **options)
    assert (found.of_item("A_CLM.tif", ITEM, ITEM), found.of_table("A_CLM.tif", ITEM)) == (in_item, in_table)


def test_names_are_quoted_in_addresses_of_the_web() -> None:
    name = "A b#1_CLM.tif"
    assert hrefs("/a", "/b", address="https://d.org").of_table(name, HOME).endswith("/A%20b%231_CLM.tif")
    assert hrefs("/a", "/b", absolute=True).of_table(name, HOME) == f"/a/{HOME}/{name}"


@pytest.mark.parametrize(
    ("archive", "out"), [("/a", "s3://b"), ("s3://b", "/a"), ("s3://b/m", "s3://c/m")], ids=["up", "down", "buckets"]
)
def test_no_relative_way(archive: str, out: str) -> None:
    with pytest.raises(ConfigurationError, match="--absolute"):
        hrefs(archive, out)


def test_a_link_on_the_way_that_leads_elsewhere(tmp_path: Path) -> None:
    """``../`` behind a link is another folder for those who follow it than for those who read it as text."""
    (tmp_path / "disk/deep/er").mkdir(parents=True)
    (tmp_path / "data").symlink_to(tmp_path / "disk/deep/er")
    with pytest.raises(ConfigurationError, match="No relative path"):
        hrefs(tmp_path / "masks", tmp_path / "data/stac")
    hrefs(tmp_path / "data/masks", tmp_path / "data/stac")  # the link is above both


@pytest.mark.parametrize(
    "address", ["ftp://d.org", "d.org/m", "https://u:p@d.org", "https://d.org/m?X-Amz-Signature=1", "https://d.org#x"]
)
def test_no_address(address: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        hrefs("/a", "/b", address=address)
    assert "u:p" not in str(raised.value)
    assert "Amz" not in str(raised.value)
