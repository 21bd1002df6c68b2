"""Credentials, profiles and tokens: where they are looked for, and that no message, log or pickle shows them."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path
from typing import Any

import pytest
from sentinelhub.config import SHConfig
from sentinelhub.data_collections import DataCollection

from eotasks.errors import CredentialsError, ImageryError
from eotasks.sources.sentinelhub import DownloadBandsTask, load_credentials
from eotasks.sources.sentinelhub.account import collection_at
from tests.builders.inputs.sentinelhub import SIX, SMALL, TIMES, YEAR, profile_of, write_profile
from tests.servers.sentinelhub import CLIENT_SECRET, TOKEN, Service


def test_the_profile_s_service_is_asked_also_after_pickling(service: Service) -> None:
    """A stock DataCollection names its own host, and changing the base URL alone still calls that one."""
    task = DownloadBandsTask(bands=["B02"], profile="mine")
    for _ in range(2):
        pickle.loads(pickle.dumps(task)).execute(bbox=SMALL, time_interval=YEAR)
    assert len(service.processes) == 4
    assert service.tokens == 1


def test_a_collection_that_the_user_has_defined_is_taken() -> None:
    """The client refuses a second name for the same definition."""
    url = "https://masks.example.org"
    own = DataCollection.SENTINEL2_L2A.define_from("MASKS_OF_MINE", service_url=url)
    assert collection_at("SENTINEL2_L2A", url) is own
    other = collection_at("SENTINEL2_L1C", url)
    assert other.service_url == url
    assert collection_at("SENTINEL2_L1C", url) is other


def test_no_credentials(home: Path) -> None:
    task = DownloadBandsTask(bands=SIX)
    with pytest.raises(CredentialsError, match="set SH_CLIENT_ID and SH_CLIENT_SECRET") as caught:
        task.execute(bbox=SMALL, time_interval=YEAR)
    assert "\n" not in str(caught.value)
    assert not home.exists(), "looking for credentials must not write a configuration"


def test_credentials_of_profile_and_environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_profile(home, sh_client_id="id-in-file", sh_client_secret="secret-in-file")
    assert load_credentials("mine").sh_client_id == "id-in-file"
    monkeypatch.setenv("SH_PROFILE", "mine")
    assert load_credentials().sh_client_secret == "secret-in-file"
    monkeypatch.setenv("SH_CLIENT_ID", "id-in-environment")
    assert load_credentials("mine").sh_client_id == "id-in-environment"
    with pytest.raises(CredentialsError, match="'yours' is not in"):
        load_credentials("yours")
    home.write_text("[mine")
    with pytest.raises(CredentialsError, match="cannot be read"):
        load_credentials("mine")
    home.unlink()
    with pytest.raises(CredentialsError, match="'mine' is not there"):
        load_credentials("mine")


@pytest.mark.parametrize("secret", [CLIENT_SECRET, "wrong-value"])
def test_credentials_are_in_no_pickle_message_or_log(
    service: Service, home: Path, caplog: pytest.LogCaptureFixture, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_profile(home, **{**profile_of(service), "sh_client_secret": secret})
    for name in ("requests_oauthlib", "oauthlib"):
        monkeypatch.setattr(logging.getLogger(name), "level", logging.DEBUG)
    service.fails_at = {TIMES[0].date()}
    task = DownloadBandsTask(bands=SIX, max_threads=1)
    refused = secret != CLIENT_SECRET
    error, message = (CredentialsError, "refuses the credentials") if refused else (ImageryError, "2019-06-01")
    with caplog.at_level(logging.DEBUG), pytest.raises(error, match=message) as caught:
        task.execute(bbox=SMALL, time_interval=YEAR)
    assert caplog.records
    assert "\n" not in str(caught.value)
    assert len(service.processes) == (0 if refused else 5)
    seen = f"{caught.value} {caplog.text} {task.private_task_config.init_args} {vars(task)} {pickle.dumps(task)!r}"
    assert secret not in seen
    assert TOKEN not in seen


def test_a_token_that_the_service_takes_no_more(service: Service) -> None:
    def denied(handler: Any) -> bool:
        handler.error(401, "COMMON_UNAUTHORIZED", "expired")
        return True

    service.faults.extend([denied, denied])
    with pytest.raises(ImageryError, match=r"2 of 2 .*COMMON_UNAUTHORIZED|2 of 2 .*expired"):
        DownloadBandsTask(bands=["B02"]).execute(bbox=SMALL, time_interval=YEAR)


def test_configuration_prints_masked() -> None:
    """What eo-learn keeps of the task it is composed of: the credentials are masked there."""
    text = repr(SHConfig(use_defaults=True, sh_client_secret="s3cret-value"))
    assert "s3cret-value" not in text
