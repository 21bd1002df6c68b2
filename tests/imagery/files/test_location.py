"""`eotasks.imagery.files.location`: names and addresses, of which nothing is believed."""

from __future__ import annotations

import pytest

from eotasks.errors import ImageryError
from eotasks.imagery.files.location import checked_name
from eotasks.imagery.files.web import WebFiles
from eotasks.imagery.files.zip import ZipFiles
from eotasks.text import redacted


@pytest.mark.parametrize("name", ["a.xml", "GRANULE/L1C_T33UUU/MTD_TL.xml", "..a", "a..b/c", "é.xml"])
def test_inside(name: str) -> None:
    assert checked_name(name, "product") == name


@pytest.mark.parametrize(
    "name", ["", "/a", "../a", "a/../b", "a/./b", "a//b", "a/", "a\\b", "..\\a", "C:/a", "a\0b", ".", ".."]
)
def test_outside(name: str) -> None:
    with pytest.raises(ImageryError, match="leads out of the product"):
        checked_name(name, "product")


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/a/b.zip", "/a/b.zip"),
        ("s3://bucket/a", "s3://bucket/a"),
        ("https://user:password@example.org:8080/a.zip?X-Amz-Signature=s#f", "https://example.org:8080/a.zip"),
    ],
)
def test_redacted(location: str, expected: str) -> None:
    assert redacted(location) == expected


def test_no_repr_has_a_secret() -> None:
    for kind in (ZipFiles, WebFiles):
        assert "secret" not in repr(kind("https://user:secret@example.org/a.zip?sig=secret"))
