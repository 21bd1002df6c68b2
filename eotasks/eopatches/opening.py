"""The files of an EOPatch as they are found: a saved one's by its marker, those of a plain folder as they lie there."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from eotasks.eopatches.files import EOPatchFolder
from eotasks.eopatches.marker import FileFacts, Marker, read_marker
from eotasks.eopatches.parts import TYPES, entry_of, is_always_read, is_part, is_readable
from eotasks.features import Feature
from eotasks.storage.place import Place


def open_eopatch(patch: Place, *, listed: bool) -> EOPatchFolder | None:
    """The files of an EOPatch: those that its marker names, or those of a plain folder; None when it is neither.

    :param listed: Look for what other programs have added to a saved EOPatch, which costs a request on S3; on disk it
        is always done.
    :raises StorageError: as `read_marker`.
    """
    saved = open_saved(patch, listed=listed)
    if saved is not None:
        return saved
    names = names_in(patch)
    return _plain_folder(patch, names) if is_readable(names) else None


def open_saved(patch: Place, *, listed: bool) -> EOPatchFolder | None:
    """As `open_eopatch`, of saved EOPatches alone."""
    marker = read_marker(patch)
    if marker is None:
        return None
    where = f"EOPatch {patch}"
    if marker.generation is not None:
        return EOPatchFolder(patch.child(marker.generation), where, marker.files, marker=marker)
    if not listed and not patch.is_local:
        return EOPatchFolder(patch, where, marker.files, marker=marker, is_listed=False)
    sizes = None if patch.is_local else patch.files()
    files, replaced = _with_those_of_others(marker, _paths(patch, names_in(patch)) if sizes is None else sizes)
    return EOPatchFolder(patch, where, files, marker=marker, sizes=sizes, changed=replaced)


def names_in(place: Place) -> list[str]:
    """What lies directly in a place."""
    return place.names() if not place.is_local or place.local_path().is_dir() else []


def _plain_folder(patch: Place, names: Collection[str]) -> EOPatchFolder:
    paths = _paths(patch, names)
    filled = {path.partition("/")[0] for path in paths}
    empty = frozenset(TYPES[name] for name in names if name in TYPES and name not in filled)
    return EOPatchFolder(patch, f"EOPatch {patch}", {path: {} for path in paths}, empty=empty)


def _paths(patch: Place, names: Collection[str]) -> list[str]:
    """What lies in the folder and in those of types of features; on S3 all that is below it."""
    if not patch.is_local:
        return list(patch.files())
    # A listing of all there is below does not follow symbolic links.
    folders = [name for name in names if name in TYPES and patch.is_folder(name)]
    paths = [name for name in names if name not in folders]
    return paths + [f"{name}/{entry}" for name in folders for entry in patch.names(name)]


def _with_those_of_others(marker: Marker, there: Iterable[str]) -> tuple[dict[str, FileFacts], list[str]]:
    """Files of a marker, and those that another program has added; and the marker's that it has put others in place of.

    What the marker names and is not there stays among the files: reading tells that it is missing.
    """
    paths = set(there)
    added = {path: FileFacts() for path in paths - marker.files.keys() if is_part(path)}
    others = {_thing(path) for path in added}
    replaced = [path for path in marker.files if path not in paths and _thing(path) in others]
    ours = {path: facts for path, facts in marker.files.items() if path not in replaced}
    known = {_thing(path) for path in ours}
    # Of two files of one feature the saved one counts.
    return {**{path: facts for path, facts in added.items() if _thing(path) not in known}, **ours}, replaced


def _thing(path: str) -> Feature | str | None:
    """What a file is of, whatever its ending: a feature, the bounding box, the timestamps."""
    entry = entry_of(path)
    if entry is not None:
        return entry[0]
    return path.partition(".")[0] if is_always_read(path) else None
