import asyncio

import pytest

from app.serving.flights import Flights


def test_room_is_made_by_what_ends() -> None:
    async def scenario() -> None:
        ended: list[int] = []
        flights, gates = Flights(lambda: ended.append(1)), [asyncio.Event() for _ in range(2)]
        for gate in gates:
            flights.begin(until(gate))
        waiting = asyncio.create_task(flights.until_fewer_than(2))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        gates[1].set()
        assert await asyncio.wait_for(waiting, 5)
        assert ended == [1]
        assert not await flights.until_fewer_than(2)
        gates[0].set()
        assert await asyncio.wait_for(flights.until_fewer_than(1), 5)

    asyncio.run(scenario())


def test_what_ended_one_of_them_is_raised_to_whoever_asks() -> None:
    async def scenario() -> None:
        flights = Flights(lambda: None)
        flights.raise_failure()
        flights.begin(fail())
        with pytest.raises(OSError, match="gone"):
            await asyncio.wait_for(flights.until_fewer_than(1), 5)
        with pytest.raises(OSError, match="gone"):
            flights.raise_failure()

    asyncio.run(scenario())


def test_what_is_cancelled_has_not_failed() -> None:
    async def scenario() -> None:
        flights = Flights(lambda: None)
        flights.begin(until(asyncio.Event()))
        flights.cancel()
        await asyncio.wait_for(flights.until_fewer_than(1), 5)

    asyncio.run(scenario())


async def until(gate: asyncio.Event) -> None:
    await gate.wait()


async def fail() -> None:
    raise OSError("gone")
