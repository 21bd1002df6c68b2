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
# # Clouds in xarray, lazily with dask
#
# For those who load Sentinel-2 by odc-stac, stackstac or rioxarray: cloud masks, shadows and valid data of their
# datasets, computed chunk by chunk. It runs on the acquisition that comes with eotasks (tile 33UUU, 16 February 2017,
# west of Berlin), as a STAC item of local files. No account, no network. It needs the extra `dask`.

# %%
import eotasks  # first: it keeps back warnings of its pinned dependencies

import warnings

import matplotlib.pyplot as plt
import numpy as np
import odc.stac
from eolearn.core import FeatureType

from eotasks.catalogue.items import item_of
from eotasks.models.sentinel2 import BANDS
from eotasks.sources.sample import sample_path
from eotasks.xarray import cloud_mask, cloud_probability, cloud_shadow, from_xarray, to_xarray, valid_data

warnings.filterwarnings("ignore", "Dataset has no geotransform")  # of odc-stac, which reads into plain arrays

# %% [markdown]
# ## A lazy dataset
#
# In real life the items come from a search of a STAC API, and there are many of them. Nothing is read yet.

# %%
item = item_of(eotasks.open_scene(sample_path()))
bands = odc.stac.load([item], bands=list(BANDS), resolution=20, chunks={"x": 256, "y": 256})
print(bands["B04"])

# %% [markdown]
# ## A lazy mask
#
# `items=` says what the numbers mean: products since January 2022 carry an offset, older ones do not, and a stack may
# mix them. The mask looks at the neighbours of a pixel, so each chunk gets a margin; it has no seams.

# %%
probability = cloud_probability(bands, items=[item])
clouds = cloud_mask(probability)  # of the bands it would do too
print(clouds)

# %% [markdown]
# ## Shadows and valid data
#
# The height of clouds is searched in whole frames, so here a frame is put together: three bands and the mask. The sun
# is where the item says. The mask for shadows is less averaged and not dilated, because shadows have the outlines of
# their clouds.

# %%
outlines = cloud_mask(probability, average_over=1, dilation_size=None)
shadows = cloud_shadow(bands, outlines, items=[item])
valid = valid_data(bands, [clouds, shadows], items=[item])

# %% [markdown]
# ## Computed at last
#
# One call for all, so that bands are read once for what needs them.

# %%
picture = (bands[["B04", "B03", "B02"]].to_array("band") / 10_000).transpose("time", "y", "x", "band")
whole = clouds.to_dataset().assign(CLP=probability, SHADOW=shadows, IS_VALID=valid, RGB=picture).compute()
print(f"cloud {float((whole['CLM'] == 1).mean()):.0%}, valid {float(whole['IS_VALID'].mean()):.0%}")

# %%
figure, axes = plt.subplots(2, 2, figsize=(12, 7), layout="constrained")
axes[0, 0].imshow(np.clip(whole["RGB"][0] * 3.5, 0, 1))
axes[0, 0].set_title("true colour")
axes[0, 1].imshow(whole["CLP"][0], cmap="inferno", vmin=0, vmax=1)
axes[0, 1].set_title("cloud probability")
classes = np.full((*whole["CLM"].shape[1:], 3), 0.85)
classes[whole["SHADOW"].values[0] == 1] = 0.25, 0.3, 0.6
classes[whole["CLM"].values[0] == 1] = 0.95, 0.6, 0.2
axes[1, 0].imshow(classes)
axes[1, 0].set_title("cloud (orange), shadow (blue)")
axes[1, 1].imshow(np.clip(whole["RGB"].where(whole["IS_VALID"])[0] * 3.5, 0, 1))
axes[1, 1].set_title("what is left")
for axis in axes.flat:
    axis.set_axis_off()
plt.show()

# %% [markdown]
# ## To eo-learn and back
#
# The bands become one feature, and stay with dask until a task looks at them.

# %%
eopatch = from_xarray(bands, items=[item])
print(eopatch)
eopatch = eotasks.AddCloudMaskTask().execute(eotasks.AddCloudProbabilityTask().execute(eopatch))
print("the same mask:", bool((eopatch[FeatureType.MASK, "CLM"][..., 0] == whole["CLM"].values).all()))
print(to_xarray(eopatch)["BANDS"].sel(band="B10").dims)
