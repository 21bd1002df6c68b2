"""Products on web servers, whose manifest says what is there."""

from __future__ import annotations

import pytest

from eotasks.errors import ImageryError
from eotasks.imagery.files.open import open_files
from tests.servers.web import AnsweringServer, status


def test_manifest_that_leads_out(web_server: AnsweringServer) -> None:
    manifest = b'<x><fileLocation href="./../../etc/passwd"/></x>'
    web_server.answers["HEAD", "/P.SAFE/manifest.safe"] = status(200, manifest)
    web_server.answers["GET", "/P.SAFE/manifest.safe"] = status(200, manifest)
    with pytest.raises(ImageryError, match="leads out of the product"):
        open_files(f"{web_server.url}/P.SAFE").names()
