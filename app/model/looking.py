"""Several views of one image, one answer: as the service does it, for who has the network at hand and no queue."""

from collections.abc import Iterator, Sequence

from app.image.views import Pixels, Views
from app.model.evaluation import Evaluation, plan_of
from app.model.registry import Key, LoadedModel, Seen, View, WholeSize, max_batch_size, run


def keyed_views(model: LoadedModel, evaluation: Evaluation, parts: Sequence[Pixels]) -> Iterator[tuple[Key, Pixels]]:
    """The views of each part of the evaluation's plan, with what they may share a forward pass with."""
    plan = plan_of(evaluation, model.manifest.preprocessing)
    for part, pixels in zip(plan.wanted.parts, parts, strict=True):
        yield model if isinstance(part, Views) else WholeSize(model, *pixels.shape[1:3]), pixels


def look(model: LoadedModel, evaluation: Evaluation, parts: Sequence[Pixels]) -> list[Seen]:
    """The answers to all views, in their order in memory; ``combine`` makes one of them."""
    return [*_look(model, evaluation, parts)]


def _look(model: LoadedModel, evaluation: Evaluation, parts: Sequence[Pixels]) -> Iterator[Seen]:
    for key, pixels in keyed_views(model, evaluation, parts):
        size = max_batch_size(key)
        for start in range(0, len(pixels), size):
            answers = run(key, [View(view) for view in pixels[start : start + size]])
            yield from (answer for answer in answers if isinstance(answer, Seen))
