"""Scripts that layers stand for: the engine runs them, and they say what pixels count."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import numpy as np
import pytest

from eotasks.service.contract.layers import LAYERS, layer_of
from eotasks.service.errors import NotFoundError
from eotasks.service.evalscript.isolate import Isolate
from eotasks.service.evalscript.planes import Pixels, Plane, SceneInfo, SourcePixels
from eotasks.service.evalscript.setup import InputBand, SampleType
from eotasks.service.pixels.collections import COLLECTIONS
from eotasks.service.statistics.channels import MASK_SCRIPT

DAY = dt.datetime.fromisoformat("2019-06-01T10:10:00")
SCRIPTS = {name: layer.script for name, layer in LAYERS.items() if layer.script is not None} | {"mask": MASK_SCRIPT}


@pytest.fixture(scope="module")
def engine() -> Iterator[Isolate]:
    with Isolate() as isolate:
        yield isolate


def pixels(**bands: list[float]) -> Pixels:
    """A row of pixels."""
    planes = tuple(Plane(name, np.array([[values]], dtype=np.float32)) for name, values in bands.items())
    source = SourcePixels((SceneInfo(DAY, DAY, ()),), planes)
    return Pixels(1, len(next(iter(bands.values()))), (source,))


@pytest.mark.parametrize("name", SCRIPTS)
def test_bands_exist_and_the_mask_is_there(engine: Isolate, name: str) -> None:
    setup = engine.describe(SCRIPTS[name]).setup
    (declared,) = setup.inputs
    collection = COLLECTIONS[LAYERS[name].collection if name in LAYERS else "sentinel-2-l1c"]
    collection.checked(declared.bands)
    assert InputBand("dataMask") in [InputBand(band.name) for band in declared.bands]
    assert [output.bands for output in setup.outputs if output.id == "dataMask"] == [("B0",)]


def test_ndvi(engine: Isolate) -> None:
    row = pixels(B04=[0.1, 0, 0.3], B08=[0.3, 0, 0.3], dataMask=[1, 1, 0])
    images = engine.evaluate(SCRIPTS["NDVI"], row, auto=SampleType.FLOAT32).images
    np.testing.assert_allclose(images["default"][0, :, 0], [0.5, 0, 0], atol=1e-7)
    assert images["dataMask"][0, :, 0].tolist() == [1, 0, 0]


def test_clouds(engine: Isolate) -> None:
    row = pixels(CLM=[0, 1, 255, 1], CLP=[0, 255, 0, 51], dataMask=[1, 1, 1, 0])
    images = engine.evaluate(SCRIPTS["CLOUDS"], row).images
    np.testing.assert_allclose(images["default"][0], [[0.0, 0.0], [1.0, 1.0], [255.0, 0.0], [1.0, 0.2]], atol=1e-7)
    assert images["dataMask"][0, :, 0].tolist() == [1, 1, 0, 0]


def test_names_in_any_case() -> None:
    assert layer_of("ndvi") is LAYERS["NDVI"]
    with pytest.raises(NotFoundError, match="NDVI"):
        layer_of("NDWI")
