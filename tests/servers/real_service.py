"""The whole service on loopback: products on disk, real engine, real pixels, one client with all scopes."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import requests
from sentinelhub import DataCollection, SHConfig

from eotasks.catalogue.items import item_of
from eotasks.catalogue.store import Catalogue
from eotasks.imagery.scene import open_scene
from eotasks.service.auth.clients import add_client
from eotasks.service.build import build_app
from eotasks.service.settings import load_settings
from eotasks.sources.sample_files import sample_path
from tests.servers.service import served


@dataclass(frozen=True)
class RealService:
    """A service that runs, and how clients are told of it."""

    url: str
    client_id: str
    client_secret: str
    products: Path
    """Folder of the products that it serves."""

    def config(self) -> SHConfig:
        """Of the client sentinelhub."""
        config = SHConfig()
        config.sh_base_url = self.url
        config.sh_token_url = f"{self.url}/auth/realms/main/protocol/openid-connect/token"
        config.sh_client_id, config.sh_client_secret = self.client_id, self.client_secret
        return config

    def collection(self, name: str = "SENTINEL2_L1C") -> DataCollection:
        """A collection of Sentinel Hub that this service answers for."""
        return DataCollection[name].define_from(f"{name}_{self.url.rpartition(':')[2]}", service_url=self.url)

    def token(self) -> str:
        """Of the client, for an hour."""
        form = {"grant_type": "client_credentials", "client_id": self.client_id, "client_secret": self.client_secret}
        return str(requests.post(f"{self.url}/oauth/token", data=form, timeout=60).json()["access_token"])


def write_day(folder: Path, date: str, *, south: int = 0, cloud_cover: float = 50.0) -> Path:
    """The embedded product under another date, its pixels moved by some metres round the edges: a simulated day."""
    product = folder / f"T33UUU_{date.replace('-', '')}"
    shutil.copytree(sample_path(), product, ignore=shutil.ignore_patterns("*.gpkg", "README*"))
    for image in product.glob("*.jp2") if south else ():
        with rasterio.open(image) as source:
            values, profile = source.read(), source.profile
        image.unlink()
        kept = {key: profile[key] for key in ("width", "height", "count", "dtype", "crs", "transform")}
        rows = south // round(profile["transform"].a)
        with rasterio.open(image, "w", driver="JP2OpenJPEG", QUALITY="100", REVERSIBLE="YES", **kept) as target:
            target.write(np.roll(values, rows, axis=1))
    description = product / "acquisition.json"
    facts = json.loads(description.read_text()) | {"time": f"{date}T10:21:01", "cloud_cover": cloud_cover}
    description.write_text(json.dumps(facts))
    return product


@contextmanager
def real_service(folder: Path, products: Path, **settings: Any) -> Iterator[RealService]:
    """The service on a free port.

    :param folder: For its own files.
    :param products: What it serves.
    :param settings: Of `ServiceSettings`.
    """
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        catalogue = folder / "catalogue.parquet"
        Catalogue(catalogue).add([item_of(open_scene(each)) for each in sorted(products.iterdir())])
        made = load_settings(
            {
                "catalogues": [str(catalogue)],
                "clients_file": folder / "clients.json",
                "port": port,
                "engine_workers": 1,
                "script_s": 60,  # a loaded machine is no fault of a script
                **settings,
            }
        )
        client_id, secret = add_client(made.clients_file, "tests")
        with served(build_app(made), listening):
            yield RealService(f"http://127.0.0.1:{port}", client_id, secret, products)
