"""Files of images: every value comes back, from readers that clients have."""

from __future__ import annotations

import io
import json
import math
import tarfile

import numpy as np
import pytest
import rasterio
import tifffile
from PIL import Image

from eotasks.service.contract.area import OutputArea
from eotasks.service.encode import Part, accepted, check_format, encode, encode_json, mixed, tar, together
from eotasks.service.errors import RequestError

DTYPES = ("int8", "uint8", "int16", "uint16", "float32")
AREA = OutputArea("EPSG:32633", (400_000.0, 5_800_000.0, 400_680.0, 5_800_250.0), 25, 34)


def image(dtype: str, bands: int) -> np.ndarray:
    """All of a type's range, its ends too."""
    rng = np.random.default_rng(7)
    if dtype == "float32":
        values = rng.normal(size=(25, 34, bands)).astype(np.float32)
        values[0, :6, 0] = [np.nan, np.inf, -np.inf, -0.0, np.finfo(np.float32).tiny, np.finfo(np.float32).max]
        return values
    limits = np.iinfo(dtype)
    values = rng.integers(limits.min, limits.max, (25, 34, bands), dtype=dtype, endpoint=True)
    values[0, :2, 0] = limits.min, limits.max
    return values


@pytest.mark.parametrize("bands", [1, 2, 3, 4, 13])
@pytest.mark.parametrize("dtype", DTYPES)
def test_tiff(dtype: str, bands: int) -> None:
    values = image(dtype, bands)
    content = encode(values, "image/tiff", AREA)
    decoded = tifffile.imread(io.BytesIO(content))
    np.testing.assert_array_equal(decoded, values[..., 0] if bands == 1 else values)
    assert decoded.dtype == dtype
    with rasterio.MemoryFile(content) as file, file.open() as dataset:
        np.testing.assert_array_equal(np.moveaxis(dataset.read(), 0, -1), values)
        assert (dataset.crs.to_epsg(), dataset.bounds, dataset.res) == (32633, AREA.bounds, (20, 10))
        assert dataset.nodata is None


def test_pixels_of_one_row_and_of_one_column() -> None:
    for shape in ((1, 1, 3), (1, 9, 3), (9, 1, 3), (1, 1, 1)):
        area = OutputArea("EPSG:4326", (0, 0, 1, 1), *shape[:2])
        values = np.arange(math.prod(shape), dtype=np.uint16).reshape(shape)
        decoded = tifffile.imread(io.BytesIO(encode(values, "image/tiff", area)))
        np.testing.assert_array_equal(decoded, values[..., 0] if shape[2] == 1 else values)


@pytest.mark.parametrize(
    ("dtype", "nodata", "kept"),
    [
        ("float32", -9999.0, -9999.0),
        ("float32", math.nan, math.nan),
        ("float32", 3.4028235e38, 3.4028235e38),
        ("float32", 3.4028235677973366e38, None),
        ("float32", 1e300, None),
        ("float32", -1e39, None),
        ("uint8", 255.0, 255.0),
        ("uint8", -1.0, None),
        ("uint8", 1.5, None),
        ("uint8", math.nan, None),
        ("uint16", math.inf, None),
        ("int16", -32768.0, -32768.0),
    ],
)
def test_nodata(dtype: str, nodata: float, kept: float | None) -> None:
    with (
        rasterio.MemoryFile(encode(image(dtype, 1), "image/tiff", AREA, nodata=nodata)) as file,
        file.open() as dataset,
    ):
        assert dataset.nodata == pytest.approx(kept, nan_ok=True) if kept is not None else dataset.nodata is None


@pytest.mark.parametrize("bands", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_png(dtype: str, bands: int) -> None:
    values = image(dtype, bands)
    content = encode(values, "image/png", AREA)
    with (
        pytest.warns(rasterio.errors.NotGeoreferencedWarning),
        rasterio.MemoryFile(content) as file,
        file.open() as dataset,
    ):
        np.testing.assert_array_equal(np.moveaxis(dataset.read(), 0, -1), values)
    opened = Image.open(io.BytesIO(content))
    assert opened.size == (34, 25)
    if dtype == "uint8" or bands == 1:
        np.testing.assert_array_equal(np.array(opened).reshape(values.shape), values)


@pytest.mark.parametrize("bands", [1, 3])
def test_jpeg(bands: int) -> None:
    values = np.full((25, 34, bands), 200, np.uint8)
    content = encode(values, "image/jpeg", AREA, quality=95)
    assert np.abs(np.array(Image.open(io.BytesIO(content))).astype(int) - 200).max() <= 2
    noise = image("uint8", bands)
    sizes = [len(encode(noise, "image/jpeg", AREA, quality=quality)) for quality in (0, 50, 100)]
    assert sizes == sorted(sizes)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bands", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("media_type", ["image/tiff", "image/png", "image/jpeg", "application/json"])
def test_what_passes_the_check_can_be_written(media_type: str, bands: int, dtype: str) -> None:
    there_is = {
        "image/tiff": True,
        "image/png": dtype in ("uint8", "uint16") and bands <= 4,
        "image/jpeg": dtype == "uint8" and bands in (1, 3),
        "application/json": False,
    }
    if there_is[media_type]:
        check_format("default", media_type, dtype, bands)
        assert encode(image(dtype, bands), media_type, AREA)
        return
    with pytest.raises(RequestError, match="Output 'default'"):
        check_format("default", media_type, dtype, bands)


def test_user_data() -> None:
    content = {"nan": math.nan, "list": [math.inf, 1.5, {"ä": "\ud800"}], "number": 2**70, 5: None}
    assert json.loads(encode_json(content)) == {
        "nan": None, "list": [None, 1.5, {"ä": "?"}], "number": 2**70, "5": None
    }  # fmt: skip


def test_names_of_an_archive() -> None:
    parts = [
        Part("bands", "image/tiff", b"1"),
        Part("rgb", "image/jpeg", b"22"),
        Part("userdata", "application/json", b"3"),
    ]
    with tarfile.open(fileobj=io.BytesIO(tar(parts))) as archive:
        assert archive.getnames() == ["bands.tif", "rgb.jpg", "userdata.json"]
        assert [archive.extractfile(name).read() for name in archive.getnames()] == [b"1", b"22", b"3"]  # type: ignore[union-attr]


def test_together() -> None:
    one, two = Part("a", "image/png", b"1"), Part("b", "image/tiff", b"2")
    assert together([one], "image/png") == ("image/png", b"1")
    assert together([one, two], "image/png")[0] == "application/x-tar"
    assert together([one, two], "multipart/mixed")[0].startswith("multipart/mixed")
    assert together([one, two], "multipart/mixed, application/x-tar")[0] == "application/x-tar"
    content_type, content = mixed([one, two])
    assert content.count(content_type.partition("boundary=")[2].encode()) == 3


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("", []),
        ("*/*", ["*/*"]),
        ("image/png;q=0.5, image/tiff , image/jpeg;q=0", ["image/tiff", "image/png"]),
        ("image/png;q=x", ["image/png"]),
        (";;,,;q=1", []),
    ],
)
def test_accept(header: str, names: list[str]) -> None:
    assert accepted(header) == names
