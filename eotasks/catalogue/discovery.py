"""Finding products below a folder or a prefix of a bucket, by the names of their files; nothing of them is read."""

from __future__ import annotations

import os
import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice, takewhile
from pathlib import Path, PurePosixPath

from eotasks.catalogue.fields import CLOUD_ASSETS
from eotasks.catalogue.items import absolute
from eotasks.errors import ConfigurationError
from eotasks.imagery.products.acquisition import SIDECAR_NAME
from eotasks.imagery.products.parts import PRODUCT_METADATA, TILE_METADATA
from eotasks.limits import LISTED_OBJECTS
from eotasks.storage.location import is_s3, is_web, plain_scheme

_MASK = re.compile(rf"^(?P<name>.+)_(?P<kind>{'|'.join(CLOUD_ASSETS)})\.tif$")
_TILE_BAND = re.compile(r"(?:^|_|/)B02\.jp2$")
_SINGLE_FILES = (".zip", ".json", ".geojson")


@dataclass(frozen=True)
class Found:
    """What lies below a place."""

    products: tuple[str, ...] = ()
    """Locations of products, sorted."""

    masks: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Files of `eotasks cloud-mask`: by the product's name, then by "CLP" and "CLM"."""

    def masks_of(self, name: str) -> Mapping[str, str]:
        """Files of a product's CLP and CLM; only both together count, as the command writes them."""
        files = self.masks.get(name, {})
        return files if all(kind in files for kind in CLOUD_ASSETS) else {}


def find_products(location: str | os.PathLike[str]) -> Found:
    """Products below a location, or the product that it is.

    :param location: A folder or ``s3://bucket/prefix`` to look through, or one product: `.SAFE` folder, zip, tile of an
        AWS bucket, folder with a sidecar, STAC item (``.json``), or an ``https://`` address of one.
    :raises ConfigurationError: when nothing is there.
    :raises StorageError: when a bucket cannot be read.
    """
    text = plain_scheme(os.fspath(location))
    if is_web(text):
        return Found((text,))
    names = _names(text)
    if not names:
        raise ConfigurationError(
            f"{text}: nothing is there. Give a folder of products, a product, or s3://bucket/prefix."
        )
    if names == [""] or text.rstrip("/").endswith(".SAFE"):
        return Found((absolute(text),))
    root = text if is_s3(text) else absolute(text)
    return Found(tuple(_join(root, each) for each in _products(names)), _masks(names, root))


def merge_masks(several: Iterable[Found]) -> dict[str, Mapping[str, str]]:
    """Masks of several places; of one product those of the last."""
    merged: dict[str, Mapping[str, str]] = {}
    for found in several:
        merged.update(found.masks)
    return merged


def _names(location: str) -> list[str]:
    """Files below a location, with "/"; [""] when it is a file itself."""
    if not is_s3(location):
        path = Path(location)
        if path.is_file():
            return [""]
        files = islice((file for file in path.rglob("*") if file.is_file()), LISTED_OBJECTS.value + 1)
        found = sorted(file.relative_to(path).as_posix() for file in files)
        if len(found) > LISTED_OBJECTS.value:
            raise ConfigurationError(f"{location}: {LISTED_OBJECTS.excess()}. Give a folder with less below it.")
        return found
    from eotasks.storage.place import Place
    from eotasks.storage.s3 import split_location

    if location.endswith(_SINGLE_FILES):
        bucket, key = split_location(location)
        folder, _, name = key.rpartition("/")
        return [""] if Place(f"s3://{bucket}/{folder}").exists(name) else []
    return sorted(Place(location).files())


def _products(names: list[str]) -> list[str]:
    """Products among names of files: the topmost folder that is one counts, not what lies inside of it."""
    roots: set[str] = set()
    for name in names:
        folder, _, last = name.rpartition("/")
        if last in PRODUCT_METADATA or last == SIDECAR_NAME or (last == TILE_METADATA and _is_tile(folder, names)):
            roots.add(folder)
        elif last.lower().endswith(".zip"):
            roots.add(name)
        elif last.endswith(".SAFE") or folder.endswith(".SAFE"):
            roots.add(folder)  # a product whose metadata is missing: it is told, not passed over
    return sorted(root for root in roots if not any(parent in roots for parent in _parents(root)))


def _is_tile(folder: str, names: list[str]) -> bool:
    """Whether a band is below a folder, among sorted names."""
    start = f"{folder}/" if folder else ""
    inside = takewhile(lambda name: name.startswith(start), islice(names, bisect_left(names, start), None))
    return any(_TILE_BAND.search(name) for name in inside)


def _masks(names: list[str], root: str) -> dict[str, Mapping[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for name in names:
        match = _MASK.match(PurePosixPath(name).name)
        if match:
            found.setdefault(match["name"], {})[match["kind"]] = _join(root, name)
    return dict(found)


def _parents(path: str) -> list[str]:
    """Folders above a path; "" is the place itself."""
    if not path:
        return []
    return ["", *(str(parent) for parent in PurePosixPath(path).parents if str(parent) != ".")]


def _join(folder: str, name: str) -> str:
    if not name:
        return folder
    return name if folder in ("", ".") else f"{folder.rstrip('/')}/{name}"
