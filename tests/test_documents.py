"""JSON and TOML of others: how much of them is taken, and what is told of what does not fit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from eotasks.documents import first_problem, refuse_many_values
from eotasks.errors import ConfigurationError, ImageryError, ModelError
from eotasks.imagery.products.acquisition import parse_sidecar
from eotasks.limits import DOCUMENT_VALUES
from eotasks.models.landcover.card import ModelCard
from eotasks.workflows.evaluate_clouds.labels import LABELS_FILE, read_label_format
from eotasks.workflows.land_cover.config_file import parse_config

MANY = [0] * (DOCUMENT_VALUES.value + 1)


def test_a_document_has_so_many_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DOCUMENT_VALUES.variable, "6")
    refuse_many_values({"a": [1, 2], "b": {"c": 3}}, ValueError)
    with pytest.raises(ValueError, match="document values"):
        refuse_many_values({"a": [1, 2], "b": {"c": [3]}}, ValueError)


def test_values_of_a_wrong_type_are_refused_before_an_error_is_made_of_each(tmp_path: Path) -> None:
    """Pydantic counts them all: a card of a megabyte took half a gigabyte."""
    text = json.dumps({"version": 1, "bands": MANY})
    with pytest.raises(ModelError, match="document values"):
        ModelCard.from_json(text)
    with pytest.raises(ImageryError, match="document values"):
        parse_sidecar(text.encode(), "acquisition.json")
    toml = f"bands = {MANY}"
    (tmp_path / LABELS_FILE).write_text(toml)
    with pytest.raises(ConfigurationError, match="document values"):
        read_label_format(tmp_path)
    with pytest.raises(ConfigurationError, match="document values"):
        parse_config(toml)


def test_a_problem_is_told_in_few_words(tmp_path: Path) -> None:
    class Scene(BaseModel):
        model_config = ConfigDict(extra="forbid")
        clouds: int = 0

    for content, told in (({"clouds": "x"}, "clouds: Input should be a valid integer"), (5, "scene: Input should be")):
        with pytest.raises(ValidationError) as error:
            Scene.model_validate(content)
        assert first_problem(error.value, "scene").startswith(told)
    (tmp_path / LABELS_FILE).write_text(f"{'simulate' * 2000} = 1")
    with pytest.raises(ConfigurationError, match=r"labels\.toml: simulatesimulate") as refused:
        read_label_format(tmp_path)
    assert len(str(refused.value)) < 1000
