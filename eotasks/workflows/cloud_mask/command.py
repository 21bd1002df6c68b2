"""`eotasks cloud-mask`: cloud probability and masks of Sentinel-2 products as Cloud Optimized GeoTIFFs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from eotasks.errors import ConfigurationError
from eotasks.workflows.bars import progress_bars
from eotasks.workflows.console import (
    Commands,
    ExitCode,
    add_allow_host,
    add_command,
    add_out,
    add_overwrite,
    add_requester_pays,
    add_sign,
    add_threads,
    new_console,
    new_table,
    print_failed,
    print_line,
)
from eotasks.workflows.notices import print_warnings, typed_warnings
from eotasks.workflows.product_masks.arguments import add_mask_arguments, mask_options
from eotasks.workflows.product_masks.options import AVAILABLE, DEFAULT_RESOLUTION, CloudMaskOptions

if TYPE_CHECKING:
    from rich.progress import Progress
    from rich.table import Table
    from rich.text import Text

    from eotasks.workflows.cloud_mask.run import ProductOutcome

DEFAULT_OUT = "results/cloud-mask"

DESCRIPTION = """\
Cloud probability (CLP) and cloud mask (CLM) of Sentinel-2 products, as Cloud Optimized GeoTIFFs, with a quick-look of
scene, probability and mask. Results go to DIR/NAME/; a repeated command keeps those that are complete."""

_EXAMPLES = f"""\
examples:
  eotasks cloud-mask                                   the embedded scene, into {DEFAULT_OUT}
  eotasks cloud-mask PRODUCT --out masks               one product at {DEFAULT_RESOLUTION} m
  eotasks cloud-mask archive/* --out masks             many: goes on after a bad one, tells at the end
  eotasks cloud-mask PRODUCT --out s3://bucket/masks   results on S3, found as AWS tools find it (AWS_ENDPOINT_URL, ...)
  eotasks cloud-mask PRODUCT --resolution 160 --sampling nearest
                                                       as Sentinel Hub computes its CLP
  eotasks cloud-mask PRODUCT --resolution 10 --preset eo-learn --shadows
  eotasks cloud-mask PRODUCT --shadows --dem dem.tif   mountains: terrain shade apart from cloud shadow
  eotasks cloud-mask PRODUCT --snow --thin-cloud       snow and thin cirrus as classes of CLM
  eotasks cloud-mask L2A --detector scl                the scene classification of L2A as mask

detectors:
DETECTORS
One without a probability writes no CLP, one that finds shadows writes SHADOW; options that a detector does not use are
refused. Plugins: packages with an entry point of the group eotasks.detectors.

PRODUCT: a product as one has it: a .SAFE folder, its zip, a tile of the AWS bucket, an s3:// or https:// address of
one, a STAC item, a folder of JP2 files with an acquisition.json, as the embedded scene is, or a folder of several of
these; L1C, or L2A for the detectors that do without B10, such as scl and braaten-cohen-yang.

sampling: "mean" averages all pixels of the files under one of the results; "fast" averages those of a lower
resolution level, at least two by two of them: at 160 m a twentieth of the decoding, with a mask that agrees to 97 % on
a hard scene (at 60 m a third, and 99.5 %); "nearest" takes the one in the middle.

shadows: "geometric" searches the height of every cloud and throws its outline to the ground, where shaded ground fits
the clouds better than it does sunward, else there is none and a warning says so; "projection" takes ground that is dark
within 1 km of a cloud, away from the sun (Earth Engine's tutorial). Both look for them with the mask before it grows;
what it grows over is cloud. --beyond dark calls ground at the edge shadow by its looks, as far as those are right in
the rest of the product; --beyond clear never does. With --dem the shade of hills is computed and is no cloud shadow:
TERRAIN_SHADE is a file of its own, of 0, 1 and 255, clouds or not. Hills within 10 km of the product count.

settings: radii are pixels of the results, so the same preset reaches farther at a coarser resolution; --unit metre
makes them metres. A preset's own numbers are those its authors published, mostly for 10 m or 20 m. Where results of
other settings lie in DIR, nothing is done before --overwrite or another --out says so.

resolutions: {DEFAULT_RESOLUTION} m is that of the model's atmospheric bands B01, B09 and B10, 3.3 M pixels a tile;
160 m, the service's, misses small clouds; 10 m and 20 m show finer outlines, and take longer. A tile at 10 m by
`--detector s2cloudless --shadows` takes bounded memory: it is read in strips, and above 4 M pixels heights of
clouds are searched in cells of several pixels (60 m of a tile); outlines are thrown, and pixels looked at, at the
resolution asked for. shadows-geometric and shadows-projection see a tile as a whole, which takes more.

snow, thin cloud: --snow and --thin-cloud add classes to CLM, by spectrum: snow is bright in green and near infrared and
dark in B11 (and B10), thin cloud bright in B10 and not in B02. They have no say in the cloud around them, and stay what
they are but where that cloud grows over them. With --detector scl they are the classes 11 and 10 of Sen2Cor. Thin cloud
needs L1C, which has B10; over high mountains B10 sees the ground, too.

files: CLP uint8, probability * 255, at most 254; CLM and SHADOW uint8 0, 1; 255 no data everywhere; in CLM 3 snow and 4
thin cloud where asked for. Model and every parameter are in the tags of the files. CLM and SHADOW carry their colours,
clear is transparent in QGIS and GDAL (keep the .aux.xml beside them); --styles gives CLP colours, too; overviews are
made from 128 pixels on.
"""


def examples() -> str:
    """The text below the options, with the detectors that work on products."""
    from eotasks.clouds.detectors.registry import detector_list

    return _EXAMPLES.replace("DETECTORS", detector_list(AVAILABLE))


def add_parser(commands: Commands) -> None:
    """Register `cloud-mask` with the `eotasks` command."""
    parser = add_command(
        commands,
        "cloud-mask",
        run,
        summary="cloud probability and masks of Sentinel-2 products",
        description=DESCRIPTION,
        epilog=examples,
        failed="some products failed",
    )
    parser.add_argument(
        "products", metavar="PRODUCT", nargs="*", help="a product, see below; the embedded scene if none"
    )
    add_out(parser, DEFAULT_OUT)
    add_allow_host(parser)
    add_sign(parser)
    add_requester_pays(parser)
    add_mask_arguments(parser)
    parser.add_argument(
        "--dem",
        metavar="FILE",
        help="elevation model, a GeoTIFF here, on S3 or the web: tells terrain shade from shadow",
    )
    parser.add_argument("--no-quicklook", action="store_true", help="no picture, which takes about a second a tile")
    parser.add_argument("--styles", action="store_true", help="styles of QGIS (.qml) beside the files")
    parser.add_argument("--format", choices=("cog",), default="cog", help="cog: Cloud Optimized GeoTIFF")
    add_threads(parser)
    add_overwrite(parser, "make everything anew, and replace other results")


def run(arguments: argparse.Namespace) -> ExitCode:
    """Make masks, and say what came out; 1 when products failed."""
    if not all(each.strip() for each in arguments.products):
        raise ConfigurationError("a PRODUCT is empty, as a variable of a shell is that was not set: give its place.")
    options = mask_options(arguments, quicklook=not arguments.no_quicklook, styles=arguments.styles, dem=arguments.dem)
    from eotasks.allocator import give_back_large_arrays
    from eotasks.workflows.cloud_mask.run import CloudMaskRun

    give_back_large_arrays()
    console = new_console()
    told: list[str] = []
    with typed_warnings(told):
        work = CloudMaskRun(
            arguments.products or [_sample()],
            arguments.out,
            options,
            threads=arguments.threads,
            overwrite=arguments.overwrite,
            modifier=arguments.sign,
        )
        with progress_bars(console) as progress:
            outcomes = work.run(ProgressReporter(progress, len(work)))
    print_line(console, f"Masks: {options.describe()}")
    console.print(summary_table(outcomes, options))
    for outcome in outcomes:
        if outcome.error is not None:
            print_failed(console, f"{outcome.name}: {outcome.error}")
    print_warnings(console, told)
    print_line(console, f"Results: {work.out}")
    return ExitCode.SOME_FAILED if any(outcome.state == "failed" for outcome in outcomes) else ExitCode.DONE


def _sample() -> Path:
    from eotasks.sources.sample_files import sample_path

    return sample_path()


class ProgressReporter:
    """A bar for the products, and one for the strips of the present product."""

    def __init__(self, progress: Progress, products: int) -> None:
        self._progress = progress
        self._all = progress.add_task("products", total=products)
        self._present = progress.add_task("", total=None, visible=False, transient=True)

    def begin(self, name: str) -> None:
        """A product is begun."""
        self._progress.reset(self._present, description=name, total=None, visible=True)

    def strip(self, done: int, total: int) -> None:
        """Strips of the product that are done."""
        self._progress.update(self._present, completed=done, total=total)

    def end(self, outcome: ProductOutcome) -> None:
        """A product has ended."""
        self._progress.update(self._present, visible=False)
        self._progress.advance(self._all)
        if outcome.state == "failed":
            print_line(self._progress.console, f"{outcome.name} failed")


def summary_table(outcomes: Sequence[ProductOutcome], options: CloudMaskOptions) -> Table:
    """One line a product, and one for all."""
    shares = _columns(options)
    numbers = (*shares, "no data", "seconds", "")
    table = new_table("product", *numbers, numbers=numbers)
    for outcome in outcomes:
        table.add_row(outcome.name, *_cells(outcome, list(shares.values())))
    known = [outcome for outcome in outcomes if outcome.shares is not None]
    if len(outcomes) > 1:
        failed = len(outcomes) - len(known)
        total = f"{sum(outcome.seconds for outcome in outcomes):.1f}"
        blank = [""] * (len(shares) + 1)
        table.add_section()
        table.add_row(f"{len(outcomes)} products", *blank, total, f"{failed} failed" if failed else "")
    return table


def _columns(options: CloudMaskOptions) -> dict[str, str]:
    """Heading -> name of the share, of the classes that are asked for."""
    asked = {
        "thin_cloud": options.thin_cloud,
        "snow": options.snow,
        "shadow": options.shadows,
        "terrain_shade": options.dem is not None,
    }
    return {name.replace("_", " "): name for name, is_asked in {"cloud": True, **asked}.items() if is_asked}


def _cells(outcome: ProductOutcome, names: Sequence[str]) -> list[str | Text]:
    from rich.text import Text

    seconds = f"{outcome.seconds:.1f}"
    if outcome.shares is None:
        return [*["–"] * (len(names) + 1), seconds, Text("failed", "red")]
    values = [getattr(outcome.shares, name) for name in names]
    known = ["–" if value is None else f"{value:.1%}" for value in values]
    return [*known, f"{1 - outcome.shares.data:.1%}", seconds, outcome.state]
