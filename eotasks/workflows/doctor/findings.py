"""What a look at a machine says: findings, and the groups that they are in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from eotasks.errors import message_of

State = Literal["ok", "off", "fault"]
"""``off``: not there, and not needed by most; ``fault``: work will fail for want of it."""

VERSION = 1
"""Of the JSON."""


@dataclass(frozen=True)
class Finding:
    """One fact."""

    name: str
    state: State
    text: str
    """What there is."""

    cure: str = ""
    """What to do where something lacks; a line for the shell where one helps."""


@dataclass(frozen=True)
class Group:
    """Facts of one kind."""

    title: str
    findings: tuple[Finding, ...]


Look = Callable[[], Iterable[Finding]]


def looked(title: str, look: Look) -> Group:
    """The findings of a look; what goes wrong in it is a finding, too: nothing may end the look at a broken machine."""
    findings: list[Finding] = []
    try:
        findings.extend(look())
    except Exception as error:  # noqa: BLE001 - whatever is broken here is what is asked for
        findings.append(Finding(title, "fault", message_of(error)))
    return Group(title, tuple(findings))


def faults(groups: Iterable[Group]) -> Iterator[Finding]:
    """Those for want of which work will fail."""
    return (finding for group in groups for finding in group.findings if finding.state == "fault")


def as_json(groups: Iterable[Group]) -> dict[str, Any]:
    """Everything as plain values."""
    listed = list(groups)
    return {
        "version": VERSION,
        "ok": not any(faults(listed)),
        "groups": [
            {"title": group.title, "findings": [asdict(finding) for finding in group.findings]} for group in listed
        ],
    }
