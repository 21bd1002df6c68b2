"""What commands keep beside their results: configurations, manifests, leases, records; and labels of scenes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

from rich.console import Console

from eotasks.sources.sample import open_sample
from eotasks.storage.lease import LEASE_FILE, hold_lease
from eotasks.storage.place import Place
from eotasks.workflows.batch.manifest import MANIFEST, ManifestWriter
from eotasks.workflows.batch.outcomes import PatchOutcome
from eotasks.workflows.batch.progress import read_progress
from eotasks.workflows.cloud_mask.files import MaskFiles
from eotasks.workflows.evaluate_clouds.labels import LABELS_FILE, SCENE_FILE, read_label_format, read_scene_facts
from eotasks.workflows.evaluate_clouds.rasters import _time
from eotasks.workflows.evaluate_clouds.results import METRICS, claim_results
from eotasks.workflows.land_cover.claim import CONFIG_FILE, INPUTS_FILE, check_place, input_fingerprints
from eotasks.workflows.land_cover.config_file import DEFAULT_CONFIG, load_config, parse_config, render_toml
from eotasks.workflows.product_masks.options import CloudMaskOptions
from eotasks.workflows.status import overview
from tests.benchmarks.hostile.format import Format, Read
from tests.builders.batches import read_events

_TOML_TOKENS = (b"[[", b"]]", b"'''", b'"""', b"\\U0010FFFF", b"\\ud800", b"[source]", b"{", b"nan", b"inf", b"#")
_JSON_TOKENS = (b"NaN", b"1e400", b"null", b"{", b"[", b'"', b"\\ud800", b"\\u0000", b",", b":")


def _configurations(folder: Path) -> tuple[Sequence[bytes], Read]:
    file = folder / "run.toml"
    sample = DEFAULT_CONFIG.read_bytes()

    def read(content: bytes) -> object:
        file.write_bytes(content)
        return render_toml(load_config(file))

    configuration = parse_config(sample.decode())
    return [sample, render_toml(configuration).encode()], read


def _claims(folder: Path) -> tuple[Sequence[bytes], Read]:
    """A place that somebody has claimed: its configuration and the checksums of its inputs."""
    config = parse_config(DEFAULT_CONFIG.read_text())
    place = Place(folder)
    (folder / CONFIG_FILE).write_text(render_toml(config))

    def read(content: bytes) -> object:
        (folder / INPUTS_FILE).write_bytes(content)
        check_place(place, config)
        return None

    prints = input_fingerprints(config)
    return [json.dumps(each).encode() for each in (prints, prints | {"area.file": "0" * 64})], read


def _scene_labels(folder: Path) -> tuple[Sequence[bytes], Read]:
    samples = (
        b'scheme = "cloudsen12"\noffset = -1000\nsimulated = false\nbands = ["B02"]\n[classes]\n0 = "clear"\n',
        b"time = 2024-01-01T10:00:00Z\nsun_zenith = 45.0\nsun_azimuth = 160.5\n",
    )

    def read(content: bytes) -> object:
        (folder / LABELS_FILE).write_bytes(content)
        (folder / SCENE_FILE).write_bytes(content)
        if content.lstrip().startswith(b"time"):
            return _time(read_scene_facts(folder))
        return read_label_format(folder).mapping

    return samples, read


def _metrics(folder: Path) -> tuple[Sequence[bytes], Read]:
    def read(content: bytes) -> object:
        (folder / METRICS).write_bytes(content)
        return claim_results(folder)

    return [json.dumps({"software": "eotasks 1.0", "frames": [{"a": 1.0}]}).encode()], read


def _records(folder: Path) -> tuple[Sequence[bytes], Read]:
    """The record of a cloud mask."""
    scene, options = open_sample(), CloudMaskOptions()
    files = MaskFiles(Place(folder), "P")
    record = {
        "version": 1, "complete": True, "eotasks": "1.0", "product": "P", "settings": {"detector": "s2cloudless"},
        "inputs": {"a": [1, 2]}, "files": {"P_CLM.tif": 10},
        "shares": {"cloud": 0.5, "shadow": None, "data": 1.0, "mean_probability": 0.4},
    }  # fmt: skip

    def read(content: bytes) -> object:
        (folder / files.record).write_bytes(content)
        files.state(scene, options, overwrite=True)
        return files.shares()

    return [json.dumps(record).encode()], read


def _manifests(folder: Path) -> tuple[Sequence[bytes], Read]:
    place = Place(folder)
    writer = ManifestWriter(place, "features")
    writer.batch(patches=3, workers=2, executor="processes", settings={"a": "b"}, asked=True)
    for number, state in enumerate(("done", "failed", "quarantined")):
        writer.running(f"p{number}", 1)
        outcome = PatchOutcome(f"p{number}", state, seconds_by_step={"Load": 1.5}, peak_memory_mb_by_step={"Load": 9.0})
        writer.outcome(outcome, fingerprint="0" * 16)
    writer.lost("p1", 1, step="Load", error="gone")
    writer.interrupted(["p2"])
    ended = (folder / MANIFEST).read_bytes()
    writer.end("complete")
    samples = [ended, (folder / MANIFEST).read_bytes()]

    def read(content: bytes) -> object:
        (folder / MANIFEST).write_bytes(content)
        read_events(place)
        stages = read_progress(place)
        Console(file=StringIO()).print(overview(stages))
        return json.dumps([stage.to_dict() for stage in stages])

    return samples, read


def _leases(folder: Path) -> tuple[Sequence[bytes], Read]:
    place = Place(folder)
    file = folder / LEASE_FILE
    with hold_lease(place, "test"):
        sample = file.read_bytes()
    old = json.loads(sample) | {"renewed": (datetime.now(UTC) - timedelta(days=1)).isoformat()}

    def read(content: bytes) -> object:
        file.write_bytes(content)
        with hold_lease(place, "test", renew_seconds=5) as lease:
            lease.check()
        return None

    return [sample, json.dumps(old).encode()], read


FORMATS = (
    Format("configuration", "lines", _configurations, _TOML_TOKENS),
    Format("claim", "json", _claims, _JSON_TOKENS),
    Format("scene-labels", "lines", _scene_labels, _TOML_TOKENS),
    Format("metrics", "json", _metrics, _JSON_TOKENS),
    Format("record", "json", _records, _JSON_TOKENS),
    Format("manifest", "jsonl", _manifests, _JSON_TOKENS),
    Format("lease", "json", _leases, _JSON_TOKENS),
)
