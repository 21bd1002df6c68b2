"""Files of numpy that say what a test wants."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import numpy as np


def npy_header(shape: tuple[int, ...], descr: str = "|u1") -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": shape})
    return stream.getvalue()


def write_npy(path: Path, shape: tuple[int, ...], content: bytes = b"", descr: str = "|u1") -> Path:
    data = npy_header(shape, descr) + content
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path
