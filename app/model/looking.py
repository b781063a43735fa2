"""Several views of one image, one answer: as the service does it, for who has the network at hand and no queue."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from app.image.views import Pixels, Views
from app.model.evaluation import CENTRE_OF_TEN, Evaluation, is_close, plan_of
from app.model.registry import Key, LoadedModel, Seen, View, WholeSize, candidates, max_batch_size, run
from app.model.wish import Wish


def keyed_views(model: LoadedModel, evaluation: Evaluation, parts: Sequence[Pixels]) -> Iterator[tuple[Key, Pixels]]:
    """The views of each part of the evaluation's plan, with what they may share a forward pass with."""
    plan = plan_of(evaluation, model)
    for part, pixels in zip(plan.wanted.parts, parts, strict=True):
        yield model if isinstance(part, Views) else WholeSize(model, *pixels.shape[1:3]), pixels


def look(model: LoadedModel, evaluation: Evaluation, parts: Sequence[Pixels]) -> list[Seen]:
    """The answers to all views, in their order in memory; ``combine`` makes one of them."""
    return [*_look(model, evaluation, parts)]


def decide(model: LoadedModel, wish: Wish, parts: Sequence[Pixels]) -> tuple[Evaluation, list[Pixels]]:
    """What is done of what is asked for, and the parts that it takes: ``auto`` looks at the centre first."""
    evaluation = wish.evaluation_by(model)
    if not wish.is_auto:
        return evaluation, [*parts]
    centre = parts[0][CENTRE_OF_TEN : CENTRE_OF_TEN + 1]
    (glance,) = run(model, [View(centre[0])])
    assert isinstance(glance, Seen)  # as it is for a view
    if is_close(candidates(glance.probabilities, 2)):
        return evaluation, [*parts]
    return replace(evaluation, method="single"), [centre, *parts[1:]]


def _look(model: LoadedModel, evaluation: Evaluation, parts: Sequence[Pixels]) -> Iterator[Seen]:
    for key, pixels in keyed_views(model, evaluation, parts):
        size = max_batch_size(key)
        for start in range(0, len(pixels), size):
            answers = run(key, [View(view) for view in pixels[start : start + size]])
            yield from (answer for answer in answers if isinstance(answer, Seen))
