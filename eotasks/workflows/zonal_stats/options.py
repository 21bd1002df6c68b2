"""Options of `eotasks zonal-stats` as texts, and what they mean."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from eotasks.errors import ConfigurationError

DEFAULT_OUT = "results/zonal-stats"
FORMS = ("long", "wide")
FORMATS = ("geoparquet", "csv")
SHOWN = 24
"""Fields on the page of pictures, and so those that there can be pictures of."""

EXECUTORS = ("processes", "threads", "serial", "ray")

_NAMED = 4


def add_demo(parser: argparse.ArgumentParser) -> None:
    """Adds ``--demo``."""
    parser.add_argument(
        "--demo", action="store_true", help="without FIELDS: meadows and fields of the embedded scene, simulated year"
    )


def numbers_of(text: str | None) -> list[float]:
    """Percentiles of ``5,95``.

    :raises ConfigurationError: when they are no numbers.
    """
    try:
        return [] if not text else [float(each) for each in text.split(",")]
    except ValueError as error:
        raise ConfigurationError(f"--percentiles {text!r}: give numbers from 0 to 100, such as 5,95.") from error


def words_of(names: Sequence[str]) -> str:
    """Some names, for a line."""
    return ", ".join(names[:_NAMED]) + ", …" * (len(names) > _NAMED)
