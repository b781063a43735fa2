"""Views as items of their own."""

import asyncio

import numpy as np
import pytest

from app.model.evaluation import Evaluation, plan_of
from app.model.registry import Key, Seen, View, WholeSize, run
from app.serving.batcher import Answer
from app.serving.evaluating import evaluate
from tests.dummy import DummyNetwork, dummy_model

MODEL = dummy_model(DummyNetwork())
BOTH = Evaluation("dense_multi_crop", heatmap=True)
PARTS = [np.full((10, 224, 224, 3), 4, np.uint8), np.full((2, 256, 320, 3), 4, np.uint8)]


def test_every_view_is_asked_for_by_what_it_may_share_a_batch_with() -> None:
    asked: list[Key] = []

    async def look(key: Key, view: View) -> Answer[Seen]:
        asked.append(key)
        (seen,) = run(key, [view])
        assert isinstance(seen, Seen)
        return Answer(seen, len(asked), 0.01 * len(asked), 0.5)

    answer = asyncio.run(evaluate(MODEL, BOTH, PARTS, 2, look))
    assert asked == [MODEL] * 10 + [WholeSize(MODEL, 256, 320)] * 2
    assert answer.value.candidates[0].class_index == 4 + 256
    assert answer.value.heatmap is not None
    assert np.shape(answer.value.heatmap.values) == (2, 4, 5)
    assert (answer.batch_size, answer.queue_s) == (12, 0.01)
    assert plan_of(BOTH, MODEL).views == 12


def test_when_one_view_fails_the_others_are_taken_back() -> None:
    cancelled = 0

    async def look(key: Key, view: View) -> Answer[Seen]:
        nonlocal cancelled
        if isinstance(key, WholeSize):
            raise RuntimeError("broken")  # noqa: TRY004 - it is not about types
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled += 1
            raise
        raise AssertionError

    async def live() -> None:
        with pytest.raises(RuntimeError, match="broken"):
            await evaluate(MODEL, BOTH, PARTS, 2, look)
        await asyncio.sleep(0.01)
        assert cancelled == 10

    asyncio.run(live())
