"""Threads for an event loop's heavy work, as ``run_in_executor`` gives them, at half its cost per call.

One kind of future instead of two, and one wake-up of the loop for all results that are there when it wakes.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

Result = TypeVar("Result")
Job = tuple[asyncio.Future[Any], Callable[..., Any], tuple[Any, ...]]


class Workers:
    """``count`` threads, started by the first call; they belong to the event loop of that call."""

    def __init__(self, count: int, name: str) -> None:
        self._count = count
        self._name = name
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._done: deque[tuple[asyncio.Future[Any], Any, BaseException | None]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._will_wake = False

    def run(self, work: Callable[..., Result], *arguments: Any) -> asyncio.Future[Result]:
        """``work(*arguments)`` on the next free thread. Cancelling the future keeps a job from being begun."""
        if self._loop is None:
            self._start()
        assert self._loop is not None  # _start has set it
        future: asyncio.Future[Result] = self._loop.create_future()
        self._jobs.put((future, work, arguments))
        return future

    def close(self) -> None:
        """Let the threads end once they have done what is queued; who waits for a result still gets it."""
        for _ in range(self._count):
            self._jobs.put(None)

    def _start(self) -> None:
        self._loop = asyncio.get_running_loop()
        for number in range(self._count):
            # Daemons: a job that never ends must not keep the process from ending.
            threading.Thread(target=self._serve, name=f"{self._name}-{number}", daemon=True).start()

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, work, arguments = job
            if not future.cancelled():
                self._done.append((future, *_outcome(work, arguments)))
                self._wake()
            del job, future, work, arguments  # a thread that waits must not keep the last picture alive

    def _wake(self) -> None:
        assert self._loop is not None  # threads start after it is set
        # Whoever finds the flag set comes before the delivery, which takes its result along.
        if not self._will_wake and not self._loop.is_closed():
            self._will_wake = True
            self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._will_wake = False
        while self._done:
            future, result, error = self._done.popleft()
            if future.done():  # its caller has left meanwhile
                continue
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)


def _outcome(work: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, BaseException | None]:
    try:
        return work(*arguments), None
    except BaseException as error:  # noqa: BLE001 - handed to whoever awaits the job
        return None, error
