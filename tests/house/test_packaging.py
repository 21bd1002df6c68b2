"""The Makefile, the hooks and the source distribution fit together."""

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


def test_hooks_run_what_make_runs() -> None:
    """`make lint` and `make types`, and one test that is quick: the contract of the house."""
    rules = re.findall(r"^(?:lint|types):.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    checks = set(re.findall(r"-m (\w+(?: check| format --check)?)", "".join(rules)))
    hooks = re.findall(r"entry: \.venv/bin/python -m (.+)", (ROOT / ".pre-commit-config.yaml").read_text())
    assert {"ruff check", "ruff format --check", "codespell_lib", "mypy"} == checks
    assert {hook.removesuffix(" --force-exclude") for hook in hooks if not hook.startswith("pytest")} == checks
    (test,) = [word for hook in hooks if hook.startswith("pytest") for word in hook.split() if word.endswith(".py")]
    assert (ROOT / test).is_file()
