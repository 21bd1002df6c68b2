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
# # An archive of cloud masks, made once, read by anybody
#
# Masks of every product of a folder, kept whole, shown as STAC, and loaded again by tools that know nothing of eotasks.
# It runs on the acquisition that comes with eotasks (tile 33UUU, 16 February 2017, west of Berlin). The other days are
# **simulated**: the same numbers, moved, under dates that are made up. No account, no network. It needs the extras
# `catalogue` and `dask`.
#
# What is done here by functions, `eotasks archive` does on the command line.

# %%
import eotasks  # first: it keeps back warnings of its pinned dependencies

import json
import logging
import shutil
import warnings
from pathlib import Path

import geopandas
import matplotlib.pyplot as plt
import numpy as np
import odc.stac
import pystac
import rasterio
import rioxarray
from eolearn.core import FeatureType

from eotasks.sources.sample import sample_path
from eotasks.workflows.cloud_archive.build import build_archive
from eotasks.workflows.cloud_archive.exporting.export import export_stac
from eotasks.workflows.cloud_archive.whole.repair import repair_archive
from eotasks.workflows.cloud_archive.whole.status import archive_status
from eotasks.workflows.cloud_archive.whole.verify import verify_archive
from eotasks.workflows.product_masks.options import CloudMaskOptions

warnings.filterwarnings("ignore", "Dataset has no geotransform")  # of odc-stac, which reads into plain arrays
logging.getLogger("rasterio").setLevel(logging.ERROR)  # GDAL's notes about JPEG 2000

# %% [markdown]
# ## Some products
#
# Folders with the 13 bands and a description, as the embedded one is; `.SAFE`, zips and buckets do as well.


# %%
def simulated_day(date: str, east: int = 0, south: int = 0) -> None:
    """The embedded product under another date, with its pixels moved by some metres, round the edges."""
    folder = Path("products") / f"T33UUU_{date.replace('-', '')}"
    shutil.copytree(sample_path(), folder, ignore=shutil.ignore_patterns("*.gpkg", "README*"))
    for image in folder.glob("*.jp2") if east or south else ():
        with rasterio.open(image) as source:
            values, profile = source.read(), source.profile
        image.unlink()
        kept = {key: profile[key] for key in ("width", "height", "count", "dtype", "crs", "transform")}
        size = round(profile["transform"].a)
        with rasterio.open(image, "w", driver="JP2OpenJPEG", QUALITY="100", REVERSIBLE="YES", **kept) as target:
            target.write(np.roll(values, (south // size, east // size), axis=(1, 2)))
    description = folder / "acquisition.json"
    description.write_text(json.dumps(json.loads(description.read_text()) | {"time": f"{date}T10:21:01"}))


simulated_day("2017-02-16")  # as it is
simulated_day("2017-02-26", east=3_600, south=1_200)
simulated_day("2017-03-08", east=9_600, south=4_800)

# %% [markdown]
# ## The archive
#
# One cloud probability (CLP) and one mask (CLM) a product, each a Cloud Optimized GeoTIFF with a STAC item beside it.
# Whole archives have them at 160 m; this is a small area, so they may be finer. By default worker processes do it
# (`executor="processes"`), or a Ray cluster.

# %%
options = CloudMaskOptions(resolution=60)
result = build_archive("products", "masks", options, executor="serial")
print("made:", ", ".join(sorted(result.done)))

# %% [markdown]
# Run again it takes what is new, and nothing else: a cron job is enough.

# %%
simulated_day("2017-03-18", east=12_000, south=600)
result = build_archive("products", "masks", options, executor="serial")
print("made:", ", ".join(result.done))
print("there already:", ", ".join(sorted(result.kept)))
summary = archive_status("masks").catalogue
print(f"{summary.masks} products with masks, {summary.first:%Y-%m-%d} to {summary.last:%Y-%m-%d}")

# %% [markdown]
# ## Kept whole
#
# Every image has its checksum in its item. Here a byte of one is changed.

# %%
image = sorted(Path("masks").rglob("*_CLP.tif"))[1]
content = bytearray(image.read_bytes())
content[-10] ^= 1
image.write_bytes(content)
for finding in verify_archive("masks").findings:
    print(f"{finding.kind}: {finding.text}")
print("made again:", ", ".join(repair_archive("masks", executor="serial").made))
print("wrong now:", len(verify_archive("masks").findings))

# %% [markdown]
# ## Shown to the world
#
# A static STAC catalogue: collections, tiles, years, items, valid by the schemas of the extensions that they name. Any
# web server or bucket will do for it; `address=` says where the masks are reached then, `copy=True` takes them along.

# %%
exported = export_stac("masks", "masks/stac")
print(dict(exported.items))
catalogue = pystac.Catalog.from_file("masks/stac/catalog.json")
catalogue.describe()

# %% [markdown]
# The same items are rows of a GeoParquet file, for geopandas, DuckDB and whoever searches a million of them.

# %%
table = geopandas.read_parquet("masks/stac/cloud-masks-l1c/items.parquet")
print(table[["id", "datetime", "grid:code", "view:sun_elevation"]].to_string(index=False))

# %% [markdown]
# ## Loaded by others
#
# From here on nothing is of eotasks. odc-stac finds the grid of the tile in the items.

# %%
items = list(catalogue.get_items(recursive=True))
loaded = odc.stac.load(items, bands=["CLM", "CLP"], chunks={})
known = loaded["CLM"] != 255
cloudy = (loaded["CLM"] == 1).where(known).mean("time").compute()
print(loaded["CLM"])

# %% [markdown]
# rioxarray opens one of them. Its numbers are probabilities times 255; the item says so, by `scale`.

# %%
asset = items[0].assets["CLP"]
with rioxarray.open_rasterio(asset.get_absolute_href(), masked=True) as numbers:
    probability = numbers[0] * asset.extra_fields["raster:bands"][0]["scale"]
    print(f"{items[0].id}: cloud probability {float(probability.mean()):.0%} on average, {probability.rio.crs}")

# %% [markdown]
# ## And in EOPatches
#
# `ArchiveMasksTask` brings the masks to the grid of a patch. Missing is not clear: where no product has data, CLM is
# 255.

# %%
eopatch = eotasks.LoadSampleTask(resolution=20).execute(bbox=eotasks.SAMPLE_BBOX)
eopatch = eotasks.ArchiveMasksTask("masks").execute(eopatch)
mask = eopatch[FeatureType.MASK, "CLM"][0, ..., 0]
print(f"{eopatch.timestamps[0]}: {np.mean(mask == 1):.0%} cloud on a grid of 20 m")

# %%
figure, axes = plt.subplots(2, 3, figsize=(13, 4.9), layout="constrained")
for axis, (time, clouds) in zip(axes.flat, loaded["CLM"].groupby("time"), strict=False):
    axis.imshow(np.where(clouds[0] == 255, np.nan, clouds[0]), cmap="Oranges", vmin=0, vmax=1.4)
    axis.set_title(f"{str(time)[:10]}{'' if str(time)[:10] == '2017-02-16' else ', simulated'}")
axes[1, 1].imshow(cloudy, cmap="viridis", vmin=0, vmax=1)
axes[1, 1].set_title("days under cloud: none (dark) to all (bright)")
colour = np.clip(eopatch[FeatureType.DATA, "BANDS"][0][..., [3, 2, 1]] * 3.5, 0, 1)
axes[1, 2].imshow(np.where(mask[..., np.newaxis] == 1, 0.5 * colour + [0.45, 0.28, 0.1], colour))
axes[1, 2].set_title("2017-02-16, clouds in orange")
for axis in axes.flat:
    axis.set_axis_off()
plt.show()
