"""The handlers: a few lines each."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response, Security
from fastapi.responses import RedirectResponse
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from pydantic_core import to_json

from app import errors
from app.http import schemas
from app.http.accept import DirectRoute, PredictQuery, accepted, read_key
from app.http.context import context_of
from app.http.deadline import HEADER
from app.http.problems import document, problem
from app.http.service import Service
from app.http.upload import FIELD
from app.serving.pipeline import Timing

api = APIRouter()
predictions = APIRouter(tags=["predict"], route_class=DirectRoute)
probes = APIRouter(tags=["probes"])

IMAGE = {"type": "string", "format": "binary", "description": "The image."}
PREDICT_ERRORS = document(
    errors.MissingFile, errors.MalformedRequest, errors.Unauthorized, errors.ModelNotFound, errors.UploadTimeout,
    errors.PayloadTooLarge, errors.TooManyPixels, errors.UnsupportedMediaType, errors.UndecodableImage,
    errors.InvalidParameter, errors.QueueFull, errors.TooManyRequests, errors.InternalError, errors.NotReady,
    errors.Draining, errors.DeadlineExceeded,
)  # fmt: skip


def describe_body(field: dict[str, Any], **others: dict[str, Any]) -> dict[str, Any]:
    """The parts of the OpenAPI document that FastAPI cannot see: handlers read bodies and one header themselves."""
    form = {"type": "object", "required": [FIELD], "properties": {FIELD: field}}
    return {
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": form}, **others}},
        "parameters": [
            {
                "name": HEADER,
                "in": "header",
                "required": False,
                "description": "A shorter deadline than the service's own, in milliseconds.",
                "schema": {"type": "integer", "minimum": 1, "maximum": 999_999_999},
            }
        ],
    }


async def current_service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


async def given_key(
    request: Request,
    _header: Annotated[str | None, Security(APIKeyHeader(name="X-API-Key", auto_error=False))],
    _bearer: Annotated[HTTPAuthorizationCredentials | None, Security(HTTPBearer(auto_error=False))],
) -> str | None:
    """The other parameters are for the OpenAPI document."""
    return read_key(context_of(request.scope).headers)


TheService = Annotated[Service, Depends(current_service)]
TheQuery = Annotated[PredictQuery, Query()]
GivenKey = Annotated[str | None, Depends(given_key)]


@predictions.post(
    "/predict",
    summary="Classify one image",
    response_model=schemas.PredictionResponse,
    responses=PREDICT_ERRORS,
    openapi_extra=describe_body(IMAGE, **{"image/*": {"schema": IMAGE}, "application/octet-stream": {"schema": IMAGE}}),
)
async def predict(request: Request, service: TheService, key: GivenKey, query: TheQuery) -> Response:
    """The most probable classes of an uploaded image, in English and Chinese.

    JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF and HEIC are understood, decided by content. Of anything animated the first
    frame counts. The classifier always answers with one of its classes: a low probability is its way to say that it
    does not know.
    """
    context, limits = context_of(request.scope), service.one_file
    async with accepted(request, service, key, query, limits) as (model, top_k, (data,)):
        limits.check_file(data)
        prediction = await service.pipeline.predict(data, model, top_k, context.timing)
    context.batch_size = prediction.batch_size
    answer = schemas.prediction_answer(context.request_id, prediction, context.timing)
    return Response(to_json(answer), media_type="application/json")


@predictions.post(
    "/predict/batch",
    summary="Classify several images",
    response_model=schemas.BatchResponse,
    responses=PREDICT_ERRORS,
    openapi_extra=describe_body({"type": "array", "items": IMAGE, "description": "The images: this field, repeated."}),
)
async def predict_batch(request: Request, service: TheService, key: GivenKey, query: TheQuery) -> Response:
    """As `POST /predict`, for several files in one request: one result or one problem per file, in order.

    A file that cannot be answered harms none of the others; the request fails as a whole only for what concerns all of
    it. Every image counts as one towards the service's limits.
    """
    context, limits = context_of(request.scope), service.many_files

    async def result_or_problem(data: bytes) -> dict[str, Any]:
        timing = Timing()
        try:
            limits.check_file(data)
            return schemas.file_result(await service.pipeline.predict(data, model, top_k, timing), timing)
        except errors.ServiceError as error:
            return problem(error, context.request_id).model_dump()

    async with accepted(request, service, key, query, limits) as (model, top_k, files):
        results = await asyncio.gather(*map(result_or_problem, files))
    return Response(to_json(schemas.batch_answer(context.request_id, model, results)), media_type="application/json")


@api.get("/models", summary="What is served", tags=["models"], responses=document(errors.Unauthorized))
async def list_models(service: TheService, key: GivenKey) -> schemas.ModelList:
    """Every served model, and which one answers when a request names none."""
    service.keys.check(key)
    registry = service.pipeline.registry
    return schemas.ModelList(default=registry.default, models=[schemas.model_info(model) for model in registry.all()])


@api.get(
    "/models/{name}",
    summary="One model and its classes",
    tags=["models"],
    responses=document(errors.Unauthorized, errors.ModelNotFound),
)
async def show_model(name: str, service: TheService, key: GivenKey) -> schemas.ModelDetail:
    """A served model with every class it can answer, in both languages."""
    service.keys.check(key)
    return schemas.model_detail(service.pipeline.registry.get(name))


@api.post(
    "/models/{name}/load",
    summary="Load or replace a model",
    tags=["models"],
    responses=document(errors.Unauthorized, errors.Forbidden, errors.ModelNotFound, errors.NotReady),
)
async def load_model(name: str, service: TheService, key: GivenKey) -> schemas.ModelInfo:
    """Serve a model that was prepared while the service runs. Only with an API key configured.

    The model of that name which is being served answers until the new one is verified and warm; one that cannot be
    loaded changes nothing.
    """
    service.keys.check_management(key)
    service.lifecycle.check_serving()
    return schemas.model_info(await service.load(name))


@probes.head("/livez", include_in_schema=False)
@probes.get("/livez", summary="Is the process up?")
async def livez() -> schemas.Live:
    """Always 200 while the process runs."""
    return schemas.Live()


@probes.head("/readyz", include_in_schema=False)
@probes.get("/readyz", summary="May traffic be sent here?", responses=document(errors.NotReady, errors.Draining))
async def readyz(service: TheService) -> schemas.Ready:
    """200 from the first warm forward pass until the service is told to stop."""
    service.lifecycle.check_ready()
    model = service.pipeline.registry.get()
    return schemas.Ready(model=model.name, fallback=model.fallback)


@probes.get(
    "/metrics",
    summary="Prometheus metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Text format 0.0.4."}},
)
async def metrics(service: TheService) -> Response:
    return Response(service.metrics.exposition(), media_type="text/plain; version=0.0.4")


@api.get("/", include_in_schema=False)
async def root() -> Any:
    return RedirectResponse("docs")
