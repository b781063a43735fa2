import mmap
import os

import numpy as np
import pytest

from app.decoding.buffers import KEPT_BYTES, KEPT_PLACES, MAX_PIXELS_BYTES, Block, Buffers, Region, whole_pages
from app.errors import QueueFull

MIB = 2**20
PAGE = mmap.PAGESIZE


def places(count: int, upload_bytes: int = MIB) -> Buffers:
    """A block of their own."""
    return Buffers(Block(count, upload_bytes), range(count))


def resident(buffers: Buffers) -> int:
    """What the system has given to the block, in bytes."""
    return os.fstat(buffers.block.descriptor).st_blocks * 512


def test_an_upload_is_written_piece_by_piece_and_read_in_place() -> None:
    buffers = places(2)
    one, other = buffers.take(), buffers.take()
    for piece in (b"ab", memoryview(b"cde"), b""):
        one.append(piece)
    other.append(b"other")
    assert (bytes(one.content), bytes(other.content), one.size) == (b"abcde", b"other", 5)


def test_there_are_so_many_places_and_no_more() -> None:
    buffers = places(1)
    only = buffers.take()
    with pytest.raises(QueueFull):
        buffers.take()
    only.release()
    assert buffers.take().size == 0


def test_what_does_not_fit_is_refused_and_nothing_of_it_written() -> None:
    buffers = places(2, 10)
    buffer = buffers.take()
    buffer.append(b"0123456789")
    with pytest.raises(ValueError, match="does not fit"):
        buffer.append(b"!")
    with pytest.raises(ValueError, match="do not fit"):
        buffer.expect_pixels(MAX_PIXELS_BYTES + 1)
    assert bytes(buffer.content) == b"0123456789"


def test_pixels_lie_behind_the_upload_where_another_process_writes_them() -> None:
    buffers = places(1)
    buffer = buffers.take()
    buffer.append(b"x" * (PAGE + 1))
    buffer.expect_pixels(24)
    made = np.arange(24, dtype=np.uint8)
    with mmap.mmap(buffers.block.descriptor, 0) as elsewhere:
        elsewhere[buffer.pixels_start : buffer.pixels_start + 24] = made.tobytes()
    assert np.array_equal(buffer.pixels((2, 4, 3)), made.reshape(2, 4, 3))
    assert bytes(buffer.content) == b"x" * (PAGE + 1)


def test_memory_is_counted_in_pages_and_free_when_the_last_holder_lets_go() -> None:
    buffers = places(1)
    buffer = buffers.take()
    buffer.append(b"x")
    buffer.append(b"y" * PAGE)
    assert buffers.held_bytes == 2 * PAGE
    buffer.expect_pixels(1)
    assert buffers.held_bytes == 3 * PAGE
    buffer.hold().release()
    assert buffers.held_bytes == 3 * PAGE
    buffer.release()
    assert buffers.held_bytes == 0


def test_the_system_holds_what_is_counted_and_what_free_places_keep_and_no_more() -> None:
    buffers = places(2 * KEPT_PLACES, 2 * MIB)
    assert resident(buffers) == 0  # gigabytes of address space take nothing
    held = [buffers.take() for _ in range(2 * KEPT_PLACES)]
    for buffer in held:
        buffer.append(b"x" * (MIB + 1))
    assert resident(buffers) == buffers.held_bytes == len(held) * (MIB + PAGE)
    for buffer in held:
        buffer.release()
    assert buffers.held_bytes == 0
    assert resident(buffers) == buffers.most_kept_bytes == KEPT_PLACES * KEPT_BYTES


@pytest.mark.parametrize("looked_at", [False, True])
def test_buffers_may_outlive_the_memory(*, looked_at: bool) -> None:
    buffers = places(1)
    buffer = buffers.take()
    buffer.append(b"x" * MIB)
    content = buffer.content if looked_at else None
    buffers.block.close()
    assert content is None or content[0] == ord("x")
    buffer.release()
    assert buffers.held_bytes == 0


def test_whole_pages() -> None:
    assert [whole_pages(size) for size in (0, 1, PAGE, PAGE + 1)] == [0, PAGE, PAGE, 2 * PAGE]


def test_one_of_the_things_in_a_region_is_a_region() -> None:
    region = Region(1000, (4, 2, 3))
    assert region.one(2) == Region(1012, (1, 2, 3))
    assert region.one(2).alone() == Region(1012, (2, 3))
