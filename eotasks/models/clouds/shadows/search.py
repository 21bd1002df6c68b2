"""The clouds of a frame as objects, and what lies under them when they are moved to where their shadows could be."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from eotasks.models.clouds.shadows.angles import mean_shift, object_shifts
from eotasks.models.rasters import shifted

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
Indices = NDArray[np.int32]

_TOUCHING = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True)
class Sums:
    """Over the witnesses that a moved cloud covers; (heights, clouds)."""

    pixels: Floats
    """Their number."""

    sunlight: Floats
    """The sum of their sunlight."""


@dataclass(frozen=True)
class Clouds:
    """The clouds of a frame and the pixels they are made of."""

    labels: NDArray[np.int32]
    """(h, w) 0 for none, 1..count."""

    valid: Mask
    """(h, w) data."""

    shifts: Floats
    """(count, 2) rows and columns to the shadow, per metre of height."""

    mean_shift: Floats
    """(2,) over the frame."""

    rows: Indices
    """(pixels,) of cloud."""

    columns: Indices
    owners: Indices
    """(pixels,) index of the cloud, 0..count-1."""

    weights: Floats
    """(pixels,) how many pixels of the cloud each stands for."""

    sizes: NDArray[np.int64]
    """(count,) pixels of a cloud."""

    @property
    def count(self) -> int:
        """Number of clouds."""
        return len(self.sizes)

    @property
    def cover(self) -> float:
        """Share of the data that they are."""
        return float(self.sizes.sum() / max(np.count_nonzero(self.valid), 1))

    def sample(self, pixels: int) -> Clouds:
        """The same clouds by about so many of their pixels: every n-th of the large ones, all of the small ones."""
        if len(self.rows) <= pixels:
            return self
        stride = -(-self.sizes // _fair_share(self.sizes, pixels))
        order = np.argsort(self.owners, kind="stable")
        place = np.empty(len(order), dtype=np.int64)
        place[order] = np.arange(len(order)) - np.repeat(np.cumsum(self.sizes) - self.sizes, self.sizes)
        kept = place % stride[self.owners] == 0
        owners = self.owners[kept]
        weights = (self.sizes / np.maximum(np.bincount(owners, minlength=self.count), 1))[owners]
        return replace(self, rows=self.rows[kept], columns=self.columns[kept], owners=owners, weights=weights)

    def origin_known(self, height: float) -> Mask:
        """(h, w) True where a cloud of that height that shades the pixel would lie on data of this image."""
        rows, columns = (np.rint(height * self.mean_shift)).astype(int)
        return shifted(self.valid, int(rows), int(columns))


def clouds_of(cloud: Mask, valid: Mask, shift: Floats, *, touched: Mask | None = None, where: str) -> Clouds:
    """The clouds of a mask.

    :param touched: (h, w) cells in which any cloud lies, of a mask whose cells are cloud as a whole: what touches here
        is one cloud. None: the mask itself.
    :raises FeatureError: angles that are not known anywhere.
    """
    labels, count = ndimage.label(cloud if touched is None else touched, structure=_TOUCHING, output=np.int32)
    rows, columns = (index.astype(np.int32) for index in np.nonzero(cloud))
    owners = labels[rows, columns] - np.int32(1)
    return Clouds(
        labels=labels,
        valid=valid,
        shifts=object_shifts(shift, labels, count, where=where),
        mean_shift=mean_shift(shift, where=where),
        rows=rows,
        columns=columns,
        owners=owners,
        weights=np.ones(len(rows)),
        sizes=np.bincount(owners, minlength=count),
    )


def _fair_share(sizes: NDArray[np.int64], pixels: int) -> int:
    """The size to which the larger clouds are cut down so that all together have about so many pixels."""
    ascending = np.sort(sizes)
    rest = pixels - np.concatenate([[0], np.cumsum(ascending)[:-1]])
    shares = rest // np.arange(len(sizes), 0, -1)
    first_cut = int(np.argmax(ascending > shares))
    return max(int(shares[first_cut]), 1)


def sums_at(
    clouds: Clouds,
    heights: Floats,
    sunlight: NDArray[np.float32],
    witnesses: Mask,
    *,
    owners: Indices | None = None,
) -> Sums:
    """What every cloud covers at every height.

    :param heights: (n, count) metres.
    :param sunlight: (h, w).
    :param witnesses: (h, w) the ground that counts.
    :param owners: (h, w) index of the only cloud that a pixel counts for, -1 for all.
    """
    shape = (len(heights), clouds.count)
    sums = Sums(np.zeros(shape), np.zeros(shape))
    values, counts = np.where(witnesses, sunlight, np.float32(0)).ravel(), witnesses.ravel()
    reserved = None if owners is None else owners.ravel()
    for index, height in enumerate(heights):
        pixels, inside = _targets(clouds, height)
        seen = counts[pixels]
        who = clouds.owners[inside]
        if reserved is not None:
            seen &= (reserved[pixels] < 0) | (reserved[pixels] == who)
        pixels, who = pixels[seen], who[seen]
        weights = clouds.weights[inside][seen]
        sums.pixels[index] = np.bincount(who, weights=weights, minlength=clouds.count)
        sums.sunlight[index] = np.bincount(who, weights=weights * values[pixels], minlength=clouds.count)
    return sums


def known_ground(clouds: Clouds, heights: Floats, sunlight: NDArray[np.float32], ground: Mask, sample: int) -> Sums:
    """Over the ground that no cloud outside of the image can shade, at every height; (heights,) each."""
    rows, columns = np.nonzero(ground)
    stride = max(1, len(rows) // sample)
    rows, columns = rows[::stride], columns[::stride]
    weight = np.count_nonzero(ground) / max(len(rows), 1)
    values = sunlight[rows, columns].astype(np.float64)
    height_of_image, width = clouds.valid.shape
    sums = Sums(np.zeros(len(heights)), np.zeros(len(heights)))
    for index, height in enumerate(heights):
        down, right = np.rint(height * clouds.mean_shift).astype(int)
        from_rows, from_columns = rows - down, columns - right
        inside = (from_rows >= 0) & (from_rows < height_of_image) & (from_columns >= 0) & (from_columns < width)
        inside[inside] = clouds.valid[from_rows[inside], from_columns[inside]]
        sums.pixels[index] = np.count_nonzero(inside) * weight
        sums.sunlight[index] = values[inside].sum() * weight
    return sums


def landed(clouds: Clouds, heights: Floats) -> Indices:
    """(h, w) index of the cloud whose shadow a pixel takes at these heights (count,), -1 for none."""
    owners = np.full(clouds.labels.shape, -1, dtype=np.int32)
    pixels, inside = _targets(clouds, heights)
    owners.ravel()[pixels] = clouds.owners[inside]
    return owners


def thrown(clouds: Clouds, heights: Floats) -> Mask:
    """(h, w) the shadows of all clouds at these heights (count,); a cloud of height NaN throws none."""
    shadow = np.zeros(clouds.labels.shape, dtype=bool)
    matched = np.isfinite(heights)[clouds.owners]
    some = replace(clouds, rows=clouds.rows[matched], columns=clouds.columns[matched], owners=clouds.owners[matched])
    pixels, _ = _targets(some, np.nan_to_num(heights))
    shadow.ravel()[pixels] = True
    return shadow


def _targets(clouds: Clouds, heights: Floats) -> tuple[NDArray[np.int64], Mask]:
    """Flat indices of the pixels under the moved clouds, and which cloud pixels stay inside of the image."""
    height, width = clouds.labels.shape
    moves = np.rint(clouds.shifts * heights[:, None]).astype(np.int64)
    rows = clouds.rows + moves[clouds.owners, 0]
    columns = clouds.columns + moves[clouds.owners, 1]
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    return rows[inside] * width + columns[inside], inside
