"""The second workflow: from features to maps, one patch at a time. Load -> predict -> export -> save."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from eolearn.core import EONode, EOWorkflow

from eotasks.area import Patch
from eotasks.eopatches.save import LoadSavedEOPatchTask, SaveEOPatchTask
from eotasks.export.tasks import ExportCogTask
from eotasks.prediction import PredictLandCoverTask
from eotasks.storage.place import Place
from eotasks.workflows.land_cover.config import LandCoverConfig
from eotasks.workflows.land_cover.features import FEATURES, LULC, PREDICTION, SCORES, feature_names

PREDICTION_FOLDER = "prediction"
SCORES_FOLDER = "scores"
MAP_NAME = "{name}.tif"


@dataclass(frozen=True)
class MapWorkflow:
    """The second workflow and the nodes that take values of one patch."""

    workflow: EOWorkflow
    load: EONode
    exports: tuple[EONode, ...]
    save: EONode

    def arguments(self, patch: Patch) -> dict[EONode, dict[str, Any]]:
        """Input of one execution."""
        return {node: {"name": patch.name} for node in (self.load, *self.exports, self.save)}


def map_workflow(
    config: LandCoverConfig, model: Place, features: Place, predictions: Place, maps: Place, *, simulated: bool
) -> MapWorkflow:
    """Features to the map, for one patch at a time.

    :param model: Place of the saved model: every worker loads it once.
    :param features: Place of the first workflow's features.
    :param predictions: Place of the EOPatches with labels and scores.
    :param maps: Place of the Cloud Optimized GeoTIFFs.
    :param simulated: Whether the maps say that they were made of simulated data.
    """
    tags = {"SIMULATED": "true"} if simulated else {}
    load = EONode(LoadSavedEOPatchTask(features, features=[FEATURES, LULC]), name="load features")
    predict = EONode(
        PredictLandCoverTask(
            FEATURES, PREDICTION, model=model, scores_feature=SCORES, feature_names=feature_names(config)
        ),
        inputs=[load],
        name="predict",
    )
    export = EONode(
        ExportCogTask(
            PREDICTION,
            folder=maps.child(PREDICTION_FOLDER),
            filename=MAP_NAME,
            classes=config.class_table,
            tags=tags,
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
    return MapWorkflow(EOWorkflow([load, predict, *exports, save]), load, tuple(exports), save)
