"""Connections to web servers.

They lead where `eotasks.imagery.files.origin` allows, redirects too, and keep the bounds of `eotasks.network.answers`.
"""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from functools import lru_cache
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import select_proxy
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NameResolutionError, NewConnectionError

from eotasks.errors import ImageryError
from eotasks.imagery.files.origin import InternalAddressError, addresses, server_of
from eotasks.network.answers import bounded_pools
from eotasks.network.traffic import WEB
from eotasks.text import redacted

CONNECT_SECONDS = 10
READ_SECONDS = 60

_MAX_REDIRECTS = 5
_KNOWN_SECONDS = 300
_CONNECTIONS = 32
"""To one server that are kept open at most: more than threads that read."""


@lru_cache(maxsize=16)
def session(internal: frozenset[str]) -> requests.Session:
    """Asks web servers, from any thread; connections are kept open. It asks once: who uses it, asks again.

    Requests raise `eotasks.imagery.files.origin.InternalAddressError` where they lead into the user's network.

    :param internal: Servers of that network that may be asked, as ``host:port``.
    """
    made = requests.Session()
    for scheme in ("http://", "https://"):
        made.mount(scheme, _Adapter(internal, max_retries=0, pool_maxsize=_CONNECTIONS))
    made.max_redirects = _MAX_REDIRECTS
    made.hooks["response"] += [check_redirect, WEB.note]
    made.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    return made


def check_redirect(answer: requests.Response, **_: object) -> None:
    """Refuse to be sent to anything but the web, or from an encrypted connection to one in the clear.

    :raises ImageryError: when an answer does that.
    """
    if not answer.is_redirect:
        return
    target, source = urlsplit(urljoin(answer.url, answer.headers["Location"])), urlsplit(answer.url)
    if target.scheme not in ("http", "https") or (source.scheme == "https" and target.scheme == "http"):
        raise ImageryError(
            f"{redacted(answer.url)}: sends on to {target.scheme[:40]}://, which is not followed. Check the address."
        )


class _Adapter(HTTPAdapter):
    """Connects to addresses that were checked, and to a proxy of the user as he says; keeps the bounds of answers."""

    def __init__(self, internal: frozenset[str], **options: Any) -> None:
        self._internal = internal
        super().__init__(**options)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)

        class Plain(_Checked, HTTPConnection):
            internal = self._internal

        class Encrypted(_Checked, HTTPSConnection):
            internal = self._internal

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = Plain

        class EncryptedPool(HTTPSConnectionPool):
            ConnectionCls = Encrypted

        self.poolmanager.pool_classes_by_scheme = bounded_pools({"http": PlainPool, "https": EncryptedPool})

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        made = proxy not in self.proxy_manager
        manager = super().proxy_manager_for(proxy, **options)
        if made:
            manager.pool_classes_by_scheme = bounded_pools(manager.pool_classes_by_scheme)
        return manager

    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        # A proxy asks for names itself: those that are known here too are looked at.
        if select_proxy(str(request.url), options.get("proxies")):
            host, port = server_of(str(request.url))
            refusal = _refusal(host, port, self._internal, int(time.monotonic() // _KNOWN_SECONDS))
            if refusal is not None:
                raise InternalAddressError(refusal)
        return super().send(request, *arguments, **options)


@lru_cache(maxsize=256)
def _refusal(host: str, port: int, internal: frozenset[str], _: int) -> str | None:
    """Why a server may not be asked through a proxy; None where nothing is known against it.

    Kept for some minutes: where names of the internet are not known at all, each question waits for that answer.
    """
    with suppress(OSError, UnicodeError):
        try:
            addresses(host, port, internal)
        except InternalAddressError as error:
            return str(error)
    return None


class _Checked:
    """A connection to an address that its name had when it was checked."""

    internal: frozenset[str]
    _dns_host: str
    host: str
    port: int

    def _new_conn(self) -> socket.socket:
        name, failure = self._dns_host, None
        try:
            found = addresses(name, self.port, self.internal)
        except (socket.gaierror, UnicodeError) as error:
            raise NameResolutionError(self.host, self, error) from error  # type: ignore[arg-type]
        except OSError as error:
            raise NewConnectionError(self, f"no address of {self.host}: {error}") from error  # type: ignore[arg-type]
        for address in found:
            self._dns_host = address
            try:
                connected: socket.socket = super()._new_conn()  # type: ignore[misc]
            except NewConnectionError as error:
                failure = error
            else:
                return connected
            finally:
                self._dns_host = name
        raise failure or NewConnectionError(self, f"no address of {self.host}")  # type: ignore[arg-type]
