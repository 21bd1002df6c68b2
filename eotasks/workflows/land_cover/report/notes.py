"""What the report says about a chain in words: where its values come from, what they can and cannot say."""

from __future__ import annotations

from eotasks.workflows.land_cover.config import LandCoverConfig
from eotasks.workflows.land_cover.features import ResolvedFeatures
from eotasks.workflows.land_cover.plan import Plan
from eotasks.workflows.land_cover.sections import ReferenceConfig, ValidationConfig
from eotasks.workflows.land_cover.sources.base import CLP, TRUE_COLOR_BANDS, Provenance

SIMULATED_NOTICE = (
    "This report rests on simulated acquisitions, wherever it says so. Their scores tell whether the chain works; they"
    " say nothing about accuracy in the field."
)


def provenance(config: LandCoverConfig) -> list[Provenance]:
    """Every input of the chain: what it is, whether it is real, where it comes from."""
    return [*config.source.provenance(config), _labels(config.reference)]


def _labels(reference: ReferenceConfig) -> Provenance:
    if reference.kind == "sample":
        return Provenance("Reference labels", "real", "land use, © OpenStreetMap contributors, ODbL")
    if reference.kind == "feature":
        return Provenance("Reference labels", "real", "LULC of the EOPatches")
    return Provenance("Reference labels", "real", str(reference.path))


def split_note(validation: ValidationConfig, plan: Plan) -> str:
    """How training and test samples were kept apart."""
    if validation.split == "blocks":
        return (
            f"A checkerboard of {validation.block_size} x {validation.block_size} pixel blocks; each colour is tested"
            " by a model of the other. Blocks touch, so the scores lean to the optimistic side. Each seed shifts the"
            " board; the map is made by a model of all samples."
        )
    fixed = validation.test_patches is not None
    return (
        f"{len(plan.test)} of {len(plan.patches)} patches are held out whole"
        f"{'' if fixed else ', other ones for each seed'}; all their labelled pixels test the model of the rest."
    )


def reasons(config: LandCoverConfig, resolved: ResolvedFeatures, plan: Plan) -> dict[str, str]:
    """Why a picture is absent, by its name."""
    found: dict[str, str] = {}
    if resolved.true_color is None:
        found["TRUE_COLOR"] = f"the source holds none of {', '.join(TRUE_COLOR_BANDS)}"
    if CLP not in resolved.observed:
        by = "the source brings" if config.clouds.found_by is None else f"detector {config.clouds.detector!r} makes"
        found["MEAN_CLP"] = f"{by} a cloud mask without probabilities"
    if "NDVI" not in resolved.indices:
        found["MEAN_NDVI"] = found["ndvi_series"] = "NDVI is not among features.indices"
    elif config.features.step_days is None:
        found["ndvi_series"] = "features.step_days is not set, so nothing is resampled"
    if not plan.outline:
        found["outline"] = "the source has patches, no area of interest around them"
    return found
