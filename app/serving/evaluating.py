"""Several views of one image, each an item of its own for the batcher, and one answer out of all of them."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence

from app.image.views import Pixels, Views
from app.model.evaluation import Evaluated, Evaluation, combine, plan_of
from app.model.registry import Key, LoadedModel, Seen, View, WholeSize
from app.serving.batcher import Answer

Look = Callable[[Key, View], Awaitable[Answer[Seen]]]


async def evaluate(
    model: LoadedModel, evaluation: Evaluation, parts: Sequence[Pixels], top_k: int, look: Look
) -> Answer[Evaluated]:
    """``parts`` are those of the evaluation's plan, each (views, height, width, 3); ``look`` asks for one view.

    Views may be answered in any order and in batches with others'. The answer's times are those of all of them
    together: until the first was begun, and from then on. Raises what ``look`` raises; the others are taken back then.
    """
    plan = plan_of(evaluation, model.manifest.preprocessing)
    began = time.perf_counter()
    views = [asyncio.ensure_future(look(key, view)) for key, view in _views(model, evaluation, parts)]
    try:
        answers = await asyncio.gather(*views)
    finally:
        for view in views:
            view.cancel()
    seconds = time.perf_counter() - began
    queue_s = min(answer.queue_s for answer in answers)
    evaluated = combine(plan, [answer.value for answer in answers], top_k)
    return Answer(evaluated, max(answer.batch_size for answer in answers), queue_s, seconds - queue_s)


def _views(model: LoadedModel, evaluation: Evaluation, parts: Sequence[Pixels]) -> Iterator[tuple[Key, View]]:
    """Every view, with what it may share a forward pass with."""
    plan = plan_of(evaluation, model.manifest.preprocessing)
    for part, pixels in zip(plan.wanted.parts, parts, strict=True):
        key: Key = model if isinstance(part, Views) else WholeSize(model, *pixels.shape[1:3])
        for view in pixels:
            yield key, View(view)
