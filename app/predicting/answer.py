"""One photograph looked at as the service looks at it: the same reader, the same views, the same network, averaged in
the same way."""

from dataclasses import dataclass, replace
from pathlib import Path

from app.errors import ModelError
from app.image.reader import Reader
from app.image.views import Pixels
from app.model.evaluation import CENTRE_OF_TEN, Evaluated, Evaluation, combine, is_close, plan_of
from app.model.looking import look
from app.model.registry import LoadedModel
from app.model.wish import Wish

MOST_PIXELS = 2**25  # of all views: nobody else waits for this machine


@dataclass(frozen=True, slots=True)
class Answered:
    """``parts`` are what the network was shown: for each part of the evaluation's plan (views, height, width, 3)."""

    found: Evaluated
    evaluation: Evaluation
    views: int
    parts: list[Pixels]


def answer(data: bytes, model: LoadedModel, reader: Reader, wish: Wish, top_k: int) -> Answered:
    """Raises ``ServiceError`` for what is wrong with the photograph, ``CannotEvaluate`` with the wish."""
    evaluation, preprocessing = wish.evaluation_by(model), model.manifest.preprocessing
    parts = reader.read_parts(data, plan_of(evaluation, preprocessing).wanted, MOST_PIXELS).parts
    if wish.is_auto:
        glance = replace(evaluation, method="single")
        centre = [parts[0][CENTRE_OF_TEN : CENTRE_OF_TEN + 1], *parts[1:]]
        found = _answered(model, glance, centre, max(2, top_k))
        if not is_close(found.found.candidates):
            return replace(found, found=_first(found.found, top_k))
    return _answered(model, evaluation, parts, top_k)


def _answered(model: LoadedModel, evaluation: Evaluation, parts: list[Pixels], top_k: int) -> Answered:
    plan = plan_of(evaluation, model.manifest.preprocessing)
    found = combine(plan, look(model, evaluation, parts), min(top_k, len(model.labels)))
    return Answered(found, evaluation, plan.views, parts)


def _first(found: Evaluated, top_k: int) -> Evaluated:
    heatmap = found.heatmap and found.heatmap._replace(values=found.heatmap.values[:top_k])
    return Evaluated(found.candidates[:top_k], heatmap)


def read_file(path: Path) -> bytes:
    """Raises ``ModelError``."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}).") from error
