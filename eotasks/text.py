"""What of a text may be kept or printed: no password or signature of an address, nothing that a terminal obeys."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit


def redacted(location: str) -> str:
    """A location for messages: no user, password or signature in it."""
    if not location.startswith(("http://", "https://")):
        return location
    parts = urlsplit(location)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def whole_number(text: str) -> int | None:
    """A text of ASCII digits as a number; None for any other, and for more digits than any count has.

    `str.isdigit` is true of "²", which is no number to `int`, and `int` takes time for thousands of digits.
    """
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def reason_of(error: BaseException, *, longest: int = 300) -> str:
    """What an error of another package says, for a message of ours: one line, not longer than that is read."""
    text = " ".join(str(error)[: 4 * longest].split()).rstrip(".") or type(error).__name__
    return text if len(text) <= longest else f"{text[:longest]}…"


def shown(value: object, *, longest: int = 40) -> str:
    """A value of a document, for a message: its beginning. Not even `str` takes whole numbers of any length."""
    try:
        return repr(value)[:longest]
    except (ValueError, RecursionError):
        return f"a {type(value).__name__}"
