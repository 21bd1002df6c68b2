from __future__ import annotations

from pathlib import Path

import pytest

from eotasks.storage.place import Place
from tests.servers.s3 import S3Server


@pytest.fixture(params=["folder", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty place, on disk and on a real S3 server."""
    if request.param == "folder":
        return Place(tmp_path / "a place")
    server: S3Server = request.getfixturevalue("s3_server")
    return Place(server.location())
