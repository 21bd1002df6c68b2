"""Web servers of the tests."""

from __future__ import annotations

import sys
from http.server import ThreadingHTTPServer


class LoopbackServer(ThreadingHTTPServer):
    """A server whose clients may hang up: the standard library's would print that, into whatever test runs then."""

    daemon_threads = True

    def serve_forever(self, poll_interval: float = 0.02) -> None:
        """As that of the standard library, whose half of a second is what every test would wait for its end."""
        super().serve_forever(poll_interval)

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(
            sys.exception(), ConnectionError | TimeoutError | ValueError
        ):  # a closed file is a ValueError
            super().handle_error(request, client_address)  # type: ignore[arg-type]
