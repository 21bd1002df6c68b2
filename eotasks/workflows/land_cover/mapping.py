"""The second workflow: from features to maps, one patch at a time. Load -> predict -> export -> save."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from eolearn.core import EONode, EOWorkflow

from eotasks.area import Patch
from eotasks.eopatches.load import LoadSavedEOPatchTask
from eotasks.eopatches.save import SaveEOPatchTask
from eotasks.export.tasks import ExportCogTask
from eotasks.prediction import PredictLandCoverTask
from eotasks.storage.place import Place
from eotasks.workflows.land_cover.config import LandCoverConfig
from eotasks.workflows.land_cover.features import FEATURES, LULC, PREDICTION, SCORES, ResolvedFeatures

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

    def arguments(self, patch: Patch) -> dict[EONode, dict[str, Any]]:
        """Input of one execution."""
        return {node: {"name": patch.name} for node in self.nodes}

    def map_paths(self, name: str) -> list[str]:
        """Where the maps of a patch lie inside the place of the maps, the one of the classes first."""
        return [f"{folder}/{MAP_NAME.format(name=name)}" for folder in self.folders]


def map_workflow(config: LandCoverConfig, resolved: ResolvedFeatures, place: Place, features: Place) -> MapWorkflow:
    """Features to the map, for one patch at a time.

    :param place: Place of the chain.
    :param features: Place of the first workflow's features.
    """
    tags = {"SIMULATED": "true"} if config.source.is_simulated else {}
    model, predictions, maps = place.child("model"), place.child("predictions"), place.child("maps")
    load = EONode(LoadSavedEOPatchTask(features, features=[FEATURES, LULC]), name="load features")
    predict = EONode(
        PredictLandCoverTask(FEATURES, PREDICTION, model=model, scores_feature=SCORES, feature_names=resolved.names),
        inputs=[load],
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
        scores = ExportCogTask(SCORES, folder=maps.child(SCORES_FOLDER), filename=MAP_NAME, tags=tags)
        exports.append(EONode(scores, inputs=[export], name="export scores"))
    save = EONode(
        SaveEOPatchTask(predictions, features=[PREDICTION, SCORES]), inputs=[exports[-1]], name="save prediction"
    )
    return MapWorkflow(
        workflow=EOWorkflow([load, predict, *exports, save]),
        model=model,
        predictions=predictions,
        maps=maps,
        folders=(PREDICTION_FOLDER, SCORES_FOLDER)[: len(exports)],
        nodes=(load, *exports, save),
    )
