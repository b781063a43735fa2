"""Which upload is read next: what is quick never waits for what takes long.

Nobody knows what a picture costs before it is being read. One that turns out to be large, or to take long while others
wait, goes back into a queue of its kind; so many of these are read at a time that the others keep their decoders.
"""

from collections import deque
from collections.abc import Collection, Iterator

from app.decoding.task import Task

# Of the memory that the largest image may take, so much again is for those that take no more than this share of it:
# photographs of 12 megapixels do not wait for one of 100.
LARGE_SHARE = 4


class Queues:
    """``most_bytes`` is what the largest image may take, ``most_long`` how many long ones are read at a time."""

    def __init__(self, most_bytes: int, most_long: int) -> None:
        self._most_long = most_long
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
        if sum(task.is_long for task in being_read) < self._most_long:
            for queue, most_bytes in zip(self._large, self._most_bytes, strict=True):
                rooms = sum(task.room for task in being_read if task.room and self._queue(task) is queue)
                if queue and rooms + queue[0].room <= most_bytes:
                    return queue.popleft()
            if self._put_off:
                return self._put_off.popleft()
        return self.new.popleft() if self.new else None

    def __iter__(self) -> Iterator[Task]:
        for queue in (self.new, self._put_off, *self._large):
            yield from queue

    def _queue(self, task: Task) -> deque[Task]:
        if task.room:
            return self._large[task.room > self._most_bytes[0]]
        return self._put_off if task.put_off else self.new
