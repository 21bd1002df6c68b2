"""What of a text may be kept, printed, or become the name of a folder.

No user, password or signature of an address and no secret of this process stands in anything that is kept or printed
(`redact`), and nothing that a terminal obeys or an eye does not see (`printable`). Errors and warnings of the project
pass both when they are turned into text, whoever prints them; the screen, logs, stacks and pages have their exit in
`eotasks.errors`, `eotasks.workflows.console` and `eotasks.workflows.report.page`.
"""

from __future__ import annotations

import difflib
import itertools
import json
import os
import re
import time
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote

HIDDEN = "***"
"""Stands for a secret."""

NAME_BYTES = 255
"""Of one name in a folder, as file systems and S3 consoles have it."""

_ENDS = "\\s\"'<>`|\\\\"
"""What an address in a text does not hold."""
_PUNCTUATION = ").,:;!]}…"

# Patterns are compiled when they are first used: most runs print no address.
_USER = r"(?i)(://|(?<![\w/:])//|\bhttps?:[/\\]+)[^\s/?#\\]{0,2000}@"
_TORN_USER = rf"(?i)(://)[^/{_ENDS}?#\[\]]{{0,300}}:(?!\d*(?:[/?#{_ENDS}]|$))[^\s\"<>]{{0,2000}}@"
"""A password with a slash, a question mark or a hash in it: after the colon comes no port."""
_BARE_USER = r"(?<![\w./@-])[\w.+-]{1,300}:[^\s/@\"']{1,2000}@(?=[\w\[])"
"""``user:password@host`` without a scheme."""
_ADDRESS = rf"(?i)([a-z0-9+.-]{{0,20}})(://|\bhttps?:[/\\]+|/vsi\w{{1,40}}(?=\?))([^{_ENDS}]{{1,100000}})"
_QUOTED_USER = rf"(?i)(%3a%2f%2f)[^/{_ENDS}&]{{0,2000}}?%40"
_QUOTED_QUERY = rf"(?i)(%3a%2f%2f[^{_ENDS}&]{{0,2000}}?)%3f[^{_ENDS}]*"
_REQUEST = rf"((?:: |\b(?:GET|HEAD|PUT|POST|DELETE|PATCH) )/[^{_ENDS}?]{{0,2000}})\?[^{_ENDS}]*"
"""A path with its query, as urllib3 logs requests and names them in errors."""

_NAME_OF_ONE = (
    r"(?:[\w.-]{0,60}[-_.])?(?:(?:client|app|shared)?[-_]?secret(?:[-_]?(?:access[-_]?)?key)?|signature|sig|\w{0,20}token"
    r"|passw(?:or)?d|passphrase|pwd|(?:api|access|account|subscription|private|shared)[-_]?key(?:[-_]?id)?|credentials?"
    r"|authorization|jwt|(?:j?session|sess)[-_]?id|cookie)"
)
_QUOTED_ASSIGNED = rf"(?i)((?:%3f|%26){_NAME_OF_ONE}%3d)[^{_ENDS}&]*"
"""A query that is part of a name, as a server repeats the name of an object."""
_VALUE = rf"(?:(?:Bearer|Basic|Digest|Token|Negotiate)\s+)?[^{_ENDS},;&()\[\]{{}}]+"
_ASSIGNED = (
    rf"(?i)(?<![\w-])({_NAME_OF_ONE}[\"']?\s{{0,3}}=\s{{0,3}})(\"[^\"]*\"|'[^']*'|{_VALUE})"
    rf"|(?<![\w-])([\"']{_NAME_OF_ONE}[\"']\s{{0,3}}:\s{{0,3}}b?)(\"[^\"]*\"|'[^']*'|{_VALUE})"
    rf"|(?<![\w-])((?:proxy-)?authorization\s{{0,3}}:\s{{0,3}}|(?:set-)?cookie\s{{0,3}}:\s{{0,3}})([^\"'\r\n]+)"
    rf"|(?<![\w-])({_NAME_OF_ONE}\s{{0,3}}:\s{{0,3}})(?=\S{{0,2000}}\d)([^{_ENDS},;&]{{8,}})"
)
_SHAPED = (
    r"(?s)\beyJ[\w-]{8,}\.[\w-]{4,}\.[\w-]*"  # a JSON web token
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b"  # an access key of AWS
    r"|(?<=Bearer )(?=\S*\d)[\w.~+/=-]{8,}|(?<=Basic )(?=\S*[\d=])[\w+/=-]{8,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)"
)
_SUSPECT = re.compile(r"[=@%?]|:(?!\d\d(?!\d))|eyJ|AKIA|ASIA|Bearer |Basic |-----BEGIN|/vsi")
_SUSPECT_WORDS = (
    "@", "?", "#", "%", "eyj", "akia", "asia", "bearer ", "basic ", "-----begin", "secret", "token", "passw",
    "passphrase", "pwd", "authori", "cookie", "credential", "signature", '"sig"', "sig=", "_key", "-key", "jwt",
    "session",
)  # fmt: skip
"""One of them is in every JSON that holds a secret."""

_NAMES_OF_SECRETS = r"(?i)secret|token|passw|passphrase|_pwd$|api_?key|access_?key|account_?key|credential|_sas"
"""Variables of the environment, and such that say where something is or how it is done."""
_NAMES_OF_PLACES = r"(?i)_(id|file|path|dir|url|uri|endpoint|profile|mode|type|provider)$"
_LEAST_SECRET = 8
"""Characters: shorter values are words and numbers that stand everywhere, and no service gives such."""

_FIELDS_OF_SECRETS = (
    r"(?i)sig|token|key|secret|pass|pwd|auth|cred|sess|code|jwt|ticket|policy|user|login|account|hash|hmac|nonce"
    r"|^s[ekprvt]$"
)
"""Of the query of an address."""
_FIELDS_OF_FILES = frozenset(
    ("version", "versionid", "file", "filename", "path", "name", "product", "collection", "item", "scene", "tile",
     "format", "f", "type", "download")
)  # fmt: skip
_PLAIN_VALUE = r"[A-Za-z]{0,8}|[\d.:-]{1,25}"

_UNSEEN = (
    "\x00-\x1f\x7f-\x9f"  # control characters: ESC and its kin of eight bits among them
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb"
    "\u2028-\u202e"  # line separators, and marks that turn the direction of writing
    "\ud800-\udfff"  # halves of a character: bytes of a file's name that are no UTF-8
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_NOT_SEEN = f"[{_UNSEEN}]"
_NOT_SEEN_IN_LINES = f"(?![\n\t])[{_UNSEEN}]"

_RESERVED = r"(?i)(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(\.|$)"

_LONGEST = 100_000
"""Characters of a text that is printed; what follows is left out, since searching it takes long."""

_LONGEST_WORD = 100
_NEAR = 0.75
"""Likeness of two words, 0..1, as difflib has it: `elevation` is no slip of the pen for `dilation` (0.71)."""
_SHORT_WORD = 4

_registered: set[str] = set()


def redacted(location: str) -> str:
    """An address, or a path of GDAL with one, without user, password, query and fragment; a path on disk as it is."""
    text = str(location)
    if "\n" in text or " " in text or not _SUSPECT.search(text):
        return redact(text)
    return redact(re.sub(_QUOTED_QUERY, r"\1", text))


def redact(text: str) -> str:
    """A text in which no address has user, password, query or fragment, and no secret stands.

    Secrets are what `register_secret` was told, what variables of the environment named as secrets hold, and what
    stands behind a name such as ``Authorization:``, ``X-Amz-Signature=`` or ``"access_token":``.
    """
    return _redacted(text, _secrets())


def _redacted(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        if secret in text:
            text = text.replace(secret, HIDDEN)
    if not _SUSPECT.search(text):
        return text
    if len(text) > _LONGEST:
        kept = text[:_LONGEST].rpartition(" ")[0]  # no half of an address
        text = f"{kept}… ({len(text) - len(kept):,} characters more)"
    text = re.sub(_USER, r"\1", text)
    if "://" in text:
        text = re.sub(_TORN_USER, r"\1", text)
    text = re.sub(_BARE_USER, "", text)
    if "%" in text:
        text = re.sub(_QUOTED_QUERY, r"\1", re.sub(_QUOTED_USER, r"\1", text))
        text = re.sub(_QUOTED_ASSIGNED, rf"\1{HIDDEN}", text)
    text = re.sub(_ADDRESS, _without_query, text)
    text = re.sub(_REQUEST, r"\1", text)
    text = re.sub(_SHAPED, HIDDEN, text)
    return re.sub(_ASSIGNED, _without_value, text)


def printable(text: str, *, lines: bool = False) -> str:
    r"""A text that a terminal shows and does not obey, and in which everything is seen.

    Control characters, marks of direction, characters without a width, line separators and halves of characters are
    written as Python writes them in a literal, such as ``\x1b`` and ``\u202e``.

    :param lines: Line feeds and tabs stay: for stacks and logs. Otherwise they are written out, too, so that nothing
        can pretend to be another line.
    """
    if text.isascii() and text.isprintable():
        return text
    if lines:
        return re.sub(_NOT_SEEN_IN_LINES, _escaped, text.replace("\r\n", "\n"))
    return re.sub(_NOT_SEEN, _escaped, text)


def harmless(text: str, *, lines: bool = False) -> str:
    """A text that may be printed: `redact`, then `printable`."""
    if len(text) < _LEAST_SECRET and text.isascii() and text.isprintable():
        return text
    return printable(redact(text), lines=lines)


def shortened(text: str, most: int) -> str:
    """A text of at most about so many characters: the beginning and the end of a longer one."""
    if len(text) <= most:
        return text
    return f"{text[: most // 2]} … ({len(text) - most:,} characters left out) … {text[len(text) - most // 2 :]}"


def excerpt(value: object, *, longest: int = 40) -> str:
    """A value of a document, for a message: its beginning. Not even `str` takes whole numbers of any length."""
    try:
        return repr(value)[:longest]
    except (ValueError, RecursionError):
        return f"a {type(value).__name__}"


def nearest_word(word: object, known: Iterable[object]) -> str | None:
    """The one of the known words that somebody may have meant by another; None when none is near.

    Letters in other cases, hyphens, underscores, blanks and zeros that are missing (B4 for B04) are near, as is a part
    of one word only.
    """
    if not isinstance(word, str) or not 0 < len(word) <= _LONGEST_WORD:
        return None
    plain: dict[str, str] = {}
    for each in map(str, known):
        plain.setdefault(_plain_word(each), each)
    asked = _plain_word(word)
    if asked in plain:
        return plain[asked]
    parts = [each for each in plain if len(asked) >= _SHORT_WORD and asked in each]
    if len(parts) == 1:
        return plain[parts[0]]
    near = {each: _likeness(asked, each) for each in plain}
    best = max(near, key=lambda each: near[each], default=None)
    return plain[best] if best is not None and near[best] >= _NEAR else None


def _likeness(first: str, second: str) -> float:
    """0 to 1 as difflib has it, more where letters are the same in another order."""
    if max(len(first), len(second)) <= _SHORT_WORD and (
        len(first) != len(second) or re.findall(r"\d+", first) != re.findall(r"\d+", second)
    ):
        return 0.0  # B8A and B13 are no slips of the pen for B08 and B11
    return difflib.SequenceMatcher(None, first, second).ratio() + 0.1 * (sorted(first) == sorted(second))


def did_you_mean(word: object, known: Iterable[object]) -> str:
    """What a message says after an unknown word, such as " (did you mean 'B04'?)"; empty when nothing is near."""
    meant = nearest_word(word, known)
    return "" if meant is None or meant == word else f" (did you mean {meant!r}?)"


def unknown_words(words: Iterable[object], known: Collection[object]) -> str:
    """Words that are not known, for a message: each with the one that may have been meant."""
    return ", ".join(f"{word}{did_you_mean(word, known)}" for word in words)


def _plain_word(word: str) -> str:
    return re.sub(r"[-_\s]|(?<=[a-z])0+(?=\d)", "", word.lower())


def whole_number(text: str) -> int | None:
    """A text of ASCII digits as a number; None for any other, and for more digits than any count has.

    `str.isdigit` is true of "²", which is no number to `int`, and `int` takes time for thousands of digits.
    """
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def json_text(content: Any) -> str:
    """Content as JSON that may be printed: in ASCII, every text redacted; addresses without a secret stay whole."""
    text, secrets = json.dumps(content, indent=1), _secrets()
    lowered = text.lower()
    if any(word in lowered for word in _SUSPECT_WORDS) or any(secret in text for secret in secrets):
        text = json.dumps(_redacted_content(content, secrets), indent=1)
    return text.replace("\x7f", "\\u007f")


def kept(text: str) -> str:
    """A text as files may keep it: redacted, but that an address without a secret keeps its query."""
    return text if _is_plain_address(text) else redact(text)


def _redacted_content(content: Any, secrets: Sequence[str]) -> Any:
    if isinstance(content, str):
        return content if _is_plain_address(content) else _redacted(content, secrets)
    if isinstance(content, Mapping):
        return {
            name: HIDDEN
            if isinstance(value, str) and re.fullmatch(f"(?i){_NAME_OF_ONE}", str(name))
            else _redacted_content(value, secrets)
            for name, value in content.items()
        }
    if isinstance(content, list | tuple):
        return [_redacted_content(value, secrets) for value in content]
    return content


def has_secret(address: str) -> bool:
    """Whether an address has a user, a password or a signature in it, or a query that may hold one.

    Of queries only those of names for files, versions and formats, and plain words and numbers, are taken for none.
    Names of files and objects may hold what they like.
    """
    if not re.search("[@?#%]", address) or not ("://" in address or address.startswith(("/vsi", "//"))):
        return False
    before, mark, query = address.partition("?")
    if address.lower().startswith(("s3://", "file://")):
        return redact(address) != address
    if redact(before) != before or "#" in before.partition("://")[2]:
        return True
    if not mark:
        return False
    fields = parse_qsl(query, keep_blank_values=True)
    return bool(re.search("[#@]", query)) or not fields or not all(itertools.starmap(_is_plain_field, fields))


def register_secret(*values: str | None) -> None:
    """Tells of values that may never be printed or kept, such as credentials of a profile and tokens of a service."""
    _registered.update(form for value in values if value and value not in _registered for form in _forms(value))


def refuse_name(name: str, *, longest: int | None = None) -> str | None:
    """Why a name cannot be that of a folder or file that a run makes; None when it can.

    Spaces, letters of any script and a leading hyphen (as of coordinates) are fine.

    :param longest: Bytes that it may have; None leaves that to the place.
    :return: What is wrong and how to mend it, for the end of a message.
    """
    if not name.strip():
        return "it is empty: give it one"
    unseen = refuse_unseen(name)
    if unseen is not None:
        return unseen
    if "/" in name or "\\" in name:
        return "it holds a separator of folders: rename it"
    if name.startswith("."):
        return "it begins with a dot, which hides it: rename it"
    if name != name.strip() or name.endswith("."):
        return "it begins or ends with a blank, or ends with a dot: rename it"
    if re.match(_RESERVED, name):
        return "Windows keeps it for a device: rename it"
    if longest is not None and len(name.encode()) > longest:
        return f"it has {len(name.encode())} bytes, {longest} are possible: shorten it"
    return None


def refuse_unseen(name: str) -> str | None:
    """Why a name cannot be a part of any path: a character that a terminal obeys or nobody sees; None when it can."""
    unseen = None if name.isascii() and name.isprintable() else re.search(_NOT_SEEN, name)
    return None if unseen is None else f"it holds {_named(unseen[0])}: rename it"


def is_text(name: str) -> bool:
    """Whether a name is all characters: bytes of a file's name that are no UTF-8 come as halves of some."""
    return name.isascii() or not re.search("[\ud800-\udfff]", name)


def _secrets() -> Sequence[str]:
    """Longest first: one secret may be part of another. Looked up again when a variable that held one has changed."""
    global _known  # what was found last: a look at the whole environment at every line takes too long
    state = (len(os.environ), len(_registered), int(time.monotonic()), tuple(map(os.environ.get, _known.variables)))
    if state != _known.state:
        variables = tuple(
            name
            for name, value in os.environ.items()
            if len(value) >= _LEAST_SECRET
            and re.search(_NAMES_OF_SECRETS, name)
            and not re.search(_NAMES_OF_PLACES, name)
        )
        found = _registered.union(*(_forms(os.environ.get(name, "")) for name in variables))
        state = (*state[:3], tuple(map(os.environ.get, variables)))
        _known = _Known(state, variables, sorted(found, key=len, reverse=True))
    return _known.secrets


class _Known(NamedTuple):
    """Secrets of this process, and the state of what they were found in."""

    state: tuple[object, ...] = ()
    variables: tuple[str, ...] = ()
    secrets: Sequence[str] = ()


_known = _Known()


def _forms(value: str) -> set[str]:
    """A secret as it is, as an address has it, and as JSON has it."""
    if len(value) < _LEAST_SECRET:
        return set()
    plain = value.encode(errors="surrogateescape")
    return {value, quote(plain, safe=""), quote(plain), json.dumps(value)[1:-1]}


def _without_query(match: re.Match[str]) -> str:
    scheme, mark, rest = match.groups()
    if scheme.lower() in ("s3", "file"):  # names of objects and files may hold a question mark
        head, asked, query = rest.partition("?")
        return f"{scheme}{mark}{head}" if asked and has_secret(f"https://{rest}") and "=" in query else match[0]
    path = re.split("[?#]", rest, maxsplit=1)[0]
    end = "" if path == rest else rest[len(rest.rstrip(_PUNCTUATION)) :]
    return f"{scheme}{mark}{path}{end}"


def _without_value(match: re.Match[str]) -> str:
    head = next(group for group in match.groups()[::2] if group is not None)
    return f"{head}{HIDDEN}"


def _is_plain_address(text: str) -> bool:
    return "://" in text and not re.search(r"\s", text) and not has_secret(text)


def _is_plain_field(name: str, value: str) -> bool:
    if "://" in value or value.startswith("/vsi"):
        return not has_secret(value)
    if not value:  # a word without a name
        return re.fullmatch(_PLAIN_VALUE, name) is not None
    if name.lower() in _FIELDS_OF_FILES:
        return True
    return not re.search(_FIELDS_OF_SECRETS, name) and re.fullmatch(_PLAIN_VALUE, value) is not None


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if match[0] in "\n\r\t":
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}[match[0]]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _named(character: str) -> str:
    code = f"U+{ord(character):04X}"
    name = unicodedata.name(character, "a control character" if ord(character) < 0xA0 else "half of a character")
    return f"{code} ({name.lower()})"
