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
# # Coming from s2cloudless
#
# Programs that use s2cloudless run with one line changed, many times as fast, and are told of input that gives wrong
# masks. This goes from that line to a mask that knows where there is data. The scene comes with eotasks; no account, no
# network. Tables of what stands for what: `docs/how-to-s2cloudless.md`.

# %%
import eotasks  # first: it keeps back warnings of its pinned dependencies

import time
import warnings

import matplotlib.pyplot as plt
import numpy as np
from eolearn.core import FeatureType
from matplotlib.colors import ListedColormap

DATA, MASK = FeatureType.DATA, FeatureType.MASK
CLEAR_AND_CLOUD = ListedColormap(["#31543f", "white"])

# %% [markdown]
# ## Thirteen bands
#
# As s2cloudless wants them: L1C reflectance (1.0 is 100 %, the baseline offset removed), as an array
# (N, height, width, 13).

# %%
eopatch = eotasks.LoadSampleTask((DATA, "BANDS"), (MASK, "IS_DATA"), resolution=60).execute(bbox=eotasks.SAMPLE_BBOX)
bands = eopatch[DATA, "BANDS"]
print(bands.shape, bands.dtype)

# %% [markdown]
# ## The one line
#
# What s2cloudless calls averaging and dilation are radii in pixels; at 60 m small ones do.

# %%
from eotasks.s2cloudless import S2PixelCloudDetector  # was: from s2cloudless import S2PixelCloudDetector

settings = {"threshold": 0.4, "average_over": 1, "dilation_size": 1, "all_bands": True}
detector = S2PixelCloudDetector(**settings)
probability = detector.get_cloud_probability_maps(bands)
mask = detector.get_cloud_masks(bands)
print(f"{mask.dtype}, {mask.mean():.0%} cloud")

# %% [markdown]
# ## The same numbers
#
# s2cloudless itself, on a part of the scene: every bit of the probability and of the mask.

# %%
from s2cloudless import S2PixelCloudDetector as Original

part = bands[:, :, :64]
original = Original(**settings)
seconds = {}
for name, each in {"s2cloudless": original, "eotasks": detector}.items():
    each.get_cloud_masks(part)  # loads the model
    begun = time.perf_counter()
    each.get_cloud_masks(part)
    seconds[name] = time.perf_counter() - begun
assert np.array_equal(detector.get_cloud_probability_maps(part), original.get_cloud_probability_maps(part))
assert np.array_equal(detector.get_cloud_masks(part), original.get_cloud_masks(part))
print(f"equal; {seconds['s2cloudless'] / seconds['eotasks']:.0f} times as fast here and now")

# %% [markdown]
# ## What goes wrong without a word
#
# Three inputs that s2cloudless takes: raw digital numbers, the offset of processing baseline 04.00 left in, and a half
# without data. The answers are the same, the mistake is named.

# %%
without_data = bands.copy()
without_data[:, :, 128:] = 0
mistakes = {
    "raw digital numbers": np.round(bands * 10_000).astype(np.uint16),
    "offset left in": bands + np.float32(0.1),
    "no data in the east": without_data,
}
answers = {"as it should be": mask}
for name, wrong in mistakes.items():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        answers[name] = detector.get_cloud_masks(wrong)
    print(f"{name}: {answers[name].mean():.0%} cloud")
    for warning in caught:
        print(f"  {warning.category.__name__}: {warning.message}")

# %%
figure, axes = plt.subplots(1, 4, figsize=(14, 2.6), layout="constrained")
for axis, (name, answer) in zip(axes, answers.items(), strict=True):
    axis.imshow(answer[0], cmap=CLEAR_AND_CLOUD, vmin=0, vmax=1)
    axis.set_title(name)
    axis.set_xticks([])
    axis.set_yticks([])
plt.show()

# %% [markdown]
# In a job that nobody watches, make them errors:

# %%
with warnings.catch_warnings():
    warnings.filterwarnings("error", category=eotasks.NotReflectanceWarning)
    try:
        detector.get_cloud_masks(bands + np.float32(0.1))
    except eotasks.NotReflectanceWarning as error:
        print(error)

# %% [markdown]
# ## On from there: where there is data
#
# The functions of eotasks take a mask of the data. A pixel without data is 255 in the cloud mask, and has no say in the
# average of its neighbours.

# %%
is_data = (without_data != 0).any(axis=-1)
clp = eotasks.cloud_probability(without_data, valid=is_data)
clm = eotasks.cloud_mask(clp, threshold=0.4, average_over=1, dilation_size=1, valid=is_data)
print({int(value): int(count) for value, count in zip(*np.unique(clm, return_counts=True), strict=True)})

figure, axes = plt.subplots(1, 3, figsize=(14, 3.2), layout="constrained")
axes[0].imshow(np.clip(bands[0][..., [3, 2, 1]] * 3.5, 0, 1))
axes[0].set_title("true colour")
axes[1].imshow(clp[0], cmap="inferno", vmin=0, vmax=1)
axes[1].set_title("cloud probability")
axes[2].imshow(np.where(clm[0] == 255, np.nan, clm[0]), cmap=CLEAR_AND_CLOUD, vmin=0, vmax=1)
axes[2].set_facecolor("tab:red")
axes[2].set_title("mask: clear, cloud (white), no data (red)")
for axis in axes:
    axis.set_xticks([])
    axis.set_yticks([])
plt.show()

# %% [markdown]
# ## And in a workflow
#
# The same as tasks, with the names of the presets for the radii; `notebooks/01-first-steps.py` begins there.

# %%
eotasks.AddCloudProbabilityTask((DATA, "BANDS"), (DATA, "CLP")).execute(eopatch)
eotasks.AddCloudMaskTask((DATA, "CLP"), (MASK, "CLM"), preset="s2cloudless").execute(eopatch)
print("equal:", np.array_equal(eopatch[MASK, "CLM"][..., 0], mask))
