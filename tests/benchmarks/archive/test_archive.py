"""The benchmark of archives measures both sides, and says what is missed. No time is judged."""

from __future__ import annotations

from pathlib import Path

import pytest

from eotasks.imagery.scene import open_scene
from eotasks.workflows.cloud_archive.plan import read_figures
from tests.benchmarks.archive import web
from tests.benchmarks.archive.__main__ import Comparison, Product, figures, main, report, verdict
from tests.benchmarks.archive.family import Run, run
from tests.benchmarks.archive.tiles import add_products, product_name
from tests.builders.tile import build_tile

pytestmark = pytest.mark.slow


def comparison(seconds: float, peaks: list[float], peer: float = 40) -> Comparison:
    made = [Product(1.0, megabytes=peak) for peak in peaks]
    return Comparison(Run(seconds, 2 * seconds, max(peaks), ""), made, [Product(peer, 80)], 2)


def test_products_share_their_pixels_and_differ_in_their_days(tmp_path: Path) -> None:
    tile = build_tile(tmp_path / "tile", pixels=(768, 768))
    products = add_products(tile, tmp_path / "source", 3)
    scenes = [open_scene(product) for product in products]
    assert [scene.name for scene in scenes] == [product_name(number) for number in range(3)]
    assert [scene.acquisition.time.strftime("%m-%d") for scene in scenes] == ["02-16", "02-21", "02-26"]
    assert len({scene.acquisition.datastrip for scene in scenes}) == 3
    shared = [next(product.rglob("T33*_B02.jp2")) for product in products]
    assert len({file.name for file in shared}) == 3
    assert all(file.samefile(shared[0]) for file in shared)


@pytest.mark.trial
def test_it_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both sides on a small tile."""
    assert main(["--folder", str(tmp_path), "--pixels", "960", "--count", "3", "--workers", "1"]) == 0
    out = capsys.readouterr().out
    assert "eotasks archive build, 1 workers" in out
    assert "memory of the worker, MB" in out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tile-960"]


def test_verdict() -> None:
    good = comparison(8, [300, 310, 305, 310])
    assert verdict(good) == []
    assert (good.ratio, good.cpu_ratio) == (20, 20)
    assert verdict(comparison(10, [300, 400, 400, 501])) == [
        "16.0 times as fast, wanted 20",
        "501 MB in a worker, wanted 500",
        "memory grows by 67%, wanted 10% at most",
    ]
    assert "20.0x" in report(good)
    assert {figure.name: figure.value for figure in figures(good)}["archive, memory of a worker"] == 310


def test_a_command_that_fails_is_told() -> None:
    with pytest.raises(RuntimeError, match="ended with 1"):
        run(["false"])


@pytest.mark.trial
def test_products_on_the_web(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EOTASKS_ALLOWED_HOSTS", "")  # the benchmark sets it
    figures = tmp_path / "figures.json"
    arguments = [
        "--folder",
        str(tmp_path),
        "--pixels",
        "768",
        "--count",
        "3",
        "--pause",
        "0",
        "--figures",
        str(figures),
    ]
    assert web.main(arguments) == 0
    assert "reading ahead  " in capsys.readouterr().out
    assert read_figures(figures).requests > 13
