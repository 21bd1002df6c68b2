"""Sources of pixels: the protocol, a module a source, and the registry of all."""

from __future__ import annotations
