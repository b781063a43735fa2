"""From a picture's file to what the network sees: by the service's own decode and preprocess, in threads."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TypeVar

from app.image.decode import decode
from app.image.fast import decode_fast, preprocess_fast
from app.image.preprocess import preprocess
from app.model.manifest import Preprocessing
from app.model.registry import Pixels
from app.settings import Settings

T = TypeVar("T")
R = TypeVar("R")


def load_pixels(path: Path, preprocessing: Preprocessing, settings: Settings) -> Pixels:
    """uint8 (crop, crop, 3), exactly as the service with these settings would see an upload of the file.

    Raises ``ServiceError`` when the service would refuse it.
    """
    data = path.read_bytes()
    if settings.decode == "fast":
        return preprocess_fast(decode_fast(data, settings.max_pixels, preprocessing.resize).image, preprocessing)
    return preprocess(decode(data, settings.max_pixels).image, preprocessing)


def map_ahead(function: Callable[[T], R], items: Iterable[T], workers: int, ahead: int) -> Iterator[R]:
    """``map`` in threads (Pillow and torch let go of the GIL), in order, with at most ``ahead`` results waiting."""
    source = iter(items)
    with ThreadPoolExecutor(workers, "pictures") as pool:
        waiting: deque[Future[R]] = deque(pool.submit(function, item) for item in islice(source, ahead))
        try:
            while waiting:
                result = waiting.popleft().result()
                waiting.extend(pool.submit(function, item) for item in islice(source, 1))
                yield result
        finally:
            for future in waiting:
                future.cancel()
