"""Images and user data as files: TIFF, PNG, JPEG, JSON, and several of them as one."""

from __future__ import annotations

import io
import json
import struct
import tarfile
import uuid
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image
from rasterio.io import MemoryFile

from eotasks.service.contract.area import OutputArea
from eotasks.service.errors import RequestError

USER_DATA = "userdata"
"""Identifier of `outputMetadata.userData`."""

SUFFIXES = {"image/tiff": "tif", "image/png": "png", "image/jpeg": "jpg", "application/json": "json"}
TAR = "application/x-tar"
_TARS = ("application/x-tar", "application/tar")
_MIXED = "multipart/mixed"

_DTYPES = {"image/png": ("uint8", "uint16"), "image/jpeg": ("uint8",)}
_BANDS = {"image/png": (1, 2, 3, 4), "image/jpeg": (1, 3)}
_PNG_LEVEL = 4
_PNG_COLOURS = {1: 0, 2: 4, 3: 2, 4: 6}
"""Colour type by bands: grey, grey and alpha, colours, colours and alpha."""
_FILTER_UP = 2
_DEFLATE_LEVEL = 1


@dataclass(frozen=True)
class Part:
    """A file of an answer."""

    identifier: str
    media_type: str
    content: bytes

    @property
    def name(self) -> str:
        """As clients look for it in an archive: nothing before it."""
        return f"{self.identifier}.{SUFFIXES[self.media_type]}"


def check_format(identifier: str, media_type: str, dtype: str, bands: int) -> None:
    """Refuse images that a format does not have.

    :param dtype: Of the output, such as "float32".
    :raises RequestError: with what it has.
    """
    if media_type not in SUFFIXES or media_type == "application/json":
        raise RequestError(
            f"Output {identifier!r} is an image: give image/tiff, image/png or image/jpeg. application/json is for"
            f" `{USER_DATA}`."
        )
    dtypes, counts = _DTYPES.get(media_type), _BANDS.get(media_type)
    if dtypes is not None and dtype not in dtypes:
        raise RequestError(
            f"Output {identifier!r} has sample type {dtype.upper()}, {media_type} takes"
            f" {' and '.join(each.upper() for each in dtypes)}: change the script's sampleType, or take image/tiff."
        )
    if counts is not None and bands not in counts:
        raise RequestError(
            f"Output {identifier!r} has {bands} bands, {media_type} takes {', '.join(map(str, counts))}: change the"
            " script's output, or take image/tiff."
        )


def encode(
    image: NDArray[Any], media_type: str, area: OutputArea, *, nodata: float | None = None, quality: int = 90
) -> bytes:
    """An image as a file, which `check_format` has let pass.

    :param image: (h, w, bands).
    :param nodata: For TIFF; left out where the numbers of the image have none such.
    :param quality: Of JPEG, 0..100.
    """
    if media_type == "image/tiff":
        return _tiff(image, area, nodata)
    if media_type == "image/png":
        return _png16(image) if image.dtype == np.uint16 else _pillow(image, "PNG", compress_level=_PNG_LEVEL)
    return _pillow(image, "JPEG", quality=quality)


def encode_json(content: Any) -> bytes:
    """User data; what JSON has not (NaN, infinity) is null."""
    return json.dumps(_plain(content), ensure_ascii=False, allow_nan=False).encode(errors="replace")


def tar(parts: Sequence[Part]) -> bytes:
    """Several files as an archive that is not compressed."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for part in parts:
            member = tarfile.TarInfo(part.name)
            member.size = len(part.content)
            archive.addfile(member, io.BytesIO(part.content))
    return stream.getvalue()


def mixed(parts: Sequence[Part]) -> tuple[str, bytes]:
    """Several files as multipart/mixed: media type and content."""
    boundary = f"eotasks-{uuid.uuid4().hex}"
    content = b"".join(
        f'--{boundary}\r\nContent-Disposition: attachment; name="{part.identifier}"; filename="{part.name}"\r\n'
        f"Content-Type: {part.media_type}\r\nContent-Length: {len(part.content)}\r\n\r\n".encode()
        + part.content
        + b"\r\n"
        for part in parts
    )
    return f"{_MIXED}; boundary={boundary}", content + f"--{boundary}--\r\n".encode()


def together(parts: Sequence[Part], accept: str) -> tuple[str, bytes]:
    """An answer of its parts: one as it is, several (or one, if the client wants that) in an archive.

    :param accept: The header of the request.
    :return: Media type and content.
    """
    wanted = accepted(accept)
    if _MIXED in wanted and not any(each in wanted for each in _TARS):
        return mixed(parts)
    if len(parts) > 1 or any(each in wanted for each in _TARS):
        return TAR, tar(parts)
    return parts[0].media_type, parts[0].content


def accepted(header: str) -> list[str]:
    """Media types of an Accept header, those that the client wants most first; without such that it does not want."""
    weighted = []
    for each in header.split(","):
        name, *parameters = (word.strip().lower() for word in each.split(";"))
        weight = next((word[2:] for word in parameters if word.startswith("q=")), "1")
        try:
            weighted.append((float(weight), name))
        except ValueError:
            weighted.append((1.0, name))
    return [name for weight, name in sorted(weighted, key=lambda pair: -pair[0]) if name and weight > 0]


def _tiff(image: NDArray[Any], area: OutputArea, nodata: float | None) -> bytes:
    """Deflate with predictor 2, pixels of all bands together: what tifffile decodes without further packages."""
    height, width, bands = image.shape
    wide, high = area.pixel_size
    profile = {
        "driver": "GTiff",
        "height": height,
        "width": width,
        "count": bands,
        "dtype": image.dtype.name,
        "crs": area.crs,
        "transform": rasterio.Affine(wide, 0, area.bounds[0], 0, -high, area.bounds[3]),
        "compress": "deflate",
        "zlevel": _DEFLATE_LEVEL,
        "predictor": 2,
        "interleave": "pixel",
        "photometric": "minisblack",
    }
    if nodata is not None and _has(image.dtype, nodata):
        profile["nodata"] = nodata
    with rasterio.Env(GDAL_NUM_THREADS="1"), MemoryFile() as file:
        with file.open(**profile) as dataset:
            dataset.write(np.moveaxis(image, -1, 0))
        return bytes(file.read())


def _has(dtype: np.dtype[Any], value: float) -> bool:
    """Whether a number is one of a type's: a float when it is none that is beyond the largest."""
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return bool(np.isfinite(dtype.type(value)) or not np.isfinite(value))
    limits = np.iinfo(dtype)
    return float(value).is_integer() and limits.min <= value <= limits.max


def _pillow(image: NDArray[Any], name: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image[..., 0] if image.shape[-1] == 1 else image)).save(
        stream, format=name, **options
    )
    return stream.getvalue()


def _png16(image: NDArray[Any]) -> bytes:
    """By the standard (W3C PNG, third edition): Pillow writes one band of 16 bits only, and GDAL warns."""
    height, width, bands = image.shape
    rows = np.ascontiguousarray(image).astype(">u2").view(np.uint8).reshape(height, -1)
    above = np.vstack([np.zeros_like(rows[:1]), rows[:-1]])
    filtered = np.hstack([np.full((height, 1), _FILTER_UP, np.uint8), rows - above])  # bytes wrap, as the filter has it
    header = struct.pack(">IIBBBBB", width, height, 16, _PNG_COLOURS[bands], 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(filtered.tobytes(), _PNG_LEVEL)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )


def _plain(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {str(name): _plain(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_plain(value) for value in content]
    if isinstance(content, float) and not np.isfinite(content):
        return None
    return content
