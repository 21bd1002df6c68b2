"""How pystac-client asks a STAC API here: with a bound for each answer, and for all those of one search."""

from __future__ import annotations

import time
from typing import Any

from requests import RequestException, Response

from eotasks.catalogue.packages import package
from eotasks.errors import ImageryError, reason_of
from eotasks.imagery.files.origin import InternalAddressError, Origin
from eotasks.imagery.files.session import session
from eotasks.limits import ANSWER_BYTES, SEARCH_BYTES, SEARCH_PAGES, SEARCH_SECONDS
from eotasks.network.answers import answer_bounds, excess_of
from eotasks.network.refusals import cure_of, sentence
from eotasks.network.retries import PassingFailure, is_passing, is_passing_error, persistently, seconds_asked
from eotasks.storage.location import is_web

_CHUNK = 1 << 16
_NETWORK = "Check its address and the network, then try again."
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
            return search.text(href, (method or "GET").upper(), headers, parameters or {})

        def read_text(self, source: Any, *arguments: Any, **options: Any) -> str:
            if not is_web(getattr(source, "href", source)):
                raise ImageryError(f"{where} leads to what is no address of the web. It is not read.")
            text: str = super().read_text(source, *arguments, **options)
            return text

    search = _SearchRequests(origin, where, seconds)
    return BoundedIO()


class _SearchRequests:
    """The requests of one search."""

    def __init__(self, origin: Origin, where: str, seconds: int) -> None:
        self._where, self._seconds = where, seconds
        self._pages, self._bytes = SEARCH_PAGES.value, SEARCH_BYTES.value
        self._until = time.monotonic() + SEARCH_SECONDS.value
        self._session = session(origin.internal)

    def text(self, href: str, method: str, headers: dict[str, str] | None, parameters: dict[str, Any]) -> str:
        """The body of an answer.

        :raises ImageryError: when the search goes beyond a bound, the server fails or refuses.
        """
        self._count()
        options: dict[str, Any] = {"params": parameters} if method == "GET" else {"json": parameters}

        def once() -> str:
            try:
                with (
                    answer_bounds(ANSWER_BYTES.value, ANSWER_BYTES.excess()),
                    self._session.request(
                        method, href, headers=headers, timeout=self._seconds, stream=True, **options
                    ) as answer,
                ):
                    if is_passing(answer.status_code):
                        wait = seconds_asked(answer.headers.get("Retry-After"))
                        raise PassingFailure(sentence(answer.status_code), wait=wait, status=answer.status_code)
                    content = self._content(answer)
            except InternalAddressError as error:
                raise ImageryError(f"{self._where}: {error}") from None
            except RequestException as error:
                excess = excess_of(error)
                if excess is not None:
                    raise ImageryError(f"{self._where}: an answer took {excess}. {_SMALLER}") from error
                if is_passing_error(error):
                    raise PassingFailure(f"cannot be reached or breaks off ({type(error).__name__})") from error
                raise ImageryError(
                    f"{self._where}: cannot be asked ({_cause_of(error)}). Check its address."
                ) from error
            if not answer.ok:
                cure = cure_of(answer.status_code, href, bytes(content))
                raise ImageryError(f"{self._where} failed: {sentence(answer.status_code)}. {cure}")
            return content.decode()

        try:
            return persistently(once, self._where)
        except PassingFailure as failure:
            cure = _NETWORK if failure.status is None else cure_of(failure.status, href)
            raise ImageryError(
                f"{self._where} failed: {failure.reason}, {failure.asked}. {cure}"
            ) from failure.__cause__

    def _content(self, answer: Response) -> bytearray:
        content = bytearray()
        for chunk in answer.iter_content(_CHUNK):
            content += chunk
            self._bytes -= len(chunk)
            if len(content) > ANSWER_BYTES.value:
                raise ImageryError(f"{self._where}: {ANSWER_BYTES.excess()} in one answer. {_SMALLER}")
            if self._bytes < 0:
                raise ImageryError(f"{self._where}: {SEARCH_BYTES.excess()}. {_SMALLER}")
        return content

    def _count(self) -> None:
        now = time.monotonic()
        self._pages -= 1
        if self._pages < 0:
            raise ImageryError(f"{self._where}: {SEARCH_PAGES.excess()}. {_SMALLER}")
        if now > self._until:
            raise ImageryError(f"{self._where}: {SEARCH_SECONDS.excess()}. {_SMALLER}")


def _cause_of(error: RequestException) -> str:
    """What went wrong, without the pools and connections that urllib3 names before it."""
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    text = reason_of(reason if isinstance(reason, Exception) else error)
    before, mark, after = text.partition("): ")
    return after if mark and "Connection(" in before else text
