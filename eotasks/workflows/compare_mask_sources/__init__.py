"""Cloud masks of a service against masks computed of its bands: what each costs, in the same patches and dates."""

from __future__ import annotations
