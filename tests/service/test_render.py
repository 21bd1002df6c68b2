"""What a request may take, known before anything is read."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from eotasks.service.contract.area import OutputArea
from eotasks.service.contract.data import DataRequest
from eotasks.service.errors import TooLargeError
from eotasks.service.evalscript.setup import SampleType
from eotasks.service.evalscript.workers.sandbox import SandboxLimits
from eotasks.service.render import Renderer, RenderRequest
from tests.servers.service import FakeEngine, FakeReader, script

AREA = OutputArea("EPSG:32633", (500_000, 5_000_000, 500_400, 5_000_400), 40, 40)
DATA = DataRequest(
    collection="sentinel-2-l1c",
    start=dt.datetime.fromisoformat("2024-06-01"),
    end=dt.datetime.fromisoformat("2024-06-02"),
)


@pytest.mark.parametrize(
    ("outputs", "auto", "bytes_of_pixel"),
    [
        ([{"bands": 1}], SampleType.AUTO, 2 + 1),
        ([{"bands": 1}], SampleType.FLOAT32, 2 + 4),
        ([{"id": "a", "bands": 3, "sampleType": "UINT16"}, {"id": "b", "bands": 2}], SampleType.AUTO, 2 + 8),
    ],
)
def test_bands_and_outputs_count_together(outputs: list[dict[str, Any]], auto: SampleType, bytes_of_pixel: int) -> None:
    request = RenderRequest(script("B04", outputs=outputs), AREA, (DATA,), auto=auto)
    size = 40 * 40 * bytes_of_pixel

    assert Renderer(FakeEngine(), FakeReader(), size).render(request).images
    with pytest.raises(TooLargeError, match=f"{size:,} bytes, more than the {size - 1:,}"):
        Renderer(FakeEngine(), FakeReader(), size - 1).render(request)


def test_workers_have_the_pixels_of_a_request_on_top_of_the_heap_of_v8() -> None:
    for size in (1 << 26, 1 << 31):
        limits = SandboxLimits.for_pixels(size)
        assert limits.memory_bytes - limits.heap_bytes > size + (200 << 20)
