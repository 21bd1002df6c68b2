"""What a run of `eotasks cloud-mask` is asked for, and how its files say so."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from eotasks.clouds.detectors.vocabulary import DEFAULT_DETECTOR, Answer, Need
from eotasks.errors import ConfigurationError
from eotasks.models.clouds.presets import MaskSettings, Preset, mask_settings
from eotasks.storage.location import is_remote
from eotasks.text import did_you_mean, redacted

if TYPE_CHECKING:
    from eotasks.clouds.detectors.protocol import Detector
    from eotasks.clouds.detectors.settings import DetectorSettings
    from eotasks.models.clouds.shadows.frame import ShadowMethod

ShadowMethodName = Literal["geometric", "projection"]
Beyond = Literal["dark", "clear"]
DEFAULT_SHADOW_METHOD: ShadowMethodName = "geometric"
DEFAULT_BEYOND: Beyond = "dark"

CellSampling = Literal["fast", "mean", "nearest"]

RESOLUTIONS: tuple[int, ...] = (160, 60, 20, 10)
"""Metres of the pixels that masks can be made at."""

DEFAULT_RESOLUTION = 60
"""That of B01, B09 and B10, the bands of the model that are about the atmosphere: nothing is made up between their
pixels. A tile (109.8 km) is a whole number of them, a 36th of its 10 m pixels; the 160 m of Sentinel Hub miss small
clouds."""

DEFAULT_SAMPLING: CellSampling = "fast"
"""Measured on the hard scene 33UUU: at 160 m the mask agrees with that of "mean" to 96.7 %, at 60 m to 99.5 %, with
"nearest" to 86.7 % and 91.1 % (eotasks.imagery.pixels.reduction has the table). A tile at 160 m takes a twentieth of
the decoding."""

DEFAULT_PRESET: Preset = "s2cloudless"

AVAILABLE: frozenset[Need] = frozenset({"classification", "sun angles"})
"""What a product can have beside bands: the classification of L2A, and a sun."""


@dataclass(frozen=True)
class CloudMaskOptions:
    """How masks are made: the same for every product of a run."""

    resolution: int = DEFAULT_RESOLUTION
    """Metres of a pixel of the results, where the probability is computed: 160, 60, 20 or 10."""

    sampling: CellSampling = DEFAULT_SAMPLING
    """How bands come to these pixels: "mean" by area, "fast" the mean of a lower resolution level of the files, or
    "nearest", as Sentinel Hub does for its CLP at 160 m."""

    preset: Preset = DEFAULT_PRESET
    """Name of the published settings that ``mask`` comes from, for the tags of the files."""

    mask: MaskSettings = field(default_factory=lambda: mask_settings(DEFAULT_PRESET))
    """From probability to mask."""

    shadows: bool = False
    """Whether a mask of cloud shadow is made too: that of the detector where it finds shadows, which it then has to be,
    else by ``shadow_method``."""

    shadow_method: ShadowMethodName = DEFAULT_SHADOW_METHOD
    """How shadows are found that the detector does not find itself: "geometric" or "projection"."""

    beyond: Beyond = DEFAULT_BEYOND
    """What the geometric method makes of ground whose cloud would lie outside of the product: "dark" or "clear"."""

    dem: str | None = None
    """Where a digital elevation model lies, a path or an address of a GeoTIFF: terrain shade is a mask of its own then,
    and no cloud shadow. None: the ground is taken as flat."""

    quicklook: bool = True
    """Whether a picture is drawn too. No setting of the masks: it is not in :meth:`to_dict`."""

    styles: bool = False
    """Whether styles of QGIS are written beside the files. No setting of the masks either."""

    detector: str = DEFAULT_DETECTOR
    """What finds clouds: a detector of eotasks or of a plugin (``eotasks.clouds.detectors``)."""

    snow: bool = False
    """Whether snow is a class of the mask, kept apart from cloud (``eotasks.workflows.product_masks.apart``)."""

    thin_cloud: bool = False
    """Whether thin cloud is a class of the mask, kept apart from opaque cloud."""

    def __post_init__(self) -> None:
        """Refuse what no mask can be made with.

        :raises ConfigurationError: an unknown resolution, sampling or detector, or a detector that needs what no
            product has.
        """
        if self.resolution not in RESOLUTIONS:
            raise ConfigurationError(
                f"resolution={self.resolution!r} is none that masks are made at: give one of"
                f" {', '.join(map(str, RESOLUTIONS))} metres."
            )
        if self.sampling not in get_args(CellSampling):
            known = get_args(CellSampling)
            raise ConfigurationError(
                f"sampling={self.sampling!r} is unknown{did_you_mean(self.sampling, known)}: give"
                f" {' or '.join(map(repr, known))}."
            )
        self._check_detector()
        self._check_shadows()

    def _check_shadows(self) -> None:
        for name, known in (("shadow_method", ShadowMethodName), ("beyond", Beyond)):
            value = getattr(self, name)
            if value not in get_args(known):
                raise ConfigurationError(
                    f"{name}={value!r} is unknown{did_you_mean(value, get_args(known))}: give"
                    f" {' or '.join(map(repr, get_args(known)))}."
                )
        changed = [
            f"{name}={getattr(self, name)!r}"
            for name, default in (("shadow_method", DEFAULT_SHADOW_METHOD), ("beyond", DEFAULT_BEYOND))
            if getattr(self, name) != default
        ]
        if self.dem is not None:
            changed.append(f"dem={_named(self.dem)!r}")
        if changed and not self.shadows:
            raise ConfigurationError(f"{changed[0]} makes no difference without shadows: ask for them (--shadows).")
        if changed and "shadow" in self.answers:
            raise ConfigurationError(
                f"{changed[0]} makes no difference with detector {self.detector!r}, which finds shadows itself."
            )
        if self.beyond != DEFAULT_BEYOND and self.shadow_method != "geometric":
            raise ConfigurationError(
                f"beyond={self.beyond!r} goes with shadow_method='geometric': leave out one of the two."
            )

    @property
    def searches_shadows(self) -> bool:
        """Whether shadows are searched with the detector's clouds, as ``shadow_method`` says."""
        return self.shadows and "shadow" not in self.answers

    @property
    def shadow_search(self) -> ShadowMethod:
        """The method of shadows with its settings."""
        from eotasks.models.clouds.shadows.geometric import GeometricMethod  # loads scipy
        from eotasks.models.clouds.shadows.projection import ProjectionMethod

        return GeometricMethod(beyond=self.beyond) if self.shadow_method == "geometric" else ProjectionMethod()

    @property
    def shadow_settings(self) -> dict[str, Any]:
        """How shadows are searched; nothing where none are, or where the detector finds them."""
        if not self.searches_shadows:
            return {}
        beyond = {"beyond": self.beyond} if self.shadow_method == "geometric" else {}
        terrain = {} if self.dem is None else {"dem": _named(self.dem)}
        return {"shadow_method": self.shadow_method, **beyond, **terrain}

    def _check_detector(self) -> None:
        from eotasks.clouds.detectors.registry import suited  # loads the detectors
        from eotasks.clouds.detectors.run import refuse_needs

        detector = detector_of(self)
        refuse_needs(detector, AVAILABLE, what="a product", others=suited(AVAILABLE))
        if not detector.bands and "classification" not in detector.needs:
            raise ConfigurationError(
                f"detector {detector.name!r} reads nothing of a product, neither bands nor a scene classification: use"
                f" {', '.join(suited(AVAILABLE))}, or that of another plugin."
            )
        if detector.coarsest is not None and self.resolution > detector.coarsest:
            raise ConfigurationError(
                f"detector {self.detector!r} cannot be given pixels of {self.resolution} m: set resolution to"
                f" {max(each for each in RESOLUTIONS if each <= detector.coarsest)} or finer."
            )
        if "shadow" in self.answers and not self.shadows:
            raise ConfigurationError(f"detector {self.detector!r} finds shadows too: set shadows=True.")

    @property
    def answers(self) -> frozenset[Answer]:
        """What the detector answers: classes, and a probability or none."""
        return detector_of(self).answers

    @property
    def has_mask_settings(self) -> bool:
        """Whether the detector's mask is made of a probability, by ``preset`` and ``mask``."""
        return "preset" in detector_of(self).uses

    @property
    def used_settings(self) -> dict[str, Any]:
        """The settings of the mask that the detector uses; with a preset all that it stands for."""
        settings, uses = {"preset": self.preset, **asdict(self.mask)}, detector_of(self).uses
        return {name: value for name, value in settings.items() if self.has_mask_settings or name in uses}

    def detector_settings(self, threads: int | None = None) -> DetectorSettings:
        """The same settings as detectors take them."""
        from eotasks.clouds.detectors.settings import DetectorSettings

        return DetectorSettings(
            preset=self.preset,
            threshold=self.mask.threshold,
            average_over=self.mask.average_over,
            dilation_size=self.mask.dilation_size,
            unit=self.mask.unit,
            threads=threads,
        )

    @property
    def apart(self) -> dict[str, bool]:
        """What is kept apart from cloud, as the functions of ``eotasks.workflows.product_masks.apart`` take it."""
        return {"snow": self.snow, "thin_cloud": self.thin_cloud}

    def rules_apart(self) -> dict[str, str]:
        """What is kept apart from cloud, "snow" and "thin_cloud", and how it is known, in words."""
        from eotasks.workflows.product_masks.apart import rules_of

        return rules_of(detector_of(self), **self.apart) if any(self.apart.values()) else {}

    def to_dict(self) -> dict[str, Any]:
        """All settings under the names they have in the record beside the results and in the tags of the files."""
        return {
            "detector": self.detector,
            "resolution": self.resolution,
            "sampling": self.sampling,
            **self.rules_apart(),
            **self.used_settings,
            "shadows": self.shadows,
            **self.shadow_settings,
        }

    def detector_package(self) -> str | None:
        """Name and version of the package of a plugin's detector; None for those of eotasks."""
        from eotasks.clouds.detectors.registry import package_of

        return package_of(self.detector)

    def describe(self) -> str:
        """How masks are made in words: ``s2cloudless at 60 m; mask: mean over 1 px, > 0.4, grown by 1 px``, and
        ``; shadows: geometric, dark beyond`` where they are searched.
        """
        used = ", ".join(f"{name} {value}" for name, value in self.used_settings.items())
        steps = f"mask: {self.steps()}" if self.has_mask_settings else used
        apart = " and ".join(name.replace("_", " ") for name in self.rules_apart())
        shadows = ", ".join(
            [
                self.shadow_method,
                *([f"{self.beyond} beyond"] if "beyond" in self.shadow_settings else []),
                *(["terrain shade apart"] if self.dem is not None else []),
            ]
        )
        searched = f"shadows: {shadows}" if self.searches_shadows else ""
        words = [f"{self.detector} at {self.resolution} m", steps, apart and f"{apart} apart", searched]
        return "; ".join(filter(None, words))

    def steps(self) -> str:
        """From probability to mask in words, as :func:`steps_of` gives them."""
        return steps_of(self.mask)


def _named(location: str) -> str:
    """A location as files and records have it: without secrets, and the same on any machine."""
    return redacted(location) if is_remote(location) else Path(location).name


def detector_of(options: CloudMaskOptions) -> Detector:
    """The detector that options name.

    :raises ConfigurationError: there is none, or that of a plugin cannot be loaded.
    """
    from eotasks.clouds.detectors.registry import find_detector

    return find_detector(options.detector, available=AVAILABLE)


def steps_of(mask: MaskSettings) -> str:
    """From probability to mask in words: ``mean over 1 px, > 0.4, grown by 1 px``."""
    unit = "px" if mask.unit == "pixel" else "m"
    parts = []
    if mask.average_over:
        parts.append(f"mean over {mask.average_over:g} {unit}")
    if mask.sigma:
        parts.append(f"Gaussian of {mask.sigma:g} {unit}")
    parts.append(f"> {mask.threshold:g}")
    if mask.erosion_size:
        parts.append(f"eroded by {mask.erosion_size:g} {unit}")
    if mask.dilation_size:
        parts.append(f"grown by {mask.dilation_size:g} {unit}")
    return ", ".join(parts)
