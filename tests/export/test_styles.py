"""Styles of QGIS, and classes that are transparent: what QGIS and GDAL read of them."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import rasterio
from eolearn.core import EOPatch, FeatureType
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

from eotasks.errors import ConfigurationError
from eotasks.export.cog import write_cog
from eotasks.export.styles import class_style, ramp_style, style_name, write_style
from eotasks.export.tasks import ExportCogTask
from eotasks.models.classes import SLOVENIAN_CLASSES, ClassTable, LandCoverClass
from eotasks.storage.place import Place

CLASSES = ClassTable((LandCoverClass(0, "Clear & <fine>", "#d9e3d4"), LandCoverClass(2, "Cloud", "#e69f00")))


def renderer_of(style: bytes) -> ET.Element:
    found = ET.fromstring(style).find("pipe/rasterrenderer")
    assert found is not None
    return found


def test_classes() -> None:
    renderer = renderer_of(class_style(CLASSES, transparent=(0,)))
    assert (renderer.get("type"), renderer.get("band"), renderer.get("opacity")) == ("paletted", "1", "1")
    assert [entry.attrib for entry in renderer.findall("colorPalette/paletteEntry")] == [
        {"value": "0", "color": "#d9e3d4", "alpha": "0", "label": "Clear & <fine>"},
        {"value": "2", "color": "#e69f00", "alpha": "255", "label": "Cloud"},
    ]


def test_a_quantity() -> None:
    renderer = renderer_of(
        ramp_style([(0, "#ffffff", 0, "0 %"), (0.4, "#ff0000", 128, "40 %"), (1, "#000000", 255, "1")])
    )
    assert renderer.get("type") == "singlebandpseudocolor"
    assert (renderer.get("classificationMin"), renderer.get("classificationMax")) == ("0", "1")
    items = renderer.findall("rastershader/colorrampshader/item")
    assert [(item.get("value"), item.get("alpha")) for item in items] == [("0", "0"), ("0.4", "128"), ("1", "255")]


@pytest.mark.parametrize(
    ("raster", "style"),
    [("a.tif", "a.qml"), ("x/a.b.tif", "x/a.b.qml"), ("x.y/a", "x.y/a.qml"), ("a b_CLM.tif", "a b_CLM.qml")],
)
def test_its_name_is_that_of_the_raster(raster: str, style: str) -> None:
    assert style_name(raster) == style


def test_written_beside(tmp_path: Path) -> None:
    assert write_style(str(tmp_path / "a.tif"), class_style(CLASSES)) == str(tmp_path / "a.qml")
    assert (tmp_path / "a.qml").read_bytes() == class_style(CLASSES)


def test_transparent_classes(tmp_path: Path) -> None:
    values = np.array([[0, 2], [255, 2]], dtype=np.uint8)
    options = {"crs": "EPSG:32633", "bounds": (0, 0, 20, 20), "classes": CLASSES, "nodata": 255}
    for name, transparent in (("opaque", ()), ("clear", (0,))):
        write_cog(str(tmp_path / f"{name}.tif"), values, transparent=transparent, **options)
    with rasterio.open(tmp_path / "clear.tif") as dataset:
        colors = dataset.colormap(1)
        assert colors[0][3] == 0
        assert colors[2] == (230, 159, 0, 255)
        np.testing.assert_array_equal(dataset.read(1), values)
        assert dataset.nodata == 255
    with rasterio.open(tmp_path / "opaque.tif") as dataset:
        assert dataset.colormap(1)[0][3] == 255
    assert (tmp_path / "opaque.tif").read_bytes() == (tmp_path / "clear.tif").read_bytes()
    assert b"ColorTable" not in (tmp_path / "opaque.tif.aux.xml").read_bytes()


def test_beside_the_map_of_a_patch(tmp_path: Path) -> None:
    patch = EOPatch(bbox=BBox((0, 0, 20, 20), CRS("EPSG:32633")))
    patch[FeatureType.MASK_TIMELESS, "MAP"] = np.ones((2, 2, 1), dtype=np.uint8)
    task = ExportCogTask(
        (FeatureType.MASK_TIMELESS, "MAP"), folder=Place(tmp_path), classes=SLOVENIAN_CLASSES, style=True
    )
    task.execute(patch, name="p")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p_MAP.qml", "p_MAP.tif", "p_MAP.tif.aux.xml"]
    with pytest.raises(ConfigurationError, match="give classes"):
        ExportCogTask((FeatureType.MASK_TIMELESS, "MAP"), folder=tmp_path, style=True)
