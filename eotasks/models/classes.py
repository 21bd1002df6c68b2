"""The class table: what a number on the map means, and its colour.

One table is used by the configuration, the model card, the exported maps and the report. The id 0 is no class: it is
the pixel without a label in reference data and the pixel without a prediction in a map.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from eotasks.errors import ConfigurationError
from eotasks.text import refuse_unseen

NO_DATA = 0
"""Id of a pixel without a label. Never trained, never counted."""

_MAX_ID = 255
_LONGEST_NAME = 200
_COLOR = re.compile(r"#[0-9a-f]{6}")


@dataclass(frozen=True)
class LandCoverClass:
    """One class of land cover.

    :raises ConfigurationError: for an id outside 0..255, an empty name or a color that is not ``#rrggbb``.
    """

    id: int
    """Value in label arrays and maps (uint8); 0 stands for unlabelled."""

    name: str
    """Name as shown in legends."""

    color: str
    """Colour as ``#rrggbb`` (lower case)."""

    def __post_init__(self) -> None:
        if isinstance(self.id, bool) or not isinstance(self.id, int) or not 0 <= self.id <= _MAX_ID:
            raise ConfigurationError(f"class id {self.id!r} is not usable: give a whole number from 0 to {_MAX_ID}.")
        if not self.name.strip():
            raise ConfigurationError(f"the class with id {self.id} has no name: give it one.")
        if refuse_unseen(self.name) or len(self.name) > _LONGEST_NAME:
            why = refuse_unseen(self.name) or f"it has {len(self.name):,} characters, {_LONGEST_NAME} fit a legend"
            raise ConfigurationError(f"name {self.name[:_LONGEST_NAME]!r} of the class with id {self.id}: {why}.")
        if not isinstance(self.color, str) or not _COLOR.fullmatch(self.color.lower()):
            raise ConfigurationError(f"color {self.color!r} of class {self.name!r}: write it as '#rrggbb'.")
        object.__setattr__(self, "color", self.color.lower())

    @property
    def rgb(self) -> tuple[int, int, int]:
        """Colour as three numbers 0..255."""
        return int(self.color[1:3], 16), int(self.color[3:5], 16), int(self.color[5:7], 16)


@dataclass(frozen=True)
class ClassTable:
    """An ordered set of classes with unique ids and unique names.

    The order is the order of the rows in tables and legends; ids need be neither consecutive nor sorted.

    :raises ConfigurationError: for an empty table, or an id or a name that occurs twice.
    """

    classes: tuple[LandCoverClass, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(self.classes))
        if not self.classes:
            raise ConfigurationError("the class table is empty: give at least one class.")
        for what, values in (("id", map(str, self.ids)), ("name", self.names)):
            twice = [value for value, count in Counter(values).items() if count > 1]
            if twice:
                raise ConfigurationError(f"class {what} {', '.join(twice)} occurs more than once: make it unique.")

    def __iter__(self) -> Iterator[LandCoverClass]:
        return iter(self.classes)

    def __len__(self) -> int:
        return len(self.classes)

    def __contains__(self, class_id: object) -> bool:
        return class_id in self.ids

    @property
    def ids(self) -> list[int]:
        """Ids in the order of the table."""
        return [item.id for item in self.classes]

    @property
    def names(self) -> list[str]:
        """Names in the order of the table."""
        return [item.name for item in self.classes]

    @property
    def colors(self) -> list[str]:
        """Colours ``#rrggbb`` in the order of the table."""
        return [item.color for item in self.classes]

    @property
    def by_id(self) -> dict[int, LandCoverClass]:
        """Classes by their id."""
        return {item.id: item for item in self.classes}

    @property
    def by_name(self) -> dict[str, LandCoverClass]:
        """Classes by their name."""
        return {item.name: item for item in self.classes}

    def name_of(self, class_id: int) -> str:
        """Name of a class; the id as text when the table has no such class."""
        found = self.by_id.get(int(class_id))
        return found.name if found else str(int(class_id))

    def without(self, *ids: int) -> ClassTable:
        """The table without some ids, usually without 0.

        :raises ConfigurationError: when no class is left.
        """
        return ClassTable(tuple(item for item in self.classes if item.id not in ids))

    def select(self, ids: Iterable[int]) -> ClassTable:
        """The table with the given ids only, in the order of the table.

        :raises ConfigurationError: for an id that the table does not have.
        """
        wanted = {int(value) for value in ids}
        self.require(wanted)
        return ClassTable(tuple(item for item in self.classes if item.id in wanted))

    def require(self, ids: Iterable[int]) -> None:
        """Check that every id is in the table.

        :raises ConfigurationError: naming the ids that are not, and those that are there.
        """
        unknown = sorted({int(value) for value in ids} - set(self.ids))
        if unknown:
            known = ", ".join(f"{item.id} {item.name}" for item in self.classes)
            raise ConfigurationError(
                f"class id {', '.join(map(str, unknown))} is not in the class table ({known}): add it or map it."
            )

    def to_list(self) -> list[dict[str, int | str]]:
        """Plain dictionaries ``{"id", "name", "color"}``, for JSON and TOML."""
        return [{"id": item.id, "name": item.name, "color": item.color} for item in self.classes]

    @classmethod
    def from_list(cls, rows: Iterable[Mapping[str, object]]) -> ClassTable:
        """Table from what :meth:`to_list` gives.

        :raises ConfigurationError: for a row with other keys, or values that make no class.
        """
        classes = []
        for row in rows:
            if set(row) != {"id", "name", "color"}:
                raise ConfigurationError(f"class {dict(row)!r}: give exactly the keys id, name and color.")
            class_id, name, color = row["id"], row["name"], row["color"]
            if not isinstance(class_id, int) or not isinstance(name, str) or not isinstance(color, str):
                raise ConfigurationError(f"class {dict(row)!r}: id is a whole number, name and color are text.")
            classes.append(LandCoverClass(class_id, name, color))
        return cls(tuple(classes))


SLOVENIAN_CLASSES = ClassTable(
    (
        LandCoverClass(NO_DATA, "No data", "#ffffff"),
        LandCoverClass(1, "Cultivated land", "#ffff00"),
        LandCoverClass(2, "Forest", "#054907"),
        LandCoverClass(3, "Grassland", "#ffa500"),
        LandCoverClass(4, "Shrubland", "#806000"),
        LandCoverClass(5, "Water", "#069af3"),
        LandCoverClass(6, "Wetland", "#95d0fc"),
        LandCoverClass(7, "Tundra", "#967bb6"),
        LandCoverClass(8, "Artificial surface", "#dc143c"),
        LandCoverClass(9, "Bareland", "#a6a6a6"),
        LandCoverClass(10, "Snow and ice", "#000000"),
    )
)
"""Classes, ids and colours of eo-learn's land-cover example of Slovenia (SI_LULC_pipeline notebook, LULC legend)."""
