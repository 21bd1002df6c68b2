"""What endpoints are given: one object, made once for each process, with all that they ask."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from starlette.requests import Request

from eotasks.catalogue.request import SearchRequest
from eotasks.service.auth.access import Access
from eotasks.service.render import Renderer
from eotasks.service.settings import ServiceSettings
from eotasks.service.traffic.sending import Sending
from eotasks.service.traffic.state import CLIENT_STATE
from eotasks.service.traffic.work import ClientWork, Work

T = TypeVar("T")


class ProductSearch(Protocol):
    """Where products are listed. `eotasks.catalogue.store.Catalogue` is one, and so is `StacApi`."""

    def find(self, request: SearchRequest) -> list[Any]:
        """STAC items (pystac) in order of time, then of id."""
        ...


@dataclass(frozen=True)
class Services:
    """What endpoints are given. A module of `eotasks.service.api` has ``router(services) -> APIRouter``:

    ```python
    def router(services: Services) -> APIRouter:
        routes = APIRouter(dependencies=[Depends(services.access.requires("statistics"))], tags=["Statistical"])

        @routes.post("/api/v1/statistics", openapi_extra=described(StatisticsRequest))
        async def statistics(request: Request) -> Response:
            asked = await read_body(request, StatisticsRequest, services.settings)
            return JSONResponse(await services.work_for(request).run(lambda: compute(services, asked)))

        return routes
    ```

    What raises a `ServiceError` (`eotasks.service.errors`) is answered in Sentinel Hub's shape; of other errors a
    client learns a number only, by which the log knows them.
    """

    settings: ServiceSettings
    renderer: Renderer
    search: ProductSearch
    access: Access
    """Who may do what: `requires(scope)` is a dependency of routes."""

    work: Work
    """Threads for what takes time, and how many requests may wait for one."""

    close: Callable[[], None] = lambda: None
    """Ends what the engine and the reader have started."""

    sending: Sending = field(default_factory=lambda: Sending(sys.maxsize))
    """Answers that were not taken yet: `check` before a large one is drawn."""

    lookups: Work | None = None
    """Threads for what only looks into a catalogue, so that it does not wait for pixels; None for those of `work`."""

    def lookups_for(self, request: Request) -> ClientWork:
        """`lookups`, as `work_for`."""
        return self._of_client(self.lookups or self.work, request)

    def work_for(self, request: Request) -> ClientWork:
        """`work`, with the share of the client that a request comes from: by its id, or in an open service, where all
        have the same, by its address.
        """
        return self._of_client(self.work, request)

    def _of_client(self, work: Work, request: Request) -> ClientWork:
        client = str(getattr(request.state, CLIENT_STATE, ""))
        if self.settings.open:
            client = request.client.host if request.client is not None else ""
        return ClientWork(work, client, request.is_disconnected)
