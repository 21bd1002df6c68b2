"""Web servers of the tests."""

from __future__ import annotations

import sys
from http.server import ThreadingHTTPServer


class LoopbackServer(ThreadingHTTPServer):
    """A server whose clients may hang up: the standard library's would print that, into whatever test runs then."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(
            sys.exception(), ConnectionError | TimeoutError | ValueError
        ):  # a closed file is a ValueError
            super().handle_error(request, client_address)  # type: ignore[arg-type]
