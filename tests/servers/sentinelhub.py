"""A small Sentinel Hub on loopback: the wire contract of the Process, Catalog and Statistical API, and its faults.

Pixels are a function of place, band and date, so that a test knows what has to arrive: the value of a band at a pixel
is ``value(band, x, y, day)`` of the pixel's centre. The self-hosted service of the project will take its place.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import tarfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs

import numpy as np
from PIL import Image

from tests.servers.loopback import LoopbackServer

CLIENT_ID, CLIENT_SECRET, TOKEN = "my-id", "s3cret-value", "a-token-that-no-log-may-show"
MASKS = {"dataMask": 1, "CLM": None, "CLP": None}

Fault = Callable[["Handler"], bool]
"""Spoils an answer; says whether it has answered."""


def value(band: str, x: np.ndarray, y: np.ndarray, day: int) -> np.ndarray:
    """DN of a band at a place and on a day of the year."""
    number = sum(ord(letter) for letter in band)
    return (1000 + number + day + ((x // 10) % 97) * 3 + ((y // 10) % 89) * 7).astype(np.uint16)


@dataclass
class Service:
    """What the server has, was asked, and does wrong next."""

    times: list[dt.datetime] = field(default_factory=list)
    cloudy: dict[dt.datetime, float] = field(default_factory=dict)
    places: dict[dt.datetime, tuple[float, float, float, float]] = field(default_factory=dict)
    """Where scenes are, as (west, south, east, north) with west below east; those of other times are everywhere."""

    pixels: Callable[[str, np.ndarray, np.ndarray, int], np.ndarray] = value
    processes: list[dict[str, Any]] = field(default_factory=list)
    searches: list[dict[str, Any]] = field(default_factory=list)
    statistics: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    tokens: int = 0
    faults: deque[Fault] = field(default_factory=deque)
    """Spoil the next answers of the Process and Statistical API, one each."""

    search_faults: deque[Fault] = field(default_factory=deque)
    """Spoil the next answers of the catalogue."""

    fails_at: set[dt.date] = field(default_factory=set)
    """Days whose requests always end in 500."""

    page: int = 100
    """Features in a page of the catalogue."""

    failed_intervals: set[str] = field(default_factory=set)
    """Days whose statistics fail at the first request."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    url: str = ""


class Handler(BaseHTTPRequestHandler):
    """Answers as Sentinel Hub does."""

    service: Service
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/token":
            self.token(body)
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.error(401, "COMMON_UNAUTHORIZED", "no token")
        elif self.path == "/api/v1/catalog/1.0.0/search":
            self.search(json.loads(body))
        elif self.path == "/api/v1/process":
            self.process(json.loads(body))
        elif self.path == "/api/v1/statistics":
            self.summarise(json.loads(body))
        else:
            self.error(404, "COMMON_NOT_FOUND", self.path)

    def send(self, status: int, body: bytes, kind: str = "application/json", **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, content in headers.items():
            self.send_header(name.replace("_", "-"), content)
        self.end_headers()
        self.wfile.write(body)

    def error(self, status: int, code: str, message: str, **headers: str) -> None:
        content = {"error": {"status": status, "reason": "Error", "message": message, "code": code}}
        self.send(status, json.dumps(content).encode(), **headers)

    def token(self, body: bytes) -> None:
        form = parse_qs(body.decode())
        self.service.tokens += 1
        if form.get("client_id") != [CLIENT_ID] or form.get("client_secret") != [CLIENT_SECRET]:
            self.send(401, b'{"error": "invalid_client"}')
            return
        self.send(200, json.dumps({"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"}).encode())

    def search(self, query: dict[str, Any]) -> None:
        service = self.service
        service.searches.append(query)
        first, last = (_time(text) for text in query["datetime"].split("/"))
        if service.search_faults and service.search_faults.popleft()(self):
            return
        most = float(query["filter"].removeprefix("eo:cloud_cover <= "))
        found = [each for each in service.times if first <= each <= last and service.cloudy.get(each, 0) <= most]
        found = [each for each in found if each not in service.places or _meet(service.places[each], query["bbox"])]
        start = int(query.get("next", 0))
        context = {"limit": service.page, "returned": 1}
        if start + service.page < len(found):
            context["next"] = start + service.page
        features = [
            {"id": f"scene-{each:%Y%m%d}", "properties": {"datetime": f"{each.isoformat()}Z"}, "geometry": None}
            for each in found[start : start + service.page]
        ]
        self.send(200, json.dumps({"type": "FeatureCollection", "context": context, "features": features}).encode())

    def process(self, payload: dict[str, Any]) -> None:
        service = self.service
        with service.lock:
            service.processes.append(payload)
            service.headers.append(dict(self.headers))
            fault = service.faults.popleft() if service.faults else None
        if fault is not None and fault(self):
            return
        output, data = payload["output"], payload["input"]["data"][0]
        if max(output["width"], output["height"]) > 2500:
            self.error(400, "COMMON_BAD_PAYLOAD", "more than 2500 pixels")
            return
        wanted = [_time(data["dataFilter"]["timeRange"][key]) for key in ("from", "to")]
        scenes = [each for each in service.times if wanted[0] <= each <= wanted[1]]
        if scenes and scenes[0].date() in service.fails_at:
            self.error(500, "RENDERER_EXCEPTION", "this day is lost")
            return
        names = [response["identifier"] for response in output["responses"]]
        images = {name: self.image(name, payload, scenes) for name in names}
        if len(images) == 1:
            self.send(200, _tiff(images[names[0]]), "image/tiff")
            return
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as archive:
            for name, image in images.items():
                content = _tiff(image)
                member = tarfile.TarInfo(f"{name}.tif")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        self.send(200, stream.getvalue(), "application/x-tar")

    def image(self, name: str, payload: dict[str, Any], scenes: list[dt.datetime]) -> np.ndarray:
        height, width = payload["output"]["height"], payload["output"]["width"]
        if not scenes:
            return np.full((height, width), 255 if name == "CLM" else 0, np.uint8 if name in MASKS else np.uint16)
        if name == "dataMask":
            return np.ones((height, width), dtype=np.uint8)
        left, bottom, right, top = payload["input"]["bounds"]["bbox"]
        x = left + (np.arange(width) + 0.5) * (right - left) / width
        y = top - (np.arange(height) + 0.5) * (top - bottom) / height
        day = scenes[0].timetuple().tm_yday
        values = self.service.pixels(name, x[np.newaxis], y[:, np.newaxis], day)
        if name == "CLM":
            return (values % 2).astype(np.uint8)
        return (values % 256).astype(np.uint8) if name == "CLP" else values

    def summarise(self, payload: dict[str, Any]) -> None:
        service = self.service
        with service.lock:
            service.statistics.append(payload)
            fault = service.faults.popleft() if service.faults else None
            again = set(service.failed_intervals)
        if fault is not None and fault(self):
            return
        start, end = (_time(payload["aggregation"]["timeRange"][key]) for key in ("from", "to"))
        single = end - start <= dt.timedelta(days=1)
        entries = []
        for each in service.times:
            if not start <= each < end:
                continue
            day = each.replace(hour=0, minute=0, second=0, microsecond=0)
            interval = {"from": f"{day.isoformat()}Z", "to": f"{(day + dt.timedelta(days=1)).isoformat()}Z"}
            if f"{day:%Y-%m-%d}" in again and not single:
                entries.append({"interval": interval, "error": {"type": "EXECUTION_ERROR"}})
                continue
            number = float(each.timetuple().tm_yday)
            stats = {"min": 0.0, "max": 2 * number, "mean": number, "stDev": 1.0, "sampleCount": 100, "noDataCount": 20}
            wanted = payload.get("calculations", {}).get("default", {}).get("statistics", {}).get("default", {})
            if "percentiles" in wanted:
                stats["percentiles"] = {f"{float(k)}": number for k in wanted["percentiles"]["k"]}
            if service.cloudy.get(each):
                stats |= {"noDataCount": 100}
            entries.append({"interval": interval, "outputs": {"default": {"bands": {"B04": {"stats": stats}}}}})
        self.send(200, json.dumps({"data": entries, "status": "OK"}).encode())


def rate_limited(retry_after: str | None = "20") -> Fault:
    """429 with the service's waiting time, in milliseconds; None leaves it out."""

    def fault(handler: Handler) -> bool:
        headers = {} if retry_after is None else {"Retry_After": retry_after}
        handler.error(429, "RATE_LIMIT_EXCEEDED", "slow down", **headers)
        return True

    return fault


def server_error(handler: Handler) -> bool:
    handler.error(503, "COMMON_EXCEPTION", "later")
    return True


def cut_off(handler: Handler) -> bool:
    """Fewer bytes than promised, then the end."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    handler.wfile.write(b"II*\0")
    handler.close_connection = True
    return True


def half_an_archive(handler: Handler) -> bool:
    """A whole answer of half an archive."""
    handler.send(200, b"\0" * 700, "application/x-tar")
    return True


def slow(seconds: float) -> Fault:
    def fault(handler: Handler) -> bool:
        time.sleep(seconds)
        return False

    return fault


@contextmanager
def running(service: Service) -> Iterator[Service]:
    """The service on a free port of loopback."""
    handler = type("ServiceHandler", (Handler,), {"service": service})
    server = LoopbackServer(("127.0.0.1", 0), handler)
    service.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _tiff(image: np.ndarray) -> bytes:
    """Deflate, as the service sends; tifffile itself needs another package to write it."""
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(stream, format="TIFF", compression="tiff_adobe_deflate")
    return stream.getvalue()


def _meet(first: Sequence[float], second: Sequence[float]) -> bool:
    """Whether two boxes share ground, by their numbers alone, as the service has it."""
    return all(first[axis] <= second[axis + 2] and second[axis] <= first[axis + 2] for axis in (0, 1))


def _time(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text.replace("Z", "+00:00")).replace(tzinfo=None)
