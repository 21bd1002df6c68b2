"""Cloud shadows of xarray's bands."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from eotasks.models.clouds.shadows.angles import NADIR, shadow_shift
from eotasks.models.clouds.shadows.frame import (
    MethodName,
    ShadowMethod,
    clouds_and_ground,
    shadow_method,
    warn_untold,
)
from eotasks.models.clouds.shadows.frame import cloud_shadow as shadow_of_frame
from eotasks.models.clouds.shadows.light import light_bands
from eotasks.models.clouds.shadows.projection import ProjectionMethod, untold
from eotasks.models.clouds.validity import split_cloud_mask
from eotasks.xarray.bands.stack import Bands, BandStack, band_stack, bands_in
from eotasks.xarray.beside import array_on, is_data_of
from eotasks.xarray.chunks.blocks import Reader, map_frames
from eotasks.xarray.chunks.overlap import Reach
from eotasks.xarray.chunks.telling import warn_user
from eotasks.xarray.chunks.verdict import judged
from eotasks.xarray.grid import pixel_size_of, place_of
from eotasks.xarray.packages import is_lazy, xarray_package
from eotasks.xarray.sun import angles_of, sun_of

if TYPE_CHECKING:
    import xarray

ATTRIBUTES: dict[str, Any] = {
    "long_name": "cloud shadow",
    "flag_values": [0, 1, 255],
    "flag_meanings": "no_shadow shadow no_data",
    "nodata": 255,
}

_CLOUDS, _GROUND = np.uint8(1), np.uint8(2)


def cloud_shadow(
    data: xarray.Dataset | xarray.DataArray,
    cloud: xarray.DataArray,
    *,
    outlines: xarray.DataArray | None = None,
    sun: Sequence[float] | Sequence[Sequence[float]] | xarray.DataArray | None = None,
    view: Sequence[float] | Sequence[Sequence[float]] | xarray.DataArray = NADIR,
    method: MethodName | ShadowMethod = "geometric",
    bands: Bands | None = None,
    scale: float | None = None,
    offset: float | Sequence[float] | xarray.DataArray | None = None,
    items: Iterable[Any] | None = None,
    is_data: xarray.DataArray | None = None,
    check_bands: bool = True,
) -> xarray.DataArray:
    """Cloud shadows on the ground, from bands of L1C or L2A and a cloud mask.

    Lazy where the data is dask's. "geometric" compares all clouds and all ground of a frame, so a frame is brought
    together in one chunk: B02, B08, B11, and B03, B04 and B12 where they are there, and the masks. "projection" looks
    no farther than its distance, and works chunk by chunk with that margin. Both equal the result of whole frames. Of
    frames above 4,000,000 pixels "geometric" searches heights in cells of several pixels (60 m of a full tile), and
    throws outlines at full resolution.

    :param data: Bands, as ``cloud_probability`` takes them, B02, B08 and B11 among them. Where they are
        there, B03 tells turbid water from ground, and B03, B04 and B12 shade from dark ground.
    :param cloud: Cloud mask on the grid of the data: boolean, or 0 clear, 1 cloud, 255 no data.
    :param outlines: The same before it was dilated, which shadows are searched with: they have the outlines of their
        clouds. None: ``cloud`` itself.
    :param sun: Zenith and azimuth in degrees, azimuth clockwise from the grid's north and towards the sun: two numbers,
        or two a frame (t, 2). None: those of ``items``; else of the coordinates beside the times (stackstac); else they
        are computed from the times, which must be those of the acquisitions, and the place.
    :param view: The same of the sensor; the default looks straight down.
    :param method: "geometric" or "projection", or a ``GeometricMethod`` or ``ProjectionMethod`` with other settings.
    :param bands: This and ``scale``, ``offset``, ``items`` and ``is_data`` as ``cloud_probability`` takes them.
    :param check_bands: Whether frames of another scale are refused, by all their chunks.
    :return: uint8 with the data's dimensions, coordinates, CRS and attributes: 0 no shadow, 1 shadow on ground in view,
        255 no data. Clouds are 0.
    :raises GridError: data without coordinates and a CRS in metres, or a mask on another grid.
    :raises FeatureError: a mask or angles that are none.
    :raises EOTasksError: and those of ``cloud_probability``.
    :warns ShadowWarning: a frame has clouds whose shadows cannot be told, with the reason: once a frame and however it
        is chunked; when it is computed.
    """
    xarray_package()
    chosen = shadow_method(method)
    items = None if items is None else list(items)  # which bands and sun are both told by
    wanted = light_bands(bands_in(data, bands))
    stack = band_stack(data, wanted, bands=bands, scale=scale, offset=offset, items=items)
    layout = stack.layout
    masks = tuple(
        array_on(mask, layout, name) for name, mask in (("cloud", cloud), ("outlines", outlines)) if mask is not None
    )
    for name, mask in zip(("cloud", "outlines"), masks, strict=False):
        if not is_lazy(mask):
            split_cloud_mask(np.asarray(mask), where=name)
    work = _Shadow(
        stack.names,
        layout.where,
        tuple(layout.frame_names()),
        sun_of(sun, items, layout),
        angles_of(view, layout, "view"),
        pixel_size_of(layout, wanted_for="height of clouds"),
        chosen,
        place_of(layout).upwards,
    )
    present = is_data_of(is_data, layout)
    reader = Reader.of(stack, wanted)
    # blocks of whole frames tell of them; parts do not, of which one may hold the clouds and another the ground
    in_parts = isinstance(chosen, ProjectionMethod) and any(map(is_lazy, (*stack.arrays, *masks, present)))
    work = replace(work, tells=not in_parts)
    shadow = map_frames(
        work,
        stack,
        reader,
        is_data=present,
        others=masks,
        dtype=np.uint8,
        margins=_reach(chosen, work.pixel_size) if isinstance(chosen, ProjectionMethod) else None,
        whole_frames=not isinstance(chosen, ProjectionMethod),
    )
    if in_parts:
        shadow = _told_of_frames(shadow, work, stack, reader, masks, present)
    if check_bands:
        shadow = judged(shadow, stack, reader, is_data=present, cirrus=False)
    return layout.result(shadow, "SHADOW", ATTRIBUTES)


def _reach(method: ProjectionMethod, pixel_size: tuple[float, float]) -> Reach:
    """Rows and columns from which a cloud or the ground takes part in a pixel."""
    rows, columns = (
        math.ceil(method.distance / size) + int(method.erosion / size + 1) + int(method.dilation / size + 1) + 1
        for size in pixel_size
    )
    return rows, columns


@dataclass(frozen=True)
class _Shadow:
    """Shadow of a block of whole frames, or of one with margins."""

    names: tuple[str, ...]
    where: str
    frame_names: tuple[str, ...]
    sun: NDArray[np.float64]
    view: NDArray[np.float64]
    pixel_size: tuple[float, float]
    method: ShadowMethod
    upwards: bool
    tells: bool = True
    """Whether a block is a whole frame, and warns of it."""

    def __call__(
        self,
        frames: NDArray[np.intp],
        bands: NDArray[Any],
        valid: NDArray[np.bool_] | None,
        cloud: NDArray[Any],
        outlines: NDArray[Any] | None = None,
    ) -> NDArray[np.uint8]:
        result = np.empty(cloud.shape, dtype=np.uint8)
        down = slice(None, None, -1 if self.upwards else None)  # the method has north above
        for index, frame in enumerate(frames):
            result[index, down] = shadow_of_frame(
                bands[index, down],
                cloud[index, down],
                outlines=None if outlines is None else outlines[index, down],
                sun=self.sun[frame],
                view=self.view[frame],
                pixel_size=self.pixel_size,
                valid=None if valid is None else valid[index, down],
                names=self.names,
                method=self.method,
                check_bands=False,  # a block alone tells too little: see eotasks.xarray.chunks.verdict
                where=self.name_of(frame),
                tell=warn_user if self.tells else _say_nothing,
            )
        return result

    def name_of(self, frame: int) -> str:
        """What messages call a frame."""
        return f"{self.where}, {self.frame_names[frame]}"


def _say_nothing(*_: object) -> None:
    """Of parts of a frame."""


def _told_of_frames(
    shadow: Any, work: _Shadow, stack: BandStack, reader: Reader, masks: tuple[Any, ...], is_data: Any | None
) -> Any:
    """The same lazy result, whose user is warned of each frame that the projection can tell nothing of: once, by all
    its chunks.
    """
    import dask.array

    seen = map_frames(_Seen(work), stack, reader, is_data=is_data, others=masks, dtype=np.uint8, extent=(1, 1))
    numbers = dask.array.from_array(np.arange(len(work.frame_names)), chunks=(seen.chunks[0],))
    verdict = dask.array.blockwise(
        _Verdict(work), "t", numbers, "t", seen, "tpq", dtype=np.uint8, concatenate=True, meta=np.empty(0, np.uint8)
    )
    return dask.array.blockwise(_once_told, "tyx", shadow, "tyx", verdict, "t", dtype=shadow.dtype, meta=shadow._meta)


@dataclass(frozen=True)
class _Seen:
    """What a block has: clouds (1), ground beside them (2); (t, 1, 1)."""

    work: _Shadow

    def __call__(
        self,
        frames: NDArray[np.intp],
        bands: NDArray[Any],
        valid: NDArray[np.bool_] | None,
        cloud: NDArray[Any],
        outlines: NDArray[Any] | None = None,
    ) -> NDArray[np.uint8]:
        result = np.zeros((len(frames), 1, 1), dtype=np.uint8)
        for index, frame in enumerate(frames):
            clouds, ground = clouds_and_ground(
                bands[index],
                cloud[index],
                outlines=None if outlines is None else outlines[index],
                valid=None if valid is None else valid[index],
                names=self.work.names,
                where=self.work.name_of(frame),
            )
            result[index] = clouds * _CLOUDS | ground * _GROUND
        return result


@dataclass(frozen=True)
class _Verdict:
    """Warns of frames by what all their blocks have."""

    work: _Shadow

    def __call__(self, frames: NDArray[np.intp], seen: NDArray[np.uint8]) -> NDArray[np.uint8]:
        for frame, of_blocks in zip(frames, seen.reshape(len(frames), -1), strict=True):
            clouds, ground = ((of_blocks & each).any() for each in (_CLOUDS, _GROUND))
            if clouds:  # frames without any often have no angles either
                where = self.work.name_of(frame)
                sun, view, size = self.work.sun[frame], self.work.view[frame], self.work.pixel_size
                moves = shadow_shift(sun, view, pixel_size=size, where=where).any()
                warn_untold(untold(clouds=True, moves=bool(moves), ground=bool(ground)), where, warn_user)
        return np.zeros(len(frames), dtype=np.uint8)


def _once_told(shadow: NDArray[Any], _: NDArray[np.uint8]) -> NDArray[Any]:
    return shadow
