"""Worker processes and threads of a batch on one machine."""

from __future__ import annotations
