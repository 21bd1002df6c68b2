"""A catalogue of products: STAC items in one GeoParquet file, or in a folder of such, searched by DuckDB."""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import os
import threading
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from shapely.geometry.base import BaseGeometry

from eotasks.catalogue.brief.summary import CatalogueSummary, MaskRow
from eotasks.catalogue.packages import database, package
from eotasks.catalogue.parts.folder import PartsFolder
from eotasks.catalogue.parts.manifest import Manifest, Part, extent_of, moment_of
from eotasks.catalogue.parts.merging import CatalogueUpdate, baselines, newest, update_of, without
from eotasks.catalogue.places import check_places
from eotasks.catalogue.request import Level, SearchRequest, TimeInterval
from eotasks.catalogue.table import (
    from_parquet,
    items_of,
    schema,
    sorted_table,
    table_of,
    to_parquet,
)
from eotasks.errors import ConfigurationError, CredentialsError, EOTasksError, ImageryError, StorageError
from eotasks.geometry.antimeridian import Bounds, bounds_of
from eotasks.geometry.degrees import WGS84
from eotasks.imagery.files.origin import Origin, mark
from eotasks.imagery.files.signing import Modifier, modifier_of, unsigned
from eotasks.limits import CATALOGUE_BYTES
from eotasks.reading import check_regular
from eotasks.storage.location import absolute, plain_scheme
from eotasks.storage.place import Place

if TYPE_CHECKING:
    import pyarrow as pa
    import pystac

    from eotasks.catalogue.brief.items import BriefItem
    from eotasks.catalogue.parts.compaction import Compaction

T = TypeVar("T")

LOGGER = logging.getLogger(__name__)

ARCHIVE_CATALOGUE = "catalogue.parquet"
"""Name of the catalogue in the place of an archive of masks, as `eotasks archive build` makes one."""

WRITERS = 5
"""How often an addition is tried again when another writer was faster."""


class Catalogue:
    """STAC items of products in a GeoParquet file, or in a folder of such (`eotasks.catalogue.parts`), on disk or S3.

    A file of others, written by the conventions of stac-geoparquet, can be searched too. May be used by several
    threads and processes; picklable.

    :param location: The file or the folder, such as ``products.parquet`` or ``s3://bucket/products.parquet``.
    :param parts: Whether a new one is a folder of parts by time, which can be added to without writing it anew: for
        more than some 100,000 products. What is there already stays as it is.
    :param modifier: Signs the addresses of items that are found before their files are read, as of
        :class:`eotasks.catalogue.api.StacApi`; the items themselves stay as they are.
    """

    packages: ClassVar[tuple[str, ...]] = ("duckdb", "duckdb_extension_spatial", "pyarrow", "pystac")
    """Optional packages that a search needs."""

    def __init__(
        self, location: str | os.PathLike[str], *, parts: bool = False, modifier: Modifier | str | None = None
    ) -> None:
        text = plain_scheme(os.fspath(location))
        if not text.rstrip("/").endswith((".parquet", ".geoparquet")):
            raise ConfigurationError(f"{text!r} is no catalogue: the name of a catalogue ends in .parquet.")
        self.location = absolute(text.rstrip("/"))
        self.modifier = modifier_of(modifier)
        self._new_parts = parts
        self._copy: _LocalCopy | None = None
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return partial(type(self), parts=self._new_parts, modifier=self.modifier), (self.location,)

    def __repr__(self) -> str:
        return f"Catalogue({self.location!r})"

    def exists(self) -> bool:
        """Whether it is there.

        :raises StorageError: when the place cannot be reached.
        """
        return self.is_parted() or self._is_file()

    def state(self) -> Hashable:
        """Something that is another whenever what the catalogue holds has changed; cheap.

        :raises StorageError: when there is no catalogue, or its place cannot be reached.
        """
        manifest = self._folder.current()
        if manifest is not None:
            return manifest.generation, manifest.names
        place, name = self._place()
        if not place.is_local:
            return place.extent(name)
        try:
            facts = place.local_path(name).stat()
        except OSError as error:
            raise StorageError(f"{self.location} cannot be read ({error.strerror}): name another one.") from error
        return facts.st_mtime_ns, facts.st_size, facts.st_ino

    def is_parted(self) -> bool:
        """Whether it is a folder of parts.

        :raises StorageError: when the place cannot be reached.
        """
        try:
            return self._folder.current() is not None
        except CredentialsError:  # who may not list a bucket is refused what is not there
            if self._is_file():
                return False
            raise

    def add(self, items: Iterable[pystac.Item], *, remove: Collection[str] = ()) -> CatalogueUpdate:
        """Adds items, or replaces those of the same id unless they are of a newer baseline.

        It is one operation, and when another writer was faster the addition is made to what that one wrote: nothing is
        lost, and readers see the old catalogue or the new one. A file is written anew; parts get one more.

        :param items: Of :func:`eotasks.catalogue.items.item_of`.
        :param remove: Ids of items that are taken out, in the same operation; those given are added all the same.
        :raises ImageryError: when an item lacks what a catalogue needs, or the file is damaged.
        :raises ConfigurationError: when the file is not ours, or of a newer version.
        :raises StorageError: when it cannot be read or written.
        """
        new = table_of(list(newest(map(unsigned, items)).values()))
        place, name = self._place()
        if self._is_added_in_parts():
            from eotasks.catalogue.parts.writing import add_items

            with self._errors_named():
                return add_items(self._folder, new, remove=remove)
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

    def compact(self) -> Compaction:
        """Puts the parts of a catalogue in order of time, and removes files of earlier ones that nobody reads.

        Readers and writers go on meanwhile; one compaction at a time.

        :raises ConfigurationError: when it is one file.
        :raises StorageError: when there is no catalogue, it cannot be written, or another compaction is at work.
        """
        from eotasks.catalogue.parts.compaction import compact
        from eotasks.storage.lease import ensure_lease

        if not self.is_parted():
            self._file()
            raise ConfigurationError(f"{self.location} is one file, which has no parts: there is nothing to compact.")
        with ensure_lease(self._folder.place, "eotasks catalogue compact") as lease, self._errors_named():
            return compact(self._folder, lease.check)

    def split(self, location: str | os.PathLike[str]) -> Catalogue:
        """Makes a catalogue in parts with the same items; this one stays as it is.

        :param location: Of the new one, where nothing may be.
        :raises ConfigurationError: when this one is of others or in parts already, or something is there.
        :raises StorageError: when there is no catalogue, or it cannot be written.
        """
        from eotasks.catalogue.parts.compaction import parts_of_file

        if self.is_parted():
            raise ConfigurationError(f"{self.location} is in parts already.")
        new = Catalogue(location, parts=True, modifier=self.modifier)
        if new.exists() or not new._is_added_in_parts():
            raise ConfigurationError(f"{new.location}: is there already. Give another place.")
        with self._errors_named():
            parts_of_file(self._file(), new._folder)
        return new

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
        return self._find(request)

    def named(self, names: Collection[str], request: SearchRequest) -> list[pystac.Item]:
        """Those of the items that a request is for which have one of some ids."""
        return self._find(request, frozenset(names))

    def _find(self, request: SearchRequest, names: frozenset[str] | None = None) -> list[pystac.Item]:
        from eotasks.catalogue.engine import matching_rows, read_found, rows_named

        def look(paths: Sequence[str]) -> list[pystac.Item]:
            found = matching_rows(database(), paths, request) if paths else []
            if names is not None:
                found = rows_named(paths, found, names)
            items: list[Any] = [None] * len(found)
            for table, places in read_found(paths, found):
                for place, item in zip(places, items_of(table, self.location), strict=True):
                    items[place] = item
            return items

        items = self._look(look, lambda manifest: manifest.meeting(request))
        origin = Origin.of(self.location, "catalogue", self.modifier)
        for item in items:
            mark(item, origin)
        return items

    def brief(self, request: SearchRequest) -> list[BriefItem]:
        """As :meth:`find`, for lists of millions: items without bands, which are read fifty times as fast."""
        from eotasks.catalogue.brief.reading import read_brief

        origin = Origin.of(self.location, "catalogue", self.modifier)
        return self._look(
            lambda paths: read_brief(database(), paths, request, self.location, origin),
            lambda manifest: manifest.meeting(request),
        )

    def marks(self, request: SearchRequest) -> dict[str, tuple[str, str | None]]:
        """Of items with masks that a request is for: the file of CLM, and what it was made of (`MADE_OF`), by id."""
        from eotasks.catalogue.brief.reading import read_marks

        return self._look(
            lambda paths: read_marks(database(), paths, request), lambda manifest: manifest.meeting(request)
        )

    def windows(self, request: SearchRequest, rows: int) -> tuple[list[dt.datetime], int]:
        """When windows of about so many items of a request begin (naive UTC), and how many items have no time."""
        from eotasks.catalogue.brief.reading import window_edges

        edges, undated = self._look(
            lambda paths: window_edges(database(), paths, request, rows), lambda manifest: manifest.meeting(request)
        )
        return [moment_of(int(edge)) for edge in edges], undated

    def count(self, request: SearchRequest) -> int:
        """How many items a request is for."""
        from eotasks.catalogue.engine import times_of

        def look(paths: Sequence[str]) -> int:
            times, undated = times_of(database(), paths, request) if paths else ((), 0)
            return len(times) + undated

        return self._look(look, lambda manifest: manifest.meeting(request))

    def masks(self) -> dict[str, str]:
        """Files of CLM by the id of their item, of all items that have one; errors as of :meth:`each_mask`."""
        found: dict[str, str] = {}
        self.each_mask(lambda: lambda rows: found.update({row.id: row.href for row in rows}))
        return found

    def each_mask(self, begin: Callable[[], Callable[[Sequence[MaskRow]], None]]) -> None:
        """Tells of all items that have CLM, a part of the catalogue after the other.

        :param begin: Gives what takes them; called again where parts were exchanged meanwhile, and all are told anew.
        :raises StorageError: when there is no catalogue.
        :raises ImageryError: when the file is damaged.
        """
        from eotasks.catalogue.brief.summary import rows_with_masks

        def look(paths: Sequence[str]) -> None:
            take = begin()
            for path in paths:
                take(rows_with_masks(database(), path))

        self._look(look)

    def summary(self) -> CatalogueSummary:
        """What it holds.

        :raises StorageError: when there is no catalogue.
        :raises ImageryError: when the file is damaged.
        """
        from eotasks.catalogue.brief.summary import summarise

        parts: list[Part] = []
        bounds: list[Bounds | None] = []

        def look(paths: Sequence[str]) -> dict[str, Any]:
            extent = extent_of(parts)
            bounds[:] = [None if extent is None else bounds_of(extent)] if parts else map(_bounds_of_file, paths)
            return summarise(database(), paths)

        def all_of(manifest: Manifest) -> Sequence[Part]:
            parts[:] = manifest.parts
            return parts

        found = self._look(look, all_of)
        return CatalogueSummary(**found, bounds=next(iter(bounds), None))

    def _look(
        self, look: Callable[[Sequence[str]], T], choose: Callable[[Manifest], Sequence[Part]] | None = None
    ) -> T:
        """What a look at the files of the catalogue gives.

        :param choose: Which parts are looked at, where there are parts; None: all.
        """

        def at_parts(manifest: Manifest) -> T:
            with self._errors_named():
                return look(self._folder.paths(manifest.parts if choose is None else choose(manifest)))

        manifest = self._folder.current()
        if manifest is not None:
            result: T = self._folder.once_current(at_parts, manifest)
            return result
        path = self._file()
        with self._errors_named():
            return look([path])

    def _is_added_in_parts(self) -> bool:
        return self.is_parted() or (self._new_parts and not self._is_file())

    def _is_file(self) -> bool:
        place, name = self._place()
        if place.is_local:
            return place.exists(name) and not place.is_folder(name)
        return place.size(name) is not None

    @cached_property
    def _folder(self) -> PartsFolder:
        return PartsFolder(Place(self.location))

    def _place(self) -> tuple[Place, str]:
        folder, _, name = self.location.rpartition("/")
        return Place(folder or "/"), name

    def _file(self) -> str:
        """A file of this machine with the catalogue's present content."""
        place, name = self._place()
        if not self._is_file():
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


def _bounds_of_file(path: str) -> Bounds | None:
    return check_places(path).bounds


class _LocalCopy:
    """A catalogue of a bucket as a file of this machine, removed when nobody needs it any more."""

    def __init__(self, place: Place, name: str, extent: tuple[int, dt.datetime]) -> None:
        from eotasks.storage.temporary import OwnFolder

        self.extent = extent
        self._folder = OwnFolder()
        self.path = str(self._folder.path / "catalogue.parquet")
        place.download(name, Path(self.path))


def _merge(old: pa.Table, new: pa.Table, remove: Collection[str]) -> tuple[pa.Table, CatalogueUpdate]:
    old = without(old, remove)
    update = update_of(baselines(old), baselines(new))
    table = package("pyarrow").concat_tables([without(old, update.replaced), without(new, update.kept)])
    return sorted_table(table), update
