"""The description of the interfaces as a page: of our own, since that of FastAPI loads scripts from other hosts."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "code{background:#eee;padding:.1em .3em}table{border-collapse:collapse}td,th{padding:.2em .8em;text-align:left}"
    "@media(prefers-color-scheme:dark){body{background:#111;color:#eee}code{background:#333}a{color:#8cf}}"
)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def router(description: Callable[[], dict[str, Any]]) -> APIRouter:
    """:param description: Gives the OpenAPI description."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/", response_class=HTMLResponse)
    @routes.get("/docs", response_class=HTMLResponse)
    def page() -> HTMLResponse:
        return HTMLResponse(page_of(description()), headers={"Content-Security-Policy": _POLICY})

    return routes


def page_of(description: dict[str, Any]) -> str:
    """The page of an OpenAPI description."""
    info = description["info"]
    parts = [_operation(path, method, operation) for path, method, operation in _operations(description)]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(info["title"])}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1><p>{escape(info.get('description', ''))}</p>"
        f'<p>For machines: <a href="openapi.json">openapi.json</a></p>{"".join(parts)}</body></html>'
    )


def _operations(description: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, operation)
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    ]


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    answers = "".join(
        f"<tr><td>{escape(status)}</td><td>{escape(answer.get('description', ''))}</td></tr>"
        for status, answer in operation.get("responses", {}).items()
    )
    text = operation.get("description") or operation.get("summary", "")
    return (
        f"<h2><code>{escape(method.upper())} {escape(path)}</code></h2><p>{escape(text)}</p>"
        f"<table><tr><th>status</th><th>answer</th></tr>{answers}</table>"
    )
