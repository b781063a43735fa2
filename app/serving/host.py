"""The network's process: it has the models, once, and forms batches from what all fronts ask for."""

import asyncio
import itertools
import logging
import secrets
import time
from collections.abc import Coroutine
from dataclasses import fields
from pathlib import Path
from typing import Any

from app.decoding.buffers import Region
from app.errors import InternalError, NotReady, ServiceError
from app.model.registry import LoadedModel, ServedModel
from app.serving.inference import Inference
from app.serving.lifecycle import Lifecycle, State
from app.serving.messages import Message, Refusal, Wire, unpack_evaluation
from app.serving.remote import MODEL
from app.serving.tally import Field, Row

logger = logging.getLogger(__name__)

TICK_S = 0.05
SEEN_S = 5.0  # what a front may take to take in news


class Host:
    """Answers the fronts that connect to ``address``, for as long as ``inference`` works."""

    def __init__(
        self, address: Path, inference: Inference, lifecycle: Lifecycle, row: Row, *, forward_timeout_s: float
    ) -> None:
        self._address = address
        self._inference = inference
        self._lifecycle = lifecycle
        self._row = row
        self._forward_timeout_s = forward_timeout_s
        self._fronts: dict[Wire, set[int]] = {}  # the models that each may still ask for
        self._tasks: dict[tuple[Wire, int], asyncio.Task[None]] = {}
        # A front may speak of a model of our predecessor's: its numbers are not ours.
        self._numbers = itertools.count(secrets.randbits(32) << 20)
        self._models: dict[int, LoadedModel] = {}
        self._told: object = None
        self._news = itertools.count()
        self._seen: dict[Wire, int] = {}
        self._told_to_stop = False

    def stop(self) -> None:
        """End, once there are no fronts any more."""
        self._told_to_stop = True

    async def serve(self) -> None:
        """Until told to stop, or the lifecycle's state says that nothing can be answered any more."""
        self._address.unlink(missing_ok=True)
        server = await asyncio.get_running_loop().create_unix_server(self._welcome, str(self._address))
        self._inference.start()
        try:
            while not (self._told_to_stop and not self._fronts) and self._lifecycle.state is not State.FAILED:
                self._publish()
                await asyncio.sleep(TICK_S)
        finally:
            server.close()
        if self._lifecycle.state is State.FAILED:
            logger.critical("The network's process ends: %s.", self._lifecycle.reason)
        # Who is still there hears of it; what still runs, runs for nobody.
        self._inference.abandon(InternalError("The network has failed and is being started again."))
        await asyncio.sleep(TICK_S)
        for front in list(self._fronts):
            front.close()

    def _publish(self) -> None:
        """What the other processes read."""
        row, inference = self._row, self._inference
        row.set(Field.BEAT_S, time.monotonic())
        row.set(Field.NETWORK_RATE, inference.rate or 0)
        row.set(Field.QUEUE_DEPTH, inference.depth)
        row.set(Field.OLDEST_S, inference.oldest_s)
        row.set(Field.READY, self._lifecycle.state is State.READY)
        if inference.running_s > self._forward_timeout_s:
            reason = f"a forward pass has been running for {inference.running_s:.0f} s"
            self._lifecycle.become(State.FAILED, reason)
        self._announce()

    # What is served

    def _announce(self) -> int:
        """Tell everybody what is served, if that has changed; the number of the latest news."""
        registry = self._inference.registry
        served = registry.all()
        facts = (self._lifecycle.state, served, dict(registry.unavailable))
        if facts != self._told:
            self._told = facts
            self._latest = next(self._news)
            for model in served:
                if model not in self._models.values():
                    assert isinstance(model, LoadedModel)  # every model of this registry is
                    self._models[next(self._numbers)] = model
            for front in self._fronts:
                self._inform(front)
        return self._latest

    def _inform(self, front: Wire) -> None:
        registry = self._inference.registry
        served = {number: model for number, model in self._models.items() if model in registry.all()}
        self._fronts[front] |= served.keys()
        facts = {str(number): describe(model) for number, model in served.items()}
        state, reason = self._lifecycle.state, self._lifecycle.reason
        front.send("serves", self._latest, state, reason, facts, dict(registry.unavailable))

    def _forget(self, front: Wire, number: int) -> None:
        """A front asks for it no more; a model that is not served and that nobody asks for goes."""
        self._fronts[front].discard(number)
        self._drop_unused()

    def _drop_unused(self) -> None:
        wanted = set().union(*self._fronts.values())
        served = self._inference.registry.all()
        for number in [number for number, model in self._models.items() if model not in served]:
            if number not in wanted:
                del self._models[number]

    # What a front says

    def _welcome(self) -> Wire:
        front = Wire(self._hear, self._lost)
        self._fronts[front] = set()
        self._announce()
        self._inform(front)
        return front

    def _lost(self, front: Wire) -> None:
        del self._fronts[front]
        self._seen.pop(front, None)
        for (its_front, _), task in list(self._tasks.items()):
            if its_front is front:
                task.cancel()
        self._drop_unused()

    def _hear(self, front: Wire, message: Message) -> None:
        word, number, *more = message
        if word == "run":
            self._begin(front, number, self._run(front, number, more))
        elif word == "evaluate":
            self._begin(front, number, self._evaluate(front, number, more))
        elif word == "load":
            self._begin(front, number, self._load(front, number, *more))
        elif word == "leave":
            task = self._tasks.get((front, number))
            if task is not None:
                task.cancel()
        elif word == "forget":
            self._forget(front, number)
        else:
            self._seen[front] = number

    def _begin(self, front: Wire, number: int, work: Coroutine[Any, Any, None]) -> None:
        task = self._tasks[front, number] = asyncio.create_task(self._or_refuse(front, number, work))
        task.add_done_callback(lambda _: self._tasks.pop((front, number)))

    async def _or_refuse(self, front: Wire, number: int, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except ServiceError as error:
            front.send("refused", number, *Refusal.of(error))
        except Exception:
            logger.exception("A front was not answered.")
            front.send("refused", number, *Refusal.of(InternalError("The network's process failed on this request.")))

    async def _run(self, front: Wire, number: int, job: list[Any]) -> None:
        model_number, start, shape, top_k = job
        model = self._model(model_number)
        answer = await self._inference.submit(model, Region(start, tuple(shape)), top_k)
        front.send("ran", number, answer.batch_size, answer.queue_s, answer.run_s, answer.value)

    async def _evaluate(self, front: Wire, number: int, job: list[Any]) -> None:
        model_number, evaluation, regions, top_k = job
        model, wanted = self._model(model_number), unpack_evaluation(evaluation)
        where = [Region(start, tuple(shape)) for start, shape in regions]
        answer = await self._inference.evaluate(model, wanted, where, top_k)
        front.send("ran", number, answer.batch_size, answer.queue_s, answer.run_s, *answer.value)

    def _model(self, number: int) -> LoadedModel:
        model = self._models.get(number)
        if model is None:
            raise NotReady("The network's process was replaced while this image was read.", {"Retry-After": "1"})
        return model

    async def _load(self, front: Wire, number: int, name: str) -> None:
        """It is loaded once every front knows of it."""
        model = await self._inference.load(name)
        news = self._announce()
        try:
            async with asyncio.timeout(SEEN_S):
                while any(self._seen.get(one, -1) < news for one in self._fronts):
                    await asyncio.sleep(TICK_S / 10)
        except TimeoutError:
            logger.warning("A front has not heard of %s within %g s.", name, SEEN_S)
        (found,) = (one for one, its_model in self._models.items() if its_model is model)
        front.send("ran", number, found)


def describe(model: LoadedModel) -> Any:
    """As JSON: what a front has to know of it."""
    known = ServedModel(**{field.name: getattr(model, field.name) for field in fields(ServedModel)})
    return MODEL.dump_python(known, mode="json")
