"""Options of a command line that say how masks are made, and the settings that they are."""

from __future__ import annotations

import argparse
from typing import Any, get_args

from eotasks.clouds.detectors.vocabulary import DEFAULT_DETECTOR
from eotasks.models.clouds.presets import FROM_PRESET, Preset, Unit, mask_settings
from eotasks.workflows.product_masks.options import (
    AVAILABLE,
    DEFAULT_BEYOND,
    DEFAULT_PRESET,
    DEFAULT_RESOLUTION,
    DEFAULT_SAMPLING,
    DEFAULT_SHADOW_METHOD,
    RESOLUTIONS,
    Beyond,
    CellSampling,
    CloudMaskOptions,
    ShadowMethodName,
    steps_of,
)

_OPTIONS = {"average_over": "average-over", "dilation_size": "dilation"}
"""Settings whose option has another name."""


def add_mask_arguments(parser: argparse.ArgumentParser, *, resolution: int = DEFAULT_RESOLUTION) -> None:
    """Adds the options that :func:`mask_options` reads.

    :param resolution: Metres of a pixel of the results where the user says none.
    """
    parser.add_argument(
        "--resolution",
        type=int,
        choices=RESOLUTIONS,
        default=resolution,
        help=f"metres of a pixel of the results ({resolution})",
    )
    parser.add_argument(
        "--sampling",
        choices=get_args(CellSampling),
        default=DEFAULT_SAMPLING,
        help=f"how bands come to these pixels ({DEFAULT_SAMPLING})",
    )
    parser.add_argument(
        "--detector",
        metavar="NAME",
        default=DEFAULT_DETECTOR,
        help=f"what finds clouds, see below ({DEFAULT_DETECTOR})",
    )
    parser.add_argument("--snow", action="store_true", help="snow as a class of the mask, apart from cloud (3)")
    parser.add_argument(
        "--thin-cloud", action="store_true", help="thin cirrus as a class of the mask, apart from opaque cloud (4)"
    )
    _add_mask_settings(parser)
    _add_shadows(parser)


def _add_shadows(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--shadows", action="store_true", help="cloud shadows too")
    parser.add_argument(
        "--shadow-method",
        choices=get_args(ShadowMethodName),
        default=DEFAULT_SHADOW_METHOD,
        help=f"how they are found ({DEFAULT_SHADOW_METHOD})",
    )
    parser.add_argument(
        "--beyond",
        choices=get_args(Beyond),
        default=DEFAULT_BEYOND,
        help=f"ground whose cloud would lie outside of the product: dark ground is shadow, or all is clear"
        f" ({DEFAULT_BEYOND})",
    )


def _add_mask_settings(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("from probability to mask")
    group.add_argument(
        "--preset",
        choices=get_args(Preset),
        help=f"published settings ({DEFAULT_PRESET}: {_words(DEFAULT_PRESET)}); the options below change them",
    )
    group.add_argument("--threshold", type=float, metavar="P", help="probability above which a pixel is cloud, 0..1")
    group.add_argument("--average-over", type=_number, metavar="R", help="radius of the averaging disk; 0: none")
    group.add_argument("--dilation", type=_number, metavar="R", help="radius that cloud grows by; 0: none")
    group.add_argument("--unit", choices=get_args(Unit), help="of the radii: pixels of the results, or metres (pixel)")


def mask_options(
    arguments: argparse.Namespace, *, quicklook: bool = False, styles: bool = False, dem: str | None = None
) -> CloudMaskOptions:
    """The options of a command line that has those of :func:`add_mask_arguments`.

    :param quicklook: Whether a picture is drawn.
    :param styles: Whether styles of QGIS are written.
    :param dem: Where a digital elevation model lies, by which terrain shade is told apart.
    :raises ConfigurationError: a value that no mask can be made with.
    """
    from eotasks.clouds.detectors.registry import find_detector
    from eotasks.clouds.detectors.run import refuse_unused

    given: dict[str, Any] = {
        "threshold": arguments.threshold,
        "average_over": arguments.average_over,
        "dilation_size": arguments.dilation,
    }
    detector = find_detector(arguments.detector, available=AVAILABLE)
    options = {"preset": arguments.preset, **given, "unit": arguments.unit}
    refuse_unused(
        {detector.name: detector.uses},
        {f"--{_OPTIONS.get(name, name)}": name for name, value in options.items() if value is not None},
    )
    preset = arguments.preset or DEFAULT_PRESET
    settings = mask_settings(
        preset,
        **{name: FROM_PRESET if value is None else value for name, value in given.items()},
        unit=arguments.unit or "pixel",
    )
    return CloudMaskOptions(
        resolution=arguments.resolution,
        sampling=arguments.sampling,
        preset=preset,
        mask=settings,
        shadows=arguments.shadows or "shadow" in detector.answers,
        shadow_method=arguments.shadow_method,
        beyond=arguments.beyond,
        dem=dem,
        quicklook=quicklook,
        styles=styles,
        detector=detector.name,
        snow=arguments.snow,
        thin_cloud=arguments.thin_cloud,
    )


def _number(text: str) -> float:
    """A whole number stays one: radii in pixels have to be."""
    try:
        value = float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from error
    return int(value) if value.is_integer() else value


def _words(preset: Preset) -> str:
    return steps_of(mask_settings(preset))
