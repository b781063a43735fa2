import asyncio
import threading
import time
from collections.abc import Coroutine, Sequence
from typing import Any

import pytest

from app.errors import BatchTooLarge, Draining, InternalError
from app.serving.batcher import Batcher


class Doubler:
    """``run`` for the batcher: doubles numbers, breaks on negative ones, waits for its gate, remembers batches."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, list[int]]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def __call__(self, key: str, items: list[int]) -> Sequence[int | Exception]:
        self.entered.set()
        self.gate.wait(10)
        self.batches.append((key, items))
        if any(item < 0 for item in items):
            raise ValueError("negative")
        return [item * 2 for item in items]

    async def busy(self) -> None:
        """Wait until a batch is being run."""
        await asyncio.to_thread(self.entered.wait, 10)
        self.entered.clear()


class Recorder:
    def __init__(self) -> None:
        self.released: list[tuple[str, int]] = []
        self.shrunk: list[int] = []

    def batch_released(self, reason: str, size: int) -> None:
        self.released.append((reason, size))

    def batch_shrunk(self, size: int) -> None:
        self.shrunk.append(size)


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


def started(doubler: Doubler, size: int = 4, **options: Any) -> Batcher[str, int, int]:
    batcher: Batcher[str, int, int] = Batcher(doubler, lambda _: size, **options)
    batcher.start()
    return batcher


def test_an_idle_runner_starts_at_once_and_a_busy_one_gathers() -> None:
    async def test() -> None:
        doubler, recorder = Doubler(), Recorder()
        batcher = started(doubler, observer=recorder)
        doubler.gate.clear()
        tasks = [asyncio.create_task(batcher.submit("a", 0))]
        await doubler.busy()
        tasks += [asyncio.create_task(batcher.submit("a", number)) for number in range(1, 7)]
        await asyncio.sleep(0)
        assert batcher.depth == 6
        doubler.gate.set()
        answers = await asyncio.gather(*tasks)
        assert [answer.value for answer in answers] == [0, 2, 4, 6, 8, 10, 12]
        assert [answer.batch_size for answer in answers] == [1, 4, 4, 4, 4, 2, 2]
        assert recorder.released == [("idle", 1), ("full", 4), ("idle", 2)]
        assert batcher.depth == 0
        assert answers[-1].queue_s > 0
        await batcher.drain()

    run(test())


def test_the_window_opens_with_the_first_item_and_closes_on_time_or_size() -> None:
    async def test() -> None:
        doubler, recorder = Doubler(), Recorder()
        batcher = started(doubler, max_wait_s=0.15, observer=recorder)
        began = time.perf_counter()
        first = asyncio.create_task(batcher.submit("a", 1))
        await asyncio.sleep(0.05)
        second = asyncio.create_task(batcher.submit("a", 2))
        assert (await first).batch_size == (await second).batch_size == 2
        assert 0.14 < time.perf_counter() - began < 1
        await asyncio.gather(*(batcher.submit("a", number) for number in range(4)))
        assert recorder.released == [("timeout", 2), ("full", 4)]
        await batcher.drain()

    run(test())


def test_keys_do_not_mix_and_the_oldest_goes_first() -> None:
    async def test() -> None:
        doubler = Doubler()
        batcher = started(doubler)
        doubler.gate.clear()
        tasks = [asyncio.create_task(batcher.submit("a", 0))]
        await doubler.busy()
        tasks += [asyncio.create_task(batcher.submit(key, number)) for number, key in enumerate("babab", start=1)]
        await asyncio.sleep(0)
        doubler.gate.set()
        await asyncio.gather(*tasks)
        assert doubler.batches == [("a", [0]), ("b", [1, 3, 5]), ("a", [2, 4])]
        await batcher.drain()

    run(test())


def test_an_item_that_breaks_the_batch_fails_alone() -> None:
    async def test() -> None:
        doubler = Doubler()
        batcher = started(doubler, size=8)
        doubler.gate.clear()
        first = asyncio.create_task(batcher.submit("a", 0))
        await doubler.busy()
        tasks = [asyncio.create_task(batcher.submit("a", number)) for number in (1, 2, -3, 4, 5)]
        await asyncio.sleep(0)
        doubler.gate.set()
        outcomes = await asyncio.gather(first, *tasks, return_exceptions=True)
        values = [outcome if isinstance(outcome, BaseException) else outcome.value for outcome in outcomes]
        assert [value for value in values if isinstance(value, int)] == [0, 2, 4, 8, 10]
        assert isinstance(values[3], ValueError)
        await batcher.drain()

    run(test())


def test_a_full_device_halves_the_batch_and_keeps_it_small_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        sizes: list[int] = []

        def small(_: str, items: list[int]) -> list[int]:
            sizes.append(len(items))
            if len(items) > 3:
                raise BatchTooLarge
            return items

        recorder = Recorder()
        batcher: Batcher[str, int, int] = Batcher(small, lambda _: 8, observer=recorder)
        batcher.start()
        answers = await asyncio.gather(*(batcher.submit("a", number) for number in range(9)))
        assert [answer.value for answer in answers] == list(range(9))
        assert sizes == [8, 4, 2, 2, 4, 2, 2, 1]
        assert recorder.shrunk == [4, 2, 2]
        sizes.clear()
        await asyncio.gather(*(batcher.submit("a", number) for number in range(4)))
        assert max(sizes) == 2
        monkeypatch.setattr("app.serving.batcher.time.perf_counter", lambda: time.monotonic() + 1e6)
        sizes.clear()
        await asyncio.gather(*(batcher.submit("a", number) for number in range(3)))
        assert max(sizes) == 3
        monkeypatch.undo()
        await batcher.drain()

    run(test())


def test_a_runner_beyond_use_ends_the_loop() -> None:
    async def test() -> None:
        deaths: list[BaseException | None] = []

        def broken(_: str, items: list[int]) -> list[int]:
            raise OSError("the device is gone")

        batcher: Batcher[str, int, int] = Batcher(
            broken, lambda _: 4, check=lambda key: broken(key, [0]), on_death=deaths.append
        )
        batcher.start()
        outcomes = await asyncio.gather(*(batcher.submit("a", number) for number in range(6)), return_exceptions=True)
        assert all(isinstance(outcome, InternalError) for outcome in outcomes)
        assert [type(death) for death in deaths] == [OSError]

    run(test())


def test_a_batch_that_never_ends_can_be_abandoned() -> None:
    async def test() -> None:
        doubler = Doubler()
        batcher = started(doubler, size=1)
        doubler.gate.clear()
        tasks = [asyncio.create_task(batcher.submit("a", number)) for number in range(3)]
        await doubler.busy()
        batcher.abandon(InternalError("the network hangs"))
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [InternalError] * 3
        with pytest.raises(Draining):
            await batcher.submit("a", 9)
        await asyncio.wait_for(batcher.drain(), 1)
        doubler.gate.set()

    run(test())


def test_how_long_things_take_can_be_watched() -> None:
    async def test() -> None:
        doubler = Doubler()
        batcher = started(doubler)
        assert batcher.running_s == batcher.oldest_s == 0
        doubler.gate.clear()
        tasks = [asyncio.create_task(batcher.submit("a", 1))]
        await doubler.busy()
        tasks.append(asyncio.create_task(batcher.submit("a", 2)))
        await asyncio.sleep(0.05)
        assert batcher.running_s > batcher.oldest_s >= 0.04
        doubler.gate.set()
        await asyncio.gather(*tasks)
        assert batcher.running_s == batcher.oldest_s == 0
        await batcher.drain()

    run(test())


def test_a_result_too_few_is_an_error_not_a_mix_up() -> None:
    async def test() -> None:
        batcher: Batcher[str, int, int] = Batcher(lambda _, items: items[1:], lambda _: 4)
        batcher.start()
        with pytest.raises(InternalError):
            await batcher.submit("a", 1)
        await batcher.drain()

    run(test())


def test_a_cancelled_item_leaves_the_queue_and_is_not_run() -> None:
    async def test() -> None:
        doubler = Doubler()
        batcher = started(doubler)
        doubler.gate.clear()
        first = asyncio.create_task(batcher.submit("a", 0))
        await doubler.busy()
        gone = asyncio.create_task(batcher.submit("a", 1))
        stays = asyncio.create_task(batcher.submit("a", 2))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        assert batcher.depth == 1
        doubler.gate.set()
        assert (await stays).value == 4
        await first
        assert doubler.batches == [("a", [0]), ("a", [2])]
        await batcher.drain()

    run(test())


def test_an_item_cancelled_while_it_runs_harms_nobody() -> None:
    async def test() -> None:
        doubler = Doubler()
        batcher = started(doubler)
        doubler.gate.clear()
        gone = asyncio.create_task(batcher.submit("a", 1))
        await doubler.busy()
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        doubler.gate.set()
        assert (await batcher.submit("a", 2)).value == 4
        await batcher.drain()

    run(test())


def test_draining_finishes_what_waits_and_refuses_the_rest() -> None:
    async def test() -> None:
        doubler = Doubler()
        batcher = started(doubler, size=1)
        doubler.gate.clear()
        tasks = [asyncio.create_task(batcher.submit("a", number)) for number in range(3)]
        await doubler.busy()
        draining = asyncio.create_task(batcher.drain())
        await asyncio.sleep(0)
        with pytest.raises(Draining):
            await batcher.submit("a", 9)
        doubler.gate.set()
        assert [answer.value for answer in await asyncio.gather(*tasks)] == [0, 2, 4]
        await draining

    run(test())


def test_a_loop_that_dies_fails_what_waits_and_says_so() -> None:
    async def test() -> None:
        deaths: list[BaseException | None] = []
        sizes: dict[str, int] = {}

        batcher: Batcher[str, int, int] = Batcher(Doubler(), sizes.__getitem__, on_death=deaths.append)
        batcher.start()
        with pytest.raises(InternalError):
            await batcher.submit("a", 1)
        assert [type(death) for death in deaths] == [KeyError]
        with pytest.raises(Draining):
            await batcher.submit("a", 2)

    run(test())


def test_the_rate_is_that_of_the_best_batch_size() -> None:
    async def test() -> None:
        def slow(_: str, items: list[int]) -> list[int]:
            time.sleep(0.05)
            return items

        batcher: Batcher[str, int, int] = Batcher(slow, lambda _: 4)
        batcher.start()
        rates = [batcher.rate]
        await asyncio.gather(*(batcher.submit("a", number) for number in range(5)))
        rates.append(batcher.rate)
        assert rates[0] is None
        assert 20 < (rates[1] or 0) <= 80  # one at a time would be 20
        await batcher.drain()

    run(test())


class Meeting:
    """``run`` that returns only when as many batches are under way as ``wanted``; 'c' breaks, and so does its check."""

    def __init__(self, wanted: int) -> None:
        self._barrier = threading.Barrier(wanted, timeout=10)
        self.threads: set[str] = set()

    def __call__(self, key: str, items: list[int]) -> Sequence[int | Exception]:
        self.threads.add(threading.current_thread().name)
        if key == "c":
            raise LookupError
        self._barrier.wait()
        return items


def test_two_batches_may_be_under_way_each_on_its_own_thread() -> None:
    async def test() -> None:
        meeting = Meeting(2)
        batcher: Batcher[str, int, int] = Batcher(meeting, lambda _: 1, in_flight=lambda _: 2)
        batcher.start()
        answers = await asyncio.gather(*(batcher.submit("a", number) for number in range(6)))
        assert [answer.value for answer in answers] == list(range(6))
        assert len(meeting.threads) == 2
        assert batcher.running_s == 0
        await batcher.drain()

    run(test())


def test_one_that_wants_to_be_alone_waits_for_the_others_and_has_the_first_thread() -> None:
    async def test() -> None:
        doubler = Doubler()
        names: list[tuple[str, str, int]] = []

        def note(key: str, items: list[int]) -> Sequence[int | Exception]:
            names.append((key, threading.current_thread().name, batcher._threads.busy))
            return doubler(key, items)

        batcher: Batcher[str, int, int] = Batcher(note, lambda _: 1, in_flight=lambda key: 2 if key == "a" else 1)
        batcher.start()
        doubler.gate.clear()
        tasks = [asyncio.create_task(batcher.submit(key, 1)) for key in "aaba"]
        while len(names) < 2:
            await asyncio.sleep(0.001)
        assert batcher.depth == 2
        doubler.gate.set()
        await asyncio.gather(*tasks)
        assert [key for key, _, _ in names] == ["a", "a", "b", "a"]
        assert names[2] == ("b", "batcher-0-0", 1)
        await batcher.drain()

    run(test())


def test_draining_waits_for_both() -> None:
    async def test() -> None:
        doubler = Doubler()
        batcher = started(doubler, size=1, in_flight=lambda _: 2)
        doubler.gate.clear()
        tasks = [asyncio.create_task(batcher.submit("a", number)) for number in range(2)]
        while batcher._threads.busy < 2:
            await asyncio.sleep(0.001)
        draining = asyncio.create_task(batcher.drain())
        await asyncio.sleep(0.01)
        assert not draining.done()
        doubler.gate.set()
        await draining
        assert [task.result().value for task in tasks] == [0, 2]

    run(test())


def test_what_is_beyond_use_ends_the_loop_from_either_thread() -> None:
    async def test() -> None:
        def gone(_key: str) -> None:
            raise OSError("the device is gone")

        deaths: list[BaseException | None] = []
        batcher: Batcher[str, int, int] = Batcher(
            Meeting(1), lambda _: 1, in_flight=lambda _: 2, check=gone, on_death=deaths.append
        )
        batcher.start()
        assert (await batcher.submit("a", 1)).value == 1
        with pytest.raises(InternalError):
            await batcher.submit("c", 1)
        async with asyncio.timeout(5):
            while not deaths:
                await asyncio.sleep(0.001)
        assert [type(death) for death in deaths] == [OSError]

    run(test())


def test_abandoning_gives_up_on_both() -> None:
    async def test() -> None:
        doubler = Doubler()
        batcher = started(doubler, size=1, in_flight=lambda _: 2)
        doubler.gate.clear()
        tasks = [asyncio.create_task(batcher.submit("a", number)) for number in range(3)]
        while batcher._threads.busy < 2:
            await asyncio.sleep(0.001)
        batcher.abandon(InternalError("given up"))
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [InternalError] * 3
        await asyncio.wait_for(batcher.drain(), 1)
        doubler.gate.set()

    run(test())


def test_many_of_one_caller_take_half_a_batch_and_single_ones_go_first() -> None:
    async def test() -> None:
        doubler = Doubler()
        batcher = started(doubler)
        doubler.gate.clear()
        tasks = [asyncio.create_task(batcher.submit("a", 0))]
        await doubler.busy()
        tasks += [asyncio.create_task(batcher.submit("a", 100 + number, bulk=True)) for number in range(6)]
        await asyncio.sleep(0)
        tasks += [asyncio.create_task(batcher.submit("a", number)) for number in (1, 2)]
        await asyncio.sleep(0)
        assert batcher.depth == 8
        doubler.gate.set()
        answers = await asyncio.gather(*tasks)
        assert [answer.value for answer in answers] == [0, *(2 * (100 + number) for number in range(6)), 2, 4]
        assert [batch for _, batch in doubler.batches] == [[0], [1, 2], [100, 101], [102, 103], [104, 105]]
        await batcher.drain()

    run(test())


def test_single_items_come_along_with_many_of_another_caller() -> None:
    """When it is their turn, half of the batch is free for others."""

    async def test() -> None:
        doubler = Doubler()
        batcher = started(doubler)
        batcher._turns.count(100, bulk=False, others_wait=True)
        doubler.gate.clear()
        first = asyncio.create_task(batcher.submit("a", 100, bulk=True))
        await doubler.busy()
        tasks = [asyncio.create_task(batcher.submit("a", number, bulk=number > 100)) for number in (101, 102, 103, 1)]
        await asyncio.sleep(0)
        batcher._turns.count(100, bulk=False, others_wait=True)
        doubler.gate.set()
        await asyncio.gather(first, *tasks)
        assert [batch for _, batch in doubler.batches][1] == [101, 102, 1]
        await batcher.drain()

    run(test())


def test_who_leaves_takes_all_of_his_out_and_a_drain_finishes_them() -> None:
    async def test() -> None:
        doubler = Doubler()
        batcher = started(doubler)
        doubler.gate.clear()
        first = asyncio.create_task(batcher.submit("a", 0))
        await doubler.busy()
        leaving = [asyncio.create_task(batcher.submit("b", number, bulk=True)) for number in range(5)]
        staying = asyncio.create_task(batcher.submit("c", 7, bulk=True))
        await asyncio.sleep(0)
        for task in leaving:
            task.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
        assert batcher.depth == 1
        draining = asyncio.create_task(batcher.drain())
        doubler.gate.set()
        await draining
        assert [(await first).value, (await staying).value] == [0, 14]

    run(test())


def test_only_usual_batches_say_how_fast_items_are_answered() -> None:
    async def test() -> None:
        doubler = Doubler()
        batcher = started(doubler, is_usual=lambda key: key == "a")
        await batcher.submit("b", 1, bulk=True)
        before = batcher.rate
        await batcher.submit("a", 1, bulk=True)
        assert (before, bool(batcher.rate)) == (None, True)
        await batcher.drain()

    run(test())
