"""Our service on loopback in place of Sentinel Hub, and no account but its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sentinelhub.download.sentinelhub_client import SentinelHubDownloadClient

from tests.builders.inputs.sentinelhub import TIMES, profile_of, write_profile
from tests.servers.made_service import MadeService


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """No configuration and no credentials but those a test writes."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in ("SH_CLIENT_ID", "SH_CLIENT_SECRET", "SH_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    SentinelHubDownloadClient.clear_cache()
    yield tmp_path / "sentinelhub" / "config.toml"
    SentinelHubDownloadClient.clear_cache()


@pytest.fixture
def service(home: Path, made_service: MadeService, monkeypatch: pytest.MonkeyPatch) -> MadeService:
    """The service with two scenes, and profile "mine" that asks it."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    monkeypatch.setenv("SH_PROFILE", "mine")
    made_service.times = list(TIMES)
    write_profile(home, **profile_of(made_service))
    return made_service
