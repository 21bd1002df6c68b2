"""`eotasks cloud-mask --detector`: what works on a product, in strips or as a whole, and what is written of it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio

from eotasks.clouds.detectors import registry
from eotasks.clouds.detectors.frames import Frames
from eotasks.clouds.detectors.protocol import Detection, Detector, ProbabilityDetector
from eotasks.clouds.detectors.settings import DetectorSettings
from eotasks.clouds.detectors.vocabulary import Answer, Need
from eotasks.errors import ConfigurationError, ImageryError, ModelError, ShadowWarning
from eotasks.imagery.scene import open_scene
from eotasks.models.clouds.shadows import geometric
from eotasks.models.sentinel2 import SceneClass
from eotasks.sources.sample import open_sample
from eotasks.storage.place import Place
from eotasks.workflows.cloud_mask.files import MaskFiles
from eotasks.workflows.cloud_mask.quicklook import quicklook_sheet
from eotasks.workflows.product_masks import apart, product
from eotasks.workflows.product_masks.options import CloudMaskOptions
from eotasks.workflows.product_masks.product import ProductMasks, make_masks
from tests.builders.command_line import Result
from tests.builders.command_line import command as call
from tests.builders.layouts import small_l2a, small_safe
from tests.builders.products import write_jp2
from tests.builders.sample_products import MakeProduct

Install = Callable[[Detector], None]


def command(*arguments: str | Path) -> Result:
    return call("cloud-mask", *arguments)


class Stub(Detector):
    """Bright in B02 is cloud, dark in B08 is shadow; keeps what it was shown."""

    name = "stub"
    description = "two thresholds"
    bands = ("B08", "B02")
    answers: frozenset[Answer] = frozenset({"cloud", "shadow", "probability"})

    def __init__(self, *, per_pixel: bool) -> None:
        self.per_pixel = per_pixel
        self.seen: list[Frames] = []

    def detect(self, frames: Frames, settings: DetectorSettings) -> Detection:
        self.seen.append(frames)
        values = frames.reflectance("B02", "B08")
        cloud, shadow = values[..., 0] > 0.2, values[..., 1] < 0.1
        return Detection(np.where(cloud, 1, np.where(shadow, 2, 0)), np.clip(values[..., 0], 0, 1))


class Likely(ProbabilityDetector):
    """Half the brightness of B02."""

    name = "stub"
    description = "a probability"
    bands = ("B02",)

    def __init__(self, *, per_pixel: bool) -> None:
        self.per_pixel = per_pixel
        self.seen: list[Frames] = []

    def probability(self, frames: Frames, settings: DetectorSettings) -> np.ndarray:
        self.seen.append(frames)
        return np.clip(frames.reflectance("B02")[..., 0] * 2, 0, 1)


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Stubs under the name "stub", and strips of 8 rows of 60 m."""

    def add(detector: Detector) -> None:
        monkeypatch.setattr(registry, "BUILT_IN", {**registry.BUILT_IN, "stub": detector})

    monkeypatch.setattr(product, "_STRIP", 48)
    return add


def corner_missing(_: str, values: np.ndarray) -> np.ndarray:
    values[: len(values) // 3, : len(values) // 2] = 0
    return values


@pytest.mark.filterwarnings("ignore::eotasks.errors.ShadowWarning")  # clouds of these are made up
@pytest.mark.parametrize("kind", [Stub, Likely])
def test_strips_and_a_whole_product_give_the_same(make_product: MakeProduct, install: Install, kind: type) -> None:
    scene = open_scene(make_product(change=corner_missing))
    made: list[ProductMasks] = []
    for per_pixel in (True, False):
        detector = kind(per_pixel=per_pixel)
        install(detector)
        options = CloudMaskOptions(resolution=60, sampling="mean", shadows=True, detector="stub")
        made.append(make_masks(scene, options))
        assert len(detector.seen) == (4 if per_pixel else 1)
        height = sum(frames.shape[1] for frames in detector.seen)
        assert (height, detector.seen[0].shape[2]) == (32, 32)
        assert detector.seen[0].pixel_size() == (60, 60)
        assert detector.seen[0].times == (scene.acquisition.time,)
        assert set(detector.bands) <= set(detector.seen[0].names)
    strips, whole = made
    for name in ("probability", "mask", "shadow"):
        np.testing.assert_array_equal(getattr(strips, name), getattr(whole, name), err_msg=name)
    assert (whole.mask[:10, :16] == 255).all()
    assert 0 < (whole.mask[whole.mask != 255] == 1).mean() < 1
    if kind is Stub:
        blue = scene.read(["B02", "B08"], whole.grid, resampling="mean") / np.float32(10_000)
        valid = whole.mask != 255
        np.testing.assert_array_equal(whole.mask[valid], (blue[..., 0] > 0.2)[valid])
        np.testing.assert_array_equal(whole.shadow[valid], ((blue[..., 1] < 0.1) & (blue[..., 0] <= 0.2))[valid])


def test_a_detector_at_fault_fails_its_product_and_not_the_others(
    make_product: MakeProduct,
    install: Install,
    tmp_path: Path,
) -> None:
    class Wrong(Stub):
        def detect(self, frames: Frames, settings: DetectorSettings) -> Detection:
            if frames.where == "bad":
                return Detection(np.full(frames.shape, 7))
            return super().detect(frames, settings)

    install(Wrong(per_pixel=True))
    products = [make_product("bad"), make_product("good")]
    result = command(*products, "--detector", "stub", "--out", tmp_path / "out")
    assert result.code == 1
    assert "detector 'stub' answered the class 7 where 0, 1, 2, 255 are due" in result.out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"good"}
    with pytest.raises(ModelError, match="the class 7"):
        make_masks(open_scene(products[0]), CloudMaskOptions(detector="stub", shadows=True))


def test_shadows_of_a_detector_are_written_without_asking(make_product: MakeProduct, tmp_path: Path) -> None:
    out = tmp_path / "out" / "small"
    assert command(make_product(), "--detector", "shadows-geometric", "--out", tmp_path / "out").code == 0
    names = {path.name for path in out.iterdir() if path.suffix == ".tif"}
    assert names == {f"small_{kind}.tif" for kind in ("CLP", "CLM", "SHADOW")}
    with rasterio.open(out / "small_SHADOW.tif") as dataset:
        assert dataset.tags()["DETECTOR"] == "shadows-geometric"
        assert dataset.tags()["MODEL"].endswith("v0.1.txt")
        shadow = dataset.read(1)
    assert command(make_product("again"), "--out", tmp_path / "out").code == 0
    for kind in ("CLP", "CLM"):
        again = tmp_path / "out" / "again" / f"again_{kind}.tif"
        with rasterio.open(out / f"small_{kind}.tif") as one, rasterio.open(again) as two:
            np.testing.assert_array_equal(one.read(1), two.read(1))
    assert set(np.unique(shadow)) <= {0, 1}


@pytest.fixture
def l2a(tmp_path: Path) -> Path:
    """An L2A product whose SCL is cloud, shadow, no data and vegetation, a quarter of the rows each."""
    folder = small_l2a(small_safe(tmp_path / "L1C"), tmp_path)
    for path in folder.rglob("*_SCL_*.jp2"):
        with rasterio.open(path) as source:
            classes, transform = source.read(1), source.transform
        names = (SceneClass.THIN_CIRRUS, SceneClass.CLOUD_SHADOW, SceneClass.NO_DATA, SceneClass.VEGETATION)
        classes[:] = np.repeat(np.array(names, dtype=np.uint8), len(classes) // 4)[:, np.newaxis]
        path.unlink()
        write_jp2(path, classes, transform.a, left=transform.c, top=transform.f)
    return folder


def test_the_scene_classification_of_l2a(l2a: Path, tmp_path: Path) -> None:
    result = command(l2a, "--detector", "scl", "--out", tmp_path / "out", "--resolution", "60")
    assert result.code == 0, result.out + result.err
    folder = tmp_path / "out" / l2a.stem
    read = {}
    for kind in ("CLM", "SHADOW"):
        with rasterio.open(folder / f"{l2a.stem}_{kind}.tif") as dataset:
            read[kind] = dataset.read(1)
    assert read["CLM"].shape == (32, 32)
    np.testing.assert_array_equal(read["CLM"], np.repeat([1, 0, 255, 0], 8)[:, np.newaxis].repeat(32, axis=1))
    np.testing.assert_array_equal(read["SHADOW"], np.repeat([0, 1, 255, 0], 8)[:, np.newaxis].repeat(32, axis=1))
    assert not (folder / f"{l2a.stem}_CLP.tif").exists()
    shares = json.loads((folder / f"{l2a.stem}.json").read_text())["shares"]
    assert shares == {"cloud": 1 / 3, "shadow": 1 / 3, "data": 0.75, "mean_probability": None}
    default = command(l2a, "--out", tmp_path / "other")
    assert default.code == 1
    assert "B10 is missing" in default.out
    assert "--detector scl" in " ".join(default.out.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fmask"], "there is no detector 'fmask': choose of s2cloudless"),
        (["multi-temporal"], "needs several frames of a place, which a product does not have: use s2cloudless"),
        (["stored"], "needs a mask that lies beside the bands"),
        (["all-clear"], "is no detector but a baseline"),
        (["scl"], "needs a scene classification (SCL), which small does not have: use s2cloudless, shadows-geometric"),
        (["scl", "--preset", "gee"], "detector 'scl' does not use --preset: leave that out"),
        (["scl", "--average-over", "0", "--unit", "metre"], "does not use --average-over, --unit"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_does_not_work_on_a_product_is_told_before_work(
    make_product: MakeProduct, tmp_path: Path, arguments: list[str], said: str
) -> None:
    result = command(make_product(), "--out", tmp_path / "out", "--detector", *arguments)
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert said in result.err
    assert not (tmp_path / "out").exists()


def test_a_detector_that_needs_the_sun(make_product: MakeProduct) -> None:
    scene = open_scene(make_product(sidecar={"sun_zenith": None, "sun_azimuth": None, "derived": None}))
    with pytest.raises(ImageryError, match="sun_zenith"):
        make_masks(scene, CloudMaskOptions(detector="shadows-geometric", shadows=True))
    with pytest.raises(ConfigurationError, match="finds shadows too: set shadows=True"):
        CloudMaskOptions(detector="shadows-geometric")


class WantsSun(Stub):
    """Answers no shadow, and is shown where the sun stood."""

    answers: frozenset[Answer] = frozenset({"cloud"})
    needs: frozenset[Need] = frozenset({"sun angles"})

    def detect(self, frames: Frames, settings: DetectorSettings) -> Detection:
        assert frames.sun_angles is not None
        return Detection(super().detect(frames, settings).mask == 1)


def test_the_sun_without_an_answer_of_shadows(make_product: MakeProduct, install: Install) -> None:
    scene = open_scene(make_product())
    install(WantsSun(per_pixel=True))
    masks = make_masks(scene, CloudMaskOptions(detector="stub", quicklook=False))
    assert masks.shadow is None
    assert 0 < (masks.mask == 1).mean() < 1
    with pytest.warns(ShadowWarning, match="no shadow can be told"):  # its clouds are made up
        asked = make_masks(scene, CloudMaskOptions(detector="stub", shadows=True, quicklook=False))
    assert asked.shadow is not None


class LooksAtMore(Stub):
    """Looks at green where it is there, and at cirrus."""

    optional_bands = ("B03", "B10")


def test_bands_that_a_detector_looks_at_where_they_are_there(make_product: MakeProduct, install: Install) -> None:
    detector = LooksAtMore(per_pixel=True)
    install(detector)
    for name, without in (("all", ()), ("less", ("B10",))):
        detector.seen.clear()
        options = CloudMaskOptions(detector="stub", shadows=True, quicklook=False)
        make_masks(open_scene(make_product(name, without=without)), options)
        assert set(detector.seen[0].names) == {*detector.bands, "B03", "B10"} - set(without)


def test_snow_kept_apart_leaves_shadows_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told by B03, which tells turbid water of shadows too: they are looked at with it anyway."""
    monkeypatch.setattr(geometric, "_BEATS_CHANCE", 0.0)  # winter forests pass for cloud here, and no shadow is told
    monkeypatch.setattr(apart, "snow_in", lambda bands, *_, **__: np.zeros(bands.shape[:2], dtype=bool))
    plain, with_snow = (
        make_masks(
            open_sample(),
            CloudMaskOptions(resolution=160, detector="shadows-geometric", shadows=True, snow=snow, quicklook=False),
        ).shadow
        for snow in (False, True)
    )
    assert plain is not None
    assert with_snow is not None
    assert (plain == 1).any()
    np.testing.assert_array_equal(with_snow, plain)


class LikelyWithShadows(Likely):
    """A mask of its own beside the probability: dark in B08 is shadow where the settings leave it clear."""

    bands = ("B02", "B08")
    answers: frozenset[Answer] = frozenset({"cloud", "shadow", "probability"})

    def detect(self, frames: Frames, settings: DetectorSettings) -> Detection:
        found = super().detect(frames, settings)
        dark = frames.reflectance("B08")[..., 0] < 0.1
        return Detection(np.where(dark & (found.mask == 0), 2, found.mask), found.probability)


def test_a_probability_with_a_mask_of_its_own(make_product: MakeProduct, install: Install, tmp_path: Path) -> None:
    """Its detect() is what counts, on the whole product: it averages, whatever its probability does."""
    path, out = make_product(), tmp_path / "out"
    scene = open_scene(path)
    install(Likely(per_pixel=True))
    assert command(path, "--detector", "stub", "--shadows", "--out", out).code == 0
    clouds = make_masks(scene, CloudMaskOptions(detector="stub"))
    detector = LikelyWithShadows(per_pixel=True)
    install(detector)
    masks = make_masks(scene, CloudMaskOptions(detector="stub", shadows=True))
    assert len(detector.seen) == 1
    np.testing.assert_array_equal(masks.mask, clouds.mask)
    np.testing.assert_array_equal(masks.probability, clouds.probability)
    assert masks.shadow is not None
    dark = scene.read(["B08"], masks.grid, resampling="fast")[..., 0] < 1000
    np.testing.assert_array_equal(masks.shadow == 1, dark & (masks.mask == 0))
    assert command(path, "--detector", "stub", "--out", out, "--overwrite").code == 0
    with rasterio.open(out / "small" / "small_SHADOW.tif") as dataset:
        np.testing.assert_array_equal(dataset.read(1), masks.shadow)  # not the one of the run before


@pytest.mark.filterwarnings("ignore::eotasks.errors.ShadowWarning")  # its clouds are made up
def test_a_file_of_another_run_does_not_stand_in_a_record(
    make_product: MakeProduct, install: Install, tmp_path: Path
) -> None:
    scene = open_scene(make_product())
    install(WantsSun(per_pixel=True))
    files = MaskFiles(Place(tmp_path / "out"), "small")
    options = CloudMaskOptions(detector="stub", shadows=True, quicklook=False)
    masks = make_masks(scene, options)
    files.write(scene, masks, options)
    before = (tmp_path / "out" / "small.json").read_bytes()
    with pytest.raises(ValueError, match="small: the masks have no SHADOW, which their options ask for"):
        files.write(scene, dataclasses.replace(masks, shadow=None), options)
    assert (tmp_path / "out" / "small.json").read_bytes() == before


class Threshold(Stub):
    """Cloud by one of the settings alone."""

    answers: frozenset[Answer] = frozenset({"cloud"})
    bands = ("B02",)
    uses = ("threshold",)

    def detect(self, frames: Frames, settings: DetectorSettings) -> Detection:
        return Detection(frames.reflectance("B02")[..., 0] > settings.mask.threshold)


def test_a_setting_that_a_detector_uses_is_taken_and_recorded(
    make_product: MakeProduct, install: Install, tmp_path: Path
) -> None:
    install(Threshold(per_pixel=True))
    path, out = make_product(), tmp_path / "out"
    arguments = ["--detector", "stub", "--no-quicklook", "--out", out]
    result = command(path, *arguments, "--threshold", "0.2")
    assert result.code == 0, result.err
    assert "Masks: stub at 60 m; threshold 0.2\n" in result.out
    record = json.loads((out / "small" / "small.json").read_text())
    expected = {"detector": "stub", "resolution": 60, "sampling": "fast", "threshold": 0.2, "shadows": False}
    assert record["settings"] == expected
    with rasterio.open(out / "small" / "small_CLM.tif") as dataset:
        assert dataset.tags()["THRESHOLD"] == "0.2"
        assert 0 < (dataset.read(1) == 1).mean() < 1
    other = command(path, *arguments)
    assert other.code == 2
    assert "other settings (threshold changed)" in other.err
    refused = command(path, *arguments, "--threshold", "0.2", "--preset", "gee", "--dilation", "2")
    assert refused.code == 2
    assert "detector 'stub' does not use --preset, --dilation: leave that out" in refused.err


@pytest.mark.parametrize("needs", [frozenset(), frozenset({"sun angles"})], ids=["nothing", "sun"])
def test_a_detector_that_reads_nothing_of_a_product(
    make_product: MakeProduct, install: Install, tmp_path: Path, needs: frozenset[Need]
) -> None:
    detector = Stub(per_pixel=True)
    detector.bands, detector.needs = (), needs
    detector.answers = frozenset({"cloud"})
    install(detector)
    result = command(make_product(), "--detector", "stub", "--out", tmp_path / "out")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "detector 'stub' reads nothing of a product, neither bands nor a scene classification" in result.err
    assert not (tmp_path / "out").exists()


def test_results_that_name_no_detector_are_of_s2cloudless(make_product: MakeProduct, tmp_path: Path) -> None:
    small = make_product()
    assert command(small, "--out", tmp_path / "out").code == 0
    path = tmp_path / "out" / "small" / "small.json"
    record = json.loads(path.read_text())
    assert record["settings"].pop("detector") == "s2cloudless"
    del record["detector_package"]
    path.write_text(json.dumps(record))
    assert "kept" in command(small, "--out", tmp_path / "out").out
    other = command(small, "--out", tmp_path / "out", "--detector", "shadows-geometric")
    assert other.code == 2
    assert "(detector, shadows changed)" in other.err


def test_the_help_lists_those_that_work_on_products() -> None:
    text = command("--help").out
    assert "(CLM) of Sentinel-2 products" in text
    assert "L1C, or L2A for the detectors that do without B10" in " ".join(text.split())
    lines = text.splitlines()
    listed = {line.split()[0] for line in lines if line.startswith("  ") and line.split()}
    assert {"s2cloudless", "shadows-geometric", "shadows-projection", "scl"} <= listed
    assert not {"stored", "multi-temporal", "all-clear"} & listed


def test_a_picture_without_a_probability(make_product: MakeProduct, install: Install) -> None:
    class Classes(Stub):
        answers: frozenset[Answer] = frozenset({"cloud"})

        def detect(self, frames: Frames, settings: DetectorSettings) -> Detection:
            return Detection(frames.reflectance("B02")[..., 0] > 0.2)

    install(Classes(per_pixel=True))
    options = CloudMaskOptions(detector="stub")
    said = quicklook_sheet(make_masks(open_scene(make_product()), options), options, "P").texts
    assert {"Scene, true colour", "Cloud mask", "stub at 60 m"} <= set(said)
    assert "Cloud probability" not in said
