"""Folders of JP2 files with a sidecar."""

from __future__ import annotations

from pathlib import Path

import pytest

from eotasks.errors import ImageryError
from eotasks.imagery.files.folder import FolderFiles
from eotasks.imagery.products.bare import describe_bare
from eotasks.imagery.products.open import describe_product
from eotasks.models.sentinel2 import BANDS
from eotasks.sources.sample import SAMPLE_NAME, SAMPLE_TIME, sample_path


def test_the_embedded_acquisition() -> None:
    product = describe_bare(FolderFiles(sample_path()))
    assert (product.name, product.acquisition.time) == (SAMPLE_NAME, SAMPLE_TIME)
    assert tuple(product.bands) == BANDS
    assert product.bands["B8A"].name.endswith("_B8A.jp2")
    assert (product.footprints, product.classification, product.cloud_mask, product.angles) == ({}, None, None, None)
    assert describe_product(sample_path()) == product


def test_no_sidecar(tmp_path: Path) -> None:
    with pytest.raises(ImageryError, match=r"acquisition\.json cannot be read"):
        describe_bare(FolderFiles(tmp_path))
