"""Takes models into service, one after the other, while the event loop goes on answering."""

import asyncio
import gc
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

from app.errors import ModelError, ModelNotFound, NotReady, ServiceError, TooManyRequests, UnknownModel
from app.model.registry import LoadedModel, Registry
from app.model.selection import Selection
from app.serving.lifecycle import Lifecycle, State
from app.serving.metrics import Metrics

logger = logging.getLogger(__name__)

Load = Callable[[str], LoadedModel]


class Loader:
    """``load`` reads a model by name; it blocks, and is called on a thread of its own.

    It raises ``UnknownModel``, or another ``ModelError`` when the model cannot be served. ``warm_up`` makes it ready to
    answer, and may raise the same. The service becomes ready once ``others_ready`` is done, too.
    """

    def __init__(
        self,
        load: Load,
        registry: Registry,
        selection: Selection,
        lifecycle: Lifecycle,
        metrics: Metrics,
        *,
        warm_up: Callable[[LoadedModel], Awaitable[LoadedModel]],
        others_ready: Callable[[], Awaitable[None]],
    ) -> None:
        self._load = load
        self._warm_up = warm_up
        self._others_ready = others_ready
        self.registry = registry
        self._selection = selection
        self._lifecycle = lifecycle
        self._thread = ThreadPoolExecutor(1, "loading")
        self._loading: asyncio.Task[None] | None = None
        self._loads = metrics.model_loads
        self._current: asyncio.Task[LoadedModel] | None = None

    def start(self) -> None:
        """Begin to load what was selected, in the background, on the running event loop."""
        self._loading = asyncio.create_task(self._load_all(), name="loading")

    async def load(self, name: str) -> LoadedModel:
        """Load a model and serve it from now on, or wait for it together with those who have asked for it already.

        A caller who leaves does not stop it. Raises ``ModelNotFound``, ``NotReady``, or ``TooManyRequests`` while
        another model is being loaded.
        """
        if self._current is None or self._current.done():
            self._current = asyncio.create_task(self._take_in(name), name=name)
            self._current.add_done_callback(lambda task: task.cancelled() or task.exception())  # all may have left
        elif self._current.get_name() != name:
            raise TooManyRequests("Another model is being loaded; one at a time.", {"Retry-After": "5"})
        return await asyncio.shield(self._current)

    async def _take_in(self, name: str) -> LoadedModel:
        try:
            model = await self._read(name)
        except ServiceError as error:
            self._loads.labels(error.code).inc()
            raise
        self._loads.labels("ok").inc()
        fallback = name == self._selection.default and self._selection.fallback_for is not None
        model = replace(model, fallback=fallback, served_since=datetime.now(UTC))
        self.registry.add(model)
        return model

    async def _read(self, name: str) -> LoadedModel:
        try:
            model = await asyncio.get_running_loop().run_in_executor(self._thread, self._load, name)
            return await self._warm_up(model)
        except UnknownModel as error:
            raise ModelNotFound("No model of that name has been prepared.") from error
        except ModelError as error:
            logger.error("Cannot load %s: %s", name, error)  # noqa: TRY400 - its message is for the operator, complete
            raise NotReady("The model cannot be loaded; the log says why. What was served still is.") from error

    async def close(self) -> None:
        """Stop loading. A model that is being read this moment is not waited for."""
        for task in (self._loading, self._current):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _load_all(self) -> None:
        """A failure is the whole service's if it was told to serve the model."""
        self.registry.unavailable.update(self._selection.unavailable)
        try:
            for name in self._selection.names:
                await (self._try(name) if name in self._selection.optional else self._take_in(name))
            await self._others_ready()
        except ServiceError:
            self._lifecycle.become(State.FAILED, "a model could not be loaded")
        except Exception:
            logger.exception("Unexpected error while loading.")
            self._lifecycle.become(State.FAILED, "a model could not be loaded")
        else:
            # What is alive now stays: a collection need not look at all of torch again (0.2 s in which nobody is
            # answered).
            gc.collect()
            gc.freeze()
            self._lifecycle.become(State.READY, "models are loaded and warm")
            logger.info("Ready: %s.", ", ".join(model.name for model in self.registry.all()))

    async def _try(self, name: str) -> None:
        """Serve a model that nobody asked for by name, or go on without it."""
        try:
            await self._take_in(name)
        except Exception as error:
            cause = error.__cause__ or error
            known = cause if isinstance(cause, ModelError) else None  # and its message logged
            logger.warning("Not serving %s, which nobody asked for by name.", name, exc_info=known is None)
            self.registry.unavailable[name] = known.reason if known else ModelError.reason
