"""A catalogue of products: STAC items in one GeoParquet file, searched by DuckDB."""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import os
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from shapely.geometry.base import BaseGeometry

from eotasks.catalogue.fields import baseline_of
from eotasks.catalogue.packages import database, package
from eotasks.catalogue.request import Level, SearchRequest, TimeInterval
from eotasks.catalogue.table import (
    from_parquet,
    items_of,
    schema,
    sorted_table,
    table_of,
    to_parquet,
)
from eotasks.errors import ConfigurationError, EOTasksError, ImageryError, StorageError
from eotasks.geometry.degrees import WGS84
from eotasks.imagery.files.origin import Origin, mark
from eotasks.imagery.files.signing import Modifier, modifier_of, unsigned
from eotasks.limits import CATALOGUE_BYTES
from eotasks.reading import check_regular
from eotasks.storage.location import absolute, plain_scheme

if TYPE_CHECKING:
    import pyarrow as pa
    import pystac

    from eotasks.storage.place import Place

LOGGER = logging.getLogger(__name__)

ARCHIVE_CATALOGUE = "catalogue.parquet"
"""Name of the catalogue in the place of an archive of masks, as `eotasks archive build` makes one."""

WRITERS = 5
"""How often an addition is tried again when another writer was faster."""


@dataclass(frozen=True)
class CatalogueUpdate:
    """What an addition did."""

    added: tuple[str, ...]
    """Items that were not there."""

    replaced: tuple[str, ...]
    """Items that were there, of the same or an older baseline."""

    kept: tuple[str, ...]
    """Items that were there, of a newer baseline than the one given."""


@dataclass(frozen=True)
class CatalogueSummary:
    """What a catalogue holds."""

    items: int
    first: dt.datetime | None
    """UTC, naive."""

    last: dt.datetime | None
    tiles: int
    levels: Mapping[str, int]
    """Items by level."""

    platforms: Mapping[str, int]
    """Items by satellite."""

    masks: int
    """Items with CLP and CLM."""

    shadows: int
    """Items with SHADOW."""

    bounds: tuple[float, float, float, float] | None
    """(west, south, east, north) in degrees; west is greater than east where it goes over the antimeridian."""


class Catalogue:
    """STAC items of products in a GeoParquet file, on disk or on S3.

    A file of others, written by the conventions of stac-geoparquet, can be searched too. May be used by several
    threads and processes; picklable.

    :param location: The file, such as ``products.parquet`` or ``s3://bucket/products.parquet``.
    :param modifier: Signs the addresses of items that are found before their files are read, as of
        :class:`eotasks.catalogue.api.StacApi`; the items themselves stay as they are.
    """

    packages: ClassVar[tuple[str, ...]] = ("duckdb", "duckdb_extension_spatial", "pyarrow", "pystac")
    """Optional packages that a search needs."""

    def __init__(self, location: str | os.PathLike[str], *, modifier: Modifier | str | None = None) -> None:
        text = plain_scheme(os.fspath(location))
        if not text.endswith((".parquet", ".geoparquet")):
            raise ConfigurationError(f"{text!r} is no catalogue: the name of a catalogue ends in .parquet.")
        self.location = absolute(text)
        self.modifier = modifier_of(modifier)
        self._copy: _LocalCopy | None = None
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return partial(type(self), modifier=self.modifier), (self.location,)

    def __repr__(self) -> str:
        return f"Catalogue({self.location!r})"

    def exists(self) -> bool:
        """Whether the file is there.

        :raises StorageError: when the place cannot be reached.
        """
        place, name = self._place()
        return place.exists(name)

    def add(self, items: Iterable[pystac.Item], *, remove: Collection[str] = ()) -> CatalogueUpdate:
        """Adds items, or replaces those of the same id unless they are of a newer baseline.

        The file is written in one operation, and when another writer was faster the addition is made to what that one
        wrote: nothing is lost, and readers see the old catalogue or the new one.

        :param items: Of :func:`eotasks.catalogue.items.item_of`.
        :param remove: Ids of items that are taken out, in the same operation; those given are added all the same.
        :raises ImageryError: when an item lacks what a catalogue needs, or the file is damaged.
        :raises ConfigurationError: when the file is not ours, or of a newer version.
        :raises StorageError: when it cannot be read or written.
        """
        given = _newest(map(unsigned, items))
        new = table_of(list(given.values()))
        place, name = self._place()
        for left in reversed(range(WRITERS)):
            data, tag = place.read_tagged(name, CATALOGUE_BYTES) if place.exists(name) else (None, None)
            old = schema().empty_table() if data is None else from_parquet(data, self.location)
            table, update = _merge(old, new, remove)
            try:
                place.write_if(name, to_parquet(table), tag)
            except StorageError:
                changed = place.exists(name) and place.read_tagged(name, CATALOGUE_BYTES)[1] != tag
                if not (left and changed):
                    raise
                LOGGER.info("%s was written by another in the meantime: added again", self.location)
            else:
                return update
        raise AssertionError("the loop returns or raises")

    def search(
        self,
        *,
        bbox: Sequence[float] | None = None,
        intersects: BaseGeometry | Mapping[str, Any] | None = None,
        crs: str = WGS84,
        time_interval: TimeInterval | None = None,
        max_cloud_cover: float | None = None,
        level: Level | None = None,
        tile: str | None = None,
        limit: int | None = None,
    ) -> list[pystac.Item]:
        """Items that meet an area, in a time, ordered by time and then by id.

        :param bbox: (west, south, east, north); in degrees, a west greater than the east crosses the antimeridian.
        :param intersects: A geometry of shapely or GeoJSON, instead of bbox.
        :param crs: Coordinate system of bbox or intersects.
        :param time_interval: First and last time, UTC; a day means all of it, None leaves an end open.
        :param max_cloud_cover: Of a whole scene, 0..1. Items that do not say their cover are found too.
        :param level: "L1C" or "L2A".
        :param tile: Tile of the military grid, such as "33UUU".
        :param limit: The first so many only.
        :raises ConfigurationError: when an argument is not usable.
        :raises GridError: when the coordinate system is not known, or the area is empty.
        :raises StorageError: when there is no catalogue.
        :raises ImageryError: when the file is damaged.
        """
        request = SearchRequest.of(
            bbox=bbox,
            intersects=intersects,
            crs=crs,
            time_interval=time_interval,
            max_cloud_cover=max_cloud_cover,
            level=level,
            tile=tile,
            limit=limit,
        )
        return self.find(request)

    def find(self, request: SearchRequest) -> list[pystac.Item]:
        """As :meth:`search`, for a request that is made already."""
        from eotasks.catalogue.engine import matching_rows, read_rows

        path = self._file()
        with self._errors_named():
            rows = matching_rows(database(), path, request)
            items = items_of(read_rows(path, rows), self.location)
        origin = Origin.of(self.location, "catalogue", self.modifier)
        for item in items:
            mark(item, origin)
        return items

    def masks(self) -> dict[str, str]:
        """Files of CLM by the id of their item, of all items that have one.

        :raises StorageError: when there is no catalogue.
        :raises ImageryError: when the file is damaged.
        """
        from eotasks.catalogue.engine import files_of_masks

        path = self._file()
        with self._errors_named():
            return files_of_masks(database(), path)

    def summary(self) -> CatalogueSummary:
        """What it holds.

        :raises StorageError: when there is no catalogue.
        :raises ImageryError: when the file is damaged.
        """
        from eotasks.catalogue.engine import summarise

        path = self._file()
        with self._errors_named():
            return CatalogueSummary(**summarise(database(), path))

    def _place(self) -> tuple[Place, str]:
        from eotasks.storage.place import Place

        folder, _, name = self.location.rpartition("/")
        return Place(folder or "/"), name

    def _file(self) -> str:
        """A file of this machine with the catalogue's present content."""
        place, name = self._place()
        if not place.exists(name):
            raise StorageError(
                f"{self.location}: there is no such catalogue. Make it: eotasks catalogue add FOLDER --catalogue FILE."
            )
        if place.is_local:
            file = place.local_path(name)
            try:
                check_regular(file, CATALOGUE_BYTES)
            except OSError as error:
                raise StorageError(f"{self.location} cannot be read ({error.strerror}): name another one.") from error
            return str(file)
        with self._lock:
            extent = place.extent(name)
            if extent[0] > CATALOGUE_BYTES.value:
                raise StorageError(f"{self.location}: {CATALOGUE_BYTES.excess(extent[0])}. It is not read.")
            if self._copy is None or self._copy.extent != extent:
                self._copy = _LocalCopy(place, name, extent)
            return self._copy.path

    @contextlib.contextmanager
    def _errors_named(self) -> Iterator[None]:
        """Turns errors of DuckDB and Arrow in its block into one that names the catalogue."""
        duckdb, pa = package("duckdb"), package("pyarrow")
        try:
            yield
        except EOTasksError:
            raise
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ImageryError(
                f"{self.location} cannot be read as a catalogue ({reason}): make it anew with eotasks catalogue add."
            ) from error


class _LocalCopy:
    """A catalogue of a bucket as a file of this machine, removed when nobody needs it any more."""

    def __init__(self, place: Place, name: str, extent: tuple[int, dt.datetime]) -> None:
        from eotasks.storage.temporary import OwnFolder

        self.extent = extent
        self._folder = OwnFolder()
        self.path = str(self._folder.path / "catalogue.parquet")
        place.download(name, Path(self.path))


def _newest(items: Iterable[pystac.Item]) -> dict[str, pystac.Item]:
    """Items by id; of two the one of the newer baseline, else the later."""
    found: dict[str, pystac.Item] = {}
    for item in items:
        if item.id not in found or (baseline_of(item) or "") >= (baseline_of(found[item.id]) or ""):
            found[item.id] = item
    return found


def _merge(old: pa.Table, new: pa.Table, remove: Collection[str]) -> tuple[pa.Table, CatalogueUpdate]:
    pa = package("pyarrow")
    if remove:
        gone = frozenset(remove)
        old = old.filter(pa.array([name not in gone for name in old.column("id").to_pylist()], type=pa.bool_()))
    there, given = _baselines(old), _baselines(new)
    kept = {name for name, baseline in given.items() if name in there and there[name] > baseline}
    stay = np.array([name not in given or name in kept for name in there], dtype=bool)
    come = np.array([name not in kept for name in given], dtype=bool)
    table = pa.concat_tables([old.filter(pa.array(stay)), new.filter(pa.array(come))])
    return sorted_table(table), CatalogueUpdate(
        added=tuple(name for name in given if name not in there),
        replaced=tuple(name for name in given if name in there and name not in kept),
        kept=tuple(sorted(kept)),
    )


def _baselines(table: pa.Table) -> dict[str, str]:
    names, baselines = table.column("id").to_pylist(), table.column("s2:processing_baseline").to_pylist()
    return {name: baseline or "" for name, baseline in zip(names, baselines, strict=True)}
