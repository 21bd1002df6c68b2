"""Pictures of how good the model is: samples, confusion, accuracies by class, ROC, seeds, importance, areas."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps, patheffects
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from eotasks.models.classes import ClassTable
from eotasks.models.landcover.areas import AreaEstimates
from eotasks.models.landcover.validation import ConfusionMatrix, RocCurve, SeedSpread
from eotasks.workflows.land_cover.report.chapter import Chapter
from eotasks.workflows.report import palette, style
from eotasks.workflows.report.page import Cell, CellValue, KeyFigure

_MAX_ROC_POINTS = 400


def add(chapter: Chapter) -> None:
    """Add everything that was measured on held-out samples, and the training samples behind it."""
    _add_scores(chapter)
    _add_counts(chapter)
    _add_confusion(chapter)
    _add_per_class(chapter)
    _add_roc(chapter)
    _add_seeds(chapter)
    _add_areas(chapter)


def _add_scores(chapter: Chapter) -> None:
    result, validation = chapter.result, chapter.result.validation
    if result.split_note:
        chapter.section.text(result.split_note)
    if validation is None:
        chapter.miss("validation", "Accuracy on held-out samples")
        return
    baseline = validation.baseline
    samples = f"{validation.matrix.total:,} test samples"
    constant = f"always “{style.pretty(baseline.name)}”: "
    chapter.section.key_figures(
        [
            KeyFigure("Overall accuracy", f"{validation.overall_accuracy:.3f}", f"{constant}{baseline.accuracy:.3f}"),
            KeyFigure("Macro F1", f"{validation.macro_f1:.3f}", f"{constant}{baseline.macro_f1:.3f}"),
            KeyFigure("Weighted F1", f"{validation.weighted_f1:.3f}", samples),
        ]
    )
    chapter.section.text(
        "Macro F1 is the mean over the classes that the test samples hold. Predictions of other classes count as "
        "errors. The small numbers are those of a model that knows nothing but the most frequent class."
    )


def _add_counts(chapter: Chapter) -> None:
    result = chapter.result
    if not result.train_counts or result.classes is None:
        chapter.miss("train_counts", "Training samples per class")
        return
    total, tested = sum(result.train_counts.values()), sum(result.test_counts.values())
    test = f" and {tested:,} test samples" if tested else ""
    chapter.chart(
        counts_figure(result.classes, dict(result.train_counts), dict(result.test_counts)),
        f"Samples per class: {total:,} training samples{test}.",
        alt="Bar chart of samples per class: "
        + ", ".join(
            f"{style.pretty(result.classes.name_of(key))} {value:,}" for key, value in result.train_counts.items()
        )
        + ".",
        real=True,
    )


@style.styled
def counts_figure(classes: ClassTable, train: dict[int, int], test: dict[int, int]) -> Figure:
    """Training and test samples per class, in the colours of the classes."""
    shown = [item for item in classes if train.get(item.id, 0) or test.get(item.id, 0)]
    figure = style.new_figure(1.1 + 0.52 * len(shown))
    axes = figure.subplots()
    rows = np.arange(len(shown))
    bars = [(train, 0.0, 1.0, "training")] if not test else [(train, -0.2, 1.0, "training"), (test, 0.2, 0.45, "test")]
    height = 0.7 if not test else 0.36
    longest = max(max(train.values(), default=1), max(test.values(), default=1), 1)
    for counts, offset, alpha, label in bars:
        values = [counts.get(item.id, 0) for item in shown]
        colors = [item.color for item in shown]
        axes.barh(rows + offset, values, height, color=colors, alpha=alpha, edgecolor=palette.QUIET, linewidth=0.6)
        for row, value in zip(rows, values, strict=True):
            text = f"{value:,}" if not test else f"{value:,} {label}"
            axes.text(value + longest * 0.008, row + offset, text, va="center", fontsize=9.5, color=palette.INK)
    axes.set_yticks(rows, [style.pretty(item.name) for item in shown])
    axes.invert_yaxis()
    axes.set_xlim(0, longest * 1.13)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel("samples")
    axes.grid(axis="x")
    return figure


def _add_confusion(chapter: Chapter) -> None:
    validation = chapter.result.validation
    if validation is None:
        chapter.miss("validation", "Confusion matrices")
        return
    chapter.chart(
        confusion_figure(validation.matrix),
        "Confusion of the test samples. Left: shares of each reference class (diagonal: producer's accuracy). "
        "Right: shares of each predicted class (diagonal: user's accuracy)." + _unpredicted_note(validation.matrix),
        alt="Two confusion matrices. Diagonal of the left one: "
        + ", ".join(f"{style.pretty(item.name)} {_percent(item.producers_accuracy)}" for item in validation.per_class)
        + ".",
    )
    matrix = validation.matrix
    names = [style.pretty(name) for name in matrix.classes.names]
    rows: list[list[CellValue]] = [
        [Cell(name, color), *(int(value) for value in row), int(missing)]
        for name, color, row, missing in zip(
            names, matrix.classes.colors, matrix.counts, matrix.unpredicted, strict=True
        )
    ]
    header = ["Reference", *names, "No prediction"]
    chapter.table(header, rows, "Confusion matrix, test samples; columns are predictions.", folded=True)


def _unpredicted_note(matrix: ConfusionMatrix) -> str:
    missing = int(matrix.unpredicted.sum())
    return f" {missing:,} samples without a prediction count as errors." if missing else ""


@style.styled
def confusion_figure(matrix: ConfusionMatrix) -> Figure:
    """The confusion matrix normalised by reference class and by predicted class."""
    names = [style.pretty(name) for name in matrix.classes.names]
    figure = style.new_figure(min(max(3.9, 2.2 + 0.5 * len(names)), 6.8))
    left, right = figure.subplots(1, 2)
    _matrix(left, matrix.by_reference(), names, "By reference class")
    _matrix(right, matrix.by_prediction(), names, "By predicted class")
    left.set_ylabel("reference")
    right.tick_params(labelleft=False)
    for axes in (left, right):
        axes.set_xlabel("prediction")
    return figure


def _matrix(axes: Axes, shares: NDArray[np.float64], names: list[str], title: str) -> None:
    colormap = colormaps["Blues"]
    axes.imshow(np.ma.masked_invalid(shares), cmap=colormap, vmin=0, vmax=1)
    axes.set_facecolor("#f3f3f1")
    size = 10.5 if len(names) <= 6 else 8.5
    for (row, column), share in np.ndenumerate(shares):
        text = "–" if math.isnan(share) else f"{100 * share:.0f}" if share >= 0.005 or share == 0 else "<1"
        color = palette.QUIET if math.isnan(share) else style.ink_on(to_hex(colormap(share)))
        axes.text(column, row, text, ha="center", va="center", color=color, fontsize=size)
    places = range(len(names))
    axes.set_xticks(places, names, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(places, names)
    axes.set_xticks(np.arange(len(names) - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(len(names) - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="both", length=0)
    axes.set_title(f"{title} (%)")
    for spine in axes.spines.values():
        spine.set_visible(False)


def _add_per_class(chapter: Chapter) -> None:
    result = chapter.result
    if result.validation is None:
        return
    matrix = result.validation.matrix
    rows: list[list[CellValue]] = [
        [
            Cell(style.pretty(item.name), color),
            item.support,
            item.predicted,
            _three(item.users_accuracy),
            _three(item.producers_accuracy),
            _three(item.f1),
        ]
        for item, color in zip(result.validation.per_class, matrix.classes.colors, strict=True)
    ]
    chapter.table(
        ["Class", "Test samples", "Predicted", "User's accuracy", "Producer's accuracy", "F1"],
        rows,
        "Accuracy by class. User's accuracy: share of the predictions that are right (precision). Producer's accuracy: "
        "share of the samples that were found (recall).",
    )


def _add_roc(chapter: Chapter) -> None:
    result = chapter.result
    if not result.roc or result.classes is None:
        chapter.miss("roc", "ROC curves")
        return
    chapter.chart(
        roc_figure(result.roc, result.classes),
        "Receiver operating characteristic of each class against all others, with the area under the curve.",
        alt="ROC curves. Area under the curve: "
        + ", ".join(f"{style.pretty(curve.name)} {curve.auc:.2f}" for curve in result.roc)
        + ".",
    )


@style.styled
def roc_figure(curves: Sequence[RocCurve], classes: ClassTable) -> Figure:
    """ROC of each class with its AUC in the legend."""
    figure = style.new_figure(5.0, 8.6)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=palette.QUIET, linewidth=1, linestyle=(0, (2, 3)), label="chance  0.500")
    casing = [patheffects.withStroke(linewidth=3.6, foreground="white")]
    dashes = ["-", (0, (6, 1.5)), (0, (3, 1)), (0, (7, 1.5, 1.5, 1.5))]
    for index, curve in enumerate(curves):
        item = classes.by_id.get(curve.class_id)
        x, y = thin(curve.false_positive_rate, curve.true_positive_rate)
        axes.plot(
            x,
            y,
            color=style.readable(item.color if item else palette.QUIET),
            linestyle=dashes[index % len(dashes)],
            label=f"{style.pretty(curve.name)}  {curve.auc:.3f}",
            path_effects=casing,
        )
    axes.set_aspect("equal")
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.02)
    axes.set_xlabel("false positive rate")
    axes.set_ylabel("true positive rate")
    axes.grid()
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(
        [*handles[1:], handles[0]],
        [*labels[1:], labels[0]],
        loc="center left",
        bbox_to_anchor=(1.04, 0.5),
        title="Area under the curve",
        alignment="left",
        handlelength=2.8,
    )
    return figure


def thin(x: NDArray[np.floating], y: NDArray[np.floating]) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """At most some 400 points of a rising curve, evenly spaced along it: more would only make the file large."""
    if len(x) <= _MAX_ROC_POINTS:
        return x, y
    along = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    kept = np.unique(np.searchsorted(along, np.linspace(0, along[-1], _MAX_ROC_POINTS)))
    kept = np.unique(np.append(np.clip(kept, 0, len(x) - 1), [0, len(x) - 1]))
    return x[kept], y[kept]


def _add_seeds(chapter: Chapter) -> None:
    seeds = chapter.result.seeds
    if seeds is None:
        chapter.miss("seeds", "Spread over seeds")
        return
    accuracy, f1 = seeds.metrics["overall_accuracy"], seeds.metrics["macro_f1"]
    chapter.chart(
        seeds_figure(seeds),
        f"The same validation with {len(seeds.seeds)} fixed seeds: mean accuracy {accuracy.mean:.3f} "
        f"({accuracy.minimum:.3f} to {accuracy.maximum:.3f}), mean macro F1 {f1.mean:.3f} ({f1.minimum:.3f} to "
        f"{f1.maximum:.3f}). Dots are seeds, ticks their mean, diamonds the majority class.",
        alt=f"Chart of accuracy and macro F1 for {len(seeds.seeds)} seeds.",
    )
    labels = {"overall_accuracy": "Overall accuracy", "macro_f1": "Macro F1", "weighted_f1": "Weighted F1"}
    labels |= {"baseline_accuracy": "Accuracy, majority class", "baseline_macro_f1": "Macro F1, majority class"}
    rows: list[list[CellValue]] = []
    for name, spread in seeds.metrics.items():
        numbers = (spread.mean, spread.std, spread.minimum, spread.maximum)
        rows.append([labels.get(name, name), *(_three(value) for value in numbers)])
    seed_list = ", ".join(str(seed) for seed in seeds.seeds)
    chapter.table(["", "Mean", "Std. dev.", "Least", "Greatest"], rows, f"Spread over the seeds {seed_list}.")


@style.styled
def seeds_figure(seeds: SeedSpread) -> Figure:
    """Scores by seed with the majority-class baseline."""
    rows = [
        ("Overall accuracy", "overall_accuracy", "baseline_accuracy"),
        ("Weighted F1", "weighted_f1", None),
        ("Macro F1", "macro_f1", "baseline_macro_f1"),
    ]
    figure = style.new_figure(2.5)
    axes = figure.subplots()
    for row, (_, name, baseline) in enumerate(rows):
        spread = seeds.metrics[name]
        axes.plot([spread.minimum, spread.maximum], [row, row], color=palette.SKY, linewidth=6, alpha=0.35)
        axes.plot(
            spread.values, np.full(len(spread.values), row), "o", color=palette.BLUE, ms=7, alpha=0.75, mec="white"
        )
        axes.plot(spread.mean, row, "|", color=palette.INK, ms=22, mew=2)
        axes.annotate(f"{spread.mean:.3f}", (spread.mean, row), (0, 13), textcoords="offset points", ha="center")
        if baseline:
            value = seeds.metrics[baseline].mean
            axes.plot(value, row, "D", color=palette.VERMILION, ms=7)
            axes.annotate(
                f"{value:.3f}", (value, row), (0, 13), textcoords="offset points", ha="center", color=palette.VERMILION
            )
    axes.set_yticks(range(len(rows)), [label for label, *_ in rows])
    axes.set_ylim(len(rows) - 0.55, -0.7)
    axes.set_xlim(0, 1.02)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid()
    return figure


def _add_areas(chapter: Chapter) -> None:
    areas = chapter.result.areas
    if areas is None:
        chapter.miss("areas", "Error-adjusted areas with confidence intervals")
        return
    colors = chapter.result.classes.by_id if chapter.result.classes else {}
    chapter.chart(
        areas_figure(areas, chapter.result.classes),
        "Area of each class: as counted on the map, and adjusted for the errors of the map with its 95 % confidence "
        "interval (Olofsson et al. 2014). The interval holds for samples drawn at random from the whole map; samples "
        "from labelled polygons make it look narrower than it is." + (f" {areas.note}" if areas.note else ""),
        alt="Chart of mapped and error-adjusted area by class.",
    )
    digits = f",.{hectare_decimals(areas.total_ha)}f"
    rows: list[list[CellValue]] = [
        [
            Cell(style.pretty(item.name), colors[item.class_id].color if item.class_id in colors else None),
            _number(f"{item.mapped_ha:{digits}}", item.mapped_ha),
            _plus_minus(item.area_ha.value, item.area_ha.ci95, digits),
            _plus_minus(item.users_accuracy.value, item.users_accuracy.ci95, ".2f"),
            _plus_minus(item.producers_accuracy.value, item.producers_accuracy.ci95, ".2f"),
            item.reason,
        ]
        for item in areas.classes
    ]
    overall = areas.overall_accuracy
    header = ["Class", "Mapped (ha)", "Adjusted (ha)", "User's accuracy", "Producer's accuracy", "Note"]
    if not any(item.reason for item in areas.classes):
        header, rows = header[:-1], [row[:-1] for row in rows]
    caption = f"Areas and area-weighted accuracies with 95 % confidence intervals; overall accuracy {overall.value:.2f}"
    chapter.table(header, rows, f"{caption} ± {overall.ci95:.2f}.")


@style.styled
def areas_figure(areas: AreaEstimates, classes: ClassTable | None) -> Figure:
    """Mapped and adjusted area of each class."""
    figure = style.new_figure(1.3 + 0.45 * len(areas.classes))
    axes = figure.subplots()
    by_id = classes.by_id if classes else {}
    for row, item in enumerate(areas.classes):
        color = style.readable(by_id[item.class_id].color if item.class_id in by_id else palette.QUIET)
        estimate = item.area_ha
        if math.isfinite(estimate.value):
            label = "adjusted, 95 % confidence interval" if row == 0 else None
            axes.errorbar(
                estimate.value, row, xerr=estimate.ci95, fmt="o", color=color, ms=8, capsize=5, lw=2.2, label=label
            )
        axes.plot(item.mapped_ha, row, "|", color=palette.INK, ms=20, mew=2, label="mapped" if row == 0 else None)
    axes.set_yticks(range(len(areas.classes)), [style.pretty(item.name) for item in areas.classes])
    axes.set_ylim(len(areas.classes) - 0.4, -0.6)
    axes.set_xlim(left=min(0.0, axes.get_xlim()[0]))
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.set_xlabel("hectares")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid()
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    return figure


def hectare_decimals(total: float) -> int:
    """Decimals that tell areas apart, by the total of them in hectares."""
    return 0 if total >= 10_000 else 1 if total >= 100 else 2


def _number(text: str, value: float) -> Cell:
    return Cell(text if math.isfinite(value) else "–", number=True)


def _plus_minus(value: float, half_width: float, spec: str) -> Cell:
    return _number(f"{value:{spec}} ± {half_width:{spec}}", value)


def _three(value: float) -> Cell:
    return _number(f"{value:.3f}", value)


def _percent(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.0%}"
