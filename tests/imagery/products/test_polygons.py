"""GML masks of products up to baseline 03.xx."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eotasks.errors import ImageryError
from eotasks.imagery.files.folder import FolderFiles
from eotasks.imagery.products.polygons import read_polygons

SQUARE = "0 0 100 0 100 100 0 100 0 0"
HOLE = "20 20 40 20 40 40 20 40 20 20"


def gml(*features: str, crs: str = "urn:ogc:def:crs:EPSG::32633") -> str:
    members = "".join(f"<eop:maskMembers>{feature}</eop:maskMembers>" for feature in features)
    return (
        '<?xml version="1.0"?><eop:Mask xmlns:eop="http://www.opengis.net/eop/2.0"'
        ' xmlns:gml="http://www.opengis.net/gml/3.2">'
        f'<gml:boundedBy><gml:Envelope srsName="{crs}"><gml:lowerCorner>0 0</gml:lowerCorner></gml:Envelope>'
        f"</gml:boundedBy>{members}</eop:Mask>"
    )


def feature(exterior: str, *interiors: str, kind: str = "OPAQUE", dimension: str = "2") -> str:
    def ring(name: str, corners: str) -> str:
        return (
            f'<gml:{name}><gml:LinearRing><gml:posList srsDimension="{dimension}">{corners}</gml:posList>'
            f"</gml:LinearRing></gml:{name}>"
        )

    holes = "".join(ring("interior", corners) for corners in interiors)
    return (
        f'<eop:MaskFeature><eop:maskType codeSpace="urn:gs2:S2PDGS:maskType">{kind}</eop:maskType><eop:extentOf>'
        f"<gml:Polygon>{ring('exterior', exterior)}{holes}</gml:Polygon></eop:extentOf></eop:MaskFeature>"
    )


def read(folder: Path, content: str, crs: str = "EPSG:32633") -> list[tuple[str, float]]:
    """Kinds and areas."""
    (folder / "mask.gml").write_text(content)
    mask = read_polygons(FolderFiles(folder), "mask.gml", crs)
    assert mask.crs == crs
    return [(kind, area.area) for kind, area in mask.areas]


def test_polygons_with_holes_and_heights(tmp_path: Path) -> None:
    flat = feature(SQUARE, HOLE)
    high = feature("0 0 9 100 0 9 100 100 9 0 0 9", kind="CIRRUS", dimension="3")
    assert read(tmp_path, gml(flat, high)) == [("OPAQUE", 9600), ("CIRRUS", 5000)]


def test_no_polygons(tmp_path: Path) -> None:
    assert read(tmp_path, gml()) == []


def test_what_is_no_number_is_not_repeated_at_length(tmp_path: Path) -> None:
    with pytest.raises(ImageryError, match="no list of corners") as raised:
        read(tmp_path, gml(feature(f"0 0 1 0 {'x' * 100_000} 1 0 0")))
    assert len(str(raised.value)) < 1000


def test_a_ring_that_crosses_itself_is_mended(tmp_path: Path) -> None:
    assert read(tmp_path, gml(feature("0 0 100 100 100 0 0 100 0 0"))) == [("OPAQUE", 5000)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gml(crs="urn:ogc:def:crs:EPSG:8.9:32634"), "in EPSG:32634, the tile in EPSG:32633"),
        (gml(feature("0 0 1 0 1")), "no list of corners"),
        (gml(feature("0 0 1 0 one 1 0 0")), "no list of corners"),
        (gml(feature("0 0 1 0 0 0")), "a ring of 3 corners"),
        (gml(feature("0 0 1 0 nan 1 0 0")), "a ring of"),
        (gml(feature("")), "without corners"),
        (gml(feature(SQUARE, dimension="1")), "srsDimension 1"),
        (gml(feature(SQUARE, dimension="-2")), "srsDimension -2"),
        (gml(feature(SQUARE))[:-20], "cut off or no XML"),
        ("", "cut off or no XML"),
        ('<!DOCTYPE m [<!ENTITY a "b">]><m>&a;</m>', "declares a document type"),
        ('<!DOCTYPE m SYSTEM "file:///etc/passwd"><m/>', "declares a document type"),
    ],
)
def test_damaged(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(ImageryError, match=message) as raised:
        read(tmp_path, content)
    assert "mask.gml" in str(raised.value)
    assert "\n" not in str(raised.value)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 400), st.binary(min_size=1, max_size=4))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, start: int, noise: bytes) -> None:
    content = bytearray(gml(feature(SQUARE, HOLE)).encode())
    content[start : start + len(noise)] = noise
    folder = tmp_path_factory.mktemp("noise")
    (folder / "mask.gml").write_bytes(content)
    with contextlib.suppress(ImageryError):
        assert len(read_polygons(FolderFiles(folder), "mask.gml", "EPSG:32633").areas) <= 1
