"""Pictures of where: the area of interest, its patches, and the reference labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import patheffects
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from eotasks.models.classes import ClassTable
from eotasks.workflows.land_cover.plan import Role
from eotasks.workflows.land_cover.report.chapter import Chapter
from eotasks.workflows.land_cover.report.results import ChainResult, PatchArea
from eotasks.workflows.report import ground, maps, palette, style
from eotasks.workflows.report.raster import Bounds, Raster

_ROLES: dict[Role, tuple[str, str]] = {
    "train": ("training", palette.SKY),
    "test": ("test", palette.ORANGE),
    "blocks": ("training and test, by blocks", palette.GREEN),
    "none": ("map only", "#ffffff"),
}
_FAILED: dict[str, Any] = {"facecolor": palette.VERMILION, "hatch": "//"}
_OUTLINE = "#7b3294"


def add(chapter: Chapter) -> None:
    """Add the grid of patches and the reference map."""
    result = chapter.result
    if result.patches or result.outline:
        chapter.map(grid_figure(result), _grid_caption(result), alt=_grid_alt(result), real=True)
    else:
        chapter.miss("patches", "Area and patches")
    if result.patches and not result.outline:
        chapter.miss("outline", "Outline of the area of interest")
    reference = chapter.layer("REFERENCE", "Reference map")
    if reference is not None and result.classes is not None:
        shares = maps.class_shares(reference.values, result.classes)
        covered = reference.values if reference.covered is None else reference.values[reference.covered]
        labelled = np.count_nonzero(covered) / max(covered.size, 1)
        chapter.map(
            classes_figure(reference, result.classes, result.crs, result.patches),
            f"Reference labels; {labelled:.0%} of the pixels of the patches have one. Percentages in the legend are "
            "shares of the labelled area. Pixels without a label are no class.",
            alt="Map of the reference labels. " + describe_shares(shares, result.classes),
            real=True,
        )


@style.styled
def grid_figure(result: ChainResult) -> Figure:
    """The area of interest and the patches, coloured by what they are for."""
    bounds = _padded(extent(result))
    figure, axes = maps.map_figure(bounds, result.crs, legend=True, max_height=3.5 if len(result.patches) == 1 else 6.4)
    axes.set_facecolor("white")
    for patch in result.patches:
        fill: dict[str, Any] = _FAILED if patch.failed else {"facecolor": _ROLES[patch.role][1]}
        maps.draw_boxes(axes, [patch.bounds], result.crs, alpha=0.55, edgecolor=palette.INK, linewidth=0, **fill)
    boxes = [patch.bounds for patch in result.patches]
    maps.draw_boxes(axes, boxes, result.crs, facecolor="none", edgecolor=palette.INK, linewidth=0.7)
    scale = ground.Axis(result.crs).scale
    for ring in result.outline:
        axes.plot(ring[:, 0] / scale, ring[:, 1] / scale, color=_OUTLINE, linewidth=1.8)
    _label_patches(axes, figure.get_figwidth(), result)
    maps.place_legend(axes, _grid_legend(result), below=maps.is_wide(bounds, result.crs))
    return figure


def _label_patches(axes: Axes, width: float, result: ChainResult) -> None:
    names = maps.short_names([patch.name for patch in result.patches])
    if not names:
        return
    scale = ground.Axis(result.crs).scale
    left, right = axes.get_xlim()
    points = width * 72 * 0.85
    widest = max(len(name) for name in names)
    patch_points = min((p.bounds[2] - p.bounds[0]) / scale for p in result.patches) / (right - left) * points
    size = min(10.0, patch_points * 0.85 / (0.62 * widest))
    if size < 5:
        return
    for patch, name in zip(result.patches, names, strict=True):
        x, y = (patch.bounds[0] + patch.bounds[2]) / 2 / scale, (patch.bounds[1] + patch.bounds[3]) / 2 / scale
        halo = [patheffects.withStroke(linewidth=2.5, foreground="white", alpha=0.7)]
        axes.text(x, y, name, ha="center", va="center", fontsize=size, color=palette.INK, path_effects=halo)


def _grid_legend(result: ChainResult) -> list[Artist]:
    handles: list[Artist] = []
    for role, (label, color) in _ROLES.items():
        count = sum(patch.role == role and not patch.failed for patch in result.patches)
        if count:
            text = f"{label} ({count})"
            handles.append(Patch(facecolor=color, alpha=0.55, edgecolor=palette.INK, linewidth=0.7, label=text))
    failed = sum(patch.failed for patch in result.patches)
    if failed:
        handles.append(Patch(**_FAILED, alpha=0.55, edgecolor=palette.INK, linewidth=0.7, label=f"failed ({failed})"))
    if result.outline:
        handles.append(Line2D([], [], color=_OUTLINE, linewidth=1.8, label="area of interest"))
    return handles


@style.styled
def classes_figure(raster: Raster, classes: ClassTable, crs: str, patches: Sequence[PatchArea] = ()) -> Figure:
    """A map of classes with its legend and the shares of the classes."""
    figure, axes = maps.map_figure(raster.bounds, crs, legend=True)
    maps.show_classes(axes, raster, classes, crs)
    boxes = [patch.bounds for patch in patches]
    maps.draw_boxes(axes, boxes, crs, facecolor="none", edgecolor=palette.INK, linewidth=0.4, alpha=0.5)
    maps.scale_bar(axes, crs, dark=True)
    shares = maps.class_shares(raster.values, classes)
    maps.class_legend(axes, classes, shares, below=maps.is_wide(raster.bounds, crs))
    return figure


def describe_shares(shares: dict[int, float], classes: ClassTable) -> str:
    """The classes of a map with their shares, greatest first, for alt texts."""
    ordered = sorted(shares.items(), key=lambda item: -item[1])
    return ", ".join(f"{style.pretty(classes.name_of(class_id))} {share:.1%}" for class_id, share in ordered) + "."


def extent(result: ChainResult) -> Bounds:
    """Bounds around the patches and the area of interest."""
    bounds = [patch.bounds for patch in result.patches]
    for ring in result.outline:
        low, high = ring.min(axis=0), ring.max(axis=0)
        bounds.append((float(low[0]), float(low[1]), float(high[0]), float(high[1])))
    return maps.union(bounds)


def _padded(bounds: Bounds) -> Bounds:
    margin = 0.04 * max(bounds[2] - bounds[0], bounds[3] - bounds[1])
    return bounds[0] - margin, bounds[1] - margin, bounds[2] + margin, bounds[3] + margin


def _grid_caption(result: ChainResult) -> str:
    count, bounds = len(result.patches), extent(result)
    words = [f"The area in {count} patch{'es' if count != 1 else ''}, {result.crs or 'coordinate system not given'}"]
    if not ground.Axis(result.crs).geographic:
        words.append(f"{(bounds[2] - bounds[0]) / 1000:.1f} × {(bounds[3] - bounds[1]) / 1000:.1f} km")
    place = ground.centre(bounds, result.crs)
    return ", ".join([*words, *([f"centre {place}"] if place else [])]) + "."


def _grid_alt(result: ChainResult) -> str:
    roles = [
        f"{count} for {label}"
        for role, (label, _) in _ROLES.items()
        if (count := sum(patch.role == role for patch in result.patches))
    ]
    return f"Map of the area of interest with {len(result.patches)} patches: {', '.join(roles) or 'none'}."
