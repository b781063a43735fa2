"""``/docs`` and ``/openapi.json``. The page's script, style and icon come from a package: nothing leaves the host."""

import hashlib
import re
from base64 import b64encode
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse
from pydantic import TypeAdapter
from starlette.staticfiles import StaticFiles

from app.errors import ServiceError
from app.http.operations import REFERENCE, DocumentedRoute
from app.http.schemas import Problem
from app.http.service import Service
from app.http.upload import FIELD

ERRORS: list[type[ServiceError]] = [ServiceError, *ServiceError.__subclasses__()]
CODES = sorted({error.code for error in ERRORS})
HEADERS = {
    "X-Request-ID": {
        "description": "The request's id; the caller's own, if one was sent.",
        "schema": {"type": "string"},
    },
    "Server-Timing": {"description": "Milliseconds per stage.", "schema": {"type": "string"}},
}


def install_docs(app: FastAPI) -> None:
    """Serve the page and its assets, with addresses relative to it, so that it works behind any proxy path."""
    app.mount("/docs-assets", StaticFiles(packages=[("fastapi_swagger", "resources")]), name="docs-assets")
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]  # FastAPI's documented way to extend it

    page = get_swagger_ui_html(
        openapi_url="openapi.json",
        title=app.title,
        swagger_js_url="docs-assets/swagger-ui-bundle.js",
        swagger_css_url="docs-assets/swagger-ui.css",
        swagger_favicon_url="docs-assets/favicon-32x32.png",
        swagger_ui_parameters={"tryItOutEnabled": True, "displayRequestDuration": True},
    ).body
    headers = {"Content-Security-Policy": policy_of(bytes(page)), "Referrer-Policy": "no-referrer"}

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(page, headers=headers)


def policy_of(page: bytes) -> str:
    """A Content-Security-Policy that lets a page do what it does, and be framed by nobody.

    Its inline scripts are named by their digests; Swagger UI styles elements one by one, and draws from ``data:``.
    """
    inline = re.findall(rb"<script>(.*?)</script>", page, re.DOTALL)
    digests = [f"'sha256-{b64encode(hashlib.sha256(script).digest()).decode()}'" for script in inline]
    return "; ".join(
        [
            "default-src 'none'",
            " ".join(["script-src 'self'", *digests]),
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title, version=app.version, summary=app.summary, description=app.description, routes=app.routes
        )
        for route in reversed(app.routes):
            if isinstance(route, DocumentedRoute):
                _put_first(route, schema)
        _add_schemas(schema, {"Problem": TypeAdapter(Problem).json_schema(ref_template=REFERENCE)})
        schema["components"]["schemas"]["Problem"]["properties"]["code"]["enum"] = CODES
        _drop_validation_errors(schema)
        _describe_headers(schema)
        _describe_batch(schema, app.state.service)
        app.openapi_schema = schema
    return app.openapi_schema


def _put_first(route: DocumentedRoute, schema: dict[str, Any]) -> None:
    """FastAPI does not know of these, and they are what people come for."""
    operation, definitions = route.describe()
    schema["paths"] = {route.path: {"post": operation}} | schema["paths"]
    _add_schemas(schema, definitions)


def _add_schemas(schema: dict[str, Any], definitions: dict[str, Any]) -> None:
    schemas = schema["components"]["schemas"]
    for name, definition in definitions.items():
        assert schemas.setdefault(name, definition) == definition, f"two schemas are called {name}"
    schema["components"]["schemas"] = dict(sorted(schemas.items()))


def _describe_headers(schema: dict[str, Any]) -> None:
    for path in schema["paths"].values():
        for operation in path.values():
            for response in operation["responses"].values():
                response["headers"] = HEADERS | response.get("headers", {})


def _describe_batch(schema: dict[str, Any], service: Service) -> None:
    """How many files a request may have is a setting."""
    form = schema["paths"]["/predict/batch"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    form["properties"][FIELD] |= {"maxItems": service.many_files.max_files}


def _drop_validation_errors(schema: dict[str, Any]) -> None:
    """FastAPI documents its own form of 422 wherever there is a parameter; ours leave as problems or not at all."""
    for path in schema["paths"].values():
        for operation in path.values():
            if "application/json" in operation["responses"].get("422", {}).get("content", {}):
                del operation["responses"]["422"]
    for name in ("HTTPValidationError", "ValidationError"):
        schema["components"]["schemas"].pop(name, None)
