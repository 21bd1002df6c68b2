from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eotasks.catalogue import find_products
from eotasks.catalogue.discovery import Found, merge_masks
from eotasks.errors import ConfigurationError

SAFE = "S2A_MSIL1C_20240120T105341_N0510_R051_T31TCJ_20240120T125244.SAFE"
FILES = [
    f"2024/{SAFE}/MTD_MSIL1C.xml",
    f"2024/{SAFE}/GRANULE/L1C_T31TCJ_A044807_20240120T105338/IMG_DATA/T31TCJ_20240120T105341_B02.jp2",
    "2024/broken.SAFE/notes.txt",
    "zips/S2A_X.SAFE.zip",
    "tiles/33/U/UU/2017/2/16/0/metadata.xml",
    "tiles/33/U/UU/2017/2/16/0/B02.jp2",
    "tiles/33/U/UU/2017/2/16/0/preview/B02.jp2",
    "bare/T33UUU_20170216/acquisition.json",
    "bare/T33UUU_20170216/T33UUU_B02.jp2",
    "elsewhere/metadata.xml",
    "masks/A/A_CLP.tif",
    "masks/A/A_CLM.tif",
    "masks/B/B_CLP.tif",
    "masks/C/C_CLM.tif",
    "masks/C/C_SHADOW.tif",
    "readme.txt",
]
PRODUCTS = [
    f"2024/{SAFE}",
    "2024/broken.SAFE",
    "bare/T33UUU_20170216",
    "tiles/33/U/UU/2017/2/16/0",
    "zips/S2A_X.SAFE.zip",
]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    return tmp_path


def test_all_layouts_below_a_folder(archive: Path) -> None:
    found = find_products(archive)
    assert found.products == tuple(str(archive / name) for name in PRODUCTS)
    assert found.masks_of("A") == {
        "CLP": str(archive / "masks/A/A_CLP.tif"),
        "CLM": str(archive / "masks/A/A_CLM.tif"),
    }
    assert found.masks_of("B") == {}
    assert found.masks_of("C") == {
        "CLM": str(archive / "masks/C/C_CLM.tif"),
        "SHADOW": str(archive / "masks/C/C_SHADOW.tif"),
    }


@pytest.mark.parametrize("name", PRODUCTS)
def test_a_product_is_found_by_itself(archive: Path, name: str) -> None:
    assert find_products(archive / name).products == (str(archive / name),)


def test_in_a_bucket(archive: Path, s3_server: Any) -> None:
    location = s3_server.location()
    bucket, _, prefix = location.removeprefix("s3://").partition("/")
    for name in FILES:
        s3_server.client().put_object(Bucket=bucket, Key=f"{prefix}/{name}", Body=b"")
    found = find_products(location)
    assert found.products == tuple(f"{location}/{name}" for name in PRODUCTS)
    assert found.masks_of("A")["CLM"] == f"{location}/masks/A/A_CLM.tif"
    assert find_products(f"{location}/zips/S2A_X.SAFE.zip").products == (f"{location}/zips/S2A_X.SAFE.zip",)
    s3_server.client().put_object(Bucket=bucket, Key=f"{prefix}/6d8a00c5", Body=b"PK")
    assert find_products(f"{location}/6d8a00c5").products == (f"{location}/6d8a00c5",)
    with pytest.raises(ConfigurationError, match="nothing is there"):
        find_products(f"{location}/none")


def test_addresses_are_products() -> None:
    assert find_products("https://example.org/S2A.SAFE").products == ("https://example.org/S2A.SAFE",)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nothing is there"):
        find_products(tmp_path / "none")
    with pytest.raises(ConfigurationError, match="nothing is there"):
        find_products(tmp_path)


def test_masks_of_several_places_complete_each_other() -> None:
    """Of one kind, that of the later place."""
    first = Found(masks={"A": {"CLP": "x/A_CLP.tif", "CLM": "x/A_CLM.tif"}, "B": {"CLP": "x/B_CLP.tif"}})
    second = Found(masks={"A": {"SHADOW": "y/A_SHADOW.tif", "CLM": "y/A_CLM.tif"}})
    assert merge_masks([first, second]) == {
        "A": {"CLP": "x/A_CLP.tif", "CLM": "y/A_CLM.tif", "SHADOW": "y/A_SHADOW.tif"},
        "B": {"CLP": "x/B_CLP.tif"},
    }
    assert first.masks["A"] == {"CLP": "x/A_CLP.tif", "CLM": "x/A_CLM.tif"}
