"""Labels of clouds that others have published: a reader for each data set, by its name."""

from __future__ import annotations
