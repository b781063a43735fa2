"""Builds and wires everything; the only place that does."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from importlib.metadata import version

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from app.decoding.buffers import MAX_PIXELS_BYTES, Buffers
from app.decoding.pool import Decoders
from app.errors import ModelError, StartError
from app.http import docs, problems, routes
from app.http.admission import Admission
from app.http.arrivals import Arrivals
from app.http.auth import KeyRing
from app.http.callers import Callers
from app.http.files import UploadLimits
from app.http.hosts import HostMiddleware, allowed_hosts
from app.http.middleware import RequestMiddleware
from app.http.service import Service
from app.model.registry import Candidate, Item, Registry, ServedModel, check, run
from app.model.selection import Selection, select_models
from app.server.listener import explain, listen
from app.server.run import FAILED, run_server
from app.serving.batcher import Batcher
from app.serving.gpu import watch_gpus
from app.serving.lifecycle import Lifecycle, State
from app.serving.loader import Load, Loader
from app.serving.metrics import Metrics
from app.serving.pipeline import Pipeline
from app.settings import Settings

logger = logging.getLogger(__name__)

# Places for uploads cost address space alone: more than memory is charged for, but no more than a system has.
MOST_PLACES = 4096
MOST_ADDRESS_SPACE = 2**40

DESCRIPTION = """
Send a photograph to `POST /predict` and get its most probable ImageNet classes back, named in English and Chinese.

Every error is `application/problem+json` with a stable `code`; every response carries `X-Request-ID` and
`Server-Timing`. On 429 wait for `Retry-After` seconds.
"""


def serve(settings: Settings) -> int:
    """Run the service until it is told to stop; the process's exit status."""
    try:
        app = create_app(settings)
        listener = listen(settings.host, settings.port)
    except (ModelError, StartError) as error:
        logger.critical("%s", error)
        return FAILED
    except OSError as error:
        logger.critical("%s", explain(settings.host, settings.port, error))
        return FAILED
    logger.info("Listening on http://%s:%d (docs: /docs).", *listener.getsockname()[:2])
    return run_server(app, app.state.service, listener)


def create_app(settings: Settings, load: Load | None = None, selection: Selection | None = None) -> FastAPI:
    """The application. ``load`` and ``selection`` can be given by who brings networks of their own.

    Raises ``ModelError`` when a model that must be served is not prepared, ``StartError`` when keys cannot be read or
    the settings do not go together.
    """
    service = build_service(settings, load or torch_load(settings), selection or select_models(settings))
    app = FastAPI(
        title="VGG16 image classification",
        summary="A photograph in, labels in English and Chinese out.",
        description=DESCRIPTION,
        version=version("vgg16-service"),
        lifespan=lifespan,
        generate_unique_id_function=lambda route: route.name,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # it would send callers to whatever host they name
        telemetry={"tracing": False, "metrics": False, "logs": False},  # ours is in app/serving/metrics.py
    )
    app.state.service = service
    app.router.routes += routes.predictions
    app.include_router(routes.api)
    app.include_router(routes.probes)
    problems.install_handlers(app)
    docs.install_docs(app)
    add_middleware(app, service)
    return app


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """What runs from the first request to the last."""
    service: Service = app.state.service
    service.pipeline.start()
    service.loader.start()
    try:
        yield
    finally:
        await service.loader.close()
        await service.pipeline.close()
        service.buffers.close()


def torch_load(settings: Settings) -> Load:
    """The real way to load a model. torch is imported by the first call, in its thread: importing it takes seconds, and
    ``/livez`` answers meanwhile."""

    def load(name: str) -> ServedModel:
        from app.model.load import load_model

        return load_model(name, settings)

    return load


def add_middleware(app: FastAPI, service: Service) -> None:
    """Outermost last."""
    settings = service.settings
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=["X-Request-ID", "Server-Timing", "Retry-After"],
        )
    hosts = allowed_hosts(settings.allowed_hosts, settings.host)
    if hosts:
        app.add_middleware(HostMiddleware, allowed=hosts)
    app.add_middleware(
        RequestMiddleware,
        metrics=service.metrics,
        lifecycle=service.lifecycle,
        max_upload_bytes=settings.max_upload_bytes,
    )


def build_service(settings: Settings, load: Load, selection: Selection) -> Service:
    """The running parts, wired to each other."""
    settings.check_uploads()
    metrics, lifecycle, registry = Metrics(), Lifecycle(), Registry(selection.default)
    batcher = build_batcher(settings, lifecycle, metrics)
    buffers = build_buffers(settings)
    decoders = build_decoders(settings, buffers, lifecycle, metrics)
    pipeline = Pipeline(registry, batcher, metrics, decoders)
    admission = build_admission(settings, lifecycle, pipeline)
    arrivals = Arrivals(
        buffers,
        max_bytes=settings.max_buffer_bytes,
        share_bytes=settings.max_caller_bytes,
        on_push_out=metrics.cancelled.labels("pushed_out").inc,
    )
    metrics.watch(
        lambda: admission.in_flight,
        lambda: arrivals.charged_bytes,
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
        buffers=buffers,
        arrivals=arrivals,
        callers=Callers(settings.proxies),
        one_file=one_file,
        many_files=replace(one_file, max_files=settings.max_files),
        keys=KeyRing(settings.read_api_keys(), settings.read_admin_keys()),
        loader=Loader(load, registry, selection, lifecycle, metrics, others_ready=pipeline.ready),
    )


def build_decoders(settings: Settings, buffers: Buffers, lifecycle: Lifecycle, metrics: Metrics) -> Decoders:
    return Decoders(
        buffers,
        count=settings.decode_workers,
        max_pixels=settings.max_pixels,
        exact=settings.decode == "exact",
        on_end=metrics.decoder_ended,
        on_failure=lambda reason: lifecycle.become(State.FAILED, reason),
    )


def build_batcher(
    settings: Settings, lifecycle: Lifecycle, metrics: Metrics
) -> Batcher[ServedModel, Item, list[Candidate]]:
    return Batcher(
        run,
        lambda model: model.max_batch_size,
        max_wait_s=settings.max_wait_ms / 1000,
        observer=metrics,
        check=check,
        on_death=lambda error: lifecycle.become(State.FAILED, f"the batch loop has ended ({error!r})"),
    )


def build_admission(settings: Settings, lifecycle: Lifecycle, pipeline: Pipeline) -> Admission:
    return Admission(
        lifecycle,
        lambda: pipeline.rate,
        max_queue_size=settings.max_queue_size,
        max_queue_delay_s=settings.max_queue_delay_s,
        max_requests_per_key=settings.max_requests_per_key,
    )


def build_buffers(settings: Settings) -> Buffers:
    """Room for as many uploads as memory is charged for; at the least for one request's."""
    place_bytes = settings.max_upload_bytes + MAX_PIXELS_BYTES
    count = min(MOST_PLACES, MOST_ADDRESS_SPACE // place_bytes)
    return Buffers(max(count, settings.max_files), settings.max_upload_bytes)
