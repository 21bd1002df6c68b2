"""What published labels tell apart, and what of it is judged: clear, cloud and shadow.

Data sets number their classes each in its own way. A table of each names them with the words here; what is judged by
them is one rule for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, get_args

from eotasks.errors import ConfigurationError
from eotasks.text import did_you_mean

LabelClass = Literal[
    "clear", "water", "snow", "cloud", "thick cloud", "thin cloud", "shadow", "not known", "no data"
]  # fmt: skip
"""A class of a pixel. "cloud" is one of which nobody said how thick it is; "not known" was looked at in vain."""

ThinCloud = Literal["cloud", "ignore"]
"""What thin cloud counts as: cloud, or nothing that is judged."""

Judged = Literal["clear", "cloud", "shadow", "ignore"]

JUDGED_AS: Mapping[LabelClass, Judged] = MappingProxyType(
    {
        "clear": "clear",
        "water": "clear",
        "snow": "clear",
        "cloud": "cloud",
        "thick cloud": "cloud",
        "thin cloud": "cloud",
        "shadow": "shadow",
        "not known": "ignore",
        "no data": "ignore",
    }
)
"""Water and snow are ground that is in view; cloud of any thickness is cloud."""

NO_DATA_LABEL = 255
"""Label of what a reader itself leaves without one: pixels between labelled points, the rim of an arrangement."""


def judged_as(classes: Mapping[int, LabelClass], *, thin_cloud: ThinCloud = "cloud") -> dict[int, Judged]:
    """What each number of a data set is judged as.

    :param classes: Number -> class.
    :param thin_cloud: "ignore" leaves thin cloud out, as comparisons of thick clouds alone do.
    :raises ConfigurationError: another word than these two.
    """
    if thin_cloud not in get_args(ThinCloud):
        known = get_args(ThinCloud)
        raise ConfigurationError(
            f"thin_cloud={thin_cloud!r} is unknown{did_you_mean(thin_cloud, known)}: give {' or '.join(known)}."
        )
    rules: dict[LabelClass, Judged] = {**JUDGED_AS, "thin cloud": thin_cloud}
    return {value: rules[name] for value, name in classes.items()}
