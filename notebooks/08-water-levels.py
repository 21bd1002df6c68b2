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
# # Water levels: how full a lake is, date by date
#
# The area of a lake's water over the area of its outline tells how full it is. Clouds, their shadows and ice are what
# goes wrong: a lake that was not seen must not pass for an empty one. Here a lake is measured whose true level is
# known: it lies in a **simulated** year over the scene that comes with eotasks, so that the numbers say nothing about
# accuracy in the field. No account, no network. The how-to beside this: `docs/how-to-water-levels.md`.

# %%
import eotasks  # first: it keeps back warnings of its pinned dependencies

import warnings
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
from eolearn.core import FeatureType
from sentinelhub import CRS, BBox

from eotasks.models.simulation.lakes.placing import place_lakes
from eotasks.models.water.measure import WaterLevelSettings
from eotasks.models.water.threshold import edge_threshold, near_edges
from eotasks.models.water.index import water_index
from eotasks.sources.simulated import LAKE_OUTLINES, TRUTH_LAKE_LEVEL, TRUTH_LAKE_STATE, SimulateYearTask, sample_ground

DATA, MASK = FeatureType.DATA, FeatureType.MASK
SEED = 5
IS_DATA, SHADOW, LEVELS = (MASK, "IS_DATA"), (MASK, "SHADOW"), (FeatureType.VECTOR, "WATER_LEVEL")

# %% [markdown]
# ## A lake with a known level
#
# A reservoir of some 1.2 km across that falls until autumn, in 24 dates with clouds, snow and ice. It lies apart from
# the waters of the scene, and around it is enough ground for the clouds that throw shadows on it.

# %%
(lake,) = place_lakes(sample_ground(20, SEED), 1, seed=SEED, smallest=500, largest=700)
lake = replace(lake, drawdown=0.55)
year = SimulateYearTask(
    seed=SEED, acquisitions=24, cloudiness=0.2, snow=True, swath_edges=0.1, resolution=20, lakes=[lake]
)
middle = [round(value / 20) * 20 for value in (lake.x, lake.y)]
around = BBox((middle[0] - 2000, middle[1] - 2000, middle[0] + 2000, middle[1] + 2000), CRS("EPSG:32633"))
patch = year.execute(bbox=around)
outline = patch[LAKE_OUTLINES]
print(f"{outline.area.iloc[0] / 1e4:.0f} ha when full; {patch[DATA, 'BANDS'].shape[1:3]} pixels")

# %% [markdown]
# ## Clouds and shadows, then levels
#
# The task has a row for each date: a level, or a status that says why there is none.

# %%
eotasks.AddCloudProbabilityTask(is_data_feature=IS_DATA, resolution=80).execute(patch)
eotasks.AddCloudMaskTask(is_data_feature=IS_DATA, unit="metre").execute(patch)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", eotasks.ShadowWarning)  # overcast dates: no shadow can be told
    eotasks.AddCloudShadowTask(is_data_feature=IS_DATA).execute(patch)
levels = eotasks.WaterLevelTask(outline, shadow_feature=SHADOW).execute(patch)[LEVELS]
truth, state = patch[TRUTH_LAKE_LEVEL][:, 0], patch[TRUTH_LAKE_STATE][:, 0]
words = np.array(["open", "turbid", "partly frozen", "frozen"])[state]
for row, true, word in zip(levels.itertuples(), truth, words, strict=True):
    print(f"{row.TIMESTAMP:%d %b}  true {true:.2f} ({word:13})  {row.status:12} {row.level:.2f}  {row.reason}")
valid = (levels["status"] == "valid").to_numpy()
print(f"median error {np.median(np.abs(levels['level'] - truth)[valid]):.1%} of the full lake, {valid.sum()} dates")

# %% [markdown]
# ## The level over the year
#
# The same with the checks of the original method, which looks for clouds in the frame only, and for no ice or shadow.

# %%
unchecked = WaterLevelSettings(max_water_cloud_fraction=None, max_frozen_fraction=None, max_beyond_fraction=None)
bare = eotasks.WaterLevelTask(outline, settings=unchecked).execute(patch.copy())[LEVELS]
times = np.array(patch.timestamps)
figure, axes = plt.subplots(figsize=(10, 3.6), layout="constrained")
axes.plot(times, truth, color="0.6", linestyle="--", label="true level")
axes.plot(times, bare["level"], "x", color="tab:red", markersize=8, label="original checks")
axes.plot(times[valid], levels["level"][valid], "o-", color="tab:blue", label="measured")
for status, color in {"too_cloudy": "0.5", "frozen": "skyblue", "invalid_data": "orange", "no_data": "brown"}.items():
    those = times[(levels["status"] == status).to_numpy()]
    axes.plot(those, [-0.04] * len(those), "|", markersize=12, color=color, label=status.replace("_", " "))
axes.set(ylabel="measured / nominal area", ylim=(-0.1, None), title="A simulated reservoir")
axes.legend(ncols=1, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)

# %% [markdown]
# ## From pixels to an outline
#
# The NDWI of one date, the pixels near its edges, among which Otsu's method looks for the threshold, and the outlines:
# the nominal one red, the measured one blue.

# %%
index = int(np.flatnonzero(valid)[np.argmin(levels["level"][valid])])
rows, columns = slice(50, 150), slice(50, 150)
bands = patch[DATA, "BANDS"][index][rows, columns]
ndwi = water_index(bands[..., 2], bands[..., 7])
found = edge_threshold(ndwi)
left, top = patch.bbox.min_x + 50 * 20, patch.bbox.max_y - 50 * 20
extent = (left, left + 100 * 20, top - 100 * 20, top)
figure, axes = plt.subplots(1, 3, figsize=(12, 4.2), layout="constrained", sharey=True)
drawn = axes[0].imshow(ndwi, extent=extent, cmap="BrBG", vmin=-0.7, vmax=0.7)
figure.colorbar(drawn, ax=axes[0], shrink=0.8)
axes[0].set_title(f"NDWI, {times[index]:%d %B}")
axes[1].imshow(np.where(near_edges(ndwi), ndwi, np.nan), extent=extent, cmap="BrBG", vmin=-0.7, vmax=0.7)
axes[1].set_title(f"near edges: threshold {found.value:.2f}")
axes[2].imshow(np.clip(bands[..., [3, 2, 1]] * 4, 0, 1), extent=extent)
outline.boundary.plot(ax=axes[2], color="red", linewidth=1.5)
levels.iloc[[index]].boundary.plot(ax=axes[2], color="deepskyblue", linewidth=2)
axes[2].set(title=f"level {levels['level'][index]:.2f}, in truth {truth[index]:.2f}", xlim=extent[:2], ylim=extent[2:])
for each in axes:
    each.set_xticks([])
    each.set_yticks([])

# %% [markdown]
# For many lakes at once, from products, a catalogue or EOPatches, with table, measured outlines, pictures and a report:
#
# ```sh
# eotasks water-level --demo
# eotasks water-level lakes.gpkg --products archive --start 2020-01-01 --end 2020-12-31
# ```
