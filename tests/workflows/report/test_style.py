"""The look of pictures: matplotlib's own settings, without those of the user."""

from __future__ import annotations

import warnings

import matplotlib as mpl

from eotasks.workflows.report import style


def test_starts_from_what_matplotlib_calls_its_defaults() -> None:
    with mpl.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the name of the list is to go
        from matplotlib.style.core import STYLE_BLACKLIST

        assert set(STYLE_BLACKLIST) <= style.NO_STYLE
        mpl.rcdefaults()
        expected = {name: mpl.rcParams[name] for name in mpl.rcParams if name not in style.NO_STYLE}
        mpl.rcParams["axes.facecolor"] = "red"
        dict.update(mpl.rcParams, style._defaults())
        assert {name: mpl.rcParams[name] for name in expected} == expected
