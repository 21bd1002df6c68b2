"""Field statistics of products: of a catalogue, an archive of masks, a STAC API or a list, read by window.

Frames pass one at a time. Each product of a frame is opened once, and of its pixels those windows are read that hold
fields: each once for all fields on it. So memory grows neither with the dates nor with the ground between the fields.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from eotasks.errors import AreaError, ConfigurationError, ImageryError, TooFewFramesError, message_of
from eotasks.imagery.files.signing import Modifier, modifier_of
from eotasks.imagery.grid import Grid
from eotasks.imagery.mosaic import MosaicOrder, check_order
from eotasks.imagery.pixels.resampling import ResamplingName, check_resampling
from eotasks.imagery.scene import Scene
from eotasks.models.clouds.frame import frame_probability
from eotasks.models.clouds.postprocess import mask_of
from eotasks.models.clouds.presets import mask_settings
from eotasks.models.clouds.scene_classification import SCL_CLOUD, mask_of_classes, scene_classes
from eotasks.models.sentinel2 import BANDS, CLOUD_BANDS, QUANTIFICATION, SceneClass
from eotasks.models.zonal import check_percentiles
from eotasks.sources.bbox import check_resolution
from eotasks.sources.field_windows import FieldWindow, windows_of
from eotasks.sources.frame_reading import MaskKind, SceneFrame, WantedOfFrame, read_frame
from eotasks.sources.frames import Candidate, candidates_of, group_frames, meets, open_candidates
from eotasks.sources.replacement import Choice, Replaced, choose_products
from eotasks.sources.scenes import FOOTPRINT_SLACK, L2A_BANDS, Level, SceneLocation, matching, source_of
from eotasks.zonal.frames import ZonalBlock, ZonalFrame, blocks_of, pixel_states
from eotasks.zonal.polygons import Polygons
from eotasks.zonal.quantities import Quantity, resolved, stacked
from eotasks.zonal.table import joined, long_table, rows_without_numbers, utc_times
from eotasks.zonal.vocabulary import AREA_PIXELS, ID, TIME, Over, Status

if TYPE_CHECKING:
    from eotasks.catalogue.api import StacApi
    from eotasks.catalogue.request import TimeInterval
    from eotasks.catalogue.store import Catalogue

Clouds = Literal["s2cloudless", "stored", "scl", "none"]
"""Who says what is cloud."""

CLOUD_RESOLUTION = 60.0
"""Metres at which clouds are found, where pixels are smaller: the bands that see the air have such pixels."""

_HOPELESS = 3
"""Frames at the beginning of which nothing can be read: then the rest would, too."""

_MARGIN = 240.0
"""Metres around fields that a mask looks at: its average, its growth and a cell of the model."""


class FieldProducts:
    """Products over fields, and what is asked of them."""

    def __init__(
        self,
        quantities: Sequence[Quantity],
        *,
        catalogue: Catalogue | StacApi | str | os.PathLike[str] | None = None,
        scenes: Sequence[SceneLocation] | None = None,
        masks: Mapping[str, Mapping[str, str]] | None = None,
        modifier: Modifier | str | None = None,
        level: Level = "L1C",
        clouds: Clouds = "s2cloudless",
        percentiles: Sequence[float] = (),
        resolution: float = 10,
        resampling: ResamplingName = "mean",
        maxcc: float = 1.0,
        time_difference: dt.timedelta = dt.timedelta(hours=2),
        mosaicking_order: MosaicOrder = "mostRecent",
        threads: int | None = None,
    ) -> None:
        """
        :param quantities: Bands and indices (`eotasks.zonal.quantities.quantities_of`).
        :param catalogue: A Catalogue, a StacApi, the file of a catalogue, the address of an API.
        :param scenes: Products instead of a catalogue: whatever `open_scene` reads, and folders of products.
        :param masks: For products of a list, their files of "CLM" and "SHADOW" by the product's name.
        :param modifier: Signs the addresses of STAC items, as of `LoadScenesTask`.
        :param level: "L1C" or "L2A".
        :param clouds: "s2cloudless" finds clouds in L1C (no shadows), "stored" takes CLM, and SHADOW where a product
            has it, that `eotasks cloud-mask` and `eotasks archive` made, "scl" the scene classification of L2A, "none"
            calls all clear.
        :param percentiles: 0..100, beside the median.
        :param resolution: Metres of a pixel, on whole multiples of which the pixels lie in the UTM zone of a field.
        :param resampling: "mean", "nearest", "bilinear", "cubic" or "fast", as of `LoadScenesTask`.
        :param maxcc: Greatest cloud coverage of a whole scene, 0..1, as its metadata says.
        :param time_difference: Products no further apart than this make one frame.
        :param mosaicking_order: Which product is on top where several overlap.
        :param threads: Files that are decoded at a time; None for the setting.
        :raises ConfigurationError: when an argument is not usable.
        :raises BandError: the level lacks a band.
        :raises MissingDependencyError: a catalogue needs packages that are not installed.
        """
        if level not in get_args(Level) or clouds not in get_args(Clouds):
            raise ConfigurationError(
                f"level={level!r}, clouds={clouds!r}: use {' or '.join(get_args(Level))}, and one of"
                f" {', '.join(get_args(Clouds))}."
            )
        if (clouds == "scl" and level != "L2A") or (clouds == "s2cloudless" and level != "L1C"):
            raise ConfigurationError(
                f"clouds={clouds!r} is not of {level}: s2cloudless needs the bands of L1C, scl comes with L2A."
            )
        check_resolution(resolution)
        check_resampling(resampling)
        check_order(mosaicking_order)
        if not 0 <= maxcc <= 1:
            raise ConfigurationError(f"maxcc={maxcc!r}: give a share from 0 to 1, such as 0.8.")
        if time_difference < dt.timedelta(0):
            raise ConfigurationError(f"time_difference={time_difference!r} is negative: give 0 or more.")
        there = BANDS if level == "L1C" else L2A_BANDS
        self.quantities = resolved(quantities, there, where=level)
        read = {band for each in self.quantities for band in each.bands}
        if clouds == "s2cloudless":
            read.update(CLOUD_BANDS)
        self.bands = tuple(band for band in there if band in read)
        self.catalogue, self.scenes = source_of(catalogue, scenes, modifier)
        self.masks = masks
        self.modifier = modifier_of(modifier)
        self.level: Level = level
        self.clouds: Clouds = clouds
        self.percentiles = check_percentiles(percentiles)
        self.resolution = float(resolution)
        self.resampling: ResamplingName = resampling
        self.maxcc = maxcc
        self.time_difference = time_difference
        self.mosaicking_order: MosaicOrder = mosaicking_order
        self.threads = threads

    @property
    def _cell(self) -> int:
        """Pixels along a side of the cells in which clouds are found."""
        return max(round(CLOUD_RESOLUTION / self.resolution), 1)

    def statistics(self, polygons: Polygons, time_interval: TimeInterval | None = None) -> pd.DataFrame:
        """The whole table in long form; see `tables`."""
        return joined(list(self.tables(polygons, time_interval)))

    def tables(
        self,
        polygons: Polygons,
        time_interval: TimeInterval | None = None,
        *,
        key: str = ID,
        advance: Callable[[int, int], None] | None = None,
        fail: Callable[[str, str], None] | None = None,
    ) -> Iterator[pd.DataFrame]:
        """The table in long form, frame after frame; rows without a time of fields that no product shows come last.

        :param time_interval: First and last day (or time, UTC); None for all.
        :param key: Column that says the polygon: ID has its id, `eotasks.zonal.table.POLYGON` its index.
        :param advance: Is told how many frames are done, of how many.
        :param fail: Is told the products of a frame that cannot be read, and why: the fields there have rows of
            `Status.FAILED` at its time, and other frames go on. Where nothing can be read of the first three, the error
            of the third is raised.
        :raises TooFewFramesError: no product lies over the fields.
        :raises AreaError: no polygon has an area, or none lies where products are.
        :raises GridError: a polygon has more pixels than a window may have.
        :raises ImageryError: a product is damaged, or lacks what is asked for.
        :warns ProductSkippedWarning: others show the same pixels, or items cannot be used.
        """
        names = [each.name for each in self.quantities]
        ids = polygons.ids if key == ID else np.arange(len(polygons))
        if not polygons.usable.size:
            raise AreaError("No polygon has an area: nothing to make statistics of.")
        margin, step = (_MARGIN, self._cell) if self.clouds == "s2cloudless" else (0.0, 1)
        windows = windows_of(polygons, self.resolution, margin=margin, step=step)
        if not windows:
            raise AreaError("No polygon lies where UTM zones are, between 80° south and 84° north: check their system.")
        choice = choose_products(self._candidates(windows, time_interval))
        groups = group_frames(choice.products, self.time_difference)
        if not groups:
            span = "at any time" if time_interval is None else f"from {time_interval[0]} to {time_interval[1]}"
            raise TooFewFramesError(
                f"No {self.level} product over the fields {span} with at most {self.maxcc:.0%} cloud. Widen the"
                " interval, raise maxcc, or add products to the catalogue."
            )
        hopeless = 0
        left_out, lost, seen = list[Replaced](), list[Replaced](), np.zeros(len(polygons), dtype=bool)
        for number, group in enumerate(groups):
            tables, wrong, read = list[pd.DataFrame](), None, False
            with _Opened() as opened:
                for window in windows:
                    try:
                        block = self._block(window, group, choice, opened, left_out, lost)
                    except ImageryError as error:
                        if fail is None:
                            raise
                        wrong = error
                        fail(", ".join(each.name for each in group), message_of(error))
                        seen[window.polygons] = True
                        tables.append(self._failed(window, group, ids, key))
                        continue
                    if block is not None:
                        read = True
                        seen[window.polygons] = True
                        tables.append(long_table(ids[window.polygons], block, names, self.percentiles, key=key))
            hopeless += wrong is not None and not read
            if wrong is not None and hopeless == number + 1 == _HOPELESS:
                raise wrong
            if tables:
                yield joined(tables)
            if advance is not None:
                advance(number + 1, len(groups))
        Choice((), _unique(left_out), _unique(lost)).warn()
        others = np.flatnonzero(~seen)
        if others.size:
            states = [polygons.unseen_state(int(each)) for each in others]
            yield rows_without_numbers(ids[others], states, names, self.percentiles, key=key)

    def _failed(self, window: FieldWindow, group: Sequence[Candidate], ids: NDArray[Any], key: str) -> pd.DataFrame:
        """Rows without numbers of the fields of a window, at the time of a frame."""
        names = [each.name for each in self.quantities]
        own = window.polygons
        table = rows_without_numbers(ids[own], [Status.FAILED] * len(own), names, self.percentiles, key=key)
        table[TIME] = utc_times([min(each.time for each in group)] * len(table))
        table[AREA_PIXELS] = np.repeat(window.pixels.areas, len(names) * len(Over))
        return table

    def _candidates(self, windows: Sequence[FieldWindow], interval: TimeInterval | None) -> list[Candidate]:
        """Products over the windows, looked for once for each coordinate system."""
        listed = None if self.scenes is None else open_candidates(self.scenes, self.masks, self.modifier)
        found: dict[tuple[str, str], Candidate] = {}
        for crs in dict.fromkeys(each.grid.crs for each in windows):
            left, bottom, right, top = np.array([each.grid.bounds for each in windows if each.grid.crs == crs]).T
            box = (
                left.min() - FOOTPRINT_SLACK, bottom.min() - FOOTPRINT_SLACK,
                right.max() + FOOTPRINT_SLACK, top.max() + FOOTPRINT_SLACK,
            )  # fmt: skip
            if listed is not None:
                here = matching(listed, bbox=box, crs=crs, time_interval=interval, level=self.level, maxcc=self.maxcc)
            else:
                items = self.catalogue.search(  # type: ignore[union-attr]  # one of the two is there: see source_of
                    bbox=box, crs=crs, time_interval=interval, max_cloud_cover=self.maxcc, level=self.level
                )
                here = candidates_of(items)
            found.update({(each.name, str(each.location)): each for each in here})
        return list(found.values())

    def _block(
        self,
        window: FieldWindow,
        group: Sequence[Candidate],
        choice: Choice,
        opened: _Opened,
        left_out: list[Replaced],
        lost: list[Replaced],
    ) -> ZonalBlock | None:
        """Statistics of the fields of a window in a frame; None where it has no data."""
        here = [opened.candidate(each) for each in group if meets(each, window.request)]
        if not here:
            return None
        replaced = [
            replace(each, product=opened.candidate(each.product))
            for each in choice.replaced
            if meets(each.product, window.request)
        ]
        wanted = self._wanted(here)
        frame = read_frame(here, window.grid, wanted, replaced=replaced, left_out=left_out, lost=lost)
        if frame is None:
            return None
        time = min(each.time for each in group)
        image = ZonalFrame(time, *self._values(frame, window.grid, f"{here[0].name} and what is beside it"))
        (block,) = blocks_of([image], window.pixels, percentiles=self.percentiles, most=1)
        return block

    def _wanted(self, group: Sequence[Candidate]) -> WantedOfFrame:
        masks: tuple[MaskKind, ...] = ()
        if self.clouds == "stored":
            masks = ("CLM", "SHADOW") if all("SHADOW" in each.masks for each in group) else ("CLM",)
        return WantedOfFrame(
            bands=self.bands, order=self.mosaicking_order, resampling=self.resampling, masks=masks,
            masks_are_catalogued=self.masks is None, classification=self.clouds == "scl", threads=self.threads,
        )  # fmt: skip

    def _values(self, frame: SceneFrame, grid: Grid, where: str) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
        """Values of the quantities (h, w, quantities), and what pixels show."""
        cloud, shadow = frame.clm, frame.shadow
        if self.clouds == "s2cloudless":
            cloud = self._found_clouds(frame, grid, where)
        elif frame.scl is not None:
            cloud = mask_of_classes(frame.scl, scene_classes(SCL_CLOUD), where=where)
            shadow = (frame.scl == SceneClass.CLOUD_SHADOW).astype(np.uint8)
        states = pixel_states(frame.is_data, cloud, shadow, grid.shape)
        planes = {
            band: frame.bands[..., index] / np.float32(QUANTIFICATION)
            for index, band in enumerate(self.bands)
            if any(band in each.bands for each in self.quantities)
        }
        return stacked(self.quantities, planes), states

    def _found_clouds(self, frame: SceneFrame, grid: Grid, where: str) -> NDArray[np.uint8]:
        size = (grid.down, grid.across)
        probability = frame_probability(
            frame.bands, frame.is_data, names=self.bands, pixel_size=size,
            resolution=self._cell * self.resolution if self._cell > 1 else None, check_bands=False,
            threads=self.threads, where=where,
        )  # fmt: skip
        settings = mask_settings("eo-learn", unit="metre")
        mask = mask_of(probability[np.newaxis], settings, pixel_size=size, valid=frame.is_data[np.newaxis], where=where)
        found: NDArray[np.uint8] = mask[0]
        return found


@dataclass(frozen=True)
class _Once(Candidate):
    """A product that is opened once, however many windows are read of it."""

    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack, repr=False, compare=False)
    """Closed when no window is read of it any more."""

    scenes: list[Scene] = field(default_factory=list, repr=False, compare=False)

    def open(self) -> Scene:
        """Its scene."""
        if not self.scenes:
            scene = super().open()
            self.stack.enter_context(scene.keeping())
            self.scenes.append(scene)
        return self.scenes[0]


class _Opened:
    """Products of a frame: each is opened once, and its small files are decoded once."""

    def __init__(self) -> None:
        self._candidates: dict[int, _Once] = {}
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> _Opened:
        return self

    def __exit__(self, *details: object) -> None:
        self._stack.close()

    def candidate(self, given: Candidate) -> Candidate:
        """The product, with a memory."""
        known = self._candidates.get(id(given))
        if known is None:
            facts = {each.name: getattr(given, each.name) for each in fields(Candidate)}
            known = self._candidates[id(given)] = _Once(**facts, stack=self._stack)
        return known


def _unique(replaced: Sequence[Replaced]) -> tuple[Replaced, ...]:
    return tuple({each.product.name: each for each in replaced}.values())
