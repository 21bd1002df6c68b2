"""The client of the sentinelhub package, made to last: one bad answer is one failure, and costs no other answer.

Its own client gives up on all requests with the first that fails, takes whatever it finds in its folder of kept answers
for whole, and ends with a ValueError when a rate limit is told other than by the service's integer of milliseconds.
"""

from __future__ import annotations

import contextlib
import email.utils
import logging
import shutil
import tarfile
import time
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sentinelhub.download.models import DownloadRequest
from sentinelhub.download.rate_limit import SentinelHubRateLimit
from sentinelhub.download.sentinelhub_client import SentinelHubDownloadClient
from sentinelhub.exceptions import BaseSentinelHubException, DownloadFailedException, SHRateLimitWarning
from tifffile import TiffFileError

from eotasks.text import register_secret, whole_number

LOGGER = logging.getLogger(__name__)

_UNDECODABLE = (
    tarfile.TarError, TiffFileError, zlib.error, EOFError, KeyError, ValueError, IndexError, TypeError, RuntimeError,
    FileNotFoundError,
)  # fmt: skip
"""What decoders raise for an answer that is cut off or something else, and the client for one kept by half."""


@dataclass(frozen=True)
class Failure:
    """A request that came to nothing."""

    error: Exception


class PatientRateLimit(SentinelHubRateLimit):
    """The service's own waiting times; those of a proxy between it and us are understood too."""

    def update(self, headers: Mapping[str, Any], *, default: float) -> None:
        """Wait as long as an answer asks for: milliseconds from the service, else a time as HTTP has it."""
        said = headers.get(self.RETRY_HEADER)
        super().update({} if said is None else {self.RETRY_HEADER: milliseconds(str(said), default)}, default=default)


def milliseconds(said: str, default: float) -> int:
    """How long to wait: an integer is milliseconds (the service), a fraction seconds, and a date is a date.

    :param default: For what is none of these.
    """
    text = said.strip()
    whole = whole_number(text)
    if whole is not None:
        return whole
    with contextlib.suppress(ValueError, OverflowError):
        return max(int(float(text) * 1000), 0)
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        return max(int((email.utils.parsedate_to_datetime(text).timestamp() - time.time()) * 1000), 0)
    return int(default)


@contextlib.contextmanager
def quiet_waiting() -> Iterator[None]:
    """A client that is told to wait does so: nothing that a user had to do, or be warned of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SHRateLimitWarning)
        yield


class PatientClient(SentinelHubDownloadClient):
    """The client, waiting as long as it is told to in whatever form.

    :param options: Those of SentinelHubDownloadClient.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.rate_limit = PatientRateLimit(num_processes=self.config.number_of_download_processes)

    def _get_session_headers(self) -> dict[str, Any]:
        """As the client has them; the token in them is never printed, whatever a service says of it."""
        headers: dict[str, Any] = super()._get_session_headers()
        register_secret(*(str(value).rpartition(" ")[2] for value in headers.values()))
        return headers


class LastingClient(PatientClient):
    """A client whose answers are arrays by name, or what went wrong."""

    def fetch(
        self, requests: Sequence[DownloadRequest], *, max_threads: int | None = None
    ) -> list[dict[str, Any] | Failure]:
        """All answers, in the order of the requests. What is kept in the requests' folder is not asked for again.

        :return: For each request its outputs by name (without file ending), or what went wrong.
        :raises OAuth2Error: when the credentials are refused.
        """
        with quiet_waiting():
            answers: list[dict[str, Any] | Failure] = self.download(requests, max_threads=max_threads)
        return answers

    def _single_download_decoded(self, request: DownloadRequest) -> dict[str, Any] | Failure:
        try:
            return self._decoded(request)
        except (BaseSentinelHubException, OSError, *_UNDECODABLE) as error:
            return Failure(error)

    def _decoded(self, request: DownloadRequest) -> dict[str, Any]:
        """The answer, asked for once more where it (or what was kept of it) is damaged."""
        try:
            return self._outputs(request)
        except _UNDECODABLE as error:
            LOGGER.info("An answer was damaged (%s: %s) and is fetched again.", type(error).__name__, error)
        forget(request)
        try:
            return self._outputs(request)
        except _UNDECODABLE as error:
            forget(request)
            raise DownloadFailedException(f"the answer is damaged, twice ({type(error).__name__}: {error})") from error

    def _outputs(self, request: DownloadRequest) -> dict[str, Any]:
        response = self._single_download(request)
        if response is None:
            raise ValueError("no answer")
        return checked_outputs(response.decode(), request.post_values or {})


def checked_outputs(data: Any, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Outputs by name; of images the size is compared with what was asked for.

    :raises ValueError: when one is missing, or of another size.
    """
    output = payload.get("output", {})
    names = [str(response["identifier"]) for response in output.get("responses", ())]
    if not isinstance(data, Mapping):
        data = {f"{names[0]}.tif": data}
    wanted = (output["height"], output["width"])
    outputs: dict[str, Any] = {}
    for name in names:
        values = np.asarray(data[f"{name}.tif"])
        if values.shape[:2] != wanted:
            raise ValueError(f"{name} is {values.shape[:2]}, asked for {wanted}")
        outputs[name] = values
    return outputs


def forget(request: DownloadRequest) -> None:
    """Remove what is kept of an answer."""
    request_path, _ = request.get_storage_paths()
    if request_path is not None:
        shutil.rmtree(Path(request_path).parent, ignore_errors=True)
