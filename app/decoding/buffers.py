"""Shared memory that uploads lie in from their first byte, and what their decoders make of them.

One block of memory that every process sees, cut into places of one size. Address space costs nothing: a place has room
for the largest upload, and takes only the memory that has been written to.
"""

import math
import mmap
import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple, Self

import numpy as np

from app.errors import QueueFull
from app.image.views import Pixels

# What a decoder may make of one upload: 150 views for VGG16 take 22.6 MB.
MAX_PIXELS_BYTES = 32 * 2**20
MAX_PIXELS = MAX_PIXELS_BYTES // 3
# Free places keep some memory, so that an ordinary photograph need not wait for the system to find it.
KEPT_PLACES = 64
KEPT_BYTES = 512 * 1024


class Region(NamedTuple):
    """Where in a block uint8 of a shape lie."""

    start: int
    shape: tuple[int, ...]

    def one(self, number: int) -> "Region":
        """That one of the things which lie behind each other here, and only it."""
        return Region(self.start + number * math.prod(self.shape[1:]), (1, *self.shape[1:]))

    def alone(self) -> "Region":
        """The only thing here, as itself."""
        return Region(self.start, self.shape[1:])


class Buffer:
    """One upload, and the pixels that a decoder has made of it. Made with one holder; without any, it is free again."""

    __slots__ = ("_buffers", "_holders", "_reached", "number", "size")

    def __init__(self, buffers: "Buffers", number: int) -> None:
        self._buffers = buffers
        self._holders = 1
        self._reached = 0
        self.number = number
        self.size = 0
        """Bytes of the upload so far."""

    def append(self, chunk: bytes | memoryview) -> None:
        """Write the next bytes of the upload. Raises ``ValueError`` beyond what the place has room for."""
        end = self.size + len(chunk)
        if end > self._buffers.block.upload_bytes:
            raise ValueError("the upload does not fit")
        self._buffers.block.memory[self.start + self.size : self.start + end] = chunk
        self.size = end
        self._reach(end)

    @property
    def start(self) -> int:
        """Where in the block the upload begins."""
        return self._buffers.block.start(self.number)

    @property
    def pixels_start(self) -> int:
        """Where in the block a decoder writes: from the first page behind the upload."""
        return self.start + whole_pages(self.size)

    @property
    def content(self) -> memoryview:
        """The upload, in place: for as long as the buffer is held."""
        return memoryview(self._buffers.block.memory)[self.start : self.start + self.size]

    def expect_pixels(self, size: int) -> None:
        """Count the bytes that a decoder will write. Raises ``ValueError`` beyond what the place has room for."""
        if size > MAX_PIXELS_BYTES:
            raise ValueError("the pixels do not fit")
        self._reach(whole_pages(self.size) + size)

    def pixels(self, shape: tuple[int, ...]) -> Pixels:
        """What a decoder has written, as uint8 of that shape, in place: for as long as the buffer is held."""
        return self._buffers.block.pixels(Region(self.pixels_start, shape))

    def hold(self) -> Self:
        """One holder more."""
        self._holders += 1
        return self

    def release(self) -> None:
        """One holder less."""
        self._holders -= 1
        if not self._holders:
            self._buffers.count_held(-whole_pages(self._reached))
            self._buffers.put_back(self.number, self._reached)

    def _reach(self, end: int) -> None:
        """The place has memory up to there."""
        if end > self._reached:
            self._buffers.count_held(whole_pages(end) - whole_pages(self._reached))
            self._reached = end


class Block:
    """The memory itself, in ``count`` places for uploads of at most ``upload_bytes`` each: made once, by whoever makes
    the processes that use it."""

    def __init__(self, count: int, upload_bytes: int) -> None:
        self.count = count
        self.upload_bytes = upload_bytes
        self._place_bytes = whole_pages(upload_bytes) + MAX_PIXELS_BYTES
        self.descriptor = _sparse_file(count * self._place_bytes)
        """For other processes to map."""
        self.memory = mmap.mmap(self.descriptor, 0)

    def start(self, number: int) -> int:
        """Where a place begins."""
        return number * self._place_bytes

    def pixels(self, region: Region) -> Pixels:
        """What lies there, in place. Raises ``ValueError`` where the block does not reach so far."""
        return np.frombuffer(self.memory, np.uint8, math.prod(region.shape), region.start).reshape(region.shape)

    def give_back(self, start: int, size: int) -> None:
        """Let the system have the memory again. Elsewhere than on Linux a place keeps what it has had at most."""
        if size and hasattr(mmap, "MADV_REMOVE") and not self.memory.closed:
            self.memory.madvise(mmap.MADV_REMOVE, start, size)

    def close(self) -> None:
        """Let go of the memory, when no other process uses it any more. Buffers may still be released."""
        os.close(self.descriptor)
        with suppress(BufferError):  # somebody looks at a content: it goes with that
            self.memory.close()


class Buffers:
    """Those places of a block that one process gives out and takes back, on one thread.

    Other processes are told where a place begins, and see the memory. ``kept`` free places keep some memory.
    """

    def __init__(
        self, block: Block, places: range, *, kept: int = KEPT_PLACES, on_held: Callable[[int], object] = lambda _: None
    ) -> None:
        self.block = block
        self.held_bytes = 0
        """Memory that buffers in use have been written to, in whole pages."""
        self._kept = kept
        self._on_held = on_held
        self._cold = list(places)
        self._warm: list[int] = []
        block.give_back(block.start(places.start), block.start(len(places)))  # whoever had them before may have died

    @property
    def most_kept_bytes(self) -> int:
        """What free places may hold beside ``held_bytes``."""
        return self._kept * KEPT_BYTES

    def take(self) -> Buffer:
        """An empty buffer. Raises ``QueueFull`` when all are in use."""
        free = self._warm or self._cold
        if not free:
            raise QueueFull("The service holds as many uploads as it can.", {"Retry-After": "1"})
        return Buffer(self, free.pop())

    def count_held(self, change: int) -> None:
        """Buffers hold so many bytes more."""
        self.held_bytes += change
        self._on_held(change)

    def put_back(self, number: int, reached: int) -> None:
        """What ``Buffer.release`` comes to: the place is free, and the system gets back what is not kept."""
        keep = len(self._warm) < self._kept
        kept = KEPT_BYTES if keep else 0
        if reached > kept:
            self.block.give_back(self.block.start(number) + kept, whole_pages(reached) - kept)
        (self._warm if keep else self._cold).append(number)


def whole_pages(size: int) -> int:
    return -(-size // mmap.PAGESIZE) * mmap.PAGESIZE


def _sparse_file(size: int) -> int:
    """A file without a name, in memory where the system can, that takes only what is written to it."""
    if sys.platform == "linux":
        descriptor = os.memfd_create("uploads", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size)
    return descriptor
