"""Which upload is read next: what is quick never waits for what takes long.

Nobody knows what a picture costs before it is being read. One that turns out to be large, or to take long while others
wait, goes back into a queue of its kind; so many of these are read at a time that the others keep their decoders.
"""

from collections import deque
from collections.abc import Collection, Iterator
from typing import Protocol

from app.decoding.task import Task

# Of the memory that the largest image may take, so much again is for those that take no more than this share of it:
# photographs of 12 megapixels do not wait for one of 100.
LARGE_SHARE = 4


class Ledger(Protocol):
    """Where processes that share memory for large images say how much each has taken, by kind: 0, or 1 the largest."""

    def take(self, kind: int, size: int) -> None:
        """This process has so many bytes now."""

    def others(self, kind: int) -> int:
        """What all others have."""


class NoOthers:
    """For a process that has the memory for itself."""

    def take(self, kind: int, size: int) -> None:
        pass

    def others(self, kind: int) -> int:  # noqa: ARG002 - as a ledger has it
        return 0


class Queues:
    """``most_bytes`` is what the largest image may take, ``most_long`` how many long ones are read at a time."""

    def __init__(self, most_bytes: int, most_long: int, ledger: Ledger | None = None) -> None:
        self._most_long = most_long
        self._ledger = ledger or NoOthers()
        self._taken = [0, 0]
        self._most_bytes = (most_bytes // LARGE_SHARE, most_bytes)
        self.new: deque[Task] = deque()
        self._put_off: deque[Task] = deque()
        self._large: tuple[deque[Task], ...] = (deque(), deque())

    @property
    def most_large_bytes(self) -> int:
        """What large images take at most, all of them together."""
        return sum(self._most_bytes)

    def add(self, task: Task, *, first: bool = False) -> None:
        queue = self._queue(task)
        (queue.appendleft if first else queue.append)(task)

    def remove(self, task: Task) -> bool:
        """Whether it was still waiting."""
        queue = self._queue(task)
        if task in queue:
            queue.remove(task)
            return True
        return False

    def next(self, being_read: Collection[Task]) -> Task | None:
        """What may be read beside these; long ones, which have waited before, first."""
        taken = [0, 0]
        for task in being_read:
            taken[task.room > self._most_bytes[0]] += task.room
        for kind in range(len(taken)):
            self._take(kind, taken[kind])
        if sum(task.is_long for task in being_read) < self._most_long:
            for kind, queue in enumerate(self._large):
                if queue and self._may_take(kind, taken[kind] + queue[0].room):
                    return queue.popleft()
            if self._put_off:
                return self._put_off.popleft()
        return self.new.popleft() if self.new else None

    def _may_take(self, kind: int, size: int) -> bool:
        """It is said before it is known, so that of two processes that ask at once not both go on."""
        before = self._taken[kind]
        self._take(kind, size)
        if size + self._ledger.others(kind) <= self._most_bytes[kind]:
            return True
        self._take(kind, before)
        return False

    def _take(self, kind: int, size: int) -> None:
        if size != self._taken[kind]:
            self._taken[kind] = size
            self._ledger.take(kind, size)

    def __iter__(self) -> Iterator[Task]:
        for queue in (self.new, self._put_off, *self._large):
            yield from queue

    def _queue(self, task: Task) -> deque[Task]:
        if task.room:
            return self._large[task.room > self._most_bytes[0]]
        return self._put_off if task.put_off else self.new
