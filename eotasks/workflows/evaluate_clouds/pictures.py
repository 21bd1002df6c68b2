"""Pictures of an evaluation: agreement maps frame by frame, accuracies over frames, thresholds, confusion."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Patch
from numpy.typing import NDArray

from eotasks.models.clouds.evaluation import (
    AGREEMENT_COLORS,
    CLASSES,
    ERROR_COLORS,
    FALSE,
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    MISSED,
    MIXED_UP,
    NO_ANSWER,
    NOT_JUDGED,
    RIGHT_CLOUD,
    RIGHT_SHADOW,
    TRUE_NEGATIVE,
    TRUE_POSITIVE,
    UNANSWERED,
    CloudConfusion,
    Target,
    ThresholdCurve,
    agreement,
    agreement_picture,
)
from eotasks.models.clouds.postprocess import NO_DATA
from eotasks.workflows.evaluate_clouds.run import FrameView
from eotasks.workflows.evaluate_clouds.scene_errors import SceneErrors
from eotasks.workflows.evaluate_clouds.tables import number
from eotasks.workflows.report import palette, style

CLASS_COLORS = {0: "#6b8f71", 1: "#f4f5f2", 2: "#3b3a5c", NO_DATA: AGREEMENT_COLORS[NOT_JUDGED]}
"""Of reference classes: clear, cloud, shadow, not judged."""

_AGREEMENT_NAMES = {
    TRUE_POSITIVE: "found (TP)",
    FALSE_POSITIVE: "false alarm (FP)",
    FALSE_NEGATIVE: "missed (FN)",
    TRUE_NEGATIVE: "rightly left (TN)",
    NO_ANSWER: "no answer",
    NOT_JUDGED: "not judged",
}
_PALETTE = (palette.BLUE, palette.VERMILION, palette.GREEN, palette.ORANGE, palette.SKY, "#7b5aa6")
_COLUMN = 3.15
"""Inches of an image in a picture of a frame."""

_MOST_COLUMNS = 5
_TITLE, _SMALLEST_TITLE = 13.0, 6.5
_LETTER = 0.71
"""Width of a bold letter of the title, as a share of its size: capitals and digits, as names of products have."""

_BRIGHTNESS = 0.9
"""Reflectance that is white: clouds keep their structure, the ground is lifted by the gamma."""

_GAMMA = 0.5


@style.styled
def frame_figure(view: FrameView, detectors: Sequence[str], targets: Mapping[str, tuple[Target, ...]]) -> Figure:
    """One frame: true colour and reference, then probability and agreement of each detector.

    :param detectors: Names of those to show; the others, and those that failed on the scene, are left out.
    :param targets: What each detector is judged by.
    """
    shown = [name for name in detectors if name in view.masks][: _MOST_COLUMNS - 1]
    rows: list[Target] = ["cloud"] if any("cloud" in targets[name] for name in shown) else []
    if any("shadow" in targets[name] for name in shown) and ((view.reference == 2).any() or not rows):
        rows.append("shadow")
    height, width = view.reference.shape
    image_height = min(max(_COLUMN * height / width, 1.2), 5.0)
    figure = style.new_figure((image_height + 0.42) * (1 + len(rows)) + 0.75, _COLUMN * (1 + len(shown)) + 0.75)
    axes = figure.subplots(1 + len(rows), 1 + len(shown), squeeze=False)
    for each in axes.flat:
        _bare(each)
    _show_color(axes[0, 0], view)
    _show_reference(axes[1, 0], view)
    probability = None
    for column, name in enumerate(shown, start=1):
        probability = _show_answer(axes[0, column], view, name) or probability
        for row, target in enumerate(rows, start=1):
            _show_agreement(axes[row, column], view, name, target, tells=target in targets[name])
    if probability is not None:
        bar = figure.colorbar(probability, ax=axes[0, :].tolist(), fraction=0.03, pad=0.01, aspect=22)
        bar.set_label("cloud probability")
        bar.outline.set_visible(False)
    _legends(
        figure, axes[1:, :], view, [agreement(view.reference, view.masks[name], row) for name in shown for row in rows]
    )
    _title(figure, view.frame)
    return figure


_ERROR_NAMES = {
    RIGHT_CLOUD: "true: cloud",
    RIGHT_SHADOW: "true: shadow",
    FALSE: "false",
    MISSED: "missed",
    MIXED_UP: "cloud and shadow mixed up",
    UNANSWERED: "no answer",
}


@style.styled
def _title(figure: Figure, name: str) -> None:
    """The name of a frame over all, smaller where it is long: names of products are cut off otherwise."""
    room = 72 * figure.get_figwidth() * 0.97 / _LETTER
    size = min(_TITLE, max(_SMALLEST_TITLE, room / max(len(name), 1)))
    most = int(room / size)
    figure.suptitle(
        name if len(name) <= most else f"…{name[-most + 1 :]}", x=0.01, ha="left", fontsize=size, fontweight="bold"
    )


def errors_figure(errors: SceneErrors, detectors: Sequence[str], targets: Mapping[str, tuple[Target, ...]]) -> Figure:
    """One scene: in true colour, and for each detector what is true, false and missed, drawn over the scene in grey.

    :param detectors: Names of those to show; the others, and those that failed on the scene, are left out.
    :param targets: What each detector is judged by.
    """
    shown = [name for name in detectors if name in errors.maps][: _MOST_COLUMNS - 1]
    height, width = errors.is_data.shape
    panel = min(max(_COLUMN * height / width, 1.2), 5.0)
    figure = style.new_figure(panel + 1.15, _COLUMN * (1 + len(shown)) + 0.75)
    axes = figure.subplots(1, 1 + len(shown), squeeze=False)[0]
    for each in axes:
        _bare(each)
    color = _brightened(errors.color, errors.is_data)
    axes[0].set_title("True colour", fontsize=11)
    axes[0].imshow(color)
    grey = np.repeat(color @ np.array([[0.299], [0.587], [0.114]], dtype=np.float32), 3, axis=-1)
    for panel_axes, name in zip(axes[1:], shown, strict=True):
        picture = grey.copy()
        for code, drawn in ERROR_COLORS.items():
            there = errors.maps[name] == code
            picture[there] = 0.35 * grey[there] + 0.65 * _rgb(drawn)
        panel_axes.set_title(f"{name}\n{_f1(errors.confusions[name], targets[name])}", fontsize=10)
        panel_axes.imshow(picture)
    occurring = set(np.unique(np.stack([errors.maps[name] for name in shown])).tolist())
    handles = [
        Patch(facecolor=ERROR_COLORS[code], edgecolor=palette.QUIET, linewidth=0.6, label=label)
        for code, label in _ERROR_NAMES.items()
        if code in occurring
    ]
    if handles:
        columns = 3 if len(shown) == 1 else len(handles)  # of one detector's narrow picture
        figure.legend(handles=handles, loc="outside lower left", ncols=columns, handlelength=1.2, columnspacing=1.3)
    _title(figure, errors.frame)
    return figure


def _f1(counts: CloudConfusion, targets: Sequence[Target]) -> str:
    kinds: tuple[Target, ...] = ("cloud", "shadow")
    return "F1  " + "  ".join(f"{kind} {number(counts.against_rest(kind).f1, 2)}" for kind in kinds if kind in targets)


def _bare(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color(palette.RULE)


def true_color(view: FrameView) -> NDArray[np.float32]:
    """The frame as the eye would see it, brightened so that both ground and clouds keep their structure.

    :return: float32 (h, w, 3), 0..1; light grey where there is no data.
    """
    return _brightened(view.color, view.is_data)


def _brightened(color: NDArray[np.float32] | None, is_data: NDArray[np.bool_]) -> NDArray[np.float32]:
    values = color if color is not None else np.zeros((*is_data.shape, 3), np.float32)
    bright = (np.clip(np.nan_to_num(values), 0, _BRIGHTNESS) / _BRIGHTNESS) ** _GAMMA
    grey = _rgb(AGREEMENT_COLORS[NOT_JUDGED])
    return np.where(is_data[..., np.newaxis], bright, grey).astype(np.float32)


def _show_color(axes: Axes, view: FrameView) -> None:
    axes.set_title("True colour", fontsize=11)
    if view.color is None:
        axes.text(0.5, 0.5, "no B04, B03, B02", ha="center", va="center", transform=axes.transAxes)
        axes.set_aspect(view.reference.shape[0] / view.reference.shape[1])
        return
    axes.imshow(true_color(view))


def _show_reference(axes: Axes, view: FrameView) -> None:
    axes.set_title("Reference", fontsize=11)
    table = np.zeros((256, 3))
    for code, color in CLASS_COLORS.items():
        table[code] = _rgb(color)
    axes.imshow(table[view.reference])


def _show_answer(axes: Axes, view: FrameView, name: str) -> AxesImage | None:
    """The probability of a detector that has one, else its mask."""
    axes.set_title(name, fontsize=11)
    if name not in view.probabilities:
        table = np.zeros((256, 3))
        for code, color in CLASS_COLORS.items():
            table[code] = _rgb(color)
        axes.imshow(table[view.masks[name]])
        return None
    hidden = np.ma.masked_where(~view.is_data, view.probabilities[name])
    axes.set_facecolor(AGREEMENT_COLORS[NOT_JUDGED])
    return axes.imshow(hidden, cmap="cividis", vmin=0, vmax=1)


def _show_agreement(axes: Axes, view: FrameView, name: str, target: Target, *, tells: bool) -> None:
    if not tells:
        axes.set_axis_off()
        text = "clouds are given" if target == "cloud" else f"tells no {target}"
        axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes, color=palette.QUIET)
        return
    counts = view.confusions[name].against_rest(target)
    scores = ("PA", counts.producers_accuracy), ("UA", counts.users_accuracy), ("BOA", counts.balanced_overall_accuracy)
    numbers = "  ".join(f"{label} {number(value, 2)}" for label, value in scores)
    axes.set_title(f"{target.capitalize()}:  {numbers}", fontsize=10, fontweight="normal")
    axes.imshow(agreement_picture(agreement(view.reference, view.masks[name], target)))


def _legends(figure: Figure, axes: NDArray[Any], view: FrameView, maps: Sequence[NDArray[np.uint8]]) -> None:
    """Classes of the reference and colours of the agreement, those that occur; beside the maps where there is room."""
    occurring = set(np.unique(np.stack(maps)).tolist()) | {TRUE_POSITIVE, FALSE_POSITIVE, FALSE_NEGATIVE, TRUE_NEGATIVE}
    classes = [
        Patch(facecolor=CLASS_COLORS[code], edgecolor=palette.QUIET, linewidth=0.6, label=label)
        for code, label in enumerate(CLASSES)
        if (view.reference == code).any()
    ]
    colors = [
        Patch(facecolor=AGREEMENT_COLORS[code], edgecolor=palette.QUIET, linewidth=0.6, label=label)
        for code, label in _AGREEMENT_NAMES.items()
        if code in occurring
    ]
    for spare in axes[1:, 0]:
        spare.set_axis_off()
    columns = 2 if axes.shape[1] == 2 else max(len(classes), len(colors))  # of one detector's narrow picture
    look = {"ncols": columns, "handlelength": 1.2, "handleheight": 1.2, "columnspacing": 1.3}
    for legend in (
        figure.legend(handles=classes, title="Reference", loc="outside lower left", **look),
        figure.legend(handles=colors, title="Agreement", loc="outside lower right", **look),
    ):
        legend.set_alignment("left")


def _rgb(color: str) -> NDArray[np.float64]:
    return np.array(list(bytes.fromhex(color[1:])), dtype=np.float64) / 255


@style.styled
def accuracy_figure(frames: Mapping[str, Sequence[CloudConfusion]], target: Target) -> Figure:
    """BOA, PA and UA of every frame as a dot, the median as a line.

    :param frames: Detector -> its counts, frame by frame.
    """
    names = list(frames)
    figure = style.new_figure(1.1 + 0.62 * len(names))
    panels = figure.subplots(1, 3, sharey=True)
    titles = ("Balanced overall accuracy", "Producer's accuracy (recall)", "User's accuracy (precision)")
    for axes, title, key in zip(
        panels, titles, ("balanced_overall_accuracy", "producers_accuracy", "users_accuracy"), strict=True
    ):
        for row, name in enumerate(names):
            counts = [each.against_rest(target) for each in frames[name]]
            values = np.array([getattr(each, key) for each in counts if each.positives])
            _dots(axes, row, values[~np.isnan(values)], _PALETTE[row % len(_PALETTE)])
        axes.set_title(title, fontsize=11)
        axes.set_xlim(-0.02, 1.04)
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.45, -0.55)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x")
    panels[0].axvline(0.5, color=palette.QUIET, linewidth=0.9, linestyle=(0, (4, 3)))
    return figure


def _dots(axes: Axes, row: int, values: NDArray[np.float64], color: str) -> None:
    """Dots side by side in the order of their values, so that equal ones can be counted."""
    if not values.size:
        axes.text(0.5, row, "not defined in any frame", ha="center", va="center", color=palette.QUIET, fontsize=9.5)
        return
    shift = ((np.arange(values.size) * 0.618034) % 1 - 0.5) * 0.44
    axes.scatter(np.sort(values), row + shift, s=20, color=color, alpha=0.6, linewidths=0, zorder=2)
    median = float(np.median(values))
    axes.plot([median, median], [row - 0.33, row + 0.33], color=palette.INK, linewidth=2.2, zorder=3)
    axes.annotate(
        f"{median:.2f}", (median, row - 0.33), xytext=(0, 2), textcoords="offset points", ha="center", fontsize=9.5
    )


@style.styled
def threshold_figure(curves: Mapping[str, ThresholdCurve], chosen: Mapping[str, Sequence[float]]) -> Figure:
    """Balanced overall accuracy by threshold, and precision by recall, of single pixels of all frames.

    :param curves: Detector -> curve.
    :param chosen: Detector -> thresholds that its masks were made with.
    """
    figure = style.new_figure(4.3)
    left, right = figure.subplots(1, 2)
    for index, (name, curve) in enumerate(curves.items()):
        color = _PALETTE[index % len(_PALETTE)]
        counts = [curve.counts(each) for each in range(len(curve.thresholds))]
        balanced = [each.balanced_overall_accuracy for each in counts]
        recall, precision = [each.producers_accuracy for each in counts], [each.users_accuracy for each in counts]
        left.plot(curve.thresholds, balanced, color=color, label=name)
        right.plot(recall, precision, color=color, label=name)
        for threshold in chosen.get(name, ()):
            at = curve.nearest(threshold)
            left.plot(curve.thresholds[at], balanced[at], "o", color=color, markersize=7, markeredgecolor="white")
            right.plot(recall[at], precision[at], "o", color=color, markersize=7, markeredgecolor="white")
    left.set_xlabel("threshold")
    left.set_ylabel("balanced overall accuracy")
    left.set_xlim(0, 1)
    right.set_xlabel("producer's accuracy (recall)")
    right.set_ylabel("user's accuracy (precision)")
    right.set_xlim(0, 1.02)
    right.set_ylim(0, 1.02)
    right.legend(loc="lower left")
    for axes in (left, right):
        axes.grid()
    return figure


@style.styled
def confusion_figure(counts: Mapping[str, CloudConfusion]) -> Figure:
    """What became of each reference class, as shares of its pixels, detector by detector."""
    names = list(counts)
    figure = style.new_figure(0.9 + 1.25 * len(names))
    panels = figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
    for axes, name in zip(panels, names, strict=True):
        _stacked_shares(axes, counts[name])
        axes.set_title(name, fontsize=11)
    panels[-1].set_xlabel("share of the reference class")
    handles = [
        Patch(facecolor=_ANSWER_COLORS[index], label=label, edgecolor=palette.QUIET, linewidth=0.6)
        for index, label in enumerate((*(f"called {each}" for each in CLASSES), "no answer"))
    ]
    figure.legend(handles=handles, loc="outside upper right", ncols=4, handlelength=1.2, handleheight=1.2)
    return figure


_ANSWER_COLORS = (CLASS_COLORS[0], "#dfe3e0", CLASS_COLORS[2], AGREEMENT_COLORS[NO_ANSWER])


def _stacked_shares(axes: Axes, counts: CloudConfusion) -> None:
    present = [index for index in range(len(CLASSES)) if counts.support[index]]
    table = np.column_stack([counts.counts, counts.unanswered]) / np.maximum(counts.support, 1)[:, np.newaxis]
    for row, index in enumerate(present):
        left = 0.0
        for column, share in enumerate(table[index]):
            color = _ANSWER_COLORS[column]
            axes.barh(row, share, 0.72, left=left, color=color, edgecolor="white", linewidth=0.8)
            if share >= 0.04:
                text = f"{100 * share:.0f} %"
                axes.text(
                    left + share / 2, row, text, ha="center", va="center", fontsize=9.5, color=style.ink_on(color)
                )
            left += share if math.isfinite(share) else 0.0
    axes.set_yticks(range(len(present)), [f"{CLASSES[index]} ({counts.support[index]:,} px)" for index in present])
    axes.set_ylim(len(present) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter("{x:.0%}")
    axes.tick_params(axis="y", length=0)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
