"""A micro-batcher for asyncio: callers submit single items, a thread (or two) runs them in batches.

Work-conserving: an idle runner starts at once with what is there; while it is busy, arrivals gather and the next batch
takes as many as fit. ``max_wait_s`` is for those who prefer fuller batches to the shortest wait.

The batcher knows nothing of images or networks. A *key* is anything hashable; only items with equal keys share a
batch, and the key of the oldest waiting item goes first, so that no key starves another.
"""

import asyncio
import itertools
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, Protocol

from app.errors import Draining, InternalError, ServiceError
from app.serving.flights import Flights
from app.serving.isolation import Isolation, Item, Key, Result, Run
from app.serving.workers import Workers

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


class _Batch(NamedTuple, Generic[Item, Result]):
    since: float
    items: list[_Waiting[Item, Result]]


class Batcher(Generic[Key, Item, Result]):
    """Groups submitted items by key and runs them, one batch at a time, on a thread of its own.

    ``run`` and ``check`` are as ``Isolation`` has them, and called on that thread; what ``check`` raises ends the loop,
    and ``on_death`` hears of it. ``max_batch_size(key)`` is asked anew for every batch, and so is ``in_flight(key)``:
    how many batches, up to ``MOST_IN_FLIGHT``, may be under way at a time, the second one on a second thread.
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
        on_death: Callable[[BaseException | None], None] | None = None,
    ) -> None:
        self._max_batch_size = max_batch_size
        self._in_flight = in_flight
        self._max_wait_s = max_wait_s
        self._observer = observer or SilentObserver()
        self._isolation = Isolation(run, check, self._observer.batch_shrunk)
        self._on_death = on_death
        self._queues: dict[Key, deque[_Waiting[Item, Result]]] = {}
        self._numbers = itertools.count()
        self._arrived = asyncio.Event()
        self._threads = [Workers(1, f"batcher-{number}") for number in range(MOST_IN_FLIGHT)]
        self._running: dict[Workers, _Batch[Item, Result]] = {}
        self._beside = Flights(self._arrived.set)
        self._loop_task: asyncio.Task[None] | None = None
        self._batch_seconds: dict[int, float] = {}
        self.rate: float | None = None
        """Items per second at the best batch size seen so far; ``None`` before the first batch."""
        self._closed = False

    @property
    def depth(self) -> int:
        """Items waiting for a batch."""
        return sum(map(len, self._queues.values()))

    @property
    def oldest_s(self) -> float:
        """How long the longest waiting item has waited."""
        return max((time.perf_counter() - queue[0].since for queue in self._queues.values()), default=0.0)

    @property
    def running_s(self) -> float:
        """How long the oldest batch being run has been running; 0 when none is."""
        return max((time.perf_counter() - batch.since for batch in self._running.values()), default=0.0)

    def start(self) -> None:
        """Begin to serve; call it on the event loop that will submit."""
        self._loop_task = asyncio.create_task(self._serve(), name="batcher")
        self._loop_task.add_done_callback(self._loop_ended)

    async def submit(self, key: Key, item: Item) -> Answer[Result]:
        """Wait for the item's turn and return its answer.

        Cancelling the caller takes a waiting item out of the queue. Raises what ``run`` gave for this item, or
        ``Draining`` when the batcher is closed.
        """
        if self._closed:
            raise Draining("The service is shutting down.")
        waiting = _Waiting(next(self._numbers), item, asyncio.get_running_loop().create_future())
        self._queues.setdefault(key, deque()).append(waiting)
        self._arrived.set()
        try:
            return await waiting.future
        except asyncio.CancelledError:
            self._remove(key, waiting)
            raise

    async def aside(self, key: Key, work: Callable[..., object], *arguments: object) -> None:
        """Run something else on the threads that run a key's batches, between two of them."""
        for thread in self._threads[: self._in_flight(key)]:
            await thread.run(work, *arguments)

    async def drain(self) -> None:
        """Refuse new items, finish those that wait, stop the threads."""
        self._closed = True
        self._arrived.set()
        if self._loop_task is not None:
            await asyncio.wait([self._loop_task])
        for thread in self._threads:
            thread.close()

    def abandon(self, error: ServiceError) -> None:
        """Give up on a batch that never ends: what runs and what waits fails now, nothing new is taken."""
        self._closed = True
        for batch in self._running.values():
            self._fail(batch.items, error)
        self._fail(itertools.chain.from_iterable(self._queues.values()), error)
        self._beside.cancel()
        if self._loop_task is not None:
            self._loop_task.cancel()

    # The loop

    async def _serve(self) -> None:
        while True:
            while not self._queues:
                if self._closed:
                    return await self._beside.until_fewer_than(1)
                self._arrived.clear()
                await self._arrived.wait()
                self._beside.raise_failure()
            key = self._oldest_key()
            most = self._in_flight(key)
            await self._beside.until_fewer_than(most)
            if key not in self._queues:
                continue
            reason = await self._fill(key)
            batch = self._take(key)
            if batch:
                self._observer.batch_released(reason, len(batch))
                if most == 1:
                    await self._forward(key, batch)
                else:
                    self._beside.begin(self._forward(key, batch))

    def _oldest_key(self) -> Key:
        return min(self._queues, key=lambda key: self._queues[key][0].number)

    async def _fill(self, key: Key) -> str:
        """Let a batch gather until it is full or its window, opened by its first item, closes; say which it was."""
        closes = self._queues[key][0].since + self._max_wait_s
        while len(self._queues.get(key, ())) < self._limit(key):
            remaining = closes - time.perf_counter()
            if self._max_wait_s == 0 or self._closed or key not in self._queues:
                return "idle"
            if remaining <= 0:
                return "timeout"
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), remaining)
            except TimeoutError:
                return "timeout"
        return "full"

    def _take(self, key: Key) -> list[_Waiting[Item, Result]]:
        queue = self._queues.get(key, deque())
        batch = [queue.popleft() for _ in range(min(len(queue), self._limit(key)))]
        self._forget_if_empty(key)
        return batch

    def _limit(self, key: Key) -> int:
        return self._isolation.bound(self._max_batch_size(key))

    async def _forward(self, key: Key, batch: list[_Waiting[Item, Result]]) -> None:
        released = time.perf_counter()
        thread = next(thread for thread in self._threads if thread not in self._running)
        self._running[thread] = _Batch(released, batch)
        sharing = len(self._running)
        try:
            outcome = await thread.run(self._isolation.run, key, [waiting.item for waiting in batch])
        except BaseException:
            self._fail(batch)
            raise
        finally:
            del self._running[thread]
        run_s = time.perf_counter() - released
        self._measure(len(batch), run_s / sharing)
        for waiting, result in zip(batch, outcome, strict=True):
            if waiting.future.done():  # its caller has left meanwhile
                continue
            if isinstance(result, Exception):
                waiting.future.set_exception(result)
            else:
                waiting.future.set_result(Answer(result, len(batch), released - waiting.since, run_s))

    def _measure(self, size: int, seconds: float) -> None:
        average = self._batch_seconds.get(size, seconds)
        self._batch_seconds[size] = average + SMOOTHING * (seconds - average)
        self.rate = max(size / seconds for size, seconds in self._batch_seconds.items())

    # Leaving

    def _remove(self, key: Key, waiting: _Waiting[Item, Result]) -> None:
        queue = self._queues.get(key, deque())
        if waiting in queue:
            queue.remove(waiting)
            self._forget_if_empty(key)

    def _forget_if_empty(self, key: Key) -> None:
        if key in self._queues and not self._queues[key]:
            del self._queues[key]

    def _fail(self, items: Iterable[_Waiting[Item, Result]], error: ServiceError = STOPPING) -> None:
        for waiting in items:
            if not waiting.future.done():
                waiting.future.set_exception(copy(error))  # each is raised somewhere else, with its own traceback

    def _loop_ended(self, task: asyncio.Task[None]) -> None:
        """Fail what waits when the loop ends other than by ``drain``; an endless wait would be worse than an error."""
        error = None if task.cancelled() else task.exception()
        if self._closed and error is None and not self._queues:
            return
        self._closed = True
        self._fail(itertools.chain.from_iterable(self._queues.values()))
        self._queues.clear()
        if self._on_death is not None:
            self._on_death(error)
