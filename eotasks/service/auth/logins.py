"""Looks at secrets, one after the other: each takes 16 MB and a core on purpose, and strangers may send any number."""

from __future__ import annotations

from collections import Counter

from eotasks.service.auth.clients import Client, Clients
from eotasks.service.errors import BusyError
from eotasks.service.traffic.work import Work

_KNOWN_WAITING, _OF_ID = 64, 16
_UNKNOWN_WAITING, _OF_ADDRESS = 16, 4
_COME_BACK_S = 1.0


class Logins:
    """Clients that show their secret.

    Ids that there are have a thread and a line of their own, so that whoever invents ids keeps no client from its
    token; whoever knows an id keeps only that one from it. Under such a load it shows which ids there are, which are
    no secret.
    """

    def __init__(self, clients: Clients, *, waiting_s: float) -> None:
        """:param waiting_s: Seconds that one may wait."""
        self._clients = clients
        self._known = Work(concurrent=1, waiting=_KNOWN_WAITING, waiting_s=waiting_s)
        self._unknown = Work(concurrent=1, waiting=_UNKNOWN_WAITING, waiting_s=waiting_s)
        self._asking: Counter[tuple[str, str]] = Counter()

    async def client(self, client_id: str, secret: str, address: str) -> Client | None:
        """The client of an id and a secret; None when there is none, or the secret is another.

        :param address: Where the request came from.
        :raises BusyError: when too many wait: of all, with this id, or from this address with ids that there are not.
        """
        if self._clients.get(client_id) is not None:
            work, asker, most = self._known, ("id", client_id), _OF_ID
        else:
            work, asker, most = self._unknown, ("address", address), _OF_ADDRESS
        if self._asking[asker] >= most:
            raise BusyError("Too many requests for tokens wait: try again in a second.", wait_s=_COME_BACK_S)
        self._asking[asker] += 1
        try:
            return await work.run(lambda: self._clients.known(client_id, secret))
        finally:
            self._asking[asker] -= 1
            if not self._asking[asker]:
                del self._asking[asker]

    def close(self) -> None:
        """Looks at nothing more."""
        self._known.close()
        self._unknown.close()
