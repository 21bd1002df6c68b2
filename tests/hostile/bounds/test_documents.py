"""JSON and TOML whose objects take many times the room of their text: refused before any is made."""

from __future__ import annotations

import gzip
import io
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eotasks import documents
from eotasks.documents import check_signs_of, parse_json, parse_json_object, parse_toml
from eotasks.eopatches.load import load_eopatch
from eotasks.errors import StorageError
from eotasks.limits import DOCUMENT_SIGNS
from eotasks.storage.place import Place
from eotasks.workflows.batch.manifest import _parse
from tests.builders.eopatches import make_eopatch

MANY = DOCUMENT_SIGNS.default
DENSE: dict[str, bytes] = {
    "zeros": b"[" + b"0," * MANY + b"0]",
    "objects": b"[" + b"{}," * (MANY // 2 + 1) + b"{}]",
    "objects of one": b"[" + b'{"":0},' * (MANY // 3 + 1) + b"{}]",
    "lists": b"[" + b"[]," * (MANY // 2 + 1) + b"[]]",
    "keys": b"{" + b'"":0,' * (MANY // 2 + 1) + b'"":0}',
    "no JSON": b"," * (MANY + 1),
}


@pytest.fixture
def no_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    def reached(*_: Any, **__: Any) -> None:
        pytest.fail("it was parsed")

    monkeypatch.setattr(documents.json, "loads", reached)
    monkeypatch.setattr(documents.tomllib, "loads", reached)


@pytest.mark.usefixtures("no_parser")
@pytest.mark.parametrize("content", DENSE.values(), ids=DENSE)
def test_json_of_more_values_than_any_has(content: bytes) -> None:
    for parse in (parse_json, parse_json_object):
        with pytest.raises(ValueError, match="EOTASKS_MAX_DOCUMENT_SIGNS"):
            parse(content, ValueError)
    with pytest.raises(ValueError, match="more than 2,000,000 document signs"):
        parse_json(content.decode(), ValueError)
    with pytest.raises(ValueError, match="EOTASKS_MAX_DOCUMENT_SIGNS"):
        check_signs_of(io.BytesIO(content))


@pytest.mark.usefixtures("no_parser")
def test_toml_of_more_values_than_any_has() -> None:
    with pytest.raises(ValueError, match="EOTASKS_MAX_DOCUMENT_SIGNS"):
        parse_toml(b"a=1\n" * (MANY + 1), ValueError)


def test_what_is_within_the_bound_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DOCUMENT_SIGNS.variable, "3")
    assert parse_json(b"[0,0,0]", ValueError) == [0, 0, 0]
    assert parse_toml("a=[0,0]", tomllib.TOMLDecodeError) == {"a": [0, 0]}
    with pytest.raises(ValueError, match="4, more than 3 document signs"):
        parse_json("[0,0,0,0]", ValueError)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "packed"])
def test_eopatches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: Callable[[bytes], bytes]) -> None:
    """Of eo-learn, which parses them itself."""
    make_eopatch(every_kind=True).save(str(tmp_path / "made"))
    folder = tmp_path / "made" / "meta_info"
    (file,) = folder.glob("SIMULATED*")
    file.unlink()
    (folder / ("SIMULATED.json" if pack is bytes else "SIMULATED.json.gz")).write_bytes(
        pack(b"[" + b"0," * 300 + b"0]")
    )
    assert load_eopatch(Place(tmp_path), "made").meta_info["SIMULATED"] == [0] * 301
    monkeypatch.setenv(DOCUMENT_SIGNS.variable, "300")
    with pytest.raises(StorageError, match=r"meta_info/SIMULATED.*more than 300 document signs"):
        load_eopatch(Place(tmp_path), "made")


def test_lines_of_manifests_are_left_out() -> None:
    assert _parse('{"version": [' + "0," * MANY + "0]}", "the manifest") == []
