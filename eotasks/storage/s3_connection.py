"""Settings, credentials and client of S3 that belong together, one set in a process; `eotasks.storage.s3` uses them."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import threading
import time
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore import UNSIGNED
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import (
    BotoCoreError,
    ConfigParseError,
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
)
from botocore.loaders import Loader, create_loader

from eotasks.errors import ConfigurationError, CredentialsError, EOTasksError, reason_of
from eotasks.limits import ATTEMPTS
from eotasks.network import boto
from eotasks.text import register_secret

LOGGER = logging.getLogger(__name__)

CONNECT_SECONDS, READ_SECONDS = 10, 30
"""How long a server may take to answer a connection, and to send the next bytes."""

REWRITE_SECONDS = 30.0
"""How long files of settings may be unusable while a process that has used them goes on with what they said."""

_YES = frozenset({"yes", "true", "on", "1"})
SETTING_ERRORS = (
    NoCredentialsError,
    PartialCredentialsError,
    CredentialRetrievalError,
    ProfileNotFound,
    ConfigParseError,
    SSOError,
)
"""What is wrong before a request is made."""

REQUEST_PAYER = "AWS_REQUEST_PAYER"
"""Variable of the environment: "requester" where who asks pays, as GDAL and others know it."""

CREDENTIALS_CURE = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"


@dataclass(frozen=True)
class S3Settings:
    """Where requests go and how they are made; no credentials."""

    endpoint: str | None
    """URL of a custom endpoint, None for AWS itself."""

    region: str | None
    """Region, None where nothing names one."""

    addressing: str
    """``"path"``: the bucket is in the path; ``"virtual"``: it is in the host's name; ``"auto"``: as boto3 likes it."""

    anonymous: bool
    """Whether requests go without a signature."""

    requester_pays: bool = False
    """Whether requests say that who asks pays for them: ``AWS_REQUEST_PAYER=requester``, as GDAL knows it."""

    def __str__(self) -> str:
        return self.endpoint or "AWS S3"


@cache
def _descriptions(data_path: str | None) -> Loader:
    """What botocore knows of S3, read once in a process: for every client anew it is half of what that takes.

    :param data_path: Folders of further descriptions, as users set them.
    """
    return create_loader(data_path)


class Connection:
    """Settings, session and client that belong together."""

    def __init__(self) -> None:
        try:
            core = botocore.session.get_session()
            core.user_agent_extra = "eotasks"
            self.session = boto3.Session(botocore_session=core)
            self.settings = _read_settings(core)
            core.register_component("data_loader", _descriptions(core.get_config_variable("data_path")))
            self.attempts = int(core.get_config_variable("max_attempts") or ATTEMPTS.value)
            # Asked where users set it: the session's own answer would be boto3's default, "legacy".
            self._mode = os.environ.get("AWS_RETRY_MODE") or core.get_scoped_config().get("retry_mode") or None
            self.options = self._client_options()
            self.client = self.session.client("s3", **self.options)
            self._prepare(self.client)
            _hide_static(core.get_credentials())
        except SETTING_ERRORS as error:
            raise CredentialsError(
                f"S3: {reason_of(error)}. {CREDENTIALS_CURE}, as the AWS command line takes them."
            ) from error
        except ConfigurationError:
            raise
        except (BotoCoreError, ValueError) as error:
            raise ConfigurationError(
                f"The settings of S3 cannot be used ({type(error).__name__}): check AWS_ENDPOINT_URL, AWS_REGION"
                " and ~/.aws/config."
            ) from error

    def resource(self) -> Any:
        made = self.session.resource("s3", **self.options)
        self._prepare(made.meta.client)
        return made

    def _prepare(self, client: Any) -> None:
        """Bounds, retries and requester pays for every request of a client, whoever makes it."""
        boto.prepare(client, self.attempts, own=self._mode is None)
        events = client.meta.events
        events.register_last("request-created.s3", _hide_token)
        if self.settings.requester_pays:
            events.register("before-call.s3", _say_who_pays)

    def _client_options(self) -> dict[str, Any]:
        config = Config(
            signature_version=UNSIGNED if self.settings.anonymous else None,
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            tcp_keepalive=True,
            max_pool_connections=32,
            # boto3 asks once, and the policy of all decides, unless the user wants one of boto3's own ways.
            retries={
                "mode": self._mode or "standard",
                "total_max_attempts": self.attempts if self._mode else 1,
            },
            s3={"addressing_style": self.settings.addressing},
        )
        # boto3 needs a region for its signature even where the server ignores it.
        region = self.settings.region or "us-east-1"
        return {"endpoint_url": self.settings.endpoint, "region_name": region, "config": config}


def _say_who_pays(params: dict[str, Any], **_: object) -> None:
    """Of every request, not of those alone whose parameters boto3 knows: listings and questions for a bucket too."""
    params["headers"]["x-amz-request-payer"] = "requester"


def _hide_static(credentials: Credentials | None) -> None:
    """Credentials of the environment and of profiles are never printed, whatever a server says of them."""
    # Those of other classes are fetched when the first request needs them.
    if credentials is not None and type(credentials) is Credentials:
        register_secret(credentials.secret_key, credentials.token)


def _hide_token(request: AWSRequest, **_: object) -> None:
    """The same of the session's token, which a request has when it is signed."""
    register_secret(request.headers.get("X-Amz-Security-Token"))


def _read_settings(core: botocore.session.Session) -> S3Settings:
    endpoint = _endpoint(core)
    if endpoint is not None:
        parts = urlsplit(endpoint)
        if parts.username or parts.password:
            raise ConfigurationError(
                "The endpoint of S3 has a user's name in its URL: credentials go elsewhere. " + CREDENTIALS_CURE + "."
            )
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError(
                f"The endpoint of S3, {endpoint!r}, is no URL: write https://host or http://host:port."
            )
    style = (core.get_scoped_config().get("s3") or {}).get("addressing_style")
    own_host = endpoint is not None and not str(urlsplit(endpoint).hostname).endswith(
        ("amazonaws.com", "amazonaws.com.cn")
    )
    unsigned = os.environ.get("AWS_NO_SIGN_REQUEST", "").strip().lower() in _YES
    payer = os.environ.get(REQUEST_PAYER, "").strip().lower()
    if payer not in ("", "requester"):
        raise ConfigurationError(f"{REQUEST_PAYER} is {payer[:40]!r}: set it to requester, or unset it.")
    return S3Settings(
        endpoint=endpoint,
        region=core.get_config_variable("region"),
        addressing=style or ("path" if own_host else "auto"),
        anonymous=unsigned or core.get_credentials() is None,
        requester_pays=payer == "requester",
    )


def _endpoint(core: botocore.session.Session) -> str | None:
    """As AWS documents it: the service's variable, the common one, the profile's services section, the profile."""
    if core.get_config_variable("ignore_configured_endpoint_urls"):
        return None
    profile = core.get_scoped_config()
    services = core.full_config.get("services", {}).get(profile.get("services", ""), {})
    found = (
        os.environ.get("AWS_ENDPOINT_URL_S3"),
        os.environ.get("AWS_ENDPOINT_URL"),
        (services.get("s3") or {}).get("endpoint_url"),
        profile.get("endpoint_url"),
    )
    return next((url.strip().rstrip("/") for url in found if url and url.strip()), None)


_lock = threading.Lock()
_current: tuple[_Sources, Connection] | None = None
_broken_since: float | None = None


@dataclass(frozen=True)
class _Sources:
    """Digests of what settings come from, because it holds secrets."""

    variables: bytes
    files: bytes


def connection() -> Connection:
    """The connection of this process: a new one when an ``AWS_…`` variable or a file in ``~/.aws`` has changed.

    Tools for temporary credentials write such files anew in the middle of a long run, some in several steps. While one
    cannot be used, the connection of before goes on for `REWRITE_SECONDS`; and one that signed its requests is not
    followed by an anonymous one, unless the variables say so.

    :raises ConfigurationError: when the settings cannot be used.
    :raises CredentialsError: when credentials cannot be used.
    """
    global _current, _broken_since  # one connection in a process, as its environment is one
    sources = _sources()
    with _lock:
        if _current is not None and _current[0] == sources:
            return _current[1]
        before = _current[1] if _current is not None and _current[0].variables == sources.variables else None
        try:
            found = Connection()
        except EOTasksError as error:
            now = time.monotonic()
            _broken_since = now if _broken_since is None else _broken_since
            if before is None or now - _broken_since > REWRITE_SECONDS:
                raise
            LOGGER.warning("The settings of S3 have changed and cannot be used, those of before go on: %s", error)
            return before
        _broken_since = None
        if before is not None and found.settings.anonymous and not before.settings.anonymous:
            LOGGER.warning("There are no credentials of S3 any more: those of before are used on.")
            found = before
        _current = sources, found
        return found


def _sources() -> _Sources:
    """Files are in it by what changes when they are written, and not by their content: this is asked for often."""
    names = sorted(name for name in os.environ if name.startswith("AWS_") or name in ("HOME", ATTEMPTS.variable))
    variables = [f"{name}={os.environ[name]}" for name in names]
    files = []
    for variable, usual in (
        ("AWS_CONFIG_FILE", "~/.aws/config"),
        ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
    ):
        file = os.path.expanduser(os.environ.get(variable) or usual)  # noqa: PTH111  # Path fails without a home
        with contextlib.suppress(OSError, ValueError):
            facts = os.stat(file)  # noqa: PTH116
            files.append(f"{variable} {facts.st_mtime_ns} {facts.st_size} {facts.st_ino}")
    return _Sources(_digest(variables), _digest(files))


def _digest(parts: list[str]) -> bytes:
    return hashlib.sha256("\0".join(parts).encode(errors="surrogateescape")).digest()


def _forget() -> None:
    """A forked child shares no socket and no lock with its parent."""
    global _lock, _current, _broken_since
    _lock, _current, _broken_since = threading.Lock(), None, None


os.register_at_fork(after_in_child=_forget)
