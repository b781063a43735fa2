"""Bytes in, labels out, with the dummy network in the place of a real one."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from app.errors import DeadlineExceeded, InternalError, UnsupportedMediaType
from app.model.registry import Registry, ServedModel
from app.model.selection import Selection
from app.serving.inference import LocalInference, network_batcher
from app.serving.lifecycle import Lifecycle, State
from app.serving.loader import Loader
from app.serving.metrics import Metrics
from app.serving.pipeline import Pipeline, Prediction
from app.serving.tally import Tally
from app.serving.warming import warm_up
from tests.decoders import Running, until
from tests.dummy import POISON_BLUE, DummyNetwork, dummy_model, expected_class
from tests.pictures import png

MODEL = dummy_model(DummyNetwork())


class Case:
    """A pipeline, and the uploads that it is asked about."""

    def __init__(self, pipeline: Pipeline, images: Running) -> None:
        self.pipeline = pipeline
        self._images = images

    async def predict(self, data: bytes, model: ServedModel, top_k: int) -> Prediction:
        upload = self._images.upload(data)
        try:
            return await self.pipeline.predict(upload, model, top_k)
        finally:
            upload.release()


def ask(metrics: Metrics, scenario: Callable[[Case], Awaitable[object]]) -> None:
    """Let a scenario use a pipeline on an event loop of its own."""

    async def live() -> None:
        images, lifecycle = Running(), Lifecycle()
        batcher = network_batcher(lifecycle, metrics, max_wait_s=0)
        loader = Loader(
            lambda _: MODEL,
            Registry("vgg16"),
            Selection(("vgg16",)),
            lifecycle,
            metrics,
            warm_up=partial(warm_up, batcher),
            others_ready=images.decoders.ready,
        )
        inference = LocalInference(loader, batcher, images.buffers.block)
        pipeline = Pipeline(inference, images.decoders, metrics, Tally(1).row(0))
        pipeline.start()
        await until(lambda: lifecycle.state is State.READY)
        await scenario(Case(pipeline, images))
        await pipeline.close()

    asyncio.run(live())


def test_each_image_gets_its_own_labels_and_its_stages_are_counted() -> None:
    metrics = Metrics()
    found: list[Prediction] = []

    async def scenario(case: Case) -> None:
        assert not case.pipeline.rate
        colors = [(number, number % 5, 0) for number in range(12)]
        answers = await asyncio.gather(*(case.predict(png(color), MODEL, 3) for color in colors))
        for color, answer in zip(colors, answers, strict=True):
            assert answer.ranked[0].label is MODEL.labels[expected_class(color)]
            assert len(answer.ranked) == 3
        assert case.pipeline.rate
        found.extend(answers)

    ask(metrics, scenario)
    assert all(seconds > 0 for answer in found for seconds in answer.stages)
    for stage in ("decode", "preprocess", "queue", "inference"):
        assert f"{stage}_duration_seconds_count 12.0" in metrics.exposition().decode()


def test_what_is_wrong_with_one_image_is_said_to_its_caller_alone() -> None:
    async def scenario(case: Case) -> None:
        good, text, poison = await asyncio.gather(
            case.predict(png((1, 0, 0)), MODEL, 1),
            case.predict(b"text", MODEL, 1),
            case.predict(png((1, 2, POISON_BLUE)), MODEL, 1),
            return_exceptions=True,
        )
        assert isinstance(good, Prediction)
        assert isinstance(text, UnsupportedMediaType)
        assert isinstance(poison, InternalError)
        assert "poison" not in poison.detail

    ask(Metrics(), scenario)


def test_nobody_waits_for_a_network_that_is_given_up() -> None:
    network = DummyNetwork()
    network.gate.clear()
    model = dummy_model(network)

    async def scenario(case: Case) -> None:
        waiting = asyncio.create_task(case.predict(png((1, 0, 0)), model, 1))
        async with asyncio.timeout(20):
            while not case.pipeline.inference.running_s:
                await asyncio.sleep(0.01)
            case.pipeline.abandon(DeadlineExceeded("enough"))
            with pytest.raises(DeadlineExceeded, match="enough"):
                await waiting
        network.gate.set()

    ask(Metrics(), scenario)
