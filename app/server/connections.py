"""How many connections are open, and who has to go when there are too many."""

import logging
import resource
from collections.abc import Callable
from itertools import chain
from typing import Protocol

from prometheus_client import Counter

logger = logging.getLogger(__name__)

# Descriptors for everything that is no connection: the listener, files, libraries.
RESERVED_DESCRIPTORS = 64


class Closable(Protocol):
    def close(self) -> None:
        """End a connection on which nothing is being answered."""
        ...


class Connections:
    """Open connections, those without a request in progress in the order in which they fell idle.

    A newcomer beyond ``limit`` takes the place of the connection that has been idle for longest, half-sent heads
    included: of one that has never asked for anything if there is one, so that a flood of them closes its own. When
    none is idle, the newcomer is refused. ``on_change`` hears how many there are.
    """

    def __init__(self, limit: int, closed: Counter, on_change: Callable[[int], object]) -> None:
        self.limit = limit
        self._all: set[Closable] = set()
        self._new: dict[Closable, None] = {}
        self._idle: dict[Closable, None] = {}
        self._closed = closed
        self._told = False
        self._on_change = on_change

    def admit(self, connection: Closable) -> bool:
        """Whether a new connection may stay."""
        if len(self._all) >= self.limit and not self._make_room():
            self._closed.labels("refused").inc()
            return False
        self._all.add(connection)
        self._on_change(len(self._all))
        self._new[connection] = None
        return True

    def busy(self, connection: Closable) -> None:
        """A request is in progress on it."""
        self._new.pop(connection, None)
        self._idle.pop(connection, None)

    def idle(self, connection: Closable) -> None:
        """Nothing is in progress on it any more."""
        if connection in self._all:
            self._idle[connection] = None

    def lost(self, connection: Closable) -> None:
        """It is closed."""
        self._all.discard(connection)
        self._on_change(len(self._all))
        self._new.pop(connection, None)
        self._idle.pop(connection, None)
        if len(self._all) < self.limit * 9 // 10:
            self._told = False

    def _make_room(self) -> bool:
        if not self._told:  # once for each time that it gets so far, not once for each connection
            self._told = True
            logger.warning("There are %d connections, as many as may be (VGG_MAX_CONNECTIONS).", self.limit)
        longest_idle = next(chain(self._new, self._idle), None)
        if longest_idle is None:
            return False
        self.lost(longest_idle)
        self._closed.labels("idle").inc()
        longest_idle.close()
        return True


def affordable(wanted: int) -> int:
    """As many connections as are wanted, or fewer where the system's limit on descriptors asks for it, and says so."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + RESERVED_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    fewer = max(1, soft - RESERVED_DESCRIPTORS)
    logger.warning("%d descriptors (ulimit -n) are enough for %d connections, not %d.", soft, fewer, wanted)
    return fewer
