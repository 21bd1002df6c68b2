"""XML that comes from outside: no entities, no external references, and answers that name the file."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from eotasks.errors import ImageryError


def parse_xml(content: bytes, where: str) -> Element:
    """The root element of a document.

    :param where: The file, for messages.
    :raises ImageryError: when it is cut off, no XML, or declares a document type (entities that multiply, or bring in
        other files).
    """
    try:
        root: Element = fromstring(content, forbid_dtd=True)
    except DefusedXmlException as error:
        raise ImageryError(
            f"{where}: declares a document type or entities, which metadata of Sentinel-2 never does. It is not read:"
            " fetch the original."
        ) from error
    except (ParseError, ValueError, LookupError) as error:
        raise ImageryError(f"{where}: cut off or no XML ({error}). Fetch it again.") from error
    return root


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
