"""Verbose runs keep and print no secret: of addresses, of the environment and of profiles, of what servers say."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from numpy.typing import NDArray
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

from eotasks.catalogue.fields import PRODUCT_ASSET
from eotasks.catalogue.store import Catalogue
from eotasks.errors import CredentialsError, ImageryError, stack_of
from eotasks.sources.sentinelhub import DownloadBandsTask
from eotasks.workflows.console import set_up_logging
from tests.builders.command_line import command
from tests.builders.layouts import small_safe, zipped
from tests.builders.products import LEFT, TOP
from tests.builders.stac_items import make_item
from tests.hostile import CANARY
from tests.servers.loopback import LoopbackServer


class EchoServer(LoopbackServer):
    """Answers with what it was told, secrets and all: as S3, a web server, a STAC API and an OAuth service."""

    allow_reuse_address = True

    def __init__(self, files: dict[str, bytes]) -> None:
        outer = self
        self.files = files
        self.asked = 0

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def answer(self) -> None:
                outer.asked += 1
                told = f"{self.command} {self.path}\n{self.headers}"
                length = int(self.headers.get("Content-Length") or 0)
                told += self.rfile.read(length).decode(errors="replace") + f" {SECRET_KEY} {CLIENT_SECRET}"
                path = self.path.partition("?")[0]
                if path in outer.files:
                    content = outer.files[path]
                    first, last = 0, len(content) - 1
                    if self.headers.get("Range"):
                        start, _, end = self.headers["Range"].removeprefix("bytes=").partition("-")
                        first, last = int(start), min(int(end or last), last)
                    self.say(206 if self.headers.get("Range") else 200, content[first : last + 1], len(content), first)
                elif path.startswith("/redirect"):
                    self.send_response(302)
                    self.send_header("Location", f"http://user:{CANARY}@localhost:1/a.zip?zz={CANARY}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                elif path.startswith("/stac"):
                    self.stac(told)
                elif path.startswith("/missing"):
                    self.say(404, told.encode())
                else:
                    said = told.replace("&", "&amp;").replace("<", "&lt;")
                    body = f"<Error><Code>SignatureDoesNotMatch</Code><Message>{said}</Message></Error>"
                    self.say(403, body.encode())

            def stac(self, told: str) -> None:
                if self.path.startswith("/stac/broken"):
                    self.say(500 if self.command == "POST" else 200, told.encode())
                elif self.path.startswith("/stac/search"):
                    item = make_item("S2A").to_dict()
                    signed = f"http://user:{CANARY}@127.0.0.1/a.tif?zz={CANARY}"
                    item |= {"collection": "sentinel-2-l1c", "assets": {"B02": {"href": signed, "token": CANARY}}}
                    item["links"] = [{"rel": "self", "href": signed}]
                    self.say(200, json.dumps({"type": "FeatureCollection", "features": [item]}).encode())
                else:
                    here = f"http://127.0.0.1:{outer.server_port}/stac"
                    links = [
                        {"rel": "search", "href": f"{here}/search", "method": "POST"},
                        {"rel": "root", "href": here},
                    ]
                    conforms = ["https://api.stacspec.org/v1.0.0/core", "https://api.stacspec.org/v1.0.0/item-search"]
                    root = {"type": "Catalog", "stac_version": "1.0.0", "id": "x", "description": "x", "links": links}
                    self.say(200, json.dumps(root | {"conformsTo": conforms}).encode())

            def say(self, code: int, body: bytes, whole: int = 0, first: int = 0) -> None:
                self.send_response(code, None if code < 300 else f"No {CLIENT_SECRET}")
                self.send_header("Content-Length", str(len(body)))
                if code == 206:
                    self.send_header("Content-Range", f"bytes {first}-{first + len(body) - 1}/{whole}")
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer  # the names that http.server calls

        super().__init__(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.serve_forever, daemon=True)
        self.thread.start()


SECRET_KEY = f"aws/{CANARY}+secret"
CLIENT_SECRET = f"client-{CANARY}-secret"


@dataclass
class Runs:
    """Commands, and what they left."""

    folder: Path
    server: EchoServer
    said: list[str] = field(default_factory=list)

    @property
    def signed(self) -> str:
        return f"http://user:{CANARY}@127.0.0.1:{self.server.server_port}"

    def address(self, path: str) -> str:
        return f"{self.signed}/{path}?X-Amz-Signature={CANARY}&zz={CANARY}"

    def run(self, *arguments: str | Path, code: Collection[int] = (2,)) -> None:
        with own_logging():
            result = command(*arguments, "--verbose")
        assert result.code in code, result.err
        self.said += [result.out, result.err]

    def assert_no_secret(self) -> None:
        for number, text in enumerate(self.said):
            assert CANARY not in text, f"{number}: {text[max(0, text.index(CANARY) - 300) :][:600]}"
        found = [path for path in self.folder.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]
        named = [path for path in self.folder.rglob("*") if CANARY in path.name]
        assert found + named == []


@contextlib.contextmanager
def own_logging() -> Iterator[None]:
    """The handlers of the command instead of pytest's."""
    root = logging.getLogger()
    handlers, level, hook = root.handlers[:], root.level, threading.excepthook
    root.handlers.clear()
    try:
        yield
    finally:
        root.handlers[:], threading.excepthook = handlers, hook
        root.setLevel(level)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("zip")
    return zipped(small_safe(folder / "in"), folder / "S2.zip").read_bytes()


@pytest.fixture
def runs(tmp_path: Path, archive: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runs]:
    server = EchoServer({"/good.zip": archive, "/text.zip": b"no zip", "/text.json": b"{"})
    home = tmp_path / "home"
    (home / ".aws").mkdir(parents=True)
    settings = {
        "HOME": str(home),
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
        "AWS_ACCESS_KEY_ID": f"AK{CANARY}",
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_SESSION_TOKEN": f"session-{CANARY}",
        "AWS_MAX_ATTEMPTS": "1",
        "SH_CLIENT_ID": "me",
        "SH_CLIENT_SECRET": CLIENT_SECRET,
        "OAUTHLIB_INSECURE_TRANSPORT": "1",
        "EOTASKS_CANARY_TOKEN": f"{CANARY}-own",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    work = tmp_path / "work"
    work.mkdir()
    yield Runs(work, server)
    server.shutdown()
    server.server_close()
    server.thread.join()


@pytest.mark.trial
def test_verbose_runs_print_and_keep_no_secret(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Twenty-eight commands in this process; those with workers follow below."""
    work, address = runs.folder, runs.address
    masks = ("cloud-mask", "--no-quicklook", "--resolution", "160")
    for number, path in enumerate(
        ("missing.zip", "denied.zip", "text.zip", "text.json", "redirect.zip", "redirect.json")
    ):
        runs.run(*masks, address(path), "--out", work / f"masks{number}")
    runs.run(*masks, f"http://user:{CANARY}@127.0.0.1:1/a.zip?zz={CANARY}")
    runs.run(*masks, address("good.zip"), address("missing.zip"), "--out", work / "masks", code=(1,))
    runs.run(*masks, address("good.zip"), "--out", "s3://bucket/masks")
    runs.run("cloud-mask", "--format", address("x"))
    catalogue = work / "c.parquet"
    runs.run("catalogue", "add", address("good.zip"), address("missing.zip"), "--catalogue", catalogue, code=(1,))
    runs.run("catalogue", "add", address("good.zip"), "--catalogue", address("c.parquet"))
    runs.run(
        "catalogue", "search", "--catalogue", f"http://127.0.0.1:{runs.server.server_port}/stac/broken?zz={CANARY}"
    )
    runs.run("catalogue", "search", "--catalogue", f"http://127.0.0.1:{runs.server.server_port}/missing?zz={CANARY}")
    runs.run("catalogue", "search", "--catalogue", address("stac"))
    stac = f"http://127.0.0.1:{runs.server.server_port}/stac?zz={CANARY}"
    runs.run("catalogue", "search", "--catalogue", stac, code=(0,))
    runs.run("catalogue", "search", "--catalogue", stac, "--json", code=(0,))
    with monkeypatch.context() as before:  # a catalogue that an older eotasks wrote
        before.setattr("eotasks.catalogue.table.check_addresses", lambda item: None)
        item = make_item("S2A")
        item.assets[PRODUCT_ASSET].href = address("good.zip")
        Catalogue(tmp_path / "old.parquet").add([item])
    runs.run("catalogue", "search", "--catalogue", tmp_path / "old.parquet", "--json", code=(0,))
    runs.run("catalogue", "info", "--catalogue", tmp_path / "old.parquet", code=(0,))
    for arguments in (
        (*masks, "s3://bucket/a.zip"),
        ("catalogue", "add", "s3://bucket/products", "--catalogue", "s3://bucket/c.parquet"),
        ("catalogue", "search", "--catalogue", "s3://bucket/c.parquet"),
        ("status", "s3://bucket/run"),
        ("clean", "s3://bucket/run"),
        ("evaluate-clouds", "s3://bucket/scenes", "--out", work / "judged"),
        ("land-cover", "--out", f"s3://KEY:{CANARY}@bucket/run"),
    ):
        runs.run(*arguments)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://user:{CANARY}@127.0.0.1:1")
    runs.run("status", "s3://bucket/run")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{runs.server.server_port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    keys = f"aws_access_key_id = AK{CANARY}\naws_secret_access_key = {SECRET_KEY}\naws_session_token = t-{CANARY}\n"
    (tmp_path / "home" / ".aws" / "credentials").write_text(f"[default]\n{keys}")
    runs.run("status", "s3://bucket/run")
    config = tmp_path / "scenes.toml"
    config.write_text(SCENES.format(product=address("good.zip"), **AREA))
    write_labels(tmp_path / "labels.tif", np.full((64, 64), 2, dtype=np.uint8))
    runs.run("land-cover", "--config", config, "--print-config", code=(0,))
    runs.run("land-cover", "--config", config, "--dry-run", "--out", work / "land", code=(0,))
    config.write_text(SCENES.format(product=address("missing.zip"), **AREA))
    runs.run("land-cover", "--config", config, "--out", work / "land")
    assert "missing.zip: nothing there" in runs.said[-1]
    assert len(runs.said) // 2 >= 29
    assert runs.server.asked > 30
    captured = capfd.readouterr()  # of libraries that write by themselves
    runs.said += [captured.out, captured.err]
    runs.assert_no_secret()


@pytest.mark.trial
def test_verbose_runs_of_new_commands_keep_no_secret(runs: Runs, tmp_path: Path) -> None:
    shapes = tmp_path / "shapes.parquet"
    gpd.GeoDataFrame({"id": ["a"]}, geometry=[shapely.box(13.0, 52.45, 13.01, 52.46)], crs=4326).to_parquet(shapes)
    work, address = runs.folder, runs.address
    stac = f"http://127.0.0.1:{runs.server.server_port}/stac?zz={CANARY}"
    any_code = (0, 1, 2)
    for number, place in enumerate(
        (*map(address, ("good.zip", "missing.zip", "denied.zip", "c.parquet", "stac")), stac,
         f"s3://KEY:{CANARY}@bucket/products", "s3://bucket/products")
    ):  # fmt: skip
        out = work / f"out{number}"
        runs.run("water-level", shapes, "--products", place, "--out", out / "water", code=any_code)
        runs.run(
            "zonal-stats", shapes, "--products", place, "--executor", "serial", "--out", out / "zonal", code=any_code
        )
        runs.run("archive", "plan", place, code=any_code)
        runs.run("archive", "build", place, "--out", out / "masks", "--executor", "serial", code=any_code)
    for dem in (address("dem.tif"), address("denied.tif"), f"s3://bucket/dem.tif?sig={CANARY}"):
        runs.run("water-level", shapes, "--simulated", "--elevation", dem, "--out", work / "dem", code=any_code)
        runs.run("cloud-mask", address("good.zip"), "--dem", dem, "--out", work / "shade", code=any_code)
    for place in (address("lakes.gpkg"), f"s3://KEY:{CANARY}@bucket/lakes.gpkg", f"s3://bucket/a.gpkg?token={CANARY}"):
        runs.run("water-level", place, "--simulated", "--out", work / "lakes", code=any_code)
        runs.run("zonal-stats", place, "--simulated", "--out", work / "fields", code=any_code)
    for place in (f"s3://KEY:{CANARY}@bucket/out", address("out")):
        runs.run("water-level", shapes, "--simulated", "--out", place, code=any_code)
        runs.run("zonal-stats", shapes, "--simulated", "--executor", "serial", "--out", place, code=any_code)
    runs.run("archive", "export-stac", work / "out0" / "masks", "--address", address("masks"), code=any_code)
    assert len(runs.said) // 2 > 40
    assert sum("error" in text for text in runs.said) > 20
    runs.assert_no_secret()


@pytest.mark.trial
def test_a_map_of_a_signed_product_keeps_no_secret(runs: Runs, tmp_path: Path) -> None:
    """Configuration, manifest, patches, report; and another signature is no other configuration."""
    config = tmp_path / "scenes.toml"
    labels = np.broadcast_to(np.where(np.arange(64) // 8 % 2, 2, 3), (64, 64))
    write_labels(tmp_path / "labels.tif", labels.astype(np.uint8))
    for number in range(2):
        product = f"{runs.address('good.zip')}&again={number}"
        config.write_text(SCENES.format(product=product, **AREA) + SMALL_RUN)
        again = ["--dry-run"] * number
        runs.run("land-cover", "--config", config, "--out", runs.folder / "land", *again, code=(0,))
        assert (runs.folder / "land" / "report.html").is_file()
        kept_config = (runs.folder / "land" / "run.toml").read_text()
        assert f'products = ["http://127.0.0.1:{runs.server.server_port}/good.zip"]' in kept_config
    runs.assert_no_secret()


def write_labels(path: Path, labels: NDArray[np.uint8]) -> None:
    with rasterio.open(
        path, "w", driver="GTiff", height=64, width=64, count=1, dtype="uint8", crs="EPSG:32633",
        transform=rasterio.Affine(20, 0, LEFT, 0, -20, TOP),
    ) as target:  # fmt: skip
        target.write(labels, 1)


SMALL_RUN = """\
[valid]
min_valid_fraction = 0.2
min_frames = 1
[model]
parameters = { num_iterations = 8 }
[validation]
test_fraction = 0.5
seeds = [42]
[run]
executor = "serial"
"""
AREA = {"left": LEFT, "bottom": TOP - 640, "right": LEFT + 1280, "top": TOP}
SCENES = """\
[source]
kind = "scenes"
products = ["{product}"]
[area]
grid = "bbox"
bbox = [{left}, {bottom}, {right}, {top}]
crs = "EPSG:32633"
patch_size = 640
resolution = 20
[reference]
kind = "raster"
path = "labels.tif"
"""


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["processes", "threads"])
def test_workers_print_and_keep_no_secret_and_no_process_is_called_so(runs: Runs, executor: str) -> None:
    """Stacks, logs and outcomes of workers; the arguments of all processes while they run.

    The environment of a worker holds what that of its parent holds: tasks are the user's own and may need any of it,
    and the system shows it to the same user alone.
    """
    place = runs.folder / "batch"
    run = subprocess.Popen(
        [sys.executable, "-m", "tests.hostile.secret_batch", place, executor],
        env=os.environ | {"SECRET_ADDRESS": f"http://user:{CANARY}@127.0.0.1:1/a.zip?zz={CANARY}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    seen: set[bytes] = set()
    while run.poll() is None:
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):  # it has ended
                seen.add(process.read_bytes())
        time.sleep(0.1)
    assert run.stdout is not None
    runs.said.append(run.stdout.read())
    assert run.returncode == 0, runs.said
    assert "connection broken" in runs.said[-1] or "Max retries exceeded" in runs.said[-1]
    assert any(b"tests.hostile.secret_batch" in arguments for arguments in seen)
    assert not any(CANARY.encode() in arguments for arguments in seen)
    runs.run("status", place, "--report", runs.folder / "report.html", code=(1,))
    runs.run("status", place, "--json", code=(1,))
    assert "ValueError" in runs.said[-2]
    assert (place / "batch" / "logs" / "secrets" / "caused.log").is_file()
    runs.assert_no_secret()


TOKENS: dict[str, dict[str, object] | None] = {
    "refused": None,
    "refused by the book": {"error": "invalid_client", "error_description": CLIENT_SECRET},
    "granted": {"access_token": f"token.{CANARY}", "expires_in": 3600, "expires_at": 4e9, "token_type": "Bearer"},
}


@pytest.mark.parametrize("token", TOKENS.values(), ids=TOKENS)
def test_a_service_that_repeats_credentials_is_not_repeated(
    runs: Runs, tmp_path: Path, token: dict[str, object] | None
) -> None:
    """Sentinel Hub answers with client id and secret, or with the token that it gave before."""
    home = tmp_path / "home" / ".config" / "sentinelhub"
    home.mkdir(parents=True)
    base = f"http://127.0.0.1:{runs.server.server_port}"
    if token is not None:
        runs.server.files["/token"] = json.dumps(token).encode()
    (home / "config.toml").write_text(
        f'[default-profile]\nsh_client_id = "me"\nsh_client_secret = "{CLIENT_SECRET}"\nsh_base_url = "{base}"\n'
        f'sh_token_url = "{base}/token"\nmax_download_attempts = 1\n'
    )
    task = DownloadBandsTask(bands=["B02"])
    box = BBox((330_000, 5_814_360, 330_040, 5_814_390), CRS("EPSG:32633"))
    said = io.StringIO()
    with own_logging(), contextlib.redirect_stderr(said):
        set_up_logging(verbose=True)
        with pytest.raises((ImageryError, CredentialsError)) as caught:
            task.execute(bbox=box, time_interval=("2019-01-01", "2019-01-31"))
    runs.said += [said.getvalue(), stack_of(caught.value), repr(caught.value)]
    assert runs.server.asked
    runs.assert_no_secret()
