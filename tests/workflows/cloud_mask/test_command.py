"""`eotasks cloud-mask`, as its user sees it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import rasterio
from s2cloudless import S2PixelCloudDetector

from eotasks.errors import ProductSkippedWarning
from eotasks.imagery.pixels.resampling import ResamplingName
from eotasks.imagery.scene import open_scene
from eotasks.models.sentinel2 import CLOUD_BANDS
from eotasks.workflows.cloud_mask import files, quicklook
from eotasks.workflows.cloud_mask.run import CloudMaskRun
from eotasks.workflows.product_masks import images
from eotasks.workflows.product_masks.options import CloudMaskOptions as options
from eotasks.workflows.product_masks.product import product_grid
from tests.builders.command_line import Result
from tests.builders.command_line import command as call
from tests.builders.sample_products import MakeProduct

SAMPLE = "T33UUU_20170216"


def command(*arguments: str | Path) -> Result:
    """Calls `eotasks cloud-mask` in this process."""
    return call("cloud-mask", *arguments)


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return dataset.read(1)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def record(out: Path, name: str) -> dict[str, object]:
    return json.loads((out / name / f"{name}.json").read_text())


class TestResults:
    def test_the_embedded_scene_without_arguments(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        result = command()
        assert (result.code, result.err) == (0, "")
        folder = tmp_path / "results" / "cloud-mask" / SAMPLE
        endings = ("_CLP.tif", "_CLM.tif", "_CLM.tif.aux.xml", "_quicklook.png", ".json")
        assert {path.name for path in folder.iterdir()} == {f"{SAMPLE}{ending}" for ending in endings}
        assert SAMPLE in result.out
        assert "done" in result.out
        shares = record(tmp_path / "results" / "cloud-mask", SAMPLE)["shares"]
        assert f"{shares['cloud']:.1%}" in result.out

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("resolution", "sampling"),
        [(160, "mean"), (60, "mean"), (20, "mean"), (10, "mean"), (160, "fast"), (60, "nearest")],
    )
    def test_equals_s2cloudless(
        self, make_product: MakeProduct, tmp_path: Path, resolution: int, sampling: ResamplingName
    ) -> None:
        product = make_product()
        options = ["--resolution", str(resolution), "--sampling", sampling]
        assert command(product, "--out", tmp_path / "out", *options).code == 0
        scene = open_scene(product)
        dn = scene.read(CLOUD_BANDS, product_grid(scene, resolution), resampling=sampling)
        detector = S2PixelCloudDetector(threshold=0.4, average_over=1, dilation_size=1)
        expected = detector.get_cloud_probability_maps((dn.astype(np.float32) / np.float32(10_000))[np.newaxis])
        stored = read(tmp_path / "out" / "small" / "small_CLP.tif")
        np.testing.assert_array_equal(stored, np.minimum(np.rint(expected[0] * np.float32(255)), 254))
        mask = read(tmp_path / "out" / "small" / "small_CLM.tif")
        np.testing.assert_array_equal(mask, detector.get_mask_from_prob(expected)[0])
        assert 0 < mask.mean() < 1

    def test_settings_reach_the_mask_and_the_tags(self, make_product: MakeProduct, tmp_path: Path) -> None:
        product = make_product()
        options = ["--preset", "eo-learn", "--threshold", "0.55", "--average-over", "40", "--dilation", "120"]
        assert command(product, "--out", tmp_path, *options, "--unit", "metre", "--sampling", "nearest").code == 0
        with rasterio.open(tmp_path / "small" / "small_CLM.tif") as dataset:
            tags, mask = dataset.tags(), dataset.read(1)
        assert {key: tags[key] for key in ("PRESET", "THRESHOLD", "AVERAGE_OVER", "DILATION_SIZE", "UNIT")} == {
            "PRESET": "eo-learn", "THRESHOLD": "0.55", "AVERAGE_OVER": "40", "DILATION_SIZE": "120", "UNIT": "metre",
        }  # fmt: skip
        assert (tags["SAMPLING"], tags["RESOLUTION"], tags["PRODUCT"]) == ("nearest", "60", "small")
        scene = open_scene(product)
        dn = scene.read(CLOUD_BANDS, product_grid(scene, 60), resampling="nearest")
        detector = S2PixelCloudDetector(threshold=0.55, average_over=1, dilation_size=2)  # 40 and 120 m in 60 m pixels
        expected = detector.get_cloud_masks((dn.astype(np.float32) / np.float32(10_000))[np.newaxis])[0]
        np.testing.assert_array_equal(mask, expected)

    def test_no_data_is_255_and_takes_no_part(self, make_product: MakeProduct, tmp_path: Path) -> None:
        def west_missing(_: str, values: np.ndarray) -> np.ndarray:
            values[:, : values.shape[1] // 4] = 0
            return values

        product = make_product(change=west_missing)
        result = command(product, "--out", tmp_path)
        assert result.code == 0
        probability, mask = (read(tmp_path / "small" / f"small_{kind}.tif") for kind in ("CLP", "CLM"))
        assert (probability[:, :8] == 255).all()
        assert (mask[:, :8] == 255).all()
        assert probability[:, 8:].max() < 255
        assert mask[:, 8:].max() < 255
        shares = record(tmp_path, "small")["shares"]
        assert shares["data"] == 0.75
        assert shares["cloud"] == (mask[:, 8:] == 1).mean()
        assert "25.0%" in result.out

    def test_shadows(self, make_product: MakeProduct, tmp_path: Path) -> None:
        result = command("--out", tmp_path, "--shadows", "--resolution", 60)
        assert result.code == 0
        shadow, mask = (read(tmp_path / SAMPLE / f"{SAMPLE}_{kind}.tif") for kind in ("SHADOW", "CLM"))
        assert set(np.unique(shadow)) == {0, 1}
        assert not ((shadow == 1) & (mask == 1)).any()
        assert f"{(shadow == 1).mean():.1%}" in result.out

    def test_the_same_input_gives_the_same_bytes(self, make_product: MakeProduct, tmp_path: Path) -> None:
        product = make_product()
        for name, threads in (("one", 1), ("two", 2)):
            assert command(product, "--out", tmp_path / name, "--threads", threads).code == 0
        assert contents(tmp_path / "one") == contents(tmp_path / "two")


@pytest.mark.slow
class TestRepeated:
    def test_what_is_complete_is_kept(self, make_product: MakeProduct, tmp_path: Path) -> None:
        product, out = make_product(), tmp_path / "out"
        first = command(product, "--out", out)
        before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
        second = command(product, "--out", out)
        assert (first.code, second.code) == (0, 0)
        assert "kept" in second.out
        assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
        cloud = f"{record(out, 'small')['shares']['cloud']:.1%}"
        assert cloud in first.out
        assert cloud in second.out

    def test_other_settings_are_refused_then_replaced(self, make_product: MakeProduct, tmp_path: Path) -> None:
        product, out = make_product(), tmp_path / "out"
        assert command(product, "--out", out, "--shadows").code == 0
        before = contents(out)
        refused = command(product, "--out", out, "--threshold", "0.6")
        assert refused.code == 2
        assert "shadows, threshold changed" in refused.err
        assert "--overwrite" in refused.err
        assert contents(out) == before
        assert command(product, "--out", out, "--threshold", "0.6", "--overwrite").code == 0
        assert record(out, "small")["settings"]["threshold"] == 0.6
        assert not list(out.rglob("*SHADOW*"))

    @pytest.mark.parametrize("damage", ["touched", "cut", "gone", "version"])
    def test_what_is_outdated_or_damaged_is_made_anew(
        self, make_product: MakeProduct, tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        product, out = make_product(), tmp_path / "out"
        assert command(product, "--out", out).code == 0
        whole = contents(out)["small/small_CLM.tif"]
        mask = out / "small" / "small_CLM.tif"
        if damage == "touched":
            os.utime(next(product.glob("*B10.jp2")), ns=(1, 1))
        elif damage == "cut":
            mask.write_bytes(whole[:-10])
        elif damage == "gone":
            mask.unlink()
        else:
            for module in (files, images):
                monkeypatch.setattr(module, "version", lambda _: "9.9")
        result = command(product, "--out", out)
        assert result.code == 0
        assert "done" in result.out
        assert (mask.read_bytes() == whole) == (damage != "version")  # its tags name the version
        assert "kept" in command(product, "--out", out).out

    def test_an_interrupted_run_goes_on(
        self, make_product: MakeProduct, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        products, out = [make_product("a"), make_product("b")], tmp_path / "out"

        def interrupted(_: object, __: object, name: str, path: Path) -> None:
            path.write_bytes(b"half a picture")
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(quicklook, "draw_quicklook", interrupted)
            assert command(*products, "--out", out).code == 130
        assert record(out, "a")["complete"] is False
        assert not list(out.rglob("*quicklook*"))
        assert not (out / "b").exists()
        result = command(*products, "--out", out)
        assert result.code == 0
        assert result.out.count("done") == 2

    def test_files_of_somebody_else_stay(self, make_product: MakeProduct, tmp_path: Path) -> None:
        product, out = make_product(), tmp_path / "out"
        (out / "small").mkdir(parents=True)
        (out / "small" / "small_CLM.tif").write_text("mine")
        (out / "small" / "notes.txt").write_text("mine too")
        refused = command(product, "--out", out)
        assert refused.code == 2
        assert "no record" in refused.err
        assert command(product, "--out", out, "--overwrite").code == 0
        assert (out / "small" / "notes.txt").read_text() == "mine too"
        assert read(out / "small" / "small_CLM.tif").shape == (32, 32)

    def test_a_newer_record_is_refused(self, make_product: MakeProduct, tmp_path: Path) -> None:
        product, out = make_product(), tmp_path / "out"
        assert command(product, "--out", out).code == 0
        newer = record(out, "small") | {"version": 99}
        (out / "small" / "small.json").write_text(json.dumps(newer))
        assert "upgrade" in command(product, "--out", out).err


class TestBadProducts:
    def test_the_others_are_done(self, make_product: MakeProduct, tmp_path: Path) -> None:
        cut = make_product("cut")
        band = next(cut.glob("*B04.jp2"))
        band.write_bytes(band.read_bytes()[:1500])
        l2a = make_product("l2a", without=("B10",), sidecar={"level": "L2A"})
        good, out = make_product("good"), tmp_path / "out"
        result = command(cut, tmp_path / "absent", l2a, good, "--out", out)
        assert result.code == 1
        assert result.out.count(" failed") >= 3
        assert "B04.jp2" in result.out
        assert "B10 is missing" in result.out
        assert "nothing there" in result.out
        assert "3 failed" in result.out
        assert {path.name for path in out.iterdir()} == {"good"}
        assert read(out / "good" / "good_CLM.tif").shape == (32, 32)

    def test_a_folder_of_products_is_each_of_them(self, make_product: MakeProduct, tmp_path: Path) -> None:
        """A second product of one name is left out with a warning, as a folder and its zip are one."""
        folder = make_product("first").parent
        make_product("again/first")
        make_product("second")
        result = command(folder, "--out", tmp_path / "out", "--no-quicklook")
        assert result.code == 0
        assert {path.name for path in (tmp_path / "out").iterdir()} == {"first", "second"}
        line = f"Warning: {folder / 'first'} is left out: the same product as {folder / 'again' / 'first'}."
        assert line in result.out.replace("\n", " ")
        with pytest.warns(ProductSkippedWarning, match="is left out: the same product as"):
            CloudMaskRun([folder], tmp_path / "out", options())

    def test_two_acquisitions_of_one_name_are_not_one_product(self, make_product: MakeProduct, tmp_path: Path) -> None:
        make_product("2020/scene", sidecar={"time": "2020-05-01T10:00:00"})
        folder = make_product("2021/scene", sidecar={"time": "2021-05-01T10:00:00"}).parents[1]
        result = command(folder, "--out", tmp_path / "out", "--no-quicklook")
        assert result.code == 2
        assert "Two products are called scene" in result.err
        assert not (tmp_path / "out").exists()

    def test_an_offset_that_pixels_contradict_is_told(self, make_product: MakeProduct, tmp_path: Path) -> None:
        fields = {"radio_add_offset": -1000, "processing_baseline": "05.10"}
        product = make_product(sidecar=fields, change=lambda _, values: values // 4 + 50)
        result = command(product, "--out", tmp_path / "out", "--no-quicklook")
        assert result.out.count("Warning: ") == 1
        assert "the offset of -1000 that its metadata says takes" in result.out.replace("\n", " ")

    def test_none_can_be_opened(self, tmp_path: Path) -> None:
        result = command(tmp_path / "absent", tmp_path / "gone", "--out", tmp_path / "out")
        assert result.code == 2
        assert "nothing there" in result.err
        assert not (tmp_path / "out").exists()

    def test_nothing_but_no_data(self, make_product: MakeProduct, tmp_path: Path) -> None:
        result = command(make_product(change=lambda _, values: values * 0), "--out", tmp_path / "out")
        assert result.code == 1
        assert "holds no data at all" in result.out
        assert not (tmp_path / "out").exists()

    def test_an_offset_left_in(self, make_product: MakeProduct, tmp_path: Path) -> None:
        product = make_product(change=lambda _, values: values + np.uint16(1000))
        result = command(product, "--out", tmp_path / "out")
        assert result.code == 1
        assert "04.00" in result.out
        told = make_product(
            "told",
            change=lambda _, values: values + np.uint16(1000),
            sidecar={"radio_add_offset": -1000, "processing_baseline": "05.10"},
        )
        plain = make_product("plain")
        assert command(told, plain, "--out", tmp_path / "out").code == 0
        masks = [read(tmp_path / "out" / name / f"{name}_CLP.tif") for name in ("told", "plain")]
        np.testing.assert_array_equal(*masks)

    def test_bands_in_the_wrong_files(self, make_product: MakeProduct, tmp_path: Path) -> None:
        product = make_product()
        cirrus, blue = next(product.glob("*B10.jp2")), next(product.glob("*B01.jp2"))
        content = cirrus.read_bytes()
        cirrus.write_bytes(blue.read_bytes())
        blue.write_bytes(content)
        result = command(product, "--out", tmp_path / "out")
        assert result.code == 1
        assert "should be B10" in result.out

    def test_shadows_need_the_sun(self, make_product: MakeProduct, tmp_path: Path) -> None:
        product = make_product(sidecar={"sun_zenith": None, "sun_azimuth": None, "derived": None})
        result = command(product, "--out", tmp_path / "out", "--shadows")
        assert result.code == 1
        assert "sun_zenith" in result.out
        assert command(product, "--out", tmp_path / "out").code == 0


class TestBadArguments:
    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--resolution", "30"], "invalid choice: 30"),
            (["--threshold", "40"], "from 0 to 1"),
            (["--average-over", "1.5"], "radius in pixels"),
            (["--dilation", "-1"], "dilation_size=-1"),
            (["--threads", "0"], "threads=0"),
            (["--preset", "best"], "invalid choice: 'best'"),
            (["--preset", "sentinel-hub", "--unit", "metre"], "no sigma in metres"),
            (["--format", "netcdf"], "invalid choice: 'netcdf'"),
        ],
        ids=lambda value: value if isinstance(value, str) else " ".join(value),
    )
    def test_are_told(self, tmp_path: Path, arguments: list[str], said: str) -> None:
        result = command("--out", tmp_path / "out", *arguments)
        assert result.code == 2
        assert said in result.err
        assert not (tmp_path / "out").exists()

    def test_products_of_one_name(self, make_product: MakeProduct, tmp_path: Path) -> None:
        one, two = make_product("2017/X.SAFE"), make_product("2018/X")
        result = command(one, two, "--out", tmp_path / "out")
        assert result.code == 2
        assert "called X" in result.err

    @pytest.mark.parametrize("inside", ["", "masks"])
    def test_results_and_inputs_keep_apart(self, make_product: MakeProduct, inside: str) -> None:
        product = make_product()
        before = contents(product)
        result = command(product, "--out", product / inside)
        assert result.code == 2
        assert "into the product" in result.err
        assert contents(product) == before

    def test_results_never_go_into_a_product_of_their_name(self, make_product: MakeProduct) -> None:
        product = make_product()
        before = contents(product)
        result = command(product, "--out", product.parent)
        assert result.code == 2
        assert "into the product" in result.err
        assert contents(product) == before

    def test_a_record_of_somebody_else_stays(self, make_product: MakeProduct, tmp_path: Path) -> None:
        product = make_product()
        record = tmp_path / "out" / product.name / f"{product.name}.json"
        record.parent.mkdir(parents=True)
        record.write_text('{"mine": 1}')
        result = command(product, "--out", tmp_path / "out")
        assert result.code == 2
        assert record.name in result.err
        assert record.read_text() == '{"mine": 1}'

    @pytest.mark.parametrize("place", ["file/sub", "file", "out"])
    def test_a_place_without_room_for_a_folder_is_told_before_work(
        self, make_product: MakeProduct, tmp_path: Path, place: str
    ) -> None:
        product = make_product()
        (tmp_path / "file").write_text("")
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / product.name).write_text("")
        result = command(product, "--out", tmp_path / place)
        assert result.code == 2
        assert "is a file: give a folder" in result.err

    def test_a_radius_beyond_reason(self, tmp_path: Path) -> None:
        for more in (["--dilation", "100000"], ["--dilation", "90000", "--unit", "metre"]):
            result = command("--out", tmp_path / "out", *more)
            assert result.code in (1, 2)
            assert "1000" in result.err + result.out

    def test_a_file_in_the_way(self, tmp_path: Path) -> None:
        (tmp_path / "out").write_text("")
        assert "is a file" in command("--out", tmp_path / "out").err


def test_help_shows_examples() -> None:
    result = command("--help")
    assert result.code == 0
    assert "eotasks cloud-mask PRODUCT --out masks" in result.out
    assert "130 interrupted" in result.out


def test_without_a_picture(make_product: MakeProduct, tmp_path: Path) -> None:
    """The masks are the same; a picture that is asked for later is made, one that is not any more is taken away."""
    product = make_product()
    assert command(product, "--out", tmp_path / "with").code == 0
    assert command(product, "--out", tmp_path / "without", "--no-quicklook").code == 0
    expected = {name: content for name, content in contents(tmp_path / "with").items() if name.endswith(".tif")}
    made = contents(tmp_path / "without")
    assert {name: content for name, content in made.items() if name.endswith(".tif")} == expected
    assert not [name for name in made if name.endswith(".png")]
    assert "kept" in command(product, "--out", tmp_path / "without", "--no-quicklook").out
    assert "done" in command(product, "--out", tmp_path / "without").out
    assert [name for name in contents(tmp_path / "without") if name.endswith(".png")]


def test_styles_of_qgis_are_an_option(make_product: MakeProduct, tmp_path: Path) -> None:
    product, out = make_product(), tmp_path / "out"
    options = ["--out", out, "--resolution", "160", "--no-quicklook"]
    assert command(product, *options, "--styles").code == 0
    styles = {path.name: path.read_text() for path in out.rglob("*.qml")}
    assert sorted(styles) == ["small_CLM.qml", "small_CLP.qml"]
    assert 'value="0" color="#d9e3d4" alpha="0" label="Clear"' in styles["small_CLM.qml"]
    assert 'classificationMax="1"' in styles["small_CLP.qml"], "QGIS shows CLP with the scale of its band"
    assert "kept" in command(product, *options, "--styles").out
    assert "kept" in command(product, *options).out
    assert command(product, *options, "--overwrite").code == 0
    assert not list(out.rglob("*.qml"))
