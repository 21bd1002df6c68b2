"""EOPatches: each of their files, and the marker of a saved one."""

from __future__ import annotations

import contextlib
import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from eotasks.eopatches.load import eopatch_info, is_complete, list_eopatches, load_eopatch
from eotasks.eopatches.marker import MARKER
from eotasks.eopatches.save import save_eopatch
from eotasks.errors import EOTasksError
from eotasks.sources.eopatches import LoadEOPatchTask
from eotasks.storage.place import Place
from tests.benchmarks.hostile.format import Format, Read
from tests.builders.eopatches import make_eopatch

_JSON_TOKENS = (b"NaN", b"1e400", b"null", b"{", b"[", b'"', b"\\ud800", b"\\u0000", b",", b":")
_NPY_TOKENS = (
    b"\x93NUMPY", b"|O", b"<U9", b"|V8", b"(2, 8, 8, 3)", b"(99999999999,)", b"(-1,)", b"True", b"__import__('os')",
    b"[('a', '<f8')]", b"\x80\x04\x95", b"cos\nsystem\n", b"\x1f\x8b\x08", b"(((((((((", b"9" * 5000,
)  # fmt: skip


def _file_of(name: str) -> Callable[[Path], tuple[Sequence[bytes], Read]]:
    """One file of a plain EOPatch folder."""

    def prepare(folder: Path) -> tuple[Sequence[bytes], Read]:
        made = folder / "made"
        make_eopatch(every_kind=True).save(str(made))
        place = Place(folder)
        file = made / name
        if not file.exists():
            file = made / f"{name}.gz"
        sample = file.read_bytes()
        if name.endswith("json") and file.suffix == ".gz":
            sample = gzip.decompress(sample)
            file.unlink()
            file = made / name
        task = LoadEOPatchTask(folder, {"BANDS": "data/BANDS"})

        def read(content: bytes) -> object:
            file.write_bytes(content)
            with contextlib.suppress(EOTasksError):
                eopatch_info(place, "made")
            with contextlib.suppress(EOTasksError):
                task.execute(name="made")
            return load_eopatch(place, "made")

        if name.endswith(".npy.gz") and file.suffix == ".gz":
            return [sample, gzip.compress(gzip.decompress(sample), mtime=0)], read
        return [sample], read

    return prepare


def _npy(folder: Path) -> tuple[Sequence[bytes], Read]:
    """Arrays as they are before they are packed."""
    samples, _ = _file_of("data/BANDS.npy.gz")(folder)
    packed, plain = folder / "made" / "data" / "BANDS.npy.gz", folder / "made" / "data" / "BANDS.npy"
    samples = [gzip.decompress(samples[0])]
    packed.unlink(missing_ok=True)

    def read_plain(content: bytes) -> object:
        plain.write_bytes(content)
        place = Place(folder)
        with contextlib.suppress(EOTasksError):
            eopatch_info(place, "made")
        return load_eopatch(place, "made")

    return samples, read_plain


def _marker(folder: Path) -> tuple[Sequence[bytes], Read]:
    place = Place(folder)
    save_eopatch(place, "made", make_eopatch())
    marker = folder / "made" / MARKER

    def read(content: bytes) -> object:
        marker.write_bytes(content)
        for look in (is_complete, eopatch_info):
            with contextlib.suppress(EOTasksError):
                look(place, "made")
        list_eopatches(place)
        return load_eopatch(place, "made")

    return [marker.read_bytes()], read


def _other_timestamps(folder: Path) -> tuple[Sequence[bytes], Read]:
    samples, read = _file_of("timestamps.json")(folder)
    zoned = [f"{time}+02:00" for time in json.loads(samples[0])]
    return [*samples, json.dumps(zoned).encode()], read


FORMATS = (
    Format("eopatch-bbox", "json", _file_of("bbox.geojson"), _JSON_TOKENS),
    Format("eopatch-timestamps", "json", _other_timestamps, _JSON_TOKENS),
    Format("eopatch-meta", "json", _file_of("meta_info/SIMULATED.json"), _JSON_TOKENS),
    Format("eopatch-vector", "bytes", _file_of("vector_timeless/LANDUSE.gpkg.gz"), (b"SQLite format 3",), head=4096),
    Format("npy", "bytes", _npy, _NPY_TOKENS, head=128),
    Format("npy-gz", "bytes", _file_of("data/BANDS.npy.gz"), _NPY_TOKENS, head=64),
    Format("eopatch-marker", "json", _marker, _JSON_TOKENS),
)
