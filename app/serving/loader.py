"""Takes models into service, one after the other, while the event loop goes on answering."""

import asyncio
import gc
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from app.errors import ModelError, ModelNotFound, NotReady, ServiceError, UnknownModel
from app.model.registry import Registry, ServedModel
from app.model.selection import Selection
from app.serving.lifecycle import Lifecycle, State

logger = logging.getLogger(__name__)

Load = Callable[[str], ServedModel]


class Loader:
    """``load`` reads a model by name; it blocks, and is called on a thread of its own.

    It raises ``UnknownModel``, or another ``ModelError`` when the model cannot be served.
    """

    def __init__(self, load: Load, registry: Registry, selection: Selection, lifecycle: Lifecycle) -> None:
        self._load = load
        self._registry = registry
        self._selection = selection
        self._lifecycle = lifecycle
        self._thread = ThreadPoolExecutor(1, "loading")
        self._loading: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to load what was selected, in the background, on the running event loop."""
        self._loading = asyncio.create_task(self._load_all(), name="loading")

    async def load(self, name: str) -> ServedModel:
        """Load a model and serve it from now on. Raises ``ModelNotFound`` or ``NotReady``."""
        try:
            model = await asyncio.get_running_loop().run_in_executor(self._thread, self._load, name)
        except UnknownModel as error:
            raise ModelNotFound("There is no model of that name to load.") from error
        except ModelError as error:
            logger.error("Cannot load %s: %s", name, error)  # noqa: TRY400 - its message is for the operator, complete
            raise NotReady("The model cannot be loaded; the log says why. What was served before still is.") from error
        if name == self._selection.default and self._selection.fallback_for is not None:
            model = replace(model, fallback=True)
        self._registry.add(model)
        return model

    async def close(self) -> None:
        """Stop loading. A model that is being read this moment is not waited for."""
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.wait([self._loading])
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _load_all(self) -> None:
        """Any failure is the whole service's, since it was told to serve these models."""
        try:
            for name in self._selection.names:
                await self.load(name)
        except ServiceError:
            self._lifecycle.become(State.FAILED, "a model could not be loaded")
        except Exception:
            logger.exception("A defect of ours while loading.")
            self._lifecycle.become(State.FAILED, "a model could not be loaded")
        else:
            # What is alive now stays: a collection need not look at all of torch again (0.2 s in which nobody is
            # answered).
            gc.collect()
            gc.freeze()
            self._lifecycle.become(State.READY, "models are loaded and warm")
            logger.info("Ready: %s.", ", ".join(self._selection.names))
