"""The card of a land-cover model: what it was trained on, what it expects, and how well it did.

A card is JSON beside the model's text. It holds nothing of the run (no time, no host, no number of threads), so that
the same data, seed and versions give the same bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import date, datetime
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_validator, model_validator

from eotasks.documents import first_problem, parse_json, refuse_many_values
from eotasks.errors import ConfigurationError, ModelError
from eotasks.models.classes import NO_DATA, ClassTable
from eotasks.text import excerpt
from eotasks.times import naive_utc, parse_time

CARD_VERSION = 1
"""Version of the card that this code writes. Older cards are read, newer ones refused."""

DATE_TOLERANCE_DAYS = 1
"""How far the season of an input date may lie from the card's date; leap years shift a regular grid by up to a day."""

_DAYS_OF_YEAR = 365.25
_FEATURE_NAME = re.compile(r"[A-Za-z0-9_.+-]+")

FeatureName = Annotated[str, Field(pattern=rf"^{_FEATURE_NAME.pattern}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CardClass(_Strict):
    """A class the model can give, as in the class table."""

    id: int = Field(ge=1, le=255, description="Value in maps.")
    name: str = Field(min_length=1, description="Name in legends.")
    color: str = Field(pattern=r"^#[0-9a-f]{6}$", description="Colour as #rrggbb.")


class TrainingExtent(_Strict):
    """Where the training samples come from."""

    crs: str = Field(min_length=1, description="Coordinate system, such as EPSG:32633.")
    bbox: tuple[float, float, float, float] = Field(description="Left, bottom, right, top in units of the CRS.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        left, bottom, right, top = self.bbox
        if not (left < right and bottom < top):
            raise ValueError("bbox is left, bottom, right, top with left < right and bottom < top")
        return self


class ModelCard(_Strict):
    """Everything that must be known to use a land-cover model, and to judge it.

    A row of input has ``len(dates) * len(feature_names)`` columns; column ``date * len(feature_names) + feature``
    holds a feature at a date.
    """

    version: int = Field(default=CARD_VERSION, ge=1, le=CARD_VERSION, description="Version of this card's format.")
    kind: Literal["land-cover"] = Field(default="land-cover", description="What the model predicts.")
    feature_names: list[FeatureName] = Field(min_length=1, description="Features of a date, in the order of columns.")
    dates: list[str] = Field(min_length=1, description="Dates (ISO 8601), ascending.")
    bands: list[str] = Field(default_factory=list, description="Bands that the features are made of.")
    indices: dict[str, list[str]] = Field(default_factory=dict, description="Index name and the bands it is made of.")
    classes: list[CardClass] = Field(min_length=2, description="Classes in the order of the score columns.")
    samples: dict[str, int] = Field(default_factory=dict, description="Training samples per class name.")
    extent: TrainingExtent | None = Field(default=None, description="Where the training samples lie.")
    simulated: bool = Field(description="True when any training observation is simulated.")
    seed: int = Field(description="Seed of the training.")
    parameters: dict[str, JsonValue] = Field(default_factory=dict, description="Parameters of LightGBM.")
    packages: dict[str, str] = Field(default_factory=dict, description="Versions of what trained the model.")
    metrics: dict[str, JsonValue] = Field(default_factory=dict, description="Validation on held-out samples.")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Checksum of the model's text.")

    @field_validator("feature_names")
    @classmethod
    def _unique_names(cls, names: list[str]) -> list[str]:
        if len(set(names)) != len(names):
            raise ValueError("feature names must be unique")
        return names

    @field_validator("dates")
    @classmethod
    def _ascending(cls, dates: list[str]) -> list[str]:
        parsed = [_parse(value) for value in dates]
        if any(later <= earlier for earlier, later in pairwise(parsed)):
            raise ValueError("dates must be ascending and unique")
        return dates

    @model_validator(mode="after")
    def _classes_fit(self) -> Self:
        ids = [item.id for item in self.classes]
        if NO_DATA in ids or len(set(ids)) != len(ids):
            raise ValueError("class ids must be unique and not 0")
        return self

    @property
    def columns(self) -> int:
        """Number of columns of a row of input."""
        return len(self.dates) * len(self.feature_names)

    @property
    def class_table(self) -> ClassTable:
        """The classes as a table, in the order of the score columns."""
        return ClassTable.from_list(item.model_dump() for item in self.classes)

    def check_columns(self, columns: int) -> None:
        """Check the number of columns of an input.

        :raises ModelError: when it is not the number the model was trained on.
        """
        if columns != self.columns:
            raise ModelError(
                f"the input has {columns} columns, the model expects {self.columns} = {len(self.dates)} dates x "
                f"{len(self.feature_names)} features ({', '.join(self.feature_names)}): resample to the model's dates "
                "and stack the same features."
            )

    def check_features(self, feature_names: Sequence[str]) -> None:
        """Check names and order of the features of a date.

        :raises ModelError: when they are not those of the card.
        """
        if list(feature_names) != self.feature_names:
            raise ModelError(
                f"the input has the features {', '.join(feature_names)}, the model expects "
                f"{', '.join(self.feature_names)}: stack the same features in this order."
            )

    def check_dates(
        self, dates: Sequence[str | date | datetime], *, tolerance_days: float = DATE_TOLERANCE_DAYS
    ) -> None:
        """Check that dates lie in the same seasons as those of the card; the year does not matter.

        :param dates: Dates of the input, in the order of the columns.
        :param tolerance_days: Largest allowed distance within the year in days.
        :raises ModelError: for another number of dates, or one too far from its counterpart.
        """
        if len(dates) != len(self.dates):
            raise ModelError(
                f"the input has {len(dates)} dates, the model expects {len(self.dates)} from {self.dates[0]} to "
                f"{self.dates[-1]}: resample to the model's dates."
            )
        for given, expected in zip(dates, self.dates, strict=True):
            days = (_parse(given) - _parse(expected)).total_seconds() / 86400
            if abs(days - round(days / _DAYS_OF_YEAR) * _DAYS_OF_YEAR) > tolerance_days:
                raise ModelError(
                    f"the input has the date {iso(given)} where the model expects the season of {expected}: resample "
                    "to the model's dates."
                )

    def to_json(self) -> str:
        """The card as JSON text, the same for the same card."""
        return json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str, *, where: str = "the card") -> ModelCard:
        """Read a card.

        :param text: JSON as :meth:`to_json` writes it.
        :param where: Name of the file, for messages.
        :raises ModelError: for text that is no card, or a card of a newer version.
        """

        def refuse(reason: str) -> ModelError:
            return ModelError(f"{where} is {reason}: save the model again.")

        content = parse_json(text, refuse)
        refuse_many_values(content, refuse)
        if not isinstance(content, dict) or not isinstance(content.get("version"), int):
            raise ModelError(f"{where} is no model card (no version number): save the model again.")
        if content["version"] > CARD_VERSION:
            raise ModelError(
                f"{where} has version {excerpt(content['version'])}, this installation reads up to {CARD_VERSION}: "
                "upgrade eotasks."
            )
        card = build_card(content, where=where)
        try:
            card.to_json()
        except ValueError as error:
            raise ModelError(f"{where} holds NaN or infinity, which JSON has not: save the model again.") from error
        return card


def build_card(content: dict[str, Any], *, where: str = "the card") -> ModelCard:
    """Card from its fields, with a one-line error.

    :raises ModelError: naming the first field that does not fit.
    """
    try:
        return ModelCard.model_validate(content)
    except (ValidationError, ConfigurationError) as error:
        problem = first_problem(error, "card") if isinstance(error, ValidationError) else str(error).rstrip(".")
        raise ModelError(f"{where} is not usable: {problem}.") from error


def iso(value: str | date | datetime) -> str:
    """A date as ISO 8601 text: the day alone when the time is midnight.

    :raises ModelError: for text that is no ISO date.
    """
    parsed = _parse(value, ModelError)
    return (
        parsed.date().isoformat()
        if parsed == datetime.combine(parsed.date(), datetime.min.time())
        else parsed.isoformat()
    )


def _parse(value: str | date | datetime, error_type: type[Exception] = ValueError) -> datetime:
    """Time without zone; a time with a zone is taken to UTC first."""
    if isinstance(value, str):
        try:
            return parse_time(value)
        except ValueError as error:
            raise error_type(f"{value[:40]!r} is no date: write it as 2019-01-31") from error
    return naive_utc(value) if isinstance(value, datetime) else datetime.combine(value, datetime.min.time())
