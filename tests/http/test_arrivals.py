"""What uploads are charged, who has to make room, and that nothing is left of any of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app.errors import QueueFull, ServiceError, TooManyRequests
from app.http.arrivals import Arrival
from tests.http.uploads import PAGE, Uploads


@asynccontextmanager
async def reading(
    uploads: Uploads, caller: str = "a", *, pages: int = 0, speed: int = 0, age_s: float = 10
) -> AsyncIterator[Arrival]:
    """An upload in the middle of its reading: so much of it lies in a buffer, and it has been as fast as that."""
    with uploads.begin(caller) as arrival:
        arrival._began -= age_s
        arrival.received_bytes = int(speed * age_s)
        async with asyncio.timeout(10) as timeout:
            arrival.interrupt_with(timeout)
            arrival.append(arrival.take(), b"x" * (pages * PAGE))
            yield arrival


def test_a_charge_is_what_has_come_or_a_share_of_what_is_announced_and_the_pixels() -> None:
    uploads = Uploads()
    with uploads.begin(announced_pages=160, pixels_pages=3) as arrival:
        assert uploads.charged_pages == 10 + 3
        buffer = arrival.take()
        arrival.append(buffer, b"x" * (9 * PAGE))
        assert uploads.charged_pages == 10 + 3
        arrival.append(buffer, b"x")
        arrival.append(buffer, b"x" * PAGE)
        assert uploads.charged_pages == 11 + 3
        arrival.complete(buffer)
        assert uploads.charged_pages == 11 + 3
        assert uploads.buffers.held_bytes == 14 * PAGE
        second = arrival.take()
        arrival.append(second, b"x")
        assert uploads.charged_pages == 14 + 1 + 3
        arrival.complete(second)
        arrival.arrived()
        assert uploads.arrivals.charged_bytes == uploads.buffers.held_bytes == arrival.charged_bytes == 18 * PAGE
    assert uploads.charged_pages == uploads.buffers.held_bytes == arrival.charged_bytes == 0


def test_what_was_announced_and_did_not_come_is_not_charged_afterwards() -> None:
    uploads = Uploads()
    with uploads.begin(announced_pages=160) as arrival:
        buffer = arrival.take()
        arrival.append(buffer, b"x")
        arrival.complete(buffer)
        assert uploads.charged_pages == 11
        arrival.arrived()
        assert uploads.charged_pages == 2


def test_what_somebody_else_still_holds_stays_counted() -> None:
    uploads = Uploads(max_pages=10)
    with uploads.begin() as arrival:
        buffer = arrival.take()
        arrival.append(buffer, b"x" * (8 * PAGE))
        arrival.complete(buffer)
        buffer.hold()
    assert uploads.charged_pages == 9
    with pytest.raises(QueueFull, match="fill the upload buffer"):
        uploads.begin(pixels_pages=2)
    buffer.release()
    with uploads.begin(pixels_pages=2):
        assert uploads.charged_pages == 2


def test_a_young_upload_is_not_pushed_out_since_nobody_knows_its_speed() -> None:
    async def run() -> None:
        uploads = Uploads(max_pages=10)
        async with reading(uploads, pages=8, age_s=0.5):
            with pytest.raises(QueueFull) as refused:
                uploads.begin(pixels_pages=2)
            assert refused.value.headers == {"Retry-After": "1"}
        assert uploads.pushed_out == uploads.charged_pages == 0

    asyncio.run(run())


def test_the_slowest_makes_room_at_once_and_its_reading_ends() -> None:
    async def run() -> None:
        uploads = Uploads(max_pages=20)

        async def wait(speed: int) -> str:
            try:
                async with reading(uploads, pages=5, speed=speed) as arrival:
                    await asyncio.sleep(5)
            except TimeoutError:
                assert arrival.pushed_out
                assert isinstance(arrival.refusal(), QueueFull)
                return "pushed out"
            except asyncio.CancelledError:
                return "cancelled"
            return "slept"

        fast, slow, faster = (asyncio.create_task(wait(speed)) for speed in (10**6, 10**5, 10**7))
        await asyncio.sleep(0)
        assert uploads.charged_pages == 18
        async with reading(uploads, pages=6, speed=10**8):
            assert uploads.charged_pages == 12 + 7
            assert await slow == "pushed out"
            assert not fast.done()
            assert not faster.done()
        for task in (fast, faster):
            task.cancel()
            assert await task == "cancelled"
        assert uploads.pushed_out == 1
        assert uploads.charged_pages == uploads.buffers.held_bytes == 0

    asyncio.run(run())


def test_nobody_is_pushed_out_in_vain_or_for_somebody_slower() -> None:
    async def run() -> None:
        uploads = Uploads(max_pages=20)
        async with (
            reading(uploads, pages=5, speed=10**6) as one,
            reading(uploads, pages=5, speed=10**7),
            reading(uploads, pages=1, speed=1) as slow,
        ):
            with pytest.raises(QueueFull):
                slow.append(slow.buffers[0], b"x" * (10 * PAGE))
            with pytest.raises(QueueFull):
                one.append(one.buffers[0], b"x" * (10 * PAGE))  # all that is slower is two pages
            assert uploads.charged_pages == 6 + 6 + 2
        assert uploads.pushed_out == 0

    asyncio.run(run())


def test_whoever_has_arrived_is_not_pushed_out() -> None:
    async def run() -> None:
        uploads = Uploads(max_pages=10)
        async with reading(uploads, pages=8, speed=1) as arrival:
            arrival.arrived()
            with pytest.raises(QueueFull):
                uploads.begin(pixels_pages=3)
            assert not arrival.pushed_out

    asyncio.run(run())


def test_what_was_pushed_out_takes_nothing_any_more() -> None:
    """Its last chunk may be on its way to it."""

    async def run() -> None:
        uploads = Uploads()
        with uploads.begin() as arrival:
            buffer = arrival.take()
            arrival.push_out()
            for late in (
                lambda: arrival.append(buffer, b"x"),
                arrival.take,
                lambda: arrival.complete(buffer),
                lambda: arrival.drop(buffer),
                arrival.arrived,
            ):
                with pytest.raises(QueueFull, match="slowest"):
                    late()
        assert uploads.charged_pages == uploads.buffers.held_bytes == 0

    asyncio.run(run())


def test_a_caller_has_a_share_and_makes_room_in_it_itself() -> None:
    async def run() -> None:
        uploads = Uploads(max_pages=20, share_pages=10)
        async with reading(uploads, "a", pages=4, speed=10**6) as own, reading(uploads, "b", pages=4, speed=1) as other:
            with pytest.raises(TooManyRequests) as refused:
                uploads.begin("a", pixels_pages=11)
            assert refused.value.headers == {"Retry-After": "1"}
            with uploads.begin("a", pixels_pages=6):
                assert own.pushed_out
                assert not other.pushed_out

    asyncio.run(run())


def test_places_are_made_free_as_memory_is() -> None:
    async def run() -> None:
        uploads = Uploads(places=1)
        async with reading(uploads, speed=1) as slow:
            with uploads.begin() as arrival:
                arrival.take()
                assert slow.pushed_out

    asyncio.run(run())
    uploads = Uploads(places=1)
    with uploads.begin() as one, uploads.begin() as other:
        one.take()
        with pytest.raises(ServiceError, match="as many uploads as it can"):
            other.take()
