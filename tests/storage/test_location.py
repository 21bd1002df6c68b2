"""`eotasks.storage.location`: what a location names, by its text."""

from __future__ import annotations

from pathlib import Path

import pytest

from eotasks.storage.location import is_remote, is_s3, is_web, plain_scheme


@pytest.mark.parametrize(
    ("location", "s3", "web"),
    [
        ("s3://bucket/key", True, False),
        ("https://example.org/a", False, True),
        ("http://example.org/a", False, True),
        ("S3://bucket/key", True, False),
        ("HTTPS://example.org/a", False, True),
        ("/data/a", False, False),
        ("s3", False, False),
        ("https:/a", False, False),
        ("gs://bucket/key", False, False),
        (Path("s3:/bucket"), False, False),
    ],
    ids=str,
)
def test_kinds_of_locations(location: str | Path, s3: bool, web: bool) -> None:
    assert (is_s3(location), is_web(location), is_remote(location)) == (s3, web, s3 or web)


def test_schemes_in_capitals_mean_the_same() -> None:
    assert plain_scheme("HTTPS://Example.org/A") == "https://Example.org/A"
    assert plain_scheme("S3://bucket/Key") == "s3://bucket/Key"
    assert plain_scheme("/data/S3://x") == "/data/S3://x"
