"""What happens to a model between being read and being served: on which thread, in which order."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray

from app.errors import BatchTooLarge
from app.image.views import Pixels
from app.model.registry import Item, LoadedModel, Registry
from app.model.selection import Selection
from app.serving.inference import NetworkBatcher, network_batcher
from app.serving.lifecycle import Lifecycle, State
from app.serving.loader import Loader
from app.serving.metrics import Metrics
from app.serving.warming import warm_up
from tests.dummy import DummyNetwork, dummy_model


class FakeDevice:
    """Has room for so many images, and writes down who asked for what, and where."""

    def __init__(self, room: int = 100) -> None:
        self.room = room
        self.calls: list[tuple[str, int]] = []
        self.state: Callable[[], State] = lambda: State.LOADING

    def top_k(self, pixels: Pixels, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        assert self.state() is State.LOADING
        self.calls.append((threading.current_thread().name, len(pixels)))
        if len(pixels) > self.room:
            raise BatchTooLarge
        return np.zeros((len(pixels), k), np.int64), np.zeros((len(pixels), k), np.float32)

    def probabilities(self, pixels: Pixels) -> NDArray[np.float32]:
        raise AssertionError("nobody asks for views here")


def model_on(device: FakeDevice, sizes: tuple[int, ...] = (3, 2, 1), in_flight: int = 1) -> LoadedModel:
    model = dummy_model(DummyNetwork(), max_batch_size=sizes[0])
    return replace(model, network=device, warm_up=sizes, in_flight=in_flight)


class Case:
    """A loader and the batcher that serves what it loads."""

    def __init__(self, device: FakeDevice, model: LoadedModel) -> None:
        self.registry, self.lifecycle, metrics = Registry("vgg16"), Lifecycle(), Metrics()
        device.state = lambda: self.lifecycle.state
        self.batcher: NetworkBatcher = network_batcher(self.lifecycle, metrics, max_wait_s=0)

        def load(_: str) -> LoadedModel:
            device.calls.append((threading.current_thread().name, 0))
            return model

        async def nothing_else() -> None:
            assert self.registry.all()

        warm = partial(warm_up, self.batcher)
        selection = Selection(("vgg16",))
        self.loader = Loader(
            load, self.registry, selection, self.lifecycle, metrics, warm_up=warm, others_ready=nothing_else
        )

    async def start(self) -> State:
        self.batcher.start()
        self.loader.start()
        async with asyncio.timeout(20):
            while self.lifecycle.state is State.LOADING:
                await asyncio.sleep(0.01)
        await self.loader.close()
        await self.batcher.drain()
        return self.lifecycle.state


def started(device: FakeDevice, model: LoadedModel) -> Case:
    async def scenario() -> Case:
        case = Case(device, model)
        await case.start()
        return case

    return asyncio.run(scenario())


def test_every_size_is_run_on_the_thread_that_serves_the_largest_first_before_it_is_ready() -> None:
    device = FakeDevice()
    case = started(device, model_on(device))
    assert case.lifecycle.state is State.READY
    assert device.calls == [("loading_0", 0), ("batcher-0-0", 3), ("batcher-0-0", 2), ("batcher-0-0", 1)]
    assert case.registry.get().max_batch_size == 3


def test_both_threads_are_warm_where_two_batches_may_be_under_way() -> None:
    device = FakeDevice()
    started(device, model_on(device, (2, 1), in_flight=2))
    served = [("batcher-0-0", 2), ("batcher-1-0", 2), ("batcher-0-0", 1), ("batcher-1-0", 1)]
    assert device.calls[1:] == served


def test_what_does_not_fit_is_not_served(caplog: pytest.LogCaptureFixture) -> None:
    device = FakeDevice(room=2)
    case = started(device, model_on(device, (4, 3, 2, 1)))
    assert case.lifecycle.state is State.READY
    assert case.registry.get().max_batch_size == 2
    assert "has room for batches of 2, not of 4" in caplog.text


def test_a_device_without_room_for_one_image_is_a_failure_that_says_so(caplog: pytest.LogCaptureFixture) -> None:
    device = FakeDevice(room=0)
    case = started(device, model_on(device))
    assert case.lifecycle.state is State.FAILED
    assert "Not even one image of 'vgg16' fits the memory of cpu." in caplog.text


def test_what_is_served_is_answered_while_another_model_warms_up() -> None:
    served, device = DummyNetwork(), FakeDevice()

    async def scenario() -> None:
        batcher = network_batcher(Lifecycle(), Metrics(), max_wait_s=0)
        batcher.start()
        served.gate.clear()
        gray = np.full((224, 224, 3), 9, np.uint8)
        first = asyncio.create_task(batcher.submit(dummy_model(served), Item(gray, 1)))
        while not served.begun:
            await asyncio.sleep(0.001)
        warming = asyncio.create_task(warm_up(batcher, model_on(device, tuple(range(50, 0, -1)))))
        await asyncio.sleep(0.01)
        assert device.calls == []  # one thing at a time
        served.gate.set()
        await first
        await batcher.submit(dummy_model(served), Item(gray, 1))
        assert 0 < len(device.calls) < 50
        await warming
        await batcher.drain()

    asyncio.run(scenario())
