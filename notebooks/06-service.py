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
# # Cloud masks at your service
#
# `eotasks serve` answers the requests of the package `sentinelhub` as Sentinel Hub does: bands, cloud masks,
# statistics, evalscripts. Here it serves what comes with eotasks: one real acquisition (tile 33UUU, 16 February 2017,
# west of Berlin), and a year over the same ground that is **simulated** from it, so what is seen of the year says
# nothing about the fields. No account, no network but this machine. It needs the extra `service`.

# %%
import eotasks  # noqa: F401  # first: it keeps back warnings of its pinned dependencies

import os
import re
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from eolearn.core import FeatureType
from eolearn.io import SentinelHubInputTask
from sentinelhub import (
    CRS,
    BBox,
    DataCollection,
    MimeType,
    SentinelHubRequest,
    SentinelHubStatistical,
    SHConfig,
)

os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"  # the client asks for its token over plain http, on this machine

# %% [markdown]
# ## The service
#
# On a command line this is `eotasks serve --demo`; it prints the lines that follow. With products of your own it is
# `eotasks serve --catalogue products.parquet`, and `eotasks serve add-client` for whoever may ask.

# %%
command = [sys.executable, "-m", "eotasks.workflows.cli", "serve", "--demo", "--port", "0"]
environment = {**os.environ, "XDG_CACHE_HOME": str(Path("cache").resolve())}  # its products, made once
log = Path("requests.log").open("w")
service = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
first = service.stdout.readline()
url = re.search(r"http://\S+?(?=,)", first).group()
print(first)

# %%
config = SHConfig(use_defaults=True)
config.sh_base_url = url
config.sh_token_url = f"{url}/auth/realms/main/protocol/openid-connect/token"
config.sh_client_id, config.sh_client_secret = "any", "any"  # the demonstration answers everybody on this machine
collection = DataCollection.SENTINEL2_L1C.define_from("OURS", service_url=url)  # it would ask its own host otherwise

# %% [markdown]
# ## A picture, and what is cloud in it
#
# The script is run by V8 in a process that has nothing but pixels. CLP and CLM are computed when they are asked for,
# at 160 m, as Sentinel Hub did; an archive of masks (notebook 04) answers without computing.

# %%
script = """//VERSION=3
function setup() {
  return {
    input: [{ bands: ["B02", "B03", "B04", "CLP", "CLM"] }],
    output: [{ id: "picture", bands: 3 }, { id: "clouds", bands: ["probability", "mask"], sampleType: "FLOAT32" }],
  };
}
function evaluatePixel(s) {
  return { picture: [3.5 * s.B04, 3.5 * s.B03, 3.5 * s.B02], clouds: [s.CLP / 255, s.CLM] };
}"""

box = BBox((12.51, 52.458, 12.71, 52.518), CRS.WGS84)
(answer,) = SentinelHubRequest(
    script,
    [SentinelHubRequest.input_data(collection, time_interval=("2017-02-16", "2017-02-17"))],
    [
        SentinelHubRequest.output_response("picture", MimeType.PNG),
        SentinelHubRequest.output_response("clouds", MimeType.TIFF),
    ],
    bbox=box,
    size=(680, 334),
    config=config,
).get_data()
picture, clouds = answer["picture.png"], answer["clouds.tif"]

figure, axes = plt.subplots(1, 2, figsize=(12, 3.4), layout="constrained")
axes[0].imshow(picture, extent=(box.min_x, box.max_x, box.min_y, box.max_y), aspect="auto")
axes[0].set(title="16 February 2017", xlabel="longitude", ylabel="latitude")
shown = axes[1].imshow(clouds[..., 0], vmin=0, vmax=1, cmap="Blues_r", aspect="auto")
axes[1].contour(clouds[..., 1] == 1, levels=[0.5], colors="tab:orange", linewidths=0.8)
axes[1].set(title="cloud probability, and the mask (orange)", xticks=[], yticks=[])
figure.colorbar(shown, ax=axes[1])
plt.show()

# %% [markdown]
# ## A field through the (simulated) year
#
# Mean NDVI of the clear pixels and the share of cloud, at each acquisition, are one call of the Statistical API.

# %%
script = """//VERSION=3
function setup() {
  return {
    input: [{ bands: ["B04", "B08", "CLM", "dataMask"] }],
    output: [
      { id: "clear", bands: ["ndvi"] },
      { id: "clouds", bands: ["share"] },
      { id: "dataMask", bands: ["clear", "clouds"] },
    ],
  };
}
function evaluatePixel(s) {
  const known = s.dataMask === 1 && s.CLM !== 255;
  return { clear: [index(s.B08, s.B04)], clouds: [s.CLM === 1 ? 1 : 0], dataMask: [known && s.CLM === 0, known] };
}"""

field = BBox((338_000, 5_817_000, 338_800, 5_817_800), CRS("EPSG:32633"))
(answer,) = SentinelHubStatistical(
    aggregation=SentinelHubStatistical.aggregation(script, ("2024-01-01", "2024-12-31"), "P1D", resolution=(40, 40)),
    input_data=[SentinelHubStatistical.input_data(collection)],
    bbox=field,
    config=config,
).get_data()

days = [np.datetime64(each["interval"]["from"][:10]) for each in answer["data"]]
ndvi = np.array([each["outputs"]["clear"]["bands"]["ndvi"]["stats"]["mean"] for each in answer["data"]], dtype=float)
share = np.array([each["outputs"]["clouds"]["bands"]["share"]["stats"]["mean"] for each in answer["data"]], dtype=float)

figure, axis = plt.subplots(figsize=(10, 3.2), layout="constrained")
axis.bar(days, share, width=6, color="0.8", label="share of cloud")
seen = np.isfinite(ndvi)
axis.plot(np.array(days)[seen], ndvi[seen], "o-", color="tab:green", label="NDVI of clear pixels, where there are some")
axis.set(ylim=(-0.2, 1.05), title="one field in the simulated year")
axis.legend(loc="upper left")
plt.show()

# %% [markdown]
# ## An EOPatch, by eo-learn's own task

# %%
task = SentinelHubInputTask(
    collection,
    bands_feature=(FeatureType.DATA, "BANDS"),
    bands=["B02", "B03", "B04", "B08"],
    additional_data=[(FeatureType.MASK, "dataMask"), (FeatureType.MASK, "CLM"), (FeatureType.DATA, "CLP")],
    resolution=40,
    maxcc=1.0,
    config=config,
)
patch = task.execute(bbox=field, time_interval=("2024-04-01", "2024-09-30"))
for time, mask in zip(patch.timestamps, patch.mask["CLM"], strict=True):
    known = mask != 255  # the swath of a day may miss the field
    print(f"{time:%Y-%m-%d}   {np.mean(mask[known] == 1):4.0%} cloud" if known.any() else f"{time:%Y-%m-%d}   no data")

# %%
service.terminate()
service.wait()
log.close()
