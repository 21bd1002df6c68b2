"""Putting a finished EOPatch folder in place on a disk, in one operation.

The new folder lies beside the old one, and the two change their names. So whoever looks finds the old EOPatch or the
new one, with any tool, also after a power cut.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import stat
from collections.abc import Iterator, Set
from pathlib import Path

from eotasks.durable import flush_folder
from eotasks.eopatches.marker import LEFTOVER, MARKER
from eotasks.eopatches.parts import TYPES, is_part
from eotasks.storage.exchange import ExchangeUnsupportedError, exchange_folders
from eotasks.storage.folder import check_tag, link_or_copy, locked

LOGGER = logging.getLogger(__name__)


_WITHOUT_EXCHANGE: set[int] = set()
"""Disks that have said so, in this process."""


def check_exchange(target: Path) -> None:
    """Refuses what is known to fail, before anything is written.

    :raises ExchangeUnsupportedError: when there is something to exchange, and the disk could not before, or the folder
        that it is in may not be written to.
    """
    if not target.is_dir():
        return
    if target.stat().st_dev in _WITHOUT_EXCHANGE or not os.access(target.parent, os.W_OK | os.X_OK):
        raise ExchangeUnsupportedError(errno.ENOSYS, os.strerror(errno.ENOSYS), str(target))


def put_in_place(new: Path, target: Path, tag: str | None) -> None:
    """Gives a new folder the name of its target; what was there before has the other name then, where it was no empty
    folder.

    What is there and belongs to no EOPatch, such as figures, comes along.

    :param new: Beside the target, all of it flushed.
    :param tag: Of the marker that the target had when the save began; None: it had none.
    :raises StorageError: when another writer was faster.
    :raises ExchangeUnsupportedError: when system or disk cannot exchange folders; nothing has happened.
    :raises OSError: when it fails. When the target has the new marker then, all but the flush has happened.
    """
    with _locked(target.parent):
        check_tag(target / MARKER, tag)
        if target.exists() and any(target.iterdir()):
            along = _take_along(target, new)
            _keep_rights(target, new, along)
            try:
                exchange_folders(new, target)
            except ExchangeUnsupportedError:
                _WITHOUT_EXCHANGE.add(target.stat().st_dev)
                raise
            _take_along(new, target, known=along)  # written while the folders were being exchanged
        else:
            new.rename(target)
    flush_folder(target.parent)  # not under the lock: workers of a batch save side by side


def remove_superseded(folder: Path) -> None:
    """Removes what has been replaced; what cannot be removed is left to `eotasks.eopatches.clean`."""
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        LOGGER.warning("The superseded %s is left behind (%s); eotasks clean removes it.", folder, error)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(PermissionError):  # may be written and not listed: as a disk that knows no locks
            stack.enter_context(locked(folder))
        yield


def _take_along(old: Path, new: Path, *, known: Set[Path] = frozenset()) -> set[Path]:
    """Links what belongs to no EOPatch from one folder into another: both have it until one is removed.

    :param known: What was taken along before. With it, what has come to either folder since is kept.
    :return: What was there to take along.
    """
    made: list[Path] = []
    there = dict.fromkeys(_foreign(old))
    for path in there:
        source, target = old / path, new / path
        if path in known or os.path.lexists(target):
            continue
        made += [parent for parent in (target, *target.parents) if parent != new and parent.is_relative_to(new)]
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink():
            target.symlink_to(source.readlink())
        elif source.is_dir():
            target.mkdir(exist_ok=True)
        else:
            link_or_copy(source, target)
    for folder in {*made, new} if made else ():
        if folder.is_dir() and not folder.is_symlink():
            flush_folder(folder)
    return set(there)


def _keep_rights(old: Path, new: Path, along: Set[Path]) -> None:
    """Gives folders the rights of those that they replace, as far as the disk allows.

    The owner always may write to them: the next save has to remove them.
    """
    for path in sorted({Path(), *map(Path, TYPES), *along}):
        source, target = old / path, new / path
        if source.is_symlink() or target.is_symlink() or not (source.is_dir() and target.is_dir()):
            continue
        with contextlib.suppress(OSError):
            target.chmod(stat.S_IMODE(source.stat().st_mode) | stat.S_IRWXU)


def _foreign(folder: Path) -> Iterator[Path]:
    for entry in sorted(folder.iterdir()):
        name = entry.name
        if name == MARKER or LEFTOVER.fullmatch(name) or is_part(name):
            continue
        below = sorted(entry.iterdir()) if name in TYPES and entry.is_dir() else []
        if name not in TYPES:
            yield from _all_of(entry, folder)
        for each in below:
            # A hidden file there is a feature to eo-learn, in a format that it refuses.
            if not is_part(f"{name}/{each.name}") and not each.name.startswith("."):
                yield from _all_of(each, folder)


def _all_of(top: Path, folder: Path) -> Iterator[Path]:
    yield top.relative_to(folder)
    if top.is_dir() and not top.is_symlink():
        for inside, folders, files in os.walk(top, onerror=_refuse):
            yield from ((Path(inside) / name).relative_to(folder) for name in [*folders, *files])


def _refuse(error: OSError) -> None:
    """What may not be listed cannot come along, and would be removed with the old folder."""
    if not isinstance(error, FileNotFoundError):
        raise error
