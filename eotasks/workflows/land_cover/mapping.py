"""The second workflow: from features to maps, one patch at a time. Load -> predict -> export -> save."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import shapely
from eolearn.core import EONode, EOWorkflow
from sentinelhub.geometry import Geometry

from eotasks.area import Patch, read_area
from eotasks.area.inside import AddInsideAreaTask
from eotasks.eopatches.load import LoadSavedEOPatchTask
from eotasks.eopatches.save import SaveEOPatchTask
from eotasks.export.tasks import ExportCogTask
from eotasks.prediction import PredictLandCoverTask
from eotasks.storage.place import Place
from eotasks.workflows.land_cover.config import LandCoverConfig
from eotasks.workflows.land_cover.features import FEATURES, INSIDE, LULC, PREDICTION, SCORES, ResolvedFeatures

PREDICTION_FOLDER = "prediction"
SCORES_FOLDER = "scores"
MAP_NAME = "{name}.tif"


@dataclass(frozen=True)
class MapWorkflow:
    """The second workflow, where it reads and saves, and the nodes that take values of one patch."""

    workflow: EOWorkflow
    model: Place
    """Place of the saved model: every worker loads it once."""

    predictions: Place
    """Place of the EOPatches with labels and scores."""

    maps: Place
    """Place of the Cloud Optimized GeoTIFFs."""

    folders: tuple[str, ...]
    """Folders of the maps in their place, the one of the classes first."""

    nodes: tuple[EONode, ...]

    clip: str = ""
    """Changes with the area that maps are clipped to; empty where they are not."""

    def arguments(self, patch: Patch) -> dict[EONode, dict[str, Any]]:
        """Input of one execution."""
        return {node: {"name": patch.name} for node in self.nodes}

    def map_paths(self, name: str) -> list[str]:
        """Where the maps of a patch lie inside the place of the maps, the one of the classes first."""
        return [f"{folder}/{MAP_NAME.format(name=name)}" for folder in self.folders]


def clip_area(config: LandCoverConfig) -> Geometry | None:
    """What maps are clipped to; None where they are not.

    :raises AreaError: when it cannot be read.
    """
    if not config.output.clip:
        return None
    area = config.area
    return read_area(file=area.file, bbox=area.bbox, crs=area.crs, buffer=area.buffer, grid=area.grid)


def map_workflow(config: LandCoverConfig, resolved: ResolvedFeatures, place: Place, features: Place) -> MapWorkflow:
    """Features to the map, for one patch at a time.

    :param place: Place of the chain.
    :param features: Place of the first workflow's features.
    """
    tags = {"SIMULATED": "true"} if config.source.is_simulated else {}
    model, predictions, maps = place.child("model"), place.child("predictions"), place.child("maps")
    load = EONode(LoadSavedEOPatchTask(features, features=[FEATURES, LULC]), name="load features")
    area = clip_area(config)
    clipped = (
        []
        if area is None
        else [EONode(AddInsideAreaTask(INSIDE, area=area, like=FEATURES), inputs=[load], name="clip to the area")]
    )
    predict = EONode(
        PredictLandCoverTask(
            FEATURES,
            PREDICTION,
            model=model,
            scores_feature=SCORES,
            valid_feature=None if area is None else INSIDE,
            feature_names=resolved.names,
        ),
        inputs=clipped or [load],
        name="predict",
    )
    export = EONode(
        ExportCogTask(
            PREDICTION,
            folder=maps.child(PREDICTION_FOLDER),
            filename=MAP_NAME,
            classes=resolved.classes,
            tags=tags,
            style=config.output.styles,
        ),
        inputs=[predict],
        name="export map",
    )
    exports = [export]
    if config.output.scores:
        scores = ExportCogTask(
            SCORES,
            folder=maps.child(SCORES_FOLDER),
            filename=MAP_NAME,
            tags=tags,
            valid_feature=PREDICTION,  # what has no class has no scores: outside of the area, or never observed
        )
        exports.append(EONode(scores, inputs=[export], name="export scores"))
    save = EONode(
        SaveEOPatchTask(predictions, features=[PREDICTION, SCORES]), inputs=[exports[-1]], name="save prediction"
    )
    return MapWorkflow(
        workflow=EOWorkflow([load, *clipped, predict, *exports, save]),
        model=model,
        predictions=predictions,
        maps=maps,
        folders=(PREDICTION_FOLDER, SCORES_FOLDER)[: len(exports)],
        nodes=(load, *exports, save),
        clip="" if area is None else digest_of(area),
    )


def digest_of(area: Geometry) -> str:
    """Of its corners and of the system that they are in: the same numbers are other places in another zone."""
    system = area.crs.ogc_string().encode()
    return hashlib.sha256(system + b"\n" + shapely.to_wkb(area.geometry)).hexdigest()
