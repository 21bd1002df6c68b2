"""Where products lie among the names of files: of a folder, a prefix of a bucket, or an archive."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from itertools import islice, takewhile
from pathlib import PurePosixPath

from eotasks.imagery.products.acquisition import SIDECAR_NAME
from eotasks.imagery.products.parts import PRODUCT_METADATA, TILE_METADATA

_TILE_BAND = re.compile(r"(?:^|_|/)B02\.jp2$")


def product_roots(names: Sequence[str]) -> list[str]:
    """Products among sorted names of files: the topmost folder that is one counts, not what lies inside of it.

    :return: Folders and zips, sorted; "" is the place itself.
    """
    roots: set[str] = set()
    for name in names:
        folder, _, last = name.rpartition("/")
        if last in PRODUCT_METADATA or last == SIDECAR_NAME or (last == TILE_METADATA and _is_tile(folder, names)):
            roots.add(folder)
        elif last.lower().endswith(".zip"):
            roots.add(name)
        elif folder.endswith(".SAFE"):
            roots.add(folder)  # a product whose metadata is missing: it is told, not passed over
        elif last.endswith(".SAFE"):
            roots.add(name)  # an archive under the name of its folder
    return sorted(root for root in roots if not any(parent in roots for parent in parents(root)))


def parents(path: str) -> list[str]:
    """Folders above a path; "" is the place itself."""
    if not path:
        return []
    return ["", *(str(parent) for parent in PurePosixPath(path).parents if str(parent) != ".")]


def _is_tile(folder: str, names: Sequence[str]) -> bool:
    """Whether a band is below a folder, among sorted names."""
    start = f"{folder}/" if folder else ""
    inside = takewhile(lambda name: name.startswith(start), islice(names, bisect_left(names, start), None))
    return any(_TILE_BAND.search(name) for name in inside)
