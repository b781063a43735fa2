"""One photograph looked at as the service looks at it: the same reader, the same views, the same network, averaged in
the same way."""

from dataclasses import dataclass
from pathlib import Path

from app.errors import ModelError
from app.image.reader import Reader
from app.image.views import Pixels
from app.model.evaluation import Evaluated, Evaluation, combine, plan_of
from app.model.looking import decide, look
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
    wanted = plan_of(wish.evaluation_by(model), model).wanted
    evaluation, parts = decide(model, wish, reader.read_parts(data, wanted, MOST_PIXELS).parts)
    plan = plan_of(evaluation, model)
    found = combine(plan, look(model, evaluation, parts), min(top_k, len(model.labels)))
    return Answered(found, evaluation, plan.views, parts)


def read_file(path: Path) -> bytes:
    """Raises ``ModelError``."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}).") from error
