"""A STAC API on loopback: landing page and item search."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

import shapely
from shapely.geometry import shape

from tests.servers.loopback import LoopbackServer

PAGE = 2
CONFORMS = ["https://api.stacspec.org/v1.0.0/core", "https://api.stacspec.org/v1.0.0/item-search"]


class StacServer:
    """Landing page and item search, two items a page."""

    def __init__(self, items: list[dict[str, Any]]) -> None:
        self.items = items
        self.requests: list[dict[str, Any]] = []
        self.status = 200
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                self._send(server.answer(parts.path, {key: each[0] for key, each in parse_qs(parts.query).items()}))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self._send(server.answer(urlsplit(self.path).path, json.loads(body)))

            def _send(self, answer: object) -> None:
                data = json.dumps(answer).encode()
                self.send_response(server.status)
                self.send_header("Content-Type", "application/geo+json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self.http = LoopbackServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        self.thread = threading.Thread(target=self.http.serve_forever)

    def answer(self, path: str, query: Mapping[str, Any]) -> dict[str, Any]:
        if path in ("", "/"):
            search = {"rel": "search", "type": "application/geo+json", "href": f"{self.url}/search", "method": "POST"}
            return {
                "type": "Catalog", "stac_version": "1.0.0", "id": "test", "description": "for tests",
                "conformsTo": CONFORMS,
                "links": [search, {"rel": "self", "href": self.url}, {"rel": "root", "href": self.url}],
            }  # fmt: skip
        self.requests.append(dict(query))
        area = query.get("intersects")
        found = [each for each in self.items if each["collection"] in query["collections"]]
        if area is not None:
            found = [each for each in found if shapely.intersects(shape(each["geometry"]), shape(area))]
        start = int(query.get("token", 0))
        links = []
        if start + PAGE < len(found):
            body = {**query, "token": start + PAGE}
            links = [{"rel": "next", "href": f"{self.url}/search", "method": "POST", "body": body}]
        return {"type": "FeatureCollection", "features": found[start : start + PAGE], "links": links}

    def close(self) -> None:
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()
