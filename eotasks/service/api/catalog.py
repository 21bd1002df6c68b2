"""The Catalog API: which products there are, as clients of Sentinel Hub search for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from eotasks.documents import first_problem
from eotasks.service.api.body import described, read_body
from eotasks.service.catalog.collections import STAC_VERSION, all_collections
from eotasks.service.catalog.collections import described as described_collection
from eotasks.service.catalog.features import Links, chosen, feature_of
from eotasks.service.catalog.filters import QUERYABLES
from eotasks.service.catalog.search import Page, item_named, page_of, search_of
from eotasks.service.contract.catalog import CatalogSearch, search_document
from eotasks.service.errors import NotFoundError, RequestError
from eotasks.service.pixels.collections import collection_of
from eotasks.service.services import Services
from eotasks.text import excerpt

PATH = "/api/v1/catalog/1.0.0"

CONFORMS_TO = [
    "https://api.stacspec.org/v1.0.0/core",
    "https://api.stacspec.org/v1.0.0/collections",
    "https://api.stacspec.org/v1.0.0/ogcapi-features",
    "https://api.stacspec.org/v1.0.0/item-search",
    "https://api.stacspec.org/v1.0.0/item-search#fields",
    "https://api.stacspec.org/v1.0.0/item-search#context",
    "https://api.stacspec.org/v1.0.0/item-search#filter",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/oas30",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/filter",
    "http://www.opengis.net/spec/cql2/1.0/conf/cql2-text",
    "http://www.opengis.net/spec/cql2/1.0/conf/cql2-json",
]

_GEOJSON, _SCHEMA = "application/geo+json", "application/schema+json"
_OF_ITEMS = frozenset({"bbox", "datetime", "limit", "next"})
_PARAMETERS = {
    "collections": "Ids of collections, separated by commas.",
    "datetime": "A time, or two with / between them; .. leaves an end open.",
    "bbox": "West, south, east, north, in degrees.",
    "intersects": "GeoJSON in degrees, instead of bbox.",
    "ids": "Ids of items, separated by commas.",
    "filter": "CQL2: eo:cloud_cover < 80.",
    "filter-lang": "cql2-text or cql2-json.",
    "filter-crs": "Degrees only.",
    "fields": "Names separated by commas; those after - are left out.",
    "distinct": "The values of a property instead of features: date.",
    "limit": "Features of an answer, 1 to 100.",
    "next": "What the answer before gave as context.next.",
}


def router(services: Services) -> APIRouter:
    """Its routes."""
    links = Links(f"{services.settings.url}{PATH}")
    routes = APIRouter(prefix=PATH, tags=["Catalog"])
    allowed = [Depends(services.access.requires("catalog"))]

    def add(path: str, endpoint: Callable[..., Any], summary: str, **options: Any) -> None:
        """A route; clients write addresses with and without a slash at their end."""
        routes.add_api_route(path or "/", endpoint, summary=summary, **options)
        other = "" if not path else f"{path}/"
        routes.add_api_route(other, endpoint, include_in_schema=False, **options)

    async def landing() -> Response:
        return JSONResponse(_landing(links))

    async def conformance() -> Response:
        return JSONResponse({"conformsTo": CONFORMS_TO})

    async def collections() -> Response:
        found = [described_collection(each, _links_of(each.id, links)) for each in all_collections()]
        return JSONResponse({"collections": found, "links": [links.to("root"), links.to("self", "/collections")]})

    async def collection(collection_id: str) -> Response:
        found = collection_of(collection_id)
        return JSONResponse(described_collection(found, _links_of(found.id, links)))

    async def queryables(collection_id: str) -> Response:
        return JSONResponse(_queryables(collection_of(collection_id).id, links), media_type=_SCHEMA)

    async def items(collection_id: str, request: Request) -> Response:
        name = collection_of(collection_id).id
        unknown = sorted(set(request.query_params) - _OF_ITEMS)
        if unknown:
            raise RequestError(f"{excerpt(unknown[0])} is not known here: known are {', '.join(sorted(_OF_ITEMS))}.")
        asked = _model({**search_document(request.query_params), "collections": [name]})
        return await answered(request, asked, f"/collections/{name}/items", dict(request.query_params))

    async def item(collection_id: str, item_id: str, request: Request) -> Response:
        found = collection_of(collection_id)
        product = await services.lookups_for(request).run(lambda: item_named(item_id, found, services.search))
        if product is None:
            raise NotFoundError(f"{found.id} has no item {excerpt(item_id)}.")
        return JSONResponse(feature_of(product, found, links), media_type=_GEOJSON)

    async def search(request: Request) -> Response:
        return await answered(request, await read_body(request, CatalogSearch, services.settings), "/search", None)

    async def search_by_address(request: Request) -> Response:
        asked = _model(search_document(request.query_params))
        return await answered(request, asked, "/search", dict(request.query_params))

    async def answered(
        request: Request, asked: CatalogSearch, path: str, parameters: dict[str, str] | None
    ) -> Response:
        content = await services.lookups_for(request).run(lambda: _found(services, asked, links, path, parameters))
        return JSONResponse(content, media_type=_GEOJSON)

    add("", landing, "What the API is", operation_id="catalog")
    add("/conformance", conformance, "What it conforms to", operation_id="conformance")
    add("/collections", collections, "All collections", dependencies=allowed, operation_id="collections")
    add("/collections/{collection_id}", collection, "A collection", dependencies=allowed, operation_id="collection")
    add(
        "/collections/{collection_id}/queryables",
        queryables,
        "What filters may name",
        dependencies=allowed,
        operation_id="queryables",
    )
    add(
        "/collections/{collection_id}/items",
        items,
        "Products of a collection",
        dependencies=allowed,
        openapi_extra=_parameters(*_OF_ITEMS),
        operation_id="items",
    )
    add(
        "/collections/{collection_id}/items/{item_id:path}",
        item,
        "A product",
        dependencies=allowed,
        operation_id="item",
    )
    add(
        "/search",
        search_by_address,
        "Search for products",
        methods=["GET"],
        dependencies=allowed,
        openapi_extra=_parameters(*_PARAMETERS),
        operation_id="search_by_address",
    )
    add(
        "/search",
        search,
        "Search for products",
        methods=["POST"],
        dependencies=allowed,
        openapi_extra=described(CatalogSearch),
        operation_id="search",
    )
    return routes


def _found(
    services: Services, asked: CatalogSearch, links: Links, path: str, parameters: dict[str, str] | None
) -> dict[str, Any]:
    """The answer to a search: features, or the values of a property.

    :param parameters: Of the address, for the link to the next page; None where the search was in a body.
    """
    search = search_of(asked)
    page = page_of(search, services.search)
    features = (
        [chosen(feature_of(item, collection, links), asked.fields) for item, collection in page.found]
        if search.distinct is None
        else page.found
    )
    context: dict[str, Any] = {"limit": search.limit, "returned": len(features)}
    if page.next is not None:
        context["next"] = page.next
    told = [links.to("root"), links.to("self", path, _GEOJSON), *_next(page, links, path, parameters)]
    return {"type": "FeatureCollection", "features": features, "links": told, "context": context}


def _next(page: Page, links: Links, path: str, parameters: dict[str, str] | None) -> list[dict[str, Any]]:
    if page.next is None:
        return []
    if parameters is None:
        link = links.to("next", path, _GEOJSON, title="Next set of results", method="POST")
        return [{**link, "body": {"next": page.next}, "merge": True}]
    query = urlencode({**parameters, "next": page.next})
    return [links.to("next", f"{path}?{query}", _GEOJSON, title="Next set of results")]


def _model(document: dict[str, Any]) -> CatalogSearch:
    try:
        return CatalogSearch.model_validate(document)
    except ValidationError as error:
        raise RequestError(f"{first_problem(error, 'search')}.") from None


def _landing(links: Links) -> dict[str, Any]:
    return {
        "type": "Catalog",
        "stac_version": STAC_VERSION,
        "id": "eotasks",
        "title": "Products of this service",
        "description": "Sentinel-2 products whose pixels and cloud masks this service has.",
        "conformsTo": CONFORMS_TO,
        "links": [
            links.to("root"),
            links.to("self"),
            links.to("data", "/collections"),
            links.to("conformance", "/conformance"),
            links.to("search", "/search", _GEOJSON, method="GET"),
            links.to("search", "/search", _GEOJSON, method="POST"),
            *(links.to("child", f"/collections/{each.id}", title=each.title) for each in all_collections()),
        ],
    }


def _links_of(name: str, links: Links) -> list[dict[str, Any]]:
    home = f"/collections/{name}"
    return [
        links.to("root"),
        links.to("self", home),
        links.to("parent"),
        links.to("items", f"{home}/items", _GEOJSON),
        links.to("http://www.opengis.net/def/rel/ogc/1.0/queryables", f"{home}/queryables", _SCHEMA),
    ]


def _queryables(name: str, links: Links) -> dict[str, Any]:
    return {
        "$schema": "https://json-schema.org/draft/2019-09/schema",
        "$id": links.to("self", f"/collections/{name}/queryables")["href"],
        "type": "object",
        "title": f"What filters of {name} may name",
        "properties": {
            key: {"type": "number" if kind is float else "string", "description": key}
            for key, kind in QUERYABLES.items()
        },
        "additionalProperties": False,
    }


def _parameters(*names: str) -> dict[str, Any]:
    """`openapi_extra` of what is behind the question mark of an address."""
    return {
        "parameters": [
            {
                "name": name,
                "in": "query",
                "required": name == "collections",
                "description": text,
                "schema": {"type": "integer" if name in ("limit", "next") else "string"},
            }
            for name, text in _PARAMETERS.items()
            if name in names
        ]
    }
