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
# # First steps: a patch, its bands, a cloud mask, a picture
#
# Everything here runs on the real Sentinel-2 acquisition that comes with eotasks: tile 33UUU, 16 February 2017, west of
# Berlin. No account, no network. Open this file as a notebook with Jupyter and jupytext, or run it as a script.

# %%
import eotasks  # first: it keeps back warnings of its pinned dependencies

import matplotlib.pyplot as plt
import numpy as np
from eolearn.core import EONode, EOWorkflow, FeatureType, OutputTask

DATA, MASK, MASK_TIMELESS = FeatureType.DATA, FeatureType.MASK, FeatureType.MASK_TIMELESS

# %% [markdown]
# ## A patch
#
# An area is split into patches; here the scene itself, in patches of 3840 m at 20 m. Row 0 is in the north.

# %%
area = eotasks.read_area(bbox=tuple(eotasks.SAMPLE_BBOX), crs="EPSG:32633")
patches = eotasks.split_area(area, patch_size=3840, resolution=20, grid="bbox")
patch = patches[1]
print(f"{len(patches)} patches; {patch.name} has {patch.height} x {patch.width} pixels")

# %% [markdown]
# ## Its bands
#
# A task adds features to an EOPatch. `LoadSampleTask` reads the 13 L1C bands as reflectance (1.0 is 100 %) on the grid
# of the patch, resampled by their coordinates: bands of 10, 20 and 60 m fall into place.

# %%
eopatch = eotasks.LoadSampleTask((DATA, "BANDS"), (MASK, "IS_DATA"), resolution=20).execute(bbox=patch.bbox)
bands = eopatch[DATA, "BANDS"]
print(f"{eopatch.timestamps[0]}: {bands.shape} {bands.dtype}, reflectance up to {bands.max():.2f}")

# %% [markdown]
# ## A cloud mask
#
# The same as a workflow: each task takes the EOPatch of the one before it. The probability is that of s2cloudless,
# computed here at 160 m as the service did; the mask averages it over a disk, takes what is above the threshold, and
# grows it.

# %%
source = EONode(eotasks.LoadSampleTask((DATA, "BANDS"), (MASK, "IS_DATA"), resolution=20))
probability = EONode(eotasks.AddCloudProbabilityTask((DATA, "BANDS"), (DATA, "CLP"), resolution=160), inputs=[source])
mask = EONode(eotasks.AddCloudMaskTask((DATA, "CLP"), (MASK, "CLM")), inputs=[probability])
valid = EONode(eotasks.AddValidDataMaskTask((MASK, "IS_DATA"), (MASK, "IS_VALID")), inputs=[mask])
ndvi = EONode(eotasks.AddNormalizedDifferenceTask((DATA, "BANDS"), (DATA, "NDVI")), inputs=[valid])
output = EONode(OutputTask("patch"), inputs=[ndvi])

results = EOWorkflow.from_endnodes(output).execute({source: {"bbox": patch.bbox}})
eopatch = results.outputs["patch"]
cloud = eopatch[MASK, "CLM"][0, ..., 0] == 1
print(f"{cloud.mean():.0%} of the patch is cloud, {eopatch[MASK, 'IS_VALID'].mean():.0%} is valid")

# %% [markdown]
# ## A picture

# %%
figure, axes = plt.subplots(1, 3, figsize=(12, 4), layout="constrained")
axes[0].imshow(np.clip(bands[0][..., [3, 2, 1]] * 3.5, 0, 1))
axes[0].set_title("true colour")
axes[1].imshow(eopatch[DATA, "CLP"][0, ..., 0], cmap="inferno", vmin=0, vmax=1)
axes[1].set_title("cloud probability")
axes[2].imshow(np.where(cloud, np.nan, eopatch[DATA, "NDVI"][0, ..., 0]), cmap="YlGn", vmin=0, vmax=0.8)
axes[2].set_title("NDVI of what is not cloud")
for axis in axes:
    axis.set_axis_off()
plt.show()
