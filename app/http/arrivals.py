"""What uploads take of the memory, counted as they come: all of them together, and those of one caller.

A request is charged for what lies in its buffers, or for a small share of what it has announced where that is more, and
for the pixels that a decoder will make of each of its images. When there is no room, the slowest uploads make some.
"""

import asyncio
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from app.decoding.buffers import Buffer, Buffers, whole_pages
from app.errors import QueueFull, ServiceError, TooManyRequests
from app.serving.tally import Field, Row

# Of what is announced, so much counts before it has come: whoever announces and sends nothing takes little.
ANNOUNCED_SHARE = 1 / 16
# How fast an upload is cannot be told before.
YOUNG_S = 1.0
# How long other processes have to notice that this one has found no room.
WANTED_S = 0.5
COME_BACK = {"Retry-After": "1"}


class Arrival:
    """One request's upload. What it holds and is charged for ends with it; whoever still reads a buffer holds it."""

    __slots__ = (
        "_arrivals", "_began", "_timeout", "ahead_bytes", "buffers", "caller", "charged_bytes", "pixels_bytes",
        "pushed_out", "received_bytes",
    )  # fmt: skip

    def __init__(self, arrivals: "Arrivals", caller: str, pixels_bytes: int) -> None:
        self._arrivals = arrivals
        self._began = time.monotonic()
        self._timeout: asyncio.Timeout | None = None
        self.caller = caller
        self.pixels_bytes = pixels_bytes
        """Of one image, in whole pages."""
        self.buffers: list[Buffer] = []
        self.received_bytes = 0
        """Of the body: for its speed. What is passed over is among it."""
        self.charged_bytes = self.ahead_bytes = 0
        """In all, and of these what is not in a buffer yet."""
        self.pushed_out = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._let_go()

    @property
    def age_s(self) -> float:
        return time.monotonic() - self._began

    @property
    def speed(self) -> float:
        """Bytes per second since it began."""
        return self.received_bytes / max(self.age_s, 1e-3)

    def take(self) -> Buffer:
        """A buffer for one more image. Raises ``QueueFull`` or ``TooManyRequests``, as ``append`` does."""
        self._check_wanted()
        self._arrivals.reserve(self, 0)
        buffer = self._arrivals.take(self)
        self.buffers.append(buffer)
        return buffer

    def append(self, buffer: Buffer, data: bytes | memoryview) -> None:
        """The next bytes of an image."""
        self._check_wanted()
        size = buffer.size
        growth = whole_pages(size + len(data)) - whole_pages(size)
        if growth:
            self._arrivals.reserve(self, growth)
        buffer.append(data)

    def complete(self, buffer: Buffer) -> None:
        """An image is whole: from now on its pixels are counted where it lies, for as long as anybody holds it."""
        self._check_wanted()
        buffer.expect_pixels(self.pixels_bytes)
        self._arrivals.change(self, charged=0, ahead=-self.pixels_bytes)

    def drop(self, buffer: Buffer) -> None:
        """Nobody will look at this one."""
        self._check_wanted()
        self.buffers.remove(buffer)
        self._arrivals.change(self, charged=-whole_pages(buffer.size), ahead=0)
        buffer.release()

    def interrupt_with(self, timeout: asyncio.Timeout) -> None:
        """The body is being read from now on: until it is whole, the reading may be interrupted by this timeout."""
        self._timeout = timeout
        self._arrivals.arriving.add(self)

    def arrived(self) -> None:
        """The body is whole, and nobody can push it out any more."""
        self._check_wanted()
        self._arrivals.arriving.discard(self)
        if self.ahead_bytes:
            self._arrivals.change(self, charged=-self.ahead_bytes, ahead=-self.ahead_bytes)

    def push_out(self) -> None:
        """Make room for others at once, and end the reading."""
        self.pushed_out = True
        self._let_go()
        if self._timeout is not None and not self._timeout.expired():
            self._timeout.reschedule(0)

    def refusal(self) -> ServiceError:
        """What the request of an upload that was pushed out is answered."""
        return QueueFull("The uploads in flight fill the upload buffer, and this was the slowest.", COME_BACK)

    def _check_wanted(self) -> None:
        if self.pushed_out:
            raise self.refusal()

    def _let_go(self) -> None:
        self._arrivals.arriving.discard(self)
        self._arrivals.change(self, charged=-self.charged_bytes, ahead=-self.ahead_bytes)
        while self.buffers:
            self.buffers.pop().release()


class Arrivals:
    """The uploads of all of this process's requests; the limits are those of all processes together.

    ``max_bytes`` is for everybody, ``share_bytes`` for one caller. What the buffers hold is in ``row`` already.
    """

    def __init__(
        self, buffers: Buffers, row: Row, *, max_bytes: int, share_bytes: int, on_push_out: Callable[[], None]
    ) -> None:
        self._buffers = buffers
        self._row = row
        self._tally = row.tally
        self._max_bytes = max_bytes
        self._share_bytes = share_bytes
        self._on_push_out = on_push_out
        self.arriving: set[Arrival] = set()
        self._wanted_since = 0.0
        self._heard_bytes = 0

    @property
    def charged_bytes(self) -> int:
        """What lies in buffers, also in those of requests that have ended, and what is charged ahead."""
        return int(self._tally.total(Field.CHARGED_BYTES))

    def begin(self, caller: str, announced_bytes: int, pixels_bytes: int) -> Arrival:
        """An upload begins; ``caller`` tells apart who shares the memory, ``pixels_bytes`` is for one image.

        To be used in a ``with``. Raises ``QueueFull`` or ``TooManyRequests``.
        """
        arrival = Arrival(self, caller, whole_pages(pixels_bytes))
        ahead = whole_pages(int(announced_bytes * ANNOUNCED_SHARE)) + arrival.pixels_bytes
        self._make_room(arrival, ahead)
        self.change(arrival, charged=ahead, ahead=ahead)
        return arrival

    def reserve(self, arrival: Arrival, growth: int) -> None:
        """Charge for so many bytes that are about to be in a buffer, and for the pixels that are still to come."""
        more = max(0, growth + arrival.pixels_bytes - arrival.ahead_bytes)
        if more:
            self._make_room(arrival, more)
        self.change(arrival, charged=more, ahead=more - growth)

    def take(self, asking: Arrival) -> Buffer:
        """A free buffer, if need be the slowest upload's."""
        while True:
            try:
                return self._buffers.take()
            except QueueFull:
                slowest = next((one for one in self._slower_than(asking) if one.buffers), None)
                if slowest is None:
                    raise
                self._push_out(slowest)

    def change(self, arrival: Arrival, *, charged: int, ahead: int) -> None:
        """Count what an upload is charged, in all and ahead, differently by so many bytes."""
        arrival.charged_bytes += charged
        arrival.ahead_bytes += ahead
        self._row.add(Field.CHARGED_BYTES, ahead)
        self._row.add(self._tally.bucket(arrival.caller), charged)

    def make_room_for_others(self) -> None:
        """Push out the slowest uploads where another process has found no room. To be called from time to time."""
        if time.monotonic() - self._wanted_since > WANTED_S:
            self._row.set(Field.WANTED_BYTES, 0)
        heard, self._heard_bytes = self._heard_bytes, int(self._row.others(Field.WANTED_BYTES))
        wanted = self._heard_bytes
        if wanted and wanted != heard:
            slow = sorted((one for one in self.arriving if one.age_s > YOUNG_S), key=lambda one: one.speed)
            self._free(min(wanted, sum(one.charged_bytes for one in slow)), slow)

    def _make_room(self, asking: Arrival, more: int) -> None:
        """Room for so many bytes more, by pushing out as many of the slowest uploads as it takes, or none.

        Raises ``TooManyRequests`` where the caller's other uploads do not leave enough, ``QueueFull`` where all do not.
        """
        over = int(self._tally.total(self._tally.bucket(asking.caller))) + more - self._share_bytes
        if over > 0 and not self._free(over, [one for one in self._slower_than(asking) if one.caller == asking.caller]):
            raise TooManyRequests("The uploads of this caller take as much memory as one may.", COME_BACK)
        over = self.charged_bytes + more - self._max_bytes
        if over > 0 and not self._free(over, self._slower_than(asking)):
            self._wanted_since = time.monotonic()
            self._row.set(Field.WANTED_BYTES, over)
            raise QueueFull("The uploads in flight fill the upload buffer.", COME_BACK)

    def _free(self, needed: int, slowest_first: list[Arrival]) -> bool:
        """Whether these could make room for so many bytes; they have, then."""
        chosen: list[Arrival] = []
        for one in slowest_first:
            chosen.append(one)
            needed -= one.charged_bytes
            if needed <= 0:
                for each in chosen:
                    self._push_out(each)
                return True
        return False

    def _slower_than(self, asking: Arrival) -> list[Arrival]:
        """Uploads whose speed is known and less than that of the one that asks, the slowest first."""
        known = [one for one in self.arriving if one is not asking and one.age_s > YOUNG_S]
        if asking.age_s > YOUNG_S:
            known = [one for one in known if one.speed < asking.speed]
        return sorted(known, key=lambda one: one.speed)

    def _push_out(self, arrival: Arrival) -> None:
        arrival.push_out()
        self._on_push_out()
