"""The errors of the project, under the library's name."""

from __future__ import annotations

from models.errors import (
    AreaError,
    BandError,
    BatchError,
    ConfigurationError,
    CredentialsError,
    EOTasksError,
    FeatureError,
    GridError,
    ImageryError,
    MissingDependencyError,
    ModelError,
    ReferenceDataError,
    ReflectanceError,
    StorageError,
    TooFewFramesError,
    UnsupportedModelError,
)

__all__ = [
    "AreaError",
    "BandError",
    "BatchError",
    "ConfigurationError",
    "CredentialsError",
    "EOTasksError",
    "FeatureError",
    "GridError",
    "ImageryError",
    "MissingDependencyError",
    "ModelError",
    "ReferenceDataError",
    "ReflectanceError",
    "StorageError",
    "TooFewFramesError",
    "UnsupportedModelError",
]
