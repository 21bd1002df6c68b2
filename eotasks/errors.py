"""The errors and warnings of the project: one base each, named leaves.

A message says what happened, where (patch, file, band, timestamp) and the cure, in one line. Each is also of Python's
own kind (ValueError, OSError, ImportError, RuntimeError), so that code that knows nothing of eotasks catches it as it
would any other.
"""

from __future__ import annotations

import inspect
import threading
import traceback
import warnings
from types import FrameType

from eotasks.text import harmless, shortened

_CHARACTERS = 2_000
"""Of a message; some list all that a place holds."""
_CHARACTERS_OF_REASON = 300

WARNING_FILTERS = threading.Lock()
"""Held while the filters of warnings, or what shows them, are changed and put back: they are of the whole process, and
two threads that do so leave each other's. Rasterio does it while it warps or burns."""


class _HarmlessText(Exception):  # noqa: N818 - a base of errors and of warnings
    """Whoever turns it into text gets one without secrets, which no terminal obeys: names and addresses are others'."""

    def __str__(self) -> str:
        return harmless(super().__str__(), lines=True)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"


class EOTasksError(_HarmlessText):
    """Base of every error that eotasks raises on purpose."""


class ConfigurationError(EOTasksError, ValueError):
    """A configuration or an argument of a task is not usable as it is."""


class CredentialsError(ConfigurationError):
    """Credentials of a service or store are missing or refused. Never carries the credentials themselves."""


class MissingDependencyError(EOTasksError, ImportError):
    """A package that this step needs is not installed, or not in a version that works."""


class AreaError(EOTasksError, ValueError):
    """An area of interest is empty, unreadable, or lies where there is no data."""


class GridError(EOTasksError, ValueError):
    """Coordinate systems, extents or shapes that should agree do not."""


class GeometryError(EOTasksError, ValueError):
    """A geometry lies at no place on Earth, or cannot be computed with. What it belongs to is said by who reads it."""


class BandError(EOTasksError, ValueError):
    """A band is missing, or the number of bands fits no known set."""


class ReflectanceError(EOTasksError, ValueError):
    """Values that are no reflectance: raw digital numbers as floats, NaN or infinity inside valid data."""


class ImageryError(EOTasksError, OSError):
    """An image file is missing, damaged, or not what its name promises."""


class EmptyProductError(ImageryError):
    """No pixel of a product has data in all bands that are read."""


class OffsetError(ImageryError):
    """What is said of the offset of a product's digital numbers contradicts itself: baseline, flag, offset, scale."""


class AddressRefusedError(ImageryError):
    """A server refuses an address: its signature is missing, wrong or has expired, or it is not for everyone."""


class FeatureError(EOTasksError, ValueError):
    """A feature of an EOPatch is missing or has another shape or type than the task needs."""


class TooFewFramesError(EOTasksError, ValueError):
    """A time series has fewer usable frames than the step needs."""


class ReferenceDataError(EOTasksError, ValueError):
    """Reference data (labels) are missing, unreadable, or without the column or classes they should have."""


class ModelError(EOTasksError, ValueError):
    """A model cannot be trained, loaded, or does not fit the data it is given."""


class UnsupportedModelError(ModelError):
    """A sound model that the tree engine cannot run exactly, such as one with categorical splits."""


class NoClassLabelsError(ModelError, NotImplementedError):
    """A model that predicts probabilities was asked for classes."""


class StorageError(EOTasksError, OSError):
    """A place cannot be read or written, or what lies there is damaged or incomplete."""


class BatchError(EOTasksError, RuntimeError):
    """A batch of patches could not be run at all."""


class PatchesFailedError(BatchError):
    """Patches of a batch failed, and whoever ran it asked for an error then; ``result`` is that of the batch."""

    def __init__(self, message: str, result: object = None) -> None:
        super().__init__(message)
        self.result = result

    def __reduce__(self) -> tuple[type[PatchesFailedError], tuple[object, ...]]:
        return type(self), (*self.args, self.result)


class EOTasksWarning(_HarmlessText, UserWarning):
    """Base of every warning that eotasks gives on purpose: `warnings.filterwarnings` can make each an error."""


_BETWEEN = frozenset({"eotasks", "eolearn", "xarray", "dask", "concurrent", "threading"})
"""Packages that stand between a user's line and what warns of it: ours, and those that call ours for the user."""


def warn_caller(text: str, category: type[EOTasksWarning], *details: object) -> None:
    """Warns in the name of the user's line: the nearest one outside of eotasks, and of what runs tasks for the user,
    however deep the function that found it. Where there is none (a thread of a pool), of the outermost line.

    :param text: What happened, where, and the cure.
    :param details: What the category takes beside the text.
    """
    give_warning(category(text, *details))


def give_warning(warning: EOTasksWarning) -> None:
    """Gives a warning in the name of the user's line, as `warn_caller` does."""
    category = type(warning)
    frame = inspect.currentframe()
    while frame is not None and frame.f_back is not None and _package_of(frame) in _BETWEEN:
        frame = frame.f_back
    if frame is None:  # a Python without frames
        warnings.warn(warning, category, stacklevel=2)
        return
    registry = frame.f_globals.setdefault("__warningregistry__", {})
    name = str(frame.f_globals.get("__name__") or "<unknown>")
    warnings.warn_explicit(warning, category, frame.f_code.co_filename, frame.f_lineno, name, registry)


def _package_of(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


class FrameDroppedWarning(EOTasksWarning):
    """A frame of a time series was left out."""


class ProductSkippedWarning(EOTasksWarning):
    """A product was left out."""


class MissingMasksWarning(EOTasksWarning):
    """An archive has no cloud masks of some timestamps."""


class OffsetWarning(EOTasksWarning):
    """The offset that a product's metadata says does not fit its pixels."""


class ScaleWarning(EOTasksWarning):
    """Numbers that may be of another scale than their dtype says."""


class EOPatchChangedWarning(EOTasksWarning):
    """Another program has written over files of an EOPatch that eotasks saved."""


class PatchFailedWarning(EOTasksWarning):
    """Patches of a batch failed; the others are done."""


class PlaceInUseWarning(EOTasksWarning):
    """Another run seems to be writing to the same place."""


class NoDataPredictedWarning(EOTasksWarning):
    """Pixels without data were given an answer, as s2cloudless gives it: it calls them clear."""


class NotReflectanceWarning(EOTasksWarning):
    """Numbers that can be no L1C reflectance were taken for it, as s2cloudless takes them."""


class NotProbabilityWarning(EOTasksWarning):
    """Numbers that can be no probability of clouds, or a threshold that is not of their scale."""


class ShadowWarning(EOTasksWarning):
    """A frame has clouds, and whether they throw shadows cannot be told: none is called so.

    ``reason``: "sun" (shadows lie under their clouds), "ground" (nothing beside the clouds tells light from shade) or
    "height" (at no height do the clouds fit shaded ground better than chance).
    """

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type[ShadowWarning], tuple[object, ...]]:
        return type(self), (*self.args, self.reason)


class ElevationWarning(EOTasksWarning):
    """The height of some ground is not known, so that terrain shade is not told apart there."""


class PolygonWarning(EOTasksWarning):
    """Polygons were repaired, or have no area."""


class UnusedSettingWarning(EOTasksWarning):
    """A setting was changed where that has no effect."""


def message_of(error: BaseException) -> str:
    """The message of any error in one line that may be kept and printed; its type goes before it unless it is ours.

    At most about 2,000 characters. Nothing that the class of the error does can fail here.
    """
    text = _line_of(error, _CHARACTERS)
    if isinstance(error, EOTasksError) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def reason_of(error: BaseException) -> str:
    """What an error says, for the brackets of a message of ours: as `message_of`, but short and without its type."""
    return _line_of(error, _CHARACTERS_OF_REASON).rstrip(".") or type(error).__name__


def _line_of(error: BaseException, most: int) -> str:
    try:
        text = " ".join(harmless(shortened(str(error), 4 * most), lines=True).split())
    except BaseException as failure:  # noqa: BLE001 - __str__ is code of whoever made the error
        text = f"its message cannot be read ({type(failure).__name__})"
    return shortened(text, most)


def is_of_interrupt(error: BaseException) -> bool:
    """Whether an error came of an interrupt, or while one was dealt with."""
    chain: BaseException | None = error
    seen: set[int] = set()
    while chain is not None and id(chain) not in seen:
        if isinstance(chain, KeyboardInterrupt):
            return True
        seen.add(id(chain))
        chain = chain.__cause__ or chain.__context__
    return False


def stack_of(error: BaseException) -> str:
    """The stack of an error and of those that led to it, which may be kept and printed."""
    return harmless("".join(traceback.format_exception(error)), lines=True)
