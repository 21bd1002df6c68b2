"""The cloud probability of mean spectra: that of s2cloudless for the mean, put beside each polygon and time."""

from __future__ import annotations

import numpy as np
import pytest
from s2cloudless import S2PixelCloudDetector

from eotasks.errors import BandError, GridError, ReflectanceError
from eotasks.models.sentinel2 import CLOUD_BANDS, band_indices
from eotasks.sources.sample import SAMPLE_BBOX, LoadSampleTask
from eotasks.zonal import spectrum
from eotasks.zonal.spectrum import mean_spectrum_probability, with_mean_spectrum_probability
from eotasks.zonal.table import joined, rows_without_numbers
from eotasks.zonal.vocabulary import MEAN_SPECTRUM_CLOUD_PROBABILITY, Status
from tests.builders.zonal.field_tables import dates, field_table


@pytest.fixture(scope="module")
def spectra() -> np.ndarray:
    """Means (36, 10) of squares of the embedded scene, clear and cloudy."""
    bands = LoadSampleTask(resolution=160).execute(bbox=SAMPLE_BBOX).data["BANDS"][0][..., band_indices(CLOUD_BANDS)]
    blocks = bands[:48, :96].reshape(6, 8, 6, 16, 10).astype(np.float64)
    return blocks.mean(axis=(1, 3)).reshape(-1, 10)


def test_equals_s2cloudless_on_the_means(spectra: np.ndarray) -> None:
    detector = S2PixelCloudDetector(all_bands=False, average_over=None, dilation_size=None)
    expected = detector.get_cloud_probability_maps(spectra[np.newaxis, np.newaxis])[0, 0]
    found = mean_spectrum_probability(spectra)
    np.testing.assert_allclose(found, expected, atol=1e-7)
    assert found.min() < 0.2 < 0.7 < found.max()  # clear ground and cloud


def test_unknown_means_have_none(spectra: np.ndarray) -> None:
    holes = spectra[:3].copy()
    holes[1, 4] = np.nan
    found = mean_spectrum_probability(holes)
    assert np.isnan(found).tolist() == [False, True, False]
    np.testing.assert_array_equal(found[[0, 2]], mean_spectrum_probability(spectra[[0, 2]]))


def test_the_column_is_of_polygon_and_time(spectra: np.ndarray) -> None:
    """Bands in any order, rows too; means over all pixels, not over clear ones."""
    order = [*CLOUD_BANDS[::-1], "NDVI"]
    means = np.concatenate([spectra[:6, ::-1], np.zeros((6, 1))], axis=1).reshape(2, 3, 11)
    cloud = np.array([[0, 0, 0], [0, 1.0, 0]])
    table = field_table(["a", "b"], order, means, cloud=cloud).sample(frac=1, random_state=2)
    found = with_mean_spectrum_probability(table)
    assert found.drop(columns=MEAN_SPECTRUM_CLOUD_PROBABILITY).equals(table)
    assert MEAN_SPECTRUM_CLOUD_PROBABILITY not in table
    by_date = found.groupby(["id", "time"])[MEAN_SPECTRUM_CLOUD_PROBABILITY]
    assert (by_date.nunique() == 1).all()
    expected = mean_spectrum_probability(spectra[:6])
    expected[4] = mean_spectrum_probability(np.zeros(10))  # all cloud: its mean over all pixels is 0 in the builder
    np.testing.assert_array_equal(by_date.first().to_numpy(), expected)


def test_what_is_predicted_are_the_rows_and_not_ids_by_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times of tables of several images differ by seconds: fields by times are far more than the rows."""
    means = np.full((1, 2, 10), 0.1)
    times = [dates(2, first=f"2024-03-{day:02}") for day in range(1, 10)]
    parts = [field_table([number], CLOUD_BANDS, means, times=each) for number, each in enumerate(times)]
    asked: list[int] = []

    def counting(spectra: np.ndarray) -> np.ndarray:
        asked.append(len(spectra))
        return mean_spectrum_probability(spectra)

    monkeypatch.setattr(spectrum, "mean_spectrum_probability", counting)
    assert with_mean_spectrum_probability(joined(parts))[MEAN_SPECTRUM_CLOUD_PROBABILITY].notna().all()
    assert asked == [9 * 2]


def test_rows_without_a_time_have_none() -> None:
    seen = field_table(["a"], CLOUD_BANDS, np.full((1, 1, 10), 0.1))
    outside = rows_without_numbers(np.array(["b", "c"], object), [Status.OUTSIDE, Status.EMPTY], CLOUD_BANDS, ())
    found = with_mean_spectrum_probability(joined([seen, outside])).groupby("id")[MEAN_SPECTRUM_CLOUD_PROBABILITY]
    assert found.count().to_dict() == {"a": 20, "b": 0, "c": 0}


def test_says_what_is_missing() -> None:
    table = field_table(["a"], CLOUD_BANDS[:9], np.full((1, 2, 9), 0.1))
    with pytest.raises(BandError, match="rows of B12 over all pixels"):
        with_mean_spectrum_probability(table)
    with pytest.raises(GridError, match="10 bands"):
        mean_spectrum_probability(np.zeros((3, 13)))
    with pytest.raises(ReflectanceError, match="mean spectra"):
        mean_spectrum_probability(np.full((3, 10), 1234.0))
