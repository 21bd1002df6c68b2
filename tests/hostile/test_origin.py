"""Origin decides what may be opened: items, catalogues, APIs and redirects that lead to files and servers inside.

A canary server and a canary file prove that none was reached: the server's port takes connections and answers none,
the file's time of access stands, and Python opened it not.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pystac
import pytest
import rasterio
from eolearn.core import FeatureType
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox
from shapely.geometry import box

from eotasks.catalogue.api import StacApi
from eotasks.catalogue.store import Catalogue
from eotasks.errors import EOTasksError, ImageryError
from eotasks.imagery.files import http
from eotasks.imagery.files.origin import ALLOWED_HOSTS, UNKNOWN, InternalAddressError, Origin, addresses, is_global
from eotasks.imagery.files.session import session
from eotasks.imagery.scene import open_scene
from eotasks.limits import METADATA_BYTES
from eotasks.sources.frames import Candidate
from eotasks.sources.scenes import LoadScenesTask
from eotasks.text import has_secret
from eotasks.workflows.cli import main
from eotasks.workflows.console import ExitCode
from tests.builders.stac_items import make_item
from tests.hostile.canary import FILES, NAMES, SERVERS, Canary, resolve
from tests.servers.stac import StacServer
from tests.servers.web import AnsweringServer, status

BOX = BBox((330_000, 5_814_360, 330_640, 5_815_000), CRS("32633"))

REFUSED = (
    "no path, s3:// or https://", "file of this machine", "names no object", "no path of a file", "another server",
    "inside of your own network", "is no address", "names no server", "(InvalidURL)",
)  # fmt: skip


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo
    monkeypatch.setattr(
        "eotasks.imagery.files.origin.socket.getaddrinfo",
        lambda host, port, *arguments, **options: (
            real(host, port, *arguments, **options) if host == "127.0.0.1" else resolve(host, port)
        ),
    )
    monkeypatch.setenv("GDAL_HTTP_TIMEOUT", "2")  # of a GDAL that would ask the canary
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("eotasks.network.retries.FIRST_PAUSE", 0)


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Canary]:
    made = Canary(tmp_path)
    made.reached()
    yield made
    made.close()


@pytest.fixture
def stac_server() -> Iterator[StacServer]:
    server = StacServer([])
    server.thread.start()
    yield server
    server.close()
    session.cache_clear()


def item_with(href: str, *, self_link: str = "", key: str = "B02", **assets: str) -> dict[str, Any]:
    """An item of one band, and more assets by their keys."""
    item = make_item("S2A_MSIL1C_20240501T100000_N0510_R065_T33UUU_20240501T120000", box(-180, -80, 180, 80)).to_dict()
    raster = {"type": "image/tiff; application=geotiff", "raster:bands": [{"scale": 0.0001, "offset": -0.1}]}
    item["assets"] = {key: {"href": href, **raster}, **{name: {"href": each} for name, each in assets.items()}}
    item["links"] = [{"rel": "self", "href": self_link}] if self_link else []
    item["collection"] = "sentinel-2-l1c"
    return item


def load(location: Any) -> None:
    scene = open_scene(location)
    scene.read(["B02"], scene.grid_of("B02"))


def trial(canary: Canary, forms: tuple[str, ...], attempt: Callable[[str], object], *, refused: bool = True) -> None:
    """Each form is refused by its name, and reaches nothing."""
    wrong = {}
    for form in forms:
        link = canary.form(form)
        try:
            attempt(link)
            told = "was read"
        except EOTasksError as error:
            told = str(error)
        if canary.reached() or (refused and not any(reason in told for reason in REFUSED)) or told == "was read":
            wrong[form] = told
    assert wrong == {}


def test_the_canary_sings(canary: Canary) -> None:
    """What the other tests rely on: it is noticed when the file is read, by Python or GDAL, and the port asked."""
    canary.file.read_bytes()
    assert any("canary.tif" in each for each in canary.reached())
    with rasterio.open(canary.file) as source:
        source.read()
    assert canary.reached() == ["the file was read"]
    socket.create_connection(("127.0.0.1", canary.port)).close()
    assert canary.reached() == ["the server was connected to"]
    assert len(FILES) + len(SERVERS) >= 60


@pytest.mark.slow
def test_items_of_an_api_through_the_task(canary: Canary, stac_server: StacServer) -> None:
    def attempt(link: str) -> None:
        stac_server.items = [item_with(link, self_link=str(canary.file.parent / "item.json"))]
        LoadScenesTask(catalogue=stac_server.url, bands=["B02"], sun_angles_feature=None).execute(bbox=BOX)

    trial(canary, (*FILES, *SERVERS, "canary.tif", "./canary.tif", "../canary.tif"), attempt)


def test_items_of_an_api_opened_one_by_one(canary: Canary, stac_server: StacServer) -> None:
    def attempt(link: str) -> None:
        stac_server.items = [item_with(link, self_link=f"file://{canary.file.parent}/item.json")]
        load(StacApi(stac_server.url).search()[0])

    trial(canary, ("canary.tif", *FILES[:8], *SERVERS[:8]), attempt)


@pytest.mark.parametrize("key", ["eotasks:product", "CLM", "product_metadata", "granule_metadata"])
def test_other_assets_of_an_api(canary: Canary, stac_server: StacServer, key: str) -> None:
    """Products, masks and metadata follow the same rule as bands."""
    forms = (
        "{file}",
        "file://{file}",
        "/vsisubfile/0_9,{file}",
        "http://127.0.0.1:{port}/a.xml",
        "http://localhost:{port}/",
    )

    def attempt(link: str) -> None:
        item = item_with("https://127.0.0.1:9/B02.tif", **{key: link})
        item["properties"]["s2:processing_baseline"] = "05.10"
        del item["assets"]["B02"]["raster:bands"]
        stac_server.items = [item]
        mask = (FeatureType.MASK, "CLM") if key == "CLM" else None
        task = LoadScenesTask(catalogue=stac_server.url, bands=["B02"], sun_angles_feature=None, clm_feature=mask)
        task.execute(bbox=BOX)

    trial(canary, forms, attempt, refused=False)


def test_items_on_the_web(canary: Canary, web_server: AnsweringServer) -> None:
    """Paths are those of the server there: it is asked, this machine is not."""

    def attempt(link: str) -> None:
        content = json.dumps(item_with(link, self_link=str(canary.file))).encode()
        web_server.answers["GET", "/item.json"] = status(200, content)
        load(f"{web_server.url}/item.json")

    kinds = ("file", "FILE", "GTIFF", "/vsi", "//", "vrt", "zip", "s3")
    forms = tuple(form for form in FILES if form.startswith(kinds))
    trial(canary, (*forms, *SERVERS), attempt)
    trial(canary, ("{file}", "canary.tif", "../../..{file}"), attempt, refused=False)


def test_items_in_memory(canary: Canary) -> None:
    """An item that nobody knows the place of, whatever it says of that itself."""

    def attempt(link: str) -> None:
        item = item_with(link, self_link=str(canary.file.parent / "item.json"))
        with pytest.raises(EOTasksError):
            load(item)
        load(pystac.Item.from_dict(item))

    trial(canary, (*FILES, *SERVERS, "canary.tif"), attempt)


@pytest.mark.slow
def test_items_of_a_file_and_of_a_catalogue(canary: Canary, tmp_path: Path) -> None:
    """Those of this disk name its files by plain paths, but nothing of GDAL's and no server inside."""
    of_gdal = (form for form in FILES if "vsi" in form.lower() or (":" in form and form[:4].lower() != "file"))
    forms = (*of_gdal, *SERVERS)

    def from_file(link: str) -> None:
        (tmp_path / "item.json").write_text(json.dumps(item_with(link)))
        load(tmp_path / "item.json")

    rows = []
    kept = [form for form in forms if not has_secret(canary.form(form))]  # the others no catalogue takes
    assert len(kept) > len(forms) / 2
    for number, form in enumerate(kept):
        item = pystac.Item.from_dict(item_with("https://example.org/B02.tif"))
        item.id, item.collection_id = f"P{number}", None
        item.assets = {"eotasks:product": pystac.Asset(canary.form(form))}
        rows.append(item)
    catalogue = Catalogue(tmp_path / "c.parquet")
    catalogue.add(rows)
    found = {canary.form(kept[int(item.id[1:])]): item for item in catalogue.search()}

    def from_catalogue(link: str) -> None:
        Candidate.of_item(found[link]).open()

    trial(canary, forms, from_file)
    trial(canary, kept, from_catalogue)
    (tmp_path / "item.json").write_text(json.dumps(item_with("canary.tif")))
    assert open_scene(tmp_path / "item.json").grid_of("B02").width == 64


def test_redirects(canary: Canary, web_server: AnsweringServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """One rule for what an address says and where its server sends on."""
    server = web_server.url.removeprefix("http://")
    monkeypatch.setenv(ALLOWED_HOSTS, server)  # it stands for one of the internet

    def attempt(link: str) -> None:
        web_server.answers["GET", "/a.json"] = status(302, Location=link)
        http.read(f"{web_server.url}/a.json", METADATA_BYTES)

    forms = tuple(
        form
        for form in SERVERS
        if form.startswith(("http:", "https:", "HTTP:", "//")) and "\\" not in form and form.isascii()
    )
    trial(canary, tuple(form for form in forms if not form.startswith("http:/127")), attempt)
    trial(canary, ("file://{file}", "ftp://127.0.0.1:{port}/", "FILE:{file}", "{file}"), attempt, refused=False)


def test_rasters_that_are_sent_on(canary: Canary, web_server: AnsweringServer) -> None:
    """GDAL does not follow redirects of its own."""
    item = item_with("./B02.tif")
    web_server.answers["GET", "/item.json"] = status(200, json.dumps(item).encode())
    web_server.answers["GET", "/B02.tif"] = status(302, Location=f"http://127.0.0.1:{canary.port}/a.tif")
    with pytest.raises(ImageryError, match="inside of your own network"):
        load(f"{web_server.url}/item.json")
    assert canary.reached() == []


def test_links_of_an_api(canary: Canary, stac_server: StacServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where its landing page says that one searches, and its pages that the next one is."""
    usual = stac_server.answer
    item = item_with("https://example.org/a.tif")
    for target in (
        f"http://127.0.0.1:{canary.port}/",
        f"http://localhost:{canary.port}/",
        str(canary.file),
        f"file://{canary.file}",
    ):
        for place in ("/", "/search"):

            def answer(path: str, query: Any, *, target: str = target, place: str = place) -> dict[str, Any]:
                page = usual(path, query)
                if (path or "/") == place == "/":
                    page["links"][0]["href"] = target
                elif path == place == "/search":
                    page |= {"features": [item], "links": [{"rel": "next", "href": target, "method": "GET"}]}
                return page

            monkeypatch.setattr(stac_server, "answer", answer)
            # A path is one on the server of the API, as links of pages are.
            with nullcontext() if target == str(canary.file) and place == "/" else pytest.raises(ImageryError):
                StacApi(stac_server.url).search()
            assert canary.reached() == [], (target, place)


def test_names_that_change_what_they_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was checked is what is connected to; a server of the internet stays there, one of the network inside."""
    asked = {"rebinding.example": ["93.184.216.34"]}
    monkeypatch.setitem(NAMES, "rebinding.example", asked["rebinding.example"])
    outside = Origin.of("https://rebinding.example/v1", "api")
    assert addresses("rebinding.example", 443, outside.internal) == ["93.184.216.34"]
    monkeypatch.setitem(NAMES, "rebinding.example", ["127.0.0.1"])
    with pytest.raises(Exception, match="inside of your own network"):
        addresses("rebinding.example", 443, outside.internal)
    inside = Origin.of("https://rebinding.example/v1", "api")
    assert inside.internal == {"rebinding.example:443"}
    assert addresses("rebinding.example", 443, inside.internal) == ["127.0.0.1"]
    monkeypatch.setitem(NAMES, "rebinding.example", ["93.184.216.34"])
    with pytest.raises(Exception, match="inside of your own network"):
        addresses("rebinding.example", 443, inside.internal)


def test_hosts_that_the_user_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    for allowed, port, fine in (
        ("localhost", 80, True), ("localhost:80", 80, True), ("localhost:81", 80, False), ("LocalHost. ", 80, True),
        ("a, localhost:80", 80, True), ("", 80, False), ("ocalhost", 80, False), ("*", 80, False),
    ):  # fmt: skip
        monkeypatch.setenv(ALLOWED_HOSTS, allowed)
        if fine:
            assert "127.0.0.1" in addresses("localhost", port, frozenset())
        else:
            with pytest.raises(Exception, match=f"set {ALLOWED_HOSTS}=localhost:80"):
                addresses("localhost", port, frozenset())


def test_hosts_that_the_command_allows(
    web_server: AnsweringServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(ALLOWED_HOSTS, "")  # put back after the test
    item = tmp_path / "item.json"
    item.write_text(json.dumps(item_with(f"{web_server.url}/B02.tif")))
    command = ["catalogue", "add", str(item), "--catalogue", str(tmp_path / "c.parquet")]
    assert main(command) == ExitCode.SOME_FAILED
    assert web_server.asked == []
    assert f"{ALLOWED_HOSTS}=127.0.0.1:" in capsys.readouterr().out
    assert main([*command, "--allow-host", "127.0.0.1"]) == ExitCode.SOME_FAILED
    assert web_server.asked == [("GET", "/B02.tif")]
    assert main([*command, "--allow-host", "http://127.0.0.1"]) == ExitCode.BAD_INPUT


def test_an_api_inside_may_name_its_own_server_alone(canary: Canary, stac_server: StacServer) -> None:
    """The user asked it himself: the same host and port, no other port of it."""
    own = Origin.of(stac_server.url, "api")
    assert addresses("127.0.0.1", stac_server.http.server_port, own.internal) == ["127.0.0.1"]
    with pytest.raises(Exception, match="inside of your own network"):
        addresses("127.0.0.1", canary.port, own.internal)


def test_addresses_of_the_internet() -> None:
    for address in ("93.184.216.34", "2606:2800:220:1::1", "64:ff9b::5db8:d822", "::ffff:93.184.216.34"):
        assert is_global(address), address


def test_passwords_do_not_follow_a_redirect(web_server: AnsweringServer, monkeypatch: pytest.MonkeyPatch) -> None:
    other, told = AnsweringServer(), []
    monkeypatch.setenv(ALLOWED_HOSTS, "127.0.0.1,localhost")
    try:
        target = other.url.replace("127.0.0.1", "localhost")
        web_server.answers["GET", "/a"] = status(302, Location=f"{target}/b")
        other.answers["GET", "/b"] = lambda handler: (told.append(dict(handler.headers)), status(200, b"x")(handler))[1]
        http.read(web_server.url.replace("http://", "http://user:word@") + "/a", METADATA_BYTES)
        assert [name for name in told[0] if name.lower() in ("authorization", "cookie")] == []
    finally:
        other.close()


def test_a_catalogue_in_a_bucket_names_no_file_of_this_machine(canary: Canary) -> None:
    origin = Origin("s3://bucket/products.parquet", kind="catalogue")
    for link in (str(canary.file), f"file://{canary.file}", "/vsizip/a.zip"):
        with pytest.raises(ImageryError, match=r"file of this machine|no path, s3://"):
            origin.resolved(link)
    assert origin.resolved("a/P.SAFE") == "s3://bucket/a/P.SAFE"
    assert origin.resolved("s3://other/P.SAFE") == "s3://other/P.SAFE"


def test_what_an_item_in_memory_may_name() -> None:
    assert UNKNOWN.resolved("https://example.org/a.tif?sig=x") == "https://example.org/a.tif?sig=x"
    assert UNKNOWN.resolved("s3://bucket/a b/c.tif") == "s3://bucket/a b/c.tif"


@pytest.mark.parametrize("address", ["64:ff9b:1:7f00:1::", "5f00::1", "3fff::1"])
def test_networks_that_older_pythons_take_for_the_internet(address: str) -> None:
    assert not is_global(address)


def test_a_dot_at_the_end_of_an_allowed_name_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ALLOWED_HOSTS, "localhost.:80, ,127.0.0.1")
    assert addresses("localhost", 80, ())
    with pytest.raises(InternalAddressError):
        addresses("localhost", 81, ())
    assert addresses("127.0.0.1", 81, ())


def test_folders_may_be_called_as_file_systems_of_gdal(tmp_path: Path) -> None:
    """Only the beginning of a whole path says one."""
    folder = tmp_path / "vsicurl"
    own, far = Origin.of(folder / "item.json"), Origin.of("https://example.org/vsis3/item.json")
    assert own.resolved("vsizip/B02.tif") == str(folder / "vsizip" / "B02.tif")
    assert own.resolved("./B02.tif") == str(folder / "B02.tif")
    assert own.resolved(str(folder / "B02.tif")) == str(folder / "B02.tif")
    assert far.resolved("vsicurl/B02.tif") == "https://example.org/vsis3/vsicurl/B02.tif"
    with pytest.raises(EOTasksError, match=r"'/vsi_data/B02.tif' begins with /vsi.* Move the product"):
        Origin.of("/vsi_data/item.json").resolved("B02.tif")


def test_schemes_in_capitals_are_what_they_say() -> None:
    origin = Origin.of("HTTPS://example.org/items/a.json")
    assert origin.resolved("HTTPS://example.org/B02.tif") == "https://example.org/B02.tif"
    assert origin.resolved("S3://bucket/B02.tif") == "s3://bucket/B02.tif"
    assert origin.resolved("B02.tif") == "https://example.org/items/B02.tif"
