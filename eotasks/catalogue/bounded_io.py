"""How pystac-client asks a STAC API here: with a bound for each answer, and for all those of one search."""

from __future__ import annotations

import time
from typing import Any

from requests import RequestException

from eotasks.catalogue.packages import package
from eotasks.errors import ImageryError
from eotasks.imagery.files.origin import InternalAddressError, Origin
from eotasks.imagery.files.session import session
from eotasks.limits import ANSWER_BYTES, SEARCH_BYTES, SEARCH_PAGES, SEARCH_SECONDS
from eotasks.storage.answers import answer_bounds, excess_of

_CHUNK = 1 << 16
_SMALLER = "Search a smaller area or a shorter time."


def bounded_io(origin: Origin, where: str, seconds: int) -> Any:
    """A ``pystac_client.stac_api_io.StacApiIO`` for one search.

    :param origin: The API: only servers that it may lead to are asked.
    :param where: The API, for messages.
    :param seconds: How long it may take to send the next bytes.
    """
    base: Any = package("pystac_client.stac_api_io").StacApiIO

    class BoundedIO(base):  # type: ignore[misc]  # of an optional package
        def request(
            self,
            href: str,
            method: str | None = None,
            headers: dict[str, str] | None = None,
            parameters: dict[str, Any] | None = None,
        ) -> str:
            return asked.text(href, (method or "GET").upper(), headers, parameters or {})

        def read_text(self, source: Any, *arguments: Any, **options: Any) -> str:
            if not str(getattr(source, "href", source)).startswith(("http://", "https://")):
                raise ImageryError(f"{where} leads to what is no address of the web. It is not read.")
            text: str = super().read_text(source, *arguments, **options)
            return text

    asked = _Asked(origin, where, seconds)
    return BoundedIO()


class _Asked:
    """The requests of one search."""

    def __init__(self, origin: Origin, where: str, seconds: int) -> None:
        self._where, self._seconds = where, seconds
        self._pages, self._bytes = SEARCH_PAGES.value, SEARCH_BYTES.value
        self._until = time.monotonic() + SEARCH_SECONDS.value
        self._session = session(origin.internal)

    def text(self, href: str, method: str, headers: dict[str, str] | None, parameters: dict[str, Any]) -> str:
        """The body of an answer.

        :raises ImageryError: when the search goes beyond a bound.
        :raises pystac_client.exceptions.APIError: when the server fails.
        """
        self._count()
        failed = package("pystac_client.exceptions").APIError
        options: dict[str, Any] = {"params": parameters} if method == "GET" else {"json": parameters}
        try:
            with (
                answer_bounds(ANSWER_BYTES.value, ANSWER_BYTES.excess()),
                self._session.request(
                    method, href, headers=headers, timeout=self._seconds, stream=True, **options
                ) as answer,
            ):
                content = bytearray()
                for chunk in answer.iter_content(_CHUNK):
                    content += chunk
                    self._bytes -= len(chunk)
                    if len(content) > ANSWER_BYTES.value:
                        raise ImageryError(f"{self._where}: {ANSWER_BYTES.excess()} in one answer. {_SMALLER}")
                    if self._bytes < 0:
                        raise ImageryError(f"{self._where}: {SEARCH_BYTES.excess()}. {_SMALLER}")
        except InternalAddressError as error:
            raise ImageryError(f"{self._where}: {error}") from None
        except RequestException as error:
            excess = excess_of(error)
            if excess is not None:
                raise ImageryError(f"{self._where}: an answer took {excess}. {_SMALLER}") from error
            raise failed(str(error)) from error
        if not answer.ok:
            refused = failed(content[:200].decode(errors="replace"))
            refused.status_code = answer.status_code
            raise refused
        return content.decode()

    def _count(self) -> None:
        now = time.monotonic()
        self._pages -= 1
        if self._pages < 0:
            raise ImageryError(f"{self._where}: {SEARCH_PAGES.excess()}. {_SMALLER}")
        if now > self._until:
            raise ImageryError(f"{self._where}: {SEARCH_SECONDS.excess()}. {_SMALLER}")
