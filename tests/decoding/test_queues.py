"""Who comes next, and beside whom."""

import asyncio
from collections.abc import Collection

from app.decoding.buffers import Block, Buffers
from app.decoding.queues import LARGE_SHARE, Queues
from app.decoding.task import Task
from app.image.views import Wanted
from app.serving.tally import LargeImages, Tally
from tests.decoders import VGG16

MOST = 100 * LARGE_SHARE


def task(room: int = 0, *, put_off: bool = False) -> Task:
    loop = asyncio.new_event_loop()
    loop.close()
    buffer = Buffers(Block(1, 4096), range(1)).take()
    return Task(buffer, Wanted((VGG16,)), 10**6, loop.create_future(), room, put_off)


def filled(*tasks: Task, most_long: int = 4) -> Queues:
    queues = Queues(MOST, most_long)
    for one in tasks:
        queues.add(one)
    return queues


def begun(queues: Queues, being_read: Collection[Task] = ()) -> list[Task]:
    """All that may be read beside these."""
    chosen: list[Task] = []
    while found := queues.next([*being_read, *chosen]):
        chosen.append(found)
    return chosen


def test_new_ones_come_in_their_order() -> None:
    one, other, first = task(), task(), task()
    queues = filled(one, other)
    queues.add(first, first=True)
    assert begun(queues) == [first, one, other]


def test_long_ones_come_first_but_only_so_many_at_a_time() -> None:
    new, put_off, large = [task() for _ in range(3)], [task(put_off=True) for _ in range(3)], task(60)
    queues = filled(*new, *put_off, large, most_long=2)
    assert begun(queues) == [large, put_off[0], *new]
    assert begun(queues, [large]) == [put_off[1]]
    assert list(queues) == [put_off[2]]


def test_large_ones_share_what_is_theirs() -> None:
    one, two, three = task(60), task(40), task(1)
    queues = filled(one, two, three)
    assert begun(queues) == [one, two]
    assert begun(queues, [two]) == [three]


def test_a_picture_of_the_largest_size_does_not_keep_smaller_ones_waiting() -> None:
    largest, next_largest, photograph = task(MOST), task(MOST // 2), task(100)
    queues = filled(largest, next_largest, photograph)
    assert begun(queues) == [photograph, largest]
    assert begun(queues, [photograph]) == [next_largest]
    assert queues.most_large_bytes == MOST + 100


def test_who_does_not_wait_any_more_is_taken_out() -> None:
    every = [task(), task(60), task(MOST), task(put_off=True)]
    queues = filled(*every)
    for one in every:
        assert queues.remove(one)
        assert not queues.remove(one)
    assert not begun(queues)


def test_processes_share_the_memory_for_large_images() -> None:
    tally = Tally(2)
    one, other = (Queues(MOST, 4, LargeImages(tally.row(number))) for number in range(2))
    largest, small = task(MOST), task(60)
    one.add(largest)
    assert begun(one) == [largest]
    for queue in (one, other):
        queue.add(task(MOST))
        queue.add(task(60))
    assert [found.room for found in begun(other)] == [60]  # the largest has its memory elsewhere
    assert begun(one, [largest]) == []  # and so have 60 of the 100 for those that are not so large
    assert other.next([small]) is None
    assert begun(one) != []  # the largest one is done here: it is this one's turn, or the other's
    assert one.next([]) is None or other.next([small]) is None
