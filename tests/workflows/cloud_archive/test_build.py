"""`eotasks archive build`: what is made, what is left as it is, and what is named."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
from pystac.extensions.classification import ClassificationExtension
from pystac.extensions.file import FileExtension
from s2cloudless import S2PixelCloudDetector

from eotasks.catalogue.request import SearchRequest
from eotasks.catalogue.store import Catalogue
from eotasks.errors import ConfigurationError, StorageError
from eotasks.imagery.scene import open_scene
from eotasks.models.sentinel2 import CLOUD_BANDS
from eotasks.storage.lease import hold_lease
from eotasks.storage.place import Place
from eotasks.workflows.cloud_archive import task
from eotasks.workflows.cloud_archive.build import build_archive
from eotasks.workflows.cloud_archive.files import ArchivedFiles
from eotasks.workflows.product_masks.options import CloudMaskOptions
from eotasks.workflows.product_masks.reading import product_grid
from tests.builders.clouds.archives import add_product, build, images, items, pixels, too_bright
from tests.builders.command_line import command
from tests.builders.layouts import L2A_NAME, safe_parts, small_l2a, small_safe
from tests.builders.stac.validation import validate
from tests.builders.stac_items import make_item
from tests.builders.tile import NAME

FOLDER = "masks/33UUU/2017"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two products."""
    add_product(tmp_path / "source", "A")
    add_product(tmp_path / "source", "B", 17)
    return tmp_path / "source"


def made_again(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of products whose masks are made from now on."""
    made: list[str] = []
    real = task.make_masks

    def noted(scene: Any, *arguments: Any, **options: Any) -> Any:
        made.append(scene.name)
        return real(scene, *arguments, **options)

    monkeypatch.setattr(task, "make_masks", noted)
    return made


@pytest.mark.filterwarnings("ignore::eotasks.errors.ShadowWarning")  # products of some kilometres
class TestMasks:
    def test_are_those_of_the_command_of_single_products(self, source: Path, tmp_path: Path) -> None:
        build(source, tmp_path / "out", options=CloudMaskOptions(resolution=160, shadows=True))
        single = ("cloud-mask", source / "A", "--out", tmp_path / "single", "--resolution", 160, "--shadows")
        assert command(*single, "--no-quicklook").code == 0
        for kind in ("CLP", "CLM", "SHADOW"):
            ours, other = tmp_path / f"out/{FOLDER}/A/A_{kind}.tif", tmp_path / f"single/A/A_{kind}.tif"
            np.testing.assert_array_equal(pixels(ours), pixels(other))
            with rasterio.open(ours) as one, rasterio.open(other) as two:
                tags = one.tags()
                assert len(tags.pop("SOURCE")) == 16
                assert (one.profile, tags) == (two.profile, two.tags())
        assert pixels(tmp_path / f"out/{FOLDER}/A/A_CLP.tif").shape == (12, 12)

    def test_nearest_equals_s2cloudless(self, source: Path, tmp_path: Path) -> None:
        build(source, tmp_path / "out", options=CloudMaskOptions(resolution=160, sampling="nearest"))
        scene = open_scene(source / "A")
        dn = scene.read(CLOUD_BANDS, product_grid(scene, 160), resampling="nearest")
        detector = S2PixelCloudDetector(threshold=0.4, average_over=1, dilation_size=1)
        expected = detector.get_cloud_probability_maps((dn.astype(np.float32) / np.float32(10_000))[np.newaxis])
        stored = pixels(tmp_path / f"out/{FOLDER}/A/A_CLP.tif")
        np.testing.assert_array_equal(stored, np.minimum(np.rint(expected[0] * np.float32(255)), 254))
        mask = pixels(tmp_path / f"out/{FOLDER}/A/A_CLM.tif")
        np.testing.assert_array_equal(mask, detector.get_mask_from_prob(expected)[0])

    def test_items_beside_them_are_valid_and_name_what_is_there(self, source: Path, tmp_path: Path) -> None:
        build(source, tmp_path / "out", options=CloudMaskOptions(resolution=160, shadows=True))
        item = pystac.Item.from_file(str(tmp_path / f"out/{FOLDER}/A/A.json"))
        for kind in ("CLP", "CLM", "SHADOW"):
            asset = item.assets[kind]
            path = Path(str(asset.get_absolute_href()))
            data = path.read_bytes()
            assert FileExtension.ext(asset).size == len(data)
            assert FileExtension.ext(asset).checksum == f"1220{hashlib.sha256(data).hexdigest()}"
            with rasterio.open(path) as dataset:
                assert asset.extra_fields["proj:transform"] == list(dataset.transform)[:6]
                assert asset.extra_fields["proj:shape"] == list(dataset.shape)
        classes = ClassificationExtension.ext(item.assets["CLM"]).classes
        assert [(each.value, each.name) for each in classes or []] == [(0, "clear"), (1, "cloud"), (255, "no_data")]
        assert item.properties["eotasks:settings"]["resolution"] == 160
        assert item.properties["processing:software"].keys() == {"eotasks"}
        for prefix in ("classification", "raster", "processing", "file"):
            assert any(f"/{prefix}/" in each for each in item.stac_extensions)
        assert validate(json.loads((tmp_path / f"out/{FOLDER}/A/A.json").read_text())) == 1 + len(item.stac_extensions)


class TestAgain:
    def test_only_what_is_new_or_changed(self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        out = tmp_path / "out"
        assert sorted(build(source, out).done) == ["A", "B"]
        before, made = images(out), made_again(monkeypatch)
        again = build(source, out)
        assert (again.done, sorted(again.kept), made) == ([], ["A", "B"], [])
        add_product(source, "C", 18)
        assert build(source, out).done == ["C"]
        shutil.rmtree(source / "B")
        add_product(source, "B", 17, change=lambda _, values: values[::-1])
        changed = build(source, out)
        assert (changed.done, sorted(changed.kept), made) == (["B"], ["A", "C"], ["C", "B"])
        after = images(out)
        different = {path for path in before if before[path] != after[path]}
        assert different == {f"{FOLDER}/B/B_CLP.tif", f"{FOLDER}/B/B_CLM.tif"}
        assert sorted(Catalogue(out / "catalogue.parquet").masks()) == ["A", "B", "C"]

    def test_a_copy_of_the_source_is_the_source(
        self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        build(source, tmp_path / "out")
        shutil.copytree(source, tmp_path / "copy", copy_function=shutil.copy)
        made = made_again(monkeypatch)
        assert build(tmp_path / "copy", tmp_path / "out").failed == {}
        assert made == []

    def test_what_a_killed_builder_had_made_is_taken_over(
        self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Neither in the catalogue nor, as far as it was not written, in the manifest."""
        out = tmp_path / "out"
        build(source, out)
        whole = items(out)
        shutil.rmtree(out / "catalogue.parquet")
        (out / "manifest.jsonl").unlink()
        made = made_again(monkeypatch)
        build(source, out)
        assert (made, items(out)) == ([], whole)
        assert sorted(Catalogue(out / "catalogue.parquet").masks()) == ["A", "B"]

    def test_masks_without_their_item_are_made_again(
        self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As a worker leaves them that is killed while it writes."""
        out = tmp_path / "out"
        build(source, out)
        whole = images(out)
        (out / FOLDER / "A" / "A.json").unlink()
        os.truncate(out / FOLDER / "A" / "A_CLM.tif", 100)
        shutil.rmtree(out / "catalogue.parquet")
        made = made_again(monkeypatch)
        build(source, out)
        assert (made, images(out)) == (["A"], whole)

    def test_other_settings_are_refused_before_any_work(self, source: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        build(source, out)
        before = images(out)
        with pytest.raises(
            ConfigurationError, match="other settings \\(beyond, resolution, shadow_method, shadows changed\\)"
        ):
            build(source, out, options=CloudMaskOptions(resolution=60, shadows=True))
        assert images(out) == before
        coarse = CloudMaskOptions(resolution=60)
        assert sorted(build(source, out, options=coarse, overwrite=True).done) == ["A", "B"]
        assert pixels(out / FOLDER / "A" / "A_CLP.tif").shape == (32, 32)
        assert build(source, out, options=coarse).done == []

    def test_one_builder_at_a_time(self, source: Path, tmp_path: Path) -> None:
        with (
            hold_lease(Place(tmp_path / "out"), "eotasks archive build"),
            pytest.raises(StorageError, match="in use by another run"),
        ):
            build(source, tmp_path / "out")

    def test_what_was_killed_while_it_was_made_anew_is_not_taken_for_done(
        self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        out = tmp_path / "out"
        build(source, out)
        before = images(out)
        write = ArchivedFiles.write

        def killed(self: ArchivedFiles, *arguments: Any) -> None:
            if self.name == "B":
                self.place.remove(self.item)
                self.place.remove(self.file("CLP"))
                raise StorageError("the disk is full")
            write(self, *arguments)

        monkeypatch.setattr(ArchivedFiles, "write", killed)
        assert sorted(build(source, out, overwrite=True).failed) == ["B"]
        assert (out / "anew.json").exists()
        monkeypatch.undo()
        assert build(source, out, request=SearchRequest.of(tile="33UUU")).failed == {}  # another run, with the same
        assert (out / "anew.json").exists()
        assert images(out) == before
        (out / FOLDER / "B" / "B.json").unlink()
        (out / FOLDER / "B" / f".tmp-{'0' * 32}-B.json").write_text("{")
        assert build(source, out).failed == {}
        assert not list(out.rglob(".tmp-*"))
        assert images(out) == before
        assert (out / FOLDER / "B" / "B.json").exists()
        assert not (out / "anew.json").exists()
        assert build(source, out).kept == ["A", "B"]


class TestSource:
    def test_bad_products_are_named_and_the_others_are_made(self, source: Path, tmp_path: Path) -> None:
        add_product(source, "bright", 18, change=too_bright)
        cut = add_product(source, "cut", 19)
        band = next(cut.glob("*_B04.jp2"))
        os.truncate(band, band.stat().st_size // 2)
        add_product(source, "no-B10", 20, without=("B10",))
        (source / "broken.SAFE").mkdir()
        (source / "broken.SAFE" / "notes.txt").write_text("")
        shutil.copytree(source / "A", source / "again" / "A")
        result = build(source, tmp_path / "out")
        assert sorted(result.done) == ["A", "B"]
        assert sorted(Path(name).name for name in result.failed) == ["bright", "broken.SAFE", "cut", "no-B10"]
        assert len(result.source.replaced) == 1
        assert "the same product" in result.source.replaced[0]
        assert sorted(Catalogue(tmp_path / "out/catalogue.parquet").masks()) == ["A", "B"]

    def test_two_products_of_one_name(self, source: Path, tmp_path: Path) -> None:
        add_product(source / "other", "A", 20)
        result = build(source, tmp_path / "out")
        assert sorted(result.done) == ["A", "B"]
        assert list(result.failed) == [str(source / "other" / "A")]
        assert "of the same name A: rename one" in result.failed[str(source / "other" / "A")]

    @pytest.mark.slow
    def test_a_product_of_surface_reflectance_gains_the_masks_of_its_sibling(self, tmp_path: Path) -> None:
        product = small_safe(tmp_path / "source")
        small_l2a(product, tmp_path / "source")
        assert build(tmp_path / "source", tmp_path / "out").done == [NAME]
        found = {item.id: item for item in Catalogue(tmp_path / "out/catalogue.parquet").search()}
        assert sorted(found) == sorted([NAME, L2A_NAME])
        for kind in ("CLP", "CLM"):
            assert found[L2A_NAME].assets[kind].href == found[NAME].assets[kind].href
            assert Path(found[NAME].assets[kind].href).exists()
        assert "SCL" in found[L2A_NAME].assets
        shutil.rmtree(product)
        alone = build(tmp_path / "source", tmp_path / "alone")
        assert (alone.batch, list(alone.failed)) == (None, [str(tmp_path / "source" / f"{L2A_NAME}.SAFE")])
        assert "L2A without the L1C product" in next(iter(alone.failed.values()))
        classified = CloudMaskOptions(resolution=160, detector="scl", shadows=True)
        assert build(tmp_path / "source", tmp_path / "scl", options=classified).done == [L2A_NAME]
        assert [path for path in images(tmp_path / "scl") if "CLP" in path] == []

    @pytest.mark.slow
    def test_parts_of_a_tile_are_both_made(self, tmp_path: Path) -> None:
        west = np.arange(32) < 20
        parts = safe_parts(tmp_path / "source", west, CLOUD_BANDS)
        result = build(tmp_path / "source", tmp_path / "out")
        names = [part.stem for part in parts]
        assert (sorted(result.done), result.failed) == (sorted(names), {})
        assert [sorted(each) for each in result.source.split] == [sorted(names)]
        first, second = (pixels(tmp_path / "out" / FOLDER / name / f"{name}_CLM.tif") for name in names)
        assert ((first != 255).any(), (second != 255).any()) == (True, True)

    def test_masks_of_a_newer_processing_replace_the_old(self, tmp_path: Path) -> None:
        source, out = tmp_path / "source", tmp_path / "out"
        add_product(source, "old")
        build(source, out)
        new = add_product(tmp_path / "source", "new", sidecar={"processing_baseline": "02.05"})
        result = build(source, out)
        assert (result.done, result.removed) == (["new"], ("old",))
        assert "old (baseline 02.04) for new (baseline 02.05)" in result.source.replaced[0]
        assert sorted(items(out)) == ["new"]
        assert sorted(Catalogue(out / "catalogue.parquet").masks()) == ["new"]
        assert not (out / FOLDER / "old").exists()
        assert build(new, out).kept == ["new"]

    def test_siblings_come_later_and_stay(self, tmp_path: Path) -> None:
        """The L2A product is delivered after the masks were made, and is not in the source when they are replaced."""
        add_product(tmp_path / "source", "old")
        catalogue, out = Catalogue(tmp_path / "source.parquet"), tmp_path / "out"
        add = ("catalogue", "add", tmp_path / "source", "--catalogue", catalogue.location)
        assert command(*add).code == 0
        build(catalogue.location, out)
        catalogue.add([make_item("L2A", time="2017-02-16T10:25:00", level="L2A")])
        assert build(catalogue.location, out).done == []
        assert Catalogue(out / "catalogue.parquet").masks()["L2A"] == str(out / FOLDER / "old" / "old_CLM.tif")
        catalogue.add([], remove=["L2A"])
        add_product(tmp_path / "source", "new", sidecar={"processing_baseline": "02.05"})
        assert command(*add).code == 0
        assert build(catalogue.location, out).removed == ("old",)
        masks = Catalogue(out / "catalogue.parquet").masks()
        assert masks == dict.fromkeys(("L2A", "new"), str(out / FOLDER / "new" / "new_CLM.tif"))

    def test_by_area_time_and_cloud(self, source: Path, tmp_path: Path) -> None:
        request = SearchRequest.of(time_interval=("2017-02-17", None), bbox=(12, 52, 13, 53))
        assert build(source, tmp_path / "out", request=request).done == ["B"]
        with pytest.raises(ConfigurationError, match="no L1C product of what was asked for"):
            build(source, tmp_path / "out", request=SearchRequest.of(bbox=(0, 0, 1, 1)))

    def test_a_catalogue_is_a_source(self, source: Path, tmp_path: Path) -> None:
        assert command("catalogue", "add", source, "--catalogue", tmp_path / "c.parquet").code == 0
        build(source, tmp_path / "folder")
        result = build(tmp_path / "c.parquet", tmp_path / "out")
        assert sorted(result.done) == ["A", "B"]
        assert images(tmp_path / "out") == images(tmp_path / "folder")

    def test_no_archive_inside_of_a_product(self, source: Path) -> None:
        with pytest.raises(ConfigurationError, match="into the product"):
            build(source, source / "A" / "masks")
        assert not (source / "A" / "masks" / "archive.json").exists()


@pytest.mark.slow
def test_the_command(source: Path, tmp_path: Path) -> None:
    """With worker processes."""
    add_product(source, "bright", 18, change=too_bright)
    build_it = ("archive", "build", source, "--out", tmp_path / "out", "--workers", 1)
    result = command(*build_it)
    assert result.code == 1
    assert "failed bright" in result.out
    assert "Products: 2 done, 1 failed" in result.out
    again = command(*build_it, "--json")
    counts = json.loads(again.out)["counts"]
    assert (again.code, counts["kept"], counts["failed"]) == (1, 2, 1)
    refused = command(*build_it, "--shadows")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "shadows changed" in refused.err


def test_bad_arguments(source: Path, tmp_path: Path) -> None:
    assert "--out PLACE" in command("archive", "build", source).err
    nowhere = command("archive", "build", tmp_path / "nowhere", "--out", tmp_path / "out")
    assert (nowhere.code, nowhere.err.count("\n")) == (2, 1)
    assert command("archive", "build", source, "--out", tmp_path / "out", "--time", "yesterday").code == 2
    assert not (tmp_path / "out" / "archive.json").exists()
    with pytest.raises(ConfigurationError, match="needs"):
        build_archive(source, tmp_path / "out", CloudMaskOptions(detector="multi-temporal"))
