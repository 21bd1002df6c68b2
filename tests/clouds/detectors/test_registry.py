"""Which detectors there are, and what becomes of plugins that are broken or want a name that is taken."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from eotasks.clouds.detectors.registry import (
    BUILT_IN,
    detector_list,
    detectors,
    find_detector,
    package_of,
    suited,
)
from eotasks.clouds.detectors.run import refuse_needs
from eotasks.clouds.detectors.vocabulary import DEFAULT_DETECTOR as DEFAULT
from eotasks.errors import ConfigurationError
from tests.builders.clouds.plugin import write_installed

UsePackages = Callable[[Path], None]

GOOD = """
from eotasks.clouds.detectors.protocol import Detection, Detector

class Half(Detector):
    name = "half"
    description = "half of it"
    bands = ("B02",)

    def detect(self, frames, settings):
        return Detection(frames.is_data)

HALF = Half()
"""


def listed(name: str) -> list[str]:
    """The lines of a name in the list."""
    return [line for line in detector_list().splitlines() if line.split()[0] == name]


def test_ours_have_the_names_they_are_listed_by() -> None:
    assert [each.name for each in detectors() if each.package is None] == list(BUILT_IN)
    assert all(find_detector(name) is detector for name, detector in BUILT_IN.items() if name != "omnicloudmask")
    assert package_of(DEFAULT) is None
    assert DEFAULT in suited(())
    assert "all-clear" not in suited(())


def test_a_plugin_is_listed_without_loading_it_and_found_by_name(tmp_path: Path, use_packages: UsePackages) -> None:
    use_packages(
        write_installed(
            tmp_path, "eotasks-half", entries={"half": "eotasks_half:HALF"}, code=GOOD, summary="Half", version="2.1"
        )
    )
    assert listed("half") == ["  half                    Half (eotasks-half 2.1)"]
    assert "eotasks_half" not in sys.modules
    assert find_detector("half").description == "half of it"
    assert find_detector("half") is find_detector("half")
    assert package_of("half") == "eotasks-half 2.1"


def test_a_class_is_made_an_instance(tmp_path: Path, use_packages: UsePackages) -> None:
    use_packages(write_installed(tmp_path, "eotasks-half", entries={"half": "eotasks_half:Half"}, code=GOOD))
    assert find_detector("half").bands == ("B02",)


def test_an_unknown_name_is_told_with_those_there_are(tmp_path: Path, use_packages: UsePackages) -> None:
    use_packages(write_installed(tmp_path, "eotasks-half", entries={"half": "eotasks_half:HALF"}, code=GOOD))
    with pytest.raises(ConfigurationError, match=r"mean 'half'\?\): choose of s2cloudless, .*all-clear, half\."):
        find_detector("halb")


@pytest.mark.parametrize(
    ("value", "code", "note", "error"),
    [
        ("eotasks_lost:HALF", "", "there is no module 'eotasks_lost'", "No module named"),
        ("eotasks_lost", "raise RuntimeError('no licence')", None, "RuntimeError: no licence"),
        ("eotasks_lost:NONE", "x = 1", None, "has no attribute 'NONE'"),
        ("what is this", "x = 1", "'what is this' names no object", "cannot be loaded"),
        ("eotasks_lost:x", "x = 1", None, "has no name, description"),
    ],
    ids=["no module", "fails", "no attribute", "no object", "no detector"],
)
def test_a_broken_plugin_is_an_error_when_asked_for_and_a_note_in_the_list(
    tmp_path: Path, use_packages: UsePackages, value: str, code: str, note: str | None, error: str
) -> None:
    use_packages(write_installed(tmp_path, "eotasks-lost", entries={"lost": value}, code=code))
    (line,) = listed("lost")
    assert ("broken" in line) == (note is not None)
    assert (note or "Spoilt (eotasks-lost 1)") in line
    with pytest.raises(ConfigurationError, match=r"'lost' of eotasks-lost 1 .*choose another") as raised:
        find_detector("lost")
    assert error in str(raised.value)
    assert find_detector(DEFAULT) is BUILT_IN[DEFAULT]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('name = "half"', 'name = "other"'), "its name is 'other', its entry point's 'half'"),
        (('"half of it"', '" "'), "no description"),
        (('("B02",)', '("blue",)'), "bands is ('blue',)"),
        (('("B02",)', '"B02"'), "bands is 'B02'"),
        (('bands = ("B02",)', 'needs = frozenset({"sun"})'), "needs is frozenset({'sun'})"),
        (('bands = ("B02",)', 'answers = frozenset({"snow"})'), "answers has no 'cloud'"),
        (('bands = ("B02",)', 'uses = ("limit",)'), "uses is ('limit',)"),
        (("    def detect", "    detect = None\n\n    def other"), "detect is no method"),
        (('bands = ("B02",)', "prepare = None"), "prepare is no method"),
        (('("B02",)', "None"), "bands is None, a collection of B01"),
        (('("B02",)', '(band for band in ("B02",))'), "bands is <generator"),
        (('("B02",)', '[["B02"]]'), "bands is [['B02']]"),
        (('bands = ("B02",)', "needs = None"), "needs is None"),
        (('bands = ("B02",)', "answers = None"), "answers is None"),
        (('bands = ("B02",)', "uses = 5"), "uses is 5"),
        (('bands = ("B02",)', "tags = None"), "tags is None, names with values are due"),
        (('bands = ("B02",)', "tags = {1: 2}"), "tags is {1: 2}"),
        (('bands = ("B02",)', "coarsest = '30'"), "coarsest is '30', metres or None are due"),
        (('bands = ("B02",)', "needs = property(lambda self: 1 / 0)"), "cannot be loaded (ZeroDivisionError"),
    ],
    ids=[
        *("name", "description", "band", "text", "need", "answer", "setting", "method", "prepare"),
        *("no bands", "generator", "nested", "no needs", "no answers", "number", "no tags", "tags", "coarsest"),
        "property",
    ],
)
def test_what_a_plugin_says_of_itself_is_checked(
    tmp_path: Path, use_packages: UsePackages, change: tuple[str, str], said: str
) -> None:
    code = GOOD.replace(*change).replace("HALF = Half()", "HALF = Half")
    use_packages(write_installed(tmp_path, "eotasks-half", entries={"half": "eotasks_half:HALF"}, code=code))
    with pytest.raises(ConfigurationError) as raised:
        find_detector("half")
    assert said in str(raised.value)
    assert "eotasks-half 1" in str(raised.value)


def test_a_mask_that_the_settings_make_uses_all_of_them(tmp_path: Path, use_packages: UsePackages) -> None:
    code = GOOD.replace("Detection, Detector", "Detection, ProbabilityDetector as Detector")
    code = code.replace("def detect", "uses = ('threshold',)\n\n    def probability")
    use_packages(write_installed(tmp_path, "eotasks-half", entries={"half": "eotasks_half:Half"}, code=code))
    with pytest.raises(ConfigurationError, match="uses lacks preset, average_over, dilation_size, unit, by which"):
        find_detector("half")


def test_needs_of_any_collection_are_told(tmp_path: Path, use_packages: UsePackages) -> None:
    """A tuple looks like those of bands and settings."""
    for number, needs in enumerate(("('series',)", "['series']", "{'series'}")):
        code = GOOD.replace('bands = ("B02",)', f"needs = {needs}").replace("half", f"half-{number}")
        package = f"eotasks-half-{number}"
        entry = {f"half-{number}": f"{package.replace('-', '_')}:HALF"}
        use_packages(write_installed(tmp_path / str(number), package, entries=entry, code=code))
        with pytest.raises(ConfigurationError, match="needs several frames of a place, which a product does not have"):
            refuse_needs(find_detector(f"half-{number}"), (), what="a product", others=("s2cloudless",))


def test_a_name_of_ours_cannot_be_taken(tmp_path: Path, use_packages: UsePackages) -> None:
    use_packages(write_installed(tmp_path, "eotasks-half", entries={DEFAULT: "eotasks_half:HALF"}, code=GOOD))
    ours, theirs = listed(DEFAULT)
    assert "refused" not in ours
    assert "refused: the name is that of a detector of eotasks (eotasks-half 1)" in theirs
    assert find_detector(DEFAULT) is BUILT_IN[DEFAULT]


def test_a_name_that_two_packages_give_is_nobody_s(tmp_path: Path, use_packages: UsePackages) -> None:
    for package in ("eotasks-half", "eotasks-moiety"):
        write_installed(tmp_path, package, entries={"half": "eotasks_half:HALF"}, code=GOOD)
    use_packages(tmp_path)
    (line,) = listed("half")
    assert "refused" in line
    with pytest.raises(ConfigurationError, match="uninstall all of them but one") as raised:
        find_detector("half")
    for package in ("eotasks-half 1", "eotasks-moiety 1"):
        assert package in line
        assert package in str(raised.value)


def test_the_registry_loads_no_engine_of_a_detector() -> None:
    """Every command that makes masks loads it, also for a detector that needs none of these."""
    code = "import sys, eotasks.clouds.detectors.registry; print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"scipy.ndimage", "scipy.sparse", "skimage", "lightgbm"} & set(ended.stdout.split())
