"""Places are the library's; workflows name them by this path too."""

from __future__ import annotations

from eotasks.places import TEMPORARY_PREFIX, Entry, Location, Place, atomic_path, check_folder, is_remote, place_of

__all__ = ["TEMPORARY_PREFIX", "Entry", "Location", "Place", "atomic_path", "check_folder", "is_remote", "place_of"]
