"""What requests of the Process API cost by their size: ``python -m tests.benchmarks.service.size``.

`eotasks serve` is asked for images of 128 to 2500 pixels a side, of 1 to 60 acquisitions (ORBIT mosaicking), and by 1
to 32 clients at a time: three bands and the cloud mask, from the embedded scene under several dates. For each row:
seconds, bytes of the answer, and the most memory that all processes of the service had, looked at all the time. That
memory must not grow beyond the budget (`memory_mb`) and what the reader may keep. The last row asks for more than one
request gets.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import requests

from eotasks.service.pixels.read import ReadingLimits
from tests.benchmarks.service.mix import PROCESS, declared_script
from tests.benchmarks.service.server import Server, build_days, serving

SIDES = (128, 256, 512, 1024, 2500)
DATES = (1, 5, 10, 30, 60)
CLIENTS = (1, 2, 4, 8, 16, 32)
SIDE, FEW = 256, 128
"""Pixels a side, where the number of clients or of dates is looked at."""
MEMORY_MB = 2048
_LOOK_S = 0.1
BOX = (330_000, 5_814_360, 337_680, 5_822_040)


@dataclass(frozen=True)
class Row:
    """A size, and what it cost."""

    side: int
    dates: int
    clients: int
    status: int
    seconds: tuple[float, ...]
    sent: int
    """Bytes of an answer."""
    most: int
    """Bytes of memory."""

    def text(self) -> str:
        """A line of the table."""
        p50, most = np.quantile(self.seconds, 0.5), max(self.seconds)
        return (
            f"| {self.side} | {self.dates} | {self.clients} | {self.status} | {len(self.seconds)} | {p50:.2f} |"
            f" {most:.2f} | {self.sent / 1e6:.2f} | {self.most / 1e6:,.0f} |"
        )


def asked(side: int, dates: int) -> dict[str, Any]:
    """A request; of several dates the mean of each band."""
    bands, count = '["B02","B03","B04","CLM"]', "{bands: 4, sampleType: 'FLOAT32'}"
    if dates == 1:
        script = declared_script(bands, count, "return [s.B02, s.B03, s.B04, s.CLM];")
    else:
        body = "let b = 0, g = 0, r = 0, c = 0; for (const e of s) { b += e.B02; g += e.B03; r += e.B04; c += e.CLM; }"
        body += " return [b / s.length, g / s.length, r / s.length, c / s.length];"
        script = declared_script(f'{bands}, mosaicking: "ORBIT"', count, body)
    last = f"2017-{1 + (dates - 1) // 28:02}-{1 + (dates - 1) % 28:02}"
    period = {"from": "2017-01-01T00:00:00Z", "to": f"{last}T23:59:59Z"}
    data = {"type": "sentinel-2-l1c", "dataFilter": {"timeRange": period}}
    bounds = {"bbox": list(BOX), "properties": {"crs": "http://www.opengis.net/def/crs/EPSG/0/32633"}}
    output = {"width": side, "height": side, "responses": [{"format": {"type": "image/tiff"}}]}
    return {"input": {"bounds": bounds, "data": [data]}, "evalscript": script, "output": output}


@contextmanager
def watching(server: Server) -> Iterator[list[int]]:
    """Memory of the service, looked at all the time."""
    ended, sizes = threading.Event(), [sum(server.resident_bytes())]

    def look() -> None:
        while not ended.wait(_LOOK_S):
            sizes.append(sum(server.resident_bytes()))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield sizes
    finally:
        ended.set()
        thread.join()


def measured(server: Server, token: str, *, side: int, dates: int, clients: int, repeats: int) -> Row:
    """Ask, several clients at a time, each as often."""
    document, headers = asked(side, dates), {"Authorization": f"Bearer {token}"}

    def ask(_: int) -> tuple[float, int, int]:
        begun = time.perf_counter()
        while True:
            answer = requests.post(f"{server.url}{PROCESS}", json=document, headers=headers, timeout=900)
            if answer.status_code != 429:
                return time.perf_counter() - begun, answer.status_code, len(answer.content)
            time.sleep(int(answer.headers["Retry-After"]) / 1000)

    with watching(server) as sizes, ThreadPoolExecutor(clients) as pool:
        seconds, statuses, sent = zip(*pool.map(ask, range(clients * repeats)), strict=True)
    return Row(side, dates, clients, max(statuses), seconds, sent[0], max(sizes))


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table; 1 where memory has grown beyond its bound, or an answer was another than it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3, help="requests of each client (3)")
    parser.add_argument("--sides", type=int, nargs="*", default=SIDES, help="pixels")
    parser.add_argument("--dates", type=int, nargs="*", default=DATES, help="acquisitions")
    parser.add_argument("--clients", type=int, nargs="*", default=CLIENTS, help="at a time")
    parser.add_argument("--folder", type=Path, help="where products and logs are kept; else they are made anew")
    options = parser.parse_args(arguments)
    sizes = [(side, 1, 1) for side in options.sides]
    sizes += [(FEW, dates, 1) for dates in options.dates]
    sizes += [(SIDE, 1, clients) for clients in options.clients]
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        catalogue = build_days(folder, max(options.dates))
        with serving(folder / "size", catalogue, memory_mb=MEMORY_MB) as server:
            token, before = server.token(), sum(server.resident_bytes())
            print("| pixels a side | dates | clients | status | requests | p50 s | longest s | answer MB | memory MB |")
            print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
            rows = []
            for side, dates, clients in [*sizes, (max(options.sides), max(options.dates), 1)]:
                rows.append(measured(server, token, side=side, dates=dates, clients=clients, repeats=options.repeats))
                print(rows[-1].text(), flush=True)
    bound = before + MEMORY_MB * 2**20 + ReadingLimits().kept_bytes
    most = max(row.most for row in rows)
    print(f"\nmemory: {before / 1e6:,.0f} MB at the start, {most / 1e6:,.0f} at most; bound {bound / 1e6:,.0f}")
    wrong = [row for row in rows if row.status != (413 if row is rows[-1] else 200)]
    return 1 if wrong or most > bound else 0


if __name__ == "__main__":
    raise SystemExit(main())
