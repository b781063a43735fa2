"""A front's side of the models and the network's process, over a real socket, both on one event loop."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from app.decoding.buffers import Block, Region
from app.errors import InternalError, ModelNotFound, NotReady
from app.model.registry import Candidate, LoadedModel, Registry, ServedModel
from app.model.selection import Selection
from app.serving.batcher import Answer
from app.serving.host import Host
from app.serving.inference import LocalInference, network_batcher
from app.serving.lifecycle import Lifecycle, State
from app.serving.loader import Load, Loader
from app.serving.metrics import Metrics
from app.serving.remote import RemoteInference
from app.serving.tally import Tally
from app.serving.warming import warm_up
from tests.decoders import until
from tests.dummy import POISON_BLUE, Color, DummyNetwork, dummy_model, expected_class

SIDE = 224


class Case:
    """One front, connected; a network's process that can be replaced."""

    def __init__(self, address: Path, load: Load) -> None:
        self.block = Block(64, SIDE * SIDE * 3)
        self.tally = Tally(2)
        self.lifecycle = Lifecycle()
        self._address, self._load = address, load
        self.remote = RemoteInference(address, Registry("vgg16"), self.tally, self.lifecycle, others_ready=nothing_else)

    def begin_network(self) -> None:
        lifecycle = self._network_lifecycle = Lifecycle()
        batcher = network_batcher(lifecycle, Metrics(), max_wait_s=0)
        loader = Loader(self._load, Registry("vgg16"), Selection(("vgg16",)), lifecycle, Metrics(),
                        warm_up=partial(warm_up, batcher), others_ready=nothing_else)  # fmt: skip
        self.local = LocalInference(loader, batcher, self.block)
        self.host = Host(self._address, self.local, lifecycle, self.tally.row(1), forward_timeout_s=60)
        self._network = asyncio.create_task(self.host.serve())

    async def end_network(self) -> None:
        """It fails, and says so to whoever waits."""
        self._network_lifecycle.become(State.FAILED, "that is how it is")
        await self._network

    async def ready(self) -> None:
        await until(lambda: self.lifecycle.state is State.READY)

    def write(self, place: int, color: Color) -> Region:
        region = Region(self.block.start(place), (SIDE, SIDE, 3))
        self.block.pixels(region)[:] = np.array(color, np.uint8)
        return region

    @property
    def model(self) -> ServedModel:
        return self.remote.registry.get()

    async def ask(self, place: int, color: Color) -> Answer[list[Candidate]]:
        return await self.remote.submit(self.model, self.write(place, color), 3)


async def nothing_else() -> None:
    pass


def run(tmp_path: Path, scenario: Callable[[Case], Awaitable[object]], load: Load) -> None:
    @asynccontextmanager
    async def connected() -> AsyncIterator[Case]:
        case = Case(tmp_path / "network", load)
        case.begin_network()
        case.remote.start()
        async with asyncio.timeout(30):
            await case.ready()
            yield case
            await case.remote.close()
            await case.end_network()

    async def live() -> None:
        async with connected() as case:
            await scenario(case)

    asyncio.run(live())


def constant(network: DummyNetwork) -> Load:
    def load(name: str) -> LoadedModel:
        return dummy_model(network, name)

    return load


def best(answer: Answer[list[Candidate]]) -> int:
    return answer.value[0].class_index


def test_answers_come_back_to_whoever_asked_in_batches(tmp_path: Path) -> None:
    network = DummyNetwork(0.02)

    async def scenario(case: Case) -> None:
        colors = [(number, number % 3, 0) for number in range(40)]
        answers = await asyncio.gather(*(case.ask(place, color) for place, color in enumerate(colors)))
        assert [best(answer) for answer in answers] == [expected_class(color) for color in colors]
        assert max(answer.batch_size for answer in answers) > 1
        await until(lambda: bool(case.remote.rate))

    run(tmp_path, scenario, constant(network))


def test_what_breaks_one_image_is_its_callers_alone(tmp_path: Path) -> None:
    async def scenario(case: Case) -> None:
        asked = [case.ask(place, (place, 0, POISON_BLUE if place == 1 else 0)) for place in range(4)]
        good, poison, *others = await asyncio.gather(*asked, return_exceptions=True)
        assert isinstance(poison, InternalError)
        assert "poison" not in poison.detail
        assert not any(isinstance(answer, BaseException) for answer in (good, *others))

    run(tmp_path, scenario, constant(DummyNetwork()))


def test_whoever_leaves_is_taken_out_of_the_queue_there(tmp_path: Path) -> None:
    network = DummyNetwork()

    async def scenario(case: Case) -> None:
        network.gate.clear()
        first = asyncio.create_task(case.ask(0, (1, 0, 0)))
        await until(lambda: network.begun == 1)
        waiting = [asyncio.create_task(case.ask(place, (2, 0, 0))) for place in range(1, 6)]
        await until(lambda: case.local.depth == 5)
        for task in waiting:
            task.cancel()
        await until(lambda: case.local.depth == 0)
        network.gate.set()
        assert best(await first) == 1
        assert network.batches == [1]

    run(tmp_path, scenario, constant(network))


def test_a_networks_process_that_is_replaced_answers_for_its_own_models_only(tmp_path: Path) -> None:
    network = DummyNetwork()

    async def scenario(case: Case) -> None:
        network.gate.clear()
        before = case.model
        pending = asyncio.create_task(case.ask(0, (1, 0, 0)))
        await until(lambda: network.begun == 1)
        await case.end_network()
        with pytest.raises(InternalError, match="started again"):
            await pending
        await until(lambda: case.lifecycle.state is State.LOADING)
        with pytest.raises(NotReady):
            await case.ask(0, (1, 0, 0))
        network.gate.set()
        case.begin_network()
        await case.ready()
        assert case.model is not before
        with pytest.raises(NotReady, match="replaced"):
            await case.remote.submit(before, case.write(0, (1, 0, 0)), 1)
        assert best(await case.ask(0, (7, 0, 0))) == 7

    run(tmp_path, scenario, constant(network))


def test_a_model_is_loaded_once_every_front_knows_it(tmp_path: Path) -> None:
    def load(name: str) -> LoadedModel:
        return dummy_model(DummyNetwork(), name, max_batch_size=3)

    async def scenario(case: Case) -> None:
        with pytest.raises(ModelNotFound):
            case.remote.registry.get("other")
        loaded = await case.remote.load("other")
        assert loaded is case.remote.registry.get("other")
        assert (loaded.max_batch_size, loaded.labels) == (3, case.model.labels)
        replaced = await case.remote.load("other")
        assert replaced is not loaded
        assert case.remote.registry.get("other") is replaced

    run(tmp_path, scenario, load)
