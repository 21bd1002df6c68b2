"""Which detectors there are: those that come with eotasks, and those of plugins.

A plugin is an installed package with an entry point of the group ``eotasks.detectors``: its name is that of the
detector, its object an instance (or a class that is made without arguments) of
:class:`eotasks.clouds.detectors.protocol.Detector`. Plugins are listed without loading them, and loaded when they are
asked for by name; one that cannot be loaded is an error then, and no sooner. A name of ours cannot be taken, and a name
that two packages give is nobody's.
"""

from __future__ import annotations

import functools
import importlib.util
import re
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from eotasks.clouds.detectors.built_in.all_clear import ALL_CLEAR
from eotasks.clouds.detectors.built_in.braaten_cohen_yang import BRAATEN_COHEN_YANG
from eotasks.clouds.detectors.built_in.multi_temporal import MULTI_TEMPORAL
from eotasks.clouds.detectors.built_in.omnicloudmask import OMNICLOUDMASK
from eotasks.clouds.detectors.built_in.s2cloudless import S2CLOUDLESS
from eotasks.clouds.detectors.built_in.scene_classification import SCENE_CLASSIFICATION
from eotasks.clouds.detectors.built_in.shadows import GEOMETRIC, PROJECTION
from eotasks.clouds.detectors.built_in.stored import STORED_MASK
from eotasks.clouds.detectors.built_in.ukis_csmask import CSMASK_L1C, CSMASK_L2A
from eotasks.clouds.detectors.protocol import Detector, is_masked_by_settings
from eotasks.clouds.detectors.settings import MASK_SETTINGS, DetectorSettings
from eotasks.clouds.detectors.vocabulary import ANSWERS, NEEDS, Need
from eotasks.errors import ConfigurationError
from eotasks.models.sentinel2 import BANDS
from eotasks.text import did_you_mean

GROUP = "eotasks.detectors"

BUILT_IN: Mapping[str, Detector] = {
    detector.name: detector
    for detector in (
        S2CLOUDLESS,
        MULTI_TEMPORAL,
        GEOMETRIC,
        PROJECTION,
        SCENE_CLASSIFICATION,
        BRAATEN_COHEN_YANG,
        CSMASK_L1C,
        CSMASK_L2A,
        OMNICLOUDMASK,
        STORED_MASK,
        ALL_CLEAR,
    )
}
"""Name -> detector, in the order of the help."""

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_WIDTH = 22
_VOCABULARY: Mapping[str, tuple[str, ...]] = {
    "bands": BANDS,
    "optional_bands": BANDS,
    "needs": NEEDS,
    "answers": ANSWERS,
    "uses": tuple(DetectorSettings.__dataclass_fields__),
}
_MEMBERS = (
    "description",
    "bands",
    "optional_bands",
    "needs",
    "answers",
    "uses",
    "per_pixel",
    "coarsest",
    "baseline",
    "tags",
    "detect",
    "check_installed",
    "prepare",
)


@dataclass(frozen=True)
class Listed:
    """A detector in a list. That of a plugin is not loaded for it."""

    name: str
    description: str
    """Of a plugin, the summary of its package."""

    package: str | None = None
    """Name and version of the plugin's package, None for ours."""

    problem: str | None = None
    """Why it cannot be used, as far as that is known without loading it."""


def find_detector(name: str, *, available: Collection[Need] | None = None) -> Detector:
    """A detector by its name; that of a plugin is loaded.

    :param available: What there can be beside bands where it is to work: of ours, the message about a name that there
        is not offers those that need no more, and no baselines. None offers all.
    :raises ConfigurationError: there is none, two packages give one of this name, or that of a plugin cannot be loaded
        or is none.
    :raises MissingDependencyError: a package that one of ours needs is not installed.
    """
    if name not in BUILT_IN:
        return _load(_entry_of(name, available))
    BUILT_IN[name].check_installed()
    return BUILT_IN[name]


def package_of(name: str) -> str | None:
    """Name and version of the package that a plugin's detector comes from; None for ours.

    :raises ConfigurationError: there is no such detector, or two packages give it.
    """
    return None if name in BUILT_IN else _package(_entry_of(name))


def detectors() -> list[Listed]:
    """All detectors: ours, then those of plugins by name. Loads no plugin, and raises nothing for a broken one."""
    listed = [Listed(each.name, each.description) for each in BUILT_IN.values()]
    found = _plugins()
    for name in sorted(found):
        packages = [_package(entry) for entry in found[name]]
        if name in BUILT_IN:
            problem: str | None = "refused: the name is that of a detector of eotasks"
        elif len(packages) > 1:
            problem = f"refused: {' and '.join(packages)} both give it"
        else:
            problem = _broken(found[name][0])
        listed.append(Listed(name, _summary(found[name][0]), ", ".join(packages), problem))
    return listed


def detector_list(available: Collection[Need] | None = None) -> str:
    """A line for each detector, for the help of a command, with what is known to be wrong with those of plugins.

    :param available: Leave out those of ours that need more than this beside bands, and the baselines. None for all.
    """
    lines = []
    for each in detectors():
        if available is not None and each.package is None and each.name not in suited(available):
            continue
        text = each.problem or each.description
        lines.append(f"  {each.name:<{_WIDTH}}  {text if each.package is None else f'{text} ({each.package})'}")
    return "\n".join(lines)


def suited(available: Collection[Need]) -> list[str]:
    """Names of our detectors that need nothing else beside bands, without the baselines."""
    return [name for name, each in BUILT_IN.items() if each.needs <= set(available) and not each.baseline]


def _plugins() -> dict[str, list[EntryPoint]]:
    found: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=GROUP):
        found.setdefault(entry.name, []).append(entry)
    return found


def _entry_of(name: str, available: Collection[Need] | None = None) -> EntryPoint:
    found = list(entry_points(group=GROUP, name=name))
    if len(found) > 1:
        packages = " and ".join(_package(entry) for entry in found)
        raise ConfigurationError(f"detector {name!r} is given by {packages}: uninstall all of them but one.")
    if not found:
        plugins = sorted(each for each in _plugins() if each not in BUILT_IN)
        known = [*(BUILT_IN if available is None else suited(available)), *plugins]
        raise ConfigurationError(
            f"there is no detector {name!r}{did_you_mean(name, known)}: choose of {', '.join(known)}."
        )
    return found[0]


@functools.cache
def _load(entry: EntryPoint) -> Detector:
    origin = f"detector {entry.name!r} of {_package(entry)}"
    cure = "mend or uninstall that package, or choose another detector."
    try:
        loaded: Any = entry.load()
        detector = loaded() if isinstance(loaded, type) else loaded
        faults = list(_faults(detector, entry.name)) or list(_mask_faults(detector))
    except Exception as error:  # code of anybody, run for the first time
        raise ConfigurationError(f"{origin} cannot be loaded ({type(error).__name__}: {error}): {cure}") from error
    if faults:
        raise ConfigurationError(f"{origin} is none ({'; '.join(faults)}): {cure}")
    checked: Detector = detector
    return checked


def _faults(detector: Any, name: str) -> Iterable[str]:
    """What is wrong with an object that should be a detector."""
    missing = [member for member in ("name", *_MEMBERS) if not hasattr(detector, member)]
    if missing:
        yield f"it has no {', '.join(missing)}: derive it from eotasks.clouds.detectors.protocol.Detector"
        return
    if detector.name != name or not _NAME.fullmatch(name):
        yield f"its name is {detector.name!r}, its entry point's {name!r}: both are one, of a-z, 0-9 and hyphens"
    if not isinstance(detector.description, str) or not detector.description.strip():
        yield "it has no description"
    for member, allowed in _VOCABULARY.items():
        value = getattr(detector, member)
        listed = isinstance(value, Sequence | Set) and not isinstance(value, str)
        if not listed or not all(each in allowed for each in value):
            yield f"{member} is {value!r}, a collection of {', '.join(allowed)} is due"
        if listed and member == "answers" and "cloud" not in value:
            yield "answers has no 'cloud'"
    if not isinstance(detector.tags, Mapping) or not all(isinstance(key, str) for key in detector.tags):
        yield f"tags is {detector.tags!r}, names with values are due"
    if detector.coarsest is not None and not (isinstance(detector.coarsest, int | float) and detector.coarsest > 0):
        yield f"coarsest is {detector.coarsest!r}, metres or None are due"
    for method in ("detect", "check_installed", "prepare"):
        if not callable(getattr(detector, method)):
            yield f"{method} is no method"


def _mask_faults(detector: Detector) -> Iterable[str]:
    """What is wrong with one whose mask is made by the settings: all of them change it, whatever it says."""
    missing = [name for name in MASK_SETTINGS if name not in detector.uses]
    if is_masked_by_settings(detector) and missing:
        yield f"uses lacks {', '.join(missing)}, by which its mask is made of its probability"


def _broken(entry: EntryPoint) -> str | None:
    """What can be told of an entry without running code of it."""
    try:
        module = entry.module.partition(".")[0]
        if importlib.util.find_spec(module) is not None:
            return None
    except (AssertionError, AttributeError, ImportError, ValueError):  # no text of the form module:object
        return f"broken: {entry.value!r} names no object"
    return f"broken: there is no module {module!r}"


def _package(entry: EntryPoint) -> str:
    return "an unknown package" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"


def _summary(entry: EntryPoint) -> str:
    summary = None if entry.dist is None else entry.dist.metadata["Summary"]
    return str(summary) if summary and summary != "UNKNOWN" else "without a description"
