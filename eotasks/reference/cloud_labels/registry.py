"""Which data sets of labels there are."""

from __future__ import annotations

from collections.abc import Mapping

from eotasks.errors import ConfigurationError
from eotasks.reference.cloud_labels.protocol import LabelSet
from eotasks.reference.cloud_labels.sets.cloudsen12 import CLOUDSEN12
from eotasks.reference.cloud_labels.sets.cloudsen12_high import CLOUDSEN12_HIGH
from eotasks.reference.cloud_labels.sets.cloudsen12_plus import CLOUDSEN12_PLUS
from eotasks.reference.cloud_labels.sets.hollstein import HOLLSTEIN
from eotasks.reference.cloud_labels.sets.kappazeta import KAPPAZETA
from eotasks.reference.cloud_labels.sets.mask_catalogue import MASK_CATALOGUE
from eotasks.reference.cloud_labels.sets.pixbox import PIXBOX
from eotasks.text import did_you_mean

LABEL_SETS: Mapping[str, LabelSet] = {
    each.name: each
    for each in (CLOUDSEN12, CLOUDSEN12_HIGH, CLOUDSEN12_PLUS, KAPPAZETA, MASK_CATALOGUE, PIXBOX, HOLLSTEIN)
}
"""Name -> data set, in the order of the help."""

_WIDTH = 22


def find_label_set(name: str) -> LabelSet:
    """A data set by its name.

    :raises ConfigurationError: there is none of that name.
    """
    if name not in LABEL_SETS:
        raise ConfigurationError(
            f"data set of labels {name!r} is unknown{did_you_mean(name, LABEL_SETS)}: there are"
            f" {', '.join(LABEL_SETS)}."
        )
    return LABEL_SETS[name]


def label_set_list() -> str:
    """A line for each, for the help."""
    return "\n".join(f"  {each.name:<{_WIDTH}}{each.layout}" for each in LABEL_SETS.values())
