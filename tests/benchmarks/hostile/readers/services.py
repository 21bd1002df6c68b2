"""What a service is sent, and what it keeps: requests, searches, forms, tokens, clients, answers of its engine."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

from eotasks.errors import EOTasksError
from eotasks.service.api.body import json_object, model_of
from eotasks.service.api.catalog import _model
from eotasks.service.api.ogc.fis import _parameters
from eotasks.service.api.process import check_script, formats_of
from eotasks.service.api.tokens import _credentials, _form
from eotasks.service.auth import clients
from eotasks.service.auth.bearer import bearer_token
from eotasks.service.auth.clients import Clients, add_client, read_clients, signing_key
from eotasks.service.auth.tokens import TokenSigner
from eotasks.service.catalog.search import search_of
from eotasks.service.contract.catalog import CatalogSearch, search_document
from eotasks.service.contract.fis import fis_request
from eotasks.service.contract.ground import area_of
from eotasks.service.contract.request import EXAMPLE, ProcessRequest, data_of
from eotasks.service.contract.statistics import StatisticsRequest
from eotasks.service.evalscript.script import expressions, scanned
from eotasks.service.evalscript.workers.protocol import read_description
from eotasks.service.statistics.plan import call_of
from tests.benchmarks.hostile.format import Format, Read
from tests.builders.service.statistics_requests import request

_JSON_TOKENS = (b"NaN", b"1e400", b"null", b"{", b"[", b'"', b"\\ud800", b"\\u0000", b",", b":", b"[[" * 30_000)
_FORM_TOKENS = (b"%00", b"%ff", b"%", b"&", b"=", b"+", b"%ed%a0%80", b"&a=b" * 1000, b"x" * 100_000)
_RING = [[12.5, 52.4], [12.6, 52.4], [12.6, 52.5], [12.5, 52.4]]
_BOUNDARY = "multipart/form-data; boundary=x"

_SCRIPTS = (
    rb"""//VERSION=3
function setup() { return {input: ["B04"], output: {bands: 1}}; }
function evaluatePixel(s) { let t = `a${s.B04 / 2}b`; /* c */ return [/[/]x\//g.test('\'') ? 1 : s.B04]; }""",
    b"//VERSION=3\nvar a = 1; // b\nfunction evaluatePixel(samples, scenes) { return samples.map(s => s.B04); }",
)
_SCRIPT_TOKENS = (
    b"`", b"${", b"/*", b"*/", b"//", b"/", b"'", b'"', b"\\", b"\xe2\x80\xa8", b"{" * 50_000, b"`${" * 20_000,
    b"/[" * 20_000, b"\n" * 50_000,
)  # fmt: skip


def _process(folder: Path) -> tuple[Sequence[bytes], Read]:
    polygon = json.loads(json.dumps(EXAMPLE))
    polygon["input"]["bounds"] = {"geometry": {"type": "MultiPolygon", "coordinates": [[_RING], [_RING]]}}
    polygon["output"] = {"resx": 0.001, "resy": 0.001, "responses": [{"identifier": "userdata"}]}

    def read(content: bytes) -> object:
        asked = model_of(content, "application/json", ProcessRequest)
        check_script(asked.evalscript, 100_000)
        output = asked.output
        area_of(asked.input.bounds, width=output.width, height=output.height, resx=output.resx, resy=output.resy)
        formats_of(output.responses, "image/png")
        return data_of(asked.input.data)

    return [json.dumps(each).encode() for each in (EXAMPLE, polygon)], read


def _forms(folder: Path) -> tuple[Sequence[bytes], Read]:
    """Requests as forms."""
    _, of_json = _process(folder)
    parts = {"request": json.dumps({key: EXAMPLE[key] for key in ("input",)}), "evalscript": EXAMPLE["evalscript"]}
    body = "".join(
        f'--x\r\nContent-Disposition: form-data; name="{name}"; filename="a"\r\n\r\n{text}\r\n'
        for name, text in parts.items()
    )

    def read(content: bytes) -> object:
        asked = model_of(content, _BOUNDARY, ProcessRequest)
        return of_json(asked.model_dump_json(by_alias=True).encode())

    return [f"{body}--x--\r\n".encode()], read


def _statistics(folder: Path) -> tuple[Sequence[bytes], Read]:
    calculations = {
        "default": {
            "histograms": {"default": {"nBins": 5, "lowEdge": 0, "highEdge": 1}, "B0": {"bins": [0, 1, 2.5]}},
            "statistics": {"default": {"percentiles": {"k": [5, 50.5]}}},
        }
    }

    def read(content: bytes) -> object:
        return call_of(model_of(content, "application/json", StatisticsRequest), max_side=2500)

    return [json.dumps(each).encode() for each in (request(), request() | {"calculations": calculations})], read


_SEARCHES: tuple[dict[str, Any], ...] = (
    {
        "collections": ["sentinel-2-l1c"], "datetime": "2019-06-01/2019-06-05", "bbox": [13, 45, 14, 46], "limit": 5,
        "filter": {"op": "and", "args": [
            {"op": "<", "args": [{"property": "eo:cloud_cover"}, 80]},
            {"op": "=", "args": [{"property": "sat:orbit_state"}, "ascending"]}]},
        "filter-lang": "cql2-json", "fields": {"include": ["id"], "exclude": ["links"]}, "next": 3,
    },
    {
        "collections": ["sentinel-2-l2a"], "intersects": {"type": "Polygon", "coordinates": [_RING]},
        "distinct": "date", "filter": "eo:cloud_cover BETWEEN 0 AND 80 AND platform = 'S2A'", "ids": ["a"],
    },
)  # fmt: skip


def _searches(folder: Path) -> tuple[Sequence[bytes], Read]:
    def read(content: bytes) -> object:
        return search_of(model_of(content, "application/json", CatalogSearch))

    return [json.dumps(each).encode() for each in _SEARCHES], read


def _addresses(folder: Path) -> tuple[Sequence[bytes], Read]:
    """The same behind the question mark of an address."""
    texts: list[dict[str, str]] = [
        {
            "collections": "sentinel-2-l1c", "datetime": "2019-06-01/..", "bbox": "13,45,14,46", "limit": "5",
            "fields": "id,-links", "filter": "eo:cloud_cover < 80",
        },
        {
            "collections": "sentinel-2-l1c", "filter-lang": "cql2-json", "next": "1",
            "filter": '{"op": "<", "args": [{"property": "eo:cloud_cover"}, 80]}',
            "intersects": '{"type": "Point", "coordinates": [13, 45]}',
        },
    ]  # fmt: skip
    samples = [urlencode(each, safe=",:[]").encode() for each in texts]

    def read(content: bytes) -> object:
        return search_of(_model(search_document(dict(parse_qsl(content.decode("latin-1"), keep_blank_values=True)))))

    return samples, read


_FIS: tuple[dict[str, Any], ...] = (
    {
        "LAYER": "NDVI", "TIME": "2019-06-01/2019-06-05", "BBOX": "13,45,13.1,45.1", "CRS": "CRS:84",
        "RESOLUTION": "10m", "BINS": 10, "TYPE": "EQUALFREQUENCY", "MAXCC": 20,
    },
    {
        "LAYER": "NDVI", "TIME": "2019-06-01", "CRS": "EPSG:32633", "RESOLUTION": "60",
        "GEOMETRY": "POLYGON ((330000 5814000, 330400 5814000, 330400 5814300, 330000 5814000))",
        "EVALSCRIPT": "cmV0dXJuIFtCMDQgKyAoMSAqIDIpXTs=", "UPSAMPLING": "BICUBIC",
    },
)  # fmt: skip


def _fis(folder: Path) -> tuple[Sequence[bytes], Read]:
    form = "application/x-www-form-urlencoded"

    def read(content: bytes) -> object:
        with contextlib.suppress(EOTasksError):
            call_of(fis_request(_parameters(content, form)).statistics, max_side=2500)
        asked = fis_request(_parameters(content, "application/json"))
        return call_of(asked.statistics, max_side=2500)

    return [json.dumps(each).encode() for each in _FIS], read


def _wkt(folder: Path) -> tuple[Sequence[bytes], Read]:
    """Geometries of FIS: text that GEOS reads."""
    samples = (
        b"POLYGON ((330000 5814000, 330400 5814000, 330400 5814300, 330000 5814000))",
        b"MULTIPOLYGON (((330000 5814000, 330400 5814000, 330400 5814300, 330000 5814000)), ((1 1, 2 2, 3 1, 1 1)))",
    )

    def read(content: bytes) -> object:
        given = {**_FIS[1], "GEOMETRY": content.decode("utf-8", "surrogateescape")}
        return call_of(fis_request(given).statistics, max_side=2500)

    return samples, read


def _clients(folder: Path) -> tuple[Sequence[bytes], Read]:
    file = folder / "clients.json"
    clients.COST = 4  # not what is looked at here, and a tenth of a second each time
    client_id, secret = add_client(file, "somebody")
    sample = file.read_bytes()

    def read(content: bytes) -> object:
        file.write_bytes(content)
        found = read_clients(file)
        client = Clients(file).get(client_id)
        with contextlib.suppress(EOTasksError):
            add_client(file, "another", ())
        return None if client is None else (client.is_secret(secret), found)

    return [sample], read


def _keys(folder: Path) -> tuple[Sequence[bytes], Read]:
    file = folder / "key"
    signing_key(file)

    def read(content: bytes) -> object:
        file.write_bytes(content)
        return TokenSigner(signing_key(file), 60).make("a")

    return [file.read_bytes()], read


def _tokens(folder: Path) -> tuple[Sequence[bytes], Read]:
    """Headers that say who asks, and forms that ask for a token."""
    signer = TokenSigner("k" * 64, 3600)

    def read(content: bytes) -> object:
        text = content.decode("latin-1")
        _credentials(_form(content) or {}, text)
        _credentials({}, f"Basic {text}")
        return signer.read(bearer_token([f"Bearer {text}"]))

    return [signer.make("somebody").encode(), b"grant_type=client_credentials&client_id=a&client_secret=b"], read


def _scripts(folder: Path) -> tuple[Sequence[bytes], Read]:
    """Text of evalscripts, as far as it is read here and not in the engine."""

    def read(content: bytes) -> object:
        text = content.decode("utf-8", "replace")
        check_script(text, 1_000_000)
        return scanned(text), expressions(text)

    return _SCRIPTS, read


def _engine(folder: Path) -> tuple[Sequence[bytes], Read]:
    """What a worker that was taken over may tell of a script."""
    told = {
        "say": "described", "kept": [[0, 1]],
        "setup": {
            "inputs": [{"bands": [["B04", None], ["CLM", "DN"]], "datasource": None, "mosaicking": "SIMPLE",
                        "metadata": ["bounds"]}],
            "outputs": [{"id": "default", "bands": ["R"], "type": "UINT8", "nodata": "nan"}],
            "hooks": ["updateOutput"],
        },
    }  # fmt: skip

    def read(content: bytes) -> object:
        return read_description(json_object(content), [2])

    return [json.dumps(told).encode()], read


_PREPARE: dict[str, tuple[Any, Callable[[Path], tuple[Sequence[bytes], Read]], tuple[bytes, ...]]] = {
    "process-request": ("json", _process, _JSON_TOKENS),
    "process-form": ("bytes", _forms, (b"--x", b"--x--", b"\r\n\r\n", b'name="request"', b'name=""', *_FORM_TOKENS)),
    "statistics-request": ("json", _statistics, _JSON_TOKENS),
    "catalog-search": ("json", _searches, _JSON_TOKENS),
    "catalog-address": ("bytes", _addresses, _FORM_TOKENS),
    "fis-request": ("json", _fis, _JSON_TOKENS),
    "fis-geometry": (
        "bytes", _wkt,
        (b"(", b")", b"EMPTY", b"POLYGON", b"GEOMETRYCOLLECTION(" * 20_000, b"(" * 90_000, b"nan", b"1e400"),
    ),
    "clients": ("json", _clients, _JSON_TOKENS),
    "signing-key": ("bytes", _keys, (b"\0", b"\xff", b"\n")),
    "token": ("bytes", _tokens, (b".", b"=", b"eyJhbGciOiJub25lIn0.", b"Basic ", *_FORM_TOKENS)),
    "evalscript": ("bytes", _scripts, _SCRIPT_TOKENS),
    "engine-answer": ("json", _engine, _JSON_TOKENS),
}  # fmt: skip

FORMATS = tuple(Format(name, grammar, prepare, tokens) for name, (grammar, prepare, tokens) in _PREPARE.items())
