"""Texts, errors and catalogues without secrets: what is hidden of an address, and what stays."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

import pytest
import rasterio
import requests

from eotasks.catalogue.fields import PRODUCT_ASSET
from eotasks.catalogue.store import Catalogue
from eotasks.errors import ImageryError, StorageError, stack_of
from eotasks.text import HIDDEN, has_secret, json_text, kept, redact, redacted, register_secret
from tests.builders.command_line import command
from tests.builders.stac_items import make_item
from tests.hostile import CANARY

ADDRESSES = {
    "password": f"https://user:{CANARY}@host/a/b.zip",
    "user": f"https://{CANARY}@host/a.zip",
    "password with @": f"https://user:p@{CANARY}@host/a.zip",
    "password with slash": f"https://user:p/{CANARY}@host/a.zip",
    "password with question mark": f"https://user:p?{CANARY}@host/a.zip",
    "password with hash": f"https://user:p#{CANARY}@host/a.zip",
    "quoted password": f"https://user:{quote(CANARY + '/@:')}@host/a.zip",
    "port": f"http://user:{CANARY}@host:8080/a.zip",
    "IPv6": f"http://user:{CANARY}@[::1]:8080/a.zip",
    "capitals": f"HTTPS://User:{CANARY}@HOST/a.zip",
    "one slash": f"https:/user:{CANARY}@host/a.zip",
    "backslashes": f"https:\\\\user:{CANARY}@host/a.zip",
    "no scheme": f"//user:{CANARY}@host/a.zip",
    "no scheme at all": f"user:{CANARY}@host:6379",
    "AWS signature": f"https://host/a.zip?X-Amz-Signature={CANARY}&X-Amz-Expires=60",
    "AWS signature 2": f"https://host/a.zip?AWSAccessKeyId=A&Signature={CANARY}&Expires=1",
    "SAS": f"https://host/a.zip?sv=2021&sig={CANARY}%3D",
    "Google": f"https://storage.googleapis.com/b/o?X-Goog-Signature={CANARY}",
    "CloudFront": f"https://host/a.zip?Policy=x&Signature={CANARY}&Key-Pair-Id=K",
    "token": f"https://host/a.zip?token={CANARY}",
    "unknown name": f"https://host/a.zip?zz={CANARY}",
    "no name": f"https://host/a.zip?{CANARY}",
    "fragment": f"https://host/a.zip#access_token={CANARY}",
    "query and fragment": f"https://host/a.zip?a=1#{CANARY}",
    "s3": f"s3://KEY:{CANARY}@bucket/a.zip",
    "s3 signed": f"s3://bucket/a.zip?X-Amz-Signature={CANARY}",
    "ftp": f"ftp://user:{CANARY}@host/a.zip",
    "database": f"postgresql://user:{CANARY}@host/db",
    "GDAL": f"/vsicurl/https://user:{CANARY}@host/a.tif",
    "GDAL with options": f"/vsicurl?url=https%3A%2F%2Fuser%3A{CANARY}%40host%2Fa&header.Authorization=Bearer+{CANARY}",
    "GDAL in a zip": f"/vsizip//vsicurl/https://user:{CANARY}@host/a.zip?sig={CANARY}/inside.tif",
    "GDAL in braces": f"/vsizip/{{/vsicurl/https://host/a.zip?sig={CANARY}}}/inside.tif",
    "through a proxy": f"https://proxy/https://user:{CANARY}@host/a.zip?x={CANARY}",
    "through a proxy, quoted": f"https://proxy/{quote(f'https://user:{CANARY}@host/a?sig={CANARY}', safe='')}",
}

TEXTS = {
    **{f"address in a text, {name}": f"cannot open ({address}): not there." for name, address in ADDRESSES.items()},
    **{f"repr, {name}": f"open({address!r}) failed" for name, address in ADDRESSES.items()},
    "requests": f"HTTPSConnectionPool(host='h', port=443): Max retries exceeded with url: /a?zz={CANARY} (Caused by X)",
    "urllib3's retry": f"Retrying (Retry(total=1)) after connection broken by 'X(\"a: b\")': /a.zip?zz={CANARY}",
    "urllib3's log": f'https://h:443 "GET /a/b?zz={CANARY} HTTP/1.1" 200 5',
    "Bearer": f"Authorization: Bearer {CANARY}",
    "Basic": f"{{'Authorization': 'Basic {CANARY}=='}}",
    "AWS header": f"authorization=AWS4-HMAC-SHA256 Credential=AK/2020, SignedHeaders=host, Signature={CANARY}",
    "session's token": f"{{'x-amz-security-token': b'{CANARY}'}}",
    "cookie": f"Set-Cookie: id={CANARY}; Path=/",
    "JSON": f'{{"access_token": "{CANARY}", "expires_in": 3600}}',
    "form": f"grant_type=client_credentials&client_id=a&client_secret={CANARY}",
    "configuration": f"aws_secret_access_key = {CANARY}",
    "connection string": f"AccountName=a;AccountKey={CANARY}==;EndpointSuffix=core.windows.net",
    "key": f"x-api-key: {CANARY}",
    "JWT": f"sent eyJhbGciOiJIUzI1NiJ9.{CANARY}.{CANARY}",
    "private key": f"-----BEGIN RSA PRIVATE KEY-----\n{CANARY}\n-----END RSA PRIVATE KEY-----",
    "quotes in a password": f"'https://user:p'\"{CANARY}@host/a' is bad",
}

HONEST = (
    "https://earth-search.aws.element84.com/v1",
    "s3://bucket/prefix/what?.tif",
    "s3://bucket/a@2x#1.tif",
    "/data/a:b/c@d?e=f#g.tif",
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, as the AWS command line takes them.",
    "it asks for a token: set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH",
    "Give s3://bucket/prefix or https://…. Then: go on (http://127.0.0.1:8080/a, http://[::1]:80/b).",
    "patch r01:c02 of 12:30, key=lambda: 1, 50 % done, a@b, time 2024-05-01T10:00:00Z",
    "The S3 session of profile 'default': check credentials; the secret of user x is not set.",
)


@pytest.mark.parametrize("address", ADDRESSES.values(), ids=ADDRESSES)
def test_an_address_has_no_secret(address: str) -> None:
    shown = redacted(address)
    assert CANARY not in shown
    assert any(place in shown.lower() for place in ("host", "bucket", "/vsi", "google", "::1"))
    assert redacted(shown) == shown


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_text_has_no_secret(text: str) -> None:
    shown = redact(text)
    assert CANARY not in shown
    assert redact(shown) == shown


@pytest.mark.parametrize("text", HONEST, ids=range(len(HONEST)))
def test_honest_text_is_as_it_was(text: str) -> None:
    assert redact(text) == text
    assert not has_secret(text)


def test_what_stands_around_an_address_stays() -> None:
    assert redact("(https://h/a?b=c): not found, see https://u:p@h/q?x=1. Fetch it again.") == (
        "(https://h/a): not found, see https://h/q. Fetch it again."
    )


@pytest.mark.parametrize("name", ["AWS_SECRET_ACCESS_KEY", "SH_CLIENT_SECRET", "MY_API_KEY", "DB_PASSWORD", "X_TOKEN"])
def test_secrets_of_the_environment_stand_nowhere(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for secret in (f"{CANARY}/+=\"'ü", f"other{CANARY}"):  # it changes, and is known at once
        monkeypatch.setenv(name, secret)
        for form in (secret, quote(secret, safe=""), json.dumps(secret)):
            assert CANARY not in redact(f"the server says {form} is wrong")
    assert redact("the file /home/me/.aws/credentials") == "the file /home/me/.aws/credentials"


def test_a_file_that_holds_secrets_is_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/home/me/credentials")
    assert redact("/home/me/credentials is not there") == "/home/me/credentials is not there"


def test_what_is_registered_stands_nowhere() -> None:
    register_secret(f"registered {CANARY}", None, "")
    assert redact(f"it says registered {CANARY}.") == f"it says {HIDDEN}."


def test_a_text_that_takes_long_is_cut() -> None:
    for piece in ("a:", "://", "%3a%2f%2f", "token=", "GET /a?", "x@y:"):
        assert len(redact(f"{piece} " * 200_000)) < 120_000


# Errors


def test_errors_of_ours_have_no_secret_however_they_are_told() -> None:
    for address in ADDRESSES.values():
        error = StorageError(f"{address}: not there.")
        assert CANARY not in f"{error} {error!r} {stack_of(error)}"


def test_errors_that_led_to_it_have_none() -> None:
    """requests, urllib3, botocore and GDAL put addresses into their messages."""
    address = f"http://user:{CANARY}@127.0.0.1:1/a?zz={CANARY}"
    with pytest.raises(requests.RequestException) as web:
        requests.get(address, timeout=1)
    assert CANARY in str(web.value)
    with pytest.raises(rasterio.errors.RasterioIOError) as gdal:
        rasterio.open(f"/vsicurl/{address}")
    for caught in (web, gdal):
        error = ImageryError("x")
        error.__cause__ = caught.value
        assert CANARY not in stack_of(error)
        assert "127.0.0.1" in stack_of(error)


# What is kept

SIGNED = {name: address for name, address in ADDRESSES.items() if "://" in address or address.startswith("//")}


@pytest.mark.parametrize("address", SIGNED.values(), ids=SIGNED)
def test_a_catalogue_keeps_no_secret(address: str, tmp_path: Path) -> None:
    file = tmp_path / "c.parquet"
    for change in ("asset", "link"):
        item = make_item("S2A")
        if change == "asset":
            item.assets[PRODUCT_ASSET].href = address
        else:
            item.set_self_href(address)
        with pytest.raises(ImageryError, match="which a catalogue does not keep: give one without") as refused:
            Catalogue(file).add([item])
        assert CANARY not in str(refused.value)
    assert not file.exists()


@pytest.mark.parametrize(
    "address",
    [
        "https://host/a.zip",
        "https://host/a%20b.zip?version=2",
        "https://host/download?file=S2A_MSIL1C.zip&format=zip",
        "https://catalogue.dataspace.copernicus.eu/odata/v1/Products(2b17b57d-fff4-4645-b539-91f305c27c69)/$value",
        "s3://bucket/a?b#c@d.zip",
        "/archive/a?b#c@d%20.SAFE",
    ],
)
def test_honest_addresses_are_kept(address: str, tmp_path: Path) -> None:
    item = make_item("S2A")
    item.assets[PRODUCT_ASSET].href = address
    Catalogue(tmp_path / "c.parquet").add([item])
    printed = command("catalogue", "search", "--catalogue", tmp_path / "c.parquet", "--json")
    assert json.loads(printed.out)["features"][0]["assets"][PRODUCT_ASSET]["href"] == address
    assert kept(address) == address


def test_json_of_others_is_printed_without_secrets() -> None:
    content = {"features": [{"assets": {name: {"href": address}}} for name, address in ADDRESSES.items()]}
    storage = {"account_key": CANARY, "token": CANARY, "expires": 12, "href": "https://h/a?version=2"}
    text = json_text([content, storage])
    assert CANARY not in text
    assert json.loads(text)[1] == {
        "account_key": HIDDEN, "token": HIDDEN, "expires": 12, "href": "https://h/a?version=2"
    }  # fmt: skip
