"""Where a location may lead, by who named it.

The user may name anything: a path, S3, any address. A document names more locations (assets of an item, rows of a
catalogue, answers of an API, links of a page), and what these may be depends on where the document lies:

- on the user's disk: files of this machine, by plain paths, S3, and addresses of the web;
- elsewhere (an API, the web, a bucket), or nobody knows where: S3 and addresses of the web, never this machine.

No document may name a server inside the user's network (loopback, private and link-local addresses, whatever their
spelling), unless the user named that server himself, or allowed its name: see `ALLOWED_HOSTS`. That is looked at when
a connection is made, for each redirect too: `eotasks.imagery.files.session`.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Collection
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urljoin, urlsplit

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from eotasks.errors import ImageryError
from eotasks.imagery.files.signing import Modifier
from eotasks.storage.location import is_remote, is_s3, is_web, plain_scheme
from eotasks.text import redacted

ALLOWED_HOSTS = "EOTASKS_ALLOWED_HOSTS"
"""Environment variable: ``host`` or ``host:port``, several with commas, of servers inside of one's own network that
items, catalogues and redirects may lead to."""

_SCHEME = re.compile(r"([A-Za-z][\w+.-]+):")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_OF_GDAL = re.compile(r"vsi[a-z0-9_]*(?:[?].*)?", re.IGNORECASE)
"""A part of a path that GDAL takes for one of its virtual file systems where the path begins with it."""

_NAT64 = IPv6Network("64:ff9b::/96")
_NEVER_GLOBAL = tuple(map(IPv6Network, ("64:ff9b:1::/48", "5f00::/16", "3fff::/20")))
"""Local translation to IPv4 (RFC 8215), segment routing, documentation: newer than some Pythons that are asked."""

_OF_CLOUDS = (IPv4Network("168.63.129.16/32"), IPv4Network("192.0.0.0/24"))
"""Of Azure and Oracle: they answer to their own machines only, though they look like any other address."""

_MARK = "_eotasks_origin"


class InternalAddressError(Exception):
    """A name leads to an address inside of the user's network. Not an OSError: urllib3 would try again."""


@dataclass(frozen=True)
class Origin:
    """The document that names locations: where it lies decides what they may be."""

    document: str
    """A path or an address; "" when nobody knows."""

    files: bool = False
    """Whether it may name files of this machine."""

    internal: frozenset[str] = frozenset()
    """Servers inside of the user's network that he named himself, as ``host:port``."""

    kind: Literal["document", "catalogue", "api"] = "document"

    modifier: Modifier | None = field(default=None, repr=False, compare=False)
    """The user's: changes items before they are read, such as by signing their addresses."""

    @classmethod
    def of(
        cls,
        location: str | os.PathLike[str],
        kind: Literal["document", "catalogue", "api"] = "document",
        modifier: Modifier | None = None,
    ) -> Origin:
        """Of what lies at a location that the user named himself."""
        text = plain_scheme(os.fspath(location))
        return cls(text, not is_remote(text), _internal_server(text) if is_web(text) else frozenset(), kind, modifier)

    def at(self, location: str) -> Origin:
        """Of what lies at a location that this document named."""
        return Origin(location, self.files and not is_remote(location), self.internal, modifier=self.modifier)

    def resolved(self, link: str) -> str:
        """What a link of the document leads to: an absolute path, ``s3://…``, or an address of the web.

        :raises ImageryError: when it leads where no document at its place may.
        """
        if not link or link != link.strip() or "\\" in link or not link.isprintable():
            raise self._refused(link, "is no path, s3:// or https:// address")
        link = plain_scheme(link)
        if is_web(link):
            return link
        if is_s3(link):
            return self._object(link)
        scheme = _SCHEME.match(link)
        if (scheme is not None and scheme[1].lower() != "file") or link.startswith("//") or _is_of_gdal(link):
            raise self._refused(link, "is no path, s3:// or https:// address")
        if is_remote(self.document) and scheme is None and self._has_links_beside(link):
            return self._beside(link)
        if not self.files:
            raise ImageryError(
                f"{self._where}: the link {link[:200]!r} is to a file of this machine, which no other may name. "
                + ("Download the item first." if self.document else "Give the item's file, or origin=Origin.of(FILE).")
            )
        path = unquote(urlsplit(link).path) if scheme is not None else link
        whole = "/" + os.path.abspath(Path(self.document).parent / path).lstrip("/")  # noqa: PTH100 - keeps links
        if whole.lower().startswith("/vsi"):
            raise self._refused(
                link,
                f"is no path of a file: {whole[:200]!r} begins with /vsi, as file systems of GDAL's own do",
                "Move the product into a folder of another name",
            )
        if _is_of_gdal(path) or "?" in path or "\0" in path:
            raise self._refused(link, "is no path of a file")
        return whole

    def _has_links_beside(self, link: str) -> bool:
        """Whether a link of a document elsewhere is one to its own server. Items of an API lie at no place that is
        known, and rows of a catalogue hold paths of the machine that it was made on.
        """
        return self.kind == "document" or (self.kind == "catalogue" and not link.startswith("/"))

    def _beside(self, link: str) -> str:
        """A relative link of a document that lies elsewhere: the same server or bucket."""
        # By a scheme that urljoin knows: for others it gives back the link as it is.
        base = self.document.replace("s3://", "https://", 1)
        joined = urljoin(base, link)
        if urlsplit(joined)[:2] != urlsplit(base)[:2]:
            raise self._refused(link, "leads to another server")
        return self._object(joined.replace("https://", "s3://", 1)) if is_s3(self.document) else joined

    def _object(self, link: str) -> str:
        bucket, _, key = link.removeprefix("s3://").partition("/")
        if _BUCKET.fullmatch(bucket) is None or "?" in key or any(part in (".", "..") for part in key.split("/")):
            raise self._refused(link, "names no object of a bucket")
        return link

    @property
    def _where(self) -> str:
        return redacted(self.document) or "STAC item"

    def _refused(self, link: str, why: str, cure: str = "Download the product first") -> ImageryError:
        return ImageryError(f"{self._where}: the link {link.partition('?')[0][:200]!r} {why}. {cure}.")


UNKNOWN = Origin("")
"""Of an item that nobody knows the place of: it names no file of this machine."""


def mark(item: Any, origin: Origin) -> None:
    """Notes on an object of pystac which document it comes from: what it says of that itself proves nothing."""
    setattr(item, _MARK, origin)


def origin_of(item: Any) -> Origin:
    """The origin of an object of pystac; `UNKNOWN` when no search of ours has found it."""
    origin = getattr(item, _MARK, UNKNOWN)
    return origin if isinstance(origin, Origin) else UNKNOWN


def addresses(host: str, port: int, internal: Collection[str]) -> list[str]:
    """Addresses of a server to connect to, and to no other: a name may mean another one a moment later.

    :param internal: Servers inside of the user's network that may be asked, as ``host:port``.
    :raises InternalAddressError: when one of them lies inside of the user's network.
    :raises OSError: when the name is not known.
    """
    found = list(dict.fromkeys(str(each[4][0]) for each in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
    server = f"{_plain(host)}:{port}"
    if {server, _plain(host)} & _allowed():
        return found
    # A server of the user's network stays in it: else a name could be of both, one after the other.
    if not all((server in internal) != is_global(address) for address in found):
        raise InternalAddressError(
            f"{server} is inside of your own network or changes between it and the internet, where others may not lead:"
            f" to allow it, set {ALLOWED_HOSTS}={server}"
        )
    return found


def is_global(address: str) -> bool:
    """Whether an address belongs to the internet, however it is wrapped."""
    try:
        plain = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(plain, IPv6Address):
        inner = plain.ipv4_mapped or plain.sixtofour or (plain.teredo[1] if plain.teredo else None)
        if inner is None and (plain in _NAT64 or int(plain) >> 32 == 0):
            inner = IPv4Address(int(plain) & 0xFFFFFFFF)
        if inner is not None:
            return is_global(str(inner))
        if plain.is_site_local or any(plain in network for network in _NEVER_GLOBAL):
            return False
    return plain.is_global and not plain.is_multicast and not any(plain in network for network in _OF_CLOUDS)


def server_of(url: str) -> tuple[str, int]:
    """Host and port of an address of the web, as connections are made to it.

    :raises ImageryError: when it has none.
    """
    try:
        parts = parse_url(url)
    except LocationParseError as error:
        raise ImageryError(f"{redacted(url)[:200]!r} is no address. Check it.") from error
    if not parts.host:
        raise ImageryError(f"{redacted(url)[:200]!r} names no server. Check the address.")
    return _plain(parts.host), parts.port or (443 if parts.scheme == "https" else 80)


def _internal_server(url: str) -> frozenset[str]:
    """The server of an address when it lies inside of the user's network; nothing when it does not."""
    host, port = server_of(url)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return frozenset()  # the connection will tell
    inside = not any(is_global(str(each[4][0])) for each in found)
    return frozenset({f"{host}:{port}"}) if inside else frozenset()


def _allowed() -> set[str]:
    found = set()
    for entry in os.environ.get(ALLOWED_HOSTS, "").split(","):
        name, port = re.fullmatch(r"(.*?)(:\d+)?", entry.strip()).groups()  # type: ignore[union-attr]  # fits any line
        found.add(_plain(name) + (port or ""))
    return found - {""}


def _plain(host: str) -> str:
    return host.lower().replace("[", "").replace("]", "").rstrip(".")


def _is_of_gdal(path: str) -> bool:
    """Whether a path leads to a virtual file system of GDAL, which the beginning of a path names.

    Folders may have such names elsewhere. In braces, or where something is encoded, however often, any part counts.
    """
    plain = path
    while (decoded := unquote(plain)) != plain:
        plain = decoded
    parts = re.split(r"[/{}]", plain)
    if plain == path and "{" not in path:
        if not path.startswith(("/", ".")):
            return False
        parts = [part for part in parts if part not in ("", ".", "..")][:1]
    return any(_OF_GDAL.fullmatch(part) for part in parts)
