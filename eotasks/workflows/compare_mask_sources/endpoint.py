"""The service that is asked: one that runs, or the demonstration of `eotasks serve`, started for the comparison."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import requests

from eotasks.errors import BatchError, ConfigurationError, MissingDependencyError
from eotasks.extras import install_line, missing_modules
from eotasks.workflows.compare_mask_sources.processes import hold, last_words, running

TOKEN_PATH = "/auth/realms/main/protocol/openid-connect/token"  # noqa: S105 - a path
PROFILE = "eotasks-compare"

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_START_SECONDS = 300.0
"""The demonstration makes its products first, once for each user."""

_PAUSE = 0.1
_ADDRESS = re.compile(rb" at (http://127\.0\.0\.1:\d+),")


@dataclass(frozen=True)
class Endpoint:
    """Where to ask, and who asks."""

    base_url: str
    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    pid: int | None = None
    """Of the service, where it was started here."""

    @property
    def is_demonstration(self) -> bool:
        """Whether it was started here."""
        return self.pid is not None

    def environment(self, folder: Path) -> dict[str, str]:
        """Variables by which the sentinelhub package finds the service; the secret is in no file.

        :param folder: For the profile.
        """
        home = folder / "sentinelhub"
        home.mkdir(parents=True, exist_ok=True)
        fields = {"sh_base_url": self.base_url, "sh_token_url": self.token_url}
        lines = [f"[{PROFILE}]", *(f"{name} = {json.dumps(value)}" for name, value in fields.items()), ""]
        (home / "config.toml").write_text("\n".join(lines), encoding="utf-8")
        # The client wants tokens by https alone; at loopback nobody listens.
        insecure = {"OAUTHLIB_INSECURE_TRANSPORT": "1"} if _is_loopback(self.token_url) else {}
        return {
            "XDG_CONFIG_HOME": str(folder),
            "SH_PROFILE": PROFILE,
            "SH_CLIENT_ID": self.client_id,
            "SH_CLIENT_SECRET": self.client_secret,
            **insecure,
        }


def existing(base_url: str | None, profile: str | None) -> Endpoint:
    """A service that runs.

    :param base_url: Its address; credentials are those of the profile, or of the environment.
    :param profile: Of the sentinelhub package; None for the default one. Its addresses count where none is given.
    :raises ConfigurationError: when the address is none, is no https beyond loopback, or has no CLM and CLP.
    :raises CredentialsError: when there are no credentials.
    """
    from eotasks.sources.sentinelhub.account import host, load_credentials, serves_clouds

    if base_url is not None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or "@" in parts.netloc:
            raise ConfigurationError("--base-url is no address of a service: give one such as http://127.0.0.1:8080.")
    config = load_credentials(profile)
    base = config.sh_base_url if base_url is None else base_url.rstrip("/")
    token = config.sh_token_url if base_url is None else base + TOKEN_PATH
    for url in (base, token):
        if urlsplit(url).scheme != "https" and not _is_loopback(url):
            raise ConfigurationError(
                f"{host(url)} is asked by plain http, which would show the secret to the network: give an https"
                " address."
            )
    if not serves_clouds(base):
        raise ConfigurationError(
            f"{host(base)} has no CLM and CLP, so there is nothing to compare: leave out --base-url and --profile for"
            " the demonstration, or name a service of `eotasks serve`."
        )
    return Endpoint(base, token, config.sh_client_id, config.sh_client_secret)


def require_service() -> None:
    """:raises MissingDependencyError: when the service cannot be started here."""
    missing = missing_modules("service") + missing_modules("catalogue")
    if missing:
        raise MissingDependencyError(
            f"The demonstration of the service needs {', '.join(missing)}: {install_line('service')}. Or name a service"
            " that runs by --base-url."
        )


@contextlib.contextmanager
def demonstration(folder: Path, cores: Sequence[int]) -> Iterator[Endpoint]:
    """`eotasks serve --demo` on a free port, which ends with the block. Masks that it computes it keeps in an archive.

    The simulated year's masks are computed when they are asked for first, by the round before what is measured: from
    then on they are there, as those of Sentinel Hub were for its whole archive.

    :param folder: For the archive, and what the service prints.
    :param cores: Those that it keeps to; empty for any.
    :raises BatchError: when it does not start.
    """
    require_service()
    settings = {
        "EOTASKS_SERVICE_STORE_MASKS": "true",
        "EOTASKS_SERVICE_ENGINE_WORKERS": "1",
        "EOTASKS_SERVICE_SCRIPT_S": "60",  # a busy machine is no fault of a script
    }
    output, errors = folder / "service-output", folder / "service-log"
    masks = folder / "masks"
    masks.mkdir(parents=True, exist_ok=True)
    arguments = ["serve", "--demo", "--archive", str(masks), "--port", "0"]
    with running("eotasks.workflows.cli", arguments, settings, output, errors) as process:
        hold(process.pid, cores)
        deadline = time.monotonic() + _START_SECONDS
        while (url := _answering(output)) is None:
            if process.poll() is not None:
                raise BatchError(f"The demonstration of the service has ended: {last_words(errors)}")
            if time.monotonic() > deadline:
                raise BatchError(f"The demonstration of the service does not start within {_START_SECONDS:g} s.")
            time.sleep(_PAUSE)
        yield Endpoint(url, url + TOKEN_PATH, "demonstration", "open to this machine", process.pid)


def _answering(output: Path) -> str | None:
    """The address that a service has printed, when it answers there."""
    found = _ADDRESS.search(output.read_bytes())
    if found is None:
        return None
    url = found[1].decode()
    with contextlib.suppress(requests.RequestException):
        if requests.get(f"{url}/health", timeout=10).ok:
            return url
    return None


def _is_loopback(url: str) -> bool:
    return (urlsplit(url).hostname or "") in _LOOPBACK
