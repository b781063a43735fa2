"""The handlers: a few lines each."""

import asyncio
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from pydantic_core import to_json

from app import errors
from app.http import answers, schemas
from app.http.accept import PredictQuery, accepted, read_key
from app.http.context import Outcome, context_of, note
from app.http.deadline import HEADER
from app.http.files import File
from app.http.operations import DocumentedRoute, Operation
from app.http.problems import document, problem, wording
from app.http.service import Service, service_of
from app.http.upload import FIELD
from app.model.registry import ServedModel
from app.serving.pipeline import Prediction, Stages
from app.serving.question import Question

api = APIRouter()
probes = APIRouter(tags=["probes"])

IMAGE = {"type": "string", "format": "binary", "description": "The image."}
IMAGES = {"type": "array", "items": IMAGE, "minItems": 1, "description": "The images: this field, repeated."}
DEADLINE = {
    "description": "A shorter deadline than the service's own, in milliseconds.",
    "schema": {"type": "integer", "minimum": 1, "maximum": 999_999_999},
}
LANGUAGE = {
    "description": "`zh` (by weight, as browsers send it): errors have `title` and `detail` in Chinese.",
    "schema": {"type": "string"},
    "example": "zh-CN,zh;q=0.9,en;q=0.8",
}
PREDICT_ERRORS = (
    errors.MissingFile,
    errors.MalformedRequest,
    errors.Unauthorized,
    errors.ModelNotFound,
    errors.UploadTimeout,
    errors.MisdirectedRequest,
    errors.PayloadTooLarge,
    errors.TooManyPixels,
    errors.TooCostly,
    errors.UnsupportedMediaType,
    errors.UndecodableImage,
    errors.InvalidParameter,
    errors.EvaluationTooLarge,
    errors.QueueFull,
    errors.TooManyRequests,
    errors.InternalError,
    errors.NotReady,
    errors.Draining,
    errors.DeadlineExceeded,
)


def form_of(field: dict[str, Any]) -> dict[str, Any]:
    """The schema of a form that has the files in its one field."""
    return {"type": "object", "required": [FIELD], "properties": {FIELD: field}}


async def current_service(request: Request) -> Service:
    """A coroutine, since FastAPI would call a plain function on another thread."""
    return service_of(request)


async def given_key(
    request: Request,
    _header: Annotated[str | None, Security(APIKeyHeader(name="X-API-Key", auto_error=False))],
    _bearer: Annotated[HTTPAuthorizationCredentials | None, Security(HTTPBearer(auto_error=False))],
) -> str | None:
    """The other parameters are for the OpenAPI document."""
    return read_key(context_of(request.scope).headers)


TheService = Annotated[Service, Depends(current_service)]
GivenKey = Annotated[str | None, Depends(given_key)]


async def predict(request: Request) -> Response:
    """The most probable classes of an uploaded image, in English and Chinese.

    JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF and HEIC are understood, whatever the declared type. Of an animation the first
    frame is used. The classifier always answers with one of its classes: a low probability is its way of saying that
    it does not know.
    """
    service, context = service_of(request), context_of(request.scope)
    async with accepted(request, service.one_file) as (model, top_k, (file,), question):
        prediction = await _predict(service, file, model, top_k, question)
    note(request.scope, Outcome("ok", model.name, prediction.batch_size, prediction.stages))
    return _json(answers.prediction_response(context, model, prediction))


async def predict_batch(request: Request) -> Response:
    """As `POST /predict`, for several files in one request: one result or one problem per file, in order.

    A file that cannot be answered does not affect the others; the request fails as a whole only for what concerns all
    of it. Every image counts as one towards the service's limits, or as many as it has views.
    """
    service, context = service_of(request), context_of(request.scope)
    answered: list[Prediction] = []

    async def result_or_problem(file: File) -> schemas.FileResult | schemas.Problem:
        try:
            prediction = await _predict(service, file, model, top_k, question)
        except errors.ServiceError as error:
            return problem(error, context.request_id, wording(error, context.language))
        answered.append(prediction)
        return answers.file_result(context, model, prediction)

    async with accepted(request, service.many_files) as (model, top_k, files, question):
        results = await asyncio.gather(*map(result_or_problem, files))
    if answered:
        largest = max(prediction.batch_size for prediction in answered)
        longest = Stages(*map(max, zip(*(prediction.stages for prediction in answered), strict=True)))
        note(request.scope, Outcome("ok", model.name, largest, longest))
    return _json(answers.batch_response(context, model, results))


async def _predict(
    service: Service, file: File, model: ServedModel, top_k: int, question: Question | None
) -> Prediction:
    """Raises a ``ServiceError`` that says what was wrong with the file."""
    if isinstance(file, errors.ServiceError):
        raise file
    if question is not None:
        return await service.pipeline.evaluate(file, model, top_k, question)
    return await service.pipeline.predict(file, model, top_k)


def _json(answer: schemas.PredictionResponse | schemas.BatchResponse) -> Response:
    return Response(to_json(answer), media_type="application/json")


HEADERS = {HEADER: DEADLINE, "Accept-Language": LANGUAGE}
_operation = partial(Operation, tag="predict", query=PredictQuery, headers=HEADERS, errors=PREDICT_ERRORS)
predictions = [
    DocumentedRoute(
        "/predict",
        predict,
        _operation(
            name="predict",
            summary="Classify one image",
            content={"multipart/form-data": form_of(IMAGE), "image/*": IMAGE, "application/octet-stream": IMAGE},
            answer=schemas.PredictionResponse,
        ),
    ),
    DocumentedRoute(
        "/predict/batch",
        predict_batch,
        _operation(
            name="predict_batch",
            summary="Classify several images",
            content={"multipart/form-data": form_of(IMAGES)},
            answer=schemas.BatchResponse,
        ),
    ),
]


@api.get("/models", summary="List the served models", tags=["models"], responses=document(errors.Unauthorized))
async def list_models(service: TheService, key: GivenKey) -> schemas.ModelList:
    """Every served model, which one answers when a request names none, and which are there but cannot be served."""
    service.keys.check(key)
    return answers.model_list(service.pipeline.registry)


@api.get(
    "/models/{name}",
    summary="One model and its classes",
    response_model=schemas.ModelDetail,
    tags=["models"],
    responses=document(errors.Unauthorized, errors.ModelNotFound),
)
async def show_model(name: str, service: TheService, key: GivenKey) -> Response:
    """A served model with every class it can answer, in both languages."""
    service.keys.check(key)
    model = service.pipeline.registry.get(name)
    return Response(answers.model_detail_json(model), media_type="application/json")


@api.post(
    "/models/{name}/load",
    summary="Load or replace a model",
    tags=["models"],
    responses=document(
        errors.Unauthorized, errors.Forbidden, errors.ModelNotFound, errors.TooManyRequests, errors.NotReady
    ),
)
async def load_model(name: str, service: TheService, key: GivenKey) -> schemas.ModelInfo:
    """Serve a model that was prepared while the service runs. Needs an admin key.

    The model of that name which is being served answers until the new one is verified and warm; one that cannot be
    loaded changes nothing. One model is loaded at a time: who asks for the same one waits for it together, who asks for
    another one gets 429.
    """
    service.keys.check_admin(key)
    service.lifecycle.check_serving()
    return answers.model_info(await service.pipeline.inference.load(name))


@probes.head("/livez", include_in_schema=False)
@probes.get("/livez", summary="Is it up?")
async def livez() -> schemas.Live:
    """Always 200 while the process runs."""
    return {"status": "live"}


@probes.head("/readyz", include_in_schema=False)
@probes.get(
    "/readyz", summary="Is the service ready for traffic?", responses=document(errors.NotReady, errors.Draining)
)
async def readyz(service: TheService) -> schemas.Ready:
    """200 from the first warm forward pass until the service is told to stop."""
    service.lifecycle.check_ready()
    model = service.pipeline.registry.get()
    return {"status": "ready", "model": model.name, "fallback": model.fallback}


@probes.get(
    "/metrics",
    summary="Prometheus metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Text format 0.0.4."}},
)
async def metrics(service: TheService) -> Response:
    return Response(service.metrics.exposition(), media_type="text/plain; version=0.0.4")
