"""The figures: for machines (JSON, CSV), for the screen and the page."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

from eotasks.workflows.compare_mask_sources.agreement import Agreement
from eotasks.workflows.compare_mask_sources.plan import COMPUTED, S2CLOUDLESS, SERVICE
from eotasks.workflows.compare_mask_sources.run import Comparison
from eotasks.workflows.compare_mask_sources.ways import WAYS

FIGURES_VERSION = 1
"""Of `figures.json`. A reader refuses a version that it does not know."""

KIND = "mask sources"

SIMULATED = (
    "The pixels are simulated: what masks say of them says nothing about the field. Times and bytes are measured."
)

RUN_FIELDS = (
    "seconds", "answers_s", "pauses_s", "computing_s", "other_s", "start_s", "whole_s", "cpu_s", "whole_cpu_s",
    "service_cpu_s", "bytes", "request_count", "loaded_mb", "peak_mb",
)  # fmt: skip

_MEGABYTES = 1e6
"""Of bytes over the wire."""


@dataclass(frozen=True)
class Figure:
    """A figure of a run that is shown."""

    name: str
    """Of a field of `Run`."""

    label: str
    unit: str
    divisor: float = 1.0
    digits: int = 1


FIGURES = (
    Figure("seconds", "time of the patches", "s"),
    Figure("cpu_s", "processor time", "s", digits=2),
    Figure("service_cpu_s", "processor time of the service", "s", digits=2),
    Figure("bytes", "received", "MB", _MEGABYTES, digits=2),
    Figure("request_count", "requests", "", digits=0),
    Figure("peak_mb", "peak memory", "MB", digits=0),
    Figure("start_s", "loading libraries", "s"),
    Figure("whole_s", "whole process", "s"),
)


def shown(comparison: Comparison) -> list[Figure]:
    """Figures that were measured: of a service that was not started here its processor time is not known."""
    return [each for each in FIGURES if all(getattr(run, each.name) is not None for run in comparison.runs)]


def text_of(figure: Figure, value: float) -> str:
    """A value of a figure, with its unit."""
    return f"{value / figure.divisor:,.{figure.digits}f} {figure.unit}".rstrip()


def summary_rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """What is measured, its median for each way, and that of the service as a share of each other."""
    rows = []
    for figure in shown(comparison):
        values = [comparison.median(way, figure.name) for way in comparison.plan.ways]
        cells = [text_of(figure, value) for value in values]
        ratios = [ratio_text(ratio(comparison, figure.name, way)) for way in comparison.plan.ways[1:]]
        rows.append((figure.label, *cells, *ratios))
    return rows


def summary_header(comparison: Comparison) -> tuple[str, ...]:
    """Above `summary_rows`."""
    ways = comparison.plan.ways
    return ("", *(WAYS[way].title for way in ways), *(f"{ways[0]} / {way}" for way in ways[1:]))


def ratio(comparison: Comparison, name: str, way: str = COMPUTED) -> float:
    """The median of a figure with masks of the service over that of another way; NaN where that is 0."""
    below = comparison.median(way, name)
    return comparison.median(SERVICE, name) / below if below else math.nan


def ratio_text(value: float) -> str:
    """For people; a dash where it is not defined."""
    return "–" if math.isnan(value) else f"{value:.2f}"


def agreement_rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """Two ways, and how their masks agree."""
    return [
        (
            f"{first}, {second}",
            f"{each.pixels:,}",
            _percent(each.same),
            *map(_percent, each.covers),
            _percent(each.mean_cover_difference),
            "–" if math.isnan(each.mean_probability_difference) else f"{each.mean_probability_difference:.3f}",
        )
        for (first, second), each in comparison.agreements.items()
    ]


AGREEMENT_HEADER = (
    "masks of", "pixels", "same", "cloud by the first", "by the second", "cover differs", "CLP differs",
)  # fmt: skip
"""The last two are mean absolute differences: of the cloudy fraction of a patch at a date, and of a pixel."""


def _percent(share: float) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.1f} %"


def conclusion(comparison: Comparison) -> str:
    """What came out, beside what the article says."""
    words = []
    for way, whom in ((COMPUTED, "computing them"), (S2CLOUDLESS, "computing them by s2cloudless")):
        if way in comparison.plan.ways:
            names = ("seconds", "cpu_s", "peak_mb", "bytes")
            time, cpu, memory, received = (ratio_text(ratio(comparison, name, way)) for name in names)
            words.append(
                f"{time} of the time, {cpu} of the processor time, {memory} of the memory and {received} of the bytes"
                f" of {whom}"
            )
    return (
        f"With masks of the service: {'; '.join(words)}. (The article on Sentinel Hub's masks, against s2cloudless:"
        " half the time, and less memory.)"
    )


def figures_json(comparison: Comparison) -> str:
    """Everything but samples of memory, as JSON. None where a number is undefined."""
    plan = comparison.plan
    names = [figure.name for figure in shown(comparison)]
    content = {
        "version": FIGURES_VERSION,
        "comparison": KIND,
        "software": f"eotasks {version('eotasks')}",
        "simulated": comparison.simulated,
        "service": comparison.service,
        "plan": {**asdict(plan), "patches": len(plan.boxes), "acquisitions": comparison.acquisitions},
        "ways": {way: {"bands": WAYS[way].bands, "masks": WAYS[way].masks} for way in plan.ways},
        "machine": asdict(comparison.machine),
        "before": {"seconds": comparison.warm_up},
        "median": {way: {name: comparison.median(way, name) for name in names} for way in plan.ways},
        "service_over": {way: {name: ratio(comparison, name, way) for name in names} for way in plan.ways[1:]},
        "agreement": [
            {"first": first, "second": second, **_agreement(each)}
            for (first, second), each in comparison.agreements.items()
        ],
        "runs": [
            {"way": run.way, "repeat": run.repeat, "requests": run.requests}
            | {name: getattr(run, name) for name in RUN_FIELDS}
            | {"patch_ends_s": run.patch_ends}
            for run in comparison.runs
        ],
    }
    return json.dumps(_plain(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _agreement(each: Agreement) -> dict[str, object]:
    first, second = each.covers
    return {
        "pixels": each.pixels,
        "both_cloud": each.both_cloud,
        "only_first": each.only_first,
        "only_second": each.only_second,
        "both_clear": each.both_clear,
        "same": each.same,
        "cloud_by_first": first,
        "cloud_by_second": second,
        "mean_difference_of_cover": each.mean_cover_difference,
        "mean_difference_of_probability": each.mean_probability_difference,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def runs_csv(comparison: Comparison) -> str:
    """A line for each run; what is not known is empty."""
    kinds = sorted({kind for run in comparison.runs for kind in run.requests})
    header = ["way", "repeat", *RUN_FIELDS, *(f"requests_{kind}" for kind in kinds)]
    return _csv(
        header,
        (
            [
                run.way,
                run.repeat,
                *(getattr(run, name) for name in RUN_FIELDS),
                *(run.requests.get(k, 0) for k in kinds),
            ]
            for run in comparison.runs
        ),
    )


def memory_csv(comparison: Comparison) -> str:
    """A line for each sample of memory."""
    return _csv(
        ["way", "repeat", "seconds", "resident_mb"],
        ([run.way, run.repeat, f"{s:.3f}", f"{mb:.2f}"] for run in comparison.runs for s, mb in run.samples),
    )


def _csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(["" if cell is None else cell for cell in row] for row in rows)
    return text.getvalue()
