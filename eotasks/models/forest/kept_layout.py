"""Layouts of models that come again in every process, kept on the user's disk: parsing a text takes a quarter second.

A kept file is numbers alone, in the engine's own form (`eotasks.models.forest.layout.to_bytes`), behind a line that
says of which model and by which code it was made, and a checksum. It lies where the compiled kernels are kept
(`eotasks.models.kept_code`), by their rules: what is absent, damaged, of another model or version, or can have been
written by somebody else is not used, and made anew. That it cannot be kept is no error. The log says so (DEBUG).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from functools import cache
from pathlib import Path

from eotasks.errors import ModelError
from eotasks.limits import MODEL_BYTES
from eotasks.models.forest import kernels, layout, lightgbm_text
from eotasks.models.forest.layout import Layout, from_bytes, to_bytes
from eotasks.models.kept_code import OwnFile

LOGGER = logging.getLogger(__name__)

_MAGIC = b"eotasks kept layout 1"
_MAKERS = (lightgbm_text, layout, kernels)
"""The modules that decide what a layout is."""


def kept_layout(digest: str, made: Callable[[], Layout]) -> Layout:
    """The layout of a model: the kept one, or else the one that is made now, and kept.

    :param digest: SHA-256 of the model's text, in hexadecimal digits.
    :param made: Makes the layout from the text; its errors are passed on.
    """
    try:
        file = OwnFile.beside(kept_layout, f"{digest[:32]}.layout")
        head = _head(digest)
    except OSError as error:
        LOGGER.debug("The layout of the model is made in every process: %s.", error)
        return made()
    try:
        return _unpacked(file.read(MODEL_BYTES), head)
    except FileNotFoundError:
        LOGGER.debug("The layout of the model is made, to be kept in %s.", file.path)
    except (OSError, ModelError) as error:
        LOGGER.debug("The kept layout %s is not used and is made anew: %s", file.path, error)
    found = made()
    try:
        file.write(_packed(to_bytes(found), head))
    except OSError as error:
        LOGGER.debug("The layout of the model cannot be kept in %s: %s.", file.path, error)
    return found


def _packed(content: bytes, head: bytes) -> bytes:
    return b"\n".join([head, hashlib.sha256(content).hexdigest().encode(), content])


def _unpacked(stored: bytes, head: bytes) -> Layout:
    """:raises ModelError: what is stored is not what `_packed` made with this head."""
    first, _, rest = stored.partition(b"\n")
    checksum, _, content = rest.partition(b"\n")
    if first != head:
        raise ModelError("it is of another model or version.")
    if checksum != hashlib.sha256(content).hexdigest().encode():
        raise ModelError("it is damaged: its checksum is another.")
    return from_bytes(content, where="the kept layout")


def _head(digest: str) -> bytes:
    return b" ".join([_MAGIC, digest.encode(), _version().encode()])


@cache
def _version() -> str:
    """SHA-256 of the sources of what makes a layout: another version of them may make another one."""
    sources = hashlib.sha256()
    for module in _MAKERS:
        content = Path(str(module.__file__)).read_bytes()
        sources.update(len(content).to_bytes(8, "little") + content)
    return sources.hexdigest()
