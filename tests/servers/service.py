"""The service on loopback, with pixels that are a function of place and an engine that runs no JavaScript.

A script of the fake engine is ``//VERSION=3`` and a line of JSON: what `setup` would declare, and what happens. Each
output gives the first planes of the first source, as its sample type has them.
"""

from __future__ import annotations

import datetime as dt
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import requests
import uvicorn

from eotasks.service.app import create_app
from eotasks.service.auth.clients import add_client
from eotasks.service.contract.area import OutputArea
from eotasks.service.contract.data import DataRequest
from eotasks.service.errors import NotFoundError, RequestError, ScriptError
from eotasks.service.evalscript.engine import Description, Evaluated
from eotasks.service.evalscript.planes import Pixels, Plane, SceneInfo, SourcePixels, TileInfo
from eotasks.service.evalscript.setup import Input, InputBand, Mosaicking, Output, SampleType, Setup
from eotasks.service.pixels.reader import Found
from eotasks.service.render import Renderer
from eotasks.service.settings import load_settings
from eotasks.service.traffic.connection import BoundedConnection

BANDS = ("B02", "B03", "B04", "B08", "CLM", "CLP", "dataMask")
COLLECTIONS = ("sentinel-2-l1c", "sentinel-2-l2a")


def value(band: str, x: np.ndarray, y: np.ndarray, day: int) -> np.ndarray:
    """DN of a band at a place, on a day of the year."""
    number = sum(ord(letter) for letter in band)
    dn = (1000 + number + day + ((x // 10) % 97) * 3 + ((y // 10) % 89) * 7).astype(np.uint16)
    if band == "dataMask":
        return np.ones_like(dn, dtype=np.uint8)
    return (dn % 2 if band == "CLM" else dn % 256).astype(np.uint8) if band in ("CLM", "CLP") else dn


def expected(band: str, bounds: Sequence[float], shape: tuple[int, int], day: int) -> np.ndarray:
    """DN of a band on a grid."""
    left, bottom, right, top = bounds
    height, width = shape
    x = left + (np.arange(width) + 0.5) * (right - left) / width
    y = top - (np.arange(height) + 0.5) * (top - bottom) / height
    return value(band, x[np.newaxis], y[:, np.newaxis], day)


def script(*bands: str, outputs: Sequence[dict[str, Any]] = ({"bands": 1},), **more: Any) -> str:
    """A script of the fake engine.

    :param more: "mosaicking", "userData"; "fails" (a message), "hooks", "units", "sources" (ids of data).
    """
    return f"//VERSION=3\n{json.dumps({'input': bands, 'output': list(outputs), **more})}"


@dataclass
class FakeEngine:
    """Does what scripts of `script` say."""

    before: Callable[[], None] = lambda: None
    """Called at each evaluation."""

    close: Callable[[], None] = lambda: None
    leave: Callable[[], None] = lambda: None
    """As `create_app` has them."""

    def describe(self, script: str, sources: Sequence[SourcePixels] = ()) -> Description:
        said = _said(script)
        if "fault" in said:
            raise RuntimeError(said["fault"])
        declared = tuple(
            Input(
                tuple(InputBand(band, said.get("units")) for band in said["input"]),
                source,
                Mosaicking(said.get("mosaicking", "SIMPLE")),
            )
            for source in said.get("sources", [None])
        )
        kept = tuple(tuple(range(len(each.scenes))) for each in sources)
        return Description(Setup(declared, tuple(map(_output, said["output"])), frozenset(said.get("hooks", []))), kept)

    def evaluate(self, script: str, pixels: Pixels, *, auto: SampleType = SampleType.AUTO) -> Evaluated:
        self.before()
        said, setup = _said(script), self.describe(script).setup
        if "fails" in said:
            raise ScriptError(said["fails"])
        planes = [plane.values[0] / plane.divisor for source in pixels.sources for plane in source.planes]
        return Evaluated({each.id: _image(planes, each, auto) for each in setup.outputs}, said.get("userData"), setup)


@dataclass
class FakeReader:
    """Scenes at some times, everywhere."""

    times: tuple[dt.datetime, ...] = tuple(map(dt.datetime.fromisoformat, ("2024-06-01T10:30", "2024-06-06T10:30")))
    asked: list[DataRequest] = field(default_factory=list)

    def check(self, data: DataRequest, bands: Sequence[InputBand]) -> None:
        if data.collection not in COLLECTIONS:
            raise NotFoundError(f"There is no collection {data.collection!r}: there are {', '.join(COLLECTIONS)}.")
        for band in bands:
            if band.name not in BANDS:
                raise RequestError(f"There is no band {band.name!r}.")

    def find(self, data: DataRequest, area: OutputArea, mosaicking: Mosaicking) -> Found:
        self.asked.append(data)
        times = [time for time in self.times if data.start <= time <= data.end]
        tiles = [TileInfo(time, f"scene-{time:%Y%m%d}", 10.0) for time in reversed(times)]
        if mosaicking != Mosaicking.SIMPLE:
            return Found(tuple(SceneInfo(each.time, each.time, (each,)) for each in tiles), tuple(tiles))
        return Found((SceneInfo(data.start, data.end, tuple(tiles)),), (tiles,))

    def read(self, data: DataRequest, area: OutputArea, found: Found, bands: Sequence[InputBand]) -> tuple[Plane, ...]:
        return tuple(self._plane(band, area, found) for band in bands)

    def _plane(self, band: InputBand, area: OutputArea, found: Found) -> Plane:
        reflectance = band.name.startswith("B") and band.units != "DN"
        values = np.stack(
            [
                expected(band.name, area.bounds, (area.height, area.width), scene.tiles[0].time.timetuple().tm_yday)
                if scene.tiles
                else np.zeros((area.height, area.width), np.uint16)
                for scene in found.scenes
            ]
        )
        return Plane(band.name, values, 10_000.0 if reflectance else 1.0)


class NoProducts:
    """A catalogue of nothing."""

    def find(self, request: object) -> list[Any]:
        return []


@dataclass
class Running:
    """A service that runs."""

    url: str
    client_id: str
    client_secret: str
    reader: FakeReader
    engine: FakeEngine
    app: Any

    def token(self) -> str:
        form = {"grant_type": "client_credentials", "client_id": self.client_id, "client_secret": self.client_secret}
        return str(requests.post(f"{self.url}/oauth/token", data=form, timeout=60).json()["access_token"])

    def post(self, path: str, content: Any, *, token: str | None = None, **headers: str) -> requests.Response:
        """With a token of the client, unless another is given."""
        sent = {"Authorization": f"Bearer {self.token() if token is None else token}", **headers}
        return requests.post(f"{self.url}{path}", json=content, headers=sent, timeout=60)


@contextmanager
def running_service(
    folder: Path,
    *,
    reader: FakeReader | None = None,
    engine: FakeEngine | None = None,
    search: Any = None,
    most: int | None = None,
    **settings: Any,
) -> Iterator[Running]:
    """The service on a free port, with one client, or open to all.

    :param folder: For the file of clients.
    :param search: A `ProductSearch`; None for one without products.
    :param most: Connections; others are sent away.
    :param settings: Of `ServiceSettings`.
    """
    reader, engine = reader or FakeReader(), engine or FakeEngine()
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        named = {} if settings.get("open") else {"clients_file": folder / "clients.json"}
        made = load_settings({"port": port, **named, **settings})
        client_id, secret = ("any", "any") if made.open else add_client(made.clients_file, "tests")
        app = create_app(
            made,
            Renderer(engine, reader, made.bytes_of_request),
            search or NoProducts(),
            close=engine.close,
            leave=engine.leave,
        )
        with served(app, listening, shutdown_s=made.shutdown_s, most=most):
            yield Running(f"http://127.0.0.1:{port}", client_id, secret, reader, engine, app)


@contextmanager
def served(
    app: Any, listening: socket.socket, *, shutdown_s: int | None = None, most: int | None = None
) -> Iterator[None]:
    """An application on a socket, by uvicorn in a thread."""
    config = uvicorn.Config(
        app,
        http=BoundedConnection,
        ws="none",
        log_config=None,
        access_log=False,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=shutdown_s,
        limit_concurrency=most,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


def request(**changes: Any) -> dict[str, Any]:
    """A request of the Process API.

    :param changes: "evalscript", "output", "bounds", "data" (of the only entry), "accept".
    """
    return {
        "input": {
            "bounds": changes.get("bounds", BOUNDS),
            "data": [
                {
                    "type": "sentinel-2-l1c",
                    "dataFilter": {"timeRange": {"from": "2024-06-01T00:00:00Z", "to": "2024-06-02T00:00:00Z"}},
                    **changes.get("data", {}),
                }
            ],
        },
        "evalscript": changes.get("evalscript", script("B04", outputs=[{"bands": 1, "sampleType": "FLOAT32"}])),
        "output": {
            "width": 16,
            "height": 12,
            "responses": [{"identifier": "default", "format": {"type": "image/tiff"}}],
            **changes.get("output", {}),
        },
    }


BOX = (400_000.0, 5_800_000.0, 400_160.0, 5_800_120.0)
BOUNDS = {"bbox": list(BOX), "properties": {"crs": "http://www.opengis.net/def/crs/EPSG/0/32633"}}


def _said(script: str) -> dict[str, Any]:
    try:
        said = json.loads(script.partition("\n")[2])
        return {"input": [], "output": [{"bands": 1}], **said}
    except (ValueError, TypeError) as error:
        raise ScriptError(f"The evalscript cannot be read: {error}") from error


def _output(said: dict[str, Any]) -> Output:
    bands = said.get("bands", 1)
    names = tuple(f"B{number}" for number in range(bands)) if isinstance(bands, int) else tuple(bands)
    return Output(said.get("id", "default"), names, SampleType(said.get("sampleType", "AUTO")), said.get("nodataValue"))


def _image(planes: Sequence[np.ndarray], output: Output, auto: SampleType) -> np.ndarray:
    first = [position for position, band in enumerate(planes)][: len(output.bands)]
    values = np.stack([planes[position] for position in first], axis=-1)
    sample_type = auto if output.sample_type == SampleType.AUTO else output.sample_type
    if sample_type == SampleType.FLOAT32:
        return values.astype(np.float32)
    if sample_type == SampleType.AUTO:
        return np.floor(np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8)
    limits = np.iinfo(sample_type.lower())
    return np.clip(np.floor(values + 0.5), limits.min, limits.max).astype(sample_type.lower())
