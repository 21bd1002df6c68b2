"""`eotasks new-config`: a configuration to begin with, for the area, products and labels of whoever asks."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import shlex
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from eotasks.errors import ConfigurationError
from eotasks.extras import command_line
from eotasks.storage.location import is_remote, is_web, plain_scheme
from eotasks.text import harmless, kept
from eotasks.workflows.console import Commands, ExitCode, add_command, add_out, print_note, print_plain

if TYPE_CHECKING:
    from sentinelhub.geometry import Geometry

    from eotasks.area import Patch
    from eotasks.catalogue.request import Level
    from eotasks.workflows.new_config.embedded import Box

EARTH_SEARCH = "https://earth-search.aws.element84.com/v1"
EMBEDDED = ("simulated", "sample")
"""Sources over the embedded scene, with its labels; they need no network."""

LABELS = "labels.gpkg"
"""Stands where the labels are not known."""

_SIDES = (2500, 5000, 10_000, 20_000, 50_000)
"""Metres that a patch may measure, whole pixels of 10, 20 and 60 m apart from the last; the first with fewer than so
many patches is taken:"""
_PATCHES = 400
_RESOLUTIONS = (10, 20, 60)

FIRST_YEAR = 2015
"""Of Sentinel-2: June 2015 has its first images."""

_LISTED = 12
SCENE_CRS = "EPSG:32633"
_SIDE_WITH_LABELS = 1280
"""Metres; the labels of the embedded scene cover a third of it."""

DESCRIPTION = """\
Writes a configuration of `eotasks land-cover` for an area of your own: coordinate system, patches and paths are worked
out, every choice is explained. It is a beginning: edit it, then `eotasks land-cover --config FILE --dry-run`."""

EXAMPLES = f"""\
examples:
  eotasks new-config land-cover --area area.gpkg --labels labels.gpkg --column class > mine.toml
  eotasks new-config land-cover --area area.geojson --products archive/ --year 2023 --out mine.toml
  eotasks new-config land-cover --area area.geojson --products products.parquet --level L2A
  eotasks new-config land-cover --area area.geojson --source sentinelhub
  eotasks new-config land-cover --area area.geojson --source simulated      no network is needed

Without --products, L2A is read from the STAC API {EARTH_SEARCH}, which needs no account.
"""


def add_parser(commands: Commands) -> None:
    """Register `new-config` with the `eotasks` command."""
    parser = add_command(
        commands,
        "new-config",
        None,
        summary="a configuration to begin with, for your own area",
        description="Writes a configuration to begin with.",
        epilog=EXAMPLES,
    )
    actions = parser.add_subparsers(title="configurations", required=True, metavar="CONFIGURATION")
    action = add_command(
        actions,
        "land-cover",
        run,
        summary="of eotasks land-cover",
        description=DESCRIPTION,
        epilog=EXAMPLES,
    )
    action.add_argument("--area", metavar="FILE", required=True, help="vector file of your area, also s3://…")
    action.add_argument("--crs", metavar="CRS", help="coordinate system of a file that has none, such as EPSG:32633")
    action.add_argument(
        "--source",
        choices=("scenes", "sentinelhub", *EMBEDDED),
        default="scenes",
        help="where pixels come from (scenes); simulated and sample need no network, and an area inside of the embedded"
        " scene, whose labels they have",
    )
    action.add_argument(
        "--products", metavar="PLACE", help="folder of products, catalogue (.parquet) or address of a STAC API"
    )
    action.add_argument("--level", choices=("L1C", "L2A"), help="of the products (L1C; L2A of a STAC API)")
    action.add_argument("--labels", metavar="FILE", help="vector file with reference polygons")
    action.add_argument("--column", metavar="NAME", help="its column with the class")
    action.add_argument("--year", type=int, metavar="YEAR", help="of the map (the last that is over)")
    action.add_argument(
        "--resolution", type=int, choices=_RESOLUTIONS, default=10, help="metres of a pixel of the map (10)"
    )
    add_out(
        action, help="file to write, which must not exist; without it, the configuration is printed", metavar="FILE"
    )


def run(arguments: argparse.Namespace) -> ExitCode:
    """Write a configuration, after all that it names was looked at."""
    from eotasks.workflows.land_cover.config_file import parse_config

    if arguments.source != "scenes" and (arguments.products is not None or arguments.level is not None):
        raise ConfigurationError("--products and --level belong to --source scenes: leave one out.")
    if arguments.source == "sample" and arguments.year is not None:
        raise ConfigurationError("--year: the sample is a single acquisition of 2017: leave it out.")
    if arguments.year is not None and arguments.source not in EMBEDDED:
        _check_year(arguments.year)
    if arguments.column is not None and arguments.labels is None:
        raise ConfigurationError("--column is one of the file of labels: give --labels, too.")
    target = None if arguments.out is None else Path(arguments.out)
    if target is not None and target.exists():
        raise ConfigurationError(f"{target} exists: give another --out, or remove it.")
    text = template(arguments)
    parse_config(text, where="The new configuration")
    if target is None:
        print_plain(text)
        return ExitCode.DONE
    from eotasks.durable import atomic_path, make_folder

    make_folder(target.absolute().parent)
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print_note(f"Written: {target}")
    for text_of_it in _to_do(text):
        print_note(text_of_it)
    print_note(f"Then: {command_line()} land-cover --config {shlex.quote(str(target))} --dry-run")
    return ExitCode.DONE


def _to_do(text: str) -> list[str]:
    """What a configuration leaves to whoever asked for it, each in a line."""
    found: list[str] = []
    goes_on = False
    for line in text.splitlines():
        comment = line.removeprefix("# ")
        goes_on = goes_on and line.startswith("# ") and not comment.startswith("classes = ")
        if goes_on:
            found[-1] += f" {comment}"
        elif comment.startswith("TO DO"):
            found.append(comment)
            goes_on = True
    return found


def template(arguments: argparse.Namespace) -> str:
    """The configuration as TOML.

    :raises AreaError: the area cannot be read, is none, or lies outside of the embedded scene that it is to be made of.
    :raises GridError: it has no coordinate system.
    :raises ReferenceDataError: the labels cannot be read, or lack the column.
    """
    from eotasks.area import read_area
    from eotasks.workflows.new_config.embedded import inside_of_scene

    area = read_area(file=arguments.area, crs=arguments.crs)
    if arguments.source in EMBEDDED:
        side, patches, box = inside_of_scene(area, resolution=arguments.resolution, source=arguments.source)
    else:
        (side, patches), box = _patches(area, arguments.resolution), None
    zones = sorted({patch.crs for patch in patches})
    year = arguments.year or (2017 if arguments.source in EMBEDDED else dt.datetime.now(dt.UTC).year - 1)
    return "\n".join(
        (
            f"# Land cover of {_name(arguments.area)}: {len(patches)} patches in {', '.join(zones)}.",
            "# `eotasks land-cover --config FILE --dry-run` says what would be done, `--print-config` explains keys.",
            "version = 1",
            f"title = {_text(f'Land cover of {Path(_name(arguments.area)).stem}')}",
            "seed = 42",
            "",
            "[area]",
            *(_area_file(arguments) if box is None else _area_box(arguments, box)),
            f"patch_size = {side}",
            f"resolution = {arguments.resolution}",
            "",
            *_source(arguments, year),
            "",
            "[time]",
            f"start = {year:04d}-01-01",
            f"end = {year:04d}-12-31",
            "",
            *_clouds(arguments),
            "",
            *_valid_and_features(arguments.source),
            *_reference(arguments),
            "",
            "[sampling]",
            "# Of each class in each patch, at most so many pixels train the model.",
            "per_class = 500",
            "",
            *_validation(arguments.source, side),
            "[output]",
            "# Or s3://bucket/prefix.",
            f"folder = {_text(f'results/{Path(_name(arguments.area)).stem}')}",
            "",
        )
    )


def _patches(area: Geometry, resolution: int) -> tuple[int, list[Patch]]:
    """The side of patches in metres, and the patches."""
    from eotasks.area import split_area
    from eotasks.errors import AreaError

    found: list[Patch] = []
    for side in _SIDES:
        whole = side - side % resolution
        try:
            found = split_area(area, patch_size=whole, resolution=resolution)
        except AreaError:  # more of them than can be listed
            if side == _SIDES[-1]:
                raise
            continue
        if len(found) < _PATCHES:
            break
    return whole, found


def _area_file(arguments: argparse.Namespace) -> list[str]:
    crs = [] if arguments.crs is None else [f"crs = {_text(arguments.crs)}"]
    return [
        f"file = {_text(_absolute(arguments.area))}",
        *crs,
        "# Patches along the grid of the UTM zones, whichever system the file has.",
        'grid = "utm"',
    ]


def _area_box(arguments: argparse.Namespace, box: Box) -> list[str]:
    """Where patches of the grid would reach beyond the embedded scene."""
    return [
        f"# The box of {_name(arguments.area)}, widened to whole patches inside of the embedded scene.",
        f"bbox = {list(box)}",
        f"crs = {_text(SCENE_CRS)}",
        'grid = "bbox"',
    ]


def _valid_and_features(source: str) -> list[str]:
    if source == "sample":
        return [
            "[features]",
            "# Of a single date all bands are used; there is no series to filter or to interpolate.",
            'indices = ["NDVI", "NDWI", "NDBI"]',
            "",
        ]
    few = ["# Of a dozen dates few are clear: at least so many are kept.", "keep_at_least = 4"]
    return [
        "[valid]",
        "# A date of a patch counts when more than this share of it is clear.",
        f"min_valid_fraction = {0.5 if source == 'simulated' else 0.6}",
        *(few if source == "simulated" else []),
        "",
        "[features]",
        'bands = ["B02", "B03", "B04", "B08", "B11", "B12"]',
        'indices = ["NDVI", "NDWI", "NDBI"]',
        "# Days between the dates that all patches are interpolated to.",
        "step_days = 15",
        'edges = "nearest"',
        "",
    ]


def _validation(source: str, side: int) -> list[str]:
    """Of areas whose patches are too small to be sure of a label in each."""
    if source not in EMBEDDED or side >= _SIDE_WITH_LABELS:
        return []
    return [
        "[validation]",
        "# Patches this small may have no label, and are not held out whole: a checkerboard of blocks is.",
        'split = "blocks"',
        "block_size = 10",
        "",
    ]


def _check_year(year: int) -> None:
    now = dt.datetime.now(dt.UTC).year
    if not FIRST_YEAR <= year <= now:
        raise ConfigurationError(
            f"--year {year}: Sentinel-2 has taken images since {FIRST_YEAR}: give a year from then to {now}."
        )


def _source(arguments: argparse.Namespace, year: int) -> list[str]:
    if arguments.source == "sample":
        return [
            "[source]",
            "# The embedded scene: Sentinel-2 L1C, tile 33UUU, 2017-02-16. Nothing is downloaded.",
            'kind = "sample"',
        ]
    if arguments.source == "simulated":
        return [
            "[source]",
            "# A simulated year on the ground of the embedded scene; its scores say nothing about the field.",
            'kind = "simulated"',
            f"year = {year}",
            "acquisitions = 12",
            "# true also maps the real acquisition of 2017-02-16, beside it.",
            "real_acquisition = false",
        ]
    if arguments.source == "sentinelhub":
        return [
            "[source]",
            "# Needs an account: SH_CLIENT_ID and SH_CLIENT_SECRET, or a profile of sentinelhub.",
            'kind = "sentinelhub"',
        ]
    products = arguments.products or EARTH_SEARCH
    return [
        "[source]",
        'kind = "scenes"',
        "# A folder of .SAFE folders or their zips, a list of products, a catalogue of `eotasks catalogue add`, or the",
        "# address of a STAC API.",
        f"products = {_text(_absolute(products))}",
        *_collections(products, _level(arguments)),
        f"level = {_text(_level(arguments))}",
        "# Products with more cloud than this share are left out.",
        "maxcc = 0.8",
    ]


def _collections(products: str, level: Level) -> list[str]:
    """Of an API whose usual collection of a level is not the one to read."""
    from eotasks.catalogue.api import OWN_COLLECTIONS

    host = urlsplit(plain_scheme(products)).hostname if is_web(products) else None
    own = OWN_COLLECTIONS.get(host or "", {}).get(level)
    if own is None:
        return []
    return ["# Whose items state the offset of their numbers as it is.", f"collections = {list(own)!r}"]


def _level(arguments: argparse.Namespace) -> Level:
    level: Level | None = arguments.level
    products: str = arguments.products or EARTH_SEARCH
    return level or ("L2A" if is_web(products) else "L1C")


def _clouds(arguments: argparse.Namespace) -> list[str]:
    if arguments.source == "scenes" and _level(arguments) == "L2A":
        return ["[clouds]", "# The scene classification of L2A.", 'method = "source"']
    return [
        "[clouds]",
        "# Computed from ten bands of L1C; the radii below it (--print-config) are pixels of the map.",
        'method = "single-scene"',
        "resolution = 160",
    ]


def _reference(arguments: argparse.Namespace) -> list[str]:
    lines = ["[reference]", "# Polygons with a class each; they train the model and validate the map."]
    if arguments.labels is None and arguments.source in EMBEDDED:
        return [
            "[reference]",
            "# Land use of OpenStreetMap that comes with the embedded scene, on about a third of it; or --labels FILE.",
            'kind = "sample"',
        ]
    if arguments.labels is None:
        return [
            *lines,
            "# TO DO: the file of your labels, and its column with the class.",
            'kind = "vector"',
            f"path = {_text(LABELS)}",
            'column = "class"',
            '# classes = { "value in the file" = "Forest" }   # where they are no ids of the class table',
        ]
    from eotasks.models.classes import SLOVENIAN_CLASSES
    from eotasks.reference.labels import vector_label_values
    from eotasks.text import nearest_word

    column, values = vector_label_values(arguments.labels, column=arguments.column)
    lines += ['kind = "vector"', f"path = {_text(_absolute(arguments.labels))}", f"column = {_text(column)}"]
    if {str(value) for value in values} <= {str(entry.id) for entry in SLOVENIAN_CLASSES}:
        return [*lines, "# Its values are ids of the class table (--print-config)."]
    names = [entry.name for entry in SLOVENIAN_CLASSES if entry.id]
    found = {str(value): nearest_word(str(value), names) for value in values}
    mapped = [f"{_text(value)} = {_text(name)}" for value, name in found.items() if name is not None]
    open_values = [json.dumps(value, ensure_ascii=False) for value, name in found.items() if name is None]
    if open_values:
        more = f" and {len(open_values) - _LISTED} more" * (len(open_values) > _LISTED)
        note = f"TO DO, of no class yet: {', '.join(open_values[:_LISTED])}{more}. The classes: {', '.join(names)}."
        lines += [f"# {line}" for line in textwrap.wrap(note, 110)]
    if not mapped:
        return [*lines, '# classes = { "value in the file" = "Forest" }']
    return [*lines, f"classes = {{ {', '.join(mapped)} }}", f"ignore_unmapped = {str(bool(open_values)).lower()}"]


def _absolute(location: str) -> str:
    return location if is_remote(location) else str(Path(location).absolute())


def _name(location: str) -> str:
    """Of a file, in one line: it stands in comments, too."""
    return harmless(location.rstrip("/").rpartition("/")[2])


def _text(value: str) -> str:
    return json.dumps(kept(value), ensure_ascii=False)
