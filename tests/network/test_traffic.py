"""What servers have answered is counted, whoever asked."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from eotasks.imagery.files import http
from eotasks.limits import METADATA_BYTES
from eotasks.network.traffic import WEB, Traffic, TrafficCounter


def test_web(web_folder: tuple[Path, str]) -> None:
    folder, url = web_folder
    (folder / "a.json").write_bytes(b"x" * 1000)
    server = frozenset({url.removeprefix("http://")})
    before = WEB.total
    assert http.read(f"{url}/a.json", METADATA_BYTES, server) == b"x" * 1000
    assert WEB.total - before == Traffic(1, 1000)


def test_lengths_that_are_none() -> None:
    counter = TrafficCounter()
    for length in (None, "12", "x", -5, 7):
        counter.add(length)
    assert counter.total == Traffic(5, 19)


def test_an_answer_to_head_has_no_content() -> None:
    counter = TrafficCounter()
    for method in ("GET", "HEAD"):
        counter.note(SimpleNamespace(request=SimpleNamespace(method=method), headers={"Content-Length": "9"}))
    assert counter.total == Traffic(2, 9)
