"""Vector files by hand, of formats that GDAL reads and does not always write."""

from __future__ import annotations

KML = """<?xml version="1.0" encoding="UTF-8"?>
<!-- by hand -->
<kml xmlns="http://www.opengis.net/kml/2.2"><Document><Placemark><name>a</name><Polygon><outerBoundaryIs><LinearRing>
<coordinates>12,52 12.1,52 12.1,52.1 12,52.1 12,52</coordinates>
</LinearRing></outerBoundaryIs></Polygon></Placemark></Document></kml>
"""
