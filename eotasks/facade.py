"""What users build on from the packages beside this one, so that nobody has to import their generic names.

The one place where the library reaches up to `workflows`, and only when a name is asked for: no task imports it.
"""

from __future__ import annotations

from models.clouds.pixel import cloud_probability
from models.forest import Forest
from models.landcover.areas import areas_of
from models.landcover.card import TrainingExtent
from models.landcover.classes import SLOVENIAN_CLASSES, ClassTable, LandCoverClass
from models.landcover.splits import checkerboard, split_patches
from models.landcover.training import LandCoverModel, train
from models.landcover.validation import evaluate
from workflows.area import Patch, read_area, split_area
from workflows.batch import run_batch
from workflows.batch_report import write_batch_report
from workflows.progress import read_progress
from workflows.storage import LoadSavedEOPatchTask, SaveEOPatchTask, export_eopatch, load_eopatch, save_eopatch

__all__ = [
    "SLOVENIAN_CLASSES",
    "ClassTable",
    "Forest",
    "LandCoverClass",
    "LandCoverModel",
    "LoadSavedEOPatchTask",
    "Patch",
    "SaveEOPatchTask",
    "TrainingExtent",
    "areas_of",
    "checkerboard",
    "cloud_probability",
    "evaluate",
    "export_eopatch",
    "load_eopatch",
    "read_area",
    "read_progress",
    "run_batch",
    "save_eopatch",
    "split_area",
    "split_patches",
    "train",
    "write_batch_report",
]
