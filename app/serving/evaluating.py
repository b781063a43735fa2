"""Several views of one image, each an item of its own for the batcher, and one answer out of all of them."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from app.image.views import Pixels
from app.model.evaluation import Evaluated, Evaluation, combine, plan_of
from app.model.looking import keyed_views
from app.model.registry import Key, LoadedModel, Seen, View
from app.serving.batcher import Answer

Look = Callable[[Key, View], Awaitable[Answer[Seen]]]


async def evaluate(
    model: LoadedModel, evaluation: Evaluation, parts: Sequence[Pixels], top_k: int, look: Look
) -> Answer[Evaluated]:
    """``parts`` are those of the evaluation's plan, each (views, height, width, 3); ``look`` asks for one view.

    Views may be answered in any order and in batches with others'. The answer's times are those of all of them
    together: until the first was begun, and from then on. Raises what ``look`` raises; the others are taken back then.
    """
    plan = plan_of(evaluation, model)
    began = time.perf_counter()
    views = [
        asyncio.ensure_future(look(key, View(view)))
        for key, pixels in keyed_views(model, evaluation, parts)
        for view in pixels
    ]
    try:
        answers = await asyncio.gather(*views)
    finally:
        for view in views:
            view.cancel()
    seconds = time.perf_counter() - began
    queue_s = min(answer.queue_s for answer in answers)
    evaluated = combine(plan, [answer.value for answer in answers], top_k)
    return Answer(evaluated, max(answer.batch_size for answer in answers), queue_s, seconds - queue_s)
