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
# # A meadow through the year: field statistics without clouds
#
# What the cloud masks are for: the NDVI of fields, date by date, of what is ground and not of what hides it; the curve
# that is left; and what the cloud model says of a whole field. It runs on a **simulated** year over the scene that
# comes with eotasks, on fields of OpenStreetMap that come with it: its numbers say nothing about these fields
# ([how it is made](../docs/simulated-year.md)). No account, no network. It needs the extra `zonal`. The how-to beside
# this: `docs/how-to-field-curves.md`.

# %%
import eotasks  # first: it keeps back warnings of its pinned dependencies

import io
import warnings

import matplotlib.pyplot as plt
import numpy as np
from eolearn.core import FeatureType
from IPython.display import Image, display
from sentinelhub import CRS, BBox

from eotasks.models.sentinel2 import CLOUD_BANDS
from eotasks.sources.simulated import SimulateYearTask
from eotasks.workflows.zonal_stats.demo import demo_fields
from eotasks.workflows.zonal_stats.images import field_images
from eotasks.workflows.zonal_stats.pictures import field_figure, field_pages
from eotasks.zonal.series import field_series
from eotasks.zonal.spectrum import with_mean_spectrum_probability
from eotasks.zonal.task import ZonalStatisticsTask

DATA, MASK = FeatureType.DATA, FeatureType.MASK

# %% [markdown]
# ## A year, and its masks
#
# Fifty dates over 6 x 4 km. Clouds and their shadows are found as in any EOPatch.

# %%
bbox = BBox((337_200, 5_816_800, 342_960, 5_820_640), CRS.UTM_33N)
patch = SimulateYearTask(seed=7, acquisitions=50, swath_edges=0.1, resolution=40).execute(bbox=bbox)
is_data = (MASK, "IS_DATA")
with warnings.catch_warnings():
    warnings.simplefilter("ignore", eotasks.ShadowWarning)  # dates that are all cloud
    for task in (
        eotasks.AddCloudProbabilityTask(is_data_feature=is_data),
        eotasks.AddCloudMaskTask(is_data_feature=is_data, unit="metre"),
        eotasks.AddCloudShadowTask(),
    ):
        task.execute(patch)
print(f"{len(patch.timestamps)} dates, {np.mean(patch[MASK, 'CLM'] == 1):.0%} of all pixels are cloud")

# %% [markdown]
# ## Fields
#
# Polygons may be in any file and coordinate system. A pixel counts with the part of it that lies in the field. Each row
# is of a field, a date and a band, once over clear pixels and once over all that have data.

# %%
polygons = demo_fields().frame().rename(columns={"id": "field"})
fields = polygons[polygons.within(bbox.geometry)].reset_index(drop=True)
statistics = ZonalStatisticsTask(fields, indices=["NDVI", *CLOUD_BANDS], percentiles=[5, 95], id_column="field")
table = statistics.statistics(patch)
ndvi = table[table.band == "NDVI"]
columns = ["id", "time", "over", "mean", "std", "pixels", "cloud_fraction", "shadow_fraction", "status"]
display(ndvi.loc[ndvi.id == fields.field[0], columns].head(8).round(3))

# %% [markdown]
# ## The year of a meadow
#
# All observations, those that are masked, and the curve through the others: Whittaker's smoother, each date weighed by
# the clear share of the meadow. How smooth it is says the V-curve; nothing has to be set.


# %%
def show(figure):
    """A figure that was made without pyplot."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=100)
    display(Image(content.getvalue()))


name = next(each for each in fields.field if each.startswith("meadow"))
outline = fields.geometry[fields.field == name].iloc[0]
eotasks.AddValidDataMaskTask(cloud_masks=[(MASK, "CLM"), (MASK, "SHADOW")]).execute(patch)
images = field_images(patch, outline, clear_feature=(MASK, "IS_VALID"))
show(field_figure(ndvi, name, images=images, title=f"NDVI of {name} (simulated)"))

# %%
series = field_series(ndvi, name, "NDVI")
curve = series.curve()
best = curve.times[np.argmax(curve.values)]
print(f"{series.used.sum()} of {len(series.times)} dates are used; greenest on {best}, NDVI {curve.values.max():.2f}")

# %% [markdown]
# ## All fields on a page

# %%
for page in field_pages(ndvi, title=f"NDVI of {len(fields)} fields (simulated)"):
    show(page)

# %% [markdown]
# ## One spectrum for a field
#
# The cloud model can be asked for the mean spectrum of a field: one prediction instead of hundreds. It says whether the
# field is cloud, not how much of it, and stands beside the fraction.

# %%
both = with_mean_spectrum_probability(table)
once = both[(both.band == "NDVI") & (both.over == "all")].dropna(subset=["mean_spectrum_cloud_probability"])
figure, axes = plt.subplots(figsize=(6.5, 4.2), layout="constrained")
axes.scatter(once.cloud_fraction, once.mean_spectrum_cloud_probability, s=12, alpha=0.4, color="#0072b2", linewidth=0)
axes.axhline(0.4, color="#6b757c", linewidth=0.8)
axes.set(xlabel="share of the field's pixels that are called cloud", ylabel="cloud probability of its mean spectrum")
plt.show()
clear, cloudy = once[once.cloud_fraction == 0], once[once.cloud_fraction == 1]
print(f"no pixel is cloud: {np.mean(clear.mean_spectrum_cloud_probability > 0.4):.0%} of mean spectra above 0.4")
print(f"all pixels are cloud: {np.mean(cloudy.mean_spectrum_cloud_probability > 0.4):.0%}")
