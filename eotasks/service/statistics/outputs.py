"""Which outputs of a script are summed up, which pixels of them count, and what is asked of each band."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eotasks.service.errors import RequestError
from eotasks.service.evalscript.setup import Output, Setup
from eotasks.service.statistics.summary import Calculation, summary_of
from eotasks.text import excerpt, unknown_words

MASK = "dataMask"
DEFAULT = "default"

Calculations = Mapping[str, Mapping[str, Calculation]]
"""By output and band; "default" of either is for those that are not named."""


def outputs_of(setup: Setup) -> list[Output]:
    """Outputs of a script without its mask.

    :raises RequestError: when it has no mask, nothing else, or a mask whose bands are for no output.
    """
    mask = next((output for output in setup.outputs if output.id == MASK), None)
    others = [output for output in setup.outputs if output.id != MASK]
    if mask is None:
        raise RequestError(
            f'The evalscript has no output {MASK}, which says what pixels count: add {{id: "{MASK}", bands: 1}}, and'
            " return the band dataMask in it."
        )
    if not others:
        raise RequestError(f"The evalscript has no output besides {MASK}: there is nothing to sum up.")
    if len(mask.bands) > 1:
        unknown = [band for band in mask.bands if band not in {output.id for output in others}]
        if unknown:
            raise RequestError(
                f"The output {MASK} has {len(mask.bands)} bands, and {excerpt(unknown[0])} is no other output: give it"
                " one band for all outputs, or bands with the ids of outputs."
            )
    return others


def check_names(calculations: Calculations, outputs: Sequence[Output]) -> None:
    """Refuse what is asked of outputs and bands that there are not.

    :raises RequestError: names them, and those that there are.
    """
    bands = {output.id: output.bands for output in outputs}
    _refuse_unknown("calculations", calculations, list(bands))
    for name, by_band in calculations.items():
        known = bands[name] if name in bands else sorted({band for each in bands.values() for band in each})
        _refuse_unknown(f"calculations.{name}", by_band, known)


def _refuse_unknown(where: str, given: Mapping[str, Any], known: Sequence[str]) -> None:
    unknown = [name for name in given if name != DEFAULT and name not in known]
    if unknown:
        raise RequestError(
            f"{where} has {unknown_words(unknown[:5], known)}, which the evalscript does not declare. Known are"
            f" {', '.join([*known[:20], DEFAULT])}."
        )


def summaries_of(
    outputs: Sequence[Output], images: Mapping[str, NDArray[Any]], mask: Output, calculations: Calculations
) -> dict[str, Any]:
    """`outputs` of an interval, as the Statistical API tells them.

    :param images: (h, w, bands) by output, and the mask's.
    :raises RequestError: when a histogram would have too many bins.
    """
    told: dict[str, Any] = {}
    for output in outputs:
        image = images[output.id]
        counted = _counted(images[MASK], mask, output)
        asked = _chosen(calculations, output.id) or {}
        bands = {
            band: summary_of(image[..., number], counted, _chosen(asked, band) or Calculation(), f"{output.id}.{band}")
            for number, band in enumerate(output.bands[: image.shape[-1]])
        }
        told[output.id] = {"bands": bands}
    return told


def _counted(values: NDArray[Any], mask: Output, output: Output) -> NDArray[np.bool_] | None:
    """(h, w) pixels of an output that count; None for all, as for an output that a mask by outputs does not name."""
    if len(mask.bands) > 1 and output.id not in mask.bands:
        return None
    band = values[..., mask.bands.index(output.id) if len(mask.bands) > 1 else 0]
    counted: NDArray[np.bool_] = np.isfinite(band) & (band != 0)
    return counted


def _chosen(by_name: Mapping[str, Any], name: str) -> Any:
    return by_name[name] if name in by_name else by_name.get(DEFAULT)
