"""One look for all pictures: fonts, colours and axes. No global state of matplotlib is left behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache, wraps
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
import matplotlib.dates as mdates
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

from eotasks.workflows.report import palette

P = ParamSpec("P")
T = TypeVar("T")

CHART_WIDTH = 10.0
"""Inches: the width of a chart or map on the page's widest column."""

_MICROSECONDS_PER_DAY = 86_400_000_000
_FONTS = ("Inter", "Source Sans 3", "Source Sans Pro", "Helvetica Neue", "Arial", "Liberation Sans")


@lru_cache(maxsize=1)
def _style() -> Any:  # a dict; how its keys are typed differs between releases of matplotlib
    installed = set(font_manager.fontManager.get_font_names())
    return {
        "font.family": [*[name for name in _FONTS if name in installed][:1], "DejaVu Sans"],
        "font.size": 11,
        "axes.titlesize": 12,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.titlepad": 9,
        "axes.labelsize": 11,
        "axes.labelcolor": palette.INK,
        "axes.edgecolor": palette.QUIET,
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.grid": False,
        "axes.unicode_minus": True,
        "grid.color": palette.RULE,
        "grid.linewidth": 0.8,
        "text.color": palette.INK,
        "text.parse_math": False,  # a $ in a name is a $
        "xtick.color": palette.QUIET,
        "ytick.color": palette.QUIET,
        "xtick.labelcolor": palette.INK,
        "ytick.labelcolor": palette.INK,
        "xtick.labelsize": 10,
        "ytick.labelsize": 10,
        "legend.frameon": False,
        "legend.fontsize": 10,
        "lines.linewidth": 2,
        "figure.facecolor": "white",
        "figure.constrained_layout.w_pad": 0.08,
        "figure.constrained_layout.h_pad": 0.08,
        "image.interpolation": "nearest",
    }


def styled(draw: Callable[P, T]) -> Callable[P, T]:
    """Draw in the report's style and restore matplotlib's settings afterwards."""

    @wraps(draw)
    def in_style(*args: P.args, **kwargs: P.kwargs) -> T:
        with mpl.rc_context():
            mpl.rcdefaults()  # a user's matplotlibrc must not change the report
            mpl.rcParams.update(_style())
            return draw(*args, **kwargs)

    return in_style


def new_figure(height: float, width: float = CHART_WIDTH) -> Figure:
    """An empty figure of this size in inches with constrained layout."""
    return Figure(figsize=(width, height), layout="constrained")


def readable(color: str, contrast: float = 2.6) -> str:
    """Darken a colour until it stands out on white: yellow lines are invisible otherwise.

    :param contrast: least contrast ratio to white, 1..21, as in WCAG 2.
    """
    rgb = np.array(to_rgb(color))
    while 1.05 / (_luminance(rgb) + 0.05) < contrast:
        rgb = rgb * 0.95
    return str(to_hex(tuple(rgb)))


def ink_on(color: str) -> str:
    """Black or white, whichever is read better on the colour."""
    return palette.INK if _luminance(np.array(to_rgb(color))) > 0.32 else "white"


def _luminance(rgb: NDArray[Any]) -> float:
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ np.array([0.2126, 0.7152, 0.0722]))


def pretty(name: str) -> str:
    """A class name for people: ``CULTIVATED_LAND`` becomes ``Cultivated land``."""
    text = name.replace("_", " ").strip()
    return text.capitalize() if text.isupper() and len(text) > 3 else text


def date_axis(axes: Axes, times: Sequence[datetime]) -> None:
    """Months on the x axis, with the years where they change; a little air on both sides."""
    dates: Any = mdates  # parts of it have no type hints
    locator = dates.AutoDateLocator(minticks=4, maxticks=12)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))
    if times:
        first, last = min(times), max(times)
        margin = max((last - first) * 0.02, timedelta(days=3))
        low, high = time_values([first - margin, last + margin])
        axes.set_xlim(float(low), float(high))


def time_values(times: Sequence[datetime]) -> NDArray[np.float64]:
    """Times as matplotlib's axes count them: days since 1970."""
    return np.asarray(times, "datetime64[us]").astype(np.int64) / _MICROSECONDS_PER_DAY
