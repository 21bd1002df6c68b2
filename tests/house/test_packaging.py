"""The Makefile and the source distribution fit together."""

from __future__ import annotations

import re
import tomllib

from tests import ROOT

MAKEFILE = (ROOT / "Makefile").read_text()


def test_every_phony_target_has_a_rule() -> None:
    phony = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert phony
    assert set(phony[0].split()) == set(re.findall(r"^([a-z-]+):(?!=)", MAKEFILE, re.MULTILINE))


def test_what_make_runs_is_in_the_source_distribution() -> None:
    hatch = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]
    scripts = set(re.findall(r"(\w+)/[\w/]+\.py|-m (tests)\.", MAKEFILE))
    scripts = {first or second for first, second in scripts}
    assert scripts == {"tools", "tests"}
    assert scripts <= set(hatch["build"]["targets"]["sdist"]["include"])
