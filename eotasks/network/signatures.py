"""Signatures in addresses: whether one is there, and until when it holds. None is repeated anywhere.

Known are those of Azure (``se``), AWS (``X-Amz-Date`` and ``X-Amz-Expires``), Google (``X-Goog-…``), and of CloudFront
and older S3 (``Expires``).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

_SIGNATURES = frozenset({"sig", "signature", "x-amz-signature", "x-goog-signature", "policy", "token", "sas"})


def is_signed(url: str) -> bool:
    """Whether an address carries a signature or a token."""
    return not _SIGNATURES.isdisjoint(_fields(url))


def expiry_of(url: str) -> datetime | None:
    """When the signature of an address ends (UTC); None where it has none, or does not say."""
    fields = _fields(url)
    try:
        if "se" in fields:
            end = datetime.fromisoformat(fields["se"])
            return end.replace(tzinfo=UTC) if end.tzinfo is None else end.astimezone(UTC)
        for kind in ("amz", "goog"):
            if f"x-{kind}-expires" in fields:
                begun = datetime.strptime(fields[f"x-{kind}-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
                return begun + timedelta(seconds=int(fields[f"x-{kind}-expires"][:9]))
        if "expires" in fields and is_signed(url):
            return datetime.fromtimestamp(int(fields["expires"][:12]), UTC)
    except (ValueError, KeyError, OverflowError, OSError):
        return None
    return None


def _fields(url: str) -> dict[str, str]:
    try:
        return {name.lower(): value for name, value in parse_qsl(urlsplit(url).query, max_num_fields=100)}
    except ValueError:
        return {}
