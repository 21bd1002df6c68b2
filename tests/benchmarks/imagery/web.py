"""What `eotasks cloud-mask` takes of a product on a web server: bytes and requests, and whether its masks are those of
the product on disk.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio

from tests.servers.counting import counting_server

WANTED_SHARE = 0.06
"""Of the bytes of a product, for masks at 160 m."""


@dataclass(frozen=True)
class WebRun:
    """One product, read from a web server."""

    taken: int
    """Bytes."""

    whole: int
    """Bytes of the product."""

    requests: int
    most_at_once: int
    seconds: float
    is_equal: bool
    """Whether CLP is that of the product on disk."""

    @property
    def share(self) -> float:
        """Of the product that was taken."""
        return self.taken / self.whole

    def told(self) -> str:
        """For the report."""
        return (
            f"From a web server: {self.taken / 1e6:.1f} MB of {self.whole / 1e6:.0f} ({self.share:.1%}) by"
            f" {self.requests} requests, {self.most_at_once} at once at most, in {self.seconds:.1f} s; CLP"
            f" {'is' if self.is_equal else 'IS NOT'} that from disk."
        )

    def missed(self) -> list[str]:
        """Targets that it misses."""
        missed = [f"{self.share:.1%} of the bytes, wanted {WANTED_SHARE:.0%}"] if self.share > WANTED_SHARE else []
        return missed if self.is_equal else [*missed, "CLP from the web is another one"]


def measure_web(product: Path, out: Path, disk: Path, run: Callable[[str, Path], float]) -> WebRun:
    """The command on the product behind a server of this process.

    :param out: Where its masks go.
    :param disk: Where those of the product on disk are.
    :param run: Runs the command on an address; gives seconds.
    """
    whole = sum(path.stat().st_size for path in product.rglob("*") if path.is_file())
    with counting_server(product.parent) as counts:
        seconds = run(f"{counts.url}/{product.name}", out)
    found, expected = (_clp(folder) for folder in (out, disk))
    gets = [size for _, size in counts.requests if size]
    is_equal = np.array_equal(found, expected)
    return WebRun(sum(gets), whole, len(gets), counts.most_at_once, seconds, is_equal)


def _clp(folder: Path) -> np.ndarray:
    with rasterio.open(next(folder.glob("*/*_CLP.tif"))) as dataset:
        return np.asarray(dataset.read(1))
