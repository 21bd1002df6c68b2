"""Parameters of the LightGBM training, checked before the work starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from eotasks.errors import ModelError
from eotasks.text import excerpt, unknown_words


class TrainingParameters(BaseModel):
    """What LightGBM trains with; the defaults are those of ``lightgbm.LGBMClassifier``, which the example uses."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    boosting: Literal["gbdt", "dart", "rf"] = Field(default="gbdt", description="How trees are added up.")
    num_iterations: int = Field(default=100, ge=1, description="Rounds; each adds one tree per class.")
    learning_rate: float = Field(default=0.1, gt=0, description="Weight of a new tree.")
    num_leaves: int = Field(default=31, ge=2, le=131_072, description="Leaves of a tree, at most.")
    max_depth: int = Field(default=-1, ge=-1, description="Depth of a tree, at most; -1 for any.")
    min_data_in_leaf: int = Field(default=20, ge=0, description="Samples in a leaf, at least.")
    min_sum_hessian_in_leaf: float = Field(default=1e-3, ge=0, description="Sum of second derivatives in a leaf.")
    min_gain_to_split: float = Field(default=0.0, ge=0, description="Gain of a split, at least.")
    bagging_fraction: float = Field(default=1.0, gt=0, le=1, description="Share of the samples drawn for bagging.")
    bagging_freq: int = Field(default=0, ge=0, description="Rounds between two draws; 0 draws never.")
    feature_fraction: float = Field(default=1.0, gt=0, le=1, description="Share of the columns drawn for a tree.")
    lambda_l1: float = Field(default=0.0, ge=0, description="L1 regularisation of the leaves.")
    lambda_l2: float = Field(
        default=0.0, ge=0, description="L2 regularisation of the leaves; 1 keeps classes of a few samples stable."
    )
    max_bin: int = Field(default=255, ge=2, description="Bins of a column's values, at most.")
    bin_construct_sample_cnt: int = Field(default=200_000, ge=1, description="Samples that the bins are made from.")
    class_weight: Literal["balanced"] | None = Field(
        default=None, description="None weighs every sample the same, 'balanced' gives classes the same total weight."
    )


DEFAULT_PARAMETERS: Mapping[str, JsonValue] = TrainingParameters().model_dump()
"""Every parameter with its default."""

_SKLEARN_NAMES: Mapping[str, str] = {
    "boosting_type": "boosting",
    "n_estimators": "num_iterations",
    "min_child_samples": "min_data_in_leaf",
    "min_child_weight": "min_sum_hessian_in_leaf",
    "min_split_gain": "min_gain_to_split",
    "subsample": "bagging_fraction",
    "subsample_freq": "bagging_freq",
    "colsample_bytree": "feature_fraction",
    "reg_alpha": "lambda_l1",
    "reg_lambda": "lambda_l2",
    "subsample_for_bin": "bin_construct_sample_cnt",
}


def training_parameters(given: Mapping[str, JsonValue] | None = None) -> TrainingParameters:
    """Parameters from those that differ from the defaults.

    :param given: Values by LightGBM's names or by those of ``LGBMClassifier`` (``n_estimators`` ...).
    :raises ModelError: for a name that is not known or given twice, or a value out of range.
    """
    values: dict[str, JsonValue] = {}
    for name, value in (given or {}).items():
        own_name = _SKLEARN_NAMES.get(name, name)
        if own_name in values:
            raise ModelError(f"parameter {own_name} is given twice, the second time as {name}: keep one.")
        values[own_name] = value
    known = [*DEFAULT_PARAMETERS, *_SKLEARN_NAMES]
    unknown = sorted(set(values) - set(DEFAULT_PARAMETERS))
    if unknown:
        raise ModelError(
            f"parameter {unknown_words(unknown, known)} is not known: use {', '.join(DEFAULT_PARAMETERS)}."
        )
    try:
        parameters = TrainingParameters.model_validate(values)
    except ValidationError as error:
        problem = error.errors()[0]
        given_value = excerpt(problem["input"])
        raise ModelError(f"parameter {problem['loc'][0]}={given_value}: {problem['msg']}.") from error
    if parameters.boosting == "rf" and (parameters.bagging_freq == 0 or parameters.bagging_fraction == 1):
        raise ModelError("boosting='rf' needs bagging_freq of at least 1 and bagging_fraction below 1.")
    return parameters
