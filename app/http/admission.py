"""Who gets in: images are counted from headers to answer, and what would come too late is refused at once."""

import math
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from app.errors import QueueFull, TooManyRequests
from app.serving.lifecycle import Lifecycle
from app.serving.tally import Field, Row

# An upload that takes longer than this no longer counts as work that is about to arrive.
STALLED_S = 1.0


class Place:
    """An admitted request's, whose body is still to come at first; left with its ``with``."""

    __slots__ = ("_admission", "_since", "images", "key", "work")

    def __init__(self, admission: "Admission", key: str | None) -> None:
        self._admission = admission
        self._since = time.monotonic()
        self.key = key
        self.images = 1
        self.work = 0
        """What evaluations of its images take beside them, in images."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._admission.leave(self)

    @property
    def stalled(self) -> bool:
        return time.monotonic() - self._since > STALLED_S


class Admission:
    """Exact in a process, since everything happens on one event loop; the limits are those of all processes together.

    ``rate`` is the measured images per second, ``None`` before anything was measured. ``in_flight`` counts images.
    """

    def __init__(
        self,
        lifecycle: Lifecycle,
        rate: Callable[[], float | None],
        row: Row,
        *,
        max_queue_size: int,
        max_queue_delay_s: float,
        max_requests_per_key: int | None,
    ) -> None:
        self._lifecycle = lifecycle
        self._rate = rate
        self._row = row
        self._max_queue_size = max_queue_size
        self._max_queue_delay_s = max_queue_delay_s
        self._max_requests_per_key = max_requests_per_key
        self._arriving: set[Place] = set()
        self.in_flight = 0
        """Of this process."""

    def admit(self, key: str | None) -> Place:
        """A place for one image, to be held while its request is answered.

        ``key`` tells callers apart. Raises ``NotReady``, ``Draining``, ``QueueFull`` or ``TooManyRequests``; the last
        two say when to come back.
        """
        self._lifecycle.check_serving()
        self._check_key(1, key)
        self._check_size(1)
        self._check_delay()
        place = Place(self, key)
        self._arriving.add(place)
        self._count(key, 1)
        return place

    def arrive(self, place: Place, images: int, work: int = 0) -> None:
        """Say that a request's body has been read, and how many images were in it: all of them need a place now.

        ``work``: what their evaluations take, in images. It waits while others' images do not, so that it counts for
        other evaluations alone.

        Raises ``QueueFull`` when others have taken a stalled upload's place since, or there are not enough,
        ``TooManyRequests`` when these are more than the key may have.
        """
        was_stalled = place.stalled
        self._arriving.discard(place)
        more = images - place.images
        if more:
            self._check_key(more, place.key)
        if more or was_stalled:
            self._check_size(more)
            self._check_delay()
            place.images = images
            self._count(place.key, more)
        if work:
            self.take_more(place, work)

    def take_more(self, place: Place, work: int) -> None:
        """So much work more for a request whose body has been read. Raises ``QueueFull`` and ``TooManyRequests``."""
        self._check_key(work, place.key, but=place.images + place.work)
        ahead = self._row.tally.total(Field.WORK) - place.work
        backlog = self._counted() - place.images + ahead
        rate = self._rate()
        delay_s = backlog / rate if rate else 0.0
        if ahead and (backlog + work > self._max_queue_size or delay_s > self._max_queue_delay_s):
            raise QueueFull(f"Evaluations of {ahead:.0f} views are in flight.", self._come_back(delay_s))
        place.work += work
        self._row.add(Field.WORK, work)
        self._count_key(place.key, work)

    def leave(self, place: Place) -> None:
        """A request has been answered."""
        self._arriving.discard(place)
        self._count(place.key, -place.images)
        if place.work:
            self._row.add(Field.WORK, -place.work)
            self._count_key(place.key, -place.work)

    def _check_key(self, images: int, key: str | None, *, but: int | None = None) -> None:
        """``but``: what the request itself counts already; an evaluation is let in where there is nothing else."""
        most = self._max_requests_per_key
        if key is None or most is None or self._total_of(key) == but:
            return
        if self._total_of(key) + images > most:
            raise TooManyRequests(f"A key may have {most} images in flight at once.", {"Retry-After": "1"})

    def _check_size(self, images: int) -> None:
        counted = self._counted()
        if counted + images > self._max_queue_size:
            raise QueueFull(
                f"{counted} of {self._max_queue_size} images are in flight.", self._come_back(self._expected_delay_s())
            )

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
        self.publish()
        tally = self._row.tally
        return int(tally.total(Field.IN_FLIGHT) - tally.total(Field.STALLED))

    def publish(self) -> None:
        """Let other processes know which uploads have stalled; from time to time, since nothing else says so."""
        self._row.set(Field.STALLED, sum(place.stalled for place in self._arriving))

    def _total_of(self, key: str) -> float:
        return self._row.tally.total(self._row.tally.key(key))

    def _come_back(self, delay_s: float) -> dict[str, str]:
        """When the measured rate will have worked the backlog down to half of what is allowed."""
        return {"Retry-After": str(max(1, math.ceil(delay_s - self._max_queue_delay_s / 2)))}

    def _count(self, key: str | None, change: int) -> None:
        self.in_flight += change
        self._row.add(Field.IN_FLIGHT, change)
        self._count_key(key, change)

    def _count_key(self, key: str | None, change: int) -> None:
        if key is not None:
            self._row.add(self._row.tally.key(key), change)
