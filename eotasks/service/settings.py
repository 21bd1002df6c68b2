"""How the service is set up: by the environment (`EOTASKS_SERVICE_*`), and by the options of `eotasks serve`."""

from __future__ import annotations

import ipaddress
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from eotasks.documents import first_problem
from eotasks.errors import ConfigurationError
from eotasks.text import unknown_words

PREFIX = "EOTASKS_SERVICE_"
MEGABYTE = 1024**2

_WORKING_SHARE = 3
"""Bytes that a request takes for each byte of its bands: they are read, handed to the engine, and drawn from."""

_ANSWERS_PART = 8
"""Of the memory for pixels, what answers may take beside it, and as much bodies of requests."""

LOOPBACK_ORIGINS = r"https?://(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?"
"""Pages of this machine."""

_NEVER_PASSED_ON = frozenset({"token_key"})

Words = Annotated[tuple[str, ...], NoDecode]
"""In the environment: separated by commas, or a list of JSON."""


class ServiceSettings(BaseSettings):
    """Settings of the service. In the environment: the names of the fields in capitals, after EOTASKS_SERVICE_."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True, hide_input_in_errors=True)

    catalogues: Words = Field((), description="Catalogues that products are searched in: files, s3://… or STAC APIs.")
    archive: str | None = Field(
        None, description="Archive or folder of cloud masks, where the catalogue does not name those of its products."
    )
    host: str = Field("127.0.0.1", description="Address that the service listens at; others than loopback are seen.")
    port: int = Field(8080, ge=0, le=65535, description="Port that the service listens at; 0 takes a free one.")
    base_url: str | None = Field(
        None, description="Address by which clients know the service, where it is not that of host and port."
    )
    workers: int = Field(1, ge=1, le=256, description="Processes that answer requests.")
    engine_workers: int = Field(
        2, ge=1, le=256, description="Processes of each of them that run evalscripts at the same time; one more waits."
    )
    concurrent: int = Field(
        4, ge=1, le=1024, description="Requests for pixels that a process works on at the same time; others wait."
    )
    waiting: int = Field(64, ge=0, le=100_000, description="Requests that may wait in a process; more are sent away.")
    waiting_s: float = Field(60, gt=0, le=3600, description="Seconds that a request may wait before it is sent away.")
    memory_mb: int = Field(
        4096, ge=256, description="Memory for the pixels of all requests together, in 2^20 bytes: shared out evenly."
    )
    decoded_mb: int = Field(
        256,
        ge=0,
        description="Memory of each process for decoded bands, kept for requests that come next, in 2^20 bytes.",
    )
    max_side: int = Field(2500, ge=1, le=20_000, description="Rows and columns that an image may have, each.")
    max_metres: float = Field(
        1500, gt=0, description="Metres on the ground that a pixel may be wide: wider ones read too many products."
    )
    max_products: int = Field(500, ge=1, description="Products that one request may find.")
    request_bytes: int = Field(2_000_000, ge=1_000, description="Bytes that the body of a request may have.")
    script_bytes: int = Field(1_000_000, ge=1_000, description="Bytes that an evalscript may have.")
    script_s: float = Field(
        2,
        gt=0,
        le=3600,
        description="Seconds that an evalscript gets, and 20 µs for each pixel of each scene.",
    )
    script_ceiling_s: float = Field(60, gt=0, le=3600, description="Seconds that an evalscript gets at most.")
    body_s: float = Field(30, gt=0, le=3600, description="Seconds in which the body of a request has to arrive.")
    requests_per_minute: int = Field(
        0, ge=0, description="Requests of a client in a minute, of all processes together; 0 for any number."
    )
    burst: int = Field(50, ge=1, description="Requests that a client may send at once before its rate counts.")
    token_s: int = Field(
        3600, ge=180, le=86_400, description="Seconds that a token is good for; clients renew theirs 120 s early."
    )
    clients_file: Path = Field(
        Path("eotasks-clients.json"),
        description="File of clients and their hashed secrets: `eotasks serve add-client`.",
    )
    token_key: SecretStr | None = Field(
        None, description="Key that tokens are signed with; without one it is in a file beside that of the clients."
    )
    open: bool = Field(False, description="Answer everybody, without tokens: at loopback only.")
    cors_origins: Words = Field(
        ("*",),
        description="Web sites whose pages may ask the service, from a browser; of an open one those of loopback, and"
        " such as are named.",
    )
    store_masks: bool = Field(False, description="Keep cloud masks that were computed, in the archive.")
    jitless: bool = Field(False, description="Run evalscripts without making machine code of them: safer, 7 x slower.")
    shutdown_s: int = Field(30, ge=1, le=3600, description="Seconds that requests under way have at the end.")

    @field_validator("catalogues", "cors_origins", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return _words_of(value)
        return value

    @field_validator("archive")
    @classmethod
    def _named(cls, value: str | None) -> str | None:
        return value if value and value.strip() else None  # a variable that is there and empty names nothing

    @field_validator("token_key")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value().encode()) < 32:
            raise ValueError("a key of less than 32 bytes can be guessed: make one with `openssl rand -hex 32`")
        return value

    @field_validator("base_url")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or "@" in value:
            raise ValueError("give an address such as https://masks.example.org")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _open_at_loopback(self) -> ServiceSettings:
        if self.open and not is_loopback(self.host):
            raise ValueError(
                f"open is for loopback, and everybody in the network sees {self.host}: leave out `open` and make"
                " clients (`eotasks serve add-client NAME`), or leave the host at 127.0.0.1"
            )
        return self

    @model_validator(mode="after")
    def _open_to_named_sites(self) -> ServiceSettings:
        if self.open and "cors_origins" in self.model_fields_set and "*" in self.cors_origins:
            raise ValueError(
                "open with cors_origins * lets the pages of every web site in, as nobody is asked for a token: name the"
                " sites, such as https://map.example.org, or leave out `open`"
            )
        return self

    @model_validator(mode="after")
    def _stored_somewhere(self) -> ServiceSettings:
        if self.store_masks and not self.archive:
            raise ValueError("store_masks needs an archive: name the folder or s3://… that masks are to be kept in")
        return self

    @model_validator(mode="after")
    def _open_or_for_clients(self) -> ServiceSettings:
        if self.open and "clients_file" in self.model_fields_set:
            raise ValueError(
                f"open answers everybody, and clients_file ({self.clients_file}) names who is answered: leave out one"
            )
        return self

    @model_validator(mode="after")
    def _open_and_not_known_elsewhere(self) -> ServiceSettings:
        if self.open and self.base_url is not None and not is_loopback(urlsplit(self.base_url).hostname or ""):
            raise ValueError(
                f"open is for loopback, and base_url says that clients come by {self.base_url}: leave out `open` and"
                " make clients (`eotasks serve add-client NAME`), or leave out `base_url`"
            )
        return self

    @model_validator(mode="after")
    def _limits_that_agree(self) -> ServiceSettings:
        given = self.model_fields_set
        if self.script_s > self.script_ceiling_s:
            raise ValueError(
                f"script_s={self.script_s:g} is more than script_ceiling_s={self.script_ceiling_s:g}, which no"
                " evalscript gets: raise the one, or lower the other"
            )
        if "script_bytes" in given and self.script_bytes > self.request_bytes:
            raise ValueError(
                f"script_bytes={self.script_bytes} does not arrive in a body of request_bytes={self.request_bytes}:"
                " raise the one, or lower the other"
            )
        if "burst" in given and not self.requests_per_minute:
            raise ValueError(
                f"burst={self.burst} is of requests_per_minute, which is 0 for any number: give that, or leave out"
                " `burst`"
            )
        if self.bytes_of_request < MEGABYTE:
            raise ValueError(
                f"memory_mb={self.memory_mb} shared out to workers={self.workers} and concurrent={self.concurrent} is"
                f" {self.bytes_of_request:,} bytes for the bands of a request, which draws nothing: give more of the"
                " one, or less of the others"
            )
        return self

    @property
    def url(self) -> str:
        """Address by which clients know the service, without a slash at its end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.base_url or f"http://{host}:{self.port}"

    @property
    def sites(self) -> tuple[str, ...]:
        """Origins of pages that may ask; `*` for all. Those of loopback are let in to an open service as well."""
        return () if self.open and "*" in self.cors_origins else self.cors_origins

    @property
    def bytes_of_request(self) -> int:
        """Of the bands of one request, so that all that are worked on keep to the budget."""
        return self.memory_mb * MEGABYTE // (self.workers * self.concurrent * _WORKING_SHARE)

    @property
    def bytes_of_answers(self) -> int:
        """Of answers that clients have not taken yet, in one process: with more nothing is drawn."""
        return self.memory_mb * MEGABYTE // (self.workers * _ANSWERS_PART)

    @property
    def bytes_of_bodies(self) -> int:
        """Of bodies of requests that are not answered yet, in one process: with more none is taken."""
        return self.bytes_of_answers

    @property
    def key_file(self) -> Path:
        """Beside that of the clients."""
        return self.clients_file.with_suffix(".key")

    def environment(self) -> dict[str, str]:
        """Variables that make the same settings in another process; a key is not among them."""
        values = {}
        for name in sorted(self.model_fields_set - _NEVER_PASSED_ON):
            value = getattr(self, name)
            if value is not None:
                values[PREFIX + name.upper()] = _text_of(value) if isinstance(value, tuple) else str(value)
        return values


def _words_of(text: str) -> tuple[str, ...]:
    """Words of a variable: separated by commas, or a list of JSON, as those need that have commas themselves."""
    if text.strip().startswith("["):
        try:
            words = json.loads(text)
        except (ValueError, RecursionError):
            words = None
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise ValueError('give words with commas between them, or a list of JSON such as ["a,b.parquet"]')
        return tuple(words)
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _text_of(words: tuple[str, ...]) -> str:
    """The other way round."""
    text = ",".join(words)
    is_plain = not text.startswith("[") and all(word and word == word.strip() and "," not in word for word in words)
    return text if is_plain else json.dumps(words)


def load_settings(given: Mapping[str, object] | None = None) -> ServiceSettings:
    """Settings of the environment, and such as were given otherwise, which count more.

    :raises ConfigurationError: for one that is not known or not usable, by name and with the cure.
    """
    known = {PREFIX + name.upper() for name in ServiceSettings.model_fields}
    unknown = [name for name in os.environ if name.upper().startswith(PREFIX) and name.upper() not in known]
    if unknown:
        raise ConfigurationError(
            f"The environment has settings of the service that are not known: {unknown_words(sorted(unknown), known)}."
            f" Known are: {', '.join(sorted(known))}."
        )
    try:
        return ServiceSettings(**dict(given or {}))  # type: ignore[arg-type]  # pydantic looks at each
    except ValidationError as error:
        problem = first_problem(error, "settings").removeprefix("settings: ")
        raise ConfigurationError(
            f"Settings of the service: {problem}. Each is an option of `eotasks serve` or a variable {PREFIX}… of the"
            " environment."
        ) from None


def is_loopback(host: str) -> bool:
    """Whether an address is that of this machine for itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def lets_in(settings: ServiceSettings, headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Whether a request may come from where its headers say. An open service knows nobody, so it is not asked by pages:
    those of other sites, and those whose own name leads to loopback. Browsers say where a page is from; others do not.
    """
    if not settings.open:
        return True
    said = [(name, value.decode("latin-1")) for name, value in headers]
    hosts = [_host_of(value) for name, value in said if name == b"host"]
    if not hosts or not all(map(is_loopback, hosts)):
        return False
    origins = [value for name, value in said if name == b"origin"]
    if origins:
        return all(each in settings.sites or re.fullmatch(LOOPBACK_ORIGINS, each) for each in origins)
    # Images, frames and forms that a page loads have no origin. Who follows a link to the description may see it.
    fetched = dict(said)
    return fetched.get(b"sec-fetch-site") != "cross-site" or fetched.get(b"sec-fetch-dest") == "document"


def _host_of(header: str) -> str:
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0]


def memory_text(settings: ServiceSettings, *, kept_bytes: int) -> str:
    """What the budget of memory means, for the start and the log.

    :param kept_bytes: That a process keeps between requests, beside the budget.
    """
    return (
        f"{settings.memory_mb:,} MB for pixels: {settings.workers} x {settings.concurrent} requests at the same time,"
        f" bands of {settings.bytes_of_request / MEGABYTE:,.0f} MB each; beside them {settings.workers} x"
        f" {kept_bytes / MEGABYTE:,.0f} MB of what was read are kept"
    )
