"""`eotasks evaluate-clouds`: how good cloud and shadow masks are on labelled scenes."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import TYPE_CHECKING

from eotasks.clouds.detectors.vocabulary import DEFAULT_DETECTOR
from eotasks.errors import ConfigurationError
from eotasks.workflows.bars import StageReporter, progress_bars
from eotasks.workflows.console import (
    Commands,
    ExitCode,
    add_command,
    add_out,
    add_threads,
    new_console,
    new_table,
    print_failed,
    print_line,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from eotasks.workflows.evaluate_clouds.contestants import Contestant
    from eotasks.workflows.evaluate_clouds.run import Outcome
    from eotasks.workflows.evaluate_clouds.scenes import SceneCollection

DEFAULT_OUT = "results/evaluate-clouds"
DEFAULT_PICTURES = 8
THIN_CLOUDS = ("cloud", "ignore")

DESCRIPTION = (
    "How good cloud and shadow masks are: any of the detectors on labelled scenes, as table, pictures, report."
)
_EXAMPLES = """\
examples:
  eotasks evaluate-clouds --simulated                       two simulated years, labelled by the simulation's truth
  eotasks evaluate-clouds --simulated --realistic --seed 11 years that are hard on purpose (docs/simulated-year.md)
  eotasks evaluate-clouds scenes --out results/clouds       a folder of labelled scenes
  eotasks evaluate-clouds scenes --detector s2cloudless --detector s2cloudless:gee --detector scl
                                                            several beside each other: agreement, intervals, time
  eotasks evaluate-clouds scenes --detector stored          masks that somebody else made, as clm.tif in the scenes
  eotasks evaluate-clouds scenes --detector shadows-geometric:labels --detector shadows-projection:labels
                                                            shadows alone, of the labelled clouds; six bands will do
  eotasks evaluate-clouds --labels cloud-mask-catalogue:data/catalogue --thin-cloud ignore
                                                            published labels that you have downloaded

published labels, as NAME:FOLDER (docs/how-to-label-datasets.md says where each can be had):
LABELS

detectors (NAME:PRESET takes the mask settings of another preset: s2cloudless, eo-learn, sentinel-hub, gee):
DETECTORS
The two of shadows take the clouds of the labels as NAME:labels, judged by shadow alone, and those of clm.tif as
NAME:stored; they then read B02, B08 and B11 (B03, where it is there) only, of any sensor that has such bands.

a folder of scenes has a folder for each scene, with
  bands.tif    10 or 13 bands of L1C, or bands with their names: integer DN = reflectance * 10000, or float reflectance
  label.tif    0 clear, 1 cloud, 2 shadow, 255 not judged; on the same grid
  scl.tif      if there is one: scene classification of L2A
  clm.tif      if there is one: a mask to be judged, numbered like the labels (3 snow is clear, 4 thin cloud is cloud)
  scene.toml   if there is one: time, sun_zenith, sun_azimuth (degrees, clockwise from north); shadows need the sun
or is an EOPatch with data/BANDS and mask/LABEL. Beside them, labels.toml may say otherwise:
  scheme = "cloudsen12"             0 clear, 1 thick cloud, 2 thin cloud, 3 shadow
  classes = { 1 = "clear", 2 = "cloud", 3 = "ignore" }
  bands = ["B02", "B03", ...]       offset = -1000 (added to DN)       attribution = "..."
  label_feature = "mask/LABEL"      bands_feature = "data/BANDS"       simulated = true
"""


def examples() -> str:
    """The text below the options, with the detectors and the data sets of labels that are there."""
    from eotasks.clouds.detectors.registry import detector_list
    from eotasks.reference.cloud_labels.registry import label_set_list

    return _EXAMPLES.replace("DETECTORS", detector_list()).replace("LABELS", label_set_list())


def add_parser(commands: Commands) -> None:
    """Register `evaluate-clouds` with the `eotasks` command."""
    parser = add_command(
        commands,
        "evaluate-clouds",
        run,
        summary="how good cloud and shadow masks are on labelled scenes",
        description=DESCRIPTION,
        epilog=examples,
        failed="some scenes failed",
    )
    parser.add_argument("folder", nargs="?", metavar="FOLDER", help="folder or s3:// prefix of labelled scenes")
    parser.add_argument(
        "--labels", metavar="NAME:FOLDER", help="published labels in a folder of their own layout, instead of FOLDER"
    )
    parser.add_argument(
        "--thin-cloud",
        choices=THIN_CLOUDS,
        metavar="WORD",
        help="what thin cloud of published labels counts as: cloud, or ignore (cloud)",
    )
    parser.add_argument("--simulated", action="store_true", help="simulated scenes instead of a folder")
    parser.add_argument(
        "--realistic",
        action="store_true",
        help="simulated scenes with soft clouds in two layers, haze, hills, floods, surf, muddy and frozen water",
    )
    parser.add_argument("--with-snow", action="store_true", help="snow on winter dates of the simulated scenes")
    parser.add_argument("--seed", type=int, default=42, metavar="N", help="of the simulated scenes (42)")
    parser.add_argument(
        "--detector", action="append", metavar="NAME", help="detector; repeat it to compare several (s2cloudless)"
    )
    add_out(parser, DEFAULT_OUT)
    parser.add_argument("--preset", metavar="NAME", help="mask settings (eo-learn)")
    parser.add_argument("--threshold", type=float, metavar="P", help="cloud probability of a cloud, over the preset's")
    parser.add_argument("--average-over", type=float, metavar="R", help="radius of the averaging disk")
    parser.add_argument("--dilation", type=float, metavar="R", help="radius by which cloud grows")
    parser.add_argument("--unit", metavar="UNIT", help="of the radii: pixel or metre (pixel)")
    parser.add_argument("--resolution", type=float, metavar="M", help="metres at which probabilities are computed")
    parser.add_argument(
        "--pictures",
        type=int,
        default=DEFAULT_PICTURES,
        metavar="N",
        help="frames to show (8), beside the errors of each scene (the 40 worst); 0: no pictures at all",
    )
    add_threads(parser)


def run(arguments: argparse.Namespace) -> ExitCode:
    """Judge detectors, and say what came out; 1 when scenes failed."""
    from eotasks.storage.lease import hold_lease
    from eotasks.workflows.evaluate_clouds.results import claim_results, write_results

    if arguments.pictures < 0:
        raise ConfigurationError(f"--pictures {arguments.pictures} is no number of pictures: give 0 or more.")
    chosen = _contestants(arguments)
    chosen, collection = _collection(arguments, chosen)
    place = claim_results(arguments.out)
    console = new_console()
    with hold_lease(place, "eotasks evaluate-clouds") as lease:
        outcome = _evaluate(collection, chosen, arguments.pictures, console)
        lease.check()
        report = write_results(outcome, place)
    _show(outcome, console)
    print_line(console, f"Report: {report}")
    return ExitCode.SOME_FAILED if outcome.failures else ExitCode.DONE


def _contestants(arguments: argparse.Namespace) -> list[Contestant]:
    from eotasks.clouds.detectors.run import refuse_unused
    from eotasks.clouds.detectors.settings import DetectorSettings
    from eotasks.workflows.evaluate_clouds.contestants import contestants

    options = {
        "--preset": ("preset", arguments.preset),
        "--threshold": ("threshold", arguments.threshold),
        "--average-over": ("average_over", _whole_where_possible(arguments.average_over)),
        "--dilation": ("dilation_size", _whole_where_possible(arguments.dilation)),
        "--unit": ("unit", arguments.unit),
        "--resolution": ("resolution", arguments.resolution),
    }
    given = {option: (name, value) for option, (name, value) in options.items() if value is not None}
    settings = DetectorSettings(**dict(given.values()), threads=arguments.threads)
    chosen = contestants(arguments.detector or [DEFAULT_DETECTOR], settings)
    refuse_unused({each.name: each.uses for each in chosen}, {option: name for option, (name, _) in given.items()})
    return chosen


def _whole_where_possible(value: float | None) -> float | None:
    """Radii in pixels are whole numbers, those in metres need not be."""
    return int(value) if value is not None and value.is_integer() else value


def _collection(arguments: argparse.Namespace, chosen: list[Contestant]) -> tuple[list[Contestant], SceneCollection]:
    """What to judge by, and the detectors as they can be run on it."""
    from eotasks.models.simulation.realism import PLAIN, REALISTIC
    from eotasks.workflows.evaluate_clouds.scenes import scenes_of_folder
    from eotasks.workflows.evaluate_clouds.simulated import simulated_scenes

    if arguments.simulated + (arguments.folder is not None) + (arguments.labels is not None) != 1:
        raise ConfigurationError("give either a FOLDER of labelled scenes, --labels NAME:FOLDER or --simulated.")
    if arguments.thin_cloud is not None and arguments.labels is None:
        raise ConfigurationError("--thin-cloud is for published labels: give --labels, or leave it out.")
    for option, given in (("--realistic", arguments.realistic), ("--with-snow", arguments.with_snow)):
        if given and not arguments.simulated:
            raise ConfigurationError(f"{option} is for simulated scenes: give --simulated, or leave it out.")
    if arguments.labels is not None:
        return _published(arguments, chosen)
    if not arguments.simulated:
        return chosen, scenes_of_folder(arguments.folder)
    realism = REALISTIC if arguments.realistic else PLAIN
    return chosen, simulated_scenes(seed=arguments.seed, realism=realism, snow=arguments.with_snow)


def _published(arguments: argparse.Namespace, chosen: list[Contestant]) -> tuple[list[Contestant], SceneCollection]:
    from eotasks.workflows.evaluate_clouds.known_labels import named_labels, on_spectra, scenes_of_labels

    label_set, folder = named_labels(arguments.labels)
    if label_set.points:
        chosen = on_spectra(chosen)
    return chosen, scenes_of_labels(label_set, folder, thin_cloud=arguments.thin_cloud or "cloud")


def _evaluate(collection: SceneCollection, chosen: list[Contestant], pictures: int, console: Console) -> Outcome:
    from eotasks.workflows.evaluate_clouds.run import evaluate_scenes

    with progress_bars(console) as progress:
        reporter = StageReporter(progress)
        reporter.begin("scenes", len(collection.sources))
        return evaluate_scenes(collection, chosen, pictures=pictures, advance=reporter.advance)


def _show(outcome: Outcome, console: Console) -> None:
    console.print(summary_table(outcome))
    if len(outcome.contestants) > 1:
        console.print(comparison_table(outcome))
    for detector, reasons in _untold(outcome).items():
        why = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
        print_line(
            console,
            f"Warning: {detector} cannot tell the shadows of {reasons.total()} cloudy frames ({why}); the report says"
            " of which, and why.",
        )
    for failure in outcome.failures:
        what = failure.scene if failure.detector is None else f"{failure.scene}, {failure.detector}"
        print_failed(console, f"{what}: {failure.error}")
    if outcome.collection.simulated:
        print_line(console, "Simulated scenes: these numbers say nothing about accuracy in the field.")


def _untold(outcome: Outcome) -> dict[str, Counter[str]]:
    """Detector -> reasons why shadows cannot be told, with the number of frames."""
    names = dict.fromkeys(each.detector for each in outcome.untold)
    return {name: Counter(each.reason for each in outcome.untold if each.detector == name) for name in names}


def summary_table(outcome: Outcome) -> Table:
    """One screen of what came out."""
    from eotasks.workflows.evaluate_clouds.tables import accuracies, number

    title = f"Clouds judged by labels: {outcome.collection.title}"
    numbers = ("frames", "BOA", "PA", "UA", "F1")
    table = new_table("detector", "class", *numbers, numbers=numbers, title=title, boxed=False)
    last = ""
    for contestant, found in accuracies(outcome):
        medians = (found.balanced_overall_accuracy, found.producers_accuracy, found.users_accuracy, found.f1)
        name = "" if contestant.name == last else contestant.name
        last = contestant.name
        table.add_row(name, found.target, str(found.scenes_with), *(number(each.median) for each in medians))
    table.caption = "BOA, PA, UA, F1: medians over the frames that have the class."
    return table


def comparison_table(outcome: Outcome) -> Table:
    """How far the detectors agree on cloud, and what each takes."""
    from eotasks.workflows.evaluate_clouds.comparison.rows import kappa_text, rows_of, seconds_text

    rows = rows_of(outcome)
    names = list(dict.fromkeys(row.detector for row in rows))
    numbers = [str(index) for index in range(1, len(names) + 1)]
    columns = ("s / Mpx", *numbers)
    table = new_table("", "detector", "class", "F1, 95 %", *columns, numbers=columns, boxed=False)
    for row in rows:
        number = numbers[names.index(row.detector)]
        kappas = (kappa_text(row, name) for name in names)
        table.add_row(
            number, row.detector, row.target, str(row.estimates["F1"].interval), seconds_text(row.seconds), *kappas
        )
    table.caption = "1, 2 …: agreement of two masks, Cohen's kappa. s / Mpx: the detector alone, on this machine."
    return table
