"""Links that lead to files of this machine and to servers inside, and what notices when one is followed."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.transform import Affine

NAMES = {
    "internal.example": ["127.0.0.1"],
    "both.example": ["93.184.216.34", "127.0.0.1"],
    "metadata.google.internal": ["169.254.169.254"],
    "six.example": ["::ffff:127.0.0.1"],
    "example.org": ["93.184.216.34"],
}

FILES = (
    "{file}", "file://{file}", "file://localhost{file}", "FILE://{file}", "file:{file}", "file:///..{file}",
    "/vsisubfile/0_9,{file}", "/VSISUBFILE/0_9,{file}", "/./vsisubfile/0_9,{file}", "//vsisubfile/0_9,{file}",
    "/x/../vsisubfile/0_9,{file}", "../../../../../../../vsisubfile/0_9,{file}", "/vsizip/{file}", "/vsigzip/{file}",
    "..%2f..%2f..%2f..%2f..%2fvsisubfile/0_9,{file}", "%2fvsisubfile/0_9,{file}", "file:///vsisubfile/0_9,{file}",
    "file:///%76sisubfile/0_9,{file}", "/%2576sisubfile/0_9,{file}", "\\vsisubfile\\0_9,{file}", "/vsistdin/",
    "/vsimem/a.tif", "vrt://{file}", "VRT://{file}", "GTIFF_DIR:1:{file}", "GTIFF_RAW:{file}", "NETCDF:{file}:x",
    'HDF5:"{file}"://x', "JP2OpenJPEG:{file}", "J2K_SUBFILE:0,9,{file}", "derived://LOGAMPLITUDE/{file}",
    "plug:{file}", "MEM:::DATAPOINTER=1,PIXELS=9,LINES=9", "zip://{file}!a.tif", "zip+file://{file}!a.tif",
    "tar:{file}", " {file}", "\t{file}", "{file}\n", "{file}\0", "\u202e{file}", "s3://../..{file}",
    "s3://bucket/../..{file}", "s3://b?x{file}", "s3://127.0.0.1:80#/a.tif", "gs://bucket/a.tif", "ftp://h/a.tif",
    "data:image/tiff;base64,AAAA", "WMS:http://127.0.0.1:{port}/", "GTI:{file}", "STACIT:{file}", "ZARR:{file}",
    "<VRTDataset><SourceFilename>{file}</SourceFilename></VRTDataset>?",
)  # fmt: skip

SERVERS = (
    "http://127.0.0.1:{port}/a.tif", "http://localhost:{port}/a.tif", "http://localhost.:{port}/a.tif",
    "http://LOCALHOST:{port}/a.tif", "http://127.1:{port}/a.tif", "http://2130706433:{port}/a.tif",
    "http://0x7f000001:{port}/a.tif", "http://0177.0.0.1:{port}/a.tif", "http://0:{port}/a.tif",
    "http://0.0.0.0:{port}/a.tif", "http://[::1]:{port}/a.tif", "http://[::]:{port}/a.tif",
    "http://[::ffff:127.0.0.1]:{port}/a.tif", "http://[::ffff:7f00:1]:{port}/a.tif", "http://[::127.0.0.1]:{port}/a.tif",
    "http://[64:ff9b::7f00:1]:{port}/a.tif", "http://[2002:7f00:1::]:{port}/a.tif", "http://[fe80::1]:{port}/a.tif",
    "http://[fd00:ec2::254]:{port}/a.tif", "http://[fec0::1]:{port}/a.tif", "http://１２７.0.0.1:{port}/a.tif",
    "http://127。0。0。1:{port}/a.tif", "http://user@127.0.0.1:{port}/a.tif", "http://example.org@127.0.0.1:{port}/a.tif",
    "http://127.0.0.1:{port}#@example.org/a.tif", "http://10.0.0.1:{port}/a.tif", "http://172.16.0.1:{port}/a.tif",
    "http://192.168.1.1:{port}/a.tif", "http://100.64.0.1:{port}/a.tif", "http://169.254.169.254/latest/meta-data/a.tif",
    "http://168.63.129.16/a.tif", "http://224.0.0.1:{port}/a.tif", "http://255.255.255.255:{port}/a.tif",
    "http://192.0.0.192/a.tif", "http://internal.example:{port}/a.tif", "http://INTERNAL.example.:{port}/a.tif",
    "http://both.example:{port}/a.tif", "http://six.example:{port}/a.tif", "http://metadata.google.internal/a.tif",
    "https://127.0.0.1:{port}/a.tif", "HTTP://127.0.0.1:{port}/a.tif", "http:/127.0.0.1:{port}/a.tif",
    "http:\\\\127.0.0.1:{port}\\a.tif", "//127.0.0.1:{port}/a.tif", " //127.0.0.1:{port}/a.tif",
    "/vsicurl/http://127.0.0.1:{port}/a.tif", "/vsicurl_streaming/http://127.0.0.1:{port}/a.tif",
    "../../../../../../vsicurl?header_file={file}&url=http://127.0.0.1:{port}/", "vrt:///vsicurl/http://127.0.0.1:{port}/",
)  # fmt: skip


def resolve(host: Any, port: Any, *_: Any, **__: Any) -> list[tuple[Any, ...]]:
    """As a resolver of names, without a network: numbers in all spellings, and the names above."""
    found = NAMES.get(str(host).lower().rstrip("."))
    if found is None:
        plain = "localhost" if str(host).lower().rstrip(".") == "localhost" else str(host).strip("[]")
        try:
            found = [socket.inet_ntoa(socket.inet_aton(plain))]
        except OSError:
            found = ["127.0.0.1", "::1"] if plain == "localhost" else [plain]
            if ":" not in found[-1]:
                raise socket.gaierror(f"{host} is not known") from None
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in found]


_OPENED: list[str] = []
sys.addaudithook(lambda event, values: _OPENED.append(str(values[0])) if event == "open" and values else None)


class Canary:
    """A file and a port that nobody may reach."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "canary.tif"
        with rasterio.open(
            self.file, "w", driver="GTiff", width=64, height=64, count=1, dtype="uint16", crs="EPSG:32633",
            transform=Affine(10, 0, 330_000, 0, -10, 5_815_000),
        ) as written:  # fmt: skip
            written.write(np.full((64, 64), 7, np.uint16), 1)
        os.utime(self.file, (1, 1))
        self._port = socket.create_server(("127.0.0.1", 0))
        self._port.setblocking(False)
        self.port: int = self._port.getsockname()[1]

    def form(self, text: str) -> str:
        return text.format(file=self.file, port=self.port)

    def reached(self) -> list[str]:
        """What was reached since the last look."""
        found = [name for name in _OPENED if "canary.tif" in name]
        if self.file.stat().st_atime_ns != 10**9:
            found.append("the file was read")
        try:
            while True:
                self._port.accept()[0].close()
                found.append("the server was connected to")
        except BlockingIOError:
            pass
        _OPENED.clear()
        os.utime(self.file, (1, 1))
        return found

    def close(self) -> None:
        self._port.close()
