"""Resolution levels of JPEG 2000 files by their packets: which bytes hold a level, and a small file of those alone."""

from __future__ import annotations
