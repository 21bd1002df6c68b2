"""XML that comes from outside: no entities, no external references, and answers that name the file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from eotasks.errors import ImageryError, reason_of
from eotasks.limits import XML_ELEMENTS, XML_TEXT

_DEPTH = 64
"""Elements inside of each other; metadata has 12."""

_ENCODING = re.compile(rb"<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([^\"']{0,40})")
_ENCODINGS = frozenset({b"utf-8", b"us-ascii", b"ascii", b"iso-8859-1"})
_LONG_NAMESPACE = re.compile(rb"xmlns(?::[^\s=]{0,200})?\s*=\s*[\"'][^\"']{129}")


def parse_xml(content: bytes, where: str) -> Element:
    """The root element of a document.

    :param where: The file, for messages.
    :raises ImageryError: when it is cut off, no XML, larger than any real one, or declares a document type (entities
        that multiply, or bring in other files).
    """
    _check_size(content, where)
    try:
        root: Element = fromstring(content, forbid_dtd=True)
    except DefusedXmlException as error:
        raise ImageryError(
            f"{where}: declares a document type or entities, which metadata of Sentinel-2 never does. It is not read:"
            " fetch the original."
        ) from error
    except (ParseError, ValueError, LookupError) as error:
        raise ImageryError(f"{where}: cut off or no XML ({reason_of(error)}). Fetch it again.") from error
    level, depth = [root], 0
    while level:
        depth += 1
        if depth > _DEPTH:
            raise ImageryError(f"{where}: elements more than {_DEPTH} deep, which no metadata has. It is not read.")
        level = [child for element in level for child in element]
    return root


def _check_size(content: bytes, where: str) -> None:
    """Refuse what would take far more memory and time than its bytes: each element has a "<", each attribute a "=".

    So that these are what they look like, the encoding has to be one that has them as ASCII does. A long namespace is
    kept once for each name.
    """
    declared = _ENCODING.match(content[:400].lstrip(b"\xef\xbb\xbf"))
    if b"\0" in content or (declared is not None and declared[1].lower() not in _ENCODINGS):
        raise ImageryError(f"{where}: in another encoding than UTF-8, which no metadata has. Fetch the original again.")
    # Most elements have a tag at their end, too.
    for sign, most in ((b"<", 2 * XML_ELEMENTS.value), (b"=", XML_ELEMENTS.value)):
        if content.count(sign) > most:
            what = "" if sign == b"<" else " by their attributes"
            raise ImageryError(f"{where}: {XML_ELEMENTS.excess()}{what}. It is not read.")
    # Of the text of one element lists of numbers are made.
    if len(content) > XML_TEXT.value and max(map(len, content.split(b"<"))) > XML_TEXT.value:
        raise ImageryError(f"{where}: {XML_TEXT.excess()} in one element. It is not read.")
    if _LONG_NAMESPACE.search(content):
        raise ImageryError(f"{where}: a namespace of more than 128 letters, which no metadata has. It is not read.")


def named(root: Element, name: str) -> Iterator[Element]:
    """All elements below one with a name, whatever their namespace."""
    return (element for element in root.iter() if local_name(element) == name)


def first(root: Element, name: str) -> Element | None:
    """The first element below one with a name."""
    return next(named(root, name), None)


def text(root: Element, name: str) -> str | None:
    """Text of the first element with a name; None when there is none, or it is empty."""
    element = first(root, name)
    return None if element is None or not (element.text or "").strip() else str(element.text).strip()


def required(root: Element, name: str, where: str) -> str:
    """Text of the first element with a name.

    :raises ImageryError: when there is none.
    """
    found = text(root, name)
    if found is None:
        raise ImageryError(f"{where}: has no {name}. Fetch it again.")
    return found


def number(root: Element, name: str, where: str) -> float | None:
    """The first element with a name as a number; None when there is none.

    :raises ImageryError: when it is no number.
    """
    found = text(root, name)
    return None if found is None else as_number(found, name, where)


def as_number(found: str, name: str, where: str) -> float:
    """A text as a finite number.

    :raises ImageryError: when it is none.
    """
    try:
        value = float(found)
    except ValueError:
        value = float("nan")
    if value != value or value in (float("inf"), float("-inf")):
        raise ImageryError(f"{where}: {name} is {found[:40]!r}, not a number. Fetch it again.")
    return value


def local_name(element: Element) -> str:
    """Name of an element without its namespace."""
    return str(element.tag).rpartition("}")[2]
