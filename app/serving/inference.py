"""Where the models are: one interface to them, whether they are in this process or in another one."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, cast

from app.decoding.buffers import Block, Region
from app.errors import InternalError, ServiceError
from app.model.evaluation import Evaluated, Evaluation
from app.model.registry import (
    Candidate,
    Item,
    Key,
    LoadedModel,
    Registry,
    Seen,
    ServedModel,
    View,
    check,
    max_batch_size,
    model_of,
    run,
)
from app.serving.batcher import Answer, Batcher, Observer
from app.serving.evaluating import evaluate
from app.serving.lifecycle import Lifecycle, State
from app.serving.loader import Loader

logger = logging.getLogger(__name__)


class Inference(Protocol):
    """Answers for pixels that lie in shared memory, with the models of ``registry``; on one event loop."""

    registry: Registry

    @property
    def rate(self) -> float | None:
        """Images per second that the network has been seen to manage; ``None`` before that."""

    @property
    def depth(self) -> int:
        """Images waiting for a batch."""

    @property
    def oldest_s(self) -> float:
        """How long the longest waiting image has waited."""

    @property
    def running_s(self) -> float:
        """How long the forward pass under way has taken so far, if it is this process's to watch it."""

    def start(self) -> None:
        """Begin, on the running event loop."""

    async def submit(self, model: ServedModel, region: Region, top_k: int) -> Answer[list[Candidate]]:
        """The most probable classes of an image, uint8 (height, width, 3). Raises a ``ServiceError``."""

    async def evaluate(
        self, model: ServedModel, evaluation: Evaluation, regions: list[Region], top_k: int
    ) -> Answer[Evaluated]:
        """The answers to several views of an image, combined; ``regions`` are the parts of the evaluation's plan, each
        uint8 (views, height, width, 3). Raises a ``ServiceError``."""

    async def load(self, name: str) -> ServedModel:
        """Load a model and serve it everywhere from now on. Raises what ``Loader.load`` raises."""

    def abandon(self, error: ServiceError) -> None:
        """Answer everybody now, with an error."""

    async def close(self) -> None:
        """Finish what is queued, then end."""


NetworkBatcher = Batcher[Key, Item | View, list[Candidate] | Seen]


def network_batcher(lifecycle: Lifecycle, observer: Observer, *, max_wait_s: float) -> NetworkBatcher:
    """Runs the models that its keys name. When its loop ends other than by request, the service has failed."""
    return Batcher(
        run,
        max_batch_size,
        in_flight=lambda key: model_of(key).in_flight,
        max_wait_s=max_wait_s,
        observer=observer,
        check=check,
        is_usual=lambda key: isinstance(key, LoadedModel),
        on_death=lambda error: lifecycle.become(State.FAILED, f"the batch loop has ended ({error!r})"),
    )


class LocalInference:
    """Models in this process: their loader, and the batcher with its thread."""

    def __init__(self, loader: Loader, batcher: NetworkBatcher, block: Block) -> None:
        self.registry = loader.registry
        self._loader = loader
        self._batcher = batcher
        self._block = block

    @property
    def rate(self) -> float | None:
        return self._batcher.rate

    @property
    def depth(self) -> int:
        return self._batcher.depth

    @property
    def oldest_s(self) -> float:
        return self._batcher.oldest_s

    @property
    def running_s(self) -> float:
        return self._batcher.running_s

    def start(self) -> None:
        self._batcher.start()
        self._loader.start()

    async def submit(self, model: ServedModel, region: Region, top_k: int) -> Answer[list[Candidate]]:
        """The batch reads the pixels where they lie. Who leaves while it runs may take the memory away under it: that
        changes the answer to nobody but to the one who has left."""
        assert isinstance(model, LoadedModel)  # every model of this registry is
        with _failing_on_an_image():
            answer = await self._batcher.submit(model, Item(self._block.pixels(region), top_k))
            return cast(Answer[list[Candidate]], answer)

    async def evaluate(
        self, model: ServedModel, evaluation: Evaluation, regions: list[Region], top_k: int
    ) -> Answer[Evaluated]:
        assert isinstance(model, LoadedModel)
        parts = [self._block.pixels(region) for region in regions]

        async def look(key: Key, view: View) -> Answer[Seen]:
            return cast(Answer[Seen], await self._batcher.submit(key, view, bulk=True))

        with _failing_on_an_image():
            return await evaluate(model, evaluation, parts, top_k, look)

    async def load(self, name: str) -> ServedModel:
        return await self._loader.load(name)

    def abandon(self, error: ServiceError) -> None:
        self._batcher.abandon(error)

    async def close(self) -> None:
        await self._loader.close()
        await self._batcher.drain()


@contextmanager
def _failing_on_an_image() -> Iterator[None]:
    """What the network raises is for the log; the caller hears that it has failed."""
    try:
        yield
    except ServiceError:
        raise
    except Exception as error:
        logger.exception("The network failed on an image.")
        raise InternalError("The network failed on this image.") from error
