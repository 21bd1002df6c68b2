"""Whatever can be searched, from the one word that a user gives."""

from __future__ import annotations

import os

from eotasks.catalogue.api import StacApi
from eotasks.catalogue.store import Catalogue
from eotasks.storage.location import is_web


def catalogue_of(source: str | os.PathLike[str] | Catalogue | StacApi) -> Catalogue | StacApi:
    """A catalogue from its file, or a STAC API from its address; either as it is.

    :raises ConfigurationError: when it is neither.
    """
    if isinstance(source, Catalogue | StacApi):
        return source
    text = os.fspath(source)
    return StacApi(text) if is_web(text) else Catalogue(text)
