"""What the actions of `eotasks archive` show, on a screen and as JSON."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from eotasks.workflows.bars import StageReporter, progress_bars
from eotasks.workflows.console import new_console, print_failed, print_line
from eotasks.workflows.report.units import duration

if TYPE_CHECKING:
    from rich.console import Console

    from eotasks.workflows.cloud_archive.build import BuildResult
    from eotasks.workflows.cloud_archive.plan import Plan
    from eotasks.workflows.cloud_archive.repair import RepairResult
    from eotasks.workflows.cloud_archive.status import ArchiveStatus
    from eotasks.workflows.cloud_archive.verify import Verification
    from eotasks.workflows.product_masks.options import CloudMaskOptions

_NAMED = 20
"""Products that are left out which a screen names; JSON has all."""


@contextlib.contextmanager
def looking_bar() -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr while the products of a folder are looked at; none before the first, and none after the last."""
    with contextlib.ExitStack() as stack:
        reporters: list[StageReporter] = []

        def look(done: int, total: int) -> None:
            if not reporters:
                reporters.append(StageReporter(stack.enter_context(progress_bars(new_console(errors=True)))))
                reporters[0].begin("products", total)
            reporters[0].update(done, total)
            if done == total:
                stack.close()  # the bar of the batch comes next

        yield look


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


def print_plan(console: Console, plan: Plan) -> None:
    """What an archive will cost."""
    figures = plan.figures
    for name, reason in _first({**plan.source.failed, **plan.failed}):
        print_failed(console, reason if name in reason else f"{name}: {reason}")
    there = f", {plan.there:,} more are there" if plan.there else ""
    left_out = f", {len(plan.source.replaced):,} left out" if plan.source.replaced else ""
    print_line(console, f"products    {plan.products:,}{there}{left_out}")
    what = f"measured on {figures.products}" if figures.products else "assumed"
    memory = "" if figures.peak_memory_mb is None else f", {figures.peak_memory_mb:,.0f} MB of memory"
    print_line(
        console,
        f"a product   {figures.seconds:.2f} s on one core ({figures.core_seconds:.2f} of CPU),"
        f" {figures.bytes_read / 1e6:,.2f} MB read, {figures.bytes_written / 1e6:,.3f} MB written,"
        f" {figures.requests:,.0f} requests{memory}; {what}",
    )
    print_line(console, f"to read     {plan.bytes_read / 1e9:,.3f} GB, {plan.requests:,.0f} requests")
    print_line(console, f"to write    {plan.bytes_written / 1e9:,.3f} GB")
    print_line(console, f"core-hours  {plan.core_hours:,.2f}")
    workers = f"{plan.workers:,} worker{'s' * (plan.workers != 1)}"
    print_line(console, f"hours       {plan.hours:,.2f} with {workers} of one core")
    if plan.prices is not None:
        cost = {name: f"{value:,.2f}" for name, value in plan.cost().items()}
        total, keeping = cost.pop("total"), cost.pop("a month of keeping")
        parts = ", ".join(f"{name} {value}" for name, value in cost.items())
        print_line(console, f"cost        {total} {plan.prices.currency} ({parts}); {keeping} a month to keep them")


def print_status(console: Console, status: ArchiveStatus) -> None:
    """What an archive has, and how its builder stands."""
    settings = status.settings.settings
    print_line(console, f"Archive: {status.place}")
    print_line(console, f"masks     {settings.get('detector')} at {settings.get('resolution')} m")
    found = status.catalogue
    if found is None or not found.items:
        print_line(console, "products  none catalogued yet")
    else:
        levels = ", ".join(f"{count:,} {name}" for name, count in found.levels.items())
        span = "" if found.first is None else f", {found.first:%Y-%m-%d} to {found.last:%Y-%m-%d}"
        print_line(console, f"products  {found.items:,} ({levels}) of {found.tiles:,} tiles{span}")
        print_line(console, f"shadows   {found.shadows:,} products" if found.shadows else "shadows   none")
    build = status.build
    if build is None:
        print_line(console, "builder   no manifest: none has run here, or it was removed")
        return
    counts = {
        "done": build.count("done"),
        "there before": build.count("skipped"),
        "failed": len(build.missing),
        "running": len(build.running),
        "interrupted": len(build.interrupted),
        "left": build.waiting,
    }
    rate = "" if not build.rate else f"; {3600 * build.rate:,.0f} an hour"
    left = "" if build.remaining_seconds is None else f", {duration(build.remaining_seconds)} to go"
    began = f"{build.started:%Y-%m-%d %H:%M} UTC"
    print_line(console, f"builder   {build.state}, began {began}: {counts_in_words(counts)}{rate}{left}")
    for text in _some([f"{each.name}: {each.error or each.state}" for each in build.missing]):
        print_failed(console, text)


def print_verification(console: Console, found: Verification) -> None:
    """What is wrong with an archive, and what was looked at."""
    for each in found.findings:
        print_failed(console, f"{each.kind}: {each.text}")
    sample = f", {len(found.sample)} made again" if found.sample else ""
    print_line(
        console,
        f"Looked at: {found.products:,} products, {found.files:,} images, {found.bytes / 1e6:,.1f} MB{sample}",
    )
    wrong = Counter(each.kind for each in found.findings)
    summary = ", ".join(f"{count:,} {kind}" for kind, count in sorted(wrong.items()))
    print_line(console, f"Wrong: {summary or 'nothing'}")


def verification_json(found: Verification) -> dict[str, Any]:
    """The same for scripts."""
    return {
        "archive": str(found.place),
        "products": found.products,
        "files": found.files,
        "bytes": found.bytes,
        "sample": list(found.sample),
        "findings": [{"kind": each.kind, "folder": each.folder, "text": each.text} for each in found.findings],
    }


def print_repair(console: Console, result: RepairResult) -> None:
    """What was done to an archive."""
    for name, reason in sorted(result.failed.items()):
        print_failed(console, f"{name}: {reason}")
    for text in _some(result.removed):
        print_line(console, f"Removed: {text}")
    left = [each.text for each in result.before.findings if each.kind == "unknown file"]
    for text in _some(left):
        print_line(console, f"Left as it is: {text}")
    counts = {
        "found wrong": len(result.before.findings),
        "made again": len(result.made),
        "catalogued": len(result.catalogued),
        "removed": len(result.removed),
        "failed": len(result.failed),
    }
    print_line(console, f"Repaired: {counts_in_words(counts)}")
    if result.failed or result.removed:
        print_line(console, "eotasks archive build makes what is missing now.")


def repair_json(result: RepairResult) -> dict[str, Any]:
    """The same for scripts."""
    return {
        "found": verification_json(result.before)["findings"],
        "made": list(result.made),
        "catalogued": list(result.catalogued),
        "removed": list(result.removed),
        "failed": dict(result.failed),
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


def _first(reasons: Mapping[str, str]) -> list[tuple[str, str]]:
    return sorted(reasons.items())[:_NAMED]


def _some(texts: Sequence[str]) -> list[str]:
    return [*texts[:_NAMED], *([f"and {len(texts) - _NAMED} more"] if len(texts) > _NAMED else [])]
