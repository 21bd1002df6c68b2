"""Products of full size that share their pixels on disk: one tile, under other names and of other days."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

from tests.builders.tile import NAME

_FIRST = dt.datetime(2017, 2, 16, 10, 21, 1)  # noqa: DTZ001 - as the tile's metadata says it
_COMPACT, _LONG = "%Y%m%dT%H%M%S", "%Y-%m-%dT%H:%M:%S"
_TEXTS = (".xml", ".safe")


def product_name(number: int) -> str:
    """The name of a product of :func:`add_products`."""
    return NAME.replace(_FIRST.strftime(_COMPACT), _taken(number).strftime(_COMPACT))


def add_products(tile: Path, folder: Path, count: int) -> list[Path]:
    """Products that differ in what they say of themselves, five days from one to the next. Images are hard links where
    that can be: forty tiles take no more of the disk than one.

    :param tile: Of `tests.builders.tile.build_tile`.
    :param folder: Where they go.
    """
    return [_add(tile, folder / f"{product_name(number)}.SAFE", _taken(number)) for number in range(count)]


def _taken(number: int) -> dt.datetime:
    return _FIRST + dt.timedelta(days=5 * number)


def _add(tile: Path, product: Path, taken: dt.datetime) -> Path:
    def dated(text: str) -> str:
        for form in (_COMPACT, _LONG):
            text = text.replace(_FIRST.strftime(form), taken.strftime(form))
        return text

    for file in sorted(path for path in tile.rglob("*") if path.is_file()):
        target = product / dated(str(file.relative_to(tile)))
        target.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix in _TEXTS:
            target.write_text(dated(file.read_text(encoding="utf-8")), encoding="utf-8")
            continue
        try:
            target.hardlink_to(file)
        except OSError:  # another file system
            shutil.copyfile(file, target)
    return product
