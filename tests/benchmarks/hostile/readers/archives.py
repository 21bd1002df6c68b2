"""Archives of masks: what their builds, plans and exports keep and read; catalogues in parts; records of trainings."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from eotasks.catalogue.parts.ids import encode_digests, may_have, parse_digests
from eotasks.catalogue.parts.manifest import Manifest, Part, Retired, boxes_around, extent_of, parse_manifest
from eotasks.catalogue.request import SearchRequest
from eotasks.errors import EOTasksError
from eotasks.storage.place import Place
from eotasks.workflows.cloud_archive.exporting.export import MARKER, _check_marker
from eotasks.workflows.cloud_archive.exporting.hrefs import mask_hrefs
from eotasks.workflows.cloud_archive.exporting.items import level_of_item, parsed_item, shown_item
from eotasks.workflows.cloud_archive.item import as_row, encode_item, files_of_item, parse_item, settings_of_item
from eotasks.workflows.cloud_archive.layout import ARCHIVE_FILE
from eotasks.workflows.cloud_archive.plan import Figures, read_figures, read_prices
from eotasks.workflows.cloud_archive.settings import (
    ArchiveSettings,
    options_of,
    read_settings,
    refuse_other_settings,
)
from eotasks.workflows.cloud_archive.totals import (
    ANEW_FILE,
    BUILD_FILE,
    BuildTotals,
    begin_anew,
    end_anew,
    read_totals,
    runs_anew,
)
from eotasks.workflows.product_masks.options import CloudMaskOptions
from tests.benchmarks.hostile.format import Format, Read
from tests.builders.clouds.archives import add_product, build, items

_JSON_TOKENS = (b"NaN", b"1e400", b"null", b"{", b"[", b'"', b"\\ud800", b"\\u0000", b",", b":")
_TOML_TOKENS = (b"[[", b"]]", b"'''", b'"""', b"\\ud800", b"[prices]", b"{", b"nan", b"inf", b"#")


def _figures(folder: Path) -> tuple[Sequence[bytes], Read]:
    file = folder / "figures.json"
    figures = Figures(seconds=10, core_seconds=9, bytes_read=1e8, bytes_written=1e6, requests=20, products=3)

    def read(content: bytes) -> object:
        file.write_bytes(content)
        return read_figures(file)

    return [figures.model_dump_json().encode(), json.dumps({"figures": figures.model_dump()}).encode()], read


def _prices(folder: Path) -> tuple[Sequence[bytes], Read]:
    file = folder / "prices.toml"

    def read(content: bytes) -> object:
        file.write_bytes(content)
        return read_prices(file)

    return [b'currency = "EUR"\ncore_hour = 0.05\ngigabyte_month = 0.023\nthousand_requests = 0.0004\n'], read


def _settings(folder: Path) -> tuple[Sequence[bytes], Read]:
    """What an archive was made with, and an export of it."""
    place, out = Place(folder), Place(folder / "out")
    now = ArchiveSettings.of(CloudMaskOptions())
    now.write(place)

    def read(content: bytes) -> object:
        place.write_bytes(ARCHIVE_FILE, content)
        out.write_bytes(MARKER, content)
        with contextlib.suppress(EOTasksError):
            _check_marker(place, out)
        before = read_settings(place)
        with contextlib.suppress(EOTasksError):
            refuse_other_settings(place, before, now)
        return None if before is None else options_of(before)

    return [place.read_bytes(ARCHIVE_FILE), json.dumps({"version": 1, "archive": str(folder)}).encode()], read


def _states(folder: Path) -> tuple[Sequence[bytes], Read]:
    """What a build keeps while it runs."""
    place = Place(folder)

    def read(content: bytes) -> object:
        place.write_bytes(BUILD_FILE, content)
        place.write_bytes(ANEW_FILE, content)
        found = read_totals(place), runs_anew(place)
        begin_anew(place, "run")
        end_anew(place, "run")
        return found

    totals = BuildTotals(products=10, kept=1, done=2, failed=3)
    return [totals.model_dump_json().encode(), b'{"runs": ["a", "b"]}'], read


def _items(folder: Path) -> tuple[Sequence[bytes], Read]:
    """The item beside the masks of a product."""
    add_product(folder / "products", "S2A_one")
    build(folder / "products", folder / "archive")
    (item,) = items(folder / "archive").values()
    hrefs = mask_hrefs(Place(folder / "archive"), Place(folder / "out"), absolute=False, address=None, copy=False)

    def read(content: bytes) -> object:
        found = parse_item(content, "item")
        settings_of_item(found)
        with contextlib.suppress(EOTasksError):
            as_row(found, "masks/a", "item")
        files_of_item(found, "item")
        row = parsed_item(found, "item")
        level_of_item(row)
        return shown_item(row, "a/b.json", "a", hrefs, "all", ("catalog.json", "l1c/collection.json", "a/catalog.json"))

    return [encode_item(item)], read


def _catalogues(folder: Path) -> tuple[Sequence[bytes], Read]:
    """The list of the parts of a catalogue, and digests of ids beside them."""
    parts = tuple(
        Part(
            f"part-{number:016x}",
            10,
            1000,
            number * 10**15,
            (number + 1) * 10**15,
            boxes_around((10.0, 50.0, 11.0, 51.0)),
        )
        for number in range(2)
    )
    manifest = Manifest(parts, (Retired(f"part-{9:016x}", 5),), 3)
    request = SearchRequest.of(bbox=(10, 50, 11, 51), time_interval=("2001-01-01", "2024-01-01"))

    def read(content: bytes) -> object:
        digests = parse_digests(content, len(content) // 8)
        if digests is not None:
            may_have(digests, digests[:1])
        found = parse_manifest(content, "catalogue")
        extent_of(found.parts)
        return parse_manifest(found.exchanged(found.meeting(request), (), 7).encode(), "catalogue")

    return [manifest.encode(), encode_digests(np.arange(20, dtype=np.uint64))], read


FORMATS = (
    Format("figures", "json", _figures, _JSON_TOKENS),
    Format("prices", "lines", _prices, _TOML_TOKENS),
    Format("archive-settings", "json", _settings, _JSON_TOKENS),
    Format("archive-state", "json", _states, _JSON_TOKENS),
    Format("archive-item", "json", _items, _JSON_TOKENS),
    Format("catalogue-parts", "json", _catalogues, _JSON_TOKENS),
)
