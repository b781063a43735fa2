"""What several threads are doing, with work that ends when it is told to."""

import asyncio
import threading

import pytest

from app.serving.threads import Threads


def test_each_has_one_thing_to_do_and_says_how_long() -> None:
    async def scenario() -> None:
        gate, threads = threading.Event(), Threads[str](2, "some")
        one = asyncio.create_task(threads.run("one", gate.wait, 10))
        two = asyncio.create_task(threads.run("two", name_after, gate))
        await asyncio.sleep(0.02)
        assert (threads.busy, threads.held()) == (2, ["one", "two"])
        assert threads.running_s > 0.01
        gate.set()
        first, second = await one, await two
        assert (first.result, second.result) == (True, "some-1-0")
        assert first.share_s == first.seconds
        assert second.share_s == second.seconds / 2
        assert (threads.busy, threads.held(), threads.running_s) == (0, [], 0)
        threads.close()

    asyncio.run(scenario())


def test_what_fails_has_left_its_thread_free() -> None:
    async def scenario() -> None:
        threads = Threads[str](1, "some")
        with pytest.raises(ZeroDivisionError):
            await threads.run("one", divmod, 1, 0)
        assert (await threads.run("two", divmod, 7, 2)).result == (3, 1)
        threads.close()

    asyncio.run(scenario())


def test_something_else_waits_for_what_is_being_done() -> None:
    async def scenario() -> None:
        gate, threads, names = threading.Event(), Threads[str](2, "some"), list[str]()
        one = asyncio.create_task(threads.run("one", gate.wait, 10))
        other = asyncio.create_task(threads.aside(2, lambda: names.append(threading.current_thread().name)))
        await asyncio.sleep(0.02)
        assert names == []
        gate.set()
        await asyncio.gather(one, other)
        assert names == ["some-0-0", "some-1-0"]
        threads.close()

    asyncio.run(scenario())


def name_after(gate: threading.Event) -> str:
    gate.wait(10)
    return threading.current_thread().name
