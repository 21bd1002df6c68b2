"""The data sets of labels, one module each. Where a fact of a layout is from stands in the module."""

from __future__ import annotations
