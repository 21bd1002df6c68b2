"""A full-size L1C product for measurements: the embedded scene repeated over a tile, as the ground segment packs one.

Bands are lossless JP2 (reversible 5/3 wavelet) laid out as those of real products, of which 56 were looked at: tiles of
1024 pixels at 10 m, 640 at 20 m, 192 at 60 m, five resolutions, precincts of 256 pixels (60 m: 128, with code-blocks of
16), packets in the order LRCP, one layer, one tile-part a tile, PLT in each and no TLM. Baseline 05.10: the numbers
carry the offset of 1000, detector footprints are images. The metadata is complete for what a reader needs, and says
that it is made. Nobody should take it for an acquisition: its ground repeats every 15.36 km by 7.68 km.
"""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.transform import Affine
from rasterio.warp import transform

from eotasks.models.sentinel2 import BANDS, BASELINE_OFFSET, NATIVE_RESOLUTION, QUANTIFICATION, SATURATED_DN
from eotasks.sources.sample import sample_path

NAME = "S2A_MSIL1C_20170216T102101_N0510_R065_T33UUU_20231101T000000"
GRANULE = "L1C_T33UUU_A008642_20170216T102101"
IMAGE = "T33UUU_20170216T102101"
DATASTRIP = "S2A_OPER_MSI_L1C_DS_2APS_20231101T000000_S20170216T102101_N05.10"
TILE_PIXELS = 10_980
"""Of 10 m, along a side of a tile."""

SCENE_PIXELS = (768, 1536)
"""Rows and columns of 10 m of the embedded scene."""

LEFT, TOP, EPSG = 300_000, 5_900_040, 32633
JP2_TILES = {10: 1024, 20: 640, 60: 192}
PRECINCTS, CODE_BLOCKS = {10: 256, 20: 256, 60: 128}, {10: 64, 20: 64, 60: 16}
RESOLUTIONS = 5
DETECTORS = 6
_ANGLE_STEP = 5_000
_DONE = ".complete-2"
"""Its number is another one whenever a tile is made otherwise."""


def build_tile(folder: Path, *, pixels: tuple[int, int] = (TILE_PIXELS, TILE_PIXELS), workers: int = 2) -> Path:
    """The product, built when it is not there yet.

    :param folder: Where it goes; an unfinished one there is made anew.
    :param pixels: Rows and columns of the tile in pixels of 10 m, multiples of 6.
    :param workers: Bands that are written at a time.
    :return: The ``.SAFE`` folder.
    """
    if any(side % 6 for side in pixels):
        raise ValueError(f"pixels={pixels}: a tile is a whole number of pixels of 60 m, give multiples of 6.")
    product = folder / f"{NAME}.SAFE"
    marker = folder / f"{_DONE}-{pixels[0]}-{pixels[1]}"
    if marker.exists() and product.is_dir():
        return product
    shutil.rmtree(product, ignore_errors=True)
    granule = product / "GRANULE" / GRANULE
    for part in ("IMG_DATA", "QI_DATA"):
        (granule / part).mkdir(parents=True)
    (product / "MTD_MSIL1C.xml").write_text(_product_metadata(pixels), encoding="utf-8")
    (granule / "MTD_TL.xml").write_text(_tile_metadata(pixels), encoding="utf-8")
    (product / "manifest.safe").write_text(_manifest(), encoding="utf-8")
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda band: _write_band(granule, band, pixels), BANDS))
    marker.touch()
    return product


def repeated(band: str, pixels: tuple[int, int]) -> NDArray[np.uint16]:
    """Digital numbers of a band of the tile, with the offset of the baseline."""
    rows, columns = (side * 10 // NATIVE_RESOLUTION[band] for side in pixels)
    with rasterio.open(sample_path() / f"{IMAGE}_{band}.jp2") as source:
        dn = source.read(1).astype(np.uint32) + BASELINE_OFFSET
    times = (-(-rows // dn.shape[0]), -(-columns // dn.shape[1]))
    return np.tile(np.minimum(dn, SATURATED_DN - 1).astype(np.uint16), times)[:rows, :columns]


def packing(size: int) -> dict[str, str]:
    """Options of GDAL's JP2OpenJPEG that pack a band as the ground segment does.

    :param size: Metres of its pixels.
    """
    side, block = PRECINCTS[size], str(CODE_BLOCKS[size])
    return {
        "REVERSIBLE": "YES", "QUALITY": "100", "RESOLUTIONS": str(RESOLUTIONS), "PLT": "YES",
        "PRECINCTS": ",".join([f"{{{side},{side}}}"] * RESOLUTIONS), "CODEBLOCK_WIDTH": block,
        "CODEBLOCK_HEIGHT": block,
    }  # fmt: skip


def _write_band(granule: Path, band: str, pixels: tuple[int, int]) -> None:
    size = NATIVE_RESOLUTION[band]
    values = repeated(band, pixels)
    _write(granule / "IMG_DATA" / f"{IMAGE}_{band}.jp2", values, size)
    columns = np.arange(values.shape[1]) * DETECTORS // values.shape[1] + 3
    footprint = np.broadcast_to(columns.astype(np.uint8), values.shape)
    _write(granule / "QI_DATA" / f"MSK_DETFOO_{band}.jp2", footprint, size)


def _write(path: Path, values: NDArray[np.generic], size: int) -> None:
    block = min(JP2_TILES[size], *values.shape)
    with rasterio.open(
        path, "w", driver="JP2OpenJPEG", height=values.shape[0], width=values.shape[1], count=1, dtype=values.dtype,
        crs=f"EPSG:{EPSG}", transform=Affine(size, 0, LEFT, 0, -size, TOP),
        tiled=True, blockxsize=block, blockysize=block, **packing(size),
    ) as target:  # fmt: skip
        target.write(values, 1)


def _product_metadata(pixels: tuple[int, int]) -> str:
    images = "\n".join(
        f"            <IMAGE_FILE>GRANULE/{GRANULE}/IMG_DATA/{IMAGE}_{band}</IMAGE_FILE>" for band in BANDS
    )
    offsets = "\n".join(
        f'        <RADIO_ADD_OFFSET band_id="{index}">{-BASELINE_OFFSET}</RADIO_ADD_OFFSET>'
        for index in range(len(BANDS))
    )
    spectral = "\n".join(
        f'        <Spectral_Information bandId="{index}" physicalBand="{_physical(band)}">'
        f"<RESOLUTION>{NATIVE_RESOLUTION[band]}</RESOLUTION></Spectral_Information>"
        for index, band in enumerate(BANDS)
    )
    return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-1C_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-1C.xsd">
  <!-- Made for measurements from one real scene, repeated. -->
  <n1:General_Info>
    <Product_Info>
      <PRODUCT_START_TIME>2017-02-16T10:21:01.026Z</PRODUCT_START_TIME>
      <PRODUCT_STOP_TIME>2017-02-16T10:21:01.026Z</PRODUCT_STOP_TIME>
      <PRODUCT_URI>{NAME}.SAFE</PRODUCT_URI>
      <PROCESSING_LEVEL>Level-1C</PROCESSING_LEVEL>
      <PRODUCT_TYPE>S2MSI1C</PRODUCT_TYPE>
      <PROCESSING_BASELINE>05.10</PROCESSING_BASELINE>
      <GENERATION_TIME>2023-11-01T00:00:00.000000Z</GENERATION_TIME>
      <Datatake datatakeIdentifier="GS2A_20170216T102101_008642_N05.10">
        <SPACECRAFT_NAME>Sentinel-2A</SPACECRAFT_NAME>
        <DATATAKE_TYPE>INS-NOBS</DATATAKE_TYPE>
        <DATATAKE_SENSING_START>2017-02-16T10:21:01.026Z</DATATAKE_SENSING_START>
        <SENSING_ORBIT_NUMBER>65</SENSING_ORBIT_NUMBER>
        <SENSING_ORBIT_DIRECTION>DESCENDING</SENSING_ORBIT_DIRECTION>
      </Datatake>
      <Product_Organisation>
        <Granule_List>
          <Granule datastripIdentifier="{DATASTRIP}"\
 granuleIdentifier="S2A_OPER_MSI_L1C_TL_2APS_20231101T000000_A008642_T33UUU_N05.10" imageFormat="JPEG2000">
{images}
          </Granule>
        </Granule_List>
      </Product_Organisation>
    </Product_Info>
    <Product_Image_Characteristics>
      <Special_Values>
        <SPECIAL_VALUE_TEXT>NODATA</SPECIAL_VALUE_TEXT>
        <SPECIAL_VALUE_INDEX>0</SPECIAL_VALUE_INDEX>
      </Special_Values>
      <Special_Values>
        <SPECIAL_VALUE_TEXT>SATURATED</SPECIAL_VALUE_TEXT>
        <SPECIAL_VALUE_INDEX>{SATURATED_DN}</SPECIAL_VALUE_INDEX>
      </Special_Values>
      <QUANTIFICATION_VALUE unit="none">{QUANTIFICATION}</QUANTIFICATION_VALUE>
      <Radiometric_Offset_List>
{offsets}
      </Radiometric_Offset_List>
      <Spectral_Information_List>
{spectral}
      </Spectral_Information_List>
    </Product_Image_Characteristics>
  </n1:General_Info>
  <n1:Geometric_Info>
    <Product_Footprint>
      <Product_Footprint>
        <Global_Footprint>
          <EXT_POS_LIST>{_footprint(pixels)}</EXT_POS_LIST>
        </Global_Footprint>
      </Product_Footprint>
      <RASTER_CS_TYPE>POINT</RASTER_CS_TYPE>
      <PIXEL_ORIGIN>1</PIXEL_ORIGIN>
    </Product_Footprint>
  </n1:Geometric_Info>
  <n1:Quality_Indicators_Info>
    <Cloud_Coverage_Assessment>50.0</Cloud_Coverage_Assessment>
  </n1:Quality_Indicators_Info>
</n1:Level-1C_User_Product>
"""


def _tile_metadata(pixels: tuple[int, int]) -> str:
    sizes = "\n".join(
        f"""      <Size resolution="{size}">
        <NROWS>{pixels[0] * 10 // size}</NROWS>
        <NCOLS>{pixels[1] * 10 // size}</NCOLS>
      </Size>"""
        for size in (10, 20, 60)
    )
    positions = "\n".join(
        f"""      <Geoposition resolution="{size}">
        <ULX>{LEFT}</ULX>
        <ULY>{TOP}</ULY>
        <XDIM>{size}</XDIM>
        <YDIM>-{size}</YDIM>
      </Geoposition>"""
        for size in (10, 20, 60)
    )
    views = "\n".join(
        _angles("Viewing_Incidence_Angles_Grids", 5.0, 110.0, f' bandId="{index}" detectorId="{detector}"')
        for index in range(len(BANDS))
        for detector in range(3, 3 + DETECTORS)
    )
    means = "\n".join(
        f"""        <Mean_Viewing_Incidence_Angle bandId="{index}">
          <ZENITH_ANGLE unit="deg">5.0</ZENITH_ANGLE>
          <AZIMUTH_ANGLE unit="deg">110.0</AZIMUTH_ANGLE>
        </Mean_Viewing_Incidence_Angle>"""
        for index in range(len(BANDS))
    )
    masks = "\n".join(
        f'      <MASK_FILENAME bandId="{index}" type="MSK_DETFOO">'
        f"GRANULE/{GRANULE}/QI_DATA/MSK_DETFOO_{band}.jp2</MASK_FILENAME>"
        for index, band in enumerate(BANDS)
    )
    return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-1C_Tile_ID xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/S2_PDI_Level-1C_Tile_Metadata.xsd">
  <n1:General_Info>
    <TILE_ID metadataLevel="Brief">S2A_OPER_MSI_L1C_TL_2APS_20231101T000000_A008642_T33UUU_N05.10</TILE_ID>
    <DATASTRIP_ID metadataLevel="Standard">{DATASTRIP}</DATASTRIP_ID>
    <SENSING_TIME metadataLevel="Standard">2017-02-16T10:21:01.026Z</SENSING_TIME>
  </n1:General_Info>
  <n1:Geometric_Info>
    <Tile_Geocoding metadataLevel="Brief">
      <HORIZONTAL_CS_NAME>{escape("WGS84 / UTM zone 33N")}</HORIZONTAL_CS_NAME>
      <HORIZONTAL_CS_CODE>EPSG:{EPSG}</HORIZONTAL_CS_CODE>
{sizes}
{positions}
    </Tile_Geocoding>
    <Tile_Angles metadataLevel="Standard">
{_angles("Sun_Angles_Grid", 66.07, 163.24)}
      <Mean_Sun_Angle>
        <ZENITH_ANGLE unit="deg">66.07</ZENITH_ANGLE>
        <AZIMUTH_ANGLE unit="deg">163.24</AZIMUTH_ANGLE>
      </Mean_Sun_Angle>
{views}
      <Mean_Viewing_Incidence_Angle_List>
{means}
      </Mean_Viewing_Incidence_Angle_List>
    </Tile_Angles>
  </n1:Geometric_Info>
  <n1:Quality_Indicators_Info metadataLevel="Standard">
    <Image_Content_QI>
      <CLOUDY_PIXEL_PERCENTAGE>50</CLOUDY_PIXEL_PERCENTAGE>
    </Image_Content_QI>
    <Pixel_Level_QI geometry="FULL_RESOLUTION">
{masks}
    </Pixel_Level_QI>
  </n1:Quality_Indicators_Info>
</n1:Level-1C_Tile_ID>
"""


def _angles(element: str, zenith: float, azimuth: float, attributes: str = "") -> str:
    """A grid of 23 x 23 nodes of one value, 5 km apart."""
    parts = []
    for name, value in (("Zenith", zenith), ("Azimuth", azimuth)):
        row = f"            <VALUES>{' '.join([str(value)] * 23)}</VALUES>"
        rows = "\n".join([row] * 23)
        parts.append(
            f"""        <{name}>
          <COL_STEP unit="m">{_ANGLE_STEP}</COL_STEP>
          <ROW_STEP unit="m">{_ANGLE_STEP}</ROW_STEP>
          <Values_List>
{rows}
          </Values_List>
        </{name}>"""
        )
    body = "\n".join(parts)
    return f"      <{element}{attributes}>\n{body}\n      </{element}>"


def _footprint(pixels: tuple[int, int]) -> str:
    """Corners as latitude and longitude, closed."""
    down, across = (side * 10 for side in pixels)
    x = [LEFT, LEFT + across, LEFT + across, LEFT, LEFT]
    y = [TOP, TOP, TOP - down, TOP - down, TOP]
    longitudes, latitudes = transform(f"EPSG:{EPSG}", "EPSG:4326", x, y)
    return " ".join(
        f"{latitude:.12f} {longitude:.12f}" for latitude, longitude in zip(latitudes, longitudes, strict=True)
    )


def _manifest() -> str:
    files = ["MTD_MSIL1C.xml", f"GRANULE/{GRANULE}/MTD_TL.xml"]
    files += [f"GRANULE/{GRANULE}/IMG_DATA/{IMAGE}_{band}.jp2" for band in BANDS]
    files += [f"GRANULE/{GRANULE}/QI_DATA/MSK_DETFOO_{band}.jp2" for band in BANDS]
    objects = "\n".join(
        f'    <dataObject ID="file{index}"><byteStream><fileLocation locatorType="URL" href="./{name}"/></byteStream>'
        "</dataObject>"
        for index, name in enumerate(files)
    )
    return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<xfdu:XFDU xmlns:xfdu="urn:ccsds:schema:xfdu:1" version="esa/safe/sentinel/1.1/sentinel-2/msi/archive_l1c_user_product">
  <dataObjectSection>
{objects}
  </dataObjectSection>
</xfdu:XFDU>
"""


def _physical(band: str) -> str:
    return "B8A" if band == "B8A" else f"B{int(band[1:])}"
