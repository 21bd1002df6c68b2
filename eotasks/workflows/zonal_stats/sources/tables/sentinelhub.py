"""A Statistical API, which sums pixels up where they are: Sentinel Hub, the Copernicus Data Space, `eotasks serve`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pandas as pd

from eotasks.errors import ConfigurationError
from eotasks.sources.sentinelhub.account import host, load_credentials
from eotasks.sources.sentinelhub.field_script import Clouds
from eotasks.sources.sentinelhub.field_statistics import FieldStatisticsRequest
from eotasks.sources.sentinelhub.statistics import whole_days
from eotasks.zonal.polygons import Polygons
from eotasks.zonal.quantities import Quantity, quantities_of
from eotasks.zonal.table import POLYGON

_OF_A_SERVICE = (
    "Of a service: a row is of a day, a pixel counts whole where its middle lies in the field, and percentiles are"
    " values that occur."
)


class StatisticalSource:
    """A service of a profile of the sentinelhub package.

    :param profile: Name of the profile; None for the default one.
    :param time: First and last day, ISO 8601; the service needs both.
    :param options: Of `eotasks.sources.sentinelhub.field_statistics.FieldStatisticsRequest`; ``clouds`` None takes CLM
        of L1C, SCL of L2A.
    :raises ConfigurationError: when these do not fit.
    :raises CredentialsError: the profile has none.
    """

    simulated = False

    def __init__(
        self, profile: str | None = None, *, time: tuple[str | None, str | None] = (None, None), **options: Any
    ) -> None:
        first, last = time
        if first is None or last is None:
            raise ConfigurationError("A Statistical API needs both ends of the time: --time 2024-04-01/2024-09-30.")
        whole_days((first, last))
        self.time = (first, last)
        self.profile = profile
        self.failed: dict[str, str] = {}
        clouds: Clouds | None = options.pop("clouds", None)
        is_l2a = "L2A" in str(options.get("data_collection", ""))
        self._options = options | {"clouds": clouds or ("SCL" if is_l2a else "CLM"), "profile": profile}
        self._request(quantities_of(["B04"]), ())  # which checks all of it
        self._host = host(load_credentials(profile).sh_base_url)
        hidden = {"CLM": "Shadows are not told apart.", "none": "No pixel counts as cloud."}
        self.notes = (_OF_A_SERVICE, *(text for name, text in hidden.items() if name == self._options["clouds"]))

    @property
    def title(self) -> str:
        """What it is."""
        return f"the Statistical API of {self._host}"

    def tables(
        self,
        polygons: Polygons,
        quantities: Sequence[Quantity],
        percentiles: Sequence[float],
        advance: Callable[[int, int], None],
    ) -> Iterator[pd.DataFrame]:
        """Tables, some polygons after the others; errors are those of `FieldStatisticsRequest.tables`."""
        request = self._request(quantities, percentiles)
        self.failed = {}

        def fail(index: int, why: str) -> None:
            self.failed[str(polygons.ids[index])] = why

        yield from request.tables(polygons, self.time, key=POLYGON, advance=advance, fail=fail)

    def _request(self, quantities: Sequence[Quantity], percentiles: Sequence[float]) -> FieldStatisticsRequest:
        return FieldStatisticsRequest(quantities, percentiles=percentiles, **self._options)
