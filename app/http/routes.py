"""The handlers: a few lines each."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response, Security
from fastapi.responses import RedirectResponse
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from app import errors
from app.http import schemas
from app.http.context import context_of
from app.http.deadline import HEADER, deadline, seconds_allowed, while_connected
from app.http.problems import document
from app.http.service import Service
from app.http.upload import FIELD, read_upload
from app.pipeline import choose_top_k

api = APIRouter()
probes = APIRouter(tags=["probes"])

BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [FIELD],
                    "properties": {FIELD: {"type": "string", "format": "binary", "description": "The image."}},
                }
            },
            "image/*": {"schema": {"type": "string", "format": "binary"}},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    },
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


def current_service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def given_key(
    header: Annotated[str | None, Security(APIKeyHeader(name="X-API-Key", auto_error=False))],
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(HTTPBearer(auto_error=False))],
) -> str | None:
    return header or (bearer.credentials if bearer else None)


TheService = Annotated[Service, Depends(current_service)]
GivenKey = Annotated[str | None, Depends(given_key)]


@api.post(
    "/predict",
    summary="Classify one image",
    tags=["predict"],
    response_model=schemas.PredictionResponse,
    responses=document(
        errors.MissingFile, errors.MalformedRequest, errors.Unauthorized, errors.ModelNotFound, errors.UploadTimeout,
        errors.PayloadTooLarge, errors.TooManyPixels, errors.UnsupportedMediaType, errors.UndecodableImage,
        errors.InvalidParameter, errors.QueueFull, errors.TooManyRequests, errors.InternalError, errors.NotReady,
        errors.Draining, errors.DeadlineExceeded,
    ),
    openapi_extra=BODY,
)  # fmt: skip
async def predict(
    request: Request,
    service: TheService,
    key: GivenKey,
    model: Annotated[str | None, Query(description="A served model; default: the service's default model.")] = None,
    top_k: Annotated[
        int | None, Query(ge=1, description="How many classes; default: 5, or all if there are fewer.")
    ] = None,
) -> Response:
    """The most probable classes of an uploaded image, in English and Chinese.

    JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF and HEIC are understood, decided by content. Of anything animated the first
    frame counts. The classifier always answers with one of its classes: a low probability is its way to say that it
    does not know.
    """
    context = context_of(request.scope)
    caller = service.keys.check(key)
    seconds = seconds_allowed(request.headers.get(HEADER), service.settings.request_timeout_s)
    with service.admission.admit(caller):
        served = service.pipeline.registry.get(model)
        context.model = served.name
        classes = choose_top_k(top_k, served)
        async with deadline(seconds):
            settings = service.settings
            data = await read_upload(request, settings.max_upload_bytes, settings.upload_timeout_s)
            async with while_connected(request.receive):
                prediction = await service.pipeline.predict(data, served, classes, context.timing)
    context.batch_size = prediction.batch_size
    answer = schemas.prediction_response(context.request_id, prediction, context.timing)
    return Response(answer.model_dump_json(), media_type="application/json")


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


@probes.get("/livez", summary="Is the process up?")
async def livez() -> schemas.Live:
    """Always 200 while the process runs."""
    return schemas.Live()


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
