"""Addresses with secrets, given to the commands that measure lakes, fields and archives: none is printed or kept."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import pytest
import shapely

from tests.hostile.test_secrets import CANARY, Runs, archive, runs

__all__ = ["archive", "runs"]


@pytest.mark.trial
def test_verbose_runs_of_new_commands_keep_no_secret(runs: Runs, tmp_path: Path) -> None:
    shapes = tmp_path / "shapes.parquet"
    gpd.GeoDataFrame({"id": ["a"]}, geometry=[shapely.box(13.0, 52.45, 13.01, 52.46)], crs=4326).to_parquet(shapes)
    work, address = runs.folder, runs.address
    stac = f"http://127.0.0.1:{runs.server.server_port}/stac?zz={CANARY}"
    any_code = (0, 1, 2)
    for number, place in enumerate(
        (*map(address, ("good.zip", "missing.zip", "denied.zip", "c.parquet", "stac")), stac,
         f"s3://KEY:{CANARY}@bucket/products", "s3://bucket/products")
    ):  # fmt: skip
        out = work / f"out{number}"
        runs.run("water-level", shapes, "--products", place, "--out", out / "water", code=any_code)
        runs.run(
            "zonal-stats", shapes, "--products", place, "--executor", "serial", "--out", out / "zonal", code=any_code
        )
        runs.run("archive", "plan", place, code=any_code)
        runs.run("archive", "build", place, "--out", out / "masks", "--executor", "serial", code=any_code)
    for dem in (address("dem.tif"), address("denied.tif"), f"s3://bucket/dem.tif?sig={CANARY}"):
        runs.run("water-level", shapes, "--simulated", "--elevation", dem, "--out", work / "dem", code=any_code)
        runs.run("cloud-mask", address("good.zip"), "--dem", dem, "--out", work / "shade", code=any_code)
    for place in (address("lakes.gpkg"), f"s3://KEY:{CANARY}@bucket/lakes.gpkg", f"s3://bucket/a.gpkg?token={CANARY}"):
        runs.run("water-level", place, "--simulated", "--out", work / "lakes", code=any_code)
        runs.run("zonal-stats", place, "--simulated", "--out", work / "fields", code=any_code)
    for place in (f"s3://KEY:{CANARY}@bucket/out", address("out")):
        runs.run("water-level", shapes, "--simulated", "--out", place, code=any_code)
        runs.run("zonal-stats", shapes, "--simulated", "--executor", "serial", "--out", place, code=any_code)
    runs.run("archive", "export-stac", work / "out0" / "masks", "--address", address("masks"), code=any_code)
    assert len(runs.said) // 2 > 40
    assert sum("error" in text for text in runs.said) > 20
    runs.assert_no_secret()
