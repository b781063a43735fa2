"""What every prediction request goes through before its images are looked at: key, place, model, deadline, upload."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from pydantic import BaseModel, Field
from starlette.requests import Request

from app.http.context import context_of
from app.http.deadline import HEADER, deadline, seconds_allowed, while_connected
from app.http.service import Service
from app.http.upload import UploadLimits, read_uploads
from app.model.registry import ServedModel
from app.pipeline import choose_top_k


class PredictQuery(BaseModel):
    """What a prediction request may ask for in its query string."""

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
    caller = service.keys.check(key)
    seconds = seconds_allowed(request.headers.get(HEADER), service.settings.request_timeout_s)
    with service.admission.admit(caller, limits.expected_bytes(request)) as place:
        model = service.pipeline.registry.get(query.model)
        context_of(request.scope).model = model.name
        top_k = choose_top_k(query.top_k, model)
        async with deadline(seconds):
            files = await read_uploads(request, limits)
            service.admission.arrive(place)
            with service.admission.room_for(len(files) - 1):
                async with while_connected(request.receive):
                    yield Accepted(model, top_k, files)
