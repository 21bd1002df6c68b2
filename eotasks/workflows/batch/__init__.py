"""A workflow over many patches."""

from __future__ import annotations
