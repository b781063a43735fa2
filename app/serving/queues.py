"""What waits for a batcher: a queue for each key."""

from collections import deque
from collections.abc import Hashable, Iterator
from typing import Generic, Protocol, TypeVar


class Numbered(Protocol):
    """In the order in which they came."""

    @property
    def number(self) -> int: ...


Key = TypeVar("Key", bound=Hashable)
Waiting = TypeVar("Waiting", bound=Numbered)


class Queues(Generic[Key, Waiting]):
    """Empty queues are not kept: there may have been any number of keys."""

    def __init__(self) -> None:
        self._queues: dict[Key, deque[Waiting]] = {}

    def __bool__(self) -> bool:
        return bool(self._queues)

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    def __iter__(self) -> Iterator[Waiting]:
        for queue in self._queues.values():
            yield from queue

    def append(self, key: Key, waiting: Waiting) -> None:
        self._queues.setdefault(key, deque()).append(waiting)

    def count(self, key: Key) -> int:
        return len(self._queues.get(key, ()))

    def firsts(self) -> Iterator[Waiting]:
        """The one of each key that has waited longest."""
        return (queue[0] for queue in self._queues.values())

    def oldest_key(self) -> Key:
        return min(self._queues, key=lambda key: self._queues[key][0].number)

    def first(self, key: Key) -> Waiting:
        return self._queues[key][0]

    def take(self, key: Key, most: int) -> list[Waiting]:
        queue = self._queues.get(key, deque())
        taken = [queue.popleft() for _ in range(min(len(queue), most))]
        self._forget_if_empty(key)
        return taken

    def remove(self, key: Key, waiting: Waiting) -> None:
        """It need not be there any more."""
        queue = self._queues.get(key, deque())
        if waiting in queue:
            queue.remove(waiting)
            self._forget_if_empty(key)

    def clear(self) -> None:
        self._queues.clear()

    def _forget_if_empty(self, key: Key) -> None:
        if key in self._queues and not self._queues[key]:
            del self._queues[key]
