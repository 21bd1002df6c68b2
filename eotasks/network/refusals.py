"""What a web server's refusal means, and what to do: every status has a cure of its own.

The server's own words are searched for the reasons that storage services name, and never repeated: they may hold what
was sent, signatures among it. Codes are those of Azure Blob Storage, Amazon S3 and CloudFront.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from http.client import responses
from urllib.parse import urlsplit

from eotasks.network.signatures import expiry_of, is_signed

WORDS = 1 << 16
"""Bytes of a refusal that are looked at."""

REQUESTER_PAYS = frozenset(
    {"sentinel-s2-l1c", "sentinel-s2-l2a", "sentinel-s2-l1c-zips", "sentinel-s2-l2a-zips", "sentinel-s2-l2a-mosaic-120",
     "sentinel-s1-l1c", "usgs-landsat", "usgs-landsat-level-3", "naip-analytic", "naip-source", "naip-visualization"}
)  # fmt: skip
"""Buckets of AWS of which it is known."""

SIGN_CURE = (
    "sign addresses anew before they are read, which --sign planetary-computer does, in Python"
    ' modifier="planetary-computer" or a function of your own; or search for the item again'
)

_EXPIRED = re.compile(
    r"expiredtoken|tokenexpired|requestexpired|has expired|token expired|signature expired"
    r"|signature not valid in the specified time frame"
)
_UNSIGNED = re.compile(r"publicaccessnotpermitted|noauthenticationinformation|missingkey|missing signature")
_WRONG_CLOCK = re.compile(r"requesttimetooskewed")
_BLOCKED = re.compile(r"quotaexceeded|quota exceeded|over rate limit|bandwidthlimit")


def sentence(status: int) -> str:
    """What a server answers, for the middle of a message; its own words may repeat what it was sent."""
    return f"the server answers {status} {responses.get(status, '')}".rstrip()


def cure_of(status: int, url: str, words: bytes = b"") -> str:
    """What to do about a refusal; a whole sentence or several.

    :param url: The address that was asked.
    :param words: The beginning of the body.
    """
    said = words[:WORDS].decode("latin-1").lower()
    if 500 <= status < 600:
        return "The server fails, which nothing here mends. Run the command again later."
    if status == 429 or _BLOCKED.search(said):
        return "It takes no more requests for now. Run the command again later, with fewer workers or threads."
    if status == 407:
        return "A proxy wants a user and a password: check HTTPS_PROXY and HTTP_PROXY."
    if status == 408:
        return "The network is slow. Run the command again."
    if status in (400, 401, 403, 404, 409, 410):
        return _access(status, url, said)
    if status == 416:
        return "The file is shorter than it was. Fetch the product again."
    if status in (402, 451):
        return "Ask who runs the server for access, or take the product from elsewhere."
    return "Check the address, or download the product first."


def _access(status: int, url: str, said: str) -> str:
    end = expiry_of(url)
    over = end is not None and end < datetime.now(UTC)
    if over or _EXPIRED.search(said):
        when = f" at {end:%Y-%m-%d %H:%M} UTC" if over else ""
        return f"The signature of the address expired{when}: {SIGN_CURE}."
    if _WRONG_CLOCK.search(said):
        return "The clocks of this machine and of the server differ by too much: set this one's."
    signed = is_signed(url)
    if not signed and (_UNSIGNED.search(said) or _is_azure(url)):
        return f"It wants a signed address: {SIGN_CURE}."
    if status in (404, 410):
        return "The file is not there (any more). Check the address, or search for the product again."
    if status == 409:
        return "The file is being changed or is locked. Run the command again later, or ask who runs the server."
    if signed:
        return f"It refuses the signature of the address, or its owner may not read the file: {SIGN_CURE}."
    if status == 400:
        return "It does not take the address for one. Check it."
    if status == 401:
        return (
            "It wants a login, which an address does not carry: give signed addresses (modifier=...), or download the"
            " product first."
        )
    bucket = _bucket(url)
    if bucket in REQUESTER_PAYS:
        return (
            f"The bucket {bucket} is requester pays: give s3://{bucket}/… with credentials of AWS and"
            " AWS_REQUEST_PAYER=requester."
        )
    if bucket is not None:
        return (
            f"The bucket {bucket} is not public: give s3://{bucket}/… with credentials that may read it, and where it"
            " is requester pays AWS_REQUEST_PAYER=requester."
        )
    return "It is not public: give a signed address (modifier=...), or download the product first."


def _is_azure(url: str) -> bool:
    """Azure calls a file that is not public one that is not there."""
    return (urlsplit(url).hostname or "").endswith(".blob.core.windows.net")


def _bucket(url: str) -> str | None:
    """The bucket of an address of Amazon S3."""
    parts = urlsplit(url)
    match = re.fullmatch(
        r"(?:(?P<bucket>[a-z0-9.-]+?)\.)?s3(?:[.-][a-z0-9.-]*)?\.amazonaws\.com(?:\.cn)?",
        (parts.hostname or "").lower(),
    )
    if match is None:
        return None
    return match["bucket"] or parts.path.lstrip("/").partition("/")[0] or None
