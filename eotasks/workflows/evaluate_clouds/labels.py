"""What a folder of labelled scenes says of itself: `labels.toml`, and `scene.toml` in the folder of a scene."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eotasks.documents import first_problem, parse_toml, refuse_many_values
from eotasks.errors import ConfigurationError
from eotasks.limits import RECORD_BYTES
from eotasks.models.clouds.evaluation import LABEL_SCHEMES
from eotasks.reading import read_regular
from eotasks.text import did_you_mean

LABELS_FILE = "labels.toml"
SCENE_FILE = "scene.toml"

Config = TypeVar("Config", bound=BaseModel)


class LabelFormat(BaseModel):
    """`labels.toml`, beside the folders of the scenes: what their files hold. Every key may be left out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scheme: Literal["eotasks", "cloudsen12"] = Field(
        "eotasks",
        description="How labels are numbered: eotasks (0 clear, 1 cloud, 2 shadow, 255 not judged) or cloudsen12"
        " (0 clear, 1 thick cloud, 2 thin cloud, 3 shadow; both clouds count as cloud).",
    )
    classes: dict[int, Literal["clear", "cloud", "shadow", "ignore"]] | None = Field(
        None, description="Label -> class, instead of a scheme."
    )
    bands: tuple[str, ...] | None = Field(
        None,
        description="Names of the bands in their order, where the files do not name them. Left out: by their count, 13"
        " of L1C or the 10 of the cloud model.",
    )
    offset: int = Field(
        0,
        ge=-10_000,
        le=10_000,
        description="Added to digital numbers before use: -1000 where the offset of processing baseline 04.00 is still"
        " in them.",
    )
    bands_feature: str = Field("data/BANDS", description="EOPatches: the L1C bands.")
    label_feature: str = Field("mask/LABEL", description="EOPatches: the labels, a mask (t, h, w, 1).")
    attribution: str = Field("", description="Whose scenes and labels they are, for the report.")
    simulated: bool = Field(False, description="The scenes are no observations; the report then says so.")

    @property
    def mapping(self) -> dict[int, str]:
        """Label -> class."""
        return dict(LABEL_SCHEMES[self.scheme] if self.classes is None else self.classes)


class SceneFacts(BaseModel):
    """`scene.toml` in the folder of a scene. Every key may be left out; shadows need the position of the sun."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    time: datetime | None = Field(None, description="Of the acquisition, UTC.")
    sun_zenith: float | None = Field(None, ge=0, lt=90, description="Degrees.")
    sun_azimuth: float | None = Field(None, ge=0, le=360, description="Degrees clockwise from north.")


def read_label_format(folder: Path) -> LabelFormat:
    """`labels.toml` of a folder, the defaults where it has none.

    :raises ConfigurationError: the file cannot be read, or holds unknown keys or values.
    """
    return _read(folder / LABELS_FILE, LabelFormat)


def read_scene_facts(folder: Path) -> SceneFacts:
    """`scene.toml` of a scene, all unknown where it has none.

    :raises ConfigurationError: the file cannot be read, or holds unknown keys or values.
    """
    return _read(folder / SCENE_FILE, SceneFacts)


def _read(file: Path, kind: type[Config]) -> Config:
    if not file.exists():
        return kind()
    try:
        content = read_regular(file, RECORD_BYTES)
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read ({error.strerror}): check its rights.") from error

    def refuse(reason: str) -> ConfigurationError:
        return ConfigurationError(f"{file}: {reason}.")

    table = parse_toml(content, refuse)
    refuse_many_values(table, refuse)
    try:
        return kind.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        meant = did_you_mean(first["loc"][-1], kind.model_fields) if first["type"] == "extra_forbidden" else ""
        raise ConfigurationError(
            f"{file}: {first_problem(error, 'file')}{meant}. The keys are {', '.join(kind.model_fields)}."
        ) from error
