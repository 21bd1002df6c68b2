"""Bodies of requests as forms: what curl and requests write, and what nobody should."""

from __future__ import annotations

import json

import hypothesis.strategies as st
import pytest
import requests
from hypothesis import given
from pydantic import BaseModel

from eotasks.service.api.body import described, model_of
from eotasks.service.contract.request import EXAMPLE, ProcessRequest, data_of
from eotasks.service.errors import RequestError


class Asked(BaseModel):
    number: int = 0
    evalscript: str = ""


SCRIPT = "//VERSION=3\r\nfunction ä() {}\n--not-a-boundary\n\r\n"


def form_of(**parts: str) -> tuple[bytes, str]:
    """As the package requests writes it."""
    files = {name: (None, content) for name, content in parts.items()}
    prepared = requests.Request("POST", "http://127.0.0.1/", files=files).prepare()
    assert isinstance(prepared.body, bytes)
    return prepared.body, prepared.headers["Content-Type"]


def test_a_form() -> None:
    body, kind = form_of(request='{"number": 5}', evalscript=SCRIPT)
    assert model_of(body, kind, Asked) == Asked(number=5, evalscript=SCRIPT)


def test_a_form_as_curl_writes_it() -> None:
    body = (
        b'--------------------------abc\r\nContent-Disposition: form-data; name="request"\r\n'
        b'Content-Type: application/json\r\n\r\n{"number": 7}\r\n'
        b'--------------------------abc\r\nContent-Disposition: form-data; name="evalscript"; filename="a.js"\r\n'
        b"Content-Type: text/javascript\r\n\r\nreturn [1]\r\n--------------------------abc--\r\n"
    )
    kind = "multipart/form-data; boundary=------------------------abc"
    assert model_of(body, kind, Asked) == Asked(number=7, evalscript="return [1]")


@pytest.mark.parametrize(
    ("body", "kind", "said"),
    [
        (b"", "multipart/form-data", "boundary"),
        (b"", "multipart/form-data; boundary=x", "no part `request`"),
        (b"--x\r\n\r\n{}\r\n--x--", "multipart/form-data; boundary=x", "no part `request`"),
        (b"--x\r\n" * 100, "multipart/form-data; boundary=x", "more than 20 parts"),
        (form_of(request="[1]")[0], "multipart/form-data; boundary=other", "no part `request`"),
    ],
    ids=["no boundary", "empty", "no name", "many", "another boundary"],
)
def test_forms_that_are_none(body: bytes, kind: str, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        model_of(body, kind, Asked)


def test_a_part_that_is_no_text() -> None:
    body, kind = form_of(request="{}", evalscript="xyz")
    with pytest.raises(RequestError, match="no UTF-8"):
        model_of(body.replace(b"xyz", b"\xff\xfe"), kind, Asked)


@given(
    st.binary(max_size=300), st.sampled_from(["", "application/json", "multipart/form-data; boundary=x", "text/xml"])
)
def test_any_bytes(body: bytes, kind: str) -> None:
    for content in (body, b'--x\r\nContent-Disposition: form-data; name="request"\r\n\r\n' + body + b"\r\n--x--"):
        try:
            asked = model_of(content, kind, Asked)
        except RequestError as error:
            asked = Asked(evalscript=str(error))
        assert isinstance(asked, Asked)


@pytest.mark.parametrize(
    "body",
    [
        b'{"input":[' + b",".join([b"[]"] * 600_000) + b"]}",
        b'{"input":{"data":[' + b"{}," * 30_000 + b"{}]}}",
        b"{" + b'"":0,' * 300_000 + b'"":0}',
        b"[" * 1_000_000,
        b'{"evalscript": "' + b'\\"' * 900_000,
        b'"' * 1_999_999,
        b'{"a": "' + b"\\" * 1_900_000,
    ],
    ids=["lists", "objects", "members", "levels", "quotes", "texts", "backslashes"],
)
def test_large_bodies_are_refused_before_they_are_read(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    monkeypatch.setattr(json, "loads", lambda text: read.append(len(text)) or json.JSONDecoder().decode(text.decode()))
    with pytest.raises(
        RequestError, match=r"The body of the request: (some [\d,]+ values, more than|no JSON)"
    ) as error:
        model_of(body, "", ProcessRequest)
    assert ("values" in str(error.value)) is not bool(read)
    assert "EOTASKS_" not in str(error.value)


def test_commas_of_a_script_are_no_values() -> None:
    script = '[{,"' * 100_000
    assert model_of(json.dumps({"evalscript": script}).encode(), "", Asked).evalscript == script


def test_other_characters_than_those_of_utf_8() -> None:
    with pytest.raises(RequestError, match="no UTF-8"):
        model_of('{"number": 5}'.encode("utf-16"), "", Asked)
    assert model_of("\ufeff{}".encode(), "", Asked) == Asked()


def test_messages_are_in_words_of_json() -> None:
    with pytest.raises(RequestError, match=r"input: Input should be an object\."):
        model_of(b'{"input": 5, "evalscript": ""}', "", ProcessRequest)


def test_the_example_of_the_description_is_a_request() -> None:
    schema = described(ProcessRequest)["requestBody"]["content"]["application/json"]["schema"]
    assert schema["examples"] == [EXAMPLE]
    [one] = data_of(model_of(json.dumps(EXAMPLE).encode(), "", ProcessRequest).input.data)
    assert one.order == "leastCC"
