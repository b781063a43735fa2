"""The threads that batches are run on, and what each of them is doing."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from app.serving.workers import Workers

Held = TypeVar("Held")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Done(Generic[Result]):
    """What came of it, when it was begun, and how long it took; ``share_s`` is less where others ran beside it."""

    result: Result
    since: float
    seconds: float
    share_s: float


class Threads(Generic[Held]):
    """``count`` threads, for one thing each at a time. ``held`` is what somebody waits for while a thread runs."""

    def __init__(self, count: int, name: str) -> None:
        self._threads = [Workers(1, f"{name}-{number}") for number in range(count)]
        self._running: dict[Workers, tuple[float, Held]] = {}

    @property
    def busy(self) -> int:
        """How many are running something."""
        return len(self._running)

    @property
    def running_s(self) -> float:
        """How long the oldest of what is being run has been running; 0 when nothing is."""
        return max((time.perf_counter() - since for since, _ in self._running.values()), default=0.0)

    def held(self) -> list[Held]:
        return [held for _, held in self._running.values()]

    async def run(self, held: Held, work: Callable[..., Result], *arguments: object) -> Done[Result]:
        """On the first one that is free, as one of them must be. Raises what the work raises."""
        thread = next(thread for thread in self._threads if thread not in self._running)
        since = time.perf_counter()
        self._running[thread] = since, held
        sharing = len(self._running)
        try:
            result = await thread.run(work, *arguments)
        finally:
            del self._running[thread]
        seconds = time.perf_counter() - since
        return Done(result, since, seconds, seconds / sharing)

    async def aside(self, count: int, work: Callable[..., object], *arguments: object) -> None:
        """On each of the first ones, one after the other, when it has done what it is doing."""
        for thread in self._threads[:count]:
            await thread.run(work, *arguments)

    def close(self) -> None:
        """Let them end once they have done what they are doing."""
        for thread in self._threads:
            thread.close()
