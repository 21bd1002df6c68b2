"""`eotasks archive plan`: what an archive will cost, measured or assumed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eotasks.errors import ConfigurationError
from eotasks.workflows.cloud_archive.plan import Figures, Plan, Prices, plan_archive, read_figures, read_prices
from eotasks.workflows.cloud_archive.source import Source
from tests.builders.clouds.archives import add_product, build, too_bright
from tests.builders.command_line import command

FIGURES = Figures(seconds=9, core_seconds=7.2, bytes_read=6.5e6, bytes_written=5e5, requests=400)
PRICES = Prices(currency="EUR", core_hour=0.05, gigabyte_read=0.01, gigabyte_month=0.02, thousand_requests=0.0004)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for name, day in (("A", 16), ("B", 17)):
        add_product(tmp_path / "source", name, day)
    return tmp_path / "source"


def test_all_is_that_of_one_times_the_number() -> None:
    plan = Plan(Source(), 1_000_000, 0, FIGURES, 100, PRICES)
    assert (plan.bytes_read, plan.bytes_written, plan.requests) == (6.5e12, 5e11, 4e8)
    assert (plan.core_hours, plan.hours) == (2000, 25)
    cost = plan.cost()
    assert cost == pytest.approx(
        {"core hours": 100, "reading": 65, "writing": 0, "requests": 160, "total": 325, "a month of keeping": 10}
    )
    assert Plan(Source(), 10, 0, FIGURES, 1).cost() == {}


@given(st.integers(0, 10**8), st.integers(1, 10**5))
def test_more_workers_take_as_many_core_hours(products: int, workers: int) -> None:
    plan, alone = (Plan(Source(), products, 0, FIGURES, number, PRICES) for number in (workers, 1))
    assert plan.cost() == alone.cost()
    assert plan.hours * workers == pytest.approx(alone.hours)


def test_measured_here_and_nothing_written(source: Path, tmp_path: Path) -> None:
    add_product(source, "bright", 18, change=too_bright)
    before = sorted(tmp_path.rglob("*"))
    result = command("archive", "plan", source, "--workers", 2, "--json")
    assert sorted(tmp_path.rglob("*")) == before
    content = json.loads(result.out)
    assert (result.code, content["products"], list(content["failed"])) == (0, 3, ["bright"])
    figures = content["figures"]
    assert figures["products"] in (1, 2)  # the first of three that works is not counted
    assert figures["requests"] == 0
    assert min(figures[key] for key in ("seconds", "core_seconds", "bytes_read", "bytes_written")) > 0
    assert content["bytes_written"] == pytest.approx(3 * figures["bytes_written"])
    (tmp_path / "here.json").write_text(result.out)
    assert read_figures(tmp_path / "here.json").model_dump() == figures


def test_what_the_archive_has_is_not_counted(source: Path, tmp_path: Path) -> None:
    build(source, tmp_path / "out")
    add_product(source, "C", 18)
    (tmp_path / "figures.json").write_text(FIGURES.model_dump_json())
    (tmp_path / "prices.toml").write_text('currency = "EUR"\ncore_hour = 3600\n')
    plan = ("archive", "plan", source, "--out", tmp_path / "out", "--assume", tmp_path / "figures.json")
    result = command(*plan, "--prices", tmp_path / "prices.toml")
    assert "products    1, 2 more are there" in result.out
    assert "; assumed" in result.out
    assert "cost        7.20 EUR" in result.out
    assert command(*plan, "--resolution", 60).code == 2


def test_bad_arguments(source: Path, tmp_path: Path) -> None:
    for text in ("{}", "[]", '{"seconds": -1}', "no JSON", FIGURES.model_dump_json().replace("9", "1e999")):
        (tmp_path / "f.json").write_text(text)
        with pytest.raises(ConfigurationError, match=r"f\.json"):
            read_figures(tmp_path / "f.json")
    for text in ("core_hours = 1", "core_hour = -1", 'core_hour = "a"', "core_hour"):
        (tmp_path / "p.toml").write_text(text)
        with pytest.raises(ConfigurationError, match=r"p\.toml"):
            read_prices(tmp_path / "p.toml")
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "absent", tmp_path / "pipe", tmp_path):
        with pytest.raises(ConfigurationError, match="cannot be read"):
            read_prices(path)
    with pytest.raises(ConfigurationError, match="workers=0"):
        plan_archive(source, workers=0)
