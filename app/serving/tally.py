"""Numbers that the processes of one service tell each other: each writes its own row, everybody reads the sums.

So limits are the whole service's without anybody asking anybody. Nothing is locked: two processes that admit somebody
in the same microsecond may go one beyond a limit.
"""

import hashlib
import mmap
import os
from collections.abc import Sequence
from enum import IntEnum
from functools import lru_cache

# Callers are told apart by their addresses, of which there are too many to count each: some share a count.
BUCKETS = 4096


class Field(IntEnum):
    """What a row has, besides a count for each key and for each bucket of callers."""

    PID = 0
    READY = 1
    BEAT_S = 2
    """When the process was last seen to be well, on the monotonic clock."""
    CONNECTIONS = 3
    IN_FLIGHT = 4
    STALLED = 5
    CHARGED_BYTES = 6
    WANTED_BYTES = 7
    """Room that others are to make by pushing out slow uploads."""
    DECODING_RATE = 8
    """Images per second that its decoders manage."""
    NETWORK_RATE = 9
    QUEUE_DEPTH = 10
    OLDEST_S = 11
    STARTS = 12
    """How many processes have had this part."""
    WORK = 13
    """What evaluations take beside the images that they are of, in images."""
    LARGE_BYTES = 14
    """Memory for large images that are being read, and for the largest of them."""
    LARGEST_BYTES = 15


class Tally:
    """Memory for ``rows`` processes that are forked later. ``keys`` are the names of callers to be counted exactly."""

    def __init__(self, rows: int, keys: Sequence[str] = ()) -> None:
        self.rows = rows
        self._keys = {name: len(Field) + number for number, name in enumerate(keys)}
        self._buckets = len(Field) + len(self._keys)
        self._memory = mmap.mmap(-1, 8 * rows * (self._buckets + BUCKETS))
        self.values = memoryview(self._memory).cast("d")
        self._secret = os.urandom(16)  # nobody can choose whom to share a bucket with
        self.bucket = lru_cache(maxsize=BUCKETS)(self._bucket)

    def row(self, number: int) -> "Row":
        """A process's own, empty at first."""
        row = Row(self, number)
        for slot in range(self._buckets + BUCKETS):
            row.set(slot, 0)
        return row

    def get(self, slot: int, row: int) -> float:
        return self.values[slot * self.rows + row]

    def total(self, slot: int) -> float:
        """The sum over all processes."""
        return sum(self.values[slot * self.rows : (slot + 1) * self.rows])

    def most(self, slot: int) -> float:
        """The largest of all processes."""
        return max(self.values[slot * self.rows : (slot + 1) * self.rows])

    def least(self, slot: int) -> float:
        """The smallest of all processes."""
        return min(self.values[slot * self.rows : (slot + 1) * self.rows])

    def key(self, name: str) -> int:
        """The slot of a key."""
        return self._keys[name]

    def pids(self) -> list[int]:
        """The processes that are there."""
        return [int(pid) for pid in self.values[: self.rows] if pid]

    def _bucket(self, caller: str) -> int:
        digest = hashlib.blake2b(caller.encode(), key=self._secret, digest_size=4).digest()
        return self._buckets + int.from_bytes(digest) % BUCKETS


class Row:
    """One process's numbers, and what all have together."""

    def __init__(self, tally: Tally, number: int) -> None:
        self.tally = tally
        self.number = number
        self._values = tally.values
        self._rows = tally.rows

    def get(self, slot: int) -> float:
        return self._values[slot * self._rows + self.number]

    def set(self, slot: int, value: float) -> None:
        self._values[slot * self._rows + self.number] = value

    def add(self, slot: int, change: float) -> None:
        self._values[slot * self._rows + self.number] += change

    def others(self, slot: int) -> float:
        """The sum over all other processes."""
        return self.tally.total(slot) - self.get(slot)


class LargeImages:
    """The decoders' ledger of the memory that large images take, for all processes."""

    def __init__(self, row: Row) -> None:
        self._row = row

    def take(self, kind: int, size: int) -> None:
        self._row.set(Field.LARGE_BYTES + kind, size)

    def others(self, kind: int) -> int:
        return int(self._row.others(Field.LARGE_BYTES + kind))


def one_row() -> Row:
    """For a service in one process."""
    return Tally(1).row(0)
