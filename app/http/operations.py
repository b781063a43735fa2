"""Routes that read their requests themselves, with what the OpenAPI document says of them.

FastAPI's reading of parameters costs more per request than all of the rest of the way from the socket to the decoder,
so what is hot goes without it: a plain route of starlette, its operation declared beside it.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, TypeAdapter
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

from app.errors import ServiceError
from app.http.problems import document

Schema = dict[str, Any]
Endpoint = Callable[[Request], Awaitable[Response]]
REFERENCE = "#/components/schemas/{model}"
EITHER_KEY: list[dict[str, list[str]]] = [{"APIKeyHeader": []}, {"HTTPBearer": []}]


@dataclass(frozen=True, slots=True)
class Operation:
    """``answer`` is the wire type of a 200; ``content`` maps the media types of a request's body to their schemas."""

    name: str
    tag: str
    summary: str
    query: type[BaseModel]
    headers: Mapping[str, Schema]
    content: Mapping[str, Schema]
    answer: Any
    errors: Sequence[type[ServiceError]]

    def describe(self, description: str) -> tuple[Schema, Schema]:
        """The operation, and the schemas that it refers to, by name."""
        answer = TypeAdapter(self.answer)
        references, definitions = TypeAdapter.json_schemas(
            [("answer", "serialization", answer)], ref_template=REFERENCE
        )
        reached = {
            "200": {
                "description": "Successful Response",
                "content": {"application/json": {"schema": references["answer", "serialization"]}},
            }
        }
        operation = {
            "tags": [self.tag],
            "summary": self.summary,
            "description": description,
            "operationId": self.name,
            "security": EITHER_KEY,
            "parameters": [*self._query_parameters(), *self._header_parameters()],
            "requestBody": {
                "required": True,
                "content": {media_type: {"schema": schema} for media_type, schema in self.content.items()},
            },
            "responses": reached | {str(status): response for status, response in document(*self.errors).items()},
        }
        return operation, definitions.get("$defs", {})

    def _query_parameters(self) -> list[Schema]:
        return [
            {"name": name, "in": "query", "required": False, "description": schema["description"], "schema": schema}
            for name, schema in self.query.model_json_schema()["properties"].items()
        ]

    def _header_parameters(self) -> list[Schema]:
        return [{"name": name, "in": "header", "required": False, **facts} for name, facts in self.headers.items()]


class DocumentedRoute(Route):
    """A ``POST`` whose operation is declared; its description is the endpoint's docstring."""

    def __init__(self, path: str, endpoint: Endpoint, operation: Operation) -> None:
        super().__init__(path, endpoint, methods=["POST"], name=operation.name)
        self.operation = operation

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """As FastAPI's own routes do, it leaves itself in the scope."""
        match, found = super().matches(scope)
        return match, {**found, "route": self}

    def describe(self) -> tuple[Schema, Schema]:
        return self.operation.describe(inspect.getdoc(self.endpoint) or "")
