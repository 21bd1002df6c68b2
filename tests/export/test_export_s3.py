"""Maps, mosaics and models on a real S3 server are those on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from eolearn.core import EOPatch, FeatureType
from sentinelhub import CRS, BBox

from eotasks.errors import CredentialsError, GridError, ImageryError, ModelError, StorageError
from eotasks.export.cog import read_classes, write_cog
from eotasks.export.mosaics import mosaic_cogs, mosaic_cogs_by_crs
from eotasks.export.tasks import ExportCogTask
from eotasks.models.classes import SLOVENIAN_CLASSES
from eotasks.models.landcover.model import CARD_FILE, MODEL_FILE, load_model
from eotasks.models.landcover.training import LandCoverModel, train
from eotasks.prediction import PredictLandCoverTask, cached_model
from eotasks.prediction import load_model as load_anywhere
from eotasks.storage.place import Place
from tests.servers.s3 import S3Server

UTM = "EPSG:32633"
FEATURE = (FeatureType.MASK_TIMELESS, "PREDICTION")


def class_map(height: int = 40, width: int = 30) -> np.ndarray:
    return np.random.default_rng(5).choice([0, 1, 2, 3], (height, width)).astype(np.uint8)


def write(path: Any, image: np.ndarray, *, left: float = 0.0, **options: Any) -> Any:
    height, width = image.shape
    bounds = (left, 0.0, left + 10.0 * width, 10.0 * height)
    return write_cog(path, image, **{"crs": UTM, "bounds": bounds, "classes": SLOVENIAN_CLASSES, **options})


def both(s3_server: S3Server, folder: Path) -> tuple[Place, Place]:
    """A place on disk and one on the server."""
    return Place(folder), Place(s3_server.location())


def contents(place: Place) -> dict[str, bytes]:
    return {name: place.read_bytes(name) for name in place.files()}


def test_a_map_is_the_same_bytes(s3_server: S3Server, tmp_path: Path) -> None:
    disk, s3 = both(s3_server, tmp_path)
    for place in (disk, s3):
        location = f"{place}/maps/a b.tif"
        assert write(location, class_map()) == location
    assert contents(s3) == contents(disk)
    assert sorted(contents(s3)) == ["maps/a b.tif", "maps/a b.tif.aux.xml"]
    assert read_classes(f"{s3}/maps/a b.tif") == read_classes(tmp_path / "maps" / "a b.tif")
    with rasterio.Env(**s3.gdal_environment()), rasterio.open(s3.gdal_path("maps/a b.tif")) as dataset:
        np.testing.assert_array_equal(dataset.read(1), class_map())


def test_a_map_that_replaces_another_leaves_no_classes_of_it(s3_server: S3Server) -> None:
    place = Place(s3_server.location())
    write(f"{place}/map.tif", class_map())
    write(f"{place}/map.tif", np.zeros((9, 9), np.uint8), classes=None)
    assert place.names() == ["map.tif"]
    assert read_classes(f"{place}/map.tif") is None


def test_a_map_that_fails_leaves_the_old_one(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(s3_server.location())
    write(f"{place}/map.tif", class_map())
    before = contents(place)

    def fail(*args: Any, **_: Any) -> None:
        Path(args[1]).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rasterio.shutil.copy", fail)
    with pytest.raises(StorageError, match=r"map\.tif.*No space left"):
        write(f"{place}/map.tif", class_map(9, 9))
    assert contents(place) == before


def test_the_task_exports_there(s3_server: S3Server, tmp_path: Path) -> None:
    disk, s3 = both(s3_server, tmp_path)
    patch = EOPatch(bbox=BBox((0, 0, 300, 400), CRS("32633")))
    patch[FEATURE] = class_map()[..., np.newaxis]
    for folder in (tmp_path, str(s3)):
        task = ExportCogTask(FEATURE, folder=folder, classes=SLOVENIAN_CLASSES)
        task.execute(patch, name="p")
    assert contents(s3) == contents(disk)
    assert task.location("p") == f"{s3}/p_PREDICTION.tif"
    with pytest.raises(StorageError, match="no folder of this machine"):
        task.path("p")
    with pytest.raises(StorageError, match="no bucket 'nowhere'"):
        ExportCogTask(FEATURE, folder="s3://nowhere/x").execute(patch, name="p")


def test_a_wrong_secret_is_told(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-this-one")
    with pytest.raises(CredentialsError) as raised:
        write(f"{s3_server.location()}/map.tif", class_map())
    assert "not-this-one" not in str(raised.value)


def test_a_mosaic_is_the_same_bytes(s3_server: S3Server, tmp_path: Path) -> None:
    disk, s3 = both(s3_server, tmp_path)
    image = class_map(40, 60)
    for place in (disk, s3):
        paths = [write(f"{place}/{name}.tif", image[:, part], left=left) for name, part, left in (
            ("west", slice(0, 30), 0.0), ("east", slice(30, 60), 300.0),
        )]  # fmt: skip
        assert mosaic_cogs(paths, f"{place}/all.tif", tags={"SEED": "42"}) == f"{place}/all.tif"
    assert contents(s3) == contents(disk)
    # Written anew, the map is read anew: GDAL alone would have kept what it had read.
    write(f"{s3}/west.tif", np.full((40, 30), 7, np.uint8))
    mosaic_cogs([f"{s3}/west.tif", f"{s3}/east.tif"], tmp_path / "again.tif")
    with rasterio.open(tmp_path / "again.tif") as dataset:
        np.testing.assert_array_equal(dataset.read(1), np.hstack([np.full((40, 30), 7, np.uint8), image[:, 30:]]))


def test_mosaics_by_coordinate_system(s3_server: S3Server) -> None:
    place = Place(s3_server.location())
    paths = [write(f"{place}/{zone}.tif", class_map(), crs=f"EPSG:{zone}") for zone in (32634, 32633)]
    written = mosaic_cogs_by_crs(paths, f"{place}/maps/land.cover.tif")
    assert written == {
        "EPSG:32633": f"{place}/maps/land.cover_EPSG32633.tif",
        "EPSG:32634": f"{place}/maps/land.cover_EPSG32634.tif",
    }
    assert place.size("maps/land.cover_EPSG32634.tif")


def test_errors_of_mosaics_name_the_object(s3_server: S3Server) -> None:
    place = Place(s3_server.location())
    good = write(f"{place}/good.tif", class_map())
    with pytest.raises(StorageError, match=rf"{place}/absent\.tif is not there"):
        mosaic_cogs([good, f"{place}/absent.tif"], f"{place}/all.tif")
    place.write_bytes("broken.tif", b"II*\0")
    with pytest.raises(ImageryError, match=rf"Cannot read the map {place}/broken\.tif"):
        mosaic_cogs([good, f"{place}/broken.tif"], f"{place}/all.tif")
    other = write(f"{place}/other.tif", class_map().astype(np.uint16), classes=None)
    with pytest.raises(GridError, match=rf"{place}/other\.tif has another type than {place}/good\.tif"):
        mosaic_cogs([good, other], f"{place}/all.tif")
    assert not place.exists("all.tif")


@pytest.fixture(scope="module")
def model() -> LandCoverModel:
    rng = np.random.default_rng(1)
    labels = rng.choice([1, 2], 200).astype(np.uint8)
    features = rng.normal(labels[:, np.newaxis], 0.2, (200, 2)).astype(np.float32)
    return train(
        features, labels, classes=SLOVENIAN_CLASSES, feature_names=["NDVI", "NDWI"], dates=["2017-06-01"],
        parameters={"n_estimators": 5}, seed=1,
    )  # fmt: skip


def test_a_model_is_kept_on_s3(s3_server: S3Server, tmp_path: Path, model: LandCoverModel) -> None:
    place = Place(s3_server.location()).child("model")
    assert model.save(place) == place
    model.save(tmp_path)
    assert contents(place) == contents(Place(tmp_path))
    assert load_model(place).text == load_anywhere(str(place)).text == load_anywhere(tmp_path).text == model.text
    patch = EOPatch(bbox=BBox((0, 0, 30, 40), CRS("32633")), timestamps=["2017-06-01"])
    patch[FeatureType.DATA, "FEATURES"] = np.random.default_rng(2).normal(1.5, 1, (1, 4, 3, 2)).astype(np.float32)
    on_disk = PredictLandCoverTask((FeatureType.DATA, "FEATURES"), FEATURE, model=tmp_path).execute(patch.copy())
    for where in (place, str(place)):
        predicted = PredictLandCoverTask((FeatureType.DATA, "FEATURES"), FEATURE, model=where).execute(patch.copy())
        np.testing.assert_array_equal(predicted[FEATURE], on_disk[FEATURE])


def test_another_model_in_its_place_is_read(s3_server: S3Server, model: LandCoverModel) -> None:
    place = Place(s3_server.location())
    model.save(place)
    first = cached_model(str(place))
    assert cached_model(str(place)) is first
    model.with_metrics({"accuracy": 1}).save(place)
    assert cached_model(str(place)).card.metrics == {"accuracy": 1}


def test_models_that_are_missing_or_do_not_fit(s3_server: S3Server, model: LandCoverModel) -> None:
    place = Place(s3_server.location())
    for reads in (load_model, lambda place: cached_model(str(place))):
        with pytest.raises(ModelError, match=rf"no {CARD_FILE} in '{place}'"):
            reads(place)
    model.save(place)
    place.write_bytes(MODEL_FILE, b"another text")
    with pytest.raises(ModelError, match="is not the text its card was written for"):
        load_model(place)
    with pytest.raises(ModelError, match=r"give an eotasks\.Place"):
        load_model(str(place))
