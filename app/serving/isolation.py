"""Run a batch so that an item which breaks it fails alone, and a batch that is too large for the device is halved."""

import logging
import time
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

from app.errors import BatchTooLarge, InternalError

logger = logging.getLogger(__name__)

SHRUNK_S = 60.0  # how long batches stay smaller after the device's memory was full

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")
Result = TypeVar("Result")
Run = Callable[[Key, list[Item]], Sequence[Result | Exception]]


class Isolation(Generic[Key, Item, Result]):
    """``run(key, items)`` returns one result per item, in order; an ``Exception`` in that list fails only its item.

    When it raises, the batch is split and retried. ``check(key)`` is asked whether the runner still works after an item
    has failed alone; what it raises is let through. ``shrunk`` hears of the new size after ``BatchTooLarge``.
    """

    def __init__(
        self, run: Run[Key, Item, Result], check: Callable[[Key], object], shrunk: Callable[[int], object]
    ) -> None:
        self._run = run
        self._check = check
        self._shrunk = shrunk
        self._ceiling: int | None = None
        self._ceiling_until = 0.0

    def bound(self, size: int) -> int:
        """That size, or the smaller one that has lately been found to fit the device."""
        if self._ceiling is not None and time.perf_counter() < self._ceiling_until:
            return min(size, self._ceiling)
        return size

    def run(self, key: Key, items: list[Item]) -> list[Result | Exception]:
        """One outcome for each item. Blocking."""
        outcome = self._attempt(key, items)
        if not isinstance(outcome, Exception):
            return outcome
        if len(items) == 1:
            self._check(key)
            return [outcome]
        middle = len(items) // 2
        if isinstance(outcome, BatchTooLarge):
            self._shrink(middle)
        else:
            cause = repr(outcome)
            logger.warning("A batch of %d failed (%s); splitting it to find the culprit.", len(items), cause)
        del outcome  # an error keeps what the batch had on the device, which the halves are to have
        return self.run(key, items[:middle]) + self.run(key, items[middle:])

    def _attempt(self, key: Key, items: list[Item]) -> list[Result | Exception] | Exception:
        try:
            return self._run_whole(key, items)
        except BatchTooLarge as caught:
            return caught.with_traceback(None)  # the rest of its way is of no use to anybody
        except Exception as caught:  # noqa: BLE001 - whatever the network raises belongs to its culprit alone
            return caught

    def _shrink(self, size: int) -> None:
        self._ceiling, self._ceiling_until = size, time.perf_counter() + SHRUNK_S
        logger.warning("The device's memory is full; limiting batches to %d for %g s.", size, SHRUNK_S)
        self._shrunk(size)

    def _run_whole(self, key: Key, items: list[Item]) -> list[Result | Exception]:
        results = list(self._run(key, items))
        if len(results) != len(items):
            raise InternalError(f"{len(items)} items went in, {len(results)} results came out")
        return results
