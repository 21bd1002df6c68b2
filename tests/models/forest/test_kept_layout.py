"""Layouts that are kept: what `made` makes, whatever lies in the folder, and never an error of it."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import logging
import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eotasks.models.forest import Forest, kept_layout
from eotasks.models.forest.layout import Layout, layout_of
from eotasks.models.forest.lightgbm_text import parse_model
from eotasks.models.kept_code import OwnFile
from tests.models.forest.oracle import edge_rows, model_text, random_tree

RNG = np.random.default_rng(7)
THRESHOLDS = [[0.1, 0.2, 0.7], [-1.0, 0.5], [2.0]]
TEXT = model_text([random_tree(RNG, 9, THRESHOLDS, [0, 2, 8, 10]) for _ in range(4)], features=3)
DIGEST = hashlib.sha256(TEXT.encode()).hexdigest()


class Maker:
    """Makes the layout, and counts how often it is asked."""

    def __init__(self, text: str = TEXT) -> None:
        self.text, self.calls = text, 0

    def __call__(self) -> Layout:
        self.calls += 1
        return layout_of(parse_model(self.text))


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the layout, which is not there yet."""
    file = OwnFile(tmp_path / f"{DIGEST[:32]}.layout", (os.geteuid(),))
    monkeypatch.setattr(OwnFile, "beside", classmethod(lambda *_: file))
    return file.path


def is_equal(one: Layout, other: Layout) -> bool:
    for each in dataclasses.fields(Layout):
        mine, theirs = getattr(one, each.name), getattr(other, each.name)
        if each.name == "columns":
            if not all(
                np.array_equal(getattr(mine, f.name), getattr(theirs, f.name)) for f in dataclasses.fields(mine)
            ):
                return False
        elif isinstance(mine, np.ndarray):
            if mine.dtype != theirs.dtype or not np.array_equal(mine, theirs):
                return False
        elif mine != theirs:
            return False
    return True


def test_is_made_once_and_the_same(kept: Path) -> None:
    first, second = Maker(), Maker()
    made = kept_layout.kept_layout(DIGEST, first)
    assert is_equal(kept_layout.kept_layout(DIGEST, second), made)
    assert (first.calls, second.calls) == (1, 0)
    assert kept.stat().st_mode & 0o022 == 0


def test_predicts_the_same(kept: Path) -> None:
    rows = edge_rows(TEXT, 300, seed=1)
    expected = Forest.from_text(TEXT).predict(rows, raw_score=True)
    for _ in range(2):
        forest = Forest.from_known_text(TEXT.encode(), DIGEST)
        assert np.array_equal(forest.predict(rows, raw_score=True), expected)
    assert kept.is_file()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.data())
def test_what_is_damaged_is_made_anew(kept: Path, data: st.DataObject) -> None:
    kept_layout.kept_layout(DIGEST, Maker())
    whole = kept.read_bytes()
    way = data.draw(st.sampled_from(["cut", "longer", "changed", "other bytes"]))
    at = data.draw(st.integers(0, len(whole) - 1))
    damaged = {
        "cut": whole[:at],
        "longer": whole + data.draw(st.binary(min_size=1, max_size=9)),
        "changed": whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :],
        "other bytes": data.draw(st.binary(max_size=300)),
    }[way]
    kept.write_bytes(damaged)
    maker = Maker()
    assert is_equal(kept_layout.kept_layout(DIGEST, maker), Maker()())
    assert maker.calls == 1
    assert kept.read_bytes() == whole


@contextmanager
def in_the_way(kept: Path, what: str) -> Iterator[None]:
    """What lies there is a whole layout, of somebody who may be a stranger."""
    if what == "of a stranger" and os.geteuid() != 0:
        pytest.skip("only the administrator gives files away")
    content = kept.read_bytes()
    if what == "written by others":
        kept.chmod(0o664)
    if what == "of a stranger":
        os.chown(kept, 12345, 12345)
    if what in ("a link", "a FIFO", "a folder"):
        kept.unlink()
    if what == "a link":
        (kept.parent / "theirs").write_bytes(content)
        kept.symlink_to(kept.parent / "theirs")
    if what == "a FIFO":
        os.mkfifo(kept)
    if what == "a folder":
        (kept / "inner").mkdir(parents=True)
    yield


@pytest.mark.parametrize("what", ["written by others", "of a stranger", "a link", "a FIFO", "a folder"])
def test_what_is_not_ones_own_is_not_read(kept: Path, what: str, caplog: pytest.LogCaptureFixture) -> None:
    kept_layout.kept_layout(DIGEST, Maker())
    with in_the_way(kept, what), caplog.at_level(logging.DEBUG, logger=kept_layout.__name__):
        maker = Maker()
        assert is_equal(kept_layout.kept_layout(DIGEST, maker), Maker()())
        assert maker.calls == 1
        assert "is made anew" in caplog.text
        again = Maker()
        kept_layout.kept_layout(DIGEST, again)
        assert again.calls == (1 if what == "a folder" else 0)  # what is ours took its place
    assert [record.levelno for record in caplog.records] == [logging.DEBUG] * len(caplog.records)


def test_of_another_model_or_version_is_made_anew(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept_layout.kept_layout(hashlib.sha256(b"another").hexdigest(), Maker())
    maker = Maker()
    kept_layout.kept_layout(DIGEST, maker)
    assert maker.calls == 1
    monkeypatch.setattr(kept_layout, "_version", lambda: "0" * 64)
    kept_layout.kept_layout(DIGEST, maker)
    assert maker.calls == 2
    kept_layout.kept_layout(DIGEST, maker)
    assert maker.calls == 2


def test_version_is_that_of_the_sources(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = kept_layout._version()
    changed = tmp_path / "kernels.py"
    changed.write_bytes(Path(str(kept_layout.kernels.__file__)).read_bytes() + b"# changed\n")
    monkeypatch.setattr(kept_layout.kernels, "__file__", str(changed))
    kept_layout._version.cache_clear()
    assert kept_layout._version() != before
    kept_layout._version.cache_clear()


@pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_takes_nothing(
    kept: Path, fault: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(fault, os.strerror(fault))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with caplog.at_level(logging.DEBUG, logger=kept_layout.__name__):
        assert is_equal(kept_layout.kept_layout(DIGEST, Maker()), Maker()())
    assert "cannot be kept" in caplog.text
    assert not list(kept.parent.iterdir())


def test_where_there_is_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("cannot cache function: no locator available")

    monkeypatch.setattr(OwnFile, "beside", refuse)
    for _ in range(2):
        maker = Maker()
        kept_layout.kept_layout(DIGEST, maker)
        assert maker.calls == 1


def test_lies_where_code_is_kept() -> None:
    file = OwnFile.beside(kept_layout.kept_layout, "name.layout")
    assert file.path.name == "name.layout"
    assert file.path.parent.is_dir()
    assert os.geteuid() in file.owners


def test_no_program_comes_from_it(kept: Path, tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "it ran"),)

    kept_layout.kept_layout(DIGEST, Maker())
    head, _, _ = kept.read_bytes().split(b"\n", 2)
    content = pickle.dumps(Payload())
    kept.write_bytes(b"\n".join([head, hashlib.sha256(content).hexdigest().encode(), content]))
    maker = Maker()
    kept_layout.kept_layout(DIGEST, maker)
    assert maker.calls == 1
    assert not (tmp_path / "it ran").exists()


def test_errors_of_the_text_are_passed_on(kept: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        kept_layout.kept_layout(DIGEST, lambda: 1 // 0)  # type: ignore[arg-type,return-value]
    assert not kept.exists()
