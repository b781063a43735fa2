"""Builds and wires everything; the only place that does."""

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from app.errors import ModelError, StartError
from app.http import docs, labels, page, problems, routes
from app.http.hosts import HostMiddleware, allowed_hosts
from app.http.middleware import RequestMiddleware
from app.http.service import Service
from app.http.shortcut import Shortcut
from app.model.registry import LoadedModel
from app.model.selection import Selection, select_models
from app.parts import Front, Shared, ToServe, local_inference
from app.processes import Processes
from app.server.listener import explain, listen, listen_together
from app.server.run import FAILED, run_server
from app.serving.loader import Load
from app.serving.metrics import Metrics
from app.serving.tally import Field
from app.settings import Settings

logger = logging.getLogger(__name__)

TAKING_OVER_S = 5.0
DESCRIPTION = """
Send a photograph to `POST /predict` and get its most probable ImageNet classes back, named in English and Chinese.

Every error is `application/problem+json` with a stable `code`; every response carries `X-Request-ID` and
`Server-Timing`. On 429 wait for `Retry-After` seconds. With `Accept-Language: zh` errors are in Chinese; codes stay.
"""


def serve(settings: Settings, load: Load | None = None, selection: Selection | None = None) -> int:
    """Run the service until it is told to stop; the process's exit status. See ``create_app``."""
    try:
        if settings.fronts:
            shared = Shared.make(settings)
            to_serve = ToServe(selection or select_models(settings), load or torch_load(settings))
            listeners = listen_together(settings.host, settings.port, settings.fronts)
        else:
            app = create_app(settings, load, selection)
            listeners = [listen(settings.host, settings.port)]
    except (ModelError, StartError) as error:
        logger.critical("%s", error)
        return FAILED
    except OSError as error:
        logger.critical("%s", explain(settings.host, settings.port, error))
        return FAILED
    logger.info("Listening on http://%s:%d (a page to try it; docs: /docs).", *listeners[0].getsockname()[:2])
    if settings.fronts:
        return Processes(shared, to_serve, build_app, listeners).run()
    return run_server(app, app.state.service, listeners[0])


def create_app(settings: Settings, load: Load | None = None, selection: Selection | None = None) -> FastAPI:
    """The application in one process. ``load`` and ``selection`` can be given by who brings networks of their own.

    Raises ``ModelError`` when a model that must be served is not prepared, ``StartError`` when keys cannot be read or
    the settings do not go together.
    """
    shared = Shared.make(settings.model_copy(update={"fronts": 0}))
    shared.row(0).set(Field.PID, os.getpid())
    front = Front(shared, shared.row(0), Metrics())
    to_serve = ToServe(selection or select_models(settings), load or torch_load(settings))
    inference = local_inference(shared, to_serve, front.lifecycle, front.metrics, front.decoders.ready)
    return build_app(front.service(inference))


def build_app(service: Service) -> FastAPI:
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
    app.include_router(labels.labels)
    app.include_router(routes.probes)
    problems.install_handlers(app)
    docs.install_docs(app)
    page.install_page(app)
    add_middleware(app, service)
    return app


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """What runs from the first request to the last."""
    service: Service = app.state.service
    service.pipeline.start()
    if service.replaces_another:  # whoever connects meanwhile waits: the service as a whole is ready
        await service.lifecycle.until_ready(TAKING_OVER_S)
    try:
        yield
    finally:
        await service.pipeline.close()
        service.buffers.block.close()


def torch_load(settings: Settings) -> Load:
    """The real way to load a model. torch is imported by the first call, in its thread: importing it takes seconds, and
    ``/livez`` answers meanwhile."""

    def load(name: str) -> LoadedModel:
        from app.model.load import load_model

        return load_model(name, settings)

    return load


def add_middleware(app: FastAPI, service: Service) -> None:
    """Outermost last."""
    settings = service.settings
    app.add_middleware(Shortcut, routes=routes.predictions)
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
