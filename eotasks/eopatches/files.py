"""The files of one EOPatch folder: written, checked and read. It may be a saved EOPatch or a plain one.

Arrays are read here, not by eo-learn, which unpickles what is no array and does not see a file that is cut off behind
its last value; the rest, which is small, eo-learn reads.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import hashlib
import io
import operator
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from eolearn.core import EOPatch, FeatureType
from fs.osfs import OSFS

from eotasks.documents import check_signs_of, parse_json, parse_json_object
from eotasks.durable import flush_tree, make_folders
from eotasks.eopatches.arrays import check_zarr, count_bytes, read_array, read_header
from eotasks.eopatches.formats import is_json, opened, stored, with_whole_times
from eotasks.eopatches.marker import MARKER, FileFacts, Marker
from eotasks.eopatches.packing import write_packed_array
from eotasks.eopatches.parts import TIMES, TYPES, entry_of, has_parts, is_always_read
from eotasks.eopatches.pickles import refuse_pickles
from eotasks.errors import EOTasksError, FeatureError, MissingDependencyError, StorageError, reason_of
from eotasks.features import Feature, describe
from eotasks.limits import ARRAY_BYTES, RECORD_BYTES, VECTOR_BYTES
from eotasks.models.threads import resolve_threads
from eotasks.network.transfers import at_once
from eotasks.reading import check_regular, open_regular
from eotasks.storage import s3
from eotasks.storage.folder import leads_out
from eotasks.storage.place import Place
from eotasks.storage.temporary import temporary_folder
from eotasks.text import NAME_BYTES
from eotasks.times import naive_utc

HEAD_BYTES = 1 << 16
"""What is read of an array on S3 for its shape: far more than the header of an npy file, packed or not."""

_ARRAYS = (".npy", ".npy.gz")
_PATH_BYTES = 1024
"""Of a path in an EOPatch, as keys of S3 have them at most."""


@dataclass(frozen=True, eq=False)
class EOPatchFolder:
    """A folder with the files of an EOPatch. Nothing is read before it is asked for.

    :raises StorageError: when a file's name leads out of the folder.
    """

    place: Place
    """The folder."""

    where: str
    """Names the EOPatch in messages."""

    files: Mapping[str, FileFacts]
    """Facts of its files by path."""

    empty: frozenset[FeatureType] = frozenset()
    """Types of which there is a folder with nothing in it."""

    marker: Marker | None = None
    """Of a saved EOPatch."""

    is_listed: bool = True
    """Whether what other programs have added is among its files."""

    sizes: Mapping[str, int] | None = None
    """Bytes of what lies in the folder, where a listing has told already."""

    changed: list[str] = field(default_factory=list)
    """Files of a saved EOPatch that another program has written since, as far as they have been looked at."""

    unguarded: list[str] = field(default_factory=list)
    """Files that have been read at another moment than their checksum, or without: a save may have come between."""

    def __post_init__(self) -> None:
        for path in self.files:
            parts = path.split("/")
            too_long = len(path) > _PATH_BYTES or any(len(os.fsencode(part)) > NAME_BYTES for part in parts)
            if too_long or any(part in ("", ".", "..") for part in parts):
                raise StorageError(f"{self.place}/{path[:200]}: no name of a file in an EOPatch. Remove it.")

    @property
    def is_plain(self) -> bool:
        """Whether nobody knows what files it should have, nor what is in them."""
        return self.marker is None

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """Its features, in eo-learn's order of types."""
        order = list(TYPES.values())
        return tuple(sorted(self._entries, key=lambda feature: (order.index(feature[0]), feature[1])))

    def is_saved(self, feature: Feature) -> bool:
        """Whether eotasks has saved it, and so vouches for it."""
        feature_type, name = feature
        entry = self._entries.get((feature_type, name))
        return entry is not None and bool(self.files.get(entry))

    @property
    def is_verified(self) -> bool:
        """Whether all that has been read agrees with the checksums of one save, and no other can have come between."""
        return self.marker is not None and not self.changed and not self.unguarded and all(self.files.values())

    def read(self, features: Sequence[Feature] | None, *, optional: Collection[Feature] = ()) -> EOPatch:
        """Checks and reads the files of features, of bounding box and timestamps; files from afar are copied first.

        :param features: None reads all of them.
        :param optional: Features that are read too when they are there.
        :raises StorageError: when a file is missing or damaged. Of files that eotasks has not saved also when arrays
            and timestamps do not agree, of a plain folder when a folder of the wanted types is empty, or the bounding
            box is missing.
        :raises FeatureError: when a wanted feature is not there.
        :raises MissingDependencyError: when a feature is a zarr array and zarr is not installed.
        """
        if features is not None:  # also as lists, which JSON makes of pairs
            features = [(feature_type, name) for feature_type, name in features]
        wanted = self._wanted(features, [(feature_type, name) for feature_type, name in optional])
        paths = self.paths_of(wanted)
        if self.is_plain:
            refuse_pickles(paths, self.where)
            self._check_is_finished({feature_type for feature_type, _ in features} if features is not None else None)
        if self.place.is_local:
            self._note_unguarded(paths)
        with self._on_this_machine(paths) as folder:
            for path in paths:
                self._check(folder, path)
            eopatch = self._read_from(folder, wanted, old_meta=features is None)
        if self.changed or not all(self.files[path] for path in paths):
            check_frames(eopatch, self.where)
        return eopatch

    def paths_of(self, features: Iterable[Feature]) -> list[str]:
        """The files of features that are there, and those of bounding box and timestamps."""
        found = [path for path in self.files if is_always_read(path)]
        return found + [path for feature in features if feature in self._entries for path in self._paths(feature)]

    def shape(self, feature: Feature) -> tuple[int, ...] | None:
        """The shape of an array by its header alone; None when it is in a format without one.

        :raises StorageError: when it cannot be read.
        """
        path = self._entries[feature]
        self._note_unguarded([path])
        with self._damage(f"file {path}"):
            if path.endswith(".zarr"):
                facts = parse_json_object(self.place.read_bytes(f"{path}/.zarray"), ValueError)
                return tuple(map(operator.index, facts["shape"]))
            if not path.endswith(_ARRAYS):
                return None
            with self._head(path) as head, gzip.open(head) if path.endswith(".gz") else head as stream:
                return read_header(stream).shape

    def wrong_file(self) -> str | None:
        """What is wrong with the first file that is not there in its full size; None when all are. Reads no contents.

        Of a plain folder nobody knows what should be there.
        """
        return next((fault for _, fault in self._wrong_files()), None)

    def check_sizes(self) -> None:
        """As `wrong_file`; a file of another size that another program has written, whole, is noted in `changed`.

        :raises StorageError: when a file is missing or damaged.
        """
        for path, fault in self._wrong_files():
            if not self._is_open:
                raise self.damaged(fault)
            with self._on_this_machine([path]) as folder:
                self._check(folder, path)

    def damaged(self, what: str) -> StorageError:
        """The error to raise for damage."""
        cure = "write it again" if self.is_plain else "delete it and run its step again"
        if self._is_open:
            cure += f" (or take what is there: delete {MARKER})"
        return StorageError(f"{self.where}: {what}. The patch is damaged: {cure}.")

    @property
    def _is_open(self) -> bool:
        """Whether it is a saved EOPatch whose files lie where other programs find and change them."""
        return self.marker is not None and self.marker.generation is None

    def _note_unguarded(self, paths: Iterable[str]) -> None:
        if self._is_open:  # a generation is never written to again
            self.unguarded.extend(paths)

    def _wrong_files(self) -> Iterator[tuple[str, str]]:
        expected = {path: facts for path, facts in self.files.items() if facts}
        there = self._sizes(expected) if expected else {}
        for path, facts in expected.items():
            fault = _wrong_size(path, facts, there.get(path))
            if fault is not None:
                yield path, fault

    def _sizes(self, paths: Iterable[str]) -> dict[str, int | None]:
        if self.sizes is not None:
            return dict(self.sizes)
        if self.place.is_local:  # not all there is below: a folder may hold more than an EOPatch
            return {path: self.place.size(path) for path in paths}
        return dict(self.place.files())

    @cached_property
    def _entries(self) -> dict[Feature, str]:
        """The file of each feature, or with zarr its folder, as eo-learn sees them."""
        return dict(entry for entry in map(entry_of, sorted(self.files)) if entry is not None)

    def _paths(self, feature: Feature) -> list[str]:
        entry = self._entries[feature]
        return [path for path in self.files if path == entry or path.startswith(f"{entry}/")]

    def _wanted(self, features: Sequence[Feature] | None, optional: Collection[Feature]) -> list[Feature]:
        if features is None:
            return list(self.features)
        missing = [describe(feature) for feature in features if feature not in self._entries]
        if missing:
            there = ", ".join(sorted(map(describe, self.features))) or "none"
            raise FeatureError(
                f"{self.where} has no feature {', '.join(missing)}, there are: {there}. Ask for one of these, or run"
                " the step that makes it again."
            )
        return list(dict.fromkeys([*features, *(feature for feature in optional if feature in self._entries)]))

    def _check_is_finished(self, types: Collection[FeatureType] | None) -> None:
        cure = "Its writer did not come to the end: write it again."
        for feature_type in sorted(self.empty, key=lambda each: each.value):
            if types is None or feature_type in types:
                raise StorageError(f"{self.where} has nothing in its folder {feature_type.value}. {cure}")
        if not has_parts(self.files, "bbox"):
            raise StorageError(f"{self.where} has no file bbox.geojson. {cure}")

    def _check(self, folder: Path, path: str) -> None:
        file, expected = folder / path, self.files[path]
        if not file.exists():
            raise self.damaged(f"file {path} is missing")
        self._check_readable(file, path)
        if not expected:
            if not path.endswith(_ARRAYS):  # arrays are checked by being read
                self._check_content(file, path)
            return
        with self._damage(f"file {path}"):  # it may be gone by now: another save has come
            fault = _wrong_size(path, expected, file.stat().st_size)
            if fault is None and sha256_of(file) != expected["sha256"]:
                fault = f"file {path} has another sha256 than when it was saved"
        if fault is None:
            return
        if not self._is_open:
            raise self.damaged(fault)
        try:
            self._check_content(file, path)  # what another program has written is whole by itself
        except StorageError as error:
            raise self.damaged(fault) from error
        self.changed.append(path)

    def _check_content(self, file: Path, path: str) -> None:
        with self._damage(f"file {path}"):
            if path.endswith(_ARRAYS):
                read_array(file)
            elif file.is_file():
                with opened(file) as stream:
                    if is_json(path):
                        parse_json(stream.read(RECORD_BYTES.value + 1), ValueError)
                    count_bytes(stream, VECTOR_BYTES)

    def _check_readable(self, file: Path, path: str) -> None:
        """Refuse what never ends, and what takes more memory than such a file does: the rest is read by eo-learn."""
        limit = ARRAY_BYTES if path.endswith(_ARRAYS) else RECORD_BYTES if is_json(path) else VECTOR_BYTES
        with self._damage(f"file {path}"):
            if file.is_dir():  # as a zarr array is
                for each in file.rglob("*"):
                    if leads_out(each, file):
                        raise self.damaged(f"{path} has a link that leads out of it")
                    if not each.is_dir():
                        check_regular(each, ARRAY_BYTES)
                check_zarr(file / ".zarray")
                return
            check_regular(file, limit)
            if path.endswith("/.zarray"):
                check_zarr(file)
            if path.endswith(".gz") and limit is not ARRAY_BYTES:
                with gzip.open(file) as stream:
                    count_bytes(stream, limit)
            if is_json(path):  # which eo-learn parses
                with opened(file) as stream:
                    check_signs_of(stream)

    def _read_from(self, folder: Path, wanted: Sequence[Feature], *, old_meta: bool) -> EOPatch:
        # Of an eo-learn that had one file for all of it.
        old: list[Any] = [(FeatureType.META_INFO, ...)] if old_meta and has_parts(self.files, "meta_info") else []
        has_times = has_parts(self.files, *TIMES)
        with self._damage("its folder"), OSFS(str(folder), expand_vars=False) as filesystem:
            with self._damage("bounding box or timestamps"):
                eopatch = EOPatch.load(
                    "/", features=old, lazy_loading=True, filesystem=filesystem, load_timestamps=has_times
                )
                for time in eopatch.timestamps or ():
                    naive_utc(time)
            for feature in wanted:
                path = self._entries[feature]
                with self._damage(f"file {path}"):
                    # By way of eo-learn's readers, which do not check types and dimensions as an assignment does, since
                    # stored EOPatches may break them. Each by its path: asked for a feature, eo-learn takes the first
                    # file of that name, be it an array of pickles beside the one that is meant.
                    eopatch[feature] = stored(feature[0], folder, path, filesystem)
                    eopatch[feature]
        return eopatch

    @contextlib.contextmanager
    def _on_this_machine(self, paths: Iterable[str]) -> Iterator[Path]:
        if self.place.is_local:
            for path in paths:
                self._check_inside(path)
            yield self.place.local_path()
            return
        with temporary_folder() as temporary:
            at_once(lambda path: self.place.download(path, temporary / path), paths)
            yield temporary

    def _check_inside(self, path: str) -> None:
        if leads_out(self.place.local_path(path), self.place.local_path()):
            raise StorageError(
                f"{self.where}: {path} is a link that leads out of the EOPatch. It is not read: copy the file itself."
            )

    @contextlib.contextmanager
    def _head(self, path: str) -> Iterator[IO[bytes]]:
        """The file, or of one on S3 its first bytes."""
        if self.place.is_local:
            self._check_inside(path)
            with open_regular(self.place.local_path(path)) as stream:
                yield stream
            return
        yield io.BytesIO(s3.read_range(f"{self.place}/{path}", 0, HEAD_BYTES))

    @contextlib.contextmanager
    def _damage(self, what: str) -> Iterator[None]:
        """Turns what reading a damaged file raises into an error that names it."""
        try:
            yield
        except (EOTasksError, MemoryError):
            raise
        except ImportError as error:
            raise MissingDependencyError(f"{self.where}: {error}") from error
        # eo-learn, GDAL, numpy and zarr raise whatever they stumble over in what others wrote.
        except Exception as error:
            if isinstance(error, OSError) and error.errno == errno.EFBIG:
                raise StorageError(f"{self.where}: {what} has {error.strerror}. It is not read.") from error
            raise self.damaged(f"{what} cannot be read to its end ({reason_of(error)})") from error


def check_frames(eopatch: EOPatch, where: str) -> None:
    """Refuses arrays over time that have another number of frames than there are timestamps.

    :raises StorageError: naming the first of them.
    """
    frames = len(eopatch.timestamps or ())
    for feature in eopatch.get_features():
        if not (feature[0].is_temporal() and feature[0].is_array()):
            continue
        there = eopatch[feature].shape[:1]
        if there != (frames,):
            raise StorageError(
                f"{where}: feature {describe(feature)} has {there[0] if there else 'no'} frames, the timestamps are"
                f" {frames}. Its writer did not come to the end: write it again."
            )


def write_folder(eopatch: EOPatch, folder: Path, features: list[Feature]) -> dict[str, FileFacts]:
    """Writes a plain EOPatch folder on this machine; the facts of its files by relative path."""
    # A view of the folder, no OSFS: there eo-learn would go through a second, temporary folder, which breaks on a $ in
    # the path. A generation needs no such care, it is nothing before its marker.
    with OSFS(str(folder), create=True, expand_vars=False) as root, root.opendir("/") as filesystem:
        others = [feature for feature in features if not feature[0].is_array()]
        eopatch = _with_whole_times(eopatch, others)
        eopatch.save("/", features=others, filesystem=filesystem, save_timestamps=eopatch.timestamps is not None)
    _write_arrays(eopatch, folder, [feature for feature in features if feature[0].is_array()])
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): {"size": path.stat().st_size, "sha256": sha256_of(path)} for path in paths
    }


def _with_whole_times(eopatch: EOPatch, features: Sequence[Feature]) -> EOPatch:
    changed = {}
    for feature in features:
        if feature[0].is_vector():
            whole = with_whole_times(eopatch[feature])
            if whole is not eopatch[feature]:
                changed[feature] = whole
    if not changed:
        return eopatch
    copy = eopatch.copy()
    for feature, frame in changed.items():
        copy[feature] = frame
    return copy


def _write_arrays(eopatch: EOPatch, folder: Path, features: Sequence[Feature]) -> None:
    """Writes arrays as eo-learn does, but packed in a fifth of the time, and without the time of day."""
    for feature_type in {feature_type for feature_type, _ in features}:
        (folder / feature_type.value).mkdir(exist_ok=True)

    def write(feature: Feature) -> None:
        feature_type, name = feature
        write_packed_array(eopatch[feature], folder / feature_type.value / f"{name}.npy.gz")

    at_once(write, features, threads=resolve_threads())


def write_eopatch(eopatch: EOPatch, folder: Place, features: list[Feature]) -> dict[str, FileFacts]:
    """Writes an EOPatch folder into a place; the facts of its files by relative path.

    :raises StorageError: when a file cannot be uploaded.
    """
    if folder.is_local:
        holders = make_folders(folder.local_path())
        files = write_folder(eopatch, folder.local_path(), features)
        flush_tree(folder.local_path(), holders)  # the marker will name them: it may not outlive them
        return files
    with temporary_folder() as temporary:
        files = write_folder(eopatch, temporary, features)
        at_once(lambda path: folder.upload(path, temporary / path), files)
    return files


def _wrong_size(path: str, expected: FileFacts, size: int | None) -> str | None:
    if size is None:
        return f"file {path} is missing"
    return None if size == expected["size"] else f"file {path} has {size} bytes instead of {expected['size']}"


def sha256_of(file: Path) -> str:
    """Of a file's content."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
