"""The filesystem of a bucket that other libraries are given."""

from __future__ import annotations

import functools
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import eotasks.storage.place


def test_threads_at_once_get_one_class_of_filesystems(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pickles find it by its name: those of others could not be pickled."""
    module = eotasks.storage.place

    @functools.cache
    def slow() -> type:
        time.sleep(0.05)
        return type("BucketFilesystem", (), {})

    monkeypatch.setattr(module, "_made_bucket_filesystem", slow)
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: module.BucketFilesystem, range(8)))
    assert len(found) == 1
