"""Pictures of what was observed: true colour, clouds, valid counts, NDVI, and the acquisitions themselves."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from eotasks.workflows.land_cover.report.chapter import Chapter
from eotasks.workflows.land_cover.report.results import ChainResult, Frame, NdviSeries
from eotasks.workflows.report import ground, maps, palette, style
from eotasks.workflows.report.page import Cell, CellValue
from eotasks.workflows.report.raster import Raster

_CLOUD = ("#cfe3d4", "#7b3294")
_NO_DATA = 255
_LIGHT = "YlGn"
_CLP_LIMIT = 0.3


def add(chapter: Chapter) -> None:
    """Add the maps of the observations, the NDVI of one place, and the list of acquisitions."""
    _add_true_color(chapter)
    _add_cloud_mask(chapter)
    _add_frames(chapter)
    _add_valid_count(chapter)
    _add_mean_clp(chapter)
    _add_mean_ndvi(chapter)
    _add_ndvi_series(chapter)


def _add_true_color(chapter: Chapter) -> None:
    raster = chapter.layer("TRUE_COLOR", "True colour")
    if raster is not None:
        date = f" of {palette.day(raster.time)}" if raster.time else ""
        chapter.map(
            true_color_figure(raster, chapter.result.crs),
            f"True colour (B04, B03, B02){date}; reflectance × {maps.TRUE_COLOR_GAIN:g}.",
            alt=f"True colour image{date} of the whole area.",
        )


@style.styled
def true_color_figure(raster: Raster, crs: str) -> Figure:
    """True colour of the whole area."""
    figure, axes = maps.map_figure(raster.bounds, crs)
    small = ground.decimate(raster, mean=True)
    maps.show(axes, maps.true_color_image(small.values), small.bounds, crs)
    maps.scale_bar(axes, crs)
    return figure


def _add_cloud_mask(chapter: Chapter) -> None:
    result = chapter.result
    if "CLOUD_MASK" not in result.maps and len(result.frames) != 1:
        return  # a mask of one date belongs to a single acquisition; nobody misses it in a year
    raster = chapter.layer("CLOUD_MASK", "Cloud mask")
    if raster is not None:
        known = raster.values != _NO_DATA
        share = float((raster.values[known] != 0).mean()) if known.any() else math.nan
        if share == 0 and len(result.frames) > 1:
            return  # the date was chosen because it is clear: a map of one colour shows nothing
        date = f" of {palette.day(raster.time)}" if raster.time else ""
        chapter.map(
            cloud_mask_figure(raster, result.crs),
            f"Cloud mask{date}: {share:.1%} of the pixels with data are flagged as cloud.",
            alt=f"Map of the cloud mask{date}, {share:.0%} cloud.",
        )


@style.styled
def cloud_mask_figure(raster: Raster, crs: str) -> Figure:
    """Clear and cloudy pixels of one date."""
    figure, axes = maps.map_figure(raster.bounds, crs, legend=True)
    small = ground.decimate(raster, mean=False)
    image = np.ma.masked_equal(small.values.astype(np.uint8), _NO_DATA)
    colormap, norm = maps.categories(_CLOUD)
    maps.show(axes, image, small.bounds, crs, cmap=colormap, norm=norm)
    maps.scale_bar(axes, crs, dark=True)
    labels = zip((*_CLOUD, palette.NO_DATA_COLOR), ("clear", "cloud", "no data"), strict=True)
    handles = [Patch(facecolor=color, edgecolor=palette.QUIET, linewidth=0.6, label=text) for color, text in labels]
    maps.place_legend(axes, handles, below=maps.is_wide(raster.bounds, crs))
    return figure


def _add_valid_count(chapter: Chapter) -> None:
    raster = chapter.layer("VALID_COUNT", "Valid observations per pixel")
    if raster is not None and np.isfinite(raster.values).any():
        known = raster.values[np.isfinite(raster.values)]
        low, high, middle = int(known.min()), int(known.max()), float(np.median(known))
        chapter.map(
            quantity_figure(
                raster, chapter.result.crs, "valid observations", "inferno", (low, max(high, low + 1)), True
            ),
            f"Valid observations per pixel: between {low} and {high}, median {middle:g}.",
            alt=f"Map of the number of valid observations per pixel, {low} to {high}, median {middle:g}.",
        )


def _add_mean_clp(chapter: Chapter) -> None:
    raster = chapter.layer("MEAN_CLP", "Mean cloud probability")
    if raster is not None:
        several = len(chapter.result.frames) != 1
        limits, extend = ((0.0, clp_limit(raster)), "max") if several else ((0.0, 1.0), "neither")
        mean = _mean(raster)
        what = "Mean cloud probability over all acquisitions" if several else "Cloud probability"
        chapter.map(
            quantity_figure(raster, chapter.result.crs, "cloud probability", "inferno", limits, extend=extend),
            f"{what}; area mean {mean:.2f}."
            + (f" Values above {limits[1]:g} share the brightest colour." if extend == "max" else ""),
            alt=f"Map of the {what.lower()}, area mean {mean:.2f}.",
        )


def clp_limit(raster: Raster) -> float:
    """Upper end of the colours: 0.3 as in the Slovenian example, more where that would saturate a twentieth or more."""
    known = raster.values[np.isfinite(raster.values)]
    high = float(np.percentile(known, 95)) if known.size else 0.0
    return _CLP_LIMIT if high <= _CLP_LIMIT else min(math.ceil(high * 10) / 10, 1.0)


def _add_mean_ndvi(chapter: Chapter) -> None:
    raster = chapter.layer("MEAN_NDVI", "Mean NDVI over time")
    if raster is not None:
        several = len(chapter.result.frames) != 1
        mean, label = _mean(raster), "mean NDVI" if several else "NDVI"
        chapter.map(
            quantity_figure(raster, chapter.result.crs, label, _LIGHT, (0.0, 0.8), extend="both"),
            f"NDVI{', mean over the valid observations' if several else ' where valid'}; area mean {mean:.2f}.",
            alt=f"Map of the {label}{' over time' if several else ''}, area mean {mean:.2f}.",
        )


@style.styled
def quantity_figure(
    raster: Raster,
    crs: str,
    label: str,
    colormap: str,
    limits: tuple[float, float],
    whole: bool = False,
    *,
    extend: str = "neither",
) -> Figure:
    """A map of one quantity with a colour bar."""
    figure, axes = maps.map_figure(raster.bounds, crs)
    maps.show_quantity(axes, raster, crs, label=label, colormap=colormap, limits=limits, extend=extend, whole=whole)
    maps.scale_bar(axes, crs, dark=colormap == _LIGHT)
    return figure


def _mean(raster: Raster) -> float:
    known = raster.values[np.isfinite(raster.values)]
    return float(known.mean()) if known.size else math.nan


def _add_ndvi_series(chapter: Chapter) -> None:
    series = chapter.result.ndvi_series
    if series is None or len(series.times) < 2:
        why = "one observation is no time series" if series is not None else ""
        chapter.miss("ndvi_series", "NDVI of one place over time", why)
        return
    masked = int(np.count_nonzero(series.masked))
    curve = "; the curve is what the model sees" if series.curve is not None else ""
    chapter.chart(
        ndvi_series_figure(series),
        f"NDVI of {series.label}: {len(series.times)} observations, {masked} of them masked{curve}.",
        alt=f"Chart of the NDVI of {series.label} over time: {len(series.times)} observations, {masked} masked, "
        "and the cleaned curve.",
    )


@style.styled
def ndvi_series_figure(series: NdviSeries) -> Figure:
    """NDVI with and without cloud cleaning."""
    figure = style.new_figure(4.3)
    axes = figure.subplots()
    times = style.time_values(series.times)
    order = np.argsort(times)
    axes.plot(times[order], series.ndvi[order], color=palette.QUIET, linewidth=1, alpha=0.6, label="without cleaning")
    if series.curve is not None:
        curve_times = style.time_values(series.curve_times)
        if series.spread is not None:
            low, high = series.curve - series.spread, series.curve + series.spread
            axes.fill_between(
                curve_times, low, high, color=palette.GREEN, alpha=0.16, linewidth=0, label="± 1 standard deviation"
            )
        axes.plot(curve_times, series.curve, color=palette.GREEN, label="cleaned and resampled")
    clear, masked = ~series.masked, series.masked
    axes.plot(times[clear], series.ndvi[clear], "o", color=palette.GREEN, mec="white", ms=7, label="valid observation")
    axes.plot(
        times[masked], series.ndvi[masked], "x", color=palette.VERMILION, ms=7, mew=1.8, label="masked observation"
    )
    axes.set_ylabel("NDVI")
    axes.grid(axis="y")
    style.date_axis(axes, [*series.times, *(series.curve_times if series.curve is not None else ())])
    figure.legend(loc="outside lower left", ncols=5, columnspacing=1.2, handletextpad=0.5, fontsize=9.5)
    return figure


def _add_frames(chapter: Chapter) -> None:
    result = chapter.result
    if not result.frames:
        chapter.miss("frames", "Acquisitions and their valid share")
        return
    used = sum(frame.kept > 0 for frame in result.frames)
    if len(result.frames) > 1:
        chapter.chart(
            frames_figure(result),
            f"Valid share of each of the {len(result.frames)} acquisitions; {used} are used{_filter_note(result)}.",
            alt=f"Chart of the valid share by date; {used} of {len(result.frames)} acquisitions are used.",
        )
    rows: list[list[CellValue]] = [
        [f"{frame.time:%Y-%m-%d %H:%M}", Cell(f"{frame.valid_fraction:.1%}", number=True), frame.kept, frame.patches]
        for frame in result.frames
    ]
    header = ["Acquisition (UTC)", "Valid share", "Kept by patches", "Of patches"]
    chapter.table(header, rows, "Acquisitions, their mean valid share and the patches that kept them.", folded=True)


def _filter_note(result: ChainResult) -> str:
    if result.min_valid_fraction is None:
        return ""
    return f" by at least one patch, where more than {result.min_valid_fraction:.0%} is valid"


@style.styled
def frames_figure(result: ChainResult) -> Figure:
    """Valid share by date, and which acquisitions were kept."""
    frames = sorted(result.frames, key=lambda frame: frame.time)
    figure = style.new_figure(3.1)
    axes = figure.subplots()
    groups: list[tuple[str, str, str, list[Frame]]] = [
        (palette.BLUE, "o", "used by all patches", [f for f in frames if f.kept >= f.patches]),
        (palette.SKY, "o", "used by some patches", [f for f in frames if 0 < f.kept < f.patches]),
        (palette.VERMILION, "x", "left out", [f for f in frames if not f.kept]),
    ]
    for color, marker, label, members in groups:
        if members:
            _stems(axes, members, color, marker, f"{label} ({len(members)})")
    if result.min_valid_fraction is not None:
        axes.axhline(
            result.min_valid_fraction, color=palette.INK, linewidth=1, linestyle=(0, (4, 3)), label="threshold"
        )
    axes.set_ylim(0, 1.06)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_ylabel("valid pixels")
    style.date_axis(axes, [frame.time for frame in frames])
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.13), ncols=4)
    return figure


def _stems(axes: Axes, frames: list[Frame], color: str, marker: str, label: str) -> None:
    times = style.time_values([frame.time for frame in frames])
    values = np.array([frame.valid_fraction for frame in frames])
    axes.vlines(times, 0, values, color=color, linewidth=2.2, alpha=0.75)
    axes.plot(times, values, marker, color=color, ms=6, mew=1.8, label=label, clip_on=False)
