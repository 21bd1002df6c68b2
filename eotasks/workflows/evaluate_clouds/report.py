"""The report of an evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from eotasks.models.clouds.evaluation import Target, ThresholdCurve, accuracy
from eotasks.workflows.evaluate_clouds import pictures
from eotasks.workflows.evaluate_clouds.comparison.rows import cells_of, header_of, note, rows_of
from eotasks.workflows.evaluate_clouds.run import FrameView, Outcome
from eotasks.workflows.evaluate_clouds.scene_errors import SceneErrors
from eotasks.workflows.evaluate_clouds.tables import (
    FRAMES_HEADER,
    POOLED_HEADER,
    accuracies,
    frames_rows,
    number,
    pooled_rows,
)
from eotasks.workflows.report.page import Cell, KeyFigure, Report, Section
from eotasks.workflows.report.style import styled

SIMULATED = "Simulated data: says nothing about accuracy in the field."
PICTURE_DPI = 132

DEFINITIONS = """\
PA (producer's accuracy, recall) is the share of a class that was found, UA (user's accuracy, precision) the share of \
what was called the class that is it, BOA the mean of PA and of the share of the rest that was left alone: 0.5 for a \
constant answer. Each is taken of every frame and summed up by its median; pooled numbers are those of all pixels \
together. PA, UA and F1 are over the frames whose reference has the class, BOA over those that also have something \
else, as CloudSEN12 did; low, mid and high are the shares of frames below 0.1, from 0.1 to 0.9 and above 0.9. False \
alarms are what was called the class in frames without any. A labelled pixel without an answer is an error.
"""


def build_report(
    outcome: Outcome,
    figures: list[tuple[FrameView, Figure]],
    errors: Iterable[tuple[SceneErrors, Figure]],
    compared: Figure | None = None,
) -> Report:
    """The page.

    :param figures: Pictures of frames, those with most errors first.
    :param errors: Pictures of the errors of the outcome's scenes, in their order: the worst first. Each is let go
        before the next one is made.
    :param compared: The picture of all detectors beside each other, where there is one.
    """
    collection = outcome.collection
    frames = len({result.frame for result in outcome.results})
    names = ", ".join(contestant.name for contestant in outcome.contestants)
    report = Report(
        "Cloud masks judged by labels",
        subtitle=f"{names} on {collection.title}: {frames} labelled frames.",
        notices=[SIMULATED] if collection.simulated else [],
    )
    section = report.section("Accuracy")
    _add_scores(section, outcome)
    _add_comparison(report.section("Beside each other"), outcome, compared)
    _add_thresholds(report.section("Other thresholds"), outcome)
    _add_errors(report.section("Errors, scene by scene"), outcome, errors)
    _add_frames(report.section("Frames with most errors"), outcome, figures)
    _add_untold(report.section("Clouds whose shadows cannot be told"), outcome)
    _add_failures(report.section("What could not be judged"), outcome)
    report.sections = [each for each in report.sections if not each.empty]
    _add_methods(report.section("How it was done"), outcome)
    return report


def _caption(outcome: Outcome, text: str) -> str:
    return f"{text} {SIMULATED}" if outcome.collection.simulated else text


@styled  # ticks are made when a figure is drawn, with the settings of that moment
def _chart(section: Section, figure: Figure, caption: str, alt: str) -> None:
    section.figure(figure, caption, alt=alt, image_format="svg")


def _add_scores(section: Section, outcome: Outcome) -> None:
    clouds = {each.name: found for each, found in accuracies(outcome) if found.target == "cloud"}
    section.key_figures(
        KeyFigure(
            name,
            number(found.balanced_overall_accuracy.median, 2),
            f"BOA of cloud, median of {found.balanced_overall_accuracy.scenes} frames",
        )
        for name, found in clouds.items()
    )
    medians = _caption(outcome, "Accuracy by detector and class: medians over frames; false alarms are the mean.")
    section.table(FRAMES_HEADER, _cells(frames_rows(outcome)), medians)
    pooled = _caption(outcome, "All pixels of all frames together.")
    section.table(POOLED_HEADER, _cells(pooled_rows(outcome)), pooled, folded=True)
    section.text(DEFINITIONS)
    targets: tuple[Target, ...] = ("cloud", "shadow")
    for target in targets:
        judged = {each.name: outcome.of(each.name) for each, found in accuracies(outcome) if found.target == target}
        if judged:
            listed = ", ".join(
                f"{name} {number(accuracy(counts, target).balanced_overall_accuracy.median, 2)}"
                for name, counts in judged.items()
            )
            _chart(
                section,
                pictures.accuracy_figure(judged, target),
                _caption(outcome, f"{target.capitalize()} against the rest: a dot is a frame, the line their median."),
                f"Dot plot of accuracies of {target}; median BOA: {listed}.",
            )
    totals = {each.name: outcome.of(each.name) for each in outcome.contestants if outcome.of(each.name)}
    summed = {name: sum(counts[1:], counts[0]) for name, counts in totals.items()}
    _chart(
        section,
        pictures.confusion_figure(summed),
        _caption(outcome, "What became of each reference class, all frames together."),
        "Bars of the shares of each reference class that each detector called clear, cloud or shadow.",
    )


def _add_comparison(section: Section, outcome: Outcome, compared: Figure | None) -> None:
    rows = rows_of(outcome)
    if not rows:
        return
    if compared is not None:
        _map(
            section,
            compared,
            _caption(
                outcome, "Accuracy of each detector with its 95 % interval, its time, and how far each two agree."
            ),
            f"Medians with intervals, times and agreement of {', '.join(dict.fromkeys(row.detector for row in rows))}.",
        )
    section.table(header_of(rows), _cells(cells_of(rows)), _caption(outcome, note(rows)))


def _cells(rows: list[tuple[str, ...]]) -> list[list[Cell]]:
    return [[Cell(cell, number=index > 1) for index, cell in enumerate(row)] for row in rows]


def _add_thresholds(section: Section, outcome: Outcome) -> None:
    curves = _distinct(outcome)
    if not curves:
        return
    masks = {each.name: each.mask for each in outcome.contestants}
    in_use = {
        label: sorted({mask.threshold for name in names if (mask := masks[name]) is not None})
        for label, (names, _) in curves.items()
    }
    _chart(
        section,
        pictures.threshold_figure({label: curve for label, (_, curve) in curves.items()}, in_use),
        _caption(outcome, "Cloud probability of single pixels against the labels; dots are the thresholds in use."),
        "Line charts of balanced overall accuracy by threshold, and of precision by recall.",
    )
    section.table(
        ("probability of", "threshold", "", "BOA", "PA", "UA"),
        [row for label, (_, curve) in curves.items() for row in _threshold_rows(label, curve, in_use[label])],
        _caption(outcome, "Thresholds of single pixels, without smoothing and dilation."),
    )
    section.text(
        "The best threshold is that of these scenes: chosen on the labels that judge it, it flatters. Choose it on some"
        " scenes and judge it on others."
    )


def _distinct(outcome: Outcome) -> dict[str, tuple[list[str], ThresholdCurve]]:
    """Curves by the detectors that share them: masks of one probability differ, the curve does not."""
    groups: list[tuple[list[str], ThresholdCurve]] = []
    for name, curve in outcome.curves.items():
        same = next((names for names, other in groups if curve.equals(other)), None)
        if same is None:
            groups.append(([name], curve))
        else:
            same.append(name)
    return {", ".join(names): (names, curve) for names, curve in groups}


def _threshold_rows(label: str, curve: ThresholdCurve, in_use: Sequence[float]) -> list[list[Cell]]:
    best, _ = curve.best()
    rows = []
    for threshold, what in [*((each, "in use") for each in in_use), (best, "best here")]:
        counts = curve.counts(curve.nearest(threshold))
        scores = counts.balanced_overall_accuracy, counts.producers_accuracy, counts.users_accuracy
        numbers = [Cell(number(score), number=True) for score in scores]
        rows.append([Cell(label), Cell(f"{threshold:.2f}", number=True), Cell(what), *numbers])
    return rows


def _add_errors(section: Section, outcome: Outcome, errors: Iterable[tuple[SceneErrors, Figure]]) -> None:
    if outcome.scene_errors:
        left_out = len({result.scene for result in outcome.results}) - len(outcome.scene_errors)
        section.text(
            "One picture a scene, of its frame with most wrong pixels; the worst comes first."
            + (f" {left_out} scenes with fewer errors have none." if left_out > 0 else "")
        )
    for each, figure in errors:
        _map(
            section,
            figure,
            _caption(outcome, f"{each.frame}. What is true, false and missed, over the scene in grey."),
            f"True colour of {each.frame}, and maps of what {', '.join(each.maps)} found rightly, wrongly and not.",
        )


def _wrong(outcome: Outcome, view: FrameView) -> str:
    """What each detector got wrong of a frame: of cloud, or of shadow where its clouds are given."""
    targets = {each.name: each.targets for each in outcome.contestants}
    kinds: dict[str, Target] = {name: "cloud" if "cloud" in targets[name] else "shadow" for name in view.confusions}
    shares = {
        name: 100 * (1 - each.against_rest(kinds[name]).overall_accuracy) for name, each in view.confusions.items()
    }
    words = (
        f"Pixels whose {kind} is wrong: "
        + ", ".join(f"{name} {share:.1f} %" for name, share in shares.items() if kinds[name] == kind)
        for kind in dict.fromkeys(kinds.values())
    )
    return ". ".join(words)


def _add_frames(section: Section, outcome: Outcome, figures: list[tuple[FrameView, Figure]]) -> None:
    if figures:
        section.text(
            "Chosen by number, not by eye: the frames in which the worst detector got most labelled pixels wrong."
            " They are the hardest of these scenes, not typical ones."
        )
    for view, figure in figures:
        _map(
            section,
            figure,
            _caption(outcome, f"{view.frame}. {_wrong(outcome, view)}."),
            f"True colour, reference, cloud probability and agreement maps of {view.frame}.",
        )


@styled
def _map(section: Section, figure: Figure, caption: str, alt: str) -> None:
    section.figure(figure, caption, alt=alt, dpi=PICTURE_DPI)


def _add_untold(section: Section, outcome: Outcome) -> None:
    if outcome.untold:
        section.table(
            ("scene", "detector", "frame and reason"),
            [(each.scene, each.detector, each.message) for each in outcome.untold],
            "In the numbers these frames are without shadow.",
        )


def _add_failures(section: Section, outcome: Outcome) -> None:
    if outcome.failures:
        section.table(
            ("scene", "detector", "reason"),
            [(failure.scene, failure.detector or "all", failure.error) for failure in outcome.failures],
            "Scenes and detectors that are not in the numbers.",
        )


def _add_methods(section: Section, outcome: Outcome) -> None:
    rows = [(each.name, each.detector.description, each.describe()) for each in outcome.contestants]
    section.table(("detector", "what it does", "settings"), rows, "The detectors.")
    if outcome.collection.attribution:
        section.text(outcome.collection.attribution)


@styled
def save_picture(figure: Figure, path: Path) -> None:
    """Write a picture of a frame as PNG; the same picture gives the same bytes."""
    figure.savefig(path, format="png", dpi=PICTURE_DPI, facecolor="white", metadata={"Software": None})
