import asyncio
import functools
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from app.serving.workers import Workers


def asynchronous(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    @functools.wraps(test)
    def run() -> None:
        asyncio.run(test())

    return run


@asynchronous
async def test_results_go_to_their_callers() -> None:
    workers = Workers(3, "test")
    assert await asyncio.gather(*(workers.run(pow, number, 2) for number in range(200))) == [n * n for n in range(200)]
    workers.close()


@asynchronous
async def test_as_many_jobs_run_at_once_as_there_are_threads() -> None:
    workers, barrier = Workers(3, "test"), threading.Barrier(3)
    await asyncio.wait_for(asyncio.gather(*(workers.run(barrier.wait) for _ in range(3))), 5)
    workers.close()


@asynchronous
async def test_an_error_goes_to_its_caller_and_the_thread_lives_on() -> None:
    workers = Workers(1, "test")
    with pytest.raises(ZeroDivisionError):
        await workers.run(divmod, 1, 0)
    with pytest.raises(SystemExit):
        await workers.run(exit_now)
    assert await workers.run(divmod, 7, 2) == (3, 1)
    workers.close()


def exit_now() -> None:
    raise SystemExit(3)


@asynchronous
async def test_a_cancelled_job_is_not_begun() -> None:
    workers, begun, gate = Workers(1, "test"), list[str](), threading.Event()
    first = workers.run(gate.wait)
    second, third = workers.run(begun.append, "second"), workers.run(begun.append, "third")
    second.cancel()
    gate.set()
    await asyncio.gather(first, third)
    assert begun == ["third"]
    workers.close()


@asynchronous
async def test_who_leaves_while_its_job_runs_harms_nobody() -> None:
    workers, entered, gate = Workers(1, "test"), threading.Event(), threading.Event()

    def job() -> None:
        entered.set()
        gate.wait(10)

    first, second = workers.run(job), workers.run(pow, 2, 3)
    assert await asyncio.to_thread(entered.wait, 10)
    first.cancel()
    gate.set()
    assert await second == 8
    workers.close()


@asynchronous
async def test_closing_finishes_what_is_queued_and_ends_the_threads() -> None:
    workers = Workers(2, "closing")
    gate = threading.Event()
    jobs = [workers.run(gate.wait, 10) for _ in range(6)]
    workers.close()
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("closing")]
    assert len(threads) == 2
    gate.set()
    assert await asyncio.gather(*jobs) == [True] * 6
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()
