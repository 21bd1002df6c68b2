"""Credentials, profiles and tokens: where they are looked for, and that no message, log or pickle shows them."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path

import pytest
from sentinelhub.config import SHConfig
from sentinelhub.data_collections import DataCollection

from eotasks.errors import CredentialsError, ImageryError
from eotasks.service.errors import UnauthorizedError
from eotasks.sources.sentinelhub import DownloadBandsTask, load_credentials
from eotasks.sources.sentinelhub.account import collection_at
from tests.builders.inputs.sentinelhub import SIX, SMALL, TIMES, YEAR, profile_of, write_profile
from tests.servers.made_service import MadeService


def test_the_profile_s_service_is_asked_also_after_pickling(service: MadeService) -> None:
    """A stock DataCollection names its own host, and changing the base URL alone still calls that one."""
    task = DownloadBandsTask(bands=["B02"], profile="mine")
    for _ in range(2):
        pickle.loads(pickle.dumps(task)).execute(bbox=SMALL, time_interval=YEAR)
    assert len(service.processes) == 4
    assert len(service.tokens) == 1


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


@pytest.mark.parametrize("is_right", [True, False], ids=["right", "wrong"])
def test_credentials_are_in_no_pickle_message_or_log(
    service: MadeService, home: Path, caplog: pytest.LogCaptureFixture, is_right: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = service.client_secret if is_right else "wrong-value"
    write_profile(home, **{**profile_of(service), "sh_client_secret": secret})
    for name in ("requests_oauthlib", "oauthlib"):
        monkeypatch.setattr(logging.getLogger(name), "level", logging.DEBUG)
    service.fails_at = {TIMES[0].date()}
    task = DownloadBandsTask(bands=SIX, max_threads=1)
    error, message = (ImageryError, "2019-06-01") if is_right else (CredentialsError, "refuses the credentials")
    with caplog.at_level(logging.DEBUG), pytest.raises(error, match=message) as caught:
        task.execute(bbox=SMALL, time_interval=YEAR)
    assert caplog.records
    assert "\n" not in str(caught.value)
    assert len(service.processes) == (5 if is_right else 0)
    seen = f"{caught.value} {caplog.text} {task.private_task_config.init_args} {vars(task)} {pickle.dumps(task)!r}"
    assert secret not in seen
    assert len(service.tokens) == is_right
    assert not any(token in seen for token in service.tokens)


def test_a_token_that_the_service_takes_no_more(service: MadeService) -> None:
    service.errors.extend([UnauthorizedError("The token has expired.")] * 2)
    with pytest.raises(ImageryError, match=r"2 of 2 .*COMMON_UNAUTHORIZED|2 of 2 .*expired"):
        DownloadBandsTask(bands=["B02"]).execute(bbox=SMALL, time_interval=YEAR)


def test_configuration_prints_masked() -> None:
    """What eo-learn keeps of the task it is composed of: the credentials are masked there."""
    text = repr(SHConfig(use_defaults=True, sh_client_secret="s3cret-value"))
    assert "s3cret-value" not in text
