"""Published data sets of labels in their layouts, made for a test: a bright block is cloud. Nothing is real."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from eotasks.models.sentinel2 import BANDS
from tests.builders.labelled_scenes import digital_numbers, truth, write_image

PATCH = "20200215T082021_20200215T084629_T34JCP"
PRODUCT = "S2A_MSIL1C_20200529T094041_N0209_R036_T35VLF_20200529T120441"
LATE_PRODUCT = PRODUCT.replace("N0209", "N0400")
SCENE = "S2A_MSIL1C_20180105T010721_N0206_R045_T53HLD_20180105T041600"
THICK, THIN = slice(4, 8), slice(8, 12)
"""Rows of the cloud of `truth` that are labelled thick and thin, where a data set tells them apart."""

Labels = NDArray[np.uint8]


def numbered(clear: int, thick: int, thin: int, shadow: int) -> Labels:
    """`truth` in the numbers of a data set."""
    labels = np.array([clear, thick, shadow], np.uint8)[truth()]
    labels[THIN][truth()[THIN] == 1] = thin
    return labels


def cloudsen12_labels() -> Labels:
    return numbered(0, 1, 2, 3)


def write_cloudsen12(folder: Path, *, labels: Labels | None = None, values: NDArray[Any] | None = None) -> Path:
    """A patch below ROI_0051, with its 13 bands named as Earth Engine names them; gives its folder."""
    patch = folder / "03__ROI_0047__ROI_0069" / "ROI_0051" / PATCH
    names = [f"B{band[1:].lstrip('0')}" for band in BANDS]
    values = digital_numbers(truth()).astype(np.int16) if values is None else values
    write_image(patch / "S2L1C.tif", values, names=names if values.shape[-1] == len(BANDS) else None)
    write_image(patch / "labels" / "manual_hq.tif", cloudsen12_labels() if labels is None else labels)
    return patch


def write_cloudsen12_high(folder: Path, *, patches: int = 2, table: bool = True) -> None:
    """Arrays of 512 x 512: `truth` in the upper left, the rest without data."""
    folder.mkdir(parents=True, exist_ok=True)
    height, width = truth().shape
    values = np.zeros((patches, 512, 512, len(BANDS)), "<i2")
    labels = np.zeros((patches, 512, 512), np.int8)
    values[:, :height, :width] = digital_numbers(truth())
    values[1:, 0, 0] = 7  # patches that can be told apart
    labels[:, :height, :width] = cloudsen12_labels()
    for index, band in enumerate(BANDS):
        values[..., index].tofile(folder / f"L1C_B{band[1:].lstrip('0')}.dat")
    labels.tofile(folder / "LABEL_manual_hq.dat")
    if table:
        write_rows(folder / "metadata.csv", [{"roi_id": f"ROI_{i}", "s2_id_gee": PATCH} for i in range(patches)])


def tortilla(items: Sequence[tuple[str, str, bytes]], columns: Mapping[str, list[Any]] | None = None) -> bytes:
    """Files in one, of (id, format, content), with other columns of their table."""
    head, offsets, content = 200, [], b""
    for _, _, part in items:
        offsets.append(head + len(content))
        content += part
    table = pa.table(
        {
            "tortilla:id": [name for name, _, _ in items],
            "tortilla:file_format": [kind for _, kind, _ in items],
            "tortilla:offset": offsets,
            "tortilla:length": [len(part) for _, _, part in items],
            **(columns or {}),
        }
    )
    footer = io.BytesIO()
    pq.write_table(table, footer)
    at = head + len(content)
    header = b"#y" + at.to_bytes(8, "little") + len(footer.getvalue()).to_bytes(8, "little")
    return header.ljust(head, b"\0") + content + footer.getvalue()


def write_cloudsen12_plus(folder: Path, *, labels: Labels | None = None) -> Path:
    """A part with a patch of high quality and one of scribbles."""
    folder.mkdir(parents=True, exist_ok=True)
    image, label = folder / "image.tif", folder / "label.tif"
    write_image(image, digital_numbers(truth()))
    write_image(label, cloudsen12_labels() if labels is None else labels)
    patch = tortilla([("s2l1c", "GTiff", image.read_bytes()), ("target", "GTiff", label.read_bytes())])
    image.unlink()
    label.unlink()
    columns = {"label_type": ["high", "scribble"], "s2_id": [PATCH, PATCH], "roi_id": ["ROI_1", "ROI_2"]}
    whole = tortilla([("ROI_1__p", "TORTILLA", patch), ("ROI_2__p", "TORTILLA", patch)], columns)
    file = folder / "cloudsen12-l1c.0000.part.taco"
    file.write_bytes(b"WX" + whole[2:])
    return file


def write_kappazeta(
    file: Path, *, product: str | None = PRODUCT, labels: Labels | None = None, **arrays: NDArray[Any]
) -> None:
    """A sub-tile; its numbers carry the offset where the product's baseline says so."""
    file.parent.mkdir(parents=True, exist_ok=True)
    values = digital_numbers(truth()).astype(np.int32) + (1000 if product == LATE_PRODUCT else 0)
    values[0] = 0  # no data
    with h5py.File(file, "w") as content:
        if product is not None:
            content.attrs["product_name"] = np.bytes_(product)
        for index, band in enumerate(BANDS):
            stored = arrays.get(band, (values[..., index] / 65_535).astype(np.float32))
            content.create_dataset(band, data=stored, compression="gzip", shuffle=True)
        content.create_dataset("Label", data=numbered(1, 4, 3, 2) if labels is None else labels)


def write_catalogue(folder: Path, *, shadows_marked: str = "1", mask: NDArray[Any] | None = None) -> None:
    """One scene of the catalogue."""
    for name in ("subscenes", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    np.save(folder / "subscenes" / f"{SCENE}.npy", (digital_numbers(truth()) / 10_000).astype(np.float32))
    layers = truth()[..., np.newaxis] == np.arange(3)
    np.save(folder / "masks" / f"{SCENE}.npy", layers if mask is None else mask, allow_pickle=True)
    write_rows(folder / "classification_tags.csv", [{"index": "0", "scene": SCENE, "shadows_marked": shadows_marked}])


HOLLSTEIN_NUMBERS = (10, 20, 30, 40, 50, 60)
HOLLSTEIN_NAMES = ("clear", "water", "shadow", "cirrus", "cloud", "snow")
OLD_PRODUCT = "S2A_OPER_PRD_MSIL1C_PDMC_20151211T153317_R021_V20151211T084342_20151211T084342.SAFE"


def write_hollstein(folder: Path, *, grouped: bool = True, **arrays: Any) -> Path:
    """Seven spectra of each class, in two granules, and what a test wants to be otherwise."""
    folder.mkdir(parents=True, exist_ok=True)
    classes = np.repeat(HOLLSTEIN_NUMBERS, 7).astype(np.uint8)
    kinds = np.isin(classes, (40, 50)).astype(np.uint8) + 2 * (classes == 30).astype(np.uint8)
    content: dict[str, Any] = {
        "spectra": (digital_numbers(kinds) / 10_000).astype(np.float32),
        "classes": classes,
        "band": np.array([band[1:].lstrip("0").lower() for band in BANDS], dtype="S"),
        "class_ids": np.array(HOLLSTEIN_NUMBERS, np.uint8),
        "class_names": np.array(HOLLSTEIN_NAMES, dtype="S"),
    }
    if grouped:
        content["product_id"] = np.array([OLD_PRODUCT] * len(classes), dtype="S")
        content["granule_id"] = np.array(["33UUU", "32TNR", "33UUU"] * (len(classes) // 3), dtype="S")
    file = folder / "20170710_s2_manual_classification_data.h5"
    with h5py.File(file, "w") as handle:
        for name, values in (content | arrays).items():
            if values is not None:
                handle[name] = values
    return file


def write_rows(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """A CSV with a header."""
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
