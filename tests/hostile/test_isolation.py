"""One product never ends the others, whatever is raised for it; the user's own interrupt does."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eotasks.catalogue.items import item_of
from eotasks.catalogue.store import Catalogue
from eotasks.errors import CredentialsError, ImageryError, StorageError
from eotasks.imagery import scene as scenes
from eotasks.imagery.products.open import describe_product
from eotasks.imagery.scene import open_scene
from eotasks.models.clouds.evaluation import confusion
from eotasks.workflows.catalogue import adding
from eotasks.workflows.cloud_mask import run as cloud_mask
from eotasks.workflows.evaluate_clouds import run as evaluation
from eotasks.workflows.evaluate_clouds import scenes as labelled
from eotasks.workflows.evaluate_clouds.rasters import read_raster_scene
from eotasks.workflows.product_masks.product import make_masks
from tests.builders.command_line import Result, command, tree
from tests.builders.labelled_scenes import write_scene
from tests.builders.sample_products import cut_sample
from tests.hostile import CANARY


class Unspeakable(Exception):
    """What it says is code of its own, which fails too."""

    def __str__(self) -> str:
        raise RecursionError


RAISED: dict[str, Callable[[], BaseException]] = {
    "RecursionError": lambda: RecursionError("maximum recursion depth exceeded"),
    "MemoryError": MemoryError,
    "UnicodeError": lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    "OverflowError": lambda: OverflowError("cannot convert float infinity to integer"),
    "ZeroDivisionError": lambda: ZeroDivisionError("division by zero"),
    "AttributeError": lambda: AttributeError("'list' object has no attribute 'get'"),
    "KeyError": lambda: KeyError(f"\x1b[31m https://u:{CANARY}@h/?sig={CANARY}"),
    "AssertionError": AssertionError,
    "StopIteration": StopIteration,
    "OSError": lambda: OSError(28, "No space left on device"),
    "LinAlgError": lambda: np.linalg.LinAlgError("Singular matrix"),
    "without words": Unspeakable,
    "of ours": lambda: ImageryError(f"https://u:{CANARY}@h/a?zz={CANARY}: cut off.\x1b[2J"),
    "a group": lambda: ExceptionGroup("several", [ValueError("a"), TypeError("b")]),
}


ERRORS = {f"bad-{number:02}": make() for number, make in enumerate(RAISED.values())}
"""One product of each kind of trouble."""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A product, and others with its files for which something is raised."""
    folder = tmp_path_factory.mktemp("archive")
    cut_sample(folder / "good")
    for name in ERRORS:
        (folder / name).mkdir()
        for file in (folder / "good").iterdir():
            (folder / name / file.name).hardlink_to(file)
    return folder


def failing(function: Callable[..., Any], errors: Mapping[str, BaseException] = ERRORS) -> Callable[..., Any]:
    """The function, but that it raises for what is called so, in its first argument or in ``where``."""

    def call(*arguments: Any, **options: Any) -> Any:
        called = f"{getattr(arguments[0], 'name', arguments[0])} {options.get('where')}"
        for name, error in errors.items():
            if name in called:
                raise error
        return function(*arguments, **options)

    return call


def assert_told(result: Result) -> None:
    """Each by its name, with what was raised; and nothing that does not belong onto a screen."""
    assert result.code == 1, result.err
    assert CANARY not in result.out + result.err
    assert "\x1b" not in result.out + result.err
    lines = [line for line in result.out.splitlines() if line.startswith("failed ")]
    assert len(lines) == len(ERRORS)
    for name, error in ERRORS.items():
        (line,) = [line for line in lines if name in line]
        said = "cut off" if isinstance(error, ImageryError) else type(error).__name__
        assert said in line or "No space left" in line


@pytest.mark.parametrize("step", ["open_scene", "make_masks"])
def test_cloud_mask(step: str, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if step == "open_scene":
        monkeypatch.setattr(scenes, "describe_product", failing(describe_product))
    else:
        monkeypatch.setattr(cloud_mask, step, failing(make_masks))
    products = sorted(archive.iterdir())
    result = command("cloud-mask", *products, "--out", tmp_path, "--no-quicklook", "--verbose")
    assert_told(result)
    assert (tmp_path / "good" / "good.json").is_file()
    assert not list(tmp_path.glob("bad*/*_CLM.tif"))


def test_catalogue_add(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adding, "item_of", failing(item_of))
    assert_told(command("catalogue", "add", archive, "--catalogue", tmp_path / "c.parquet", "--verbose"))
    assert [item.id for item in Catalogue(tmp_path / "c.parquet").search()] == ["good"]


@pytest.mark.parametrize("step", ["load", "judge"])
def test_evaluate_clouds(step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*ERRORS, "good"):
        write_scene(tmp_path / "in" / name)
    if step == "load":
        monkeypatch.setattr(labelled, "read_raster_scene", failing(read_raster_scene))
    else:
        monkeypatch.setattr(evaluation, "confusion", failing(confusion))
    result = command("evaluate-clouds", tmp_path / "in", "--out", tmp_path / "out", "--pictures", "0", "--verbose")
    assert_told(result)
    page = (tmp_path / "out" / "report.html").read_text()
    assert CANARY not in page
    assert "\x1b" not in page


def test_a_product_that_cannot_be_read_is_an_error_that_names_it(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For all that open scenes: LoadScenesTask, `eotasks land-cover`, the commands."""
    monkeypatch.setattr(scenes, "describe_product", failing(describe_product))
    for name, error in ERRORS.items():
        with pytest.raises((ImageryError, OSError)) as caught:
            open_scene(archive / name)
        if not isinstance(error, OSError):
            assert isinstance(caught.value, ImageryError)
            assert str(archive / name) in str(caught.value)
            assert caught.value.__cause__ is error
    assert open_scene(archive / "good")


def test_the_only_product_is_an_error_of_the_command(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scenes, "describe_product", failing(describe_product, {"bad": RecursionError("deep")}))
    result = command("cloud-mask", archive / "bad-00", "--out", tmp_path / "out")
    assert result.code == 2
    assert "cannot be read as a product (RecursionError: deep)" in result.err
    assert not (tmp_path / "out").exists()


def test_the_log_has_the_stack(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    monkeypatch.setattr(cloud_mask, "make_masks", failing(make_masks, {"bad": LookupError("lost")}))
    with caplog.at_level(logging.INFO):
        command("cloud-mask", archive / "bad-00", archive / "good", "--out", tmp_path, "--no-quicklook")
    assert any(record.exc_info and "bad-00 failed" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
def test_the_user_ends_all(
    end: type[BaseException], archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud_mask, "make_masks", failing(make_masks, {"bad": end(130)}))
    result = command("cloud-mask", archive / "bad-00", archive / "good", "--out", tmp_path / "out", "--no-quicklook")
    assert result.code == 130
    assert not any("good" in name for name in tree(tmp_path / "out"))


def test_what_stops_all_still_does(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials that open none of the products."""
    monkeypatch.setattr(adding, "item_of", failing(item_of, {"bad": CredentialsError("refused")}))
    bad = [str(path) for path in archive.iterdir() if path.name != "good"]
    with pytest.raises(CredentialsError):
        adding.add_products(Catalogue(tmp_path / "c.parquet"), bad)


def test_a_place_that_fails_for_one_product_is_its_failure(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from eotasks.workflows.cloud_mask.files import MaskFiles

    state = MaskFiles.state

    def unreachable(self: MaskFiles, *arguments: Any, **options: Any) -> Any:
        if self.name == "bad-00":
            raise StorageError("the place is away")
        return state(self, *arguments, **options)

    monkeypatch.setattr(MaskFiles, "state", unreachable)
    result = command("cloud-mask", archive / "bad-00", archive / "good", "--out", tmp_path, "--no-quicklook")
    assert result.code == 1
    assert "the place is away" in result.out
    assert (tmp_path / "good" / "good.json").is_file()


def test_a_folder_whose_name_is_no_text_fails_alone(archive: Path, tmp_path: Path) -> None:
    """Bytes that are no UTF-8, which neither JSON nor Parquet can hold."""
    products = os.fsencode(tmp_path / "products")
    scenes_ = os.fsencode(tmp_path / "scenes")
    (tmp_path / "scenes").mkdir()
    for name in (b"caf\xe9", b"good"):
        shutil.copytree(archive / "good", os.fsdecode(products + b"/" + name))
        write_scene(tmp_path / "new")
        Path(tmp_path / "new").rename(os.fsdecode(scenes_ + b"/" + name))
    added = command("catalogue", "add", tmp_path / "products", "--catalogue", tmp_path / "c.parquet")
    assert (added.code, added.out.count("caf\\udce9")) == (1, 1)
    assert [item.id for item in Catalogue(tmp_path / "c.parquet").search()] == ["good"]
    masked = command("cloud-mask", *(tmp_path / "products").iterdir(), "--out", tmp_path / "out", "--no-quicklook")
    assert (masked.code, masked.out.count("cannot be that of a folder")) == (1, 1)
    judged = command("evaluate-clouds", tmp_path / "scenes", "--out", tmp_path / "judged", "--pictures", "1")
    assert judged.code == 1, judged.err
    assert (judged.code, judged.out.count("failed caf\\udce9: ")) == (1, 1)
    assert "good" in (tmp_path / "judged" / "frames.csv").read_text()
