"""Whatever can be searched, from the one word that a user gives."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from eotasks.catalogue.api import StacApi
from eotasks.catalogue.store import Catalogue
from eotasks.errors import ConfigurationError
from eotasks.imagery.files.signing import Modifier
from eotasks.storage.location import is_web
from eotasks.text import redacted

_FILES = (".parquet", ".geoparquet")


def catalogue_of(
    source: str | os.PathLike[str] | Catalogue | StacApi, *, modifier: Modifier | str | None = None
) -> Catalogue | StacApi:
    """A catalogue from its file, or a STAC API from its address; either as it is.

    :param modifier: As of `StacApi`, for what is made here.
    :raises ConfigurationError: when it is neither, or has its modifier already.
    """
    if isinstance(source, Catalogue | StacApi):
        if modifier is not None:
            raise ConfigurationError(f"modifier: give it to {type(source).__name__}(...), which is there already.")
        return source
    text = os.fspath(source)
    refuse_web_file(text)
    return StacApi(text, modifier=modifier) if is_web(text) else Catalogue(text, modifier=modifier)


def refuse_web_file(location: str) -> None:
    """Refuse the file of a catalogue on the web, which is no STAC API and cannot be searched where it is.

    :raises ConfigurationError: says what to do.
    """
    if is_web(location) and urlsplit(location).path.rstrip("/").lower().endswith(_FILES):
        raise ConfigurationError(
            f"{redacted(location)} is the file of a catalogue, and no STAC API: download it first, or give it as s3://…."
        )
