"""How requests connects here: the bounds of `eotasks.storage.answers` are kept."""

from __future__ import annotations

from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from eotasks.storage.answers import bounded_pools

ATTEMPTS = 3


class BoundedAdapter(HTTPAdapter):
    """Asks again where a server is busy or breaks off before its answer; keeps the bounds of answers."""

    def __init__(self, **options: Any) -> None:
        retry = Retry(
            ATTEMPTS - 1, backoff_factor=0.5, status_forcelist=(429, 500, 502, 503, 504), raise_on_status=False
        )
        super().__init__(max_retries=retry, **options)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = bounded_pools(self.poolmanager.pool_classes_by_scheme)
