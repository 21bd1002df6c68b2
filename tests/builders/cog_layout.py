"""The layout of a Cloud Optimized GeoTIFF, read without GDAL."""

from __future__ import annotations

import struct
from pathlib import Path


def image_directories(path: Path) -> list[tuple[int, dict[int, tuple[int, ...]]]]:
    """Offset and integer tags of every TIFF directory of a little-endian classic TIFF, in the order of the chain."""
    data = path.read_bytes()
    assert data[:4] == b"II*\0"
    kinds = {1: "B", 3: "H", 4: "I"}
    directories = []
    offset = struct.unpack_from("<I", data, 4)[0]
    while offset:
        tags = {}
        count = struct.unpack_from("<H", data, offset)[0]
        for entry in range(offset + 2, offset + 2 + 12 * count, 12):
            tag, kind, number = struct.unpack_from("<HHI", data, entry)
            if kind in kinds:
                form = f"<{number}{kinds[kind]}"
                where = entry + 8 if struct.calcsize(form) <= 4 else struct.unpack_from("<I", data, entry + 8)[0]
                tags[tag] = struct.unpack_from(form, data, where)
        directories.append((offset, tags))
        offset = struct.unpack_from("<I", data, offset + 2 + 12 * count)[0]
    return directories


def assert_is_cloud_optimized(path: Path, levels: int) -> None:
    """The rules of the COG specification that a reader relies on: tiles, overviews, directories before pixels, and the
    pixels of smaller overviews before those of larger ones.
    """
    assert b"LAYOUT=IFDS_BEFORE_DATA" in path.read_bytes()[:200]
    directories = image_directories(path)
    assert len(directories) == levels + 1
    assert [offset for offset, _ in directories] == sorted(offset for offset, _ in directories)
    widths = [tags[256][0] for _, tags in directories]
    assert widths == sorted(widths, reverse=True)
    side = 512 if widths[0] > 1024 else 128
    assert all(tags[322] == tags[323] == (side,) for _, tags in directories)
    first_pixels = [min(where for where in tags[324] if where) for _, tags in directories]
    assert min(first_pixels) > directories[-1][0]
    assert first_pixels == sorted(first_pixels, reverse=True)
