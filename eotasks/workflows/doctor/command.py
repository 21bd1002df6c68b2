"""`eotasks doctor`: what is installed here, which settings count, and what to do where something lacks."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from eotasks.workflows.console import Commands, ExitCode, add_command, add_json, print_plain, write_json
from eotasks.workflows.doctor.findings import Finding, Group, Look, as_json, faults, looked

_MARKS = {"ok": "ok", "off": "-", "fault": "FAULT"}

EXAMPLES = """\
examples:
  eotasks doctor            a screen about this machine
  eotasks doctor --json     the same for scripts, and for the report of a fault

"ok" is there; "-" is not, and only some work needs it; "FAULT" is what work will fail for want of. Users, passwords,
keys and tokens are not shown; no server is asked, but that of a cloud's machine for its own credentials.
"""


def add_parser(commands: Commands) -> None:
    """Register `doctor` with the `eotasks` command."""
    parser = add_command(
        commands,
        "doctor",
        run,
        summary="whether this machine is fit for the work, and how to mend it",
        description="Looks at versions, extras, GDAL's drivers, compiled kernels, settings of S3, cores and memory.",
        epilog=EXAMPLES,
        done="nothing that is needed lacks",
        failed="something does",
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> ExitCode:
    """Look, and say what there is; 1 when something is at fault."""
    from eotasks.workflows.doctor import looks

    every: dict[str, Look] = {
        "software": looks.software,
        "extras": looks.extras,
        "drivers": looks.drivers,
        "kernels": looks.kernels,
        "S3": looks.storage,
        "services": looks.services,
        "machine": looks.machine,
    }
    groups = [looked(title, look) for title, look in every.items()]
    if arguments.json:
        write_json(as_json(groups))
    else:
        print_plain(as_text(groups))
    return ExitCode.SOME_FAILED if any(faults(groups)) else ExitCode.DONE


def as_text(groups: Sequence[Group]) -> str:
    """Lines, for copying into the report of a fault."""
    width = max(len(finding.name) for group in groups for finding in group.findings) + 2
    lines = []
    for group in groups:
        lines.append(group.title)
        for finding in group.findings:
            lines += _lines(finding, width)
        lines.append("")
    bad = list(faults(groups))
    lines.append(f"{len(bad)} faults: {', '.join(finding.name for finding in bad)}" if bad else "No fault.")
    return "\n".join(lines) + "\n"


def _lines(finding: Finding, width: int) -> list[str]:
    lines = [f"  {_MARKS[finding.state]:<7}{finding.name:<{width}}{finding.text}"]
    if finding.cure:
        lines.append(f"  {'':<7}{'':<{width}}{finding.cure}")
    return lines
