"""EOPatches on S3 as folders of this machine, for as long as they are read.

What is wanted is copied whole; of everything else there are empty files, so that a reader sees the features there are.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from eotasks.eopatches.marker import check_sizes, parse_marker
from eotasks.errors import AreaError, StorageError
from eotasks.storage import s3
from eotasks.storage.place import Place

HEAD_BYTES = 1 << 16
"""What is read of an array for its shape: far more than the header of an npy file, packed or not."""

_TRANSFERS = 4


def list_remote(place: Place, is_eopatch: Callable[[Collection[str]], bool]) -> list[str]:
    """Names of the EOPatches of a place, sorted, by one listing; its own name when it is itself one.

    :param is_eopatch: Whether names of files and folders are those in an EOPatch.
    :raises AreaError: when there is none.
    """
    below: dict[str, set[str]] = {}
    for path in place.files():
        name, _, inside = path.partition("/")
        below.setdefault(name, set()).add(inside.partition("/")[0])
    if is_eopatch(below):
        return [own_name(place)]
    names = sorted(name for name, entries in below.items() if is_eopatch(entries))
    if not names:
        raise AreaError(f"{place}: no EOPatch in it. An EOPatch is a folder with bbox.geojson and folders of features.")
    return names


def own_name(place: Place) -> str:
    """The last part of a location."""
    return place.location.rpartition("/")[2]


@contextlib.contextmanager
def at_hand(place: Place, marker: str, *, whole: Iterable[str], heads: Iterable[str] = ()) -> Iterator[Path]:
    """A folder of this machine with what an EOPatch on S3 holds, its current generation when it has any.

    :param place: The EOPatch.
    :param marker: Name of the file that says which generation is current.
    :param whole: Features that are copied whole, as "feature_type/NAME"; bbox and timestamps always are.
    :param heads: Folders of features of which the first bytes are copied.
    :raises StorageError: when a file cannot be read, or the marker names what is not there.
    """
    files = place.files()
    if marker in files:
        place, files = _current(place, marker, files)
    wanted, started = set(whole), set(heads)
    with tempfile.TemporaryDirectory(prefix="eotasks-") as temporary:
        folder = Path(temporary, own_name(place))

        def fetch(path: str) -> None:
            target = _inside(folder, path, place)
            target.parent.mkdir(parents=True, exist_ok=True)
            feature_type, _, name = path.partition("/")
            if not name or f"{feature_type}/{name.partition('.')[0]}" in wanted:
                s3.download_file(f"{place}/{path}", target)
            elif feature_type in started:
                target.write_bytes(_head(f"{place}/{path}"))
            else:
                target.touch()

        with ThreadPoolExecutor(_TRANSFERS) as pool:
            for _ in pool.map(fetch, files):
                pass
        yield folder


def _current(place: Place, marker: str, files: dict[str, int]) -> tuple[Place, dict[str, int]]:
    """The current generation, whole."""
    current = parse_marker(place.read_bytes(marker), f"{place}/{marker}")
    start = f"{current.generation}/"
    inside = {path.removeprefix(start): size for path, size in files.items() if path.startswith(start)}
    check_sizes(current, inside, f"EOPatch {place}")
    return place.child(current.generation), inside


def _inside(folder: Path, path: str, place: Place) -> Path:
    """A name that anyone may have given to an object must not lead out of the temporary folder."""
    if any(part in ("", ".", "..") for part in path.split("/")):
        raise StorageError(f"{place}/{path}: no name of a file in an EOPatch. Remove it.")
    return folder / path


def _head(location: str) -> bytes:
    bucket, key = s3.split_location(location)
    with s3.s3_errors(location):
        answer = s3.s3_client().get_object(Bucket=bucket, Key=key, Range=f"bytes=0-{HEAD_BYTES - 1}")
        return bytes(answer["Body"].read())
