"""Which service, and who asks it: the sentinelhub profile, or the environment."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from oauthlib.oauth2 import OAuth2Error  # type: ignore[import-untyped]  # has no stubs
from sentinelhub.config import SH_CLIENT_ID_ENV_VAR, SH_CLIENT_SECRET_ENV_VAR, SH_PROFILE_ENV_VAR, SHConfig
from sentinelhub.data_collections import DataCollection
from sentinelhub.exceptions import BaseSentinelHubException

from eotasks.errors import ConfigurationError, CredentialsError, EOTasksError, ImageryError
from eotasks.text import register_secret

_COPERNICUS_HOST = "dataspace.copernicus.eu"


def load_credentials(profile: str | None = None) -> SHConfig:
    """The sentinelhub configuration of a profile, with credentials.

    :raises CredentialsError: when the profile does not exist, cannot be read, or holds no credentials.
    """
    config = configuration(profile)
    if not (config.sh_client_id and config.sh_client_secret):
        raise CredentialsError(
            f"Sentinel Hub needs an account: set {SH_CLIENT_ID_ENV_VAR} and {SH_CLIENT_SECRET_ENV_VAR}, or keep them in"
            f" profile {_profile_name(profile)!r} of the sentinelhub package."
        )
    register_secret(config.sh_client_secret)
    return config


def configuration(profile: str | None) -> SHConfig:
    """The configuration of a profile; unlike SHConfig() itself it never writes a file.

    :raises CredentialsError: when the profile does not exist or cannot be read.
    """
    file = Path(SHConfig.get_config_location())
    if not file.is_file():
        if profile is not None or SH_PROFILE_ENV_VAR in os.environ:
            raise CredentialsError(
                f"Profile {_profile_name(profile)!r} is not there: no {file}. Make it, or name none."
            )
        return SHConfig(
            use_defaults=True,
            sh_client_id=os.environ.get(SH_CLIENT_ID_ENV_VAR, ""),
            sh_client_secret=os.environ.get(SH_CLIENT_SECRET_ENV_VAR, ""),
        )
    try:
        return SHConfig(profile)
    except KeyError as error:
        raise CredentialsError(
            f"Profile {_profile_name(profile)!r} is not in {file}. Add it, or name another."
        ) from error
    except (OSError, TypeError, ValueError) as error:
        raise CredentialsError(f"{file} cannot be read as a sentinelhub configuration. Correct it.") from error


def serves_clouds(base_url: str) -> bool:
    """Whether a service has CLM and CLP: all but the Copernicus Data Space."""
    name = host(base_url)
    return name != _COPERNICUS_HOST and not name.endswith("." + _COPERNICUS_HOST)


def host(url: str) -> str:
    """Name of the machine in an address, for messages."""
    return urlsplit(url).hostname or url


def collection_named(name: str) -> DataCollection:
    """A collection of Sentinel-2 of the sentinelhub package.

    :raises ConfigurationError: when there is none of that name.
    """
    known = [member for member in DataCollection.__members__ if member.startswith("SENTINEL2")]
    if name not in known:
        raise ConfigurationError(f"data_collection={name!r} is not known: use one of {', '.join(known)}.")
    collection: DataCollection = DataCollection[name]
    return collection


def collection_at(name: str, base_url: str) -> DataCollection:
    """The collection as another deployment serves it: a collection names its host, whatever the profile says.

    One that the user has defined for it is taken: sentinelhub has no two of one definition.
    """
    collection = collection_named(name)
    if not base_url or base_url == collection.service_url:
        return collection
    wanted = replace(collection.value, service_url=base_url)
    own = next((member for member in DataCollection if member.value == wanted), None)
    if own is not None:
        return own
    label = hashlib.sha256(base_url.encode()).hexdigest()[:8].upper()
    return collection.define_from(f"{name}_AT_{label}", service_url=base_url)


def keep_secrets_out_of_logs() -> None:
    """The OAuth client writes client secrets and tokens into its debug log."""
    for name in ("requests_oauthlib", "oauthlib"):
        logger = logging.getLogger(name)
        if logger.getEffectiveLevel() < logging.INFO:
            logger.setLevel(logging.INFO)


@contextmanager
def service_errors(config: SHConfig, what: str) -> Iterator[None]:
    """Turns errors of the client in its block into those of the project.

    :param what: What is asked for, for the message.
    :raises CredentialsError: when the service refuses the credentials.
    :raises ImageryError: when it cannot be reached, or fails.
    """
    try:
        yield
    except EOTasksError:
        raise
    except OAuth2Error as error:
        raise CredentialsError(
            f"{host(config.sh_token_url)} refuses the credentials ({error.error or type(error).__name__}). Correct the"
            " client id and secret of the sentinelhub profile."
        ) from error
    except (BaseSentinelHubException, OSError, KeyError, TypeError, ValueError) as error:  # answers of another shape
        raise ImageryError(
            f"{what} from {host(config.sh_base_url)} failed: {reason(error)}. Try again later, or check the account."
        ) from error


def reason(error: BaseException) -> str:
    """What an error of the client says, in one short line without addresses."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    kept = [
        line for line in lines if not line.startswith(("http://", "https://", "Failed to download", "Please check"))
    ]
    text = " ".join(kept).removeprefix("with ") or type(error).__name__
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."


_LONGEST = 300


def _profile_name(profile: str | None) -> str:
    return profile or os.environ.get(SH_PROFILE_ENV_VAR, "default-profile")
