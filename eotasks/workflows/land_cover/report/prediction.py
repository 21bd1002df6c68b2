"""Pictures of the result: the predicted map, how sure the model is, and a window to look at closely."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from eotasks.models.classes import ClassTable
from eotasks.workflows.land_cover.report import area
from eotasks.workflows.land_cover.report.chapter import Chapter
from eotasks.workflows.land_cover.report.results import Inspection
from eotasks.workflows.report import maps, palette, style
from eotasks.workflows.report.raster import Raster

_AGREE, _DIFFER = "#9fc8e0", "#c2410c"


def add(chapter: Chapter) -> None:
    """Add the predicted map, the scores, and the inspection window."""
    result = chapter.result
    prediction = chapter.layer("PREDICTION", "Predicted map")
    if prediction is not None and result.classes is not None:
        shares = maps.class_shares(prediction.values, result.classes)
        chapter.map(
            area.classes_figure(prediction, result.classes, result.crs),
            "Predicted land cover. Percentages in the legend are shares of the predicted area.",
            alt="Map of the predicted land cover. " + area.describe_shares(shares, result.classes),
        )
    if "CONFIDENCE" in result.maps:
        _add_confidence(chapter, result.maps["CONFIDENCE"])
    if result.inspection is None or result.classes is None:
        chapter.miss("inspection", "Reference, prediction, difference and true colour side by side")
    else:
        _add_inspection(chapter, result.inspection, result.classes)


def _add_confidence(chapter: Chapter, raster: Raster) -> None:
    known = raster.values[np.isfinite(raster.values)]
    median = float(np.median(known)) if known.size else math.nan
    chapter.map(
        confidence_figure(raster, chapter.result.crs),
        f"Score of the predicted class, as the model gives it (not calibrated); median {median:.2f}.",
        alt=f"Map of the score of the predicted class, median {median:.2f}.",
    )


@style.styled
def confidence_figure(raster: Raster, crs: str) -> Figure:
    """Score of the predicted class."""
    figure, axes = maps.map_figure(raster.bounds, crs)
    maps.show_quantity(axes, raster, crs, label="score", colormap="cividis", limits=(0.0, 1.0))
    maps.scale_bar(axes, crs)
    return figure


def _add_inspection(chapter: Chapter, window: Inspection, classes: ClassTable) -> None:
    difference = compare(window.reference, window.prediction)
    labelled = int(np.count_nonzero(difference))
    differing = int(np.count_nonzero(difference == 2))
    where = f" in {window.label}" if window.label else ""
    share = "no pixel is labelled"
    if labelled:
        share = f"{differing / labelled:.1%} of the {labelled:,} labelled pixels differ"
    date = f" (true colour of {palette.day(window.time)})" if window.true_color is not None and window.time else ""
    height, width = window.reference.shape
    chapter.map(
        inspection_figure(window, classes, chapter.result.crs),
        f"A window of {width} × {height} pixels{where}: {share}{date}. Some may have been training samples.",
        alt=f"Four maps of one window side by side: reference, prediction, their difference, true colour; {share}.",
    )
    if window.true_color is None:
        chapter.miss("TRUE_COLOR", "True colour of the inspected window")


def compare(reference: NDArray[np.integer], prediction: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Compare two maps of class ids: 0 not comparable (either is 0), 1 equal, 2 different. (h, w) uint8."""
    result = np.where(reference == prediction, 1, 2).astype(np.uint8)
    result[(reference == 0) | (prediction == 0)] = 0
    return result


@style.styled
def inspection_figure(window: Inspection, classes: ClassTable, crs: str) -> Figure:
    """Reference, prediction, difference and true colour of one window."""
    ratio = (window.bounds[3] - window.bounds[1]) / (window.bounds[2] - window.bounds[0])
    figure = style.new_figure(9.0 * ratio + 1.1, 9.4)
    panels: list[Axes] = list(figure.subplots(2, 2, sharex=True, sharey=True).ravel())
    for axes, title in zip(panels, ("Reference", "Prediction", "Difference", "True colour"), strict=True):
        maps.frame(axes, window.bounds, crs, labels=False)
        axes.set_title(title)
    panels[3].set_visible(window.true_color is not None)
    maps.show_classes(panels[0], Raster(window.reference, window.bounds), classes, crs)
    maps.show_classes(panels[1], Raster(window.prediction, window.bounds), classes, crs)
    colormap, norm = maps.categories((palette.NO_DATA_COLOR, _AGREE, _DIFFER))
    difference = compare(window.reference, window.prediction)
    maps.show(panels[2], difference, window.bounds, crs, cmap=colormap, norm=norm)
    if window.true_color is not None:
        maps.show(panels[3], maps.true_color_image(window.true_color), window.bounds, crs)
    maps.scale_bar(panels[0], crs, dark=True)
    figure.legend(handles=_legend(window, classes), loc="outside lower left", ncols=5, fontsize=9.5)
    return figure


def _legend(window: Inspection, classes: ClassTable) -> list[Patch]:
    present = set(np.unique(window.reference).tolist()) | set(np.unique(window.prediction).tolist())
    entries = [(item.color, style.pretty(item.name)) for item in classes if item.id and item.id in present]
    entries += [(_AGREE, "same class"), (_DIFFER, "other class"), (palette.NO_DATA_COLOR, "no label")]
    return [Patch(facecolor=color, edgecolor=palette.QUIET, linewidth=0.6, label=label) for color, label in entries]
