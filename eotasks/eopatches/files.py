"""The files of one EOPatch folder: written, checked against what is known of them, and read.

`eotasks.eopatches.save` decides which folder; here it does not matter whether it is a generation or a plain EOPatch
folder.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import tempfile
import warnings
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from eolearn.core import EOPatch, FeatureType
from eolearn.core.exceptions import TemporalDimensionWarning
from fs.errors import FSError
from fs.osfs import OSFS

from eotasks.eopatches.marker import FileFacts
from eotasks.errors import FeatureError, StorageError
from eotasks.storage.place import Place

Feature = tuple[FeatureType, str]

TRANSFERS = 4
"""Files that go to or come from S3 at the same time: a patch has a handful, and most of their time is waiting."""

_FEATURE_FOLDERS = frozenset(feature_type.value for feature_type in FeatureType)
_TIMESTAMPS = "timestamps.json"
_DAMAGE = (OSError, EOFError, ValueError, zlib.error, FSError)
"""What reading a damaged file raises."""


def feature_of(path: str) -> tuple[str, str]:
    """(type, name) of the feature in a file, by its path inside an EOPatch folder."""
    folder, _, file = path.rpartition("/")
    return folder, file.partition(".")[0]


def looks_plain(names: Iterable[str]) -> bool:
    """Whether a folder with these names in it is a plain EOPatch folder."""
    return any(name in _FEATURE_FOLDERS or name.partition(".")[0] in ("bbox", "timestamps") for name in names)


def write_folder(eopatch: EOPatch, folder: Path, features: list[Feature]) -> dict[str, FileFacts]:
    """Writes a plain EOPatch folder on this machine; the facts of its files by relative path."""
    # A view of the folder, no OSFS: there eo-learn would go through a second, temporary folder, which breaks on a $ in
    # the path. A generation needs no such care, it is nothing before its marker.
    with OSFS(str(folder), create=True, expand_vars=False) as root, root.opendir("/") as filesystem:
        eopatch.save("/", features=features, filesystem=filesystem, save_timestamps=eopatch.timestamps is not None)
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): {"size": path.stat().st_size, "sha256": _sha256(path)} for path in paths
    }


def write_eopatch(eopatch: EOPatch, place: Place, base: str, features: list[Feature]) -> dict[str, FileFacts]:
    """Writes an EOPatch folder into a place.

    :param base: The folder inside the place.
    :raises StorageError: when a file cannot be uploaded.
    """
    if place.is_local:
        return write_folder(eopatch, place.local_path(base), features)
    with tempfile.TemporaryDirectory(prefix="eotasks-") as temporary:
        files = write_folder(eopatch, Path(temporary), features)
        _at_once(lambda path: place.upload(f"{base}/{path}", Path(temporary, path)), files)
    return files


def fetch_eopatch(
    place: Place, base: str, facts: Mapping[str, FileFacts], features: Sequence[Feature] | None, where: str
) -> EOPatch:
    """Checks the files of the wanted features and reads them; files from afar are copied here first.

    :param base: The folder inside the place.
    :param facts: What is known of its files.
    :param where: Names the patch in messages.
    :raises StorageError: when a file is missing or damaged.
    :raises FeatureError: when a wanted feature is not there.
    """
    wanted = _files_of(facts, features, where)
    with tempfile.TemporaryDirectory(prefix="eotasks-") as temporary:
        folder = place.local_path(base) if place.is_local else Path(temporary)
        if not place.is_local:
            _at_once(lambda path: place.download(f"{base}/{path}", folder / path), wanted)
        for path, expected in wanted.items():
            _check(folder / path, expected, f"{where}: file {path}")
        return _read(folder, features, wanted, where)


def fetch_plain_eopatch(place: Place, base: str, features: Sequence[Feature] | None, where: str) -> EOPatch:
    """Reads a plain EOPatch folder, of whose files nothing is known, and refuses what shows that it is not whole.

    :raises StorageError: when a file cannot be read or is missing, or features and timestamps do not agree.
    :raises FeatureError: when a wanted feature is not there.
    """
    cure = "Its writer did not come to the end: delete it and run its step again."
    facts: dict[str, FileFacts] = {}
    for name in place.names(base):
        if name in _FEATURE_FOLDERS:
            files = place.names(f"{base}/{name}")
            if not files:
                raise StorageError(f"{where} has nothing in its folder {name}. {cure}")
            facts |= {f"{name}/{file}": {} for file in files}
        else:
            facts[name] = {}
    if not any(name.partition(".")[0] == "bbox" for name in facts):
        raise StorageError(f"{where} has no file bbox.geojson. {cure}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TemporalDimensionWarning)  # an error follows, which says more
        eopatch = fetch_eopatch(place, base, facts, features, where)
    frames = len(eopatch.timestamps or ())
    for feature_type, name in eopatch.get_features():
        if not (feature_type.is_temporal() and feature_type.is_array()):
            continue
        there = np.shape(eopatch[feature_type, name])[0]
        if there != frames:
            raise StorageError(
                f"{where}: feature {feature_type.value}/{name} has {there} frames, the timestamps are {frames}. {cure}"
            )
    return eopatch


def _read(folder: Path, features: Sequence[Feature] | None, wanted: Iterable[str], where: str) -> EOPatch:
    chosen: Any = ... if features is None else list(features)
    try:
        with OSFS(str(folder), expand_vars=False) as filesystem:
            return EOPatch.load("/", features=chosen, filesystem=filesystem, load_timestamps=_TIMESTAMPS in wanted)
    except _DAMAGE as error:
        raise StorageError(f"{where} cannot be read ({error}): delete it and run its step again.") from error


def _is_damaged(file: Path) -> bool:
    """Whether a file does not open to its end, as far as its ending tells how; of folders (zarr) nothing is known."""
    if file.is_dir():
        return False
    try:
        opener = gzip.open if file.suffix == ".gz" else open
        with opener(file, "rb") as stream:
            inner = file.with_suffix("").suffix if file.suffix == ".gz" else file.suffix
            if inner == ".npy":
                np.lib.format.read_array(stream, allow_pickle=False)
            elif inner in (".json", ".geojson"):
                json.load(stream)
            while stream.read(1 << 20):  # the checksum of gzip is at its end, where nobody else looks
                pass
    except _DAMAGE:
        return True
    return False


def _at_once(transfer: Callable[[str], None], paths: Iterable[str]) -> None:
    """A few transfers at a time; the first that fails is raised when those under way are over."""
    with ThreadPoolExecutor(TRANSFERS) as pool:
        waiting = [pool.submit(transfer, path) for path in paths]
        try:
            for future in waiting:
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _files_of(facts: Mapping[str, FileFacts], features: Sequence[Feature] | None, where: str) -> dict[str, FileFacts]:
    """The files of the wanted features; bbox and timestamps are always among them."""
    if features is None:
        return dict(facts)
    by_feature = {feature_of(path): path for path in facts}
    wanted = {path: facts[path] for path in facts if "/" not in path}
    for feature_type, name in features:
        path = by_feature.get((feature_type.value, name))
        if path is None:
            there = ", ".join(sorted("/".join(feature) for feature in by_feature if all(feature))) or "none"
            raise FeatureError(
                f"{where} has no feature {feature_type.value}/{name}, there are: {there}."
                " Run the step that makes it again."
            )
        wanted[path] = facts[path]
    return wanted


def _check(file: Path, expected: FileFacts, where: str) -> None:
    cure = "The patch is damaged: delete it and run its step again."
    if not file.exists():
        raise StorageError(f"{where} is missing. {cure}")
    if not expected:
        if _is_damaged(file):
            raise StorageError(f"{where} cannot be read to its end. {cure}")
        return
    size = file.stat().st_size
    if size != expected["size"]:
        raise StorageError(f"{where} has {size} bytes instead of {expected['size']}. {cure}")
    if _sha256(file) != expected["sha256"]:
        raise StorageError(f"{where} has another sha256 than when it was saved. {cure}")


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
