"""Where the pixels around lakes come from: one module a source."""

from __future__ import annotations
