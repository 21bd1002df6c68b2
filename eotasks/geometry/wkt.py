"""WKT of coordinate systems, taken apart as PROJ does it, and nothing that two readers may take for two things."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from eotasks.text import excerpt

_BLANK = r"[ \t\r\n\f\v]*"
_TOKEN = re.compile(
    rf'{_BLANK}(?:(?P<text>"(?:[^"]|"")*")|(?P<bare>[A-Za-z0-9_.:+-]+)|(?P<sign>[\[\](),]))',
)
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclass
class Node:
    """A word with what is in its brackets."""

    word: str
    """In capitals."""

    texts: list[str] = field(default_factory=list)
    """What is no node: texts without their quotes, numbers, words."""

    children: list[Node] = field(default_factory=list)


def parse_wkt(content: str, *, levels: int) -> list[Node]:
    """The outermost nodes of a text: one, or that of heights after a comma, as ESRI has it.

    :param levels: Of nesting, at most.
    :raises ValueError: when it is no WKT, or nests deeper; with the reason, for the end of a message.
    """
    roots: list[Node] = []
    open_nodes: list[Node] = []
    before, at = "", 0
    while found := _TOKEN.match(content, at):
        piece, at = found[0].lstrip(" \t\r\n\f\v"), found.end()
        if found["sign"] is None:
            if before not in ("", "[", ","):
                break
            before = piece
        elif piece in "[(":
            if not _WORD.fullmatch(before) or len(open_nodes) == levels:
                break
            node = Node(before.upper())
            (open_nodes[-1].children if open_nodes else roots).append(node)
            open_nodes.append(node)
            before = "["
        else:
            if open_nodes:
                _take(open_nodes[-1], before)
            elif piece != "," or before != "]":
                break
            before = piece
            if piece in "])":
                open_nodes.pop()
                before = "]"
                if not open_nodes and not content[at:].strip():
                    return roots
    raise ValueError(f"its coordinate system is no WKT that can be read, at {excerpt(content[at : at + 40])}")


def _take(node: Node, value: str) -> None:
    if value.startswith('"'):
        node.texts.append(value[1:-1].replace('""', '"'))
    elif value not in ("[", ",", "]"):
        node.texts.append(value)
