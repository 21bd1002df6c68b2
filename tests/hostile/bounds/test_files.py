"""Files that have no end or are no files, metadata that takes more than its bytes."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from eotasks.area import read_area, read_patch_grid
from eotasks.catalogue.store import Catalogue
from eotasks.eopatches.load import eopatch_info, is_complete, load_eopatch
from eotasks.errors import EOTasksError, ImageryError, StorageError
from eotasks.export.cog import read_classes
from eotasks.export.mosaics import mosaic_cogs
from eotasks.imagery.scene import open_scene
from eotasks.imagery.xml import parse_xml
from eotasks.limits import (
    METADATA_BYTES,
    MODEL_BYTES,
    RECORD_BYTES,
    XML_ELEMENTS,
    XML_TEXT,
)
from eotasks.models.forest.engine import Forest
from eotasks.models.landcover.model import load_model
from eotasks.reading import check_regular, open_regular, read_regular
from eotasks.reference.labels import LabelGrid, check_vector_labels, read_raster_labels
from eotasks.storage.place import Place
from eotasks.workflows.land_cover.config_file import load_config
from tests.builders.layouts import zipped
from tests.builders.stac_items import make_item

NO_FILES = {
    "FIFO": os.mkfifo,
    "socket": lambda path: _socket(path),
    "device": lambda path: Path(path).symlink_to("/dev/zero"),
    "folder": os.mkdir,
}


def _socket(path: str | os.PathLike[str]) -> None:
    folder = os.open(Path(path).parent, os.O_RDONLY)
    try:  # names of sockets are short
        socket.socket(socket.AF_UNIX).bind(f"/proc/self/fd/{folder}/{Path(path).name}")
    finally:
        os.close(folder)


@pytest.fixture(params=NO_FILES)
def no_file(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Path], Path]:
    """Puts something into the place of a file."""

    def put(path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        NO_FILES[request.param](path)
        return path

    return put


@pytest.mark.filterwarnings("ignore:unclosed <socket")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
class TestWhatIsNoFile:
    """Whoever reads says so, and does not wait."""

    def test_of_the_reader(self, no_file: Callable[[Path], Path], tmp_path: Path) -> None:
        path = no_file(tmp_path / "a")
        for read in (open_regular, check_regular, lambda each: read_regular(each, RECORD_BYTES)):
            with pytest.raises(OSError, match=r"is a|Is a directory"):
                read(path)

    def test_of_a_place(self, no_file: Callable[[Path], Path], tmp_path: Path) -> None:
        no_file(tmp_path / "a")
        place = Place(tmp_path)
        for read in (
            place.read_bytes,
            place.read_tagged,
            place.read_if_there,
            lambda name: place.reading(name).__enter__(),
        ):
            with pytest.raises(StorageError):
                read("a")
        with pytest.raises(StorageError):
            place.write_if("a", b"x", "a tag")
        with pytest.raises(StorageError):
            place.download("a", tmp_path / "b")

    @pytest.mark.parametrize("name", ["MTD_MSIL1C.xml", "MTD_TL.xml", "B02.jp2", "zip"])
    def test_of_products(self, no_file: Callable[[Path], Path], tmp_path: Path, name: str, safe: Path) -> None:
        product = tmp_path / safe.name
        shutil.copytree(safe, product)
        if name == "zip":
            product = no_file(tmp_path / "a.zip")
        else:
            for path in [path for path in product.rglob("*") if name in path.name]:
                no_file(path)

        def read() -> None:
            scene = open_scene(product)
            scene.read(["B02"], scene.grid_of("B02"))
            scene.sun_angles(scene.grid_of("B02"))

        with pytest.raises(EOTasksError):
            read()

    @pytest.mark.parametrize("name", ["acquisition.json", "item.json"])
    def test_of_sidecars_and_items(self, no_file: Callable[[Path], Path], tmp_path: Path, name: str) -> None:
        no_file(tmp_path / "a" / name)
        with pytest.raises(EOTasksError):
            open_scene(tmp_path / "a" / name if name == "item.json" else tmp_path / "a")

    @pytest.mark.parametrize("saved", [True, False], ids=["saved", "plain"])
    @pytest.mark.parametrize("name", ["data/BANDS.npy.gz", "bbox.geojson", "timestamps.json", "_current.json"])
    def test_of_eopatches(
        self, no_file: Callable[[Path], Path], tmp_path: Path, patch_folders: dict[bool, Path], name: str, saved: bool
    ) -> None:
        shutil.copytree(patch_folders[saved], tmp_path / "place")
        place, patch = Place(tmp_path / "place"), tmp_path / "place" / "patch"
        no_file(patch / name)
        reads: list[Callable[[], object]] = [
            lambda: load_eopatch(place, "patch"),
            lambda: eopatch_info(place, "patch"),
            lambda: is_complete(place, "patch"),
        ]
        for read in reads[: 1 if name.startswith("timestamps") else 2]:
            with pytest.raises(EOTasksError):
                read()
        if name == "_current.json":
            with pytest.raises(EOTasksError):
                reads[2]()

    def test_of_all_that_a_user_names(self, no_file: Callable[[Path], Path], tmp_path: Path) -> None:
        model = tmp_path / "model"
        no_file(model / "model.json")
        scene = tmp_path / "scene"
        no_file(scene / "bands.tif")
        named = {name: no_file(tmp_path / name) for name in ("c.parquet", "a.gpkg", "a.tif", "a.toml", "a.txt")}
        grid = LabelGrid("EPSG:32633", (0, 0, 100, 100), (10, 10))
        for read in (
            lambda: Catalogue(named["c.parquet"]).summary(),
            lambda: Catalogue(named["c.parquet"]).add([make_item("a")]),
            lambda: read_area(file=named["a.gpkg"]),
            lambda: read_patch_grid(named["a.gpkg"], 10),
            lambda: check_vector_labels(named["a.gpkg"], column="a"),
            lambda: read_raster_labels(named["a.tif"], grid),
            lambda: read_classes(named["a.tif"]),
            lambda: mosaic_cogs([named["a.tif"]], tmp_path / "out.tif"),
            lambda: load_config(named["a.toml"]),
            lambda: Forest.load(named["a.txt"]),
            lambda: load_model(model),
        ):
            with pytest.raises(EOTasksError):
                read()


def test_files_are_read_up_to_their_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RECORD_BYTES.variable, "1000")
    (tmp_path / "a").write_bytes(bytes(1000))
    assert read_regular(tmp_path / "a", RECORD_BYTES) == bytes(1000)
    (tmp_path / "a").write_bytes(bytes(1001))
    with pytest.raises(StorageError, match=f"1,001, more than 1,000 record bytes .{RECORD_BYTES.variable}"):
        Place(tmp_path).read_bytes("a")
    assert b"Name:" in read_regular("/proc/self/status", METADATA_BYTES)  # of which the system says no size
    with pytest.raises(OSError, match=RECORD_BYTES.variable):
        read_regular("/proc/self/status", RECORD_BYTES)
    assert Place(tmp_path).read_bytes("a", MODEL_BYTES) == bytes(1001)


DOCUMENTS = {
    "elements": b"<a>" + b"<b/>" * 3000 + b"</a>",
    "attributes": b"<a " + b" ".join(b'a%d="1"' % number for number in range(3000)) + b"/>",
    "attributes of namespaces": b"<a>" + b"<b xmlns:c='d'/>" * 1500 + b"</a>",
    "comments": b"<a>" + b"<!---->" * 3000 + b"</a>",
    "hidden end tags": b"<a><![CDATA[" + b"</" * 3000 + b"]]>" + b"<b/>" * 1500 + b"</a>",
}


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_xml_has_so_many_elements(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setenv(XML_ELEMENTS.variable, "1000")
    with pytest.raises(ImageryError, match=f"more than 1,000 XML elements .{XML_ELEMENTS.variable}"):
        parse_xml(DOCUMENTS[kind], "a.xml")
    assert len(parse_xml(b"<a>" + b"<b>1</b>" * 900 + b"</a>", "a.xml")) == 900


def test_xml_has_no_text_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(XML_TEXT.variable, "1000")
    assert parse_xml(b"<a>" + b"<b>" + b"1 " * 499 + b"</b>" * 1 + b"</a>", "a.xml").tag == "a"
    for text in (b"<a>" + b"1 " * 501 + b"</a>", b"<a b='" + b"x" * 1001 + b"'/>"):
        with pytest.raises(ImageryError, match=f"more than 1,000 XML text bytes .{XML_TEXT.variable}"):
            parse_xml(text, "a.xml")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<a>" * 65 + b"</a>" * 65, "64 deep"),
        (b'<a xmlns="' + b"u" * 200 + b'"/>', "namespace"),
        (b"<a><q:b xmlns:q \n= '" + b"u" * 200 + b"'/></a>", "namespace"),
        ("<a><b/></a>".encode("utf-16"), "encoding"),
        ("<a><b/></a>".encode("utf-16-le"), "encoding"),
        ("<a><b/></a>".encode("utf-32"), "encoding"),
        (b"<?xml version='1.0' encoding='cp037'?>" + "<a/>".encode("cp037"), "encoding"),
        (b'\xef\xbb\xbf<?xml version="1.0"\n  encoding = "utf-7" ?><a/>', "encoding"),
    ],
    ids=["depth", "namespace", "namespace of a prefix", "utf-16", "utf-16-le", "utf-32", "cp037", "utf-7"],
)
def test_xml_that_takes_more_than_its_bytes(content: bytes, message: str) -> None:
    with pytest.raises(ImageryError, match=message):
        parse_xml(content, "a.xml")
    for honest in (b"<a/>", b"\xef\xbb\xbf<?xml version='1.0' encoding=\"UTF-8\" standalone='yes'?>\n<a/>",
                   "<?xml version='1.0' encoding='ISO-8859-1'?><a>é</a>".encode("latin-1")):  # fmt: skip
        assert parse_xml(honest, "a.xml").tag == "a"


def test_the_list_of_files_of_a_zip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, safe: Path) -> None:
    product = zipped(safe, tmp_path / "a.zip")
    monkeypatch.setenv(METADATA_BYTES.variable, "1000")
    with pytest.raises(ImageryError, match=r"more than 1,000 metadata bytes .* in its list of files"):
        open_scene(product)
