"""What in a folder belongs to an EOPatch, by names alone, as eo-learn sees it."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from eolearn.core import FeatureType

from eotasks.features import Feature

TYPES = {
    feature_type.value: feature_type for feature_type in FeatureType if feature_type.value not in ("bbox", "timestamps")
}
"""Of features that are stored, by the names of their folders."""

TIMES = frozenset({"timestamps", "timestamp"})
"""The second is how eo-learn before 1.5 called it."""


def looks_plain(names: Collection[str]) -> bool:
    """Whether names are those in a plain EOPatch folder: bounding box or timestamps, and folders of features."""
    folders = any(name in TYPES for name in names) or has_parts(names, "meta_info")
    return folders and has_parts(names, "bbox", "timestamps")


def is_readable(names: Collection[str]) -> bool:
    """As `looks_plain`; a bounding box alone is an EOPatch too, of no features, when it is asked for by its name."""
    return has_parts(names, "bbox") or looks_plain(names)


def has_parts(paths: Iterable[str], *parts: str) -> bool:
    """Whether a file of one of these names, of any ending, lies directly in the folder."""
    return any(path.partition(".")[0] in parts and "." in path and "/" not in path for path in paths)


def is_always_read(path: str) -> bool:
    """Whether a file is read whatever is asked for."""
    return has_parts([path], "bbox", "meta_info", *TIMES)


def entry_of(path: str) -> tuple[Feature, str] | None:
    """The feature that a path is of, and its file, or with zarr its folder; None of what is no feature's."""
    feature_type, _, below = path.partition("/")
    entry = below.partition("/")[0]
    name, dot, _ = entry.partition(".")
    return ((TYPES[feature_type], name), f"{feature_type}/{entry}") if feature_type in TYPES and name and dot else None


def is_part(path: str) -> bool:
    """Whether a path belongs to an EOPatch."""
    return is_always_read(path) or entry_of(path) is not None
