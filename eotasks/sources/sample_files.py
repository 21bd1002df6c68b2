"""Where the embedded sample lies. Apart from the task that loads it: a path needs no eo-learn, which takes a second."""

from __future__ import annotations

from pathlib import Path

SAMPLE_NAME = "T33UUU_20170216"


def sample_path() -> Path:
    """Folder of the embedded acquisition."""
    return Path(__file__).parent / "data" / SAMPLE_NAME


def sample_reference_path() -> Path:
    """GeoPackage of the land use (layer ``landuse``: osm_id, fclass, name; EPSG:32633) from OpenStreetMap.

    604 polygons that overlap and cover about a third of the ground; ``fclass`` is forest, farm, meadow, grass, scrub,
    wetland, residential or water.
    """
    return sample_path() / "landuse.gpkg"
