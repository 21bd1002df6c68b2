"""`eotasks cloud-mask --out s3://…` on a real S3 server leaves what it leaves on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from eotasks.storage.lease import hold_lease
from eotasks.storage.place import Place
from eotasks.workflows.cloud_mask import quicklook
from tests.builders.command_line import Result
from tests.builders.command_line import command as call
from tests.builders.sample_products import MakeProduct
from tests.servers.s3 import S3Server

pytestmark = pytest.mark.slow


def command(*arguments: str | Path) -> Result:
    """Calls `eotasks cloud-mask` in this process."""
    return call("cloud-mask", *arguments)


def contents(place: Place) -> dict[str, bytes]:
    return {path: place.read_bytes(path) for path in place.files()}


@pytest.fixture
def place(s3_server: S3Server) -> Place:
    return Place(s3_server.location())


def test_results_are_those_on_disk(make_product: MakeProduct, tmp_path: Path, place: Place) -> None:
    product, disk = make_product(), Place(tmp_path / "out")
    for out in (disk, place):
        result = command(product, "--out", out.location, "--shadows")
        assert (result.code, result.err) == (0, "")
        assert f"Results: {out}" in result.out
    assert contents(place) == contents(disk)
    assert len(contents(place)) == 7

    again = command(product, "--out", place.location, "--shadows")
    assert "kept" in again.out
    refused = command(product, "--out", place.location)
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "shadows changed" in refused.err
    assert contents(place) == contents(disk)
    assert command(product, "--out", place.location, "--overwrite").code == 0
    assert not [path for path in place.files() if "SHADOW" in path]


def test_damage_is_mended(make_product: MakeProduct, place: Place) -> None:
    product = make_product()
    assert command(product, "--out", place.location).code == 0
    whole = contents(place)
    place.write_bytes("small/small_CLM.tif", whole["small/small_CLM.tif"][:-10])
    assert "done" in command(product, "--out", place.location).out
    assert contents(place) == whole


def test_an_interrupted_run_leaves_no_half_file_and_goes_on(
    make_product: MakeProduct, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: object, __: object, name: str, path: Path) -> None:
        path.write_bytes(b"half a picture")
        raise KeyboardInterrupt

    product = make_product()
    with monkeypatch.context() as patch:
        patch.setattr(quicklook, "draw_quicklook", interrupted)
        assert command(product, "--out", place.location).code == 130
    assert json.loads(place.read_bytes("small/small.json"))["complete"] is False
    assert not [path for path in place.files() if "quicklook" in path or ".eotasks" in path]
    assert "done" in command(product, "--out", place.location).out


def test_two_runs_do_not_write_one_product(make_product: MakeProduct, place: Place, tmp_path: Path) -> None:
    product, other = make_product(), make_product("other")
    for out in (place, Place(tmp_path / "out")):
        with hold_lease(out.child("small"), "eotasks cloud-mask"):
            result = command(product, other, "--out", out.location)
            assert result.code == 1
            assert "in use by another run" in " ".join(result.out.split())
            assert out.names("small") == [".eotasks-run.json"]
        assert {path.partition("/")[0] for path in out.files()} == {"other"}


def test_what_another_run_has_made_meanwhile_is_kept(
    make_product: MakeProduct, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from eotasks.workflows.cloud_mask.files import MaskFiles

    product = make_product()
    assert command(product, "--out", place.location).code == 0
    asked = []
    state = MaskFiles.state

    def absent_at_first(self: MaskFiles, *arguments: object, **options: object) -> str:
        asked.append(self.name)
        return "absent" if len(asked) == 1 else state(self, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(MaskFiles, "state", absent_at_first)
    assert "kept" in command(product, "--out", place.location).out
    assert len(asked) == 2


def test_a_place_that_cannot_be_used_is_told(
    make_product: MakeProduct, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    product = make_product()
    absent = command(product, "--out", "s3://absent/masks")
    assert (absent.code, absent.err.count("\n")) == (2, 1)
    assert "no bucket 'absent'" in absent.err
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-and-never-shown")
    wrong = command(product, "--out", s3_server.location(), "--verbose")
    assert wrong.code == 2
    assert "refuses the credentials" in wrong.err
    assert "never-shown" not in wrong.err + wrong.out


def test_a_product_on_s3(make_product: MakeProduct, place: Place, tmp_path: Path) -> None:
    product, disk = make_product(), Place(tmp_path / "out")
    for path in product.iterdir():
        place.upload(f"archive/small/{path.name}", path)
    source = f"{place}/archive/small"
    into_itself = command(source, "--out", f"{source}/masks")
    assert into_itself.code == 2
    assert "into the product" in into_itself.err
    assert command(product, "--out", disk.location).code == 0
    result = command(source, "--out", place.child("masks").location)
    assert (result.code, result.err) == (0, "")
    made, expected = contents(place.child("masks")), contents(disk)
    record = "small/small.json"
    assert {path for path in made if made[path] != expected[path]} <= {record}  # times of change of the inputs
    assert "kept" in command(source, "--out", place.child("masks").location).out


def test_a_server_that_dies_in_the_middle(
    make_product: MakeProduct, s3_own_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run says so and ends; once the server is back, the same command goes on, at once and on the same machine."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "3")  # of the ten that give a server half a minute to come back
    place, product = Place(s3_own_server.location()), make_product()
    draw = quicklook.draw_quicklook

    def dies(*arguments: Any) -> None:
        draw(*arguments)
        s3_own_server.kill()

    with monkeypatch.context() as patch:
        patch.setattr(quicklook, "draw_quicklook", dies)
        result = command(product, "--out", place.location)
    assert result.code == 1
    assert "cannot be reached" in " ".join(result.out.split())
    s3_own_server.restart()
    assert json.loads(place.read_bytes("small/small.json"))["complete"] is False
    again = command(product, "--out", place.location)
    assert (again.code, again.err) == (0, "")
    assert "done" in again.out
    assert "kept" in command(product, "--out", place.location).out
