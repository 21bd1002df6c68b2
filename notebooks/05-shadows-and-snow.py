# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Shadows and snow: what else lies between the sensor and the ground
#
# A cloud mask is not enough in winter and among hills: clouds throw shadows, hills throw shade, snow is taken for
# cloud, and thin cirrus for anything. Here they are told apart, and what cannot be told is said. It runs on a
# **simulated** year over the scene that comes with eotasks, where the truth is known: its numbers say nothing about
# accuracy in the field ([how it is made](../docs/simulated-year.md)). No account, no network. The how-to beside this:
# `docs/how-to-shadows.md`.

# %%
import eotasks  # first: it keeps back warnings of its pinned dependencies

import warnings

import matplotlib.pyplot as plt
import numpy as np
from eolearn.core import FeatureType
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch

from eotasks.models.simulation.year import REALISTIC
from eotasks.sources.simulated import SimulateYearTask

DATA, MASK, SUN = FeatureType.DATA, FeatureType.MASK, (FeatureType.SCALAR, "SUN_ANGLES")
DEM = (FeatureType.DATA_TIMELESS, "DEM")

# %% [markdown]
# ## A year among hills
#
# Twelve dates at 60 m with clouds in two layers, haze, cirrus and snow. The height of the ground is made up, and known
# to the simulation and to us.

# %%
y, x = np.mgrid[:128, :256] * 60.0
height = 600 + 450 * np.sin(x / 1300 + np.sin(y / 1900)) * np.cos(y / 1500) + 120 * np.sin(x / 420 + y / 700)
year = SimulateYearTask(
    seed=6, acquisitions=12, snow=True, swath_edges=0, resolution=60, realism=REALISTIC, elevation=height
)
patch = year.execute(bbox=eotasks.SAMPLE_BBOX)
patch[DEM] = height[..., np.newaxis].astype(np.float32)  # metres
days = [f"{time:%d %B}" for time in patch.timestamps]
for day, (zenith, _), cloud in zip(days, patch[SUN], patch[MASK, "TRUTH_CLOUD"], strict=True):
    print(f"{day:>12}: sun {90 - zenith:.0f} degrees up, {cloud.mean():.0%} cloud")

# %% [markdown]
# ## Clouds, snow and thin cloud
#
# Snow and thin cirrus are known by their spectrum, and have no say in the cloud mask. It is made twice: as it is used,
# and before it grows (`dilation_size=None`), because shadows have the outlines of clouds and not those of a grown mask.

# %%
apart = {"snow_feature": (MASK, "SNOW"), "thin_cloud_feature": (MASK, "THIN_CLOUD"), "preset": "s2cloudless"}
for task in (
    eotasks.AddCloudProbabilityTask(),
    eotasks.AddCloudMaskTask((DATA, "CLP"), (MASK, "CLOUD_ALONE"), preset="s2cloudless"),
    eotasks.AddSnowMaskTask(),
    eotasks.AddThinCloudMaskTask(),
    eotasks.AddCloudMaskTask((DATA, "CLP"), (MASK, "CLM"), **apart),
    eotasks.AddCloudMaskTask((DATA, "CLP"), (MASK, "OUTLINES"), dilation_size=None, **apart),
):
    task.execute(patch)


def seen(name, index):
    """A mask of a date, boolean (h, w)."""
    return patch[MASK, name][index, ..., 0] == 1


winter, spring = 1, 3
alone, apart_from_snow = (seen(name, winter).mean() for name in ("CLOUD_ALONE", "CLM"))
print(f"{days[winter]}: {alone:.0%} cloud by the model alone, {apart_from_snow:.0%} with snow apart")

# %%
COLORS = {
    "cloud": "#e69f00", "shadow": "#0072b2", "terrain shade": "#cc79a7", "snow": "#56b4e9", "thin cloud": "#f0e442",
}  # fmt: skip


def true_colour(index):
    """A picture (h, w, 3) of a date."""
    bands = patch[DATA, "BANDS"][index][..., [3, 2, 1]]
    return np.clip(bands / max(np.quantile(bands, 0.98), 0.3), 0, 1) ** 0.7


def classes(index, **names):
    """A picture of masks in their colours, the first below."""
    drawn = np.full((*height.shape, 3), 0.35)
    for name, mask in names.items():
        drawn[seen(mask, index)] = to_rgb(COLORS[name.replace("_", " ")])
    return drawn


def show(rows, keys):
    """Rows of titled pictures, and what their colours mean."""
    figure, axes = plt.subplots(len(rows), 3, figsize=(14, 2.7 * len(rows) + 0.4), layout="constrained", squeeze=False)
    for axis, (title, image) in zip(axes.flat, [each for row in rows for each in row], strict=True):
        axis.imshow(image)
        axis.set_title(title)
        axis.set_axis_off()
    handles = [Patch(color=COLORS[key], label=key) for key in keys]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(keys), frameon=False)
    plt.show()


show(
    [
        [
            (days[index], true_colour(index)),
            ("found", classes(index, snow="SNOW", thin_cloud="THIN_CLOUD", cloud="CLM")),
            ("true (simulated)", classes(index, snow="TRUTH_SNOW", thin_cloud="TRUTH_CIRRUS", cloud="TRUTH_CLOUD")),
        ]
        for index in (winter, spring)
    ],
    ("snow", "thin cloud", "cloud"),
)

# %% [markdown]
# ## Shadows, with reasons
#
# The height of every cloud is searched: the one at which its outline covers shaded ground. Where nothing tells, there
# is no shadow in the mask, and a warning says why: "height" (at no height do the clouds fit darker ground better than
# where no shadow can lie), "ground" (there is none beside the clouds), or "sun" (shadows fall outside of the image).

# %%
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always", eotasks.ShadowWarning)
    eotasks.AddCloudShadowTask((DATA, "BANDS"), (MASK, "FLAT"), outline_feature=(MASK, "OUTLINES")).execute(patch)
for warning in caught:
    print(f"{warning.message.reason}: {warning.message}")

# %% [markdown]
# ## Terrain
#
# With the height of the ground, hills' shade is computed: a mask of its own, in which there is no cloud shadow. Here it
# is a feature; `elevation="dem.tif"` reads a GeoTIFF in any coordinate system, as `eotasks cloud-mask --dem` does.

# %%
with warnings.catch_warnings():
    warnings.simplefilter("ignore", eotasks.ShadowWarning)  # those of above
    eotasks.AddCloudShadowTask(outline_feature=(MASK, "OUTLINES"), elevation=DEM).execute(patch)

autumn = 10
hills = seen("TRUTH_TERRAIN_SHADE", autumn) & ~seen("TRUTH_SHADOW", autumn)
for name, words in (("FLAT", "without the heights"), ("SHADOW", "with them")):
    false = np.count_nonzero(seen(name, autumn) & hills)
    print(f"{days[autumn]}, {words}: {false} pixels in the shade of hills are called cloud shadow")
found = {"terrain_shade": "TERRAIN_SHADE", "shadow": "SHADOW", "cloud": "CLM"}
truth = {"shadow": "TRUTH_SHADOW", "terrain_shade": "TRUTH_TERRAIN_SHADE", "cloud": "TRUTH_CLOUD"}
show(
    [
        [
            (days[autumn], true_colour(autumn)),
            ("found", classes(autumn, **found)),
            ("true (simulated)", classes(autumn, **truth)),
        ]
    ],
    ("cloud", "shadow", "terrain shade"),
)

# %% [markdown]
# ## Over time
#
# In a series the ground speaks for itself. Cloud has to be brighter than its ground was on the clear dates nearest in
# time (`AddCloudConsensusTask`), and shade is searched against the sunlight that the ground usually shows (`dates=5`).
# Neither compares with snow.

# %%
series = {"snow_feature": (MASK, "SNOW")}
for task in (
    eotasks.AddCloudConsensusTask((DATA, "BANDS"), (MASK, "CLM_CONSENSUS"), margin=1, **series),
    eotasks.AddCloudConsensusTask(
        (DATA, "BANDS"), (MASK, "OUTLINES_CONSENSUS"), mask_feature=(MASK, "OUTLINES"), margin=0, **series
    ),
    eotasks.AddCloudShadowTask(
        (DATA, "BANDS"),
        (MASK, "SHADOW_CONSENSUS"),
        cloud_feature=(MASK, "CLM_CONSENSUS"),
        outline_feature=(MASK, "OUTLINES_CONSENSUS"),
        elevation=DEM,
        dates=5,
        snow_feature=(MASK, "SNOW"),
    ),
):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", eotasks.ShadowWarning)
        task.execute(patch)


def f1(name, truth):
    """Agreement with the truth over all dates: 1 where every pixel is right."""
    found, true = patch[MASK, name] == 1, patch[MASK, truth]
    return 2 * np.count_nonzero(found & true) / (np.count_nonzero(found) + np.count_nonzero(true))


for what, truth, alone, together in (
    ("cloud", "TRUTH_CLOUD", "CLM", "CLM_CONSENSUS"),
    ("shadow", "TRUTH_SHADOW", "SHADOW", "SHADOW_CONSENSUS"),
):
    print(f"{what}: F1 {f1(alone, truth):.2f} each date by itself, {f1(together, truth):.2f} over time (simulated)")
consensus = {"terrain_shade": "TERRAIN_SHADE", "shadow": "SHADOW_CONSENSUS", "cloud": "CLM_CONSENSUS"}
show(
    [
        [
            (f"{days[index]}, by itself", classes(index, **found)),
            ("over time", classes(index, **consensus)),
            (
                "true (simulated)",
                classes(index, shadow="TRUTH_SHADOW", terrain_shade="TRUTH_TERRAIN_SHADE", cloud="TRUTH_CLOUD"),
            ),
        ]
        for index in (7, 9)
    ],
    ("cloud", "shadow"),
)

# %% [markdown]
# ## What is left
#
# Everything that hides the ground goes into one mask of valid data.

# %%
hidden = [(MASK, name) for name in ("CLM_CONSENSUS", "SHADOW_CONSENSUS", "TERRAIN_SHADE", "THIN_CLOUD")]
eotasks.AddValidDataMaskTask(cloud_masks=hidden).execute(patch)
for day, valid in zip(days, patch[MASK, "IS_VALID"], strict=True):
    print(f"{day:>12}: {valid.mean():.0%} valid")
