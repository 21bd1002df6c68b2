"""The one table from errors to what a client is told."""

from __future__ import annotations

import pytest

from eotasks import errors as below
from eotasks.limits import DOCUMENT_VALUES
from eotasks.service import errors
from eotasks.service.answers import answer_of, is_ours, without_places


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.RequestError("x"), 400, "COMMON_BAD_PAYLOAD"),
        (errors.ScriptError("x"), 400, "RENDERER_EXCEPTION"),
        (errors.ScriptTimeoutError("x"), 400, "RENDERER_EXCEPTION"),
        (errors.TooLargeError("x"), 413, "COMMON_BAD_PAYLOAD"),
        (errors.UnauthorizedError("x"), 401, "COMMON_UNAUTHORIZED"),
        (errors.ForbiddenError("x"), 403, "COMMON_INSUFFICIENT_PERMISSIONS"),
        (errors.NotFoundError("x"), 404, "COMMON_NOT_FOUND"),
        (errors.BusyError("x", wait_s=1), 429, "RATE_LIMIT_EXCEEDED"),
        (errors.EngineError("x"), 503, "COMMON_EXCEPTION"),
        (below.GridError("x"), 400, "COMMON_BAD_PAYLOAD"),
        (below.GeometryError("x"), 400, "COMMON_BAD_PAYLOAD"),
        (below.StorageError("x"), 503, "COMMON_EXCEPTION"),
        (below.ImageryError("x"), 503, "COMMON_EXCEPTION"),
        (below.ConfigurationError("x"), 500, "COMMON_EXCEPTION"),
        (below.CredentialsError("x"), 500, "COMMON_EXCEPTION"),
        (OSError("x"), 503, "COMMON_EXCEPTION"),
        (ValueError("x"), 500, "COMMON_EXCEPTION"),
        (MemoryError(), 500, "COMMON_EXCEPTION"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_the_table(error: Exception, status: int, code: str) -> None:
    answer = answer_of(error, "number-7")
    assert (answer.status, answer.code) == (status, code)
    assert is_ours(error) == (status >= 500)
    assert answer.response().status_code == status


def test_every_error_of_the_service_has_its_status() -> None:
    leaves = [
        each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, errors.ServiceError)
    ]
    assert len(leaves) > 8
    for each in leaves:
        assert 400 <= each.status < 600


@pytest.mark.parametrize("kind", [errors.RequestError, errors.TooLargeError, below.GeometryError, below.AreaError])
def test_clients_are_not_told_how_limits_are_lifted(kind: type[Exception]) -> None:
    answer = answer_of(kind(f"The request: {DOCUMENT_VALUES.excess(9)}. Send less."), "number-7")
    assert answer.message == f"The request: 9, more than {DOCUMENT_VALUES.value:,} document values. Send less."


@pytest.mark.parametrize(
    "error", [OSError("/home/me/x"), below.StorageError("s3://bucket/x"), RuntimeError("/home/me/x")], ids=repr
)
def test_faults_tell_no_place(error: Exception) -> None:
    answer = answer_of(error, "number-7")
    assert "number-7" in answer.message
    assert "me/x" not in answer.message
    assert "bucket" not in answer.message


def test_what_an_engine_dies_of_is_for_the_log() -> None:
    answer = answer_of(errors.EngineError("Cannot allocate memory: '/opt/venv/bin/python'"), "")
    assert "engine" in answer.message
    assert "python" not in answer.message


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("/data/products/A.SAFE: no grid", "… no grid"),
        ("s3://bucket/prefix/a.tif is no image", "… is no image"),
        ("the band 'B99' of 10 m / 20 m", "the band 'B99' of 10 m / 20 m"),
        ("reflectance/DN or a/b", "reflectance/DN or a/b"),
        ("in '/vsicurl/https://host/x?sig=a'", "in '…'"),
    ],
)
def test_places_are_left_out(text: str, left: str) -> None:
    assert without_places(text) == left


def test_waiting_times_are_whole_milliseconds() -> None:
    for wait_s, header in ((0.0001, "1"), (0.5, "500"), (2.0004, "2000"), (90, "90000")):
        answer = answer_of(errors.BusyError("x", wait_s=wait_s), "").response()
        assert answer.headers["retry-after"] == header
    assert answer_of(errors.UnauthorizedError("x"), "").response().headers["www-authenticate"] == "Bearer"
