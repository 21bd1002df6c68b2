"""Sentinel Hub's Process API as a source."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import ClassVar, Literal

from eolearn.core import EOTask
from pydantic import Field

from eotasks.area import Patch
from eotasks.errors import CredentialsError
from eotasks.sources.sentinelhub import DownloadBandsTask, load_credentials, request_plan
from eotasks.sources.sentinelhub.account import configuration, serves_clouds
from eotasks.workflows.land_cover.sources.base import (
    BANDS,
    CLM,
    CLP,
    IS_DATA,
    Cost,
    Provenance,
    Settings,
    Source,
    SourcePlan,
    expected_frames,
)
from eotasks.workflows.land_cover.sources.patches import area_patches
from eotasks.workflows.report.units import size


class SentinelHubSource(Source):
    """Sentinel Hub's Process API; needs an account (profile or environment of the sentinelhub package)."""

    has_clouds: ClassVar[bool] = True

    kind: Literal["sentinelhub"] = Field("sentinelhub", description="Which source this is.")
    collection: str = Field("SENTINEL2_L1C", description="Name of a sentinelhub DataCollection.")
    bands: tuple[str, ...] = Field(
        ("B02", "B03", "B04", "B08", "B11", "B12"), description="Bands to download, in this order."
    )
    maxcc: float = Field(0.8, ge=0, le=1, description="Greatest cloud coverage of a scene, 0 to 1.")
    time_difference_minutes: float = Field(120, gt=0, description="Acquisitions closer than this count as one.")
    mosaicking_order: Literal["mostRecent", "leastRecent", "leastCC"] | None = Field(
        None, description="Which acquisition is on top where several overlap; None is the service's default."
    )
    cache_folder: str | None = Field(None, description="Folder that keeps the service's answers; None keeps none.")
    profile: str | None = Field(None, description="Profile of the sentinelhub configuration; None is the default one.")
    max_threads: int = Field(5, ge=1, le=50, description="Downloads at a time within one patch.")

    @property
    def is_downloaded(self) -> bool:
        return True

    def problems(self, settings: Settings) -> Iterator[str]:
        area = settings.area
        if area.file is None and area.bbox is None and area.patch_grid is None:
            yield "area: source 'sentinelhub' needs file, bbox or patch_grid"
        missing = [band for band in settings.features.bands if band not in self.bands]
        if missing:
            yield f"features.bands: {', '.join(missing)} are not among source.bands: add them there"

    def band_names(self, settings: Settings) -> tuple[str, ...]:
        return self.bands

    def brought(self, settings: Settings) -> frozenset[str]:
        return frozenset({"CLM", "CLP"}) if settings.clouds.method == "source" else frozenset()

    def check_credentials(self) -> None:
        load_credentials(self.profile)

    def plan(self, settings: Settings) -> SourcePlan:
        patches, outline = area_patches(settings.area)
        time = settings.time
        own_clouds = serves_clouds(configuration(self.profile).sh_base_url)
        estimates = [
            request_plan(
                patch.bbox,
                settings.area.resolution,
                self.bands,
                expected_frames(time),
                clouds=settings.clouds.method == "source",
                own_clouds=own_clouds,
                months=12 * (time.end.year - time.start.year) + time.end.month - time.start.month + 1,
            )
            for patch in patches
        ]
        cost = Cost(
            requests=sum(item.requests for item in estimates),
            bytes=sum(item.bytes for item in estimates),
            processing_units=sum(item.processing_units for item in estimates),
        )
        return SourcePlan(patches, outline, cost=cost)

    def describe(self, cost: Cost) -> dict[str, str]:
        return {
            "requests": f"about {cost.requests:,}, at most {self.max_threads} at a time in each worker",
            "download": f"about {size(cost.bytes)}, {cost.processing_units:,.0f} processing units",
            "account": self._account(),
        }

    def task(self, settings: Settings) -> EOTask:
        own_mask = settings.clouds.method == "source"
        return DownloadBandsTask(
            BANDS,
            IS_DATA,
            bands=self.bands,
            resolution=settings.area.resolution,
            data_collection=self.collection,
            clm_feature=CLM if own_mask else None,
            clp_feature=CLP if own_mask else None,
            maxcc=self.maxcc,
            time_difference=dt.timedelta(minutes=self.time_difference_minutes),
            mosaicking_order=self.mosaicking_order,
            cache_folder=self.cache_folder,
            profile=self.profile,
            max_threads=self.max_threads,
        )

    def arguments(self, patch: Patch, settings: Settings) -> dict[str, object]:
        interval = settings.time.start.isoformat(), settings.time.end.isoformat()
        return {"bbox": patch.bbox, "time_interval": interval}

    def provenance(self, settings: Settings) -> list[Provenance]:
        return [Provenance("Reflectance", "real", f"Sentinel Hub, {self.collection}")]

    def _account(self) -> str:
        try:
            self.check_credentials()
        except CredentialsError as error:
            return f"missing. {error}"
        return "credentials are there; the service has not been asked"
