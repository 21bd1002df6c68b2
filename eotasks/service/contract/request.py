"""Requests of the Process API as they are written, and what other APIs share with them: `input`.

A field that is not known is refused by name, because leaving it out would give other pixels than were asked for. What
clients send without an effect on optical data is known and taken. Words are taken in any case.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from eotasks.imagery.mosaic import MosaicOrder
from eotasks.service.contract.data import DataRequest, Resampling
from eotasks.service.contract.names import collection_id
from eotasks.service.errors import RequestError
from eotasks.text import excerpt, shortened, unknown_words
from eotasks.times import parse_time

MOST_DATA = 10
"""Entries of `data`."""
MOST_RESPONSES = 100
_TIME_CHARACTERS = 40
_NAME = 100
"""Characters of the name of a field that is not known."""
_ALL = dt.timedelta(seconds=1) - dt.timedelta(microseconds=1)
_TO_THE_SECOND = re.compile(r".*[T ](?:\d\d:\d\d:\d\d|\d{6})(?: ?[+-]\d\d(?::?\d\d)?|Z)?", re.ASCII | re.IGNORECASE)

MediaType = Literal["image/tiff", "image/png", "image/jpeg", "application/json"]
"""Formats of a response."""


class Wire(BaseModel):
    """Base of what is sent: exact types, no unknown fields, and null is as good as absent."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _known_fields(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        fields = {field.alias or name for name, field in cls.model_fields.items()}
        unknown = [name for name in value if name not in fields]
        if unknown:
            known = ", ".join(sorted(fields))
            told = [shortened(str(name), _NAME) for name in unknown[:5]]
            raise ValueError(f"unknown {unknown_words(told, fields)}; known are {known}")
        return {name: content for name, content in value.items() if content is not None}


def _word_of(known: Sequence[str]) -> BeforeValidator:
    """A word of a list in any case."""
    by_lower = {word.lower(): word for word in known}
    return BeforeValidator(lambda value: by_lower.get(value.lower(), value) if isinstance(value, str) else value)


def _media_type(value: Any) -> Any:
    """Without parameters, as older clients give them (image/tiff;depth=32f): the script says the sample type."""
    return value.partition(";")[0].strip().lower() if isinstance(value, str) else value


def _whole(value: Any) -> Any:
    """JSON has one kind of numbers: 512.0 is 512."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Count = Annotated[int, BeforeValidator(_whole)]


class TimeRange(Wire):
    """From and to, both inclusive."""

    start: str = Field(
        alias="from",
        description="First time, ISO 8601; without a zone it is UTC.",
        json_schema_extra={"format": "date-time"},
    )
    end: str = Field(
        alias="to",
        description="Last time; a day without a time is all of it.",
        json_schema_extra={"format": "date-time"},
    )


class DataFilter(Wire):
    """Which products."""

    time_range: TimeRange | None = Field(None, alias="timeRange")
    max_cloud_coverage: float = Field(
        100.0, alias="maxCloudCoverage", ge=0, le=100, allow_inf_nan=False, description="Percent, at most."
    )
    order: Annotated[MosaicOrder, _word_of(get_args(MosaicOrder))] = Field("mostRecent", alias="mosaickingOrder")
    preview_mode: Any = Field(None, alias="previewMode", description="Without an effect: there are no previews.")


class Processing(Wire):
    """How pixels are brought to the grid of the request."""

    upsampling: Annotated[Resampling, _word_of(get_args(Resampling))] = "NEAREST"
    downsampling: Annotated[Resampling, _word_of(get_args(Resampling))] = "NEAREST"
    harmonize: bool = Field(
        True, alias="harmonizeValues", description="DN comparable across baselines, not below 0; false: as in the file."
    )


class DataEntry(Wire):
    """One source of data."""

    type: str = Field(max_length=200, description='The collection, such as "sentinel-2-l1c".')
    id: str | None = Field(None, max_length=200, description="By which a script with several sources names it.")
    data_filter: DataFilter = Field(DataFilter(), alias="dataFilter")
    processing: Processing = Processing()

    @model_validator(mode="before")
    @classmethod
    def _of_what_is_served(cls, value: Any) -> Any:
        """Before its fields: those of other collections (a DEM, radar, such as users have brought) are none of ours.

        :raises NotFoundError: names the collections that there are.
        """
        if isinstance(value, dict) and isinstance(value.get("type"), str):
            collection_id(value["type"])
        return value


class CrsProperties(Wire):
    """Where the coordinate system is said."""

    crs: str | None = Field(
        None, max_length=200, description="http://www.opengis.net/def/crs/EPSG/0/32633 and its like."
    )


class Bounds(Wire):
    """The ground: a box, a polygon, or both."""

    properties: CrsProperties = CrsProperties()
    bbox: list[float] | None = Field(
        None,
        description="Left, bottom, right, top; in degrees the longitude is first.",
        json_schema_extra={"minItems": 4, "maxItems": 4, "examples": [[12.5, 52.46, 12.6, 52.5]]},
    )
    geometry: dict[str, Any] | None = Field(
        None,
        description="Polygon or MultiPolygon of GeoJSON, in the same system.",
        json_schema_extra={
            "required": ["type", "coordinates"],
            "properties": {"type": {"enum": ["Polygon", "MultiPolygon"]}, "coordinates": {"type": "array"}},
        },
    )


class Input(Wire):
    """Ground and data of a request."""

    bounds: Bounds
    data: list[DataEntry] = Field(min_length=1, max_length=MOST_DATA)


class Format(Wire):
    """The format of a response."""

    type: Annotated[MediaType, BeforeValidator(_media_type)] = "image/png"
    quality: Count = Field(90, ge=0, le=100, description="Of image/jpeg.")


class ResponseEntry(Wire):
    """A response: an output of the script, or `userdata`."""

    identifier: str = Field("default", min_length=1, max_length=200)
    format: Format | None = None


class Output(Wire):
    """The grid of the images, and their formats."""

    width: Count | None = Field(
        None, description="Columns; 256 where nothing is said.", json_schema_extra={"minimum": 1, "maximum": 2500}
    )
    height: Count | None = Field(
        None, description="Rows; 256 where nothing is said.", json_schema_extra={"minimum": 1, "maximum": 2500}
    )
    resx: float | None = Field(
        None,
        description="Width of a pixel in units of the CRS, instead of width.",
        json_schema_extra={"exclusiveMinimum": 0},
    )
    resy: float | None = Field(
        None,
        description="Height of a pixel in units of the CRS, instead of height.",
        json_schema_extra={"exclusiveMinimum": 0},
    )
    responses: list[ResponseEntry] = Field([], max_length=MOST_RESPONSES)


EXAMPLE: dict[str, Any] = {
    "input": {
        "bounds": {
            "bbox": [12.5, 52.46, 12.6, 52.5],
            "properties": {"crs": "http://www.opengis.net/def/crs/OGC/1.3/CRS84"},
        },
        "data": [
            {
                "type": "sentinel-2-l1c",
                "dataFilter": {
                    "timeRange": {"from": "2024-06-01T00:00:00Z", "to": "2024-06-30T23:59:59Z"},
                    "mosaickingOrder": "leastCC",
                },
            }
        ],
    },
    "evalscript": (
        '//VERSION=3\nfunction setup() { return {input: ["B04", "B08", "CLM"], output: {bands: 1,'
        ' sampleType: "FLOAT32"}}; }\n'
        "function evaluatePixel(s) { return [s.CLM == 1 ? NaN : (s.B08 - s.B04) / (s.B08 + s.B04)]; }"
    ),
    "output": {"width": 256, "height": 128, "responses": [{"format": {"type": "image/tiff"}}]},
}
"""NDVI without clouds."""


class ProcessRequest(Wire):
    """A request of the Process API."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    input: Input
    evalscript: str
    output: Output = Output()


def data_of(
    entries: Sequence[DataEntry], *, times: tuple[dt.datetime, dt.datetime] | None = None
) -> tuple[DataRequest, ...]:
    """The data of a request, with its defaults.

    :param times: From and to instead of those that the entries say (which then need not); naive UTC, both inclusive.
    :raises RequestError: for times that are none, none at all, or two entries of one id.
    """
    ids = [entry.id for entry in entries if entry.id is not None]
    if len(set(ids)) < len(ids):
        raise RequestError("input.data: two entries have the same id. Give each its own.")
    return tuple(_data(number, entry, times) for number, entry in enumerate(entries))


def _data(number: int, entry: DataEntry, times: tuple[dt.datetime, dt.datetime] | None) -> DataRequest:
    where = f"input.data.{number}.dataFilter.timeRange"
    if times is None and entry.data_filter.time_range is None:
        raise RequestError(f"{where} is missing: give `from` and `to`.")
    start, end = times or time_range_of(entry.data_filter.time_range, where)  # type: ignore[arg-type]  # not None here
    return DataRequest(
        collection=entry.type,
        start=start,
        end=end,
        id=entry.id,
        max_cloud_coverage=entry.data_filter.max_cloud_coverage,
        order=entry.data_filter.order,
        upsampling=entry.processing.upsampling,
        downsampling=entry.processing.downsampling,
        harmonize=entry.processing.harmonize,
    )


def time_range_of(times: TimeRange, where: str, *, includes_last: bool = True) -> tuple[dt.datetime, dt.datetime]:
    """First and last moment of a range, naive UTC.

    :param where: The field, for messages.
    :param includes_last: A `to` to the second is all of that second; False for ranges that end at their `to`.
    :raises RequestError: when one is no time, or the first comes after the last.
    """
    start, end = time_of(times.start, f"{where}.from"), time_of(times.end, f"{where}.to", last=True)
    if includes_last:
        end = end_of(times.end, f"{where}.to")
    if end < start:
        raise RequestError(f"{where}: `to` ({times.end}) is before `from` ({times.start}). Exchange the two.")
    return start, end


def end_of(text: str, where: str) -> dt.datetime:
    """The last moment of what a text says, naive UTC: of a day the day, of a whole second the second, as products have
    times of milliseconds.

    :raises RequestError: when it is no time.
    """
    end = time_of(text, where, last=True)
    return end + _ALL if _TO_THE_SECOND.fullmatch(text.strip()) else end


def time_of(text: str, where: str, *, last: bool = False) -> dt.datetime:
    """A time of a request, naive UTC.

    :param last: A day without a time is its end.
    :raises RequestError: when it is none.
    """
    text = text.strip()
    try:
        if len(text) > _TIME_CHARACTERS:
            raise ValueError
        time = parse_time(text)
    except ValueError:
        raise RequestError(f"{where} is {excerpt(text)}, which is no time: write it as 2024-05-31T23:59:59Z.") from None
    if last and "T" not in text.upper() and " " not in text:
        return dt.datetime.combine(time.date(), dt.time.max)
    return time
