"""Work that goes on beside the loop that has begun it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class Flights:
    """Tasks that are under way, on one event loop; what ends one of them other than well is kept for whoever asks.

    ``on_end`` is called whenever one has ended.
    """

    def __init__(self, on_end: Callable[[], object]) -> None:
        self._on_end = on_end
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended = asyncio.Event()
        self._failure: BaseException | None = None

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._note_end)

    async def until_fewer_than(self, most: int) -> bool:
        """Whether that took a wait. Raises what has ended one of them."""
        must_wait = len(self._tasks) >= most
        while len(self._tasks) >= most:
            self._ended.clear()
            await self._ended.wait()
        self.raise_failure()
        return must_wait

    def raise_failure(self) -> None:
        """Raise what has ended one of them, if anything has."""
        if self._failure is not None:
            raise self._failure

    def cancel(self) -> None:
        for task in self._tasks:
            task.cancel()

    def _note_end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._failure = self._failure or (None if task.cancelled() else task.exception())
        self._ended.set()
        self._on_end()
