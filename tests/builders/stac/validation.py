"""Validation by the schemas of STAC and of its extensions, without a network.

Those of the core are in the wheel of pystac, those of the extensions in `schemas`, as they are published.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pystac
from pystac.validation.stac_validator import JsonSchemaSTACValidator

FOLDER = Path(__file__).parent / "schemas"

_KINDS = {
    "Feature": pystac.STACObjectType.ITEM,
    "Catalog": pystac.STACObjectType.CATALOG,
    "Collection": pystac.STACObjectType.COLLECTION,
}


@cache
def extension_schemas() -> dict[str, Path]:
    """Files of schemas by the identifiers of their extensions."""
    files = sorted(FOLDER.glob("*.json"))
    return {json.loads(file.read_text())["$id"].removesuffix("#"): file for file in files}


@cache
def _validator() -> JsonSchemaSTACValidator:
    validator = JsonSchemaSTACValidator()
    validator.schema_cache |= {uri: json.loads(file.read_text()) for uri, file in extension_schemas().items()}
    return validator


def core_schemas() -> dict[str, dict[str, Any]]:
    """Schemas of the core by their addresses."""
    return {uri: schema for uri, schema in _validator().schema_cache.items() if uri not in extension_schemas()}


def validate(content: Mapping[str, Any]) -> int:
    """An item, a catalogue or a collection; gives the number of schemas that it is valid by.

    :raises pystac.STACValidationError: when it is not.
    :raises pystac.validation.stac_validator.GetSchemaError: when it names an extension whose schema is not here.
    """
    found = _validator().validate(
        dict(content), _KINDS[content["type"]], content["stac_version"], content.get("stac_extensions", [])
    )
    return len(found)
