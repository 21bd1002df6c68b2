"""One cloud probability for a whole polygon, from the mean of its spectra.

The maintainers of s2cloudless say that its model can be asked for the mean spectrum of a polygon
(sentinel-hub/sentinel2-cloud-detector, issue 30): a prediction for each polygon and date instead of one for each pixel.
It is no cloud fraction: a field that is partly cloud has one mixed spectrum, and what that of half a cloud is called
depends on the cloud and on the size of the field. So it stands beside the fraction of pixels and does not replace it.
How both agree is measured by ``python -m tests.benchmarks.fields.spectrum``.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from eotasks.errors import BandError, GridError
from eotasks.models.clouds.pixel import cloud_probability
from eotasks.models.sentinel2 import CLOUD_BANDS
from eotasks.zonal.vocabulary import BAND, ID, MEAN, MEAN_SPECTRUM_CLOUD_PROBABILITY, OVER, TIME, Over


def mean_spectrum_probability(means: NDArray[np.floating], *, where: str = "mean spectra") -> NDArray[np.float64]:
    """Cloud probability of mean spectra.

    Means of float64 are predicted in float64: the model's thresholds are met as they are.

    :param means: (..., 10) L1C reflectance (1.0 = 100 %), the offset of the baseline removed, in the order of
        `CLOUD_BANDS`; means over all pixels with data, clouds too.
    :param where: What they are, for messages.
    :return: float64 (...), 0..1; NaN where a band is NaN.
    :raises GridError: another number of bands.
    :raises ReflectanceError: numbers that are no reflectance.
    """
    if means.ndim < 1 or means.shape[-1] != len(CLOUD_BANDS):
        raise GridError(f"{where}: shape {means.shape}, where the last axis has to be {len(CLOUD_BANDS)} bands.")
    known = ~np.isnan(means).any(axis=-1)
    probability = np.full(known.shape, np.nan)
    # check_bands: rows of means are no picture of the ground, in which bands would show each other's likeness
    probability[known] = cloud_probability(means[known], bands=CLOUD_BANDS, check_bands=False, where=where)
    return probability


def with_mean_spectrum_probability(table: pd.DataFrame) -> pd.DataFrame:
    """A table of field statistics with the column of `MEAN_SPECTRUM_CLOUD_PROBABILITY`.

    :param table: Long form, with rows of the ten bands of L1C reflectance over all pixels.
    :return: A new table, its rows in the same order.
    :raises BandError: one of the ten bands has no row.
    :raises ReflectanceError: means that are no reflectance.
    """
    is_over_all = table[OVER].astype(str) == Over.ALL
    over_all = table[is_over_all]
    there = set(over_all[BAND].astype(str))
    missing = [band for band in CLOUD_BANDS if band not in there]
    if missing:
        raise BandError(
            f"The probability of mean spectra needs rows of {', '.join(missing)} over all pixels: ask for statistics of"
            f" {', '.join(CLOUD_BANDS)} of L1C."
        )
    # numbered, since a table of ids by times would be far larger than what there is; -1 without a time
    dates = table.groupby([ID, TIME], sort=False, observed=True).ngroup().fillna(-1).to_numpy(np.intp)
    spectra = np.full((int(dates.max()) + 1, len(CLOUD_BANDS)), np.nan)
    places = pd.Index(CLOUD_BANDS).get_indexer(pd.Index(over_all[BAND].astype(str)))
    rows = dates[is_over_all.to_numpy()]
    counts = (places >= 0) & (rows >= 0)
    spectra[rows[counts], places[counts]] = over_all[MEAN].to_numpy(np.float64)[counts]
    found = np.append(mean_spectrum_probability(spectra), np.nan)  # the last one is of -1
    return table.assign(**{MEAN_SPECTRUM_CLOUD_PROBABILITY: found[dates]})
