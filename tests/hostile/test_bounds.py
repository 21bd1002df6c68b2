"""Files that have no end, or say that they are larger than they are: each read has a bound, told with its variable."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import socket
import struct
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox, Geometry

from eotasks.area import read_area, read_patch_grid, split_area
from eotasks.catalogue.store import Catalogue
from eotasks.eopatches.arrays import check_zarr, read_array
from eotasks.eopatches.load import eopatch_info, is_complete, load_eopatch
from eotasks.eopatches.save import save_eopatch
from eotasks.errors import AreaError, ConfigurationError, EOTasksError, GridError, ImageryError, StorageError
from eotasks.export.cog import read_classes, write_cog
from eotasks.export.mosaics import mosaic_cogs
from eotasks.imagery.files.origin import Origin
from eotasks.imagery.files.protocol import RasterFile
from eotasks.imagery.grid import Grid
from eotasks.imagery.pixels.raster import MASK_TYPES, describe
from eotasks.imagery.products.stac import describe_item
from eotasks.imagery.scene import open_scene
from eotasks.imagery.xml import parse_xml
from eotasks.limits import (
    ARRAY_BYTES,
    BLOCK_PIXELS,
    CATALOGUE_BYTES,
    CATALOGUE_ROWS,
    GRID_PIXELS,
    IMAGE_LAYERS,
    IMAGE_SIDE,
    ITEM_ASSETS,
    METADATA_BYTES,
    MODEL_BYTES,
    MOSAIC_PIXELS,
    PATCHES,
    RECORD_BYTES,
    VECTOR_BYTES,
    VECTOR_FEATURES,
    XML_ELEMENTS,
    XML_TEXT,
)
from eotasks.models.forest.engine import Forest
from eotasks.models.landcover.model import load_model
from eotasks.reading import check_regular, open_regular, read_regular
from eotasks.reference.labels import LabelGrid, check_vector_labels, read_polygons, read_raster_labels
from eotasks.sources.scenes import LoadScenesTask
from eotasks.storage.place import Place
from eotasks.workflows.evaluate_clouds.rasters import read_raster_scene
from eotasks.workflows.land_cover.config_file import load_config
from tests.builders.eopatches import BANDS, make_eopatch
from tests.builders.layouts import small_safe, zipped
from tests.builders.products import write_jp2
from tests.builders.stac_items import make_item
from tests.hostile.measured import measured

pytestmark = pytest.mark.timeout(120)  # what waits for ever fails early

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
        generation = next(patch.glob(".gen-*"), patch) if name != "_current.json" else patch
        no_file(generation / name)
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


@pytest.fixture(scope="module")
def safe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_safe(tmp_path_factory.mktemp("safe"))


@pytest.fixture(scope="module")
def patch_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """A place with an EOPatch, saved or plain."""
    found = {True: tmp_path_factory.mktemp("saved"), False: tmp_path_factory.mktemp("plain")}
    save_eopatch(Place(found[True]), "patch", make_eopatch())
    shutil.copytree(next((found[True] / "patch").glob(".gen-*")), found[False] / "patch")
    return found


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


def with_header(path: Path, width: int, height: int, **profile: Any) -> Path:
    """A GeoTIFF that says it is as large, without its pixels."""
    with rasterio.open(
        path, "w", driver="GTiff", width=width, height=height, sparse_ok=True, crs="EPSG:32633",
        transform=rasterio.Affine(10, 0, 0, 0, -10, 0), **{"count": 1, "dtype": "uint16", **profile},
    ):  # fmt: skip
        pass
    return path


@pytest.mark.parametrize(
    ("profile", "limit"),
    [
        ({"width": 100_000, "height": 64}, IMAGE_SIDE),
        ({"width": 64, "height": 100_000}, IMAGE_SIDE),
        ({"width": 64, "height": 64, "count": 17, "dtype": "uint8"}, IMAGE_LAYERS),
        ({"width": 64, "height": 64, "tiled": True, "blockxsize": 16384, "blockysize": 16384}, BLOCK_PIXELS),
    ],
    ids=["wide", "high", "layers", "blocks"],
)
def test_images_are_no_larger_than_a_tile(tmp_path: Path, profile: dict[str, Any], limit: Any) -> None:
    from eotasks.imagery.files.folder import FolderFiles

    with_header(tmp_path / "a.tif", **profile)
    types = MASK_TYPES if profile.get("dtype") == "uint8" else frozenset({"uint16"})
    with pytest.raises(ImageryError, match=limit.variable):
        describe(FolderFiles(tmp_path), RasterFile("a.tif", "GTiff"), types)


def with_jp2_header(path: Path, width: int, height: int, tile: tuple[int, int]) -> Path:
    """A JP2 of a few pixels whose header says another size."""
    write_jp2(path, np.ones((64, 64), dtype=np.uint16), 10)
    content = bytearray(path.read_bytes())
    siz = content.index(b"\xff\x51")
    struct.pack_into(">II", content, siz + 6, width, height)
    struct.pack_into(">II", content, siz + 22, *tile)
    box = content.index(b"ihdr")
    struct.pack_into(">II", content, box + 4, height, width)
    path.write_bytes(content)
    return path


@pytest.mark.trial
def test_memory_of_headers_that_lie(tmp_path: Path) -> None:
    """JP2, GeoTIFF, npy, XML: all refused by name, for less than 300 MB."""
    with_jp2_header(tmp_path / "one_tile.jp2", 100_000, 100_000, (100_000, 100_000))
    with_jp2_header(tmp_path / "large.jp2", 2**31 - 1, 2**31 - 1, (2**31 - 1, 2**31 - 1))
    with_jp2_header(tmp_path / "tiles.jp2", 10_980, 10_980, (43, 43))
    with_header(tmp_path / "block.tif", 1_000_000, 1_000_000, tiled=True, blockxsize=65536, blockysize=65536)
    write_npy(tmp_path / "a.npy", (10**6, 10**6, 10**6))
    (tmp_path / "b.npy.gz").write_bytes(gzip.compress(npy_header((1 << 30,)) + bytes(1 << 20)))
    (tmp_path / "bomb.npy.gz").write_bytes(gzip.compress(npy_header((10, 10)) + bytes(300 << 20), 1))
    setup = (
        "from eotasks.imagery.files.folder import FolderFiles\nfrom eotasks.imagery.files.protocol import RasterFile\n"
        "from eotasks.imagery.pixels.raster import describe, read_window\nfrom pathlib import Path\n"
        "from eotasks.eopatches.arrays import read_array\nfrom eotasks.imagery.xml import parse_xml\n"
        "from eotasks.reference.labels import LabelGrid, read_raster_labels\n"
        f"folder = Path({str(tmp_path)!r})\nfiles = FolderFiles(folder)\n"
        "grid = LabelGrid('EPSG:32633', (0, -90, 90, 0), (9, 9))\n"
        "names = b''.join(b'<b%d/>' % i for i in range(290_000))\n"
        "def read(raster):\n    info = describe(files, raster)\n"
        "    return read_window(files, raster, info, info.full, info.grid)"
    )
    costs = measured(
        setup,
        {
            "JP2 in one tile": "read(RasterFile('one_tile.jp2', 'JP2OpenJPEG'))",
            "JP2 as large as can be": "read(RasterFile('large.jp2', 'JP2OpenJPEG'))",
            "JP2 of many tiles": "read(RasterFile('tiles.jp2', 'JP2OpenJPEG'))",
            "GeoTIFF in large blocks": "read(RasterFile('block.tif', 'GTiff'))",
            "labels in large blocks": "read_raster_labels(folder / 'block.tif', grid)",
            "npy of 10^18": "read_array(folder / 'a.npy')",
            "npy.gz that says more": "read_array(folder / 'b.npy.gz')",
            "npy.gz that holds more": "read_array(folder / 'bomb.npy.gz')",
            "XML of 24 MB": "parse_xml(b'<a>' + b'<a/>' * 6_000_000 + b'</a>', 'a')",
            "XML of 290,000 names": "parse_xml(b'<a xmlns=\"' + b'u' * 120 + b'\">' + names + b'</a>', 'a')",
        },
    )
    assert all(cost.megabytes < 300 for cost in costs.values())
    del costs["XML of 290,000 names"]
    assert all("Error: " in cost.outcome and "MemoryError" not in cost.outcome for cost in costs.values())


def npy_header(shape: tuple[int, ...], descr: str = "|u1") -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": shape})
    return stream.getvalue()


def write_npy(path: Path, shape: tuple[int, ...], content: bytes = b"", descr: str = "|u1") -> Path:
    data = npy_header(shape, descr) + content
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("name", ["a.npy", "a.npy.gz"])
@pytest.mark.parametrize(
    ("shape", "count"),
    [((10**9, 10**9), 10), ((2**40, 2**40), 10), ((2**63, 2), 10), ((2**32, 2**32), 0), ((-1, 5), 5), ((-5, -5), 25),
     ((10,), 9), ((10,), 11), ((10,), 5000), ((0, 10), 1), ((1 << 30,), 100)],
    ids=str,
)  # fmt: skip
def test_arrays_hold_what_their_header_says(tmp_path: Path, name: str, shape: tuple[int, ...], count: int) -> None:
    with pytest.raises((ValueError, OSError)):
        read_array(write_npy(tmp_path / name, shape, bytes(count)))


@pytest.mark.parametrize("name", ["a.npy", "a.npy.gz"])
@pytest.mark.parametrize(
    "values",
    [np.arange(24, dtype=np.float32).reshape(2, 3, 4), np.zeros((0, 5), bool), np.array(5),
     np.asfortranarray(np.arange(6).reshape(2, 3)), np.arange(3, dtype=">i2")],
    ids=lambda values: f"{values.dtype}{values.shape}",
)  # fmt: skip
def test_sound_arrays_are_read_as_numpy_reads_them(tmp_path: Path, name: str, values: NDArray[Any]) -> None:
    with gzip.open(tmp_path / name, "wb") if name.endswith("gz") else (tmp_path / name).open("wb") as stream:
        np.save(stream, values)
    found = read_array(tmp_path / name)
    np.testing.assert_array_equal(found, values)
    assert (found.dtype, found.shape, found.flags.writeable) == (values.dtype, values.shape, True)


HEADERS = {
    "object": npy_header((1,), "|O"),
    "structured": npy_header((1,), [("a", "<i4")]) + bytes(4),  # type: ignore[arg-type]  # as numpy has it
    "void": npy_header((1,), "|V8") + bytes(8),
    "empty text": npy_header((1 << 40,), "<U0"),
    "long header": b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**31) + b" " * 1000,
    "brackets": b"\x93NUMPY\x01\x00" + struct.pack("<H", 9000) + b"(" * 9000,
    "no header": b"\x93NUMPY",
    "version": b"\x93NUMPY\x09\x00" + bytes(100),
    "pickle": b"\x80\x04N.",
}


@pytest.mark.parametrize("kind", HEADERS)
def test_headers_of_no_array(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a.npy").write_bytes(HEADERS[kind])
    with pytest.raises(ValueError, match=r"\w"):
        read_array(tmp_path / "a.npy")


def test_arrays_of_an_eopatch_have_a_bound(
    tmp_path: Path, patch_folders: dict[bool, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same where a checksum by the same hand agrees: it proves nothing."""
    shutil.copytree(patch_folders[False], tmp_path / "place")
    write_npy(tmp_path / "place" / "patch" / "data" / "BANDS.npy.gz", (10**6, 10**6, 10**6))
    with pytest.raises(StorageError, match=rf"data/BANDS.npy.gz has 1,000,.*{ARRAY_BYTES.variable}"):
        load_eopatch(Place(tmp_path / "place"), "patch")
    with pytest.raises(StorageError, match=ARRAY_BYTES.variable):
        eopatch_info(Place(tmp_path / "place"), "patch")
    monkeypatch.setenv(ARRAY_BYTES.variable, "1000")
    with pytest.raises(StorageError, match=ARRAY_BYTES.variable):
        load_eopatch(Place(patch_folders[True]), "patch", features=[BANDS])


@pytest.mark.parametrize(
    "name", ["meta_info/A.json", "meta_info/A.json.gz", "vector_timeless/A.gpkg.gz", "timestamps.json"]
)
def test_other_files_of_an_eopatch_have_a_bound(
    tmp_path: Path, patch_folders: dict[bool, Path], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(RECORD_BYTES.variable, "20000")
    monkeypatch.setenv(VECTOR_BYTES.variable, "20000")
    shutil.copytree(patch_folders[False], tmp_path / "place")
    file = tmp_path / "place" / "patch" / name
    file.parent.mkdir(exist_ok=True)
    content = b"[" + b" " * 30000 + b"]"
    file.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    with pytest.raises(StorageError, match=rf"{name} has .*EOTASKS_MAX_(RECORD|VECTOR)_BYTES"):
        load_eopatch(Place(tmp_path / "place"), "patch")


@pytest.mark.parametrize(
    "change",
    [{"shape": [10**9, 10**9]}, {"chunks": [10**9, 10**9]}, {"dtype": "|O"}, {"filters": [{"id": "pickle"}]},
     {"compressor": {"id": "pickle"}}, {"shape": "many"}, {"compressor": 5}, {"dtype": {"a": 1}}],
    ids=str,
)  # fmt: skip
def test_what_zarr_says_of_itself(tmp_path: Path, change: dict[str, Any]) -> None:
    sound = {"shape": [2, 8], "chunks": [1, 8], "dtype": "<f4", "filters": None, "compressor": {"id": "blosc"}}
    (tmp_path / ".zarray").write_text(json.dumps(sound))
    check_zarr(tmp_path / ".zarray")
    (tmp_path / ".zarray").write_text(json.dumps({**sound, **change}))
    with pytest.raises((ValueError, OSError)):
        check_zarr(tmp_path / ".zarray")


class TestGrids:
    """Pixels are counted before memory is taken for any."""

    BOX = BBox((400_000, 5_300_000, 500_000, 5_400_000), CRS("32633"))

    @pytest.mark.parametrize("resolution", [1e-9, 1e-3, 5e-324, 0.1])
    def test_of_scenes(self, resolution: float) -> None:
        task = LoadScenesTask(resolution=resolution, scenes=["/a"])
        with pytest.raises(GridError, match=rf"pixels, .*more than 500,000,000 grid pixels .{GRID_PIXELS.variable}"):
            task.execute(bbox=self.BOX)

    def test_of_anything(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(GridError, match=r"1,000,000 x 1,000,000 pixels"):
            Grid("EPSG:32633", 0, 0, 10, 10**6, 10**6)
        monkeypatch.setenv(GRID_PIXELS.variable, "100")
        assert Grid("EPSG:32633", 0, 0, 10, 10, 10).shape == (10, 10)
        with pytest.raises(GridError, match="more than 100 grid pixels"):
            Grid("EPSG:32633", 0, 0, 10, 10, 11)

    @pytest.mark.parametrize("grid", ["utm", "bbox"])
    def test_of_areas(self, grid: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        world = Geometry(shapely.box(-180, -80, 180, 80), CRS.WGS84)
        zone = Geometry(shapely.box(0, 0, 1e7, 1e7), CRS("32633"))
        for area in (world, zone) if grid == "utm" else (zone,):
            with pytest.raises(AreaError, match=rf"km: some .* more than 1,000,000 patches .{PATCHES.variable}"):
                split_area(area, patch_size=1000, resolution=10, grid=grid)
        for patch_size, resolution in ((1e6, 1e-9), (5000, 1e-3), (5000, 5e-324), (1e300, 10)):
            with pytest.raises(ConfigurationError, match=GRID_PIXELS.variable):
                split_area(zone, patch_size=patch_size, resolution=resolution, grid=grid)

    def test_of_mosaics(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for number, left in enumerate((0, 10**12)):
            bounds = (left, 0, left + 80, 80)
            write_cog(tmp_path / f"{number}.tif", np.ones((8, 8), np.uint8), bounds=bounds, crs="EPSG:32633")
        with pytest.raises(GridError, match=rf"8 x 100,000,000,008 pixels, more than .*{MOSAIC_PIXELS.variable}"):
            mosaic_cogs([tmp_path / "0.tif", tmp_path / "1.tif"], tmp_path / "out.tif")
        monkeypatch.setenv(BLOCK_PIXELS.variable, "50")
        with pytest.raises(ImageryError, match=BLOCK_PIXELS.variable):
            mosaic_cogs([tmp_path / "0.tif"], tmp_path / "out.tif")


@pytest.mark.parametrize("interleave", ["pixel", "band"])
def test_blocks_of_many_bands_have_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interleave: str) -> None:
    """Bands that lie pixel by pixel are decoded together."""
    profile = {"driver": "GTiff", "count": 20, "height": 8, "width": 8, "dtype": "uint8", "crs": "EPSG:32633"}
    place = Affine(10, 0, 0, 0, -10, 80)
    with rasterio.open(tmp_path / "a.tif", "w", interleave=interleave, transform=place, **profile) as target:
        target.write(np.ones((20, 8, 8), np.uint8))
    grid = LabelGrid("EPSG:32633", (0, 0, 80, 80), (8, 8))
    monkeypatch.setenv(BLOCK_PIXELS.variable, "1000")
    if interleave == "band":
        read_raster_labels(tmp_path / "a.tif", grid)
        return
    with pytest.raises(EOTasksError, match=f"20 band.*{BLOCK_PIXELS.variable}"):
        read_raster_labels(tmp_path / "a.tif", grid)


def test_vector_files_have_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import geopandas as gpd

    file = tmp_path / "a.gpkg"
    shapes = [shapely.box(at, 0, at + 10, 10) for at in range(0, 100, 10)]
    gpd.GeoDataFrame({"a": range(10)}, geometry=shapes, crs=32633).to_file(file, engine="pyogrio")
    monkeypatch.setenv(VECTOR_FEATURES.variable, "9")
    reads: list[Callable[[], object]] = [
        lambda: read_area(file=file),
        lambda: read_patch_grid(file, 10),
        lambda: check_vector_labels(file, column="a"),
    ]
    for read in reads:
        with pytest.raises(EOTasksError, match=f"more than 9 vector features .{VECTOR_FEATURES.variable}"):
            read()
    monkeypatch.setenv(VECTOR_BYTES.variable, "1000")
    for read in reads:
        with pytest.raises(EOTasksError, match=VECTOR_BYTES.variable):
            read()


def test_small_vector_files_take_no_room_for_the_most_there_may_be(tmp_path: Path) -> None:
    import geopandas as gpd

    file = tmp_path / "a.gpkg"
    gpd.GeoDataFrame({"a": [1]}, geometry=[shapely.box(0, 0, 10, 10)], crs=32633).to_file(file, engine="pyogrio")
    grid = LabelGrid("EPSG:32633", (0, 0, 100, 100), (10, 10))
    reads: list[Callable[[], object]] = [
        lambda: read_area(file=file),
        lambda: read_patch_grid(file, 10),
        lambda: check_vector_labels(file, column="a"),
        lambda: read_polygons(file, grid, column="a"),
    ]
    for read in reads:
        read()
        tracemalloc.start()
        read()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 5_000_000


def test_scenes_to_evaluate_have_a_bound(tmp_path: Path) -> None:
    with_header(tmp_path / "bands.tif", 100_000, 100_000)
    with pytest.raises(ImageryError, match=ARRAY_BYTES.variable):
        read_raster_scene(tmp_path, "a", None)  # type: ignore[arg-type]  # not looked at


def test_assets_of_an_item_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    item = make_item("S2A_MSIL1C_20170216T102101_N0204_R065_T33UUU_20170216T102204").to_dict()
    item["assets"] = {f"a{number}": {"href": "/a"} for number in range(1001)}
    with pytest.raises(ImageryError, match=f"1,001, more than 1,000 item assets .{ITEM_ASSETS.variable}"):
        describe_item(item, Origin.of("/a/b.json"))


@pytest.fixture
def catalogues(tmp_path: Path) -> Iterator[Path]:
    """A catalogue in a folder, of one item that has the name of the folder."""
    for name in ("ab", "ac"):
        (tmp_path / name).mkdir()
        Catalogue(tmp_path / name / "c.parquet").add([make_item(f"other {name}")])
        Catalogue(tmp_path / f"{name}.parquet").add([make_item(f"other {name}")])
    return tmp_path  # type: ignore[return-value]  # a fixture


@pytest.mark.parametrize(
    "name",
    ["a*.parquet", "a?.parquet", "a[bc].parquet", "[!x]b.parquet", "*.parquet", "**.parquet", "a*/c.parquet",
     "**/c.parquet", "a?/c.parquet", "[a]b/c.parquet", "{ab,ac}.parquet", "a'b.parquet", "id=x/c.parquet",
     "eo:cloud_cover=5/c.parquet", "a b.parquet", "%s.parquet"],
)  # fmt: skip
def test_names_of_catalogues_are_no_patterns(catalogues: Path, name: str) -> None:
    (catalogues / name).parent.mkdir(exist_ok=True)
    catalogue = Catalogue(catalogues / name)
    catalogue.add([make_item("own")])
    assert [item.id for item in catalogue.search()] == ["own"]
    assert catalogue.summary().items == 1
    assert [item.id for item in catalogue.search(tile="33UUU", max_cloud_cover=0.5)] == ["own"]


def test_names_of_catalogues_that_cannot_be_said(catalogues: Path) -> None:
    catalogue = Catalogue(catalogues / "a\\*.parquet")
    catalogue.add([make_item("own")])
    with pytest.raises(ImageryError, match="Rename the catalogue"):
        catalogue.search()


def test_rows_of_a_catalogue_are_counted(catalogues: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue = Catalogue(catalogues / "ab.parquet")
    monkeypatch.setenv(CATALOGUE_BYTES.variable, "500")
    with pytest.raises(StorageError, match=CATALOGUE_BYTES.variable):
        catalogue.search()
    monkeypatch.setenv(CATALOGUE_BYTES.variable, str(10**6))
    catalogue.add([make_item(f"{number}") for number in range(5)])
    monkeypatch.setenv(CATALOGUE_ROWS.variable, "5")
    with pytest.raises(ImageryError, match=f"6, more than 5 catalogue rows .{CATALOGUE_ROWS.variable}"):
        catalogue.search()
    with pytest.raises(ImageryError, match=CATALOGUE_ROWS.variable):
        catalogue.add([make_item("new")])


def test_values_that_are_stored_once_and_stand_in_many_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    Catalogue(tmp_path / "a.parquet").add([make_item("a")])
    table = pq.read_table(tmp_path / "a.parquet")
    long = pa.array(["x" * 10**6] * 60)
    many = pa.concat_tables([table] * 60)
    pq.write_table(
        many.set_column(many.schema.get_field_index("s2:product_uri"), "s2:product_uri", long), tmp_path / "b.parquet"
    )
    assert (tmp_path / "b.parquet").stat().st_size < 3_000_000
    monkeypatch.setenv(CATALOGUE_BYTES.variable, "20000000")
    with pytest.raises(ImageryError, match=CATALOGUE_BYTES.variable):
        Catalogue(tmp_path / "b.parquet").search()
