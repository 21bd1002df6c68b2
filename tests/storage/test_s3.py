"""`eotasks.storage.s3`: settings as AWS tools take them, one client, errors that say what to do."""

from __future__ import annotations

import http.server
import logging
import multiprocessing
import os
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from botocore.loaders import JSONFileLoader
from rasterio.windows import Window

from eotasks.errors import ConfigurationError, CredentialsError, EOTasksError, StorageError
from eotasks.storage import s3
from eotasks.storage import s3_connection as _s3_connection
from eotasks.storage.s3_connection import S3Settings
from tests.servers.loopback import LoopbackServer
from tests.servers.s3 import ACCESS_KEY, SECRET_KEY, S3Server


@pytest.fixture
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without any setting of AWS."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return monkeypatch


def test_without_any_setting_it_is_aws_and_anonymous(aws: pytest.MonkeyPatch) -> None:
    settings = s3.s3_settings()
    assert settings == S3Settings(endpoint=None, region=None, addressing="auto", anonymous=True)
    assert str(settings) == "AWS S3"
    assert s3.s3_client().meta.config.signature_version is not None
    assert s3.gdal_environment()["session"].unsigned


def test_the_endpoint_comes_from_where_aws_documents_it(aws: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(
        "[profile p]\nendpoint_url = http://profile:1\nservices = s\n[profile q]\nendpoint_url = http://profile:1/\n"
        "[services s]\ns3 =\n  endpoint_url = http://service:1\n"
    )
    aws.setenv("AWS_PROFILE", "q")
    assert s3.s3_settings().endpoint == "http://profile:1"
    aws.setenv("AWS_PROFILE", "p")
    assert s3.s3_settings().endpoint == "http://service:1"
    aws.setenv("AWS_ENDPOINT_URL", "http://common:1")
    assert s3.s3_settings().endpoint == "http://common:1"
    aws.setenv("AWS_ENDPOINT_URL_S3", "https://s3:1/")
    assert s3.s3_settings().endpoint == "https://s3:1"
    assert s3.s3_client().meta.endpoint_url == "https://s3:1"
    aws.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
    assert s3.s3_settings().endpoint is None
    assert s3.s3_client().meta.endpoint_url.endswith("amazonaws.com")


@pytest.mark.parametrize(
    ("endpoint", "style", "expected"),
    [("http://127.0.0.1:9", None, "path"), ("https://s3.example.org", None, "path"),
     ("https://s3.eu-central-1.amazonaws.com", None, "auto"), ("https://s3.example.org", "virtual", "virtual")],
)  # fmt: skip
def test_buckets_stand_in_the_path_of_custom_endpoints(
    aws: pytest.MonkeyPatch, tmp_path: Path, endpoint: str, style: str | None, expected: str
) -> None:
    if style:
        (tmp_path / "config").write_text(f"[default]\ns3 =\n  addressing_style = {style}\n")
    aws.setenv("AWS_ENDPOINT_URL", endpoint)
    assert s3.s3_settings().addressing == expected
    virtual = {"path": "FALSE", "virtual": "TRUE", "auto": None}[expected]
    assert s3.gdal_environment().get("AWS_VIRTUAL_HOSTING") == virtual


def test_region_attempts_and_credentials_are_the_users(aws: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[default]\nregion = eu-west-3\nretry_mode = adaptive\n")
    (tmp_path / "credentials").write_text("[default]\naws_access_key_id = a\naws_secret_access_key = b\n")
    aws.setenv("AWS_MAX_ATTEMPTS", "3")
    assert s3.s3_settings() == S3Settings(None, "eu-west-3", "auto", anonymous=False)
    assert s3.s3_client().meta.config.retries == {"mode": "adaptive", "total_max_attempts": 3}
    aws.setenv("AWS_NO_SIGN_REQUEST", "YES")
    assert s3.s3_settings().anonymous


@pytest.mark.parametrize(
    ("variables", "kind", "message"),
    [({"AWS_ENDPOINT_URL": "localhost:9000"}, ConfigurationError, "is no URL: write https://host"),
     ({"AWS_ENDPOINT_URL": "https://me:hidden-word@host"}, ConfigurationError, "credentials go elsewhere"),
     ({"AWS_PROFILE": "nobody"}, CredentialsError, "nobody"),
     ({"AWS_ACCESS_KEY_ID": "half"}, CredentialsError, "AWS_SECRET_ACCESS_KEY"),
     ({"AWS_MAX_ATTEMPTS": "many"}, ConfigurationError, "cannot be used")],
)  # fmt: skip
def test_settings_that_cannot_be_used_are_refused(
    aws: pytest.MonkeyPatch, variables: dict[str, str], kind: type[EOTasksError], message: str
) -> None:
    for name, value in variables.items():
        aws.setenv(name, value)
    with pytest.raises(kind, match=message) as caught:
        s3.s3_client()
    assert "hidden-word" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("location", ["", "bucket/key", "s3://", "s3:///key", "http://host/key"])
def test_locations_name_a_bucket(location: str) -> None:
    with pytest.raises(ConfigurationError, match="names no bucket"):
        s3.split_location(location)


def test_a_process_has_one_client_until_settings_change(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadPoolExecutor(8) as pool:
        clients = set(pool.map(lambda _: id(s3.s3_client()), range(32)))
    assert len(clients) == 1
    first = s3.s3_client()
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    assert s3.s3_client() is not first


def test_what_is_known_of_s3_is_read_once_and_from_where_the_user_says(aws: pytest.MonkeyPatch, tmp_path: Path) -> None:
    read: list[str] = []
    load = JSONFileLoader.load_file

    def noted(self: JSONFileLoader, file_path: str) -> Any:
        found = load(self, file_path)
        read.extend([file_path] if found is not None else [])
        return found

    aws.setattr(JSONFileLoader, "load_file", noted)
    _s3_connection._descriptions.cache_clear()
    aws.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    first = s3.s3_client()
    assert any("service-2" in file for file in read)
    read.clear()
    aws.setenv("AWS_DEFAULT_REGION", "us-west-2")
    second = s3.s3_client()
    assert second is not first
    assert second.meta.region_name == "us-west-2"
    assert not [file for file in read if "boto3" not in file]
    aws.setenv("AWS_DATA_PATH", str(tmp_path))
    assert s3.s3_client() is not second
    assert any("service-2" in file for file in read)


def test_credentials_that_a_tool_renews_in_its_file_are_used(aws: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    for number, key in enumerate(("first", "second")):
        file.write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = b\n")
        os.utime(file, (number, number))
        assert s3.gdal_environment()["session"].credentials["aws_access_key_id"] == key


def test_a_forked_child_makes_its_own_client(s3_server: S3Server) -> None:
    location = f"{s3_server.location()}/file"
    s3.write_object(location, b"content")
    client = id(s3.s3_client())
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:  # no pytest and no cleaning up in here
        try:
            fresh = _s3_connection._current is None  # the parent's sockets are not used
            os.write(writer, s3.read_object(location) if fresh else b"the parent's client")
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    assert os.read(reader, 100) == b"content"
    os.close(reader)
    assert id(s3.s3_client()) == client


def test_a_spawned_child_finds_the_server_by_its_environment(s3_server: S3Server) -> None:
    location = f"{s3_server.location()}/file"
    s3.write_object(location, b"content")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(s3.read_object, (location,)) == b"content"


def test_objects_are_written_under_conditions(s3_server: S3Server) -> None:
    location = f"{s3_server.location()}/file"
    tag = s3.write_object(location, b"one", new=True)
    with pytest.raises(StorageError, match="another run") as caught:
        s3.write_object(location, b"two", new=True)
    assert s3.lost_race(caught.value)
    assert not s3.is_absent(caught.value)
    later = s3.write_object(location, b"three", replaces=tag)
    with pytest.raises(StorageError, match="another run"):
        s3.write_object(location, b"four", replaces=tag)
    assert s3.read_tagged(location) == (b"three", later)


def test_of_many_writers_at_once_one_comes_through(s3_server: S3Server) -> None:
    location = f"{s3_server.location()}/file"

    def write(number: int) -> bool:
        try:
            s3.write_object(location, str(number).encode(), new=True)
        except StorageError as error:
            return not s3.lost_race(error)
        return True

    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(write, range(16)))
    assert won.count(True) == 1
    assert s3.read_object(location) == str(won.index(True)).encode()


def test_files_go_and_come(s3_server: S3Server, tmp_path: Path) -> None:
    content = np.random.default_rng(1).bytes(20_000_000)  # more than one part
    (tmp_path / "file").write_bytes(content)
    location = f"{s3_server.location()}/č und ü.bin"
    s3.upload_file(tmp_path / "file", location)
    s3.download_file(location, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == content
    with pytest.raises(StorageError, match="is not there"):
        s3.download_file(f"{location}x", tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def read(location: str) -> None:
    s3.read_object(location)


def write(location: str) -> None:
    s3.write_object(location, b"content")


@pytest.mark.parametrize("call", [read, write])
@pytest.mark.parametrize(
    ("variables", "bucket", "kind", "message"),
    [({"AWS_SECRET_ACCESS_KEY": "wrong-word"}, None, CredentialsError, r"\(SignatureDoesNotMatch\)"),
     ({"AWS_ACCESS_KEY_ID": "nobody"}, None, CredentialsError, r"refuses the credentials \(InvalidAccessKeyId"),
     ({"AWS_NO_SIGN_REQUEST": "YES"}, None, CredentialsError, "is not public .* there are no credentials"),
     ({}, "no-such-bucket", StorageError, "there is no bucket 'no-such-bucket' at http://127.0.0.1"),
     ({}, "not a bucket", ConfigurationError, "is no name that S3 takes"),
     ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_MAX_ATTEMPTS": "1"}, None, StorageError, "cannot be reached")],
)  # fmt: skip
def test_each_trouble_has_its_sentence(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, call: object, variables: dict[str, str], bucket: str | None,
    kind: type[EOTasksError], message: str,
) -> None:  # fmt: skip
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    location = f"s3://{bucket or s3_server.bucket}/folder/file"
    with pytest.raises(kind, match=message) as caught:
        call(location)  # type: ignore[operator]
    text = str(caught.value)
    assert location in text
    assert "\n" not in text
    for secret in (SECRET_KEY, ACCESS_KEY, "wrong-word", "nobody"):
        assert secret not in text


def test_a_public_bucket_is_read_without_credentials(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    location = f"s3://{s3_server.make_public_bucket()}/file"
    s3.write_object(location, b"content")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    assert s3.s3_settings().anonymous
    assert s3.read_object(location) == b"content"
    with pytest.raises(CredentialsError, match="not public"):
        s3.write_object(location, b"other")


@pytest.mark.parametrize("anonymous", [False, True])
def test_gdal_reads_a_window_where_the_client_writes(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, anonymous: bool
) -> None:
    values = np.arange(512 * 512, dtype=np.uint16).reshape(1, 512, 512)
    shape = {"width": 512, "height": 512, "count": 1, "dtype": "uint16"}
    profile = {"driver": "GTiff", "tiled": True, "blockxsize": 128, "blockysize": 128, "crs": 32633} | shape
    profile["transform"] = rasterio.Affine(10, 0, 0, 0, -10, 0)
    with rasterio.open(tmp_path / "a.tif", "w", **profile) as file:
        file.write(values)
    bucket = s3_server.make_public_bucket() if anonymous else s3_server.bucket
    name = f"gdal-{anonymous}.tif"
    s3.upload_file(tmp_path / "a.tif", f"s3://{bucket}/{name}")
    if anonymous:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with rasterio.Env(**s3.gdal_environment()), rasterio.open(f"/vsis3/{bucket}/{name}") as file:
        window = file.read(window=Window(100, 200, 30, 40))
    np.testing.assert_array_equal(window, values[:, 200:240, 100:130])


def test_no_log_shows_the_secret(s3_server: S3Server, caplog: pytest.LogCaptureFixture) -> None:
    location = f"{s3_server.location()}/file"
    with caplog.at_level(logging.DEBUG):
        s3.write_object(location, b"content")
        s3.read_object(location)
        with rasterio.Env(**s3.gdal_environment()):
            pass
        with pytest.raises(StorageError):
            s3.read_object(f"{location}x")
    assert "PutObject" in caplog.text
    assert SECRET_KEY not in caplog.text
    assert SECRET_KEY not in repr(s3.s3_settings()) + repr(_s3_connection.connection()) + repr(s3.gdal_environment())


@pytest.mark.slow
def test_a_server_that_comes_back_is_waited_for(s3_own_server: S3Server) -> None:
    location = f"{s3_own_server.location()}/file"
    s3.write_object(location, b"content")
    s3_own_server.kill()
    back = threading.Timer(0.5, s3_own_server.restart)
    back.start()
    try:
        assert s3.read_object(location) == b"content"
        assert s3.write_object(location, b"more")
    finally:
        back.join()


class Breaking(http.server.BaseHTTPRequestHandler):
    """Breaks the first answers off in their middle."""

    breaks = 2

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "10")
        self.send_header("ETag", '"tag"')
        self.end_headers()
        whole = type(self).breaks <= 0
        type(self).breaks -= 1
        self.wfile.write(b"0123456789" if whole else b"01234")
        self.wfile.flush()
        if not whole:
            self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def breaking_server(aws: pytest.MonkeyPatch) -> Iterator[None]:
    server = LoopbackServer(("127.0.0.1", 0), Breaking)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    aws.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    yield
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(("breaks", "whole"), [(3, True), (4, False)])
def test_an_answer_that_breaks_off_is_asked_for_again(
    breaking_server: None, monkeypatch: pytest.MonkeyPatch, breaks: int, whole: bool
) -> None:
    monkeypatch.setattr(Breaking, "breaks", breaks)
    monkeypatch.setattr("eotasks.network.retries.FIRST_PAUSE", 0)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "4")
    if whole:
        assert s3.read_object("s3://bucket/file") == b"0123456789"
    else:
        with pytest.raises(StorageError, match="cannot be reached or broke off"):
            s3.read_object("s3://bucket/file")
