"""Every task of eo-learn that works, in one workflow with ours: what it adds is there, and ours read it."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import eolearn.core
import geopandas as gpd
import numpy as np
import pytest
import shapely
from eolearn.core import (
    AddFeatureTask,
    CopyTask,
    CreateEOPatchTask,
    DeepCopyTask,
    DuplicateFeatureTask,
    EONode,
    EOPatch,
    EOTask,
    EOWorkflow,
    ExplodeBandsTask,
    ExtractBandsTask,
    FeatureType,
    InitializeFeatureTask,
    LoadTask,
    MapFeatureTask,
    MergeEOPatchesTask,
    MergeFeatureTask,
    MoveFeatureTask,
    OutputTask,
    RemoveFeatureTask,
    RenameFeatureTask,
    SaveTask,
    TemporalSubsetTask,
    ZipFeatureTask,
)
from eolearn.core.eoworkflow_tasks import InputTask
from eolearn.coregistration.coregistration import ECCRegistrationTask
from eolearn.features import FilterTimeSeriesTask, NormalizedDifferenceIndexTask, SimpleFilterTask
from eolearn.features.extra.clustering import ClusteringTask
from eolearn.features.extra.interpolation import (
    AkimaInterpolationTask,
    BSplineInterpolationTask,
    CubicInterpolationTask,
    CubicResamplingTask,
    InterpolationTask,
    LinearInterpolationTask,
    LinearResamplingTask,
    NearestResamplingTask,
    ResamplingTask,
    SplineInterpolationTask,
)
from eolearn.features.feature_manipulation import SpatialResizeTask
from eolearn.features.utils import ResizeParam
from eolearn.geometry import ErosionTask, MorphologicalFilterTask, RasterToVectorTask, VectorToRasterTask
from eolearn.geometry.morphology import MorphologicalOperations
from eolearn.io import ExportToTiffTask, ImportFromTiffTask, VectorImportTask
from eolearn.mask import JoinMasksTask, MaskFeatureTask, SnowMaskTask
from eolearn.mask.extra.cloud_mask import CloudMaskTask
from eolearn.ml_tools import BlockSamplingTask, FractionSamplingTask, GridSamplingTask
from scipy.interpolate import Akima1DInterpolator, interp1d
from sentinelhub.geometry import BBox

import eotasks
from eotasks.models.sentinel2 import BANDS
from tests import ROOT

pytestmark = [
    pytest.mark.filterwarnings("ignore::eolearn.core.exceptions.EODeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning"),
]

DATA, MASK, MASK_TIMELESS = FeatureType.DATA, FeatureType.MASK, FeatureType.MASK_TIMELESS
DATA_TIMELESS, VECTOR_TIMELESS, META = FeatureType.DATA_TIMELESS, FeatureType.VECTOR_TIMELESS, FeatureType.META_INFO

NOT_RUN = {
    "BaseRasterIoTask": "abstract",
    "BaseSamplingTask": "abstract",
    "EOTask": "abstract",
    "IOTask": "abstract",
    "KrigingInterpolationTask": "its values are not those that its own tests want",
    "SentinelHubDemTask": "needs an account",
    "SentinelHubEvalscriptTask": "needs an account",
    "SentinelHubInputBaseTask": "abstract",
    "SentinelHubInputTask": "needs an account",
}
"""Tasks of eo-learn that are not in the workflow, and why."""

PAGE = ROOT / "docs" / "how-to-eo-learn.md"
LEFT, _, RIGHT, TOP = tuple(eotasks.SAMPLE_BBOX)
SIDE, PIXEL = 1200, 60
BBOX = BBox((LEFT, TOP - SIDE, LEFT + SIDE, TOP), eotasks.SAMPLE_BBOX.crs)
START, END = dt.date(2017, 3, 1), dt.date(2017, 8, 20)
RANGE = (str(START), str(END), 30)


def tasks_of_eo_learn() -> set[str]:
    """Names of all tasks that eo-learn defines; read, since not every module of it can be imported."""
    folder = Path(eolearn.core.__file__).parent.parent
    sources = [path.read_text(encoding="utf-8") for path in folder.rglob("*.py")]
    return {name for source in sources for name in re.findall(r"^class (\w+Task)\b", source, re.MULTILINE)}


def write_fields(path: Path) -> None:
    """Two fields over half of the patch each, with their class."""
    halves = [shapely.box(LEFT, TOP - SIDE, LEFT + SIDE / 2, TOP), shapely.box(LEFT + SIDE / 2, TOP - SIDE, RIGHT, TOP)]
    gpd.GeoDataFrame({"lulcid": [1, 2]}, geometry=halves, crs=32633).to_file(path, driver="GPKG", engine="pyogrio")


class Chain:
    """Nodes one after the other, and branches of them."""

    def __init__(self) -> None:
        self.nodes: list[EONode] = []
        self.arguments: dict[EONode, dict[str, Any]] = {}

    def add(self, task: EOTask, after: Sequence[EONode] | None = None, **arguments: Any) -> EONode:
        """A node after the one that was added last, or after others."""
        node = EONode(task, inputs=self.nodes[-1:] if after is None else after)
        self.nodes.append(node)
        if arguments:
            self.arguments[node] = arguments
        return node

    def run(self, **outputs: EONode) -> dict[str, EOPatch]:
        for name, node in outputs.items():
            self.add(OutputTask(name), [node])
        results = EOWorkflow(self.nodes).execute(self.arguments)
        assert not results.error_node_uid
        return dict(results.outputs)

    def names(self) -> set[str]:
        return {type(node.task).__name__ for node in self.nodes}


def clouds_and_masks(chain: Chain) -> EONode:
    """From a simulated year to masks: ours and those of eo-learn, each from what the other added."""
    created = chain.add(CreateEOPatchTask(), bbox=BBOX)
    entered = chain.add(InputTask(), value=EOPatch(bbox=BBOX), after=())
    chain.add(MergeEOPatchesTask(), after=[created, entered])
    chain.add(eotasks.SimulateYearTask((DATA, "BANDS"), (MASK, "IS_DATA"), acquisitions=8, resolution=PIXEL, snow=True))
    chain.add(eotasks.AddCloudProbabilityTask((DATA, "BANDS"), (DATA, "CLP"), is_data_feature=(MASK, "IS_DATA")))
    chain.add(eotasks.AddCloudMaskTask(is_data_feature=(MASK, "IS_DATA"), boolean=True))
    chain.add(CloudMaskTask((DATA, "BANDS"), (MASK, "IS_DATA"), (MASK, "CLM_EO"), (DATA, "CLP_EO")))
    chain.add(SnowMaskTask((DATA, "BANDS"), [BANDS.index(name) for name in ("B03", "B04", "B08", "B11")]))
    chain.add(MapFeatureTask((MASK, "SNOW_MASK"), (MASK, "SNOW_MASK"), np.ndarray.astype, dtype=bool))
    chain.add(JoinMasksTask([(MASK, "CLM_EO"), (MASK, "SNOW_MASK")], (MASK, "BRIGHT"), "or"))
    grow = {"morph_operation": MorphologicalOperations.DILATION, "struct_elem": np.ones((3, 3), dtype=np.uint8)}
    chain.add(MapFeatureTask((MASK, "BRIGHT"), (MASK, "BRIGHT"), np.ndarray.astype, dtype=np.uint8))
    chain.add(MorphologicalFilterTask((MASK, "BRIGHT"), (MASK, "GROWN"), **grow))
    return chain.add(eotasks.AddValidDataMaskTask((MASK, "IS_DATA"), cloud_masks=[(MASK, "CLM_EO"), (MASK, "GROWN")]))


def features(chain: Chain) -> EONode:
    """Indices and bands, ours and eo-learn's, merged; housekeeping of features."""
    chain.add(eotasks.AddNormalizedDifferenceTask((DATA, "BANDS"), (DATA, "NDVI")))
    chain.add(NormalizedDifferenceIndexTask((DATA, "BANDS"), (DATA, "NDVI_EO"), (7, 3)))
    chain.add(ExtractBandsTask((DATA, "BANDS"), (DATA, "RGB"), [3, 2, 1]))
    chain.add(ExplodeBandsTask((DATA, "BANDS"), {(DATA, "B08"): 7, (DATA, "SWIR"): [11, 12]}))
    chain.add(MergeFeatureTask([(DATA, "RGB"), (DATA, "NDVI")], (DATA, "FEATURES")))
    chain.add(ZipFeatureTask([(DATA, "NDVI"), (DATA, "NDVI_EO")], (DATA, "DIFFERENCE"), np.subtract))
    chain.add(DuplicateFeatureTask((DATA, "FEATURES", "MASKED"), deep_copy=True))
    chain.add(MaskFeatureTask((DATA, "MASKED", "MASKED"), (MASK, "IS_VALID"), [False]))
    chain.add(RenameFeatureTask((DATA, "B08", "NIR")))
    chain.add(RemoveFeatureTask([(DATA, "SWIR")]))
    chain.add(InitializeFeatureTask((MASK_TIMELESS, "ONES"), (SIDE // PIXEL, SIDE // PIXEL, 1), 1))
    return chain.add(AddFeatureTask((META, "MADE_BY")), data={"who": "both"})


def labels(chain: Chain, fields: Path) -> EONode:
    """Labels out of a file by eo-learn, eroded and sampled by ours; and the other way."""
    chain.add(VectorImportTask((VECTOR_TIMELESS, "FIELDS"), str(fields)))
    shape: dict[str, Any] = {"raster_shape": (SIDE // PIXEL, SIDE // PIXEL), "raster_dtype": np.uint8}
    chain.add(VectorToRasterTask((VECTOR_TIMELESS, "FIELDS"), (MASK_TIMELESS, "LULC"), values_column="lulcid", **shape))
    ours = {"source": (VECTOR_TIMELESS, "FIELDS"), "shape_feature": (MASK, "IS_DATA")}
    chain.add(eotasks.RasterizeReferenceTask((MASK_TIMELESS, "LULC_OURS"), **ours))
    chain.add(eotasks.ErodeReferenceTask((MASK_TIMELESS, "LULC"), (MASK_TIMELESS, "ERODED")))
    chain.add(ErosionTask((MASK_TIMELESS, "LULC", "ERODED_EO"), disk_radius=3))
    chain.add(RasterToVectorTask((MASK_TIMELESS, "ERODED", "FIELDS_ERODED"), values=[1, 2]))
    to_sample = [(DATA, "NDVI", "NDVI_OURS"), (MASK_TIMELESS, "ERODED", "LABELS_OURS")]
    chain.add(eotasks.SampleTask((MASK_TIMELESS, "ERODED"), to_sample, per_class=20))
    fraction = FractionSamplingTask(
        [(DATA, "NDVI", "NDVI_FRACTION")], (MASK_TIMELESS, "ERODED"), {1: 0.2, 2: 0.4}, exclude_values=[0]
    )
    chain.add(fraction, seed=1)
    chain.add(BlockSamplingTask([(DATA, "NDVI", "NDVI_BLOCKS")], 3, (2, 2)), seed=1)
    return chain.add(GridSamplingTask([(DATA, "NDVI", "NDVI_GRID")], (2, 2), (5, 5)))


def series(chain: Chain, start: EONode) -> dict[str, EONode]:
    """Frames dropped by ours and by eo-learn, and the gaps filled by each interpolation."""
    chain.add(eotasks.FilterCloudyTimestampsTask((MASK, "IS_VALID"), min_valid_fraction=0.05), [start])
    chain.add(SimpleFilterTask((MASK, "IS_DATA"), np.any))
    chain.add(FilterTimeSeriesTask(dt.datetime(2017, 1, 1), dt.datetime(2017, 12, 31)))  # noqa: DTZ001 - as EOPatches
    kept = chain.add(TemporalSubsetTask(_all_but_none))
    ends: dict[str, EONode] = {}
    ends["ours"] = chain.add(
        eotasks.ResampleTimeSeriesTask((DATA, "NDVI"), start=START, end=END, step_days=30, edges="nan"), [kept]
    )
    gaps = {"mask_feature": (MASK, "IS_VALID"), "resample_range": RANGE}
    ends["LinearInterpolationTask"] = chain.add(LinearInterpolationTask((DATA, "NDVI"), **gaps), [kept])
    for task in (CubicInterpolationTask, SplineInterpolationTask, BSplineInterpolationTask, AkimaInterpolationTask):
        ends[task.__name__] = chain.add(task((DATA, "NDVI"), **gaps), [kept])
    akima = InterpolationTask((DATA, "NDVI"), Akima1DInterpolator, **gaps)
    ends["InterpolationTask"] = chain.add(akima, [kept])
    ends["ResamplingTask"] = chain.add(ResamplingTask((DATA, "NDVI"), interp1d, RANGE, kind="linear"), [kept])
    for task in (NearestResamplingTask, LinearResamplingTask, CubicResamplingTask):
        ends[task.__name__] = chain.add(task((DATA, "NDVI"), RANGE), [kept])
    return ends


def _all_but_none(timestamps: list[dt.datetime]) -> list[bool]:
    return [True] * len(timestamps)


def shapes(chain: Chain, start: EONode) -> dict[str, EONode]:
    """Resized, registered and clustered; each in a branch of its own."""
    small = SpatialResizeTask(resize_type=ResizeParam.SCALE_FACTORS, height_param=0.5, width_param=0.5,
                              features=[(DATA, "NDVI")])  # fmt: skip
    mean = chain.add(MapFeatureTask((DATA, "NDVI"), (DATA_TIMELESS, "MEAN"), np.nanmean, axis=0), [start])
    clusters = chain.add(
        ClusteringTask((DATA_TIMELESS, "MEAN"), "CLUSTERS", n_clusters=5, affinity="euclidean"), [mean]
    )
    chain.add(MapFeatureTask((DATA, "RGB"), (DATA_TIMELESS, "FIRST"), np.take, indices=0, axis=0), [start])
    register = ECCRegistrationTask((DATA, "RGB"), (DATA_TIMELESS, "FIRST"), 0, apply_to_features=[(DATA, "RGB")])
    chain.add(TemporalSubsetTask([0]))  # it finds no shift of a frame that is cloud all over
    registered = chain.add(register)
    return {"small": chain.add(small, [start]), "clusters": clusters, "registered": registered}


def storage(chain: Chain, start: EONode, folder: Path) -> dict[str, EONode]:
    """Saved by each and read by each; files of each."""
    names = [(DATA, "NDVI"), (MASK, "IS_VALID"), (MASK_TIMELESS, "LULC"), (VECTOR_TIMELESS, "FIELDS")]
    saved = chain.add(SaveTask(str(folder / "plain"), features=names), [start], eopatch_folder="patch")
    chain.add(RemoveFeatureTask([(DATA, "NDVI")]), [saved])
    loaded = chain.add(LoadTask(str(folder / "plain")), eopatch_folder="patch")
    chain.add(eotasks.SaveEOPatchTask(str(folder / "ours")), [loaded], name="patch")
    chain.add(ExportToTiffTask((MASK_TIMELESS, "LULC"), str(folder)), [start], filename="lulc.tif")
    cog = eotasks.ExportCogTask((MASK_TIMELESS, "LULC"), folder=str(folder), filename="{name}_lulc.tif")
    chain.add(cog, name="patch")
    tiff = chain.add(ImportFromTiffTask((MASK_TIMELESS, "FROM_COG"), str(folder / "patch_lulc.tif")))
    copied = chain.add(CopyTask([(MASK_TIMELESS, "LULC")]), [start])
    deep = chain.add(DeepCopyTask([(MASK_TIMELESS, "LULC")]), [start])
    given = chain.add(MoveFeatureTask([(MASK_TIMELESS, "ERODED")]), [start, copied])
    merged = chain.add(MergeEOPatchesTask(), [given, deep])
    return {"loaded": loaded, "tiff": tiff, "merged": merged}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[set[str], dict[str, EOPatch], Path]:
    folder = tmp_path_factory.mktemp("eo-learn")
    write_fields(folder / "fields.gpkg")
    chain = Chain()
    clouds_and_masks(chain)
    features(chain)
    main = labels(chain, folder / "fields.gpkg")
    ends = {**series(chain, main), **shapes(chain, main), **storage(chain, main, folder)}
    outputs = chain.run(main=main, **ends)
    return chain.names(), outputs, folder


@pytest.mark.slow
def test_no_task_is_forgotten(run: Any) -> None:
    names, _, _ = run
    assert names >= tasks_of_eo_learn() - NOT_RUN.keys()
    assert tasks_of_eo_learn() >= NOT_RUN.keys()


def test_the_page_has_a_row_for_every_task() -> None:
    text = PAGE.read_text()
    assert sorted(name for name in tasks_of_eo_learn() if f"`{name}`" not in text) == []


def test_what_the_page_offers_is_there() -> None:
    """The second column of its tables names what eotasks or eo-learn has."""
    rows = [line.split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("| ") and "---" not in line]
    offered = {name for row in rows for name in re.findall(r"`([A-Z]\w+|[a-z_]+)(?:\(.*?\))?`", row[1])}
    assert len(offered) > 30
    assert sorted(offered - set(eotasks.__all__) - tasks_of_eo_learn()) == []


@pytest.mark.slow
def test_masks_and_indices_of_both_are_the_same(run: Any) -> None:
    patch = run[1]["main"]
    is_data = patch[MASK, "IS_DATA"]
    assert np.array_equal(np.where(is_data, patch[DATA, "CLP"], 0), patch[DATA, "CLP_EO"])
    assert patch[MASK, "CLM_EO"].any()
    assert patch[MASK, "IS_VALID"].any()
    assert not (patch[MASK, "IS_VALID"] & (patch[MASK, "CLM_EO"] | ~is_data)).any()
    assert np.nanmax(np.abs(patch[DATA, "DIFFERENCE"])) < 1e-6
    masked = np.isnan(patch[DATA, "MASKED"]).all(axis=-1, keepdims=True)
    assert np.array_equal(masked, ~patch[MASK, "IS_VALID"])


@pytest.mark.slow
def test_features_of_both(run: Any) -> None:
    patch = run[1]["main"]
    assert patch[DATA, "FEATURES"].shape[-1] == 4
    assert (DATA, "NIR") in patch
    assert (DATA, "SWIR") not in patch
    assert np.array_equal(patch[DATA, "NIR"], patch[DATA, "BANDS"][..., 7:8])
    assert patch[META, "MADE_BY"] == {"who": "both"}


@pytest.mark.slow
def test_labels_of_both(run: Any) -> None:
    patch = run[1]["main"]
    assert np.array_equal(patch[MASK_TIMELESS, "LULC"], patch[MASK_TIMELESS, "LULC_OURS"])
    lost = np.flatnonzero((patch[MASK_TIMELESS, "ERODED"] != patch[MASK_TIMELESS, "LULC"]).any(axis=(0, 2)))
    half = SIDE // PIXEL // 2
    assert lost.tolist() == [half - 1, half]
    # eo-learn takes 3 for the size of its disk, whose radius is then 1: what it takes for 1 does nothing
    assert np.array_equal(patch[MASK_TIMELESS, "ERODED"], patch[MASK_TIMELESS, "ERODED_EO"])
    assert sorted(patch[VECTOR_TIMELESS, "FIELDS_ERODED"]["VALUE"]) == [1, 2]
    frames = len(patch.timestamps)
    assert patch[DATA, "NDVI_OURS"].shape == (frames, 40, 1, 1)
    labelled = np.count_nonzero(patch[MASK_TIMELESS, "ERODED"]) // 2
    assert patch[DATA, "NDVI_FRACTION"].shape[1] == round(0.2 * labelled) + round(0.4 * labelled)
    assert patch[DATA, "NDVI_BLOCKS"].shape[1] * patch[DATA, "NDVI_BLOCKS"].shape[2] == 12
    assert patch[DATA, "NDVI_GRID"].shape[1] * patch[DATA, "NDVI_GRID"].shape[2] == 64


@pytest.mark.slow
def test_series_of_both(run: Any) -> None:
    _, patches, _ = run
    ours = patches["ours"][DATA, "NDVI"]
    linear = patches["LinearInterpolationTask"]
    assert patches["ours"].timestamps == linear.timestamps
    np.testing.assert_allclose(ours, linear[DATA, "NDVI"], atol=0.01)  # eo-learn counts from midnight
    for name in (name for name in patches if name.endswith(("InterpolationTask", "ResamplingTask"))):
        assert patches[name].timestamps == linear.timestamps, name
        assert np.isfinite(patches[name][DATA, "NDVI"]).any(), name


@pytest.mark.slow
def test_shapes_and_storage_of_both(run: Any) -> None:
    _, patches, folder = run
    side = SIDE // PIXEL
    assert patches["small"][DATA, "NDVI"].shape[1:] == (side // 2, side // 2, 1)
    assert len(np.unique(patches["clusters"][DATA_TIMELESS, "CLUSTERS"])) == 5
    np.testing.assert_allclose(patches["registered"][DATA, "RGB"][0], patches["main"][DATA, "RGB"][0], atol=1e-4)
    assert patches["loaded"] is not None
    again = eotasks.LoadSavedEOPatchTask(str(folder / "ours")).execute(name="patch")
    plain = LoadTask(str(folder / "plain")).execute(eopatch_folder="patch")
    for feature in [(DATA, "NDVI"), (MASK, "IS_VALID"), (MASK_TIMELESS, "LULC")]:
        np.testing.assert_array_equal(again[feature], patches["main"][feature])
        np.testing.assert_array_equal(plain[feature], patches["main"][feature])
    assert len(again[VECTOR_TIMELESS, "FIELDS"]) == len(plain[VECTOR_TIMELESS, "FIELDS"]) == 2
    assert np.array_equal(patches["tiff"][MASK_TIMELESS, "FROM_COG"], patches["main"][MASK_TIMELESS, "LULC"])
    assert (folder / "lulc.tif").is_file()
    assert {(MASK_TIMELESS, "LULC"), (MASK_TIMELESS, "ERODED")} <= set(patches["merged"].get_features())
