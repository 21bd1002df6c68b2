"""What the report says about a chain in words: where its values come from, what they can and cannot say."""

from __future__ import annotations

from eotasks.sources.sample import SAMPLE_TIME
from eotasks.workflows.land_cover.config import LandCoverConfig, SampleSource, SentinelHubSource, SimulatedSource
from eotasks.workflows.land_cover.features import TRUE_COLOR_BANDS, kept_bands, source_features
from eotasks.workflows.land_cover.plan import Plan
from eotasks.workflows.land_cover.report.results import Origin, Provenance

SCENE = (
    f"Sentinel-2 L1C, tile 33UUU, {SAMPLE_TIME:%Y-%m-%d}; contains modified Copernicus Sentinel data {SAMPLE_TIME:%Y}"
)
SIMULATED_NOTICE = (
    "This report rests on simulated acquisitions, wherever it says so. Their scores tell whether the chain works; they"
    " say nothing about accuracy in the field."
)
REAL_NOTICE = "A single real winter acquisition, partly cloudy. Its scores are real, but those of one day."
SAMPLE_LABELS_NOTICE = " The labels were drawn by volunteers and cover about a third of the scene."


def source_note(config: LandCoverConfig, *, simulated: bool) -> str:
    """One paragraph: what the chain is, and what its numbers can and cannot say."""
    if isinstance(config.source, SampleSource):
        return REAL_NOTICE + (SAMPLE_LABELS_NOTICE if config.reference.kind == "sample" else "")
    if isinstance(config.source, SimulatedSource):
        return (
            f"{config.source.acquisitions} acquisitions of {config.source.year}, simulated on top of the real ground of"
            " one scene: seasons, crop calendars, haze, clouds, cirrus, shadows. The simulator has not seen the labels."
        )
    if simulated:
        return "The EOPatches hold simulated data, as the configuration says."
    return "Scores hold for the reference data and the way of holding out test samples that are named below."


def provenance(config: LandCoverConfig) -> list[Provenance]:
    """Every input of the chain: what it is, whether it is real, where it comes from."""
    source = config.source
    if isinstance(source, SampleSource):
        spectra = [Provenance("Reflectance", "real", f"{SCENE}; lossy JPEG 2000")]
    elif isinstance(source, SimulatedSource):
        spectra = [
            Provenance("Ground of the simulation", "real", f"{SCENE}; lossy JPEG 2000"),
            Provenance("Ground under its clouds and shadows", "reconstructed", "refilled from similar clear ground"),
            Provenance(
                f"{source.acquisitions} acquisitions of {source.year}, clouds, shadows",
                "simulated",
                f"eotasks.models.simulation, seed {config.seed}",
            ),
        ]
    elif isinstance(source, SentinelHubSource):
        spectra = [Provenance("Reflectance", "real", f"Sentinel Hub, {source.collection}")]
    else:
        origin: Origin = "simulated" if source.simulated else "real"
        spectra = [Provenance(", ".join(sorted(source.features)), origin, f"EOPatches in {source.folder}")]
    return [*spectra, _labels(config)]


def _labels(config: LandCoverConfig) -> Provenance:
    reference = config.reference
    if reference.kind == "sample":
        return Provenance("Reference labels", "real", "land use, © OpenStreetMap contributors, ODbL")
    if reference.kind == "feature":
        return Provenance("Reference labels", "real", "LULC of the EOPatches")
    return Provenance("Reference labels", "real", str(reference.path))


def split_note(config: LandCoverConfig, plan: Plan) -> str:
    """How training and test samples were kept apart."""
    validation = config.validation
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


def reasons(config: LandCoverConfig) -> dict[str, str]:
    """Why a picture is absent, by its name."""
    found: dict[str, str] = {}
    if not all(band in kept_bands(config) for band in TRUE_COLOR_BANDS):
        found["TRUE_COLOR"] = f"the source holds none of {', '.join(TRUE_COLOR_BANDS)}"
    brought = source_features(config)
    if brought and "CLP" not in brought and config.clouds.method == "source":
        found["MEAN_CLP"] = "the source brings a cloud mask without probabilities"
    if "NDVI" not in config.features.indices:
        found["MEAN_NDVI"] = found["ndvi_series"] = "NDVI is not among features.indices"
    elif config.features.step_days is None:
        found["ndvi_series"] = "features.step_days is not set, so nothing is resampled"
    if not plan_outline_is_known(config):
        found["outline"] = "the source has patches, no area of interest around them"
    return found


def plan_outline_is_known(config: LandCoverConfig) -> bool:
    """Whether an area of interest was given, or is that of the sample."""
    return config.source.kind != "eopatches" and config.area.patch_grid is None
