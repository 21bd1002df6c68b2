"""Files that contradict themselves: refused, or read as what they are; never other pixels."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rasterio.errors import RasterioIOError

from eotasks.errors import ImageryError
from eotasks.imagery.files.gdal import SETTINGS
from eotasks.imagery.jp2.index import PacketIndex
from eotasks.imagery.jp2.verdicts import OtherLayout
from tests.builders.inputs.jp2 import ESA, SMALL, CountedBytes, FileBytes, Part, Taken, taken_apart

LEVEL, WIDTH, HEIGHT = 2, 105, 75
"""Of SMALL: (1, 1, 1, 1, 4) packets in a tile of 128 x 128 pixels, of which three are read."""

WHOLE = 0, 0, WIDTH, HEIGHT


@pytest.fixture(scope="module", autouse=True)
def _no_file_is_small() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("eotasks.imagery.jp2.index.SMALL", 0)
        patch.setattr("eotasks.imagery.jp2.index.SMALL_TILE", 0)
        yield


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("sound") / "a.jp2"
    SMALL.write(path)
    return FileBytes(path.read_bytes())


@pytest.fixture(scope="module")
def pixels(sound: bytes) -> NDArray[Any]:
    return decoded(sound)


def decoded(content: bytes) -> NDArray[Any]:
    with (
        rasterio.MemoryFile(content, ext=".jp2") as memory,
        memory.open(driver="JP2OpenJPEG", OVERVIEW_LEVEL=LEVEL - 1) as source,
    ):
        return np.asarray(source.read())


def read(content: bytes) -> NDArray[Any]:
    return decoded(PacketIndex().small_file(CountedBytes(content), "b/a.jp2", LEVEL, WHOLE))


def moved(first: int, second: int, count: int = 1) -> Callable[[Taken], None]:
    """Bytes go from one packet to another."""

    def change(taken: Taken) -> None:
        taken.parts[4].lengths[first] -= count
        taken.parts[4].lengths[second] += count

    return change


def lengths(change: Callable[[list[int]], Any]) -> Callable[[Taken], None]:
    return lambda taken: change(taken.parts[4].lengths)


def told(by: int) -> Callable[[Taken], None]:
    """A tile-part says that it is longer than it is."""
    return lambda taken: setattr(taken.parts[4], "told", len(taken.parts[4].written()) + by)


def tile(number: int) -> Callable[[Taken], None]:
    return lambda taken: setattr(taken.parts[4], "tile", number)


@pytest.mark.parametrize(
    ("lie", "message"),
    [
        (moved(0, 1), "other lengths than its PLT says"),
        (moved(1, 0), "other lengths than its PLT says"),
        (moved(2, 3), "other lengths than its PLT says"),
        (moved(3, 2), "other lengths than its PLT says"),
        (moved(2, 7, 40), "other lengths than its PLT says"),
        (moved(7, 2, 1000), "other lengths than its PLT says"),
        (lengths(list.pop), "lengths of 7 packets or more, and has 8"),
        (lengths(lambda each: each.append(1)), "lengths of 9 packets or more, and has 8"),
        (lengths(lambda each: each.__setitem__(0, 0)), "of 0 bytes by its PLT"),
        (lengths(lambda each: each.__setitem__(0, 1 << 40)), "more than 4 GB"),
        (lengths(lambda each: each.__setitem__(7, each[7] + 1)), "by its PLT, .* by its SOT"),
        (told(1), "by its PLT, .* by its SOT|no tile begins"),
        (told(-1), "by its PLT, .* by its SOT|no tile begins"),
        (told(1 << 30), "behind the file"),
        (lambda taken: setattr(taken.parts[4], "told", 13), "tile 4 of 13 bytes"),
        (tile(3), "has tile 3 twice"),
        (tile(5), "has tile 5 twice"),
        (tile(12), "names tile 12 of 12"),
        (lambda taken: taken.parts.pop(), "no tile begins|before all of its tiles"),
        (lambda taken: taken.parts.insert(4, taken.parts[4]), "has tile 4 twice"),
    ],
)
def test_lengths_that_cannot_be(sound: bytes, lie: Callable[[Taken], None], message: str) -> None:
    taken = taken_apart(sound)
    lie(taken)
    with pytest.raises(ImageryError, match=rf"^b/a\.jp2: damaged: .*({message}).*\. Fetch it again\."):
        read(taken.written())


@pytest.mark.parametrize(
    ("plt", "message"),
    [(b"\1\5\5", "not numbered"), (b"\0\x85", "breaks off"), (b"\0", "lengths of 0 packets")],
)
def test_a_plt_that_is_none(sound: bytes, plt: bytes, message: str) -> None:
    def of(part: Part) -> bytes | None:
        return plt if part.tile == 4 else None

    with pytest.raises(ImageryError, match=message):
        read(taken_apart(sound).written(plt=of))


@pytest.mark.parametrize("less", [3, 1000, 80_000])
def test_a_box_that_ends_before_its_codestream(sound: bytes, less: int) -> None:
    """GDAL reads no further than it either."""
    taken = taken_apart(sound)
    box = taken.head.index(b"jp2c") - 4
    content = taken.written()
    content = content[:box] + (len(content) - box - less).to_bytes(4, "big") + content[box + 4 :]
    with pytest.raises(ImageryError, match=r"ends [\d,]+ bytes behind|before all of its tiles"):
        read(content)
    with rasterio.Env(**SETTINGS), pytest.raises(RasterioIOError):
        decoded(content)


def in_pieces(sound: bytes, order: list[int], numbers: list[int] | None = None) -> bytes:
    """With several PLT a tile."""
    taken = taken_apart(sound)
    for part in taken.parts:
        part.before = part.pieces(order, numbers)
    return taken.written(plt=lambda _: b"")


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1], [1, 0], [3, 2, 1, 0]])
def test_plt_come_in_any_order(sound: bytes, pixels: NDArray[Any], order: list[int]) -> None:
    """Their numbers tell which are first."""
    np.testing.assert_array_equal(read(in_pieces(sound, order)), pixels)


@pytest.mark.parametrize("numbers", [[0, 0, 1], [0, 2, 3], [1, 2, 3]])
def test_plt_that_are_not_numbered(sound: bytes, numbers: list[int]) -> None:
    with pytest.raises(ImageryError, match="not numbered from 0 on"):
        read(in_pieces(sound, [2, 0, 1], numbers))


WRONG_TLM: list[tuple[Callable[[bytes], bytes], str]] = [
    (lambda tlm: tlm[:2] + b"\1" + tlm[3:], "name each of its 12 tiles once"),
    (lambda tlm: tlm[:-5], "name each of its 12 tiles once"),
    (lambda tlm: tlm[:-1], "breaks off"),
    (lambda tlm: b"\0\x30" + tlm[2:], "of no known kind"),
    (lambda tlm: b"\5" + tlm[1:], "numbered"),
    (lambda tlm: tlm[:6] + bytes([tlm[6] ^ 1]) + tlm[7:], "differ|no tile begins"),
    (lambda tlm: tlm[:3] + b"\x7f" + tlm[4:], "ends elsewhere"),
    (lambda tlm: tlm[:3] + bytes(4) + tlm[7:], "of 0 bytes"),
]


@pytest.mark.parametrize(("change", "message"), WRONG_TLM)
def test_a_tlm_that_cannot_be_is_not_followed(
    sound: bytes, pixels: NDArray[Any], caplog: pytest.LogCaptureFixture, change: Callable[[bytes], bytes], message: str
) -> None:
    """The tile-parts tell their lengths themselves."""
    caplog.set_level(logging.DEBUG, "eotasks.imagery.jp2.index")
    taken = taken_apart(sound)
    index, source = PacketIndex(), CountedBytes(taken.written(change(taken.tlm())))
    for _ in range(2):
        np.testing.assert_array_equal(decoded(index.small_file(source, "b/a.jp2", LEVEL, WHOLE)), pixels)
    (record,) = caplog.records  # it is found out once
    assert re.search(rf"^b/a\.jp2: its TLM is not followed: .*({message})", record.getMessage())


@pytest.mark.parametrize(("change", "message"), WRONG_TLM)
def test_a_wrong_tlm_does_not_hide_wrong_tiles(sound: bytes, change: Callable[[bytes], bytes], message: str) -> None:
    taken = taken_apart(sound)
    told(-1)(taken)
    with pytest.raises(ImageryError, match=r"b/a\.jp2: damaged"):
        read(taken.written(change(taken.tlm())))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_whatever_byte_of_a_header_is_another(sound: bytes, pixels: NDArray[Any], data: st.DataObject) -> None:
    """The pixels of the packets do not change: they come out, or nothing does."""
    taken = taken_apart(sound)
    with_tlm = data.draw(st.booleans())
    content = bytearray(taken.written(taken.tlm() if with_tlm else None))
    at = 0
    places = []
    for part in taken.parts:
        at = content.index(part.written(), at)
        places += range(at, at + len(part.written()) - len(part.body))
    if with_tlm:
        begin = content.index(taken.tlm())
        places += list(range(begin, begin + len(taken.tlm()))) * 3
    for place in data.draw(st.lists(st.sampled_from(places), min_size=1, max_size=2)):
        content[place] = data.draw(st.integers(0, 255))
    try:
        found = read(bytes(content))
    except (ImageryError, OtherLayout):
        return
    np.testing.assert_array_equal(found, pixels)


@settings(max_examples=40, deadline=None)
@given(kept=st.floats(0, 1) | st.floats(0.9999, 1), far=st.booleans())
def test_a_file_that_ends_early(sound: bytes, pixels: NDArray[Any], kept: float, far: bool) -> None:
    """It is refused, unless all tiles are there: the two bytes behind them say nothing."""
    content = sound[: int(len(sound) * kept)]
    source = CountedBytes(content, far=far)
    if len(content) >= len(sound) - 2:
        np.testing.assert_array_equal(decoded(PacketIndex().small_file(source, "a.jp2", LEVEL, WHOLE)), pixels)
        return
    with pytest.raises((ImageryError, OtherLayout)):
        PacketIndex().small_file(source, "a.jp2", LEVEL, WHOLE)


def test_the_tiles_before_the_end_are_there(tmp_path: Path) -> None:
    layout = replace(ESA, height=600, width=600)
    layout.write(tmp_path / "a.jp2")
    content = (tmp_path / "a.jp2").read_bytes()
    taken = taken_apart(content)
    short = content[: content.index(taken.parts[3].written()) + 100]
    window = 0, 0, 128, 128
    index = PacketIndex()
    index.small_file(CountedBytes(short), "a.jp2", 2, window)
    with pytest.raises(ImageryError, match="behind the file"):
        index.small_file(CountedBytes(short), "a.jp2", 2, (0, 0, 129, 129))
