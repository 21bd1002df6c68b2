"""The numbers of an evaluation: for machines (JSON, CSV), for a text (Markdown), for the screen."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from collections.abc import Iterator, Sequence
from importlib.metadata import version

from eotasks.models.clouds.evaluation import (
    CLASSES,
    Accuracy,
    BinaryCounts,
    CloudConfusion,
    Spread,
    ThresholdCurve,
    accuracy,
)
from eotasks.workflows.evaluate_clouds.contestants import Contestant
from eotasks.workflows.evaluate_clouds.run import Outcome
from eotasks.workflows.report.cells import cell_text

METRICS_VERSION = 1
"""Of `metrics.json`. A reader refuses a version that it does not know."""

FRAMES_HEADER = (
    "detector", "class", "frames", "with it", "BOA", "PA", "PA low/mid/high %", "UA", "UA low/mid/high %", "F1",
    "false alarms %",
)  # fmt: skip
"""Medians over frames; false alarms are the mean."""

POOLED_HEADER = ("detector", "class", "pixels", "of it %", "BOA", "PA", "UA", "F1", "OA")

SCENE_HEADER = (
    "detector", "class", "frame", "TP", "FP", "FN", "TN", "unanswered_positive", "unanswered_negative", "PA", "UA",
    "specificity", "BOA", "OA", "F1",
)  # fmt: skip


def accuracies(outcome: Outcome) -> Iterator[tuple[Contestant, Accuracy]]:
    """Every detector that could work on any scene, by everything that it can be judged by.

    Classes that no scene has are left out, there is nothing to find, but where something was found nevertheless.
    """
    for contestant in outcome.contestants:
        counts = outcome.of(contestant.name)
        for target in contestant.targets if counts else ():
            found = accuracy(counts, target)
            if found.scenes_with or found.pooled.false_positive:
                yield contestant, found


def frames_rows(outcome: Outcome) -> list[tuple[str, ...]]:
    """The rows under FRAMES_HEADER: medians over frames."""
    return [
        (
            contestant.name,
            found.target,
            str(found.scenes),
            str(found.scenes_with),
            number(found.balanced_overall_accuracy.median),
            number(found.producers_accuracy.median),
            _shares(found.producers_accuracy),
            number(found.users_accuracy.median),
            _shares(found.users_accuracy),
            number(found.f1.median),
            number(100 * found.false_alarms.mean, 2),
        )
        for contestant, found in accuracies(outcome)
    ]


def pooled_rows(outcome: Outcome) -> list[tuple[str, ...]]:
    """The rows under POOLED_HEADER: all pixels of all frames."""
    rows = []
    for contestant, found in accuracies(outcome):
        pooled = found.pooled
        values = (
            pooled.balanced_overall_accuracy,
            pooled.producers_accuracy,
            pooled.users_accuracy,
            pooled.f1,
            pooled.overall_accuracy,
        )
        share = number(100 * pooled.positives / pooled.total, 1)
        rows.append((contestant.name, found.target, f"{pooled.total:,}", share, *(number(value) for value in values)))
    return rows


def _shares(values: Spread) -> str:
    if not values.scenes:
        return "–"
    return " / ".join(f"{100 * share:.0f}" for share in (values.low, values.middle, values.high))


def number(value: float, digits: int = 3) -> str:
    """A number for people; a dash where it is not defined."""
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def markdown(outcome: Outcome) -> str:
    """The summary as Markdown tables."""
    note = "Simulated scenes: these numbers say nothing about accuracy in the field.\n\n"
    return (
        (note if outcome.collection.simulated else "")
        + "Medians over frames:\n\n"
        + _markdown_table(FRAMES_HEADER, frames_rows(outcome))
        + "\nAll pixels of all frames:\n\n"
        + _markdown_table(POOLED_HEADER, pooled_rows(outcome))
        + _untold(outcome)
    )


def _untold(outcome: Outcome) -> str:
    """Where shadows cannot be told, and why."""
    lines = [f"- {each.detector}: {each.message}\n" for each in outcome.untold]
    return "".join(["\nClouds whose shadows cannot be told:\n\n", *lines]) if lines else ""


def _markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---"] * 2 + ["---:"] * (len(header) - 2)
    return "".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |\n" for row in (header, rule, *rows)
    )


def frames_csv(outcome: Outcome) -> str:
    """Every frame, detector and class as CSV; undefined numbers are empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(SCENE_HEADER)
    for contestant in outcome.contestants:
        for result in outcome.results:
            if result.detector != contestant.name:
                continue
            for target in contestant.targets:
                counts = result.confusion.against_rest(target)
                values = [*dataclasses.astuple(counts), *_numbers(counts).values()]
                cells = ["" if isinstance(value, float) and math.isnan(value) else value for value in values]
                writer.writerow([cell_text(contestant.name), target, cell_text(result.frame), *cells])
    return text.getvalue()


def _numbers(counts: BinaryCounts) -> dict[str, float]:
    return {
        "producers_accuracy": counts.producers_accuracy,
        "users_accuracy": counts.users_accuracy,
        "specificity": counts.specificity,
        "balanced_overall_accuracy": counts.balanced_overall_accuracy,
        "overall_accuracy": counts.overall_accuracy,
        "f1": counts.f1,
    }


def metrics_json(outcome: Outcome) -> str:
    """Everything as JSON: the same evaluation gives the same text. None where a number is undefined."""
    collection = outcome.collection
    content = {
        "version": METRICS_VERSION,
        "software": f"eotasks {version('eotasks')}",
        "scenes": collection.title,
        "simulated": collection.simulated,
        "attribution": collection.attribution,
        "detectors": {contestant.name: _detector(outcome, contestant) for contestant in outcome.contestants},
        "shadows_not_told": [dataclasses.asdict(each) for each in outcome.untold],
        "failures": [dataclasses.asdict(failure) for failure in outcome.failures],
    }
    return json.dumps(_plain(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _detector(outcome: Outcome, contestant: Contestant) -> dict[str, object]:
    counts = outcome.of(contestant.name)
    settings = {name: getattr(contestant.settings, name) for name in contestant.detector.uses}
    return {
        "description": contestant.detector.description,
        "settings": settings,
        "confusion": _confusion(sum(counts[1:], counts[0])) if counts else None,
        "accuracy": {
            found.target: _accuracy(found) for each, found in accuracies(outcome) if each.name == contestant.name
        },
        "thresholds": _curve(outcome.curves[contestant.name]) if contestant.name in outcome.curves else None,
        "frames": {
            result.frame: {"scene": result.scene, **_confusion(result.confusion)}
            for result in outcome.results
            if result.detector == contestant.name
        },
    }


def _accuracy(found: Accuracy) -> dict[str, object]:
    over_scenes = {
        field.name: dataclasses.asdict(value)
        for field in dataclasses.fields(found)
        if isinstance(value := getattr(found, field.name), Spread)
    }
    return {
        "scenes": found.scenes,
        "scenes_with_the_class": found.scenes_with,
        "pooled": {**dataclasses.asdict(found.pooled), **_numbers(found.pooled)},
        "over_scenes": over_scenes,
    }


def _confusion(counts: CloudConfusion) -> dict[str, object]:
    return {
        "classes": list(CLASSES),
        "counts": counts.counts.tolist(),
        "unanswered": counts.unanswered.tolist(),
        "overall_accuracy": counts.overall_accuracy,
    }


def _curve(curve: ThresholdCurve) -> dict[str, object]:
    return {
        "threshold": [round(float(value), 2) for value in curve.thresholds],
        "true_positive": curve.true_positive.tolist(),
        "false_positive": curve.false_positive.tolist(),
        "positives": curve.positives,
        "negatives": curve.negatives,
    }


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and math.isnan(value) else value
