"""Who gets in: images and bytes are counted from headers to answer; what would come too late is refused at once."""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.errors import QueueFull, TooManyRequests
from app.serving.lifecycle import Lifecycle

# An upload that takes longer than this no longer counts as work that is about to arrive.
STALLED_S = 1.0


class Place:
    """One admitted request whose body is still to come."""

    __slots__ = ("_since",)

    def __init__(self) -> None:
        self._since = time.monotonic()

    @property
    def stalled(self) -> bool:
        return time.monotonic() - self._since > STALLED_S


class Admission:
    """Exact, since everything happens on one event loop.

    ``rate`` is the measured images per second, ``None`` before anything was measured. ``in_flight`` counts images,
    ``buffered_bytes`` what their uploads may take at most.
    """

    def __init__(
        self,
        lifecycle: Lifecycle,
        rate: Callable[[], float | None],
        *,
        max_queue_size: int,
        max_queue_delay_s: float,
        max_buffer_bytes: int,
        max_requests_per_key: int | None,
    ) -> None:
        self._lifecycle = lifecycle
        self._rate = rate
        self._max_queue_size = max_queue_size
        self._max_queue_delay_s = max_queue_delay_s
        self._max_buffer_bytes = max_buffer_bytes
        self._max_requests_per_key = max_requests_per_key
        self._per_key: Counter[str] = Counter()
        self._arriving: set[Place] = set()
        self.in_flight = 0
        self.buffered_bytes = 0

    @contextmanager
    def admit(self, key: str | None, upload_bytes: int) -> Iterator[Place]:
        """Hold a place for one image while its request is answered.

        ``key`` tells callers apart. Raises ``NotReady``, ``Draining``, ``QueueFull`` or ``TooManyRequests``; the last
        two say when to come back.
        """
        self._lifecycle.check_serving()
        self._check_bytes(upload_bytes)
        with self.room_for(1, key):
            place = Place()
            self._arriving.add(place)
            self.buffered_bytes += upload_bytes
            try:
                yield place
            finally:
                self._arriving.discard(place)
                self.buffered_bytes -= upload_bytes

    def arrive(self, place: Place) -> None:
        """Say that a request's body has been read. Raises ``QueueFull`` when others have taken its place since."""
        was_stalled = place.stalled
        self._arriving.discard(place)
        if was_stalled:
            self._check_size(0)
            self._check_delay()

    @contextmanager
    def room_for(self, images: int, key: str | None) -> Iterator[None]:
        """Hold places for images, and count them as those of a key. Raises ``TooManyRequests`` or ``QueueFull``."""
        self._check_key(images, key)
        self._check_size(images)
        if images:
            self._check_delay()
        self.in_flight += images
        self._count(key, images)
        try:
            yield
        finally:
            self.in_flight -= images
            self._count(key, -images)

    def _check_key(self, images: int, key: str | None) -> None:
        most = self._max_requests_per_key
        if key is not None and most is not None and self._per_key[key] + images > most:
            raise TooManyRequests(f"A key may have {most} images in flight at once.", {"Retry-After": "1"})

    def _check_size(self, images: int) -> None:
        counted = self._counted()
        if counted + images > self._max_queue_size:
            raise QueueFull(
                f"{counted} of {self._max_queue_size} images are in flight.", self._come_back(self._expected_delay_s())
            )

    def _check_bytes(self, upload_bytes: int) -> None:
        if self.buffered_bytes + upload_bytes > self._max_buffer_bytes:
            raise QueueFull("The uploads in flight fill the upload buffer.", self._come_back(self._expected_delay_s()))

    def _check_delay(self) -> None:
        delay_s = self._expected_delay_s()
        if delay_s > self._max_queue_delay_s:
            raise QueueFull(f"A new request would wait {delay_s:.1f} s.", self._come_back(delay_s))

    def _expected_delay_s(self) -> float:
        """How long the images that have arrived, or are about to, will take. Stalled uploads hold up nobody."""
        rate = self._rate()
        return self._counted() / rate if rate else 0.0

    def _counted(self) -> int:
        """Images that have arrived or are about to. Stalled uploads take nobody's place until they go on."""
        return self.in_flight - sum(place.stalled for place in self._arriving)

    def _come_back(self, delay_s: float) -> dict[str, str]:
        """When the measured rate will have worked the backlog down to half of what is allowed."""
        return {"Retry-After": str(max(1, math.ceil(delay_s - self._max_queue_delay_s / 2)))}

    def _count(self, key: str | None, change: int) -> None:
        if key is not None:
            self._per_key[key] += change
            if not self._per_key[key]:
                del self._per_key[key]
