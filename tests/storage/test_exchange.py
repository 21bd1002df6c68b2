"""Two folders that change their names at once."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from eotasks.storage import exchange
from eotasks.storage.exchange import ExchangeUnsupportedError, exchange_folders


def test_each_gets_the_name_of_the_other(tmp_path: Path) -> None:
    first, second = tmp_path / "a č", tmp_path / "b"
    for folder in (first, second):
        (folder / folder.name).mkdir(parents=True)
    exchange_folders(first, second)
    assert [path.name for path in (*first.iterdir(), *second.iterdir())] == ["b", "a č"]


def test_one_that_is_absent_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(FileNotFoundError) as caught:
        exchange_folders(tmp_path / "a", tmp_path / "b")
    assert not isinstance(caught.value, ExchangeUnsupportedError)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOSYS, errno.EXDEV, errno.ENOTSUP, None])
def test_disks_and_systems_that_cannot_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int | None
) -> None:
    call = None if code is None else lambda *_: code
    monkeypatch.setattr(exchange, "_system_call", lambda: call)
    with pytest.raises(ExchangeUnsupportedError):
        exchange_folders(tmp_path / "a", tmp_path / "b")
