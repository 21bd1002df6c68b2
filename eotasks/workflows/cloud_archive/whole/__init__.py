"""Whether an archive is whole, and making it so: how it stands, what is wrong with it, what is done about that."""

from __future__ import annotations
