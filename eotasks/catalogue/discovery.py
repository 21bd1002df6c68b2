"""Finding products below a folder or a prefix of a bucket, by the names of their files.

Nothing of products is read. Of a file on disk whose name says nothing, the first bytes are: zips are often saved by the
number of their product.
"""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from eotasks.catalogue.fields import CLOUD_ASSETS
from eotasks.errors import ConfigurationError, EOTasksError, ImageryError
from eotasks.imagery.files.zip import ZipFiles, is_zip
from eotasks.imagery.products.acquisition import SIDECAR_NAME
from eotasks.imagery.products.parts import PRODUCT_METADATA, TILE_METADATA
from eotasks.imagery.products.roots import parents, product_roots
from eotasks.limits import LISTED_OBJECTS
from eotasks.storage.location import absolute, is_s3, is_web, plain_scheme

_MASK = re.compile(rf"^(?P<name>.+)_(?P<kind>{'|'.join(CLOUD_ASSETS)})\.tif$")
_SINGLE_FILES = (".zip", ".json", ".geojson")
_NO_PRODUCTS = (
    ".tif", ".tiff", ".jp2", ".png", ".jpg", ".json", ".geojson", ".xml", ".parquet", ".csv", ".txt", ".md", ".log",
    ".html", ".gml", ".npy", ".npz", ".docx", ".xlsx", ".pptx", ".odt", ".ods", ".jar", ".whl", ".kmz",
)  # fmt: skip
"""Endings of files that are not looked at; of those there are many, some of them zips of other things."""


@dataclass(frozen=True)
class Found:
    """What lies below a place."""

    products: tuple[str, ...] = ()
    """Locations of products, sorted."""

    masks: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Files of `eotasks cloud-mask`: by the product's name, then by "CLP", "CLM" and "SHADOW"."""

    def masks_of(self, name: str) -> Mapping[str, str]:
        """Files of a product's CLP, CLM and SHADOW, as far as they are there; none without CLM, which the command
        always writes, and after CLP.
        """
        files = self.masks.get(name, {})
        return files if "CLM" in files else {}


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
    products = product_roots(names)
    if not is_s3(text):
        products = sorted([*products, *_unnamed_zips(Path(text), names, products)])
    return Found(tuple(_join(root, each) for each in products), _masks(names, root))


def several_products(locations: Sequence[Any]) -> list[Any]:
    """Locations, with the products below in the place of those that are folders of products.

    What is a product itself, or nothing, stays as it is: whoever opens it says so.

    :param locations: Whatever `open_scene` reads, folders of it, and prefixes of buckets.
    """
    return [product for location in locations for product in _below(location)]


def _below(location: Any) -> Sequence[Any]:
    if not isinstance(location, str | os.PathLike):
        return [location]
    text = os.fspath(location)
    if is_web(text) or text.lower().rstrip("/").endswith((".safe", *_SINGLE_FILES)):
        return [location]
    try:
        if not is_s3(text) and (not Path(text).is_dir() or _is_product(Path(text))):
            return [location]
        return find_products(text).products or [location]
    except EOTasksError:
        return [location]


def _is_product(folder: Path) -> bool:
    marks = (*PRODUCT_METADATA, TILE_METADATA, SIDECAR_NAME, "GRANULE")
    return any((folder / mark).exists() for mark in marks)


def _unnamed_zips(folder: Path, names: Sequence[str], roots: Sequence[str]) -> list[str]:
    """Zips of products among files outside of products, by what is in them; their names say nothing."""
    known, found = set(roots), []
    for name in names:
        if name in known or name.lower().endswith(_NO_PRODUCTS) or any(parent in known for parent in parents(name)):
            continue
        path = folder / name
        if not is_zip(path):
            continue
        try:
            if product_roots(ZipFiles(str(path)).names()):
                found.append(name)
        except (ImageryError, zipfile.BadZipFile):
            continue
    return found


def merge_masks(several: Iterable[Found]) -> dict[str, Mapping[str, str]]:
    """Masks of several places, which complete each other; of one kind of a product that of the last."""
    merged: dict[str, Mapping[str, str]] = {}
    for found in several:
        for name, files in found.masks.items():
            merged[name] = {**merged.get(name, {}), **files}
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

    found = [] if location.endswith(_SINGLE_FILES) else sorted(Place(location).files())
    bucket, key = split_location(location)
    folder, _, name = key.rpartition("/")
    if not found and name and Place(f"s3://{bucket}/{folder}").exists(name):
        return [""]  # a file, whatever its name
    return found


def _masks(names: list[str], root: str) -> dict[str, Mapping[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for name in names:
        match = _MASK.match(PurePosixPath(name).name)
        if match:
            found.setdefault(match["name"], {})[match["kind"]] = _join(root, name)
    return dict(found)


def _join(folder: str, name: str) -> str:
    if not name:
        return folder
    return name if folder in ("", ".") else f"{folder.rstrip('/')}/{name}"
