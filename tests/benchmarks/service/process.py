"""Whole requests of the Process API against rasterio reading the same windows:
``python -m tests.benchmarks.service.process``.

As `tests.benchmarks.service.pixels`, with all that is about it: HTTP on loopback, a token, the evalscript in a worker
process, a TIFF of six bands, CLM and CLP as float32. The service runs in a thread of this process, one engine worker a
core. Rows: one client whose ground was read before, and eight at a time. Look at the ratios.
"""

from __future__ import annotations

import os
import socket
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import requests

from eotasks.catalogue.items import item_of
from eotasks.catalogue.store import Catalogue
from eotasks.imagery.scene import open_scene
from eotasks.service.auth.clients import add_client
from eotasks.service.build import build_app
from eotasks.service.contract.area import OutputArea
from eotasks.service.settings import load_settings
from tests.benchmarks.figures import Figure
from tests.benchmarks.service.command import run
from tests.benchmarks.service.pixels import BANDS, SIDE, areas, by_clients, peer, seconds
from tests.builders.tile import EPSG, build_tile
from tests.servers.service import served

NAME = "service-process"
READ = (*BANDS, "CLM", "CLP")
SCRIPT = f"""//VERSION=3
function setup() {{
  return {{ input: [{{ bands: {list(READ)} }}], output: {{ bands: {len(READ)}, sampleType: "FLOAT32" }} }}
}}
function evaluatePixel(s) {{ return [{", ".join(f"s.{band}" for band in READ)}] }}"""


def asked(area: OutputArea) -> dict[str, Any]:
    """A request of the Process API."""
    crs = {"crs": f"http://www.opengis.net/def/crs/EPSG/0/{EPSG}"}
    interval = {"from": "2017-02-01T00:00:00Z", "to": "2017-03-01T00:00:00Z"}
    return {
        "input": {
            "bounds": {"bbox": list(area.bounds), "properties": crs},
            "data": [{"type": "sentinel-2-l1c", "dataFilter": {"timeRange": interval}}],
        },
        "evalscript": SCRIPT,
        "output": {"width": SIDE, "height": SIDE, "responses": [{"format": {"type": "image/tiff"}}]},
    }


def measure(folder: Path, pixels: int, repeats: int, clients: int) -> list[Figure]:
    """All rows."""
    product = build_tile(folder / f"tile-{pixels}", pixels=(pixels, pixels))
    catalogue = Catalogue(folder / f"products-{pixels}.parquet")
    if not catalogue.exists():
        catalogue.add([item_of(open_scene(str(product)))])
    scene, grounds = open_scene(str(product)), areas(pixels, repeats)
    with tempfile.TemporaryDirectory() as own, socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        port = listening.getsockname()[1]
        given = {"catalogues": [catalogue.location], "clients_file": Path(own) / "clients.json", "port": port}
        settings = load_settings({**given, "engine_workers": os.cpu_count() or 1, "script_s": 60})
        client_id, secret = add_client(settings.clients_file, "benchmark")
        with served(build_app(settings), listening):
            form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
            token = requests.post(f"{settings.url}/oauth/token", data=form, timeout=60).json()["access_token"]
            session = requests.Session()
            session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=clients))
            session.headers["Authorization"] = f"Bearer {token}"

            def draw(area: OutputArea) -> None:
                session.post(f"{settings.url}/api/v1/process", json=asked(area), timeout=600).raise_for_status()

            seconds(draw, grounds)  # masks are computed, files opened
            rows: dict[str, list[float]] = {"rasterio": [], "service": []}
            for ground in grounds:
                rows["rasterio"] += seconds(lambda area: peer(scene, area), [ground])
                rows["service"] += seconds(draw, [ground])
            several = by_clients(draw, grounds, clients)
    middle = {name: statistics.median(found) for name, found in rows.items()}
    return [
        Figure("rasterio, six bands", middle["rasterio"], "s"),
        Figure("service: six bands, CLM, CLP", middle["service"], "s"),
        Figure("service / rasterio, p50", middle["service"] / middle["rasterio"], "x"),
        Figure(f"{clients} clients: p99 / p50", float(np.percentile(several, 99)) / statistics.median(several), "x"),
        Figure(f"{clients} clients: p99 / p50 of one", float(np.percentile(several, 99)) / middle["service"], "x"),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the table."""
    run(NAME, __doc__, measure, arguments)


if __name__ == "__main__":
    main()
