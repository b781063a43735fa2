"""Builds and wires everything; the only place that does."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from importlib.metadata import version

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from app.errors import ModelError, ModelNotFound, NotReady, ServiceError, UnknownModel
from app.http import docs, problems, routes
from app.http.admission import Admission
from app.http.auth import KeyRing
from app.http.middleware import RequestMiddleware
from app.http.service import Service
from app.http.upload import UploadLimits
from app.model.registry import Candidate, Item, Registry, ServedModel, check, run
from app.model.selection import Selection, select_models
from app.serving.batcher import Batcher
from app.serving.gpu import watch_gpus
from app.serving.lifecycle import Lifecycle, State
from app.serving.metrics import Metrics
from app.serving.pipeline import Pipeline
from app.settings import Settings

logger = logging.getLogger(__name__)

Loader = Callable[[str], ServedModel]
DESCRIPTION = """
Send a photograph to `POST /predict`, get the most probable ImageNet classes with their names in English and Chinese.

Every error is `application/problem+json` with a stable `code`; every response carries `X-Request-ID` and
`Server-Timing`. On 429 wait for `Retry-After` seconds.
"""


def torch_loader(settings: Settings) -> Loader:
    """The real loader. torch is imported on the first call, in its thread: importing it takes seconds, and ``/livez``
    answers meanwhile."""

    def load(name: str) -> ServedModel:
        from app.model.load import load_model  # noqa: PLC0415

        return load_model(name, settings)

    return load


def create_app(settings: Settings, load: Loader | None = None, selection: Selection | None = None) -> FastAPI:
    """The application. ``load`` and ``selection`` can be given by who brings networks of their own.

    Raises ``ModelError`` when a model that must be served is not prepared.
    """
    selection = selection or select_models(settings)
    service = build_service(settings, load or torch_loader(settings), selection)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.pipeline.start()
        loading = asyncio.create_task(_load_all(service, selection))
        try:
            yield
        finally:
            loading.cancel()
            await service.pipeline.close()

    app = FastAPI(
        title="VGG16 image classification",
        summary="A photograph in, labels in English and Chinese out.",
        description=DESCRIPTION,
        version=version("vgg16-service"),
        lifespan=lifespan,
        generate_unique_id_function=lambda route: route.name,
        docs_url=None,
        redoc_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # ours is in app/metrics.py
    )
    app.state.service = service
    app.router.routes += routes.predictions.routes  # included, they would be reached through three layers more
    app.include_router(routes.api)
    app.include_router(routes.probes)
    problems.install_handlers(app)
    docs.install_docs(app)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=["X-Request-ID", "Server-Timing", "Retry-After"],
        )
    app.add_middleware(
        RequestMiddleware,
        metrics=service.metrics,
        lifecycle=service.lifecycle,
        max_upload_bytes=settings.max_upload_bytes,
    )
    return app


def build_service(settings: Settings, load: Loader, selection: Selection) -> Service:
    metrics, lifecycle = Metrics(), Lifecycle()
    registry = Registry(selection.default)
    batcher: Batcher[ServedModel, Item, list[Candidate]] = Batcher(
        run,
        lambda model: model.max_batch_size,
        max_wait_s=settings.max_wait_ms / 1000,
        observer=metrics,
        check=check,
        on_death=lambda error: lifecycle.become(State.FAILED, f"the batch loop has ended ({error!r})"),
    )
    pipeline = Pipeline(
        registry,
        batcher,
        metrics,
        decode_workers=settings.decode_workers,
        max_pixels=settings.max_pixels,
        fast=settings.decode == "fast",
    )
    admission = Admission(
        lifecycle,
        lambda: pipeline.rate,
        max_queue_size=settings.max_queue_size,
        max_queue_delay_s=settings.max_queue_delay_s,
        max_buffer_bytes=settings.max_buffer_bytes,
        max_requests_per_key=settings.max_requests_per_key,
    )
    metrics.watch(
        lambda: admission.in_flight,
        lambda: admission.buffered_bytes,
        lambda: batcher.depth,
        lambda: batcher.oldest_s,
        lambda: lifecycle.state is State.READY,
    )
    watch_gpus(metrics.registry)
    one_file = UploadLimits(settings.max_upload_bytes, 1, settings.upload_timeout_s)
    return Service(
        settings=settings,
        lifecycle=lifecycle,
        metrics=metrics,
        pipeline=pipeline,
        admission=admission,
        one_file=one_file,
        many_files=replace(one_file, max_files=settings.max_files),
        keys=KeyRing(settings.read_api_keys()),
        load=partial(_load_one, registry, load, selection, ThreadPoolExecutor(1, "loading")),
    )


async def _load_all(service: Service, selection: Selection) -> None:
    """Load in the background; any failure is the whole service's, since it was told to serve these models."""
    try:
        for name in selection.names:
            await service.load(name)
    except ServiceError:
        service.lifecycle.become(State.FAILED, "a model could not be loaded")
    except Exception:
        logger.exception("A defect of ours while loading.")
        service.lifecycle.become(State.FAILED, "a model could not be loaded")
    else:
        # What is alive now stays: a collection need not look at all of torch again (0.2 s in which nobody is answered).
        gc.collect()
        gc.freeze()
        service.lifecycle.become(State.READY, "models are loaded and warm")
        logger.info("Ready: %s.", ", ".join(selection.names))


async def _load_one(
    registry: Registry, load: Loader, selection: Selection, loading: ThreadPoolExecutor, name: str
) -> ServedModel:
    try:
        model = await asyncio.get_running_loop().run_in_executor(loading, load, name)
    except UnknownModel as error:
        raise ModelNotFound("There is no model of that name to load.") from error
    except ModelError as error:
        logger.error("Cannot load %s: %s", name, error)  # noqa: TRY400 - its message is for the operator, complete
        raise NotReady("The model cannot be loaded; the log says why. What was served before still is.") from error
    model = replace(model, fallback=name == selection.default and selection.fallback_for is not None)
    registry.add(model)
    return model
