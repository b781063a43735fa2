"""Uploads read by real processes, some of which meet their end."""

import asyncio
import logging
import os
import signal
import time
from contextlib import suppress

import numpy as np
import pytest

from app.decoding import pool
from app.decoding.messages import Answer
from app.errors import (
    DeadlineExceeded,
    EvaluationTooLarge,
    InternalError,
    TooCostly,
    TooManyPixels,
    UndecodableImage,
    UnsupportedMediaType,
)
from app.image.reader import Reader, Reading
from app.image.views import Place, Views, Wanted
from tests.decoders import VGG16, Running, run, running, until
from tests.pictures import encode, huge_png, photograph, plain, png
from tests.system.attacks.simple import bmps
from tests.system.fuzzing.seeds import seeds

PHOTOGRAPH = encode(photograph(), "JPEG")
RUNS = dict(bmps(1_500))["runs-within-the-limit"]  # takes a second
SEEDS = seeds()


@pytest.mark.parametrize("exact", [True, False])
def test_every_kind_of_image_is_read_as_in_this_process(exact: bool) -> None:
    reader = Reader(100_000_000, exact=exact)

    async def test(started: Running) -> None:
        for name, data in SEEDS.items():
            try:
                expected = reader.read(data, VGG16)
            except UndecodableImage as error:
                with pytest.raises(UndecodableImage, match=error.detail):
                    await started.read(data)
                continue
            found = await started.read(data)
            assert np.array_equal(found.pixels, expected.pixels), name
            assert found.image == expected.image, name
        assert not started.ends

    run(test, exact=exact)


def test_several_views_of_another_size() -> None:
    views = Views(64, 48, "bicubic", (Place(0, 0), Place(1, 0.5, mirrored=True)))

    async def test(started: Running) -> None:
        expected = Reader(100_000_000, exact=True).read(PHOTOGRAPH, views)
        assert np.array_equal((await started.read(PHOTOGRAPH, views)).pixels, expected.pixels)

    run(test)


def test_what_is_wrong_with_an_image_is_said_as_in_this_process() -> None:
    async def test(started: Running) -> None:
        with pytest.raises(UnsupportedMediaType):
            await started.read(b"text")
        with pytest.raises(TooManyPixels, match="100,000,000"):
            await started.read(huge_png(20_000, 20_000))
        with pytest.raises(UndecodableImage):
            await started.read(PHOTOGRAPH[:5000])
        assert (await started.read(PHOTOGRAPH)).image.width == 451

    run(test)


def test_many_at_once_each_get_their_own() -> None:
    async def test(started: Running) -> None:
        colors = [(number, 255 - number, number // 2) for number in range(60)]
        found = await asyncio.gather(*(started.read(png(color)) for color in colors))
        assert [tuple(reading.pixels[0, 0, 0]) for reading in found] == colors

    run(test)


def test_a_decoder_is_killed_when_nobody_waits_for_it_any_more_and_not_sooner() -> None:
    async def test(started: Running) -> None:
        before = time.monotonic()
        task = await started.begun(PHOTOGRAPH)
        task.cancel()
        await until(lambda: bool(started.ends))
        assert time.monotonic() - before >= pool.LEAST_S
        assert started.ends == ["abandoned"]
        assert (await started.read(PHOTOGRAPH)).image.width == 451
        assert len(started.decoders.pids) == 2

    run(test)


def test_an_upload_that_nobody_waits_for_is_not_begun() -> None:
    async def test(started: Running) -> None:
        held = [await started.begun(PHOTOGRAPH) for _ in range(started.decoders.count)]
        waiting = asyncio.create_task(started.read(PHOTOGRAPH))
        await asyncio.sleep(0)
        before = started.buffers.held_bytes
        waiting.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert started.buffers.held_bytes < before
        for pid in started.decoders.busy:
            os.kill(pid, signal.SIGCONT)
        await asyncio.gather(*held)
        assert not started.ends

    run(test, count=1)


@pytest.mark.parametrize("fault", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGTRAP])
def test_an_image_that_breaks_its_decoder_costs_one_answer(fault: int) -> None:
    async def test(started: Running) -> None:
        task = await started.begun(PHOTOGRAPH, fault, signal.SIGCONT)
        others = [started.read(png((number, 0, 0))) for number in range(10)]
        with pytest.raises(UndecodableImage, match="failed on it"):
            await task
        assert len(await asyncio.gather(*others)) == 10
        assert started.ends == ["crash"]

    run(test)


def test_an_image_that_takes_too_much_of_the_processor_costs_one_answer() -> None:
    async def test(started: Running) -> None:
        task = await started.begun(PHOTOGRAPH, signal.SIGPROF, signal.SIGCONT)  # what the timer sends
        with pytest.raises(TooCostly, match="longer to decode"):
            await task
        assert started.ends == ["cost"]

    run(test)


def test_an_image_is_read_again_when_somebody_has_killed_its_decoder() -> None:
    async def test(started: Running) -> None:
        assert (await (await started.begun(PHOTOGRAPH, signal.SIGKILL))).image.width == 451
        assert started.ends == ["killed"]

    run(test)


def test_an_image_is_not_read_for_ever_when_every_decoder_of_it_is_killed() -> None:
    async def test(started: Running) -> None:
        task = await started.begun(RUNS)
        async with asyncio.timeout(30):
            while not task.done():
                for pid in started.decoders.busy:
                    with suppress(ProcessLookupError):  # of those that were killed one turn ago
                        os.kill(pid, signal.SIGSTOP)
                        os.kill(pid, signal.SIGKILL)
                await asyncio.sleep(0)
        with pytest.raises(TooCostly):
            await task
        assert started.ends == ["killed", "killed"]

    run(test, count=1)


def test_an_idle_decoder_that_somebody_kills_is_replaced() -> None:
    async def test(started: Running) -> None:
        await until(lambda: len(started.decoders.pids) == 2)
        os.kill(started.decoders.pids[0], signal.SIGKILL)
        await until(lambda: started.ends == ["killed"] and len(started.decoders.pids) == 2)
        assert (await started.read(PHOTOGRAPH)).image.width == 451

    run(test)


def test_one_that_takes_long_does_not_hold_up_the_others() -> None:
    async def test(started: Running) -> None:
        slow = await started.begun(PHOTOGRAPH)
        assert (await started.read(png((3, 2, 1)))).pixels[0, 0, 0].tolist() == [3, 2, 1]
        assert not slow.done()
        for pid in started.decoders.busy:
            os.kill(pid, signal.SIGCONT)
        assert (await slow).image.width == 451
        await until(lambda: len(started.decoders.pids) == 1)  # nobody stands in any more
        assert not started.ends

    run(test, count=1)


def test_many_that_take_long_do_not_hold_up_the_others_either() -> None:
    """More of them than there may be decoders: some are put off, and answered in the end."""

    async def test(started: Running) -> None:
        most = started.decoders.count * (1 + pool.SLOW_FOR_EACH)
        slow = [asyncio.create_task(started.read(RUNS)) for _ in range(most)]
        await until(lambda: len(started.decoders.busy) == most)
        assert (await started.read(png((3, 2, 1)))).pixels[0, 0, 0].tolist() == [3, 2, 1]
        assert not any(task.done() for task in slow)
        for task in slow:
            with pytest.raises(UndecodableImage):
                await task
        assert set(started.ends) == {"put_off"}

    run(test, count=1)


def test_many_that_hang_do_not_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "HUNG_S", 0.3)
    picture = encode(photograph().resize((2000, 1000)), "PNG")  # takes long enough to be stopped

    async def test(started: Running) -> None:
        most = started.decoders.count * (1 + pool.SLOW_FOR_EACH)
        tasks: list[asyncio.Task[Reading]] = []
        while len(tasks) < most:
            await until(started.decoders._has_place)
            tasks.append(asyncio.create_task(started.read(picture)))
            await until(lambda: len(started.decoders.busy) == len(tasks))
            for pid in started.decoders.busy:
                os.kill(pid, signal.SIGSTOP)
        assert (await started.read(png((3, 2, 1)))).pixels[0, 0, 0].tolist() == [3, 2, 1]
        for pid in started.decoders.busy:
            os.kill(pid, signal.SIGCONT)
        await asyncio.gather(*tasks)
        assert set(started.ends) == {"put_off"}

    run(test, count=1)


def test_a_decoder_that_answers_while_it_is_being_killed_reads_nothing_else() -> None:
    async def test(started: Running) -> None:
        task = await started.begun(PHOTOGRAPH)
        ((pid, number),) = started.decoders.busy.items()
        decoder = started.decoders._decoders[number]
        decoder.killed = "abandoned"  # and the signal takes its time
        os.kill(pid, signal.SIGCONT)
        assert (await task).image.width == 451
        assert decoder not in started.decoders._idle
        os.kill(pid, signal.SIGKILL)
        await until(lambda: started.ends == ["abandoned"])

    run(test, count=1)


def test_large_images_wait_for_room_and_small_ones_do_not_wait_for_them() -> None:
    large = encode(plain((9, 8, 7), (4000, 3000)), "WEBP", lossless=True)

    async def test() -> None:
        async with running(2, max_pixels=12_000_000) as started:
            tasks = asyncio.gather(*(started.read(large) for _ in range(5)))
            most = asyncio.create_task(_most_bytes_at_once(started, tasks))
            await until(lambda: bool(started.decoders.large))
            assert (await started.read(png((3, 2, 1)))).image.width == 300
            assert not tasks.done()
            assert {tuple(reading.pixels[0, 0, 0]) for reading in await tasks} == {(9, 8, 7)}
            assert 0 < await most <= started.decoders.most_large_bytes
            assert not started.ends

    asyncio.run(test())


async def _most_bytes_at_once(started: Running, tasks: "asyncio.Future[list[Reading]]") -> int:
    most = 0
    while not tasks.done():
        most = max(most, sum(started.decoders.large))
        await asyncio.sleep(0.002)
    return most


def test_nobody_waits_for_what_is_given_up() -> None:
    async def test(started: Running) -> None:
        tasks = [await started.begun(PHOTOGRAPH), asyncio.create_task(started.read(PHOTOGRAPH))]
        await asyncio.sleep(0)
        started.decoders.abandon(DeadlineExceeded("enough"))
        for task in tasks:
            with pytest.raises(DeadlineExceeded, match="enough"):
                await task
        for pid in started.decoders.busy:
            os.kill(pid, signal.SIGCONT)

    run(test, count=1)


def test_a_decoder_that_is_not_itself_any_more_is_replaced(caplog: pytest.LogCaptureFixture) -> None:
    async def test(started: Running) -> None:
        task = await started.begun(PHOTOGRAPH)
        (number,) = started.decoders.busy.values()
        started.decoders._said(number, b"\xff\x00 not what a decoder says")
        assert (await task).image.width == 451
        assert started.ends == ["killed"]

    run(test)


def test_a_defect_of_ours_is_logged_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    async def test(started: Running) -> None:
        task = await started.begun(PHOTOGRAPH)
        ((pid, number),) = started.decoders.busy.items()
        started.decoders._said(number, Answer(last=True, code="internal", detail="Traceback: a secret").pack())
        with pytest.raises(InternalError) as raised, caplog.at_level(logging.ERROR):
            await task
        assert "secret" not in raised.value.detail
        os.kill(pid, signal.SIGKILL)

    run(test)
    assert "a secret" in caplog.text


def test_views_that_do_not_fit_are_refused() -> None:
    async def test() -> None:
        async with running() as started:
            buffer = started.upload(PHOTOGRAPH)
            with pytest.raises(EvaluationTooLarge, match="are allowed"):
                await started.decoders.read(buffer, Wanted((Views(4096, 4096, "bilinear"),)))
            buffer.release()

    asyncio.run(test())
