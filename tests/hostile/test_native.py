"""Native code gets checked input only: texts for LightGBM, places for GEOS and DuckDB. One process takes all trials; a
crash ends it, and with it the test.
"""

from __future__ import annotations

import json
import random
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from lightgbm import Booster, Dataset, train
from numpy.typing import NDArray

from eotasks.catalogue import Catalogue
from eotasks.catalogue.table import table_of
from eotasks.errors import ImageryError, ModelError, UnsupportedModelError
from eotasks.imagery.footprints import from_geojson, from_wkb, of_ring, repaired
from eotasks.models.forest import Forest
from eotasks.models.landcover.card import build_card
from eotasks.models.landcover.model import LandCoverModel, sha256_of
from tests import ROOT
from tests.builders.stac_items import make_item
from tests.models.forest.oracle import assert_same_bits, lightgbm_values

KINDS: dict[str, dict[str, Any]] = {
    "categorical": {"objective": "binary"},
    "categorical, multiclass": {"objective": "multiclass", "num_class": 3},
    "linear": {"objective": "regression", "linear_tree": True},
    "linear, quantile": {"objective": "quantile", "linear_tree": True},
    "averaged": {"objective": "binary", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5},
    "averaged, one against all": {
        "objective": "multiclassova", "num_class": 3, "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5,
    },
    "poisson": {"objective": "poisson"},
}  # fmt: skip


def rows() -> NDArray[np.float64]:
    generator = np.random.default_rng(5)
    x = generator.normal(size=(300, 3))
    x[:, 1] = generator.integers(0, 40, 300)
    return x


def trained(name: str) -> Booster:
    x, small = rows(), {"verbosity": -1, "num_leaves": 7, "min_data_in_leaf": 5, "seed": 1, "num_threads": 1}
    labels = np.exp(x[:, 0]) + (x[:, 1] % 2)
    if KINDS[name]["objective"] not in ("regression", "quantile", "poisson"):
        labels = np.digitize(labels, [1, 2] if "num_class" in KINDS[name] else [1.5]).astype(float)
    parameters = {**small, "min_data_per_group": 5, "cat_smooth": 1, **KINDS[name]}
    categories = [1] if name.startswith("categorical") else "auto"
    return train(parameters, Dataset(x, labels, params=parameters, categorical_feature=categories), 4)


@pytest.mark.parametrize("name", list(KINDS))
def test_an_honest_model_that_lightgbm_runs_predicts_the_same_bits(name: str) -> None:
    booster, x = trained(name), rows()
    strange = np.vstack([x, np.full((1, 3), np.nan), np.full((1, 3), 1e300), np.full((1, 3), -1e300), [[0, 63, 1]]])
    forest = Forest.from_text(booster.model_to_string())
    assert forest.engine == "lightgbm"
    for raw in (False, True):
        found = forest.predict(strange, raw_score=raw, threads=1)
        assert_same_bits(found, lightgbm_values(booster, strange, raw_score=raw))


def test_a_text_of_a_newer_version_is_written_anew(caplog: pytest.LogCaptureFixture) -> None:
    booster = trained("categorical")
    forest = Forest.from_text(booster.model_to_string().replace("version=v4", "version=v5"))
    assert "version 'v5'" in caplog.text
    assert_same_bits(forest.predict(rows(), threads=1), lightgbm_values(booster, rows()))


def change(key: str, value: str, old: str = ".*$") -> Callable[[str], str]:
    """The line of a key, or what of it is old, has another value in every tree."""
    return lambda text: re.sub(rf"^{key}={old}", f"{key}={value}", text, flags=re.MULTILINE)


STRUCTURE: dict[str, tuple[str, Callable[[str], str]]] = {
    "a set of categories in a model without": ("poisson", change("num_cat", "1")),
    "fewer sets than splits name": ("categorical", change("num_cat", "0")),
    "bounds of sets that fall": ("categorical", change("cat_boundaries", "9", "0")),
    "bounds of sets out of range": ("categorical", change("cat_boundaries", r"\1 4000000", r"(.*) \d+$")),
    "a word of more than 32 bits": ("categorical", change("cat_threshold", "4294967296", r"\d+")),
    "a categorical split in a tree without sets": ("poisson", change("decision_type", "1", r"\d+")),
    "a term of a feature that is not there": ("linear", change("leaf_features", "99", r" *\d+")),
    "more terms than there are": ("linear", change("num_features", r"\1 1000000", r"(.*) \d+$")),
    "a term less than none": ("linear", change("num_features", "-1", r"\d+")),
    "linear without constants": ("linear", change("leaf_const", "")),
    "a circle": ("averaged", change("left_child", "0 0 0 0 0 0")),
    "a child that is not there": ("averaged", change("left_child", "99 99 99 99 99 99")),
    "a leaf that is not there": ("averaged", change("right_child", "-99 -99 -99 -99 -99 -99")),
    "more leaves than values": ("averaged", change("num_leaves", "1000000")),
    "a feature that is not there": ("averaged", change("split_feature", "9 9 9 9 9 9")),
    "more outputs than classes": ("averaged, one against all", change("num_class", "9")),
    "an objective of other classes": ("categorical, multiclass", change("objective", "multiclass num_class:9")),
    "no objective's name": ("poisson", change("objective", "")),
    "another objective's name": ("poisson", change("objective", "nobodys")),
    "a logistic function without slope": ("averaged", change("objective", "binary sigmoid:0")),
}  # fmt: skip


@pytest.mark.parametrize("name", list(STRUCTURE))
def test_a_structure_that_lightgbm_would_trust_is_refused_or_not_needed(name: str) -> None:
    kind, damage = STRUCTURE[name]
    text = trained(kind).model_to_string()
    damaged = damage(text)
    assert damaged != text
    if name == "more outputs than classes":  # the number of trees of a round is what counts
        assert Forest.from_text(damaged).n_outputs == 3
        return
    with pytest.raises(ModelError, match="is damaged"):
        Forest.from_text(damaged)


def mutated(text: str, draw: random.Random) -> str:
    """A digit, a number, a line, a byte or a stretch is another one."""
    lines, kind = text.split("\n"), draw.randrange(5)
    if kind == 0:
        place = draw.choice([match.start() for match in re.finditer(r"\d", text)])
        return text[:place] + draw.choice("0123456789") + text[place + 1 :]
    if kind == 1:
        found = draw.choice(list(re.finditer(r"-?\d+(\.\d+)?(e[-+]?\d+)?", text)))
        value = draw.choice(["-1", "0", "99", "2147483647", "-2147483648", "4294967296", "nan", "inf", "", "x", "１"])
        return text[: found.start()] + value + text[found.end() :]
    if kind == 2:
        first, second = draw.randrange(len(lines)), draw.randrange(len(lines))
        lines[first], lines[second] = lines[second], lines[first]
        return "\n".join(lines)
    if kind == 3:
        place = draw.randrange(len(text))
        return text[:place] + chr(draw.choice([0, 1, 9, 10, 13, 32, 61, 255, 0x2028])) + text[place + 1 :]
    place = draw.randrange(len(text))
    return text[:place] + text[place + draw.randrange(200) :]


TRIALS = """
import logging, random, sys
logging.disable(logging.CRITICAL)
from eotasks.errors import ModelError
from eotasks.models.forest import Forest
from tests.hostile.test_native import KINDS, mutated, rows, trained
texts, draw, counts = [trained(name).model_to_string() for name in KINDS], random.Random(10), [0, 0]
for number in range(int(sys.argv[1])):
    text = mutated(draw.choice(texts), draw)
    try:
        forest = Forest.from_text(text)
    except ModelError:
        counts[1] += 1
        continue
    counts[0] += 1
    if forest.n_features == 3:
        forest.predict(rows()[:40], threads=1)
print(counts)
"""


def trials(code: str, *arguments: str) -> str:
    """What a process prints that takes trials, whatever they do to it."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
    return done.stdout


@pytest.mark.trial
def test_mutated_texts_end_no_process() -> None:
    taken, refused = json.loads(trials(TRIALS, "1200"))
    assert taken + refused == 1200
    assert min(taken, refused) > 100


def test_a_land_cover_model_is_never_left_to_lightgbm() -> None:
    text = trained("categorical, multiclass").model_to_string()
    classes = [{"id": number, "name": f"class {number}", "color": "#00ff00"} for number in (1, 2, 3)]
    names = {"feature_names": ["A", "B", "C"], "dates": ["2019-01-01"], "classes": classes}
    card = build_card({**names, "simulated": False, "seed": 0, "sha256": sha256_of(text)})
    with pytest.raises(UnsupportedModelError, match=r"categorical splits.*Train"):
        LandCoverModel(text, card).predict(rows())


def test_gains_are_those_of_lightgbm_without_lightgbm() -> None:
    from eotasks.models.forest.lightgbm_text import gains

    booster = trained("averaged, one against all")
    text = re.sub(r"^tree_sizes=.*$", "tree_sizes=9 99999999", booster.model_to_string(), flags=re.MULTILINE)
    np.testing.assert_allclose(gains(text), booster.feature_importance(importance_type="gain"), rtol=1e-6)


BOX = shapely.to_wkb(shapely.box(12, 52, 13, 53))
TWO = shapely.to_wkb(shapely.MultiPolygon([shapely.box(12, 52, 13, 53), shapely.box(14, 52, 15, 53)]))


def nested(kind: int, depth: int) -> bytes:
    return struct.pack("<BII", 1, kind, 1) * depth + BOX


def polygon(*corners: tuple[float, float]) -> bytes:
    return struct.pack("<BIII", 1, 3, 1, len(corners)) + b"".join(struct.pack("<2d", *corner) for corner in corners)


NO_POLYGONS: dict[str, bytes | None] = {
    "a collection": nested(7, 1),
    "nested collections": nested(7, 1_000_000),
    "nested several polygons": nested(6, 100_000),
    "two of several polygons": nested(6, 2),
    "compound curves": nested(9, 100_000),
    "curved polygons": nested(10, 100_000),
    "surfaces": nested(12, 100_000),
    "a point": shapely.to_wkb(shapely.Point(12, 52)),
    "a line": shapely.to_wkb(shapely.LineString([(12, 52), (13, 53)])),
    "nothing": b"",
    "a byte": b"\x01",
    "another order": b"\x02" + BOX[1:],
    "another type": BOX[:1] + struct.pack("<I", 99) + BOX[5:],
    "a third number that is not there": BOX[:1] + struct.pack("<I", 0x80000003) + BOX[5:],
    "rings without end": struct.pack("<BII", 1, 3, 0xFFFFFFFF),
    "corners without end": struct.pack("<BIII", 1, 3, 1, 0xFFFFFFFF) + bytes(64),
    "parts without end": struct.pack("<BII", 1, 6, 0xFFFFFFFF),
    "cut off": BOX[:-1],
    "more behind it": BOX + b"x",
    "a ring that is open": polygon((12, 52), (13, 52), (13, 53)),
    "NaN": polygon((12, 52), (float("nan"), 52), (13, 53), (12, 52)),
    "infinite": polygon((12, 52), (float("inf"), 52), (13, 53), (12, 52)),
    "a corner too many": polygon(*[(12, 52)] * 100_001),
    "absent": None,
}


@pytest.mark.parametrize("name", list(NO_POLYGONS))
def test_wkb_that_is_no_polygon_is_refused(name: str) -> None:
    with pytest.raises(ImageryError, match="its place"):
        from_wkb(NO_POLYGONS[name], "STAC item 'A'")


@pytest.mark.parametrize(
    "content",
    [
        BOX,
        TWO,
        shapely.to_wkb(shapely.box(0, 0, 1, 1), byte_order=0),
        shapely.to_wkb(shapely.force_3d(shapely.from_wkb(TWO)), output_dimension=3),
        shapely.to_wkb(shapely.force_3d(shapely.from_wkb(BOX)), output_dimension=3, flavor="iso"),
        shapely.to_wkb(shapely.set_srid(shapely.from_wkb(TWO), 4326), include_srid=True),
        shapely.to_wkb(shapely.Point(0, 0).buffer(1).difference(shapely.Point(0, 0).buffer(0.5))),
    ],
    ids=["box", "two", "big-endian", "heights", "heights by ISO", "with a system", "a hole"],
)
def test_wkb_of_polygons_is_read(content: bytes) -> None:
    assert from_wkb(content, "here").equals(shapely.from_wkb(content))


def catalogue_of(folder: Path, content: bytes | None) -> Catalogue:
    """As somebody else's tool, or hand, may have written it."""
    table = table_of([make_item("A")])
    table = table.set_column(table.schema.names.index("geometry"), "geometry", pa.array([content], pa.binary()))
    columns = {"geometry": {"encoding": "WKB", "geometry_types": []}}
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": columns}
    metadata = {b"geo": json.dumps(geo).encode(), b"eotasks:catalogue": b"1"}
    pq.write_table(table.replace_schema_metadata(metadata), folder / "c.parquet")
    return Catalogue(folder / "c.parquet")


PLACES = """
import sys
from pathlib import Path
from eotasks.errors import EOTasksError
from tests.builders.stac_items import make_item
from tests.hostile.test_native import NO_POLYGONS, catalogue_of
folder, refused = Path(sys.argv[1]), 0
for content in NO_POLYGONS.values():
    for act in (
        lambda each: each.search(),
        lambda each: each.search(bbox=(11, 51, 14, 54)),
        lambda each: each.summary(),
        lambda each: each.add([make_item("B")]),
    ):
        try:
            act(catalogue_of(folder, content))
        except EOTasksError:
            refused += 1
print(refused)
"""


@pytest.mark.trial
def test_places_of_a_catalogue_end_no_process(tmp_path: Path) -> None:
    """DuckDB, too, ends the process where a place is nested deeply."""
    assert int(trials(PLACES, str(tmp_path))) >= 4 * len(NO_POLYGONS) - 8  # no area is asked for in some


def test_an_area_is_not_searched_in_nested_places(tmp_path: Path) -> None:
    with pytest.raises(ImageryError, match=r"row 0: its place is no polygon"):
        catalogue_of(tmp_path, NO_POLYGONS["nested collections"]).search(bbox=(11, 51, 14, 54))


@pytest.mark.parametrize(
    "geometry",
    [
        None,
        {},
        {"type": "Point", "coordinates": [0, 0]},
        {"type": "GeometryCollection", "geometries": []},
        {"type": "Polygon", "coordinates": None},
        {"type": "Polygon", "coordinates": "abc"},
        {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, float("nan")], [0, 0]]]},
        {"type": "Polygon", "coordinates": [[[0, 0], [1e400, 0], [1, 1], [0, 0]]]},
        {"type": "Polygon", "coordinates": [[[0, 0]] * 100_001]},
        {"type": "Polygon", "coordinates": [[[[[0]]]]]},
        {"type": ["Polygon"], "coordinates": []},
        {"type": "MultiPolygon", "coordinates": [[[0, 0]]]},
        {"type": "MultiPolygon", "coordinates": [[]] * 3 + [7]},
    ],
    ids=range(13),
)
def test_geojson_that_is_no_polygon_is_refused(geometry: Any) -> None:
    with pytest.raises(ImageryError, match="STAC item 'A'"):
        from_geojson(geometry, "STAC item 'A'")


def test_a_ring_that_crosses_itself_everywhere_is_refused() -> None:
    """GEOS would take a minute for 300 corners, hours for a thousand."""
    corners = np.random.default_rng(0).random((1000, 2))
    zigzag = of_ring(np.vstack([corners, corners[:1]]), "Tile 33UUU")
    with pytest.raises(ImageryError, match="crosses itself"):
        repaired(zigzag, "Tile 33UUU")


def test_a_ring_that_crosses_itself_once_is_repaired() -> None:
    bow = of_ring([(0, 0), (2, 2), (2, 0), (0, 2), (0, 0)], "here")
    assert repaired(bow, "here").area == pytest.approx(2)
    with pytest.raises(ImageryError, match="3 corners"):
        of_ring([(0, 0), (1, 1), (0, 0)], "here")
    with pytest.raises(ImageryError, match="not finite"):
        of_ring([(0, 0), (1, 1), (float("inf"), 0), (0, 0)], "here")
