"""Many files at once: a ``map`` that works ahead."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def map_ahead(function: Callable[[T], R], items: Iterable[T], workers: int, ahead: int) -> Iterator[R]:
    """``map`` in threads (Pillow and torch let go of the GIL), in order, with at most ``ahead`` results waiting."""
    source = iter(items)
    with ThreadPoolExecutor(workers, "images") as pool:
        waiting: deque[Future[R]] = deque(pool.submit(function, item) for item in islice(source, ahead))
        try:
            while waiting:
                result = waiting.popleft().result()
                waiting.extend(pool.submit(function, item) for item in islice(source, 1))
                yield result
        finally:
            for future in waiting:
                future.cancel()
