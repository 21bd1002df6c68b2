"""Field statistics of a simulated year over the embedded scene, whose clouds and shadows are known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from eotasks.errors import ConfigurationError
from eotasks.models.sentinel2 import BANDS
from eotasks.models.simulation.year import SimulationSettings, acquisition_times, simulate
from eotasks.sources.bbox import grid_of_bbox
from eotasks.sources.sample import SAMPLE_BBOX
from eotasks.sources.simulated import SimulateYearTask, sample_ground
from eotasks.workflows.zonal_stats.sources.base import ImagePlace, Window
from eotasks.workflows.zonal_stats.sources.images.interval import moments_of
from eotasks.workflows.zonal_stats.sources.vocabulary import ACQUISITIONS, RESOLUTION
from eotasks.zonal.frames import ZonalFrame, pixel_states
from eotasks.zonal.quantities import Quantity, resolved, stacked

SIDE = 384
"""Pixels of a place, both ways, at most: at 20 m two make the embedded scene, at 10 m eight."""


class SimulatedSource:
    """A simulated year, with the masks of the simulation itself: cloud and cirrus are cloud.

    :param seed: The same seed gives the same values.
    :param acquisitions: Dates, spread evenly over the year.
    :param resolution: Metres of a pixel: 10, 20, 40, 60, 80 or 160.
    :param time: First and last day (or time, UTC) that is simulated of them, ISO 8601 or None.
    :raises ConfigurationError: when these are none.
    """

    simulated = True
    notes: Sequence[str] = ("Simulated data: these numbers say nothing about fields.",)

    def __init__(
        self,
        *,
        seed: int = 42,
        acquisitions: int = ACQUISITIONS,
        resolution: float = RESOLUTION,
        time: tuple[str | None, str | None] = (None, None),
    ) -> None:
        checked = SimulateYearTask(seed=seed, acquisitions=acquisitions, resolution=resolution)
        self.settings: SimulationSettings = checked.settings
        self.resolution = float(resolution)
        first, last = time
        start, end = moments_of(first, last)
        times = acquisition_times(self.settings)
        self.indices = [
            index
            for index, when in enumerate(times)
            if (start is None or when >= start) and (end is None or when <= end)
        ]
        if not self.indices:
            raise ConfigurationError(
                f"No date of the simulated year {times[0]:%Y} lies from {first or 'the beginning'} to"
                f" {last or 'the end'}."
            )

    @property
    def title(self) -> str:
        """What it is."""
        return f"simulated year {self.settings.year}, seed {self.settings.seed}, {self.resolution:g} m"

    def places(self, quantities: Sequence[Quantity]) -> Sequence[ImagePlace]:
        """Parts of the embedded scene, from the north-west.

        :raises BandError: a quantity needs a band that Sentinel-2 has not.
        """
        resolved(quantities, BANDS, where="the simulated year")
        whole = grid_of_bbox(SAMPLE_BBOX, self.resolution)
        rows, columns = _steps(whole.height), _steps(whole.width)
        return [
            ImagePlace(f"simulated_{row.start}_{column.start}", whole.part(row, column))
            for row in rows
            for column in columns
        ]

    def frames(
        self, place: ImagePlace, quantities: Sequence[Quantity], window: Window | None = None
    ) -> Iterator[ZonalFrame]:
        """Images of a part."""
        ground = sample_ground(self.resolution, self.settings.seed)
        chosen = resolved(quantities, BANDS, where="the simulated year")
        times = acquisition_times(self.settings)
        grid = place.grid if window is None else place.grid.part(*window)
        for index in self.indices:
            frame = simulate(ground, self.settings, index, grid.left, grid.top, grid.height, grid.width)
            planes = {name: frame.bands[..., band] for band, name in enumerate(BANDS)}
            states = pixel_states(frame.is_data, frame.cloud | frame.cirrus, frame.shadow, (grid.height, grid.width))
            yield ZonalFrame(times[index], stacked(chosen, planes), states)


def _steps(size: int) -> list[slice]:
    return [slice(start, min(start + SIDE, size)) for start in range(0, size, SIDE)]
