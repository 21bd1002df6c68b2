"""Addresses that somebody has to sign before they can be read: who does it, and when it is done anew.

A *modifier* is a function that is given a STAC item (of pystac) and changes it in place, as `pystac_client.Client.open`
takes one; `planetary_computer.sign_inplace` is the best known. A signature holds for minutes to hours: where it is
about to end, or the server refuses it, the modifier is asked again, with the item as it was before. Signatures are in
memory only: what catalogues, logs and messages hold are the addresses without.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import threading
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from eotasks.errors import ConfigurationError, EOTasksError, ImageryError, MissingDependencyError, reason_of
from eotasks.extras import install_line
from eotasks.network.signatures import expiry_of
from eotasks.text import excerpt, register_secret

Modifier = Callable[[Any], Any]
"""Changes a STAC item in place, and returns nothing, or the item."""

MARGIN = timedelta(minutes=2)
"""What a signature has to hold still when a read begins."""

PLANETARY_COMPUTER = "planetary-computer"
SIGNERS = (PLANETARY_COMPUTER,)
"""Modifiers that have a name."""

_MARK = "_eotasks_signing"


def modifier_of(given: Modifier | str | None) -> Modifier | None:
    """A modifier, from itself or from its name.

    :raises ConfigurationError: when it is neither.
    :raises MissingDependencyError: when its package is not installed.
    """
    if given is None or (callable(given) and not isinstance(given, str)):
        return given
    if given not in SIGNERS:
        raise ConfigurationError(
            f"modifier={excerpt(given) if isinstance(given, str) else type(given).__name__}: give a function that"
            f" changes a STAC item, or one of {', '.join(SIGNERS)}."
        )
    if "planetary_computer" not in sys.modules and importlib.util.find_spec("planetary_computer") is None:
        raise MissingDependencyError(
            f"Signing for the Planetary Computer needs its package: {install_line(PLANETARY_COMPUTER)}"
        )
    return sign_planetary_computer


def sign_planetary_computer(item: Any) -> None:
    """Signs the addresses of an item for the storage of the Planetary Computer; others stay as they are.

    By the package planetary-computer, which asks the Planetary Computer for a token and keeps it while it holds;
    ``PC_SDK_SUBSCRIPTION_KEY`` and its other settings are those of that package.

    :raises MissingDependencyError: when it is not installed.
    """
    try:
        package = importlib.import_module("planetary_computer")
    except ImportError as error:
        raise MissingDependencyError(
            f"Signing for the Planetary Computer needs its package: {install_line(PLANETARY_COMPUTER)}"
        ) from error
    register_secret(os.environ.get("PC_SDK_SUBSCRIPTION_KEY"))
    package.sign_inplace(item)


def modify(item: Any, modifier: Modifier, where: str) -> Any:
    """An item of pystac as a modifier leaves it.

    :param where: The item, for messages.
    :raises ImageryError: when the modifier fails.
    :raises ConfigurationError: when it gives back something else.
    """
    try:
        given = modifier(item)
    except (EOTasksError, MemoryError):
        raise
    except Exception as error:  # it is the user's code
        raise ImageryError(
            f"{where}: its addresses cannot be signed, the modifier failed with {type(error).__name__}"
            f" ({reason_of(error)}). Check the function and what it asks, then try again."
        ) from error
    if given is not None and not isinstance(given, type(item)):
        raise ConfigurationError(
            f"The modifier gave back a {type(given).__name__} for an item: it is to change the item in place and to"
            " return nothing, as planetary_computer.sign_inplace does."
        )
    return item if given is None else given


class Signing:
    """An item before and after its modifier, which is asked again when signatures end.

    :param original: The item as JSON, as it was before.
    :param content: As the modifier left it.
    :param modifier: The modifier.
    :param where: The item, for messages.
    """

    def __init__(self, original: Mapping[str, Any], content: Mapping[str, Any], modifier: Modifier, where: str) -> None:
        self.original, self.content, self._modifier, self._where = original, content, modifier, where
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[Signing], tuple[Any, ...]]:
        return type(self), (self.original, self.content, self._modifier, self._where)

    @classmethod
    def of(cls, item: Mapping[str, Any], modifier: Modifier, where: str) -> Signing:
        """Of an item that no modifier has seen yet.

        :raises ImageryError: when it is none, or the modifier fails.
        :raises MissingDependencyError: when pystac is not installed.
        """
        return cls(item, _modified(item, modifier, where), modifier, where)

    def href(self, name: str, *, refused: str | None = None) -> str:
        """The address of an asset, signed for a read that begins now.

        :param refused: An address that the server has refused, None when it was not asked yet.
        :raises ImageryError: when the modifier fails.
        """
        with self._lock:
            href = _href(self.content, name)
            if href == refused or _ends_soon(href):
                self.content = _modified(self.original, self._modifier, self._where)
                href = _href(self.content, name)
            return href

    def unsigned(self, name: str) -> str:
        """The address of an asset as it may be kept: the modifier's, but where that only added a query."""
        before, after = _href(self.original, name), _href(self.content, name)
        return before if before and after.partition("?")[0] == before.partition("?")[0] else after


@dataclass(frozen=True)
class _Found:
    """What a modifier made of the addresses of an item that a search found."""

    modifier: Modifier
    hrefs: Mapping[str, tuple[str, str]]
    """Before and after, by the names of the assets."""


def mark_signing(item: Any, modifier: Modifier, before: Mapping[str, str]) -> None:
    """Notes on an item of pystac what it was before its modifier.

    :param before: Addresses of its assets, by their names.
    """
    hrefs = {name: (before[name], asset.href) for name, asset in item.assets.items() if name in before}
    setattr(item, _MARK, _Found(modifier, hrefs))


def signing_of(item: Any, content: Mapping[str, Any]) -> Signing | None:
    """How an item of pystac was signed; None when no search of ours did.

    :param content: The item as JSON, which may have been changed since it was found.
    """
    found = getattr(item, _MARK, None)
    if not isinstance(found, _Found):
        return None
    return Signing(_restored(content, found), content, found.modifier, f"STAC item {excerpt(content.get('id'))}")


def unsigned(item: Any) -> Any:
    """An item of pystac that a search found, with its addresses as they were before its modifier: what may be kept."""
    found = getattr(item, _MARK, None)
    if not isinstance(found, _Found):
        return item
    copy = item.clone()
    for name, (before, after) in found.hrefs.items():
        if name in copy.assets and copy.assets[name].href == after:
            copy.assets[name].href = before
    return copy


def _restored(content: Mapping[str, Any], found: _Found) -> dict[str, Any]:
    assets = dict(content.get("assets") or {})
    for name, (before, after) in found.hrefs.items():
        if name in assets and assets[name].get("href") == after:
            assets[name] = {**assets[name], "href": before}
    return {**content, "assets": assets}


def _modified(item: Mapping[str, Any], modifier: Modifier, where: str) -> dict[str, Any]:
    try:
        pystac = importlib.import_module("pystac")
    except ImportError as error:
        raise MissingDependencyError(f"Signing needs the package pystac: {install_line(PLANETARY_COMPUTER)}") from error
    try:
        made = pystac.Item.from_dict(deepcopy(dict(item)), migrate=False, preserve_dict=False)
    except Exception as error:  # pystac raises whatever it stumbles over in what a document says
        raise ImageryError(f"{where}: no STAC item ({reason_of(error)}), so nothing signs it. Get it again.") from error
    changed: dict[str, Any] = modify(made, modifier, where).to_dict(include_self_link=False, transform_hrefs=False)
    return changed


def _href(content: Mapping[str, Any], name: str) -> str:
    asset = (content.get("assets") or {}).get(name)
    return str(asset.get("href", "")) if isinstance(asset, Mapping) else ""


def _ends_soon(href: str) -> bool:
    end = expiry_of(href)
    return end is not None and end < datetime.now(UTC) + MARGIN
