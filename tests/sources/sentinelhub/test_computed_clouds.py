"""The Copernicus Data Space has no CLM and CLP: they are computed of the ten L1C bands."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

from eotasks.models.clouds.pixel import cloud_probability
from eotasks.models.sentinel2 import CLOUD_BANDS
from eotasks.sources.sentinelhub import DownloadBandsTask, account, download
from eotasks.sources.sentinelhub.clouds import MARGIN, coarse_area, to_area
from tests.builders.inputs.sentinelhub import YEAR
from tests.servers.made_service import MadeService


def test_copernicus_data_space_gets_its_clouds_computed(
    service: MadeService, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(account, "_COPERNICUS_HOST", "127.0.0.1")
    monkeypatch.setattr(download, "_warned", set())
    meadow = dict(zip(CLOUD_BANDS, (1200, 900, 600, 1000, 2800, 3000, 800, 15, 1500, 800), strict=True))
    spectra = {152: meadow, 157: dict.fromkeys(CLOUD_BANDS, 9000)}
    service.pixels = lambda band, x, y, day: np.full(
        np.broadcast_shapes(x.shape, y.shape), spectra[day][band], np.uint16
    )
    area = BBox((330_000, 5_814_360, 330_500, 5_814_760), CRS("EPSG:32633"))
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            patch = DownloadBandsTask(bands=["B02"]).execute(bbox=area, time_interval=YEAR)
    assert [record.getMessage() for record in caplog.records].count(
        "127.0.0.1 has no CLM and CLP: the ten L1C bands are downloaded at 160 m, and both are computed."
    ) == 1
    assert len(service.processes) == 2 * (2 + 2)
    names = [[each["identifier"] for each in payload["output"]["responses"]] for payload in service.processes]
    assert sorted(map(len, names)) == [2] * 4 + [11] * 4
    assert all("CLM" not in each for each in names)
    coarse = next(each for each in service.processes if len(each["output"]["responses"]) == 11)
    assert [each["identifier"] for each in coarse["output"]["responses"]] == [*CLOUD_BANDS, "dataMask"]
    left, bottom, right, top = coarse["input"]["bounds"]["bbox"]
    assert ((right - left) / 160, (top - bottom) / 160) == (coarse["output"]["width"], coarse["output"]["height"])
    assert patch.data["CLP"].dtype == np.float32
    assert patch.data["CLP"].shape == patch.mask["CLM"].shape == (2, 40, 50, 1)
    assert patch.mask["CLM"].dtype == np.uint8
    want = cloud_probability(np.array([list(each.values()) for each in spectra.values()], dtype=np.uint16))
    assert want[0] < 0.4 < want[1]
    np.testing.assert_array_equal(patch.data["CLP"][:, 0, 0, 0], want)
    np.testing.assert_array_equal(patch.mask["CLM"], np.broadcast_to([[[[0]]], [[[1]]]], (2, 40, 50, 1)))


@pytest.mark.parametrize(
    ("url", "serves"),
    [
        ("https://services.sentinel-hub.com", True),
        ("https://sh.dataspace.copernicus.eu", False),
        ("https://SH.Dataspace.Copernicus.EU:443/path", False),
        ("https://mydataspace.copernicus.eu", True),
        ("https://dataspace.copernicus.eu.example.org", True),
        ("http://127.0.0.1:8080", True),
    ],
)
def test_which_services_have_clouds_of_their_own(url: str, serves: bool) -> None:
    assert account.serves_clouds(url) is serves


def test_computed_clouds_lie_where_the_bands_do() -> None:
    """A pixel of 160 m is repeated over the 16 x 16 pixels of 10 m that it covers."""
    bbox, shape = coarse_area(BBox((330_000, 5_814_000, 330_500, 5_814_330), CRS("EPSG:32633")))
    assert shape == (3 + 2 * MARGIN, 4 + 2 * MARGIN)
    assert bbox.upper_right[1] == 5_814_330 + 160 * MARGIN
    values = np.arange(np.prod(shape)).reshape(1, *shape)
    (fine,) = to_area([values], BBox((330_000, 5_814_000, 330_500, 5_814_330), CRS("EPSG:32633")), (33, 50))
    inner = values[0, MARGIN:-MARGIN, MARGIN:-MARGIN]
    np.testing.assert_array_equal(fine[0], np.kron(inner, np.ones((16, 16), dtype=int))[:33, :50])
