"""Maps of where a mask and its reference agree."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from eotasks.models.clouds.evaluation.labels import CLASSES, SHADOW, Target, checked, positive_classes
from eotasks.models.clouds.postprocess import CLEAR, NO_DATA

NOT_JUDGED, TRUE_NEGATIVE, TRUE_POSITIVE, FALSE_POSITIVE, FALSE_NEGATIVE, NO_ANSWER = range(6)
"""Values of an agreement map."""

AGREEMENT_COLORS: Mapping[int, str] = {
    TRUE_POSITIVE: "#f4f5f2",
    FALSE_POSITIVE: "#d55e00",
    FALSE_NEGATIVE: "#56b4e9",
    TRUE_NEGATIVE: "#3f474d",
    NO_ANSWER: "#cc79a7",
    NOT_JUDGED: "#c3c8c6",
}
"""Right in white (found) and dark grey, errors in two colours of Okabe and Ito that the colour-blind tell apart."""


UNJUDGED, RIGHT_CLEAR, RIGHT_CLOUD, RIGHT_SHADOW, FALSE, MISSED, MIXED_UP, UNANSWERED = range(8)
"""Values of an error map."""

ERROR_COLORS: Mapping[int, str] = {
    RIGHT_CLOUD: "#009e73",
    RIGHT_SHADOW: "#00614a",
    FALSE: "#d55e00",
    MISSED: "#56b4e9",
    MIXED_UP: "#cc79a7",
    UNANSWERED: "#f0e442",
}
"""Of what is drawn over a scene; the rest of it is seen as it is."""


def agreement(
    reference: NDArray[np.generic],
    mask: NDArray[np.generic],
    target: Target = "cloud",
    *,
    where: str = "the mask",
) -> NDArray[np.uint8]:
    """Where mask and reference agree on a class.

    :param reference: uint8, any shape, as for :func:`confusion`.
    :param mask: The same.
    :return: uint8: 0 not judged, 1 true negative, 2 true positive, 3 false positive, 4 false negative, 5 no answer.
    :raises ConfigurationError: no such target.
    :raises GridError: shapes that differ.
    :raises ReferenceDataError: values that are no class.
    """
    truth, answer = checked(reference, mask, where)
    positive = positive_classes(target)
    is_it, called = np.isin(truth, positive), np.isin(answer, positive)
    codes = np.array([[TRUE_NEGATIVE, FALSE_POSITIVE], [FALSE_NEGATIVE, TRUE_POSITIVE]], dtype=np.uint8)
    result = codes[is_it.astype(np.intp), called.astype(np.intp)]
    result[answer == NO_DATA] = NO_ANSWER
    result[truth == NO_DATA] = NOT_JUDGED
    return result


def error_map(
    reference: NDArray[np.generic], mask: NDArray[np.generic], *, shadows: bool, where: str = "the mask"
) -> NDArray[np.uint8]:
    """What is true, false and missed, of clouds and shadows in one map.

    :param reference: uint8, any shape, as for :func:`confusion`.
    :param mask: The same.
    :param shadows: Whether the mask tells shadows; where it does not, shadow of the reference counts as clear.
    :return: uint8: 0 not judged, 1 rightly clear, 2 cloud and 3 shadow that were found, 4 false alarm, 5 cloud or
        shadow that was missed, 6 one that was taken for the other, 7 no answer.
    :raises GridError: shapes that differ.
    :raises ReferenceDataError: values that are no class.
    """
    truth, answer = checked(reference, mask, where)
    if not shadows:
        truth, answer = (np.where(each == SHADOW, np.uint8(CLEAR), each) for each in (truth, answer))
    codes = np.full((len(CLASSES), len(CLASSES)), MIXED_UP, dtype=np.uint8)
    codes[CLEAR], codes[:, CLEAR] = FALSE, MISSED
    np.fill_diagonal(codes, (RIGHT_CLEAR, RIGHT_CLOUD, RIGHT_SHADOW))
    known = (truth != NO_DATA) & (answer != NO_DATA)
    result: NDArray[np.uint8] = codes[np.where(known, truth, 0), np.where(known, answer, 0)]
    result[answer == NO_DATA] = UNANSWERED
    result[truth == NO_DATA] = UNJUDGED
    return result


def agreement_picture(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An agreement map (h, w) in its colours.

    :return: uint8 (h, w, 3), red, green, blue.
    """
    table = np.array([list(bytes.fromhex(AGREEMENT_COLORS[code][1:])) for code in range(6)], dtype=np.uint8)
    return table[codes]
