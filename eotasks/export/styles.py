"""Styles of QGIS: a NAME.qml beside NAME.tif is how QGIS shows the layer when it is opened.

Only what is needed to show a band is in it; QGIS fills in the rest. Elements and attributes are those of QGIS 3
(`QgsPalettedRasterRenderer`, `QgsSingleBandPseudoColorRenderer` and their `writeXml`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from xml.etree import ElementTree as ET

from eotasks.models.classes import ClassTable
from eotasks.storage.location import Location
from eotasks.storage.place import place_of

QGIS_VERSION = "3.22"
"""The form that is written; later releases read it."""

_HEADER = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"

RampStop = tuple[float, str, int, str]
"""A value, its colour as ``#rrggbb``, its opacity 0..255, and its label."""


def class_style(classes: ClassTable, *, transparent: Collection[int] = ()) -> bytes:
    """The style of a map of classes.

    :param transparent: Ids whose pixels let through what lies beneath.
    """
    root, renderer = _renderer("paletted")
    palette = ET.SubElement(renderer, "colorPalette")
    for item in sorted(classes, key=lambda each: each.id):
        alpha = "0" if item.id in transparent else "255"
        ET.SubElement(palette, "paletteEntry", value=str(item.id), color=item.color, alpha=alpha, label=item.name)
    return _document(root)


def ramp_style(stops: Sequence[RampStop]) -> bytes:
    """The style of a quantity: colours between stops are interpolated.

    :param stops: By rising value, in the unit that QGIS shows: with the scale of the band.
    """
    low, high = f"{stops[0][0]:g}", f"{stops[-1][0]:g}"
    root, renderer = _renderer("singlebandpseudocolor", classificationMin=low, classificationMax=high)
    shader = ET.SubElement(ET.SubElement(renderer, "rastershader"), "colorrampshader")
    shader.attrib |= {
        "colorRampType": "INTERPOLATED",
        "classificationMode": "1",
        "clip": "0",
        "minimumValue": low,
        "maximumValue": high,
    }
    for value, color, alpha, label in stops:
        ET.SubElement(shader, "item", value=f"{value:g}", color=color, alpha=str(alpha), label=label)
    return _document(root)


def write_style(path: Location, style: bytes) -> str:
    """Write a style beside a raster, under the name that QGIS looks for.

    :param path: The raster, on disk or ``s3://bucket/key``.
    :return: Where it is.
    :raises StorageError: when it cannot be written.
    """
    place, name = place_of(path)
    file = style_name(name)
    place.write_bytes(file, style)
    return f"{place}/{file}"


def style_name(raster: str) -> str:
    """The name of the style of a raster: ``a.qml`` for ``a.tif``."""
    folder, slash, name = raster.rpartition("/")
    stem = name.rpartition(".")[0] or name
    return f"{folder}{slash}{stem}.qml"


def _renderer(kind: str, **attributes: str) -> tuple[ET.Element, ET.Element]:
    root = ET.Element("qgis", version=QGIS_VERSION, styleCategories="Symbology")
    common = {"type": kind, "band": "1", "opacity": "1", "alphaBand": "-1", "nodataColor": ""}
    renderer = ET.SubElement(ET.SubElement(root, "pipe"), "rasterrenderer", common | attributes)
    ET.SubElement(renderer, "rasterTransparency")
    return root, renderer


def _document(root: ET.Element) -> bytes:
    ET.indent(root)
    return _HEADER.encode() + bytes(ET.tostring(root, encoding="utf-8")) + b"\n"
