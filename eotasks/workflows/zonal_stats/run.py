"""Statistics of fields from a source: one batch over its images, then one table."""

from __future__ import annotations

import contextlib
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, get_args

import numpy as np
import pandas as pd
import shapely
from eolearn.core import EONode, EOWorkflow
from numpy.typing import NDArray
from rasterio.warp import transform_bounds

from eotasks.durable import make_folder
from eotasks.errors import AreaError, ConfigurationError, PatchFailedWarning
from eotasks.imagery.files.gdal import GDAL_ERRORS
from eotasks.imagery.grid import Grid
from eotasks.models.sentinel2 import CLOUD_BANDS
from eotasks.models.zonal import check_percentiles
from eotasks.storage.folder import leads_out
from eotasks.storage.lease import hold_lease
from eotasks.storage.place import Place, PlaceLike, check_folder
from eotasks.workflows.batch.result import BatchResult
from eotasks.workflows.batch.run import run_batch
from eotasks.workflows.batch.workers.kinds import require_ray
from eotasks.workflows.zonal_stats.joining import Joiner, Totals
from eotasks.workflows.zonal_stats.measuring import MeasureFieldsTask
from eotasks.workflows.zonal_stats.output import FILES, Form, Format, read_result, table_writer
from eotasks.workflows.zonal_stats.parts import PARTS, PICTURES, is_there
from eotasks.workflows.zonal_stats.shared_fields import refuse_too_large
from eotasks.workflows.zonal_stats.sources.base import ImagePlace, ImageSource, Source, TableSource
from eotasks.zonal.packages import require
from eotasks.zonal.polygons import Polygons
from eotasks.zonal.quantities import Quantity, quantities_of
from eotasks.zonal.shared import Share, shares_of
from eotasks.zonal.table import POLYGON
from eotasks.zonal.vocabulary import ID

if TYPE_CHECKING:
    from eotasks.workflows.batch.workers.kinds import ExecutorName

STAGE = "field-statistics"
"""Name of the batch, as `eotasks status` shows it."""


@dataclass(frozen=True)
class ZonalResult:
    """What came of it."""

    place: Place
    file_format: Format
    form: Form
    polygons: Polygons
    bands: tuple[str, ...]
    totals: Totals
    shown: pd.DataFrame
    """Rows of the first fields that have any, in long form, for pictures."""

    images: tuple[ImagePlace, ...] = ()
    shares: tuple[Share, ...] = ()
    """Images, and which of the fields each has."""

    batch: BatchResult | None = None
    """That of the images; None for sources that make their tables themselves."""

    lost: Mapping[str, str] = field(default_factory=dict)
    """What such a source could not make statistics of, with the reason."""

    @property
    def file(self) -> str:
        """Where the table is."""
        return f"{self.place}/{FILES[self.file_format]}"

    @property
    def failed(self) -> dict[str, str]:
        """Images that could not be read, or products or polygons of a source of tables, with the reason."""
        if self.batch is None:
            return dict(self.lost)
        return {each.name: each.error or each.state for each in self.batch.failed}

    @property
    def states(self) -> Counter[str]:
        """Rows over clear pixels, of one band, by status."""
        return Counter({status: count // len(self.bands) for status, count in self.totals.states.items()})

    def table(self) -> pd.DataFrame:
        """The table, without geometries.

        :raises StorageError: it is not there any more.
        """
        return read_result(self.place, self.file_format, has_texts=self.polygons.has_texts)


def zonal_stats(
    polygons: Polygons,
    source: Source,
    out: PlaceLike,
    *,
    indices: Sequence[str] = ("NDVI",),
    percentiles: Sequence[float] = (),
    mean_spectrum: bool = False,
    form: Form = "long",
    file_format: Format = "geoparquet",
    executor: ExecutorName = "processes",
    ray: str | None = None,
    workers: int | None = None,
    patch_timeout: float | None = None,
    overwrite: bool = False,
    progress: bool = False,
    advance: Callable[[int, int], None] | None = None,
) -> ZonalResult:
    """Statistics of polygons from a source of images or tables, date by date.

    Run again in the same place, it measures only the images that are missing or failed, have been written since, or
    were measured with other settings or polygons, and writes the table anew.

    :param polygons: As `eotasks.zonal.polygons.read_polygons` gives them.
    :param source: Of `eotasks.workflows.zonal_stats.sources`.
    :param out: Folder or ``s3://bucket/prefix`` of the table, and of what belongs to the run.
    :param indices: Bands, indices, or NAME=FORMULA.
    :param percentiles: 0..100.
    :param mean_spectrum: Adds the cloud probability of each polygon's mean spectrum; the ten bands of the cloud model
        have to be among the indices, of L1C reflectance.
    :param form: ``long``: rows of polygon, time, band and kind of pixels; ``wide``: rows of polygon and time.
    :param file_format: ``geoparquet``, or ``csv`` without geometries.
    :param executor: As of `run_batch`.
    :param ray: Address of the cluster for the executor "ray": ``auto``, ``HOST:PORT`` or ``local``.
    :param workers: Images at a time; None finds out by memory.
    :param patch_timeout: Seconds that an image may take.
    :param overwrite: Measure everything anew, also what has been measured so.
    :param progress: Whether stderr shows how far the batch is.
    :param advance: Is told how many images of the table are written, of how many.
    :raises ConfigurationError: arguments that are not usable.
    :raises AreaError: no polygon lies on an image, or one has more pixels than can be put together.
    :raises EOTasksError: the source has no images, or not the bands; the place cannot be written.
    :raises MissingDependencyError: the extra ``zonal`` is not installed.
    :warns EOTasksWarning: what images warned of, once for each kind.
    """
    require("exactextract", "pyarrow")
    quantities, percentiles = quantities_of(indices), check_percentiles(percentiles)
    if form not in get_args(Form) or file_format not in FILES:
        raise ConfigurationError(f"form={form!r}, file_format={file_format!r}: long or wide, and {' or '.join(FILES)}.")
    bands = tuple(each.name for each in quantities)
    if mean_spectrum and (missing := [band for band in CLOUD_BANDS if band not in bands]):
        raise ConfigurationError(f"mean_spectrum needs {', '.join(missing)} among the indices: add them.")
    place = Place(out)
    if place.is_local:
        check_folder(place.local_path())
        _refuse_links(place)
    with hold_lease(place, "eotasks zonal-stats") as lease:
        batch: BatchResult | None = None
        images: tuple[ImagePlace, ...] = ()
        shares: tuple[Share, ...] = ()
        if not isinstance(source, TableSource):
            images, shares = images_of(polygons, source, quantities)
            refuse_too_large(polygons, images, shares, len(quantities))
            task = MeasureFieldsTask(source, place, quantities, percentiles)
            with _cluster(executor, ray, place), _without(PatchFailedWarning):
                batch = run_batch(
                    *_work(task, polygons, images, shares),
                    executor=executor,
                    workers=workers,
                    threads=1,
                    patch_timeout=patch_timeout,
                    place=place,
                    stage=STAGE,
                    again=[image.name for image in images if not is_there(place, image.name)],
                    overwrite=overwrite,
                    progress=progress,
                )
        with table_writer(place, polygons, form=form, file_format=file_format, mean_spectrum=mean_spectrum) as writer:
            joiner = Joiner(polygons, bands, percentiles, writer)
            if isinstance(source, TableSource):
                joiner.take(source.tables(polygons, quantities, percentiles, advance or _no_advance))
            else:
                failed = {outcome.name for outcome in batch.failed} if batch is not None else set()
                joiner.join(place, images, shares, failed, advance or _no_advance)
            lease.check()
    shown = joiner.shown
    if len(shown):
        shown = shown.assign(**{ID: polygons.ids[shown[POLYGON]]}).drop(columns=POLYGON)
    lost = dict(source.failed) if isinstance(source, TableSource) else {}
    return ZonalResult(place, file_format, form, polygons, bands, joiner.totals, shown, images, shares, batch, lost)


def _refuse_links(place: Place) -> None:
    """Folders of results are made here: one that is a link to elsewhere would send them there, over what is there.

    :raises ConfigurationError: there is one.
    """
    for name in (PARTS, PICTURES):
        if leads_out(place.local_path(name), place.local_path()):
            raise ConfigurationError(f"--out {place}: {name} is a link to elsewhere. Remove it, or give a new folder.")


def images_of(
    polygons: Polygons, source: ImageSource, quantities: Sequence[Quantity]
) -> tuple[tuple[ImagePlace, ...], tuple[Share, ...]]:
    """Images of a source on which polygons lie, and which of them each has.

    :raises AreaError: no polygon lies on any.
    """
    places = source.places(quantities)
    shares = shares_of(polygons, [each.grid for each in places])
    chosen = [index for index, share in enumerate(shares) if len(share.own) or len(share.shared)]
    if not chosen:
        where = _degrees(np.array([_bounds_in_degrees(each.grid) for each in places]))
        raise AreaError(
            f"None of the {len(polygons)} polygons lies on the images of the {source.title}, which are between"
            f" {where}; the polygons are between {_of_polygons(polygons)}. Check the place and the coordinate systems."
        )
    return tuple(places[index] for index in chosen), tuple(shares[index] for index in chosen)


def _work(
    task: MeasureFieldsTask, polygons: Polygons, images: Sequence[ImagePlace], shares: Sequence[Share]
) -> tuple[EOWorkflow, dict[str, dict[EONode, dict[str, object]]]]:
    """The step that measures, and its arguments by image; images of one grid have the same polygons, kept once."""
    node = EONode(task, name="measure")
    wkb = shapely.to_wkb(polygons.shapes)
    kept: dict[object, dict[str, object]] = {}
    for image, share in zip(images, shares, strict=True):
        if image.grid not in kept:
            parts = {"own": share.own, "shared": share.shared}
            kept[image.grid] = {name: (each, wkb[each].tolist()) for name, each in parts.items()}
    return EOWorkflow([node]), {
        image.name: {node: {"image": image, "crs": polygons.crs, **kept[image.grid]}} for image in images
    }


@contextlib.contextmanager
def _cluster(executor: ExecutorName, address: str | None, place: Place) -> Iterator[None]:
    """The Ray cluster of a run, where there is one.

    :raises ConfigurationError: results go to a folder that the cluster's other machines do not have.
    """
    if executor != "ray":
        yield
        return
    require_ray()
    from eotasks.workflows.batch.ray.cluster import check_reach, ray_cluster

    with ray_cluster(address):
        if place.is_local:
            make_folder(place.local_path())
            check_reach(place.local_path())
        yield


@contextlib.contextmanager
def _without(category: type[Warning]) -> Iterator[None]:
    """Leaves out warnings of a category: the result says the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category)
        yield


def _no_advance(done: int, total: int) -> None:
    """Nobody looks."""


def _bounds_in_degrees(grid: Grid) -> tuple[float, ...]:
    return tuple(transform_bounds(grid.crs, "EPSG:4326", *grid.bounds))


def _of_polygons(polygons: Polygons) -> str:
    shapes = polygons.shapes[polygons.usable]
    if not len(shapes):
        return "nowhere, as none has an area"
    try:
        return _degrees(np.array([transform_bounds(polygons.crs, "EPSG:4326", *shapely.total_bounds(shapes))]))
    except (*GDAL_ERRORS, ValueError):  # beyond what their system has
        return "no degrees of longitude and latitude"


def _degrees(bounds: NDArray[np.float64]) -> str:
    (west, south), (east, north) = bounds[:, :2].min(axis=0), bounds[:, 2:].max(axis=0)
    return f"{west:.3f} and {east:.3f} degrees east, {south:.3f} and {north:.3f} degrees north"
