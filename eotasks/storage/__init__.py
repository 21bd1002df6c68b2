"""Bytes in a place: a folder on disk or a prefix in an S3 bucket, with the same methods."""

from __future__ import annotations
