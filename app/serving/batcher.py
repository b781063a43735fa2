"""A micro-batcher for asyncio: callers submit single items, a thread (or two) runs them in batches.

Work-conserving: an idle runner starts at once with what is there; while it is busy, arrivals gather and the next batch
takes as many as fit. ``max_wait_s`` is for those who prefer fuller batches to the shortest wait.

The batcher knows nothing of images or networks. A *key* is anything hashable; only items with equal keys share a
batch, and the key of the oldest waiting item goes first, so that no key starves another.

Items *in bulk* are many of one caller's: they take at most half of a batch, and wait while single items do, but for a
share of the time (see ``turns``).
"""

import asyncio
import itertools
import logging
import time
from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import dataclass, field
from typing import Generic, Protocol

from app.errors import Draining, InternalError, ServiceError
from app.serving.flights import Flights
from app.serving.isolation import Isolation, Item, Key, Result, Run
from app.serving.queues import Queues
from app.serving.threads import Threads
from app.serving.turns import Turns

logger = logging.getLogger(__name__)

MOST_IN_FLIGHT = 2
STOPPING = InternalError("The service has failed and is stopping.")
SMOOTHING = 0.2  # weight of the newest batch in the average time of its size


@dataclass(frozen=True, slots=True)
class Answer(Generic[Result]):
    """One item's result and how it came about; times in seconds."""

    value: Result
    batch_size: int
    queue_s: float
    run_s: float


class Observer(Protocol):
    """Hears what the batcher does. Called on the event loop; must return quickly."""

    def batch_released(self, reason: str, size: int) -> None: ...
    def batch_shrunk(self, size: int, /) -> None: ...


class SilentObserver:
    """For those who do not want to know."""

    def batch_released(self, reason: str, size: int) -> None:
        pass

    def batch_shrunk(self, size: int) -> None:
        pass


@dataclass(slots=True, eq=False)
class _Waiting(Generic[Item, Result]):
    number: int
    item: Item
    future: asyncio.Future[Answer[Result]]
    since: float = field(default_factory=time.perf_counter)


class Batcher(Generic[Key, Item, Result]):
    """Groups submitted items by key and runs them, one batch at a time, on a thread of its own.

    ``run`` and ``check`` are as ``Isolation`` has them, and called on that thread; what ``check`` raises ends the loop,
    and ``on_death`` hears of it. ``max_batch_size(key)`` is asked anew for every batch, and so is ``in_flight(key)``:
    how many batches, up to ``MOST_IN_FLIGHT``, may be under way at a time, the second one on a second thread.
    ``is_usual(key)``: whether how long its batches take says how fast items are answered.
    """

    def __init__(
        self,
        run: Run[Key, Item, Result],
        max_batch_size: Callable[[Key], int],
        *,
        in_flight: Callable[[Key], int] = lambda _: 1,
        max_wait_s: float = 0.0,
        observer: Observer | None = None,
        check: Callable[[Key], object] = lambda _: None,
        is_usual: Callable[[Key], bool] = lambda _: True,
        on_death: Callable[[BaseException | None], None] | None = None,
    ) -> None:
        self._max_batch_size = max_batch_size
        self._in_flight = in_flight
        self._max_wait_s = max_wait_s
        self._observer = observer or SilentObserver()
        self._isolation = Isolation(run, check, self._observer.batch_shrunk)
        self._is_usual = is_usual
        self._on_death = on_death
        self._queues: Queues[Key, _Waiting[Item, Result]] = Queues()
        self._bulk: Queues[Key, _Waiting[Item, Result]] = Queues()
        self._turns = Turns()
        self._numbers = itertools.count()
        self._arrived = asyncio.Event()
        self._threads: Threads[list[_Waiting[Item, Result]]] = Threads(MOST_IN_FLIGHT, "batcher")
        self._beside = Flights(self._arrived.set)
        self._loop_task: asyncio.Task[None] | None = None
        self._batch_seconds: dict[int, float] = {}
        self.rate: float | None = None
        """Items per second at the best batch size seen so far; ``None`` before the first batch."""
        self._closed = False

    @property
    def depth(self) -> int:
        """Items waiting for a batch."""
        return len(self._queues) + len(self._bulk)

    @property
    def oldest_s(self) -> float:
        """How long the longest waiting single item has waited."""
        return max((time.perf_counter() - first.since for first in self._queues.firsts()), default=0.0)

    @property
    def running_s(self) -> float:
        """How long the oldest batch being run has been running; 0 when none is."""
        return self._threads.running_s

    def start(self) -> None:
        """Begin to serve; call it on the event loop that will submit."""
        self._loop_task = asyncio.create_task(self._serve(), name="batcher")
        self._loop_task.add_done_callback(self._loop_ended)

    async def submit(self, key: Key, item: Item, *, bulk: bool = False) -> Answer[Result]:
        """Wait for the item's turn and return its answer. ``bulk``: it is one of many.

        Cancelling the caller takes a waiting item out of the queue. Raises what ``run`` gave for this item, or
        ``Draining`` when the batcher is closed.
        """
        if self._closed:
            raise Draining("The service is shutting down.")
        waiting = _Waiting(next(self._numbers), item, asyncio.get_running_loop().create_future())
        queues = self._bulk if bulk else self._queues
        queues.append(key, waiting)
        self._arrived.set()
        try:
            return await waiting.future
        except asyncio.CancelledError:
            queues.remove(key, waiting)
            raise

    async def aside(self, key: Key, work: Callable[..., object], *arguments: object) -> None:
        """Run something else on the threads that run a key's batches, between two of them."""
        await self._threads.aside(self._in_flight(key), work, *arguments)

    async def drain(self) -> None:
        """Refuse new items, finish those that wait, stop the threads."""
        self._closed = True
        self._arrived.set()
        if self._loop_task is not None:
            await asyncio.wait([self._loop_task])
        self._threads.close()

    def abandon(self, error: ServiceError) -> None:
        """Give up on a batch that never ends: what runs and what waits fails now, nothing new is taken."""
        self._closed = True
        self._fail(itertools.chain(*self._threads.held()), error)
        self._fail(self._all_waiting(), error)
        self._beside.cancel()
        if self._loop_task is not None:
            self._loop_task.cancel()

    # The loop

    async def _serve(self) -> None:
        while True:
            while not self._queues and not self._bulk:
                if self._closed:
                    await self._beside.until_fewer_than(1)
                    return
                self._arrived.clear()
                await self._arrived.wait()
                self._beside.raise_failure()
            bulk = self._turns.bulk_is_next(single_waits=bool(self._queues), bulk_waits=bool(self._bulk))
            key = (self._bulk if bulk else self._queues).oldest_key()
            most = self._in_flight(key)
            if await self._beside.until_fewer_than(most):
                continue  # somebody else may be next by now
            others_wait = bool(self._queues if bulk else self._bulk)
            if bulk:
                reason, batch = self._take_in_bulk(key)
            else:
                reason = await self._fill(key)
                batch = self._queues.take(key, self._limit(key))
            if batch:
                self._observer.batch_released(reason, len(batch))
                work = self._take_turn(key, batch, bulk=bulk, others_wait=others_wait)
                if most == 1:
                    await work
                else:
                    self._beside.begin(work)

    async def _fill(self, key: Key) -> str:
        """Let a batch gather until it is full or its window, opened by its first item, closes; say which it was."""
        closes = self._queues.first(key).since + self._max_wait_s
        while self._queues.count(key) < self._limit(key):
            remaining = closes - time.perf_counter()
            if self._max_wait_s == 0 or self._closed or not self._queues.count(key):
                return "idle"
            if remaining <= 0:
                return "timeout"
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), remaining)
            except TimeoutError:
                return "timeout"
        return "full"

    def _take_in_bulk(self, key: Key) -> tuple[str, list[_Waiting[Item, Result]]]:
        """Half of what fits, so that whoever comes next does not wait longer; single items may come along."""
        limit = self._limit(key)
        batch = self._bulk.take(key, max(1, limit // 2))
        batch += self._queues.take(key, limit - len(batch))
        return "full" if len(batch) >= max(1, limit // 2) else "idle", batch

    def _limit(self, key: Key) -> int:
        return self._isolation.bound(self._max_batch_size(key))

    async def _take_turn(self, key: Key, batch: list[_Waiting[Item, Result]], *, bulk: bool, others_wait: bool) -> None:
        """Answer a batch, and note what that took from the others."""
        seconds = await self._forward(key, batch)
        self._turns.count(seconds, bulk=bulk, others_wait=others_wait)

    async def _forward(self, key: Key, batch: list[_Waiting[Item, Result]]) -> float:
        """Answer a batch; the seconds of the device that it took."""
        try:
            done = await self._threads.run(batch, self._isolation.run, key, [waiting.item for waiting in batch])
        except BaseException:
            self._fail(batch)
            raise
        if self._is_usual(key):
            self._measure(len(batch), done.share_s)
        for waiting, result in zip(batch, done.result, strict=True):
            if waiting.future.done():  # its caller has left meanwhile
                continue
            if isinstance(result, Exception):
                waiting.future.set_exception(result)
            else:
                waiting.future.set_result(Answer(result, len(batch), done.since - waiting.since, done.seconds))
        return done.share_s

    def _measure(self, size: int, seconds: float) -> None:
        average = self._batch_seconds.get(size, seconds)
        self._batch_seconds[size] = average + SMOOTHING * (seconds - average)
        self.rate = max(size / seconds for size, seconds in self._batch_seconds.items())

    # Leaving

    def _all_waiting(self) -> Iterable[_Waiting[Item, Result]]:
        return [*self._queues, *self._bulk]

    def _fail(self, items: Iterable[_Waiting[Item, Result]], error: ServiceError = STOPPING) -> None:
        for waiting in items:
            if not waiting.future.done():
                waiting.future.set_exception(copy(error))  # each is raised somewhere else, with its own traceback

    def _loop_ended(self, task: asyncio.Task[None]) -> None:
        """Fail what waits when the loop ends other than by ``drain``; an endless wait would be worse than an error."""
        error = None if task.cancelled() else task.exception()
        if self._closed and error is None and not self.depth:
            return
        self._closed = True
        self._fail(self._all_waiting())
        self._queues.clear()
        self._bulk.clear()
        if self._on_death is not None:
            self._on_death(error)
