"""Files of L2A that are no bands: which they are, in the names of every layout."""

from __future__ import annotations

from pathlib import Path

from eotasks.imagery.products.parts import layers
from eotasks.imagery.scene import open_scene
from tests.builders.layouts import aws_l2a, small_l2a, small_safe


def names_of(names: list[str]) -> dict[str, str]:
    return {name: raster.name for name, raster in layers(names).items()}


def test_names_of_the_ground_segment() -> None:
    granule = "GRANULE/L2A_T33UUU_A008642_20170216T102101"
    assert names_of(
        [
            f"{granule}/IMG_DATA/R60m/T33UUU_20170216T102101_AOT_60m.jp2",
            f"{granule}/IMG_DATA/R20m/T33UUU_20170216T102101_AOT_20m.jp2",
            f"{granule}/IMG_DATA/R20m/T33UUU_20170216T102101_SCL_20m.jp2",
            f"{granule}/QI_DATA/MSK_CLDPRB_60m.jp2",
            f"{granule}/QI_DATA/MSK_CLDPRB_20m.jp2",
            f"{granule}/QI_DATA/MSK_SNWPRB_20m.jp2",
            f"{granule}/QI_DATA/MSK_CLASSI_B00.jp2",
        ]
    ) == {
        "AOT": f"{granule}/IMG_DATA/R20m/T33UUU_20170216T102101_AOT_20m.jp2",
        "CLD": f"{granule}/QI_DATA/MSK_CLDPRB_20m.jp2",
        "SNW": f"{granule}/QI_DATA/MSK_SNWPRB_20m.jp2",
    }


def test_older_names_and_those_of_buckets() -> None:
    assert names_of(
        ["GRANULE/X/QI_DATA/L2A_T33UUU_20180101T101010_CLD_20m.jp2", "GRANULE/X/QI_DATA/T_SNW_60m.jp2"]
    ) == {
        "CLD": "GRANULE/X/QI_DATA/L2A_T33UUU_20180101T101010_CLD_20m.jp2",
        "SNW": "GRANULE/X/QI_DATA/T_SNW_60m.jp2",
    }
    assert names_of(["R10m/AOT.jp2", "R60m/AOT.jp2", "qi/CLD_20m.jp2", "qi/MSK_SNWPRB_20m.jp2"]) == {
        "AOT": "R10m/AOT.jp2",
        "CLD": "qi/CLD_20m.jp2",
        "SNW": "qi/MSK_SNWPRB_20m.jp2",
    }


def test_products_have_them(tmp_path: Path) -> None:
    l1c = small_safe(tmp_path)
    assert open_scene(str(l1c)).product.layers == {}
    l2a = small_l2a(l1c, tmp_path)
    image = next(l2a.glob("GRANULE/*/QI_DATA/MSK_DETFOO_B05.jp2"))
    (image.parent / "MSK_SNWPRB_20m.jp2").write_bytes(image.read_bytes())
    assert list(open_scene(str(l2a)).product.layers) == ["SNW"]
    assert list(open_scene(str(aws_l2a(l2a, tmp_path / "aws"))).product.layers) == ["SNW"]
