"""Small files of a level decode to what the whole file does, and take no more of it than has to be."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rasterio.windows import Window

from eotasks.imagery.jp2.index import PacketIndex
from eotasks.imagery.jp2.tiles import Tiles
from eotasks.imagery.jp2.verdicts import OtherLayout
from tests.builders.inputs.jp2 import ESA, SMALL, CountedBytes, FileBytes, Layout, taken_apart

Rectangle = tuple[int, int, int, int]
READ_ORDERS = ("LRCP", "RLCP", "RPCL")


def decoded(content: bytes, discarded: int, window: Rectangle) -> NDArray[Any]:
    """A window of a level, by GDAL: (layers, rows, columns)."""
    left, top, right, bottom = window
    level = {"OVERVIEW_LEVEL": discarded - 1} if discarded else {}
    with rasterio.MemoryFile(content, ext=".jp2") as memory, memory.open(driver="JP2OpenJPEG", **level) as source:
        return np.asarray(source.read(window=Window(left, top, right - left, bottom - top)))


def levels_of(content: bytes) -> list[tuple[int, int]]:
    """Rows and columns of each level that GDAL offers, the full one first."""
    with rasterio.MemoryFile(content, ext=".jp2") as memory, memory.open(driver="JP2OpenJPEG") as source:
        return [(-(-source.height // each), -(-source.width // each)) for each in (1, *source.overviews(1))]


def written(layout: Layout) -> bytes:
    with TemporaryDirectory() as folder:
        layout.write(Path(folder) / "a.jp2")
        return (Path(folder) / "a.jp2").read_bytes()


POWERS = st.sampled_from([32, 64, 128, 256])
BLOCKS = st.sampled_from([(64, 64), (32, 32), (16, 16), (4, 64), (128, 32)])


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    resolutions = draw(st.integers(1, 6))
    tile = draw(st.none() | st.tuples(*[st.sampled_from([64, 96, 128, 160, 192, 256])] * 2))
    dtype = draw(st.sampled_from(["uint16", "uint8"]))
    layers = draw(st.sampled_from([1, 1, 3]))
    options = ()
    if dtype == "uint8" and layers == 3:
        options = draw(st.sampled_from([(), (("YCC", "YES"),), (("YCC", "NO"),)]))
    return Layout(
        height=draw(st.integers(129, 420)),
        width=draw(st.integers(129, 420)),
        tile=tile,
        resolutions=resolutions,
        precincts=draw(st.just(()) | st.tuples(*[st.tuples(POWERS, POWERS)] * resolutions)),
        block=draw(BLOCKS),
        order=draw(st.sampled_from([*READ_ORDERS, "LRCP", "LRCP", "PCRL", "CPRL"])),
        lengths=draw(st.sampled_from([True, True, True, False])),
        tile_lengths=draw(st.booleans()),
        marks=draw(st.tuples(st.booleans(), st.booleans())),
        lossless=draw(st.booleans()),
        dtype=dtype,
        layers=layers,
        options=options,
        seed=draw(st.integers(0, 99)),
    )


def check(layout: Layout, data: st.DataObject) -> None:
    content = written(layout)
    levels = levels_of(content)
    index = PacketIndex()
    for discarded, (height, width) in enumerate(levels):
        top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
        part = left, top, data.draw(st.integers(left + 1, width)), data.draw(st.integers(top + 1, height))
        for window in ((0, 0, width, height), part):
            source = CountedBytes(content, far=data.draw(st.booleans()))
            try:
                small = index.small_file(source, "a.jp2", discarded, window)
            except OtherLayout as other:
                if str(other) != "all of it is wanted":
                    assert not layout.lengths or layout.order not in READ_ORDERS or layout.marks[0]
                continue
            assert layout.lengths
            assert layout.order in READ_ORDERS
            assert not layout.marks[0]
            assert levels_of(small) == levels
            np.testing.assert_array_equal(decoded(small, discarded, window), decoded(content, discarded, window))


@pytest.mark.slow
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(layout=layouts(), data=st.data())
def test_every_level_and_window_of_any_layout(layout: Layout, data: st.DataObject, monkeypatch: Any) -> None:
    monkeypatch.setattr("eotasks.imagery.jp2.index.SMALL", 0)
    monkeypatch.setattr("eotasks.imagery.jp2.index.SMALL_TILE", 0)
    check(layout, data)


@pytest.fixture(scope="module")
def esa() -> bytes:
    return FileBytes(written(ESA))


def test_a_level_takes_its_packets_and_hardly_more(esa: bytes) -> None:
    parts = taken_apart(esa).parts
    for discarded in (1, 2, 3):
        source = CountedBytes(esa, far=True)
        height, width = levels_of(esa)[discarded]
        small = PacketIndex().small_file(source, "a.jp2", discarded, (0, 0, width, height))
        least = sum(sum(part.lengths[: 5 - discarded]) for part in parts if part.tile not in (2, 5, 8))  # 1 packet each
        assert least < len(small)
        assert source.fetched < 1.35 * len(small)
        assert len(source.asked) <= 2 * len(parts)
    assert source.fetched < len(esa) / 20


def test_a_window_takes_its_tiles_alone(esa: bytes) -> None:
    source, index = CountedBytes(esa, far=True), PacketIndex()
    index.small_file(source, "a.jp2", 0, (600, 600, 700, 700))
    parts = taken_apart(esa).parts
    sizes = [len(part.written()) for part in parts]
    assert sizes[4] <= source.fetched < sizes[4] + 4096
    assert len(source.asked) == 6  # of five tile-parts where they begin, and what is left of the last
    source.asked.clear()
    index.small_file(source, "a.jp2", 0, (500, 600, 700, 700))
    assert len(source.asked) == 2  # nothing is looked for again, and tile 4 is there: the header of tile 3, its rest
    source.asked.clear()
    index.small_file(source, "a.jp2", 3, (0, 0, 1, 1))
    assert len(source.asked) <= 2


def asked_twice(source: CountedBytes) -> int:
    """Bytes that were asked for more than once."""
    asked = np.zeros(len(source.content), dtype=int)
    for start, stop in source.asked:
        asked[start:stop] += 1
    return int(np.count_nonzero(asked > 1))


@settings(max_examples=8, deadline=None)
@given(
    rows=st.integers(40, 500), margin=st.sampled_from([0, 1, 3, 30]), discarded=st.integers(0, 3), named=st.booleans()
)
def test_strips_ask_for_no_byte_twice(esa: bytes, rows: int, margin: int, discarded: int, named: bool) -> None:
    """Whatever their height, and how far they overlap. After one that has all rows nothing is kept for another."""
    taken = taken_apart(esa)
    content = taken.written(taken.tlm() if named else None)
    height, width = -(-ESA.height >> discarded), -(-ESA.width >> discarded)
    source, index = CountedBytes(content, far=True), PacketIndex()
    for top in range(0, height, rows):
        window = 0, max(top - margin, 0), width, min(top + rows + margin, height)
        if not discarded and window == (0, 0, width, height):
            return
        small = index.small_file(source, "a.jp2", discarded, window)
        # The bytes are the same whether tiles come from the edge of the window before, or from the file.
        assert small == PacketIndex().small_file(CountedBytes(content, far=True), "a.jp2", discarded, window)
        if (window[1], window[3]) == (0, height):
            break
    assert asked_twice(source) == 0


def test_what_is_kept_of_edges_is_bounded(esa: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def again(index: PacketIndex) -> int:
        """Requests for a tile at the edge."""
        source = CountedBytes(esa, far=True)
        index.small_file(source, "a.jp2", 1, (0, 500, 9, 512))
        return len(source.asked)

    first, second = PacketIndex(), PacketIndex()
    for index in (first, second):
        index.small_file(CountedBytes(esa, far=True), "a.jp2", 1, (0, 300, 9, 500))
    assert again(first) == again(second) == 0
    body = sum(taken_apart(esa).parts[3].lengths[:-4])  # of eight packets four are those of the finest resolution
    monkeypatch.setattr("eotasks.imagery.jp2.edge.MOST", body)
    for index in (first, second):
        index.small_file(CountedBytes(esa, far=True), "a.jp2", 1, (0, 300, 9, 500))
    assert again(second) == 0
    assert again(first) == 1


def test_with_a_tlm_no_tile_is_looked_for(esa: bytes) -> None:
    taken = taken_apart(esa)
    for tlm in (taken.tlm(), taken.tlm(named=False)):
        content = taken.written(tlm)
        source = CountedBytes(content, far=True)
        small = PacketIndex().small_file(source, "a.jp2", 0, (600, 600, 700, 700))
        assert len(source.asked) == 2
        np.testing.assert_array_equal(decoded(small, 0, (600, 600, 700, 700)), decoded(esa, 0, (600, 600, 700, 700)))
        index = PacketIndex()
        height, width = levels_of(esa)[2]
        small = index.small_file(CountedBytes(content, far=True), "a.jp2", 2, (0, 0, width, height))
        np.testing.assert_array_equal(decoded(small, 2, (0, 0, width, height)), decoded(esa, 2, (0, 0, width, height)))


def test_tiles_in_another_order_are_all_looked_at(esa: bytes) -> None:
    taken = taken_apart(esa)
    taken.parts = taken.parts[::-1]
    content, (height, width) = taken.written(), levels_of(esa)[2]
    for window in ((0, 0, width, height), (width - 9, height - 9, width, height)):
        small = PacketIndex().small_file(CountedBytes(content, far=True), "a.jp2", 2, window)
        np.testing.assert_array_equal(decoded(small, 2, window), decoded(esa, 2, window))


def test_a_long_header_is_read_to_its_end(esa: bytes) -> None:
    taken = taken_apart(esa)
    for part in taken.parts:
        part.before = b"\xff\x64\xea\x64\x00\x01" + bytes(60_000)  # a comment
    height, width = levels_of(esa)[2]
    for far in (True, False):
        small = PacketIndex().small_file(CountedBytes(taken.written(), far=far), "a.jp2", 2, (0, 0, width, height))
        np.testing.assert_array_equal(decoded(small, 2, (0, 0, width, height)), decoded(esa, 2, (0, 0, width, height)))


def test_a_file_that_was_changed_is_looked_at_again(esa: bytes) -> None:
    source, index = CountedBytes(esa), PacketIndex()
    index.small_file(source, "a.jp2", 2, (0, 0, 9, 9))
    other = replace(ESA, seed=1, height=900)
    source.content, source.changes = written(other), 1
    small = index.small_file(source, "a.jp2", 2, (0, 0, 9, 9))
    np.testing.assert_array_equal(decoded(small, 2, (0, 0, 9, 9)), decoded(source.content, 2, (0, 0, 9, 9)))


def test_what_is_known_is_not_pickled(esa: bytes) -> None:
    index = PacketIndex()
    index.small_file(CountedBytes(esa), "a.jp2", 2, (0, 0, 9, 9))
    assert len(pickle.dumps(index)) < 100
    assert isinstance(pickle.loads(pickle.dumps(index)), PacketIndex)


@pytest.mark.parametrize(
    ("layout", "reason"),
    [
        (replace(SMALL, lengths=False), "no lengths of packets (PLT)"),
        (replace(SMALL, order="PCRL"), "a progression in which packets of a resolution do not lie together"),
        (replace(SMALL, options=(("QUALITY", "10,20,30"), ("REVERSIBLE", "NO"))), "3 layers"),
        (replace(SMALL, options=(("CODEBLOCK_STYLE", "BYPASS"),)), "code-blocks of style 0x01"),
        (replace(SMALL, options=(("CODEBLOCK_STYLE", "TERMALL"),)), "code-blocks of style 0x04"),
        (replace(SMALL, resolutions=1, precincts=()), "fewer resolutions than levels"),
    ],
)
def test_why_a_file_is_left_to_gdal(layout: Layout, reason: str) -> None:
    content, index = written(layout), PacketIndex()
    for _ in range(2):  # what was found once is not looked for again
        source = CountedBytes(content)
        with pytest.raises(OtherLayout) as raised:
            index.small_file(source, "a.jp2", 1, (0, 0, 100, 100))
        assert str(raised.value) == reason
    assert not source.asked


@pytest.mark.parametrize("style", ["RESET", "VSC", "PREDICTABLE", "SEGSYM"])
def test_styles_of_code_blocks_that_do_not_matter(style: str) -> None:
    content = written(replace(SMALL, options=(("CODEBLOCK_STYLE", style),)))
    small = PacketIndex().small_file(CountedBytes(content), "a.jp2", 1, (0, 0, 210, 150))
    np.testing.assert_array_equal(decoded(small, 1, (0, 0, 210, 150)), decoded(content, 1, (0, 0, 210, 150)))


def test_a_subsampled_component() -> None:
    layout = replace(SMALL, dtype="uint8", layers=3, options=(("YCBCR420", "YES"),))
    content = written(layout)
    for discarded, (height, width) in list(enumerate(levels_of(content)))[1:]:
        window = 0, 0, width, height
        small = PacketIndex().small_file(CountedBytes(content), "a.jp2", discarded, window)
        np.testing.assert_array_equal(decoded(small, discarded, window), decoded(content, discarded, window))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda taken: setattr(taken.parts[1], "number", (0, 2)), "several tile-parts a tile"),
        (lambda taken: setattr(taken.parts[1], "number", (1, 0)), "several tile-parts a tile"),
        (lambda taken: setattr(taken.parts[1], "told", 0), "a tile-part of unknown length"),
        (
            lambda taken: setattr(taken.parts[1], "before", b"\xff\x5f\x00\x09\0\0\0\1\5\1\0"),
            "POC in the header of a tile",
        ),
        (lambda taken: setattr(taken.parts[1], "before", b"\xff\x61\x00\x03\0"), "PPT in the header of a tile"),
        (lambda taken: setattr(taken, "head", taken.head + b"\xff\x60\x00\x03\0"), "PPM in its main header"),
        (lambda taken: setattr(taken, "head", taken.head + b"\xff\x5e\x00\x05\0\0\1"), "RGN in its main header"),
        (lambda taken: setattr(taken, "head", taken.head + b"\xff\x50\x00\x06\0\2\0\0"), "CAP in its main header"),
        (lambda taken: setattr(taken, "head", _moved(taken.head)), "an image or tiles that do not begin at 0"),
        (lambda taken: setattr(taken, "head", b"\0" + taken.head), "no JP2 file by its first bytes"),
    ],
)
def test_layouts_that_gdal_does_not_write(esa: bytes, change: Any, reason: str) -> None:
    taken = taken_apart(esa)
    change(taken)
    with pytest.raises(OtherLayout) as raised:
        PacketIndex().small_file(CountedBytes(taken.written()), "a.jp2", 2, (0, 0, 200, 200))
    assert str(raised.value) == reason


def _moved(head: bytes) -> bytes:
    """With an image that begins one pixel further right."""
    at = head.index(b"\xff\x51") + 14
    return head[:at] + b"\0\0\0\1" + head[at + 4 :]


def test_a_file_far_away_that_is_small() -> None:
    with pytest.raises(OtherLayout, match=r"bytes in 12 tiles, less than their requests"):
        PacketIndex().small_file(CountedBytes(written(SMALL), far=True), "a.jp2", 2, (0, 0, 9, 9))


def test_tiles_that_are_found_one_by_one_are_looked_at_once(esa: bytes) -> None:
    """A file has up to 65,535 tiles, and says how many."""

    class Counting(dict[int, None]):
        looked = 0

        def __contains__(self, tile: object) -> bool:
            self.looked += 1
            return super().__contains__(tile)

        def __iter__(self) -> Iterator[int]:
            self.looked += len(self)
            return super().__iter__()

    index = PacketIndex()
    index.small_file(CountedBytes(esa), "a.jp2", 2, (0, 0, 275, 325))
    assert index._known is not None
    full = index._known.found
    assert isinstance(full, Tiles)
    tiles, missing, known = Tiles(full.stream, full.stop, full.order[0].start), Counting.fromkeys(range(9)), 0
    for part in full.order:
        assert tiles.find(missing, known) == ([], full.order.index(part), (part.start, part.tile))
        known = full.order.index(part)
        tiles.add(part)
        del missing[part.tile]
    assert tiles.find(missing, known) == ([], 9, None)
    assert missing.looked == 9
    assert tiles.find(range(3, 5), 0) == (full.order[3:5], 9, None)
