"""Masks of parts of products: those of the whole product, of no more than a request needs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.warp import transform

from eotasks.errors import BandError
from eotasks.imagery.grid import Grid
from eotasks.imagery.pixels.resampling import ResamplingName
from eotasks.models.clouds.presets import mask_settings
from eotasks.service.pixels import blocks
from eotasks.service.pixels import clouds as module
from eotasks.service.pixels.blocks import Computed
from eotasks.service.pixels.clouds import SERVED, CloudBands
from eotasks.service.pixels.ground import Canvas
from eotasks.service.pixels.kept import Kept
from eotasks.service.pixels.products import OpenProducts
from eotasks.service.pixels.sources import ListSource, ProductSources
from eotasks.sources.frames import Candidate, open_candidates
from eotasks.workflows.product_masks import product
from eotasks.workflows.product_masks.product import make_masks
from tests.builders.products import UTM
from tests.builders.sample_products import LEFT, SIDE, TOP, cut_sample

KINDS = ("CLP", "CLM")
METHODS: tuple[ResamplingName, ...] = ("nearest", "bilinear", "cubic")


def with_hole(_: str, values: np.ndarray) -> np.ndarray:
    changed = values.copy()
    side = len(values)
    changed[-side // 3 :, -side // 3 :] = 0
    return changed


@pytest.fixture(scope="module")
def candidate(tmp_path_factory: pytest.TempPathFactory) -> Candidate:
    """12 x 12 pixels of 160 m at the edge of a cloud, a ninth of them without data."""
    return open_candidates([str(cut_sample(tmp_path_factory.mktemp("l1c") / "L1C", change=with_hole))])[0]


def masks_of(candidate: Candidate, side: int) -> CloudBands:
    sources = ProductSources([ListSource([candidate])])
    return CloudBands(sources, OpenProducts(sources), side=side)


@pytest.fixture(scope="module")
def in_blocks(candidate: Candidate) -> CloudBands:
    return masks_of(candidate, 3)


@pytest.fixture(scope="module")
def as_a_whole(candidate: Candidate) -> CloudBands:
    return masks_of(candidate, 12)


@pytest.fixture(autouse=True, scope="module")
def _parts_of_any_size() -> Iterator[None]:
    """Only what needs all blocks is computed as a whole."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "WHOLE_SHARE", 0.99)
        yield


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    """Near the product or on it, finer and coarser than its masks, in its own zone, the next one, or in degrees."""
    crs = draw(st.sampled_from([UTM, UTM, "EPSG:32632", "EPSG:4326"]))
    size = draw(st.sampled_from([10.0, 60.0, 160.0, 173.0, 400.0]))
    x, y = LEFT + draw(st.floats(-200, SIDE)), TOP - draw(st.floats(-200, SIDE))
    height, width = draw(st.integers(1, 8)), draw(st.integers(1, 8))
    if crs != UTM:
        (x,), (y,) = transform(UTM, crs, [x], [y])
    return Grid(crs, x, y, size / 111_000 if crs == "EPSG:4326" else size, height, width)


@settings(max_examples=40)
@given(grids(), st.sampled_from(METHODS))
def test_parts_have_the_masks_of_the_whole_property(
    in_blocks: CloudBands, as_a_whole: CloudBands, candidate: Candidate, grid: Grid, method: ResamplingName
) -> None:
    found, expected = (
        each.read(KINDS, candidate, None, grid, Canvas(grid, None).places, clp_method=method)
        for each in (in_blocks, as_a_whole)
    )
    for kind in KINDS:
        np.testing.assert_array_equal(found[kind], expected[kind], err_msg=kind)


def test_the_cloud_is_seen_in_parts(in_blocks: CloudBands, candidate: Candidate) -> None:
    """What the property compares is not all alike."""
    grid = Grid(UTM, LEFT + 640, TOP, 160, 4, 4)
    found = in_blocks.read(KINDS, candidate, None, grid, Canvas(grid, None).places, clp_method="nearest")
    masks = make_masks(candidate.open(), SERVED)
    assert masks.probability is not None
    np.testing.assert_array_equal(found["CLP"], np.rint(masks.probability[:4, 4:8] * 255))
    np.testing.assert_array_equal(found["CLM"], masks.mask[:4, 4:8])
    assert len(np.unique(masks.mask)) == 3
    assert len(np.unique(found["CLP"])) > 8


def test_no_more_is_computed_than_a_request_needs(candidate: Candidate, monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[Grid] = []

    def counted(scene: Any, options: Any, grid: Grid) -> Any:
        computed.append(grid)
        return product.probability_of(scene, options, grid)

    monkeypatch.setattr(blocks, "probability_of", counted)
    clouds = masks_of(candidate, 3)
    corner = Grid(UTM, LEFT, TOP, 10, 8, 8)  # of the first pixel of the masks

    def read(grid: Grid) -> None:
        clouds.read(KINDS, candidate, None, grid, Canvas(grid, None).places, clp_method="nearest")

    def left(grid: Grid, *kinds: str) -> int:
        return sum(clouds.pixels_to_compute(kinds, candidate, None, grid, Canvas(grid, None).places).values())

    assert left(corner, *KINDS) == 4 * (3 * 16) ** 2  # three pixels around it for the kernel and two for the mask
    assert left(corner, "SHADOW") == 192**2
    read(corner)
    assert [(each.left, each.top, each.shape) for each in computed] == [
        (LEFT + 480 * column, TOP - 480 * row, (3, 3)) for row in (0, 1) for column in (0, 1)
    ]
    assert left(corner, *KINDS) == 0
    read(corner)
    assert len(computed) == 4
    read(Grid(UTM, LEFT, TOP, 160, 12, 12))  # too much of it for parts
    assert len(computed) == 4
    assert left(corner, *KINDS) == 0


def test_a_product_that_may_be_wrong_is_looked_at_as_a_whole(
    candidate: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object) -> Any:
        raise AssertionError("no part of it")

    monkeypatch.setattr(blocks, "seems_plausible", lambda *_: False)
    monkeypatch.setattr(blocks, "probability_of", none)
    grid = Grid(UTM, LEFT, TOP, 160, 2, 2)
    found = masks_of(candidate, 3).read(KINDS, candidate, None, grid, Canvas(grid, None).places, clp_method="nearest")
    np.testing.assert_array_equal(found["CLM"], make_masks(candidate.open(), SERVED).mask[:2, :2])


def test_a_product_is_looked_at_in_its_turn(candidate: Candidate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or all products of a series are decoded at the same time."""
    clouds = masks_of(candidate, 3)
    alone: list[bool] = []

    def looked(scene: Any, options: Any) -> bool:
        is_free = clouds._turn.acquire(blocking=False)
        if is_free:
            clouds._turn.release()
        alone.append(not is_free)
        return product.seems_plausible(scene, options)

    monkeypatch.setattr(blocks, "seems_plausible", looked)
    grid = Grid(UTM, LEFT, TOP, 160, 2, 2)
    clouds.read(KINDS, candidate, None, grid, Canvas(grid, None).places, clp_method="nearest")
    assert alone == [True]


def test_masks_of_the_whole_are_not_computed_again_in_parts(
    candidate: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object) -> Any:
        raise AssertionError("it is there")

    clouds = masks_of(candidate, 3)
    small, large = Grid(UTM, LEFT, TOP, 160, 2, 2), Grid(UTM, LEFT, TOP, 160, 12, 12)
    for grid in (large, small):
        clouds.read(KINDS, candidate, None, grid, Canvas(grid, None).places, clp_method="nearest")
        monkeypatch.setattr(blocks, "probability_of", none)
        monkeypatch.setattr(clouds, "_computed", Kept(1))


@pytest.mark.filterwarnings("ignore::eotasks.errors.ShadowWarning")
def test_masks_that_were_computed_with_shadows_have_the_others(
    candidate: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object) -> Any:
        raise AssertionError("it is there")

    clouds = masks_of(candidate, 3)
    grid = Grid(UTM, LEFT, TOP, 160, 2, 2)
    places = Canvas(grid, None).places
    clouds.read(["SHADOW"], candidate, None, grid, places, clp_method="nearest")
    assert not clouds.pixels_to_compute((*KINDS, "SHADOW"), candidate, None, grid, places)
    monkeypatch.setattr(blocks, "probability_of", none)
    monkeypatch.setattr(module, "make_masks", none)
    found = clouds.read(KINDS, candidate, None, grid, places, clp_method="nearest")
    np.testing.assert_array_equal(found["CLM"], make_masks(candidate.open(), SERVED).mask[:2, :2])


def test_shadows_that_cannot_be_searched_leave_the_other_masks(
    candidate: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_shadows(scene: Any, options: Any) -> Any:
        if options.shadows:
            raise BandError("no band for shadows")
        return make_masks(scene, options)

    monkeypatch.setattr(module, "make_masks", no_shadows)
    grid = Grid(UTM, LEFT, TOP, 160, 2, 2)
    found = masks_of(candidate, 3).read(
        ("SHADOW", *KINDS), candidate, None, grid, Canvas(grid, None).places, clp_method="nearest"
    )
    assert (found["SHADOW"] == 255).all()
    np.testing.assert_array_equal(found["CLM"], make_masks(candidate.open(), SERVED).mask[:2, :2])


@pytest.mark.filterwarnings("ignore::eotasks.errors.ShadowWarning")
@pytest.mark.parametrize("kinds", [("CLP", "CLM", "SHADOW"), KINDS], ids="-".join)
def test_one_read_computes_once_though_nothing_can_be_kept(
    candidate: Candidate, monkeypatch: pytest.MonkeyPatch, kinds: tuple[str, ...]
) -> None:
    """Rows that are read one after the other, too."""
    computed: list[object] = []

    def counted(scene: Any, *rest: Any) -> Any:
        computed.append(rest)
        return make_masks(scene, *rest)

    monkeypatch.setattr(module, "make_masks", counted)
    sources = ProductSources([ListSource([candidate])])
    clouds = CloudBands(sources, OpenProducts(sources), side=12, room=0)
    together = Computed()
    for row in (0, 8):
        grid = Grid(UTM, LEFT, TOP - 160 * row, 160, 2, 2)
        clouds.read(kinds, candidate, None, grid, Canvas(grid, None).places, clp_method="nearest", computed=together)
    assert len(computed) == 1


def test_a_part_is_computed_once_for_all_that_is_read_of_it(
    candidate: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[Grid] = []

    def counted(scene: Any, options: Any, grid: Grid) -> Any:
        computed.append(grid)
        return product.probability_of(scene, options, grid)

    monkeypatch.setattr(blocks, "probability_of", counted)
    sources = ProductSources([ListSource([candidate])])
    grid = Grid(UTM, LEFT, TOP, 10, 8, 8)
    clouds = CloudBands(sources, OpenProducts(sources), side=3, room=0)
    clouds.read(KINDS, candidate, None, grid, Canvas(grid, None).places, clp_method="nearest")
    assert len(computed) == 4


def test_the_estimate_of_what_is_to_be_computed_reads_no_pixel(
    candidate: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object) -> Any:
        raise AssertionError("pixels are read")

    for name in ("seems_plausible", "probability_of"):
        monkeypatch.setattr(blocks, name, none)
    grid = Grid(UTM, LEFT, TOP, 160, 2, 2)
    clouds = masks_of(candidate, 3)
    assert sum(clouds.pixels_to_compute(KINDS, candidate, None, grid, Canvas(grid, None).places).values()) > 0


def test_parts_push_out_no_whole_masks_and_all_takes_the_room_that_is_said(candidate: Candidate) -> None:
    sources = ProductSources([ListSource([candidate])])
    room = 8_000
    clouds = CloudBands(sources, OpenProducts(sources), side=3, room=room)
    assert sum(each._room for each in (clouds._masks, clouds._parts, clouds._computed, clouds._blocks._blocks)) <= room
    whole = 2 * 2 * 12 * 12  # CLP and CLM of the same product, for the parts that are as large
    clouds._masks.get("of a file", lambda: cast("Any", SimpleNamespace(size=room // 2 - whole)))
    for row, column in itertools.product(range(3), range(3)):
        grid = Grid(UTM, LEFT + 480 * column, TOP - 480 * row, 160, 1, 1)
        clouds.read(KINDS, candidate, None, grid, Canvas(grid, None).places, clp_method="nearest")
    assert clouds._masks.has("of a file")


def test_a_product_of_which_too_little_is_seen_is_looked_at_as_a_whole(
    candidate: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(product, "FEWEST_PIXELS", 10**6)
    assert not product.seems_plausible(candidate.open(), SERVED)


def test_an_offset_that_was_left_in_is_seen_at_a_glance(tmp_path: Path) -> None:
    def scene(name: str, offset: int) -> Any:
        folder = cut_sample(tmp_path / name, change=lambda _, values: (values + offset).astype(np.uint16))
        return open_candidates([str(folder)])[0].open()

    assert product.seems_plausible(scene("RIGHT", 0), SERVED)
    assert not product.seems_plausible(scene("OFFSET", 1_000), SERVED)


@pytest.mark.parametrize(
    ("preset", "unit", "size", "reach"),
    [
        ("s2cloudless", "pixel", 160, 2),
        ("eo-learn", "pixel", 160, 6),
        ("gee", "metre", 20, 7),
        ("sentinel-hub", "pixel", 160, 13),
    ],
)
def test_how_far_masks_look(preset: Any, unit: Any, size: float, reach: int) -> None:
    assert blocks.reach_of(mask_settings(preset, unit=unit), (size, size)) == reach
