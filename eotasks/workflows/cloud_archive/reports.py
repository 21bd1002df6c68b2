"""What the actions of `eotasks archive` show, on a screen and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from eotasks.workflows.console import print_failed, print_line

if TYPE_CHECKING:
    from rich.console import Console

    from eotasks.workflows.cloud_archive.build import BuildResult
    from eotasks.workflows.product_masks.options import CloudMaskOptions

_NAMED = 20
"""Products that are left out which a screen names; JSON has all."""


def print_build(console: Console, result: BuildResult, options: CloudMaskOptions) -> None:
    """What came of a build: failures by name, what was left out, one line of counts, the place."""
    print_line(console, f"Masks: {options.describe()}")
    for name, reason in sorted(result.failed.items()):
        print_failed(console, reason if name in reason else f"{name}: {reason}")
    for text in _some(result.source.replaced):
        print_line(console, f"Left out: {text}")
    for text in _some([" and ".join(names) for names in result.source.split]):
        print_line(console, f"Parts of one acquisition of a tile, each with masks of its own: {text}")
    for text in _some(result.removed):
        print_line(console, f"Removed: {text}, processed anew")
    print_line(console, f"Products: {counts_in_words(_counts(result))}")
    print_line(console, f"Archive: {result.place}")


def build_json(result: BuildResult) -> dict[str, Any]:
    """The same for scripts."""
    return {
        "archive": str(result.place),
        "counts": _counts(result),
        "done": result.done,
        "kept": result.kept,
        "failed": result.failed,
        "left_out": result.source.replaced,
        "parts": [list(names) for names in result.source.split],
        "removed": list(result.removed),
        "seconds": 0.0 if result.batch is None else result.batch.seconds,
    }


def _counts(result: BuildResult) -> dict[str, int]:
    siblings = sum(len(each) for each in result.source.siblings.values())
    return {
        "done": len(result.done),
        "kept": len(result.kept),
        "failed": len(result.failed),
        "left out": len(result.source.replaced),
        "removed": len(result.removed),
        "of the other level": siblings,
    }


def counts_in_words(counts: dict[str, int]) -> str:
    """Counts in a line; of those that are 0 only the first and "failed"."""
    first = next(iter(counts))
    return ", ".join(f"{count:,} {name}" for name, count in counts.items() if count or name in (first, "failed"))


def _some(texts: Sequence[str]) -> list[str]:
    return [*texts[:_NAMED], *([f"and {len(texts) - _NAMED} more"] if len(texts) > _NAMED else [])]
