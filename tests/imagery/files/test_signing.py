"""`eotasks.imagery.files.signing`: addresses are signed before reads, anew when that ends, and kept without."""

from __future__ import annotations

import json
import logging
import pickle
import shutil
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pystac
import pytest

from eotasks.catalogue import Catalogue, StacApi
from eotasks.catalogue.items import item_of
from eotasks.errors import AddressRefusedError, ConfigurationError, ImageryError, MissingDependencyError
from eotasks.imagery.files import signing
from eotasks.imagery.files.origin import Origin
from eotasks.imagery.grid import Grid
from eotasks.imagery.scene import open_scene
from tests.builders.layouts import PRODUCT_XML, small_safe, stac_item
from tests.builders.tile import LEFT, TOP
from tests.servers.signed import WORD, SignedServer
from tests.servers.stac import StacServer

GRID = Grid("EPSG:32633", LEFT + 240, TOP - 240, 60, 12, 12)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Files of an item and the item, without addresses."""
    folder = tmp_path_factory.mktemp("item")
    safe = small_safe(tmp_path_factory.mktemp("safe"))
    item = stac_item(safe, folder)
    item["assets"] = {band: item["assets"][band] for band in ("B02", "B03")}
    shutil.copy(safe / PRODUCT_XML, folder)
    item["assets"]["product-metadata"] = {"href": PRODUCT_XML, "type": "application/xml"}
    return folder, item


@pytest.fixture
def item(made: tuple[Path, dict[str, Any]], signed_server: SignedServer) -> dict[str, Any]:
    """The item as an API has it: its addresses are not signed."""
    folder, content = made
    content = json.loads(json.dumps(content))
    for asset in content["assets"].values():
        name = asset["href"].removeprefix("./")
        shutil.copy(folder / name, signed_server.folder)
        asset["href"] = f"{signed_server.url}/{name}"
    return content


@pytest.fixture
def api(item: dict[str, Any]) -> Iterator[StacServer]:
    server = StacServer([item])
    server.thread.start()
    yield server
    server.close()


def test_an_item_of_a_file_is_signed_when_it_is_read(
    item: dict[str, Any], signed_server: SignedServer, tmp_path: Path
) -> None:
    file = tmp_path / "item.json"
    file.write_text(json.dumps(item))
    with pytest.raises(ImageryError, match=r"answers 409.*wants a signed address.*--sign planetary-computer"):
        open_scene(file)
    scene = open_scene(file, modifier=signed_server.sign)
    assert scene.read(["B02"], GRID).any()
    assert all(code in (200, 206) for name, code in signed_server.asked if signed_server.asked.index((name, code)) > 0)
    assert scene.read(["B02"], GRID).any()
    assert signed_server.signed == 1
    kept = item_of(scene)
    assert {asset.href for name, asset in kept.assets.items() if name[0] == "B"} == {
        item["assets"][name]["href"] for name in ("B02", "B03")
    }
    assert WORD not in json.dumps(kept.to_dict())
    assert pickle.loads(pickle.dumps(scene.acquisition)) == scene.acquisition


@pytest.mark.parametrize("kind", ["mapping", "pystac"])
def test_items_in_memory(item: dict[str, Any], signed_server: SignedServer, kind: str) -> None:
    given = item if kind == "mapping" else pystac.Item.from_dict(item)
    origin = Origin("https://example.org/item.json")
    assert open_scene(given, origin=origin, modifier=signed_server.sign).read(["B02"], GRID).any()
    assert open_scene(given, modifier=signed_server.sign).read(["B02"], GRID).any()
    assert WORD not in json.dumps(item)


def test_items_of_an_api_are_signed_as_pystac_client_does(api: StacServer, signed_server: SignedServer) -> None:
    found = StacApi(api.url, modifier=signed_server.sign).search()
    assert [item.assets["B02"].href.count(WORD) for item in found] == [1]
    assert open_scene(found[0]).read(["B02"], GRID).any()
    assert signed_server.signed == 1
    assert open_scene(StacApi(api.url, modifier=lambda each: _returned(signed_server, each)).search()[0])


def _returned(server: SignedServer, item: Any) -> Any:
    """As `planetary_computer.sign` does: a copy is given back."""
    copy = item.clone()
    server.sign(copy)
    return copy


def test_signatures_that_are_about_to_end_are_renewed(api: StacServer, signed_server: SignedServer) -> None:
    signed_server.holds = timedelta(seconds=30)  # less than what one has to hold still when a read begins
    found = StacApi(api.url, modifier=signed_server.sign).search()[0]
    signed_server.holds = timedelta(hours=1)
    scene = open_scene(found)
    assert scene.read(["B02"], GRID).any()
    assert signed_server.signed == 2
    assert all(code in (200, 206) for _, code in signed_server.asked)


def test_signatures_that_the_server_refuses_are_renewed_once(api: StacServer, signed_server: SignedServer) -> None:
    found = StacApi(api.url, modifier=signed_server.sign).search()[0]
    signed_server.revoked = 1
    scene = open_scene(found)  # reads the metadata
    assert scene.read(["B02"], GRID).any()
    signed_server.revoked = 2
    assert scene.read(["B03"], GRID).any()
    assert signed_server.signed == 3
    scene = open_scene(found)
    signed_server.revoked = 1_000
    with pytest.raises(ImageryError, match=r"B02: .*answers 403.*The signature of the address expired") as caught:
        scene.read(["B02"], GRID)
    assert WORD not in str(caught.value)
    assert len([code for _, code in signed_server.asked if code == 403]) < 10


def test_signatures_that_expired_without_a_modifier(item: dict[str, Any], signed_server: SignedServer) -> None:
    signed_server.holds = timedelta(days=-1)
    expired = pystac.Item.from_dict(item)
    signed_server.sign(expired)
    with pytest.raises(AddressRefusedError, match=r"answers 403 Forbidden. The signature .* expired at 20.* UTC: sign"):
        open_scene(expired)


def test_what_a_user_changed_stays_changed(api: StacServer, signed_server: SignedServer, tmp_path: Path) -> None:
    found = StacApi(api.url, modifier=signed_server.sign).search()[0]
    own = f"{signed_server.url}/B03.tif?{signed_server.signature()}"
    found.assets["B02"].href = own
    content = found.to_dict(include_self_link=False, transform_hrefs=False)
    found_signing = signing.signing_of(found, content)
    assert found_signing is not None
    assert found_signing.href("B02") == own
    assert signing.unsigned(found).assets["B02"].href == own
    assert signing.unsigned(found).assets["B03"].href == f"{signed_server.url}/B03.tif"


def test_catalogues_keep_no_signature(
    item: dict[str, Any], api: StacServer, signed_server: SignedServer, tmp_path: Path
) -> None:
    file, location = tmp_path / "item.json", tmp_path / "c.parquet"
    file.write_text(json.dumps(item))
    Catalogue(location).add([item_of(open_scene(file, modifier=signed_server.sign))])
    assert WORD.encode() not in location.read_bytes()
    found = Catalogue(location, modifier=signed_server.sign).search()[0]
    assert WORD not in json.dumps(found.to_dict())
    assert open_scene(found).read(["B02"], GRID).any()
    catalogue = pickle.loads(pickle.dumps(Catalogue(location, modifier=signing.sign_planetary_computer)))
    assert catalogue.modifier is signing.sign_planetary_computer
    # Of an item that an API gave, all but the columns that a catalogue does not have.
    given = StacApi(api.url, modifier=signed_server.sign).search()[0]
    given.collection_id = None
    given.properties.pop("s2:datatake_id")
    given.assets.pop("product-metadata")
    given.links.clear()
    Catalogue(location).add([given])
    assert WORD in given.assets["B02"].href
    assert WORD.encode() not in location.read_bytes()


def test_logs_and_representations_show_no_signature(
    api: StacServer, signed_server: SignedServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "eotasks"):
        found = StacApi(api.url, modifier=signed_server.sign).search()[0]
        scene = open_scene(found)
        scene.read(["B02"], GRID)
    assert WORD not in caplog.text + repr(scene) + repr(scene.product) + repr(found)


@pytest.mark.parametrize(
    ("modifier", "kind", "message"),
    [
        (lambda item: 1 / 0, ImageryError, r"the modifier failed with ZeroDivisionError"),
        (lambda item: "signed", ConfigurationError, "gave back a str for an item"),
    ],
    ids=["fails", "gives back something else"],
)
def test_modifiers_that_fail_are_told(
    api: StacServer, item: dict[str, Any], modifier: Callable[[Any], Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        StacApi(api.url, modifier=modifier).search()
    with pytest.raises(kind, match=message):
        open_scene(item, modifier=modifier)


def test_items_that_nobody_can_sign(signed_server: SignedServer) -> None:
    with pytest.raises(ImageryError, match="no STAC item"):
        open_scene({"assets": {"B02": {"href": "https://example.org/B02.tif"}}}, modifier=signed_server.sign)


def test_names_of_modifiers(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="planetary-computer"):
        StacApi("https://example.org", modifier="planetary")
    monkeypatch.setitem(sys.modules, "planetary_computer", None)
    with pytest.raises(MissingDependencyError, match=r"install .*\[planetary-computer\]"):
        signing.sign_planetary_computer(object())
    monkeypatch.delitem(sys.modules, "planetary_computer")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError, match=r"install .*\[planetary-computer\]"):
        StacApi("https://example.org", modifier="planetary-computer")


def test_planetary_computer_by_its_name(
    api: StacServer, signed_server: SignedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = ModuleType("planetary_computer")
    package.sign_inplace = signed_server.sign  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "planetary_computer", package)
    found = pickle.loads(pickle.dumps(StacApi(api.url, modifier="planetary-computer"))).search()[0]
    assert WORD in found.assets["B02"].href
    assert open_scene(found).read(["B02"], GRID).any()


def test_the_package_planetary_computer(signed_server: SignedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own requests go to a server of tokens on loopback; its addresses of storage are signed, others are not."""
    package = pytest.importorskip("planetary_computer")
    (signed_server.folder / "token").mkdir()
    asked: list[str] = []

    def answer(name: str, query: str, wanted: str | None) -> tuple[int, bytes, dict[str, str]]:
        asked.append(name)
        token = {"msft:expiry": "2199-01-01T00:00:00Z", "token": f"se=2199-01-01T00%3A00%3A00Z&sig={WORD}"}
        return 200, json.dumps(token).encode(), {"Content-Type": "application/json"}

    monkeypatch.setattr(signed_server, "answer", answer)
    monkeypatch.setattr(package.sas, "TOKEN_CACHE", {})
    monkeypatch.setattr(package.settings.Settings.get(), "sas_url", f"{signed_server.url}/token")
    monkeypatch.setattr(package.settings.Settings.get(), "subscription_key", None)
    item = pystac.Item("a", None, None, datetime(2024, 1, 1, tzinfo=UTC), {})
    storage = "https://sentinel2l2a01.blob.core.windows.net/sentinel2-l2/T33UUU/B02.tif"
    item.add_asset("B02", pystac.Asset(storage))
    item.add_asset("other", pystac.Asset("https://example.org/a.tif"))
    signing.sign_planetary_computer(item)
    assert item.assets["B02"].href == f"{storage}?se=2199-01-01T00%3A00%3A00Z&sig={WORD}"
    assert item.assets["other"].href == "https://example.org/a.tif"
    assert asked == ["token/sentinel2l2a01/sentinel2-l2"]


def test_refused_signatures_of_addresses_in_capitals_are_renewed(
    item: dict[str, Any], signed_server: SignedServer
) -> None:
    def sign(each: Any) -> None:
        signed_server.sign(each)
        for asset in each.assets.values():
            asset.href = asset.href.replace("http://", "HTTP://")

    scene = open_scene(item, modifier=sign)
    signed_server.revoked = signed_server.signed
    assert scene.read(["B02"], GRID).any()
    assert signed_server.signed == 2


def test_what_a_modifier_gave_back_is_not_printed(item: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="gave back a dict") as caught:
        open_scene(item, modifier=lambda each: {"href": "https://example.org/?sig=" + WORD})
    assert WORD not in str(caught.value)
    with pytest.raises(ConfigurationError, match="modifier=dict: give a function") as caught:
        open_scene(item, modifier={"token": WORD})  # type: ignore[arg-type]
    assert WORD not in str(caught.value)
