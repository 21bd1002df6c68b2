"""Sources and archives on a real S3 server, and a STAC API on loopback: what they give is what folders give."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eotasks.catalogue.items import item_of
from eotasks.catalogue.store import Catalogue
from eotasks.errors import ProductSkippedWarning
from eotasks.imagery.scene import open_scene
from eotasks.storage.place import Place
from eotasks.workflows.cloud_archive.plan import plan_archive
from tests.builders.clouds.archives import add_product, build, images, items
from tests.servers.s3 import S3Server
from tests.servers.stac import StacServer

pytestmark = pytest.mark.slow


@pytest.fixture
def source(tmp_path: Path) -> Path:
    stated = {"attribution": "contains modified Copernicus Sentinel data 2017"}  # as for all items
    add_product(tmp_path / "source", "A", sidecar=stated)
    return tmp_path / "source"


@pytest.fixture
def bucket(source: Path, s3_server: S3Server) -> Place:
    """The same in a bucket."""
    place = Place(s3_server.location())
    for file in sorted(source.rglob("*")):
        if file.is_file():
            place.upload(f"archive/{file.relative_to(source)}", file)
    return place


@pytest.fixture
def api() -> Iterator[StacServer]:
    server = StacServer([])
    server.thread.start()
    yield server
    server.close()


def api_item(location: str, **changes: Any) -> dict[str, Any]:
    """A product as an API of others has it: bands, and no product that could be opened as a whole."""
    item = item_of(open_scene(location))
    item.assets = {key: asset for key, asset in item.assets.items() if key.startswith("B")}
    content = item.to_dict(include_self_link=False) | {"collection": "sentinel-2-l1c"}
    content["properties"] |= {"s2:granule_id": "made up for tests", "eo:snow_cover": 0}
    return content | changes


@pytest.mark.trial
def test_a_bucket_and_an_api_give_what_a_folder_gives(
    source: Path, bucket: Place, api: StacServer, tmp_path: Path
) -> None:
    from_bucket = plan_archive(f"{bucket}/archive").figures  # before parts of it are kept here
    build(source, tmp_path / "folder")
    expected = images(tmp_path / "folder")
    assert sorted(build(f"{bucket}/archive", tmp_path / "bucket").done) == ["A"]
    api.items = [api_item(f"{bucket}/archive/{name}") for name in "A"]
    assert sorted(build(api.url, tmp_path / "api").done) == ["A"]
    into_bucket = bucket.child("masks")
    assert sorted(build(source, into_bucket.location).done) == ["A"]
    for place in (tmp_path / "bucket", tmp_path / "api", into_bucket.location):
        assert images(place) == expected
    for place, built_from in ((tmp_path / "folder", source), (tmp_path / "api", api.url), (into_bucket, source)):
        catalogue = Catalogue(f"{place}/catalogue.parquet")
        found = catalogue.search()
        assert [item.id for item in found] == ["A"]
        assert found[0].assets["CLM"].href == f"{place}/masks/33UUU/2017/A/A_CLM.tif"
        assert build(built_from, str(place)).done == []
    assert from_bucket.requests >= 13  # of each band some part
    assert 10_000 < from_bucket.bytes_read < 1_000_000
    own = json.dumps(items(tmp_path / "api"))
    assert f"{bucket}/archive/A" in own
    assert "eotasks:product" not in own


def test_items_lead_nowhere_that_they_may_not(source: Path, bucket: Place, api: StacServer, tmp_path: Path) -> None:
    """A file of this machine that an API names, a server of one's own network, an item that is none, a strange name."""
    good = api_item(f"{bucket}/archive/A")
    local = api_item(str(source / "A"), id="local")
    inside = api_item(f"{bucket}/archive/A", id="inside")
    for asset in inside["assets"].values():
        asset["href"] = "http://127.0.0.1:9/secret.jp2"
    named = api_item(f"{bucket}/archive/A", id="../../up")
    nowhere = api_item(f"{bucket}/archive/A", id="point", geometry={"type": "Point", "coordinates": [12.5, 52.5]})
    api.items = [good, local, inside, named, nowhere]
    with pytest.warns(ProductSkippedWarning, match="1 items are left out. STAC item 'point'"):
        result = build(api.url, tmp_path / "out")
    assert result.done == ["A"]
    assert sorted(result.failed) == ["../../up", "inside", "local"]
    assert "file of this machine" in result.failed["local"]
    assert "inside of your own network" in result.failed["inside"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "source"]
    assert sorted(items(tmp_path / "out")) == ["A"]
