"""What every prediction request goes through before its images are looked at: key, place, model, deadline, upload."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import NamedTuple

from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.errors import InvalidParameter
from app.http.context import context_of
from app.http.deadline import HEADER, deadline, seconds_allowed, while_connected
from app.http.service import Service
from app.http.upload import UploadLimits, read_uploads
from app.model.registry import ServedModel
from app.serving.pipeline import choose_top_k


class DirectRoute(APIRoute):
    """FastAPI documents the endpoint from its signature; per request it is called without its dependency machinery.

    That machinery costs more than all of the rest of the way from the socket to the decoder.
    """

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.methods is not None and scope["method"] not in self.methods:
            await super().handle(scope, receive, send)
            return
        request = Request(scope, receive, send)
        service: Service = request.app.state.service
        headers = context_of(scope).headers
        query = read_query(scope["query_string"])
        response: Response = await self.endpoint(request, service, read_key(headers), query)
        await response(scope, receive, send)


def read_key(headers: Mapping[str, str]) -> str | None:
    """The key of an ``X-API-Key`` header or a bearer token."""
    given = headers.get("x-api-key")
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return given or (token.strip() if scheme.lower() == "bearer" else None)


@lru_cache(maxsize=64)
def read_query(query_string: bytes) -> "PredictQuery":
    """Raises ``InvalidParameter``. Clients ask the same again and again, most of them nothing."""
    try:
        return PredictQuery.model_validate(dict(QueryParams(query_string)))
    except ValidationError as error:
        raise InvalidParameter("; ".join(f"{fault['loc'][-1]}: {fault['msg']}" for fault in error.errors())) from error


class PredictQuery(BaseModel):
    """What a prediction request may ask for in its query string; anything else is refused rather than ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str | None = Field(None, description="A served model; default: the service's default model.")
    top_k: int | None = Field(None, ge=1, description="How many classes; default: 5, or all if there are fewer.")


class Accepted(NamedTuple):
    model: ServedModel
    top_k: int
    files: list[bytes]


@asynccontextmanager
async def accepted(
    request: Request, service: Service, key: str | None, query: PredictQuery, limits: UploadLimits
) -> AsyncIterator[Accepted]:
    """Hold a place while a request is read and answered; what is inside is cancelled when nobody waits any more.

    Raises the ``ServiceError`` of whatever stands in the way, the cheapest to find out first.
    """
    context = context_of(request.scope)
    caller = service.keys.check(key)
    seconds = seconds_allowed(context.headers.get(HEADER.lower()), service.settings.request_timeout_s)
    with service.admission.admit(caller, limits.expected_bytes(context.headers)) as place:
        model = service.pipeline.registry.get(query.model)
        context.model = model.name
        top_k = choose_top_k(query.top_k, model)
        async with deadline(seconds):
            files = await read_uploads(context.headers, request.receive, limits)
            service.admission.arrive(place)
            with service.admission.room_for(len(files) - 1):
                async with while_connected(request.receive):
                    yield Accepted(model, top_k, files)
