"""Packets at the edges of windows: no more of them than may be, and nothing of files that nobody has any more."""

from __future__ import annotations

import gc

import pytest

from eotasks.imagery.jp2 import edge as module
from eotasks.imagery.jp2.edge import Edge


@pytest.fixture(autouse=True)
def edges(monkeypatch: pytest.MonkeyPatch) -> module._Edges:
    """Of this test alone."""
    own = module._Edges()
    monkeypatch.setattr(module, "_EDGES", own)
    monkeypatch.setattr(module, "MOST", 10)
    return own


def test_the_oldest_make_room() -> None:
    first, second = Edge(), Edge()
    first.keep(3, {0: b"1234"})
    first.keep(4, {0: b"12345"})
    second.keep(3, {1: b"12"})  # one too many
    assert (first.of(3), first.of(4), second.of(3)) == ({}, {0: b"12345"}, {1: b"12"})
    first.keep(4, {0: b"1"})  # in place of the last ones, and now the newest
    second.keep(2, {1: b"12345678"})
    assert (first.of(4), second.of(3), second.of(2)) == ({0: b"1"}, {}, {1: b"12345678"})
    second.keep(2, {1: b"x" * 11})  # has no room at all
    assert second.of(2) == {}


def test_what_is_empty_takes_no_entry(edges: module._Edges) -> None:
    edge = Edge()
    for bodies in ({}, {0: b""}):
        edge.keep(3, {0: b"12345"})
        edge.keep(3, bodies)
        assert edge.of(3) == {}
        assert not edges._sizes
        assert edges._sum == 0


def test_files_that_are_gone_take_no_room(edges: module._Edges) -> None:
    last = Edge()
    last.keep(1, {0: b"12345"})
    for _ in range(5):
        edge = Edge()
        edge.keep(1, {0: b"12"})
        edge.keep(2, {0: b"123"})
        del edge
        gc.collect()
    last.keep(2, {0: b"1"})
    assert last.of(1) == {0: b"12345"}
    assert len(edges._sizes) == 2
    assert edges._sum == 6
