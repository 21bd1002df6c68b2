"""Whether both sides made the same of a step, and if not, why: every named reason is checked, none is assumed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.land_cover.layout import AVERAGE_OVER, DILATION_SIZE, STEPS, Setup

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Verdict:
    """The last column of the table."""

    explained: bool
    """Equal, or different for a reason that was checked."""

    text: str


def judge(setup: Setup, step: str) -> Verdict:
    """The verdict over all patches: the first that is not equal stands for all."""
    found = []
    for patch in setup.patches_of(step):
        with (
            np.load(setup.outcome("ours", step, patch)) as ours,
            np.load(setup.outcome("eo-learn", step, patch)) as theirs,
        ):
            found.append(_RULES.get(step, _same)(dict(ours), dict(theirs)))
    return min(found, key=lambda verdict: (verdict.explained, verdict.text.startswith("equal")))


def _same(ours: Arrays, theirs: Arrays) -> Verdict:
    unequal = [name for name in {**ours, **theirs} if not _equal(ours.get(name), theirs.get(name))]
    if unequal:
        return Verdict(False, f"NOT EQUAL: {', '.join(unequal)}")
    types = {f"{ours[name].dtype} / {theirs[name].dtype}" for name in ours if ours[name].dtype != theirs[name].dtype}
    return Verdict(True, f"equal ({', '.join(sorted(types))})" if types else "equal")


def _equal(ours: NDArray[Any] | None, theirs: NDArray[Any] | None) -> bool:
    if ours is None or theirs is None or ours.shape != theirs.shape:
        return False
    return np.array_equal(ours, theirs, equal_nan="f" in ours.dtype.kind + theirs.dtype.kind)


def _probability(ours: Arrays, theirs: Arrays) -> Verdict:
    """Ours is NaN where there is no data, and nowhere else; the peer has a number there."""
    is_data = ours["IS_DATA"]
    if ours["CLP"].shape != theirs["CLP"].shape or not np.array_equal(np.isnan(ours["CLP"]), ~is_data):
        return Verdict(False, "NOT EQUAL: shape, or where ours is unknown")
    different = int((ours["CLP"] != theirs["CLP"])[is_data].sum())
    if different or not _equal(ours["timestamps"], theirs["timestamps"]):
        return Verdict(False, f"NOT EQUAL: times, or CLP of {different} px with data")
    blank = int((~is_data).sum())
    return Verdict(True, f"equal but for {blank} px without data: NaN in ours" if blank else "equal")


def _coarse_probability(ours: Arrays, theirs: Arrays) -> Verdict:
    if ours["CLP"].shape != theirs["CLP"].shape or not np.array_equal(np.isnan(ours["CLP"]), ~ours["IS_DATA"]):
        return Verdict(False, "NOT EQUAL: shape, or where ours is unknown")
    difference = float(np.abs(ours["CLP"] - theirs["CLP"])[ours["IS_DATA"]].mean())
    text = f"differs (mean {difference:.3f}): cv2 picks points where ours is the exact area mean"
    return Verdict(difference < 0.25, text)


def _cloud_mask(ours: Arrays, theirs: Arrays) -> Verdict:
    cloud, other, is_data = ours["CLM"][..., 0] == 1, theirs["CLM"][..., 0], ours["IS_DATA"][..., 0]
    different = cloud != other
    if not different.any():
        return Verdict(True, "equal")
    near = np.stack([_near_gap(frame, AVERAGE_OVER + DILATION_SIZE) for frame in ~is_data])
    if (different & ~near).any():
        return Verdict(False, f"NOT EQUAL: {int((different & ~near).sum())} pixels away from gaps")
    return Verdict(True, f"equal but for {int(different.sum())} px beside no data, which eo-learn averages in as clear")


def _near_gap(gap: NDArray[np.bool_], distance: int) -> NDArray[np.bool_]:
    """Pixels in a square of a side of 2 * distance + 1 around a gap."""
    near = np.zeros_like(gap)
    padded = np.pad(gap, distance)
    for row in range(2 * distance + 1):
        for column in range(2 * distance + 1):
            near |= padded[row : row + gap.shape[0], column : column + gap.shape[1]]
    return near


def _resampled(ours: Arrays, theirs: Arrays) -> Verdict:
    """eo-learn's values must be ours for the times it takes, to the last digits of float32."""
    if not _equal(ours["timestamps"], theirs["timestamps"]) or not _equal(ours["LULC"], theirs["LULC"]):
        return Verdict(False, "NOT EQUAL: dates or labels")
    dtype = theirs["FEATURES"].dtype
    found = theirs["FEATURES"].astype(np.float32)
    if not np.allclose(ours["ROUNDED"], found, rtol=1e-5, atol=1e-6, equal_nan=True):
        return Verdict(False, "NOT EQUAL, even with the times as eo-learn rounds them")
    if _equal(ours["FEATURES"], found):
        return Verdict(True, f"equal (float32 / {dtype})")
    largest = float(np.nanmax(np.abs(ours["FEATURES"] - found), initial=0))
    return Verdict(True, f"equal but for eo-learn's {dtype} and its times, rounded and shifted (up to {largest:.2g})")


def _eroded(ours: Arrays, theirs: Arrays) -> Verdict:
    if not _equal(ours["LULC_ERODED"], theirs["SIZE_3"]):
        return Verdict(False, "NOT EQUAL, even with eo-learn's kernel of size 3")
    if _equal(theirs["LULC_ERODED"], ours["LULC_ERODED"]):
        return Verdict(True, "equal")
    nothing = _equal(theirs["LULC_ERODED"], theirs["LULC"])
    text = "differs: eo-learn's radius 1 erodes nothing (its 3 gives ours)"
    return Verdict(nothing, text if nothing else "NOT EQUAL at radius 1")


def _sampled(ours: Arrays, theirs: Arrays) -> Verdict:
    if _same(ours, theirs).text == "equal":
        return Verdict(True, "equal numbers of each class, other pixels: ours draws anew in each patch")
    return Verdict(False, "NOT EQUAL: numbers of samples")


def _trained(ours: Arrays, theirs: Arrays) -> Verdict:
    trees, others = ours["trees"], theirs["trees"]
    if _equal(trees, others):
        return Verdict(True, f"equal ({len(trees)} trees)")
    share = np.mean(trees == others) if trees.shape == others.shape else 0
    return Verdict(False, f"NOT EQUAL: {share:.0%} of {len(trees)} trees")


def _predicted(ours: Arrays, theirs: Arrays) -> Verdict:
    observed = ours["PREDICTION"] != 0
    same = np.array_equal(ours["PREDICTION"][observed], theirs["PREDICTION"][observed])
    scores = observed[..., 0]
    close = np.allclose(ours["SCORES"][scores], theirs["SCORES"][scores], rtol=0, atol=1e-6)
    if not same or not close:
        return Verdict(False, "NOT EQUAL: " + ("scores" if same else "classes"))
    blank = int((~observed).sum())
    return Verdict(True, f"equal but for {blank} px never observed: 0 in ours" if blank else "equal")


def _exported(ours: Arrays, theirs: Arrays) -> Verdict:
    verdict = _same(ours, theirs)
    return Verdict(True, "equal pixels; ours with overviews, colours, names") if verdict.explained else verdict


_RULES: dict[str, Callable[[Arrays, Arrays], Verdict]] = {
    "cloud probability": _probability,
    "cloud probability 160 m": _coarse_probability,
    "cloud mask": _cloud_mask,
    "resample in time": _resampled,
    "erode": _eroded,
    "sample": _sampled,
    "train": _trained,
    "predict": _predicted,
    "export": _exported,
}
assert set(_RULES) <= set(STEPS)
