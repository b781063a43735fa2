"""The models as a front sees them: in the network's process, at the other end of a socket."""

import asyncio
import itertools
import logging
import weakref
from collections.abc import Awaitable, Callable, Mapping
from copy import copy
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from app.decoding.buffers import Region
from app.errors import NotReady, ServiceError
from app.model.evaluation import Evaluated, Evaluation, Heatmap
from app.model.registry import Candidate, Registry, ServedModel
from app.serving.batcher import Answer
from app.serving.lifecycle import Lifecycle, State
from app.serving.messages import Message, Refusal, Wire, pack_evaluation
from app.serving.tally import Field, Tally

logger = logging.getLogger(__name__)

AGAIN_S = 0.05
GONE = NotReady("The network's process has ended; another one is being started.", {"Retry-After": "5"})
MODEL = TypeAdapter(ServedModel)


class RemoteInference:
    """Connects to the network's process, and again when that has been replaced.

    While nobody is there the service is loading; it becomes ready once the models are, and ``others_ready`` is done.
    """

    def __init__(
        self,
        address: Path,
        registry: Registry,
        tally: Tally,
        lifecycle: Lifecycle,
        *,
        others_ready: Callable[[], Awaitable[None]],
    ) -> None:
        self._address = address
        self.registry = registry
        self._tally = tally
        self._lifecycle = lifecycle
        self._others_ready = others_ready
        self._wire: Wire | None = None
        self._numbers = itertools.count()
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._models: weakref.WeakValueDictionary[int, ServedModel] = weakref.WeakValueDictionary()
        self._number_of: weakref.WeakKeyDictionary[ServedModel, int] = weakref.WeakKeyDictionary()
        self._connecting: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def rate(self) -> float | None:
        return self._tally.total(Field.NETWORK_RATE) or None

    @property
    def depth(self) -> int:
        return int(self._tally.total(Field.QUEUE_DEPTH))

    @property
    def oldest_s(self) -> float:
        return self._tally.total(Field.OLDEST_S)

    @property
    def running_s(self) -> float:
        return 0.0

    def start(self) -> None:
        self._connecting = asyncio.create_task(self._connect(), name="connecting")

    async def submit(self, model: ServedModel, region: Region, top_k: int) -> Answer[list[Candidate]]:
        asked = self._ask("run", self._number_of[model], *region, top_k)
        batch_size, queue_s, run_s, candidates = await self._hear_of(*asked)
        return Answer([Candidate(*candidate) for candidate in candidates], batch_size, queue_s, run_s)

    async def evaluate(
        self, model: ServedModel, evaluation: Evaluation, regions: list[Region], top_k: int
    ) -> Answer[Evaluated]:
        asked = self._ask("evaluate", self._number_of[model], pack_evaluation(evaluation), regions, top_k)
        batch_size, queue_s, run_s, candidates, heatmap = await self._hear_of(*asked)
        found = Evaluated(
            [Candidate(*candidate) for candidate in candidates], Heatmap(*heatmap) if heatmap is not None else None
        )
        return Answer(found, batch_size, queue_s, run_s)

    async def _hear_of(self, number: int, future: asyncio.Future[Any]) -> list[Any]:
        """The answer; whoever does not wait for it any more says so."""
        try:
            answer: list[Any] = await future
        except asyncio.CancelledError:
            self._say("leave", number)
            raise
        finally:
            self._asked.pop(number, None)
        return answer

    async def load(self, name: str) -> ServedModel:
        number, future = self._ask("load", name)
        try:
            (model_number,) = await future
        finally:
            self._asked.pop(number, None)
        return self._models[model_number]

    def abandon(self, error: ServiceError) -> None:
        for future in self._asked.values():
            if not future.done():
                future.set_exception(copy(error))

    async def close(self) -> None:
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])
        if self._wire is not None:
            self._wire.close()

    # The connection

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                _, wire = await loop.create_unix_connection(lambda: Wire(self._hear, self._lost), str(self._address))
            except OSError:  # it is not there yet
                await asyncio.sleep(AGAIN_S)
            else:
                self._wire = wire
                return

    def _lost(self, wire: Wire) -> None:
        if wire is not self._wire:
            return
        self._wire = None
        self._lifecycle.become(State.LOADING, "the network's process has ended; another one is being started")
        self.abandon(GONE)
        if not self._closed:
            self.start()

    def _ask(self, word: str, *more: Any) -> tuple[int, asyncio.Future[Any]]:
        if self._wire is None:
            raise copy(GONE)
        number = next(self._numbers)
        future = self._asked[number] = asyncio.get_running_loop().create_future()
        self._wire.send(word, number, *more)
        return number, future

    def _say(self, *message: Any) -> None:
        if self._wire is not None:
            self._wire.send(*message)

    def _hear(self, wire: Wire, message: Message) -> None:
        word, *more = message
        if word == "ran":
            number, *answer = more
            self._answer(number, answer)
        elif word == "refused":
            number, *refusal = more
            self._fail(number, Refusal(*refusal).error())
        else:
            self._take_in(*more)
            wire.send("seen", more[0])

    def _answer(self, number: int, answer: list[Any]) -> None:
        future = self._asked.get(number)
        if future is not None and not future.done():
            future.set_result(answer)

    def _fail(self, number: int, error: ServiceError) -> None:
        future = self._asked.get(number)
        if future is not None and not future.done():
            future.set_exception(error)

    # What is served

    def _take_in(
        self, _news: int, state: str, reason: str, models: Mapping[str, Any], unavailable: Mapping[str, str]
    ) -> None:
        """All that is served: number -> model."""
        known = dict(self._models.items())
        served = [known.get(int(number)) or self._meet(int(number), facts) for number, facts in models.items()]
        self.registry.replace(served, unavailable)
        if State(state) is State.READY:
            self._ready = asyncio.create_task(self._become_ready(), name="ready")
        else:
            self._lifecycle.become(State.LOADING, reason)

    def _meet(self, number: int, facts: Any) -> ServedModel:
        model = MODEL.validate_python(facts)
        self._models[number] = model
        self._number_of[model] = number
        finalizer = weakref.finalize(model, self._say, "forget", number)  # no request of ours needs it any more
        finalizer.atexit = False
        return model

    async def _become_ready(self) -> None:
        await self._others_ready()
        if self._wire is not None:
            self._lifecycle.become(State.READY, "models are loaded and warm")
